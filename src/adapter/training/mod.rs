//! What fine-tuning needs of a family of models: its weights as variables, questions as examples, a loss, and a folder that
//! holds the result.

mod folder;
mod labels;
mod pix2struct;
mod provenance;
mod unichart;

use std::path::Path;

use anyhow::{Result, bail};
use candle_core::DType;

pub use folder::Files;
pub use provenance::Provenance;

use super::folder::ModelFolder;
use super::{Adapter, Settings, Setup};
use crate::config::Family;
use chartbench_core::question::{Chart, Question};
use chartbench_nn::loading::gguf_bytes;
use chartbench_nn::training::{Example, InitRule, InitSource, Loss, LossOptions, Variables};
use chartbench_nn::{
    Bf16Source, Checkpoint, CheckpointSource, LayerQuantizer, LayerStack, QuantizationInfo, TensorSource, kernels,
    weights_sha256,
};

/// How the text a model is taught to write becomes labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LabelRule {
    /// Longest label in tokens, end of sequence included; what is longer is cut.
    pub max_tokens: usize,
    /// Whether labels end with their text. Otherwise they are filled up with padding to `max_tokens`, and the padding
    /// counts like any token, as in the RealCQA fine-tuning study.
    pub mask_padding: bool,
}

/// Where the weights begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartFrom {
    /// The adapter's checkpoint.
    Checkpoint,
    /// Weights drawn as the reference draws those of a new model, by this seed; the checkpoint gives its configuration and
    /// tokenizer alone.
    Scratch(u64),
}

/// How a checkpoint stores its weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    #[default]
    F32,
    F16,
}

impl Precision {
    /// As config.json spells it.
    fn name(self) -> &'static str {
        match self {
            Self::F32 => "float32",
            Self::F16 => "float16",
        }
    }

    fn dtype(self) -> DType {
        match self {
            Self::F32 => DType::F32,
            Self::F16 => DType::F16,
        }
    }
}

/// An example, and whether its label was cut.
pub struct Prepared {
    pub example: Example,
    pub cut: bool,
}

/// A model that can be fine-tuned.
pub trait Trainable: Send + Sync {
    /// Everything about the model that decides what training makes of it: weights, prompt, preprocessing.
    fn settings(&self) -> &[(String, String)];

    /// The weights; those that are not frozen are trained.
    fn variables(&self) -> &Variables;

    /// The same, to choose which are trained.
    fn variables_mut(&mut self) -> &mut Variables;

    /// A question with its gold answer as something to learn from. Called from a thread of its own while the model learns.
    ///
    /// # Errors
    /// An image that cannot be read, an empty answer, a prompt that leaves no room for one.
    fn prepare(&self, chart: &Chart, question: &Question, rule: LabelRule) -> Result<Prepared>;

    /// The loss of a batch, in the graph of the variables. Operands of large products are rounded to `compute`, there and in
    /// the gradients.
    ///
    /// # Errors
    /// Examples that are not this model's.
    fn loss(&self, batch: &[Example], pass: LossOptions<'_>, compute: kernels::ComputeDtype) -> Result<Loss> {
        match compute {
            kernels::ComputeDtype::F32 => self.loss_over(self.variables(), batch, pass),
            kernels::ComputeDtype::Bf16 => self.loss_over(&Bf16Source(self.variables()), batch, pass),
        }
    }

    /// [`Self::loss`] with the weights of `source` in the place of the variables.
    ///
    /// # Errors
    /// As [`Self::loss`]; a source without some of the weights.
    fn loss_over(&self, source: &dyn TensorSource, batch: &[Example], pass: LossOptions<'_>) -> Result<Loss>;

    /// f32 values that one example keeps in memory from the forward to the backward pass, roughly, with
    /// [`LossOptions::activation_checkpointing`] or without.
    fn activations(&self, example: &Example, checkpointing: bool) -> usize;

    /// The adapter that answers with the weights as they now are.
    ///
    /// # Errors
    /// None that loading the model did not have.
    fn adapter(&self) -> Result<Box<dyn Adapter>> {
        self.adapter_over(&self.variables().frozen())
    }

    /// [`Self::adapter`] with the weights of `source` in the place of the variables.
    ///
    /// # Errors
    /// A source without some of the weights.
    fn adapter_over(&self, source: &dyn TensorSource) -> Result<Box<dyn Adapter>>;

    /// The architecture, as a GGUF file names it.
    fn architecture(&self) -> &'static str;

    /// The checkpoint's files.
    fn files(&self) -> &Files;

    /// Writes the folder of a checkpoint as transformers reads it: weights, configuration, processor, tokenizer.
    ///
    /// # Errors
    /// A file that cannot be written.
    fn write(&self, folder: &Path, precision: Precision) -> Result<()> {
        self.files().write(folder, self.variables(), precision)
    }

    /// Writes such a folder with the weights of `quantized`, which is over the variables and was asked for all of them.
    ///
    /// # Errors
    /// A file that cannot be written.
    fn write_quantized(&self, folder: &Path, quantized: &LayerQuantizer<'_>) -> Result<()> {
        self.files().write_quantized(folder, self.architecture(), self.variables(), quantized)
    }

    /// The bytes of the weights that [`Self::write_quantized`] would write.
    ///
    /// # Errors
    /// None on the CPU; elsewhere what the device says.
    fn quantized_bytes(&self, quantized: &LayerQuantizer<'_>) -> Result<u64> {
        gguf_bytes(self.architecture(), &folder::weights(self.variables())?, quantized)
    }
}

/// Loads the model of `setup` for training.
///
/// # Errors
/// As [`super::build`]; an adapter that cannot be trained.
pub fn load(setup: &Setup<'_>, start: StartFrom) -> Result<Box<dyn Trainable>> {
    let id = &setup.model.spec.id;
    if setup.reader.is_some() || setup.blank {
        bail!("{} is made of parts: fine-tune `{id}` and name the folder with --weights", setup.name);
    }
    if setup.model.precision.is_some() {
        bail!("{id} is quantized: it is {} that can be trained", setup.model.spec.file());
    }
    match &setup.model.spec.family {
        Family::Pix2Struct(spec) => Ok(Box::new(pix2struct::Training::load(setup, spec, start)?)),
        Family::UniChart(spec) => Ok(Box::new(unichart::Training::load(setup, spec, start)?)),
        _ => bail!("{id} has no weights that this program can train: name a Pix2Struct or UniChart checkpoint"),
    }
}

/// The variables of the model that `model` loads, from the folder's weights or as `rule` draws them, and the settings that
/// say so.
fn variables<M>(
    (setup, folder): (&Setup<'_>, &ModelFolder),
    stacks: &[LayerStack],
    start: StartFrom,
    rule: &InitRule<'_>,
    model: impl FnOnce(&dyn TensorSource) -> Result<M>,
) -> Result<(Variables, Settings)> {
    let (variables, origin) = match start {
        StartFrom::Checkpoint => {
            let checkpoint = Checkpoint::open(folder.path())?;
            checkpoint.check_layers(stacks)?;
            if let Some(QuantizationInfo { format, .. }) = checkpoint.quantized() {
                bail!("{}: the weights are {format}: it takes full ones to train or quantize", folder.path().display());
            }
            let source = CheckpointSource { checkpoint: &checkpoint, device: setup.device };
            let sha256 = weights_sha256(folder.path())?;
            (
                Variables::load(&source, model)?,
                vec![("weights", folder.origin().to_owned()), ("weights_sha256", sha256)],
            )
        }
        StartFrom::Scratch(seed) => {
            let source = InitSource::new(rule, seed, setup.device);
            (Variables::load(&source, model)?, vec![("weights", format!("drawn by seed {seed}"))])
        }
    };
    Ok((variables, origin.into_iter().chain([("dtype", "f32".to_owned())]).collect()))
}
