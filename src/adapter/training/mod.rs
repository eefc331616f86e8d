//! The interface between fine-tuning and a family of models: weights as variables, questions as
//! examples, the loss, and the checkpoint that is written.

mod checkpoint_files;
mod encoder_decoder;
mod labels;
mod provenance;

use std::path::Path;

use anyhow::{Result, bail};
use candle_core::DType;

pub use checkpoint_files::CheckpointFiles;
pub use provenance::Provenance;

use encoder_decoder::EncoderDecoderTrainable;

use super::checkpoint_dir::CheckpointDir;
use super::encoder_decoder::Processor;
use super::pix2struct::Pix2Struct;
use super::unichart::UniChart;
use super::{Adapter, AdapterContext, Settings};
use crate::config::{Family, WeightsSource};
use chartbench_core::question::{Chart, Question};
use chartbench_nn::loading::gguf_bytes;
use chartbench_nn::training::{Example, InitRule, InitSource, Loss, LossOptions, Variables};
use chartbench_nn::{
    Bf16Source, CheckpointSource, LayerQuantizer, LayerStack, QuantizationInfo, TensorSource,
    kernels,
};

/// How target texts become labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LabelRule {
    /// Longest label in tokens, end of sequence included; longer ones are cut.
    pub max_tokens: usize,
    /// Whether labels end with their text. Otherwise they are filled up with padding to
    /// `max_tokens`, and the padding counts like any token, as in the RealCQA fine-tuning study.
    pub mask_padding: bool,
}

/// The initial weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartFrom {
    /// The adapter's checkpoint.
    Checkpoint,
    /// Random weights drawn from this seed, as the reference initialises a new model; only the
    /// checkpoint's configuration and tokenizer are used.
    Scratch(u64),
}

/// How a checkpoint stores its weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// `float32`: the trained values exactly.
    #[default]
    F32,
    /// `float16`: rounded, in half the bytes.
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
    /// The image, and the prompt with the label after it.
    pub example: Example,
    /// Whether the label was longer than [`LabelRule::max_tokens`].
    pub cut: bool,
}

/// A model that can be fine-tuned.
pub trait Trainable: Send + Sync {
    /// Everything about the model that decides the trained weights: initial weights, prompt,
    /// preprocessing.
    fn settings(&self) -> &[(String, String)];

    /// The weights; those that are not frozen are trained.
    fn variables(&self) -> &Variables;

    /// The same, to choose which are trained.
    fn variables_mut(&mut self) -> &mut Variables;

    /// Prepares an example from a question and its gold answer. A separate thread calls it during
    /// training.
    ///
    /// # Errors
    /// Returns an error if the image cannot be read, the answer is empty, or the prompt leaves no
    /// room for it.
    fn prepare(&self, chart: &Chart, question: &Question, rule: LabelRule) -> Result<Prepared>;

    /// The loss of a batch, in the graph of the variables. Operands of large products are rounded
    /// to `compute`, there and in the gradients.
    ///
    /// # Errors
    /// Returns an error if the examples do not fit the model.
    fn loss(
        &self,
        batch: &[Example],
        pass: LossOptions<'_>,
        compute: kernels::ComputeDtype,
    ) -> Result<Loss> {
        match compute {
            kernels::ComputeDtype::F32 => self.loss_over(self.variables(), batch, pass),
            kernels::ComputeDtype::Bf16 => {
                self.loss_over(&Bf16Source(self.variables()), batch, pass)
            }
        }
    }

    /// [`Self::loss`] with the weights of `source` in the place of the variables.
    ///
    /// # Errors
    /// As [`Self::loss`]; returns an error if the source lacks a weight.
    fn loss_over(
        &self,
        source: &dyn TensorSource,
        batch: &[Example],
        pass: LossOptions<'_>,
    ) -> Result<Loss>;

    /// f32 values that one example keeps in memory from the forward to the backward pass, roughly,
    /// with [`LossOptions::activation_checkpointing`] or without.
    fn activations(&self, example: &Example, checkpointing: bool) -> usize;

    /// The adapter that answers with the current weights.
    ///
    /// # Errors
    /// Returns an error in the same cases as loading the model.
    fn adapter(&self) -> Result<Box<dyn Adapter>> {
        self.adapter_over(&self.variables().frozen())
    }

    /// [`Self::adapter`] with the weights of `source` in the place of the variables.
    ///
    /// # Errors
    /// Returns an error if the source lacks a weight.
    fn adapter_over(&self, source: &dyn TensorSource) -> Result<Box<dyn Adapter>>;

    /// The architecture, as a GGUF file names it.
    fn architecture(&self) -> &'static str;

    /// The checkpoint's files.
    fn files(&self) -> &CheckpointFiles;

    /// Writes the folder of a checkpoint as transformers reads it: weights, configuration,
    /// processor, tokenizer.
    ///
    /// # Errors
    /// Returns an error if a file cannot be written.
    fn write(&self, folder: &Path, precision: Precision) -> Result<()> {
        self.files().write(folder, self.variables(), precision)
    }

    /// Writes a checkpoint folder with the weights of `quantized`, which wraps the variables and
    /// has served all of them.
    ///
    /// # Errors
    /// Returns an error if a file cannot be written.
    fn write_quantized(&self, folder: &Path, quantized: &LayerQuantizer<'_>) -> Result<()> {
        self.files()
            .write_quantized(folder, self.architecture(), self.variables(), quantized)
    }

    /// The bytes of the weights that [`Self::write_quantized`] would write.
    ///
    /// # Errors
    /// Returns an error if a device other than the CPU fails.
    fn quantized_bytes(&self, quantized: &LayerQuantizer<'_>) -> Result<u64> {
        gguf_bytes(
            self.architecture(),
            &checkpoint_files::weights(self.variables())?,
            quantized,
        )
    }
}

/// Loads the model of `context` for training.
///
/// # Errors
/// As [`super::build`]; returns an error if the adapter cannot be trained.
pub fn load(context: &AdapterContext<'_>, start: StartFrom) -> Result<Box<dyn Trainable>> {
    let id = &context.model.spec.id;
    if context.reader.is_some() || context.blank {
        bail!(
            "{} is made of parts: fine-tune `{id}` and name the folder with --weights",
            context.name
        );
    }
    if context.model.precision.is_some() {
        bail!(
            "{id} is quantized: it is {} that can be trained",
            context.model.spec.file()
        );
    }
    match &context.model.spec.family {
        Family::Pix2Struct(spec) => trainable::<Pix2Struct>(context, spec, &spec.weights, start),
        Family::UniChart(spec) => trainable::<UniChart>(context, spec, &spec.weights, start),
        _ => bail!(
            "{id} has no weights that this program can train: name a Pix2Struct or UniChart checkpoint"
        ),
    }
}

fn trainable<P: Processor>(
    context: &AdapterContext<'_>,
    spec: &P::Spec,
    weights: &WeightsSource,
    start: StartFrom,
) -> Result<Box<dyn Trainable>> {
    let model = EncoderDecoderTrainable::<P>::load(context, spec, weights, start)?;
    Ok(Box::new(model))
}

/// The variables of the model that `model` loads, from the folder's weights or initialised by
/// `rule`, with the settings that describe them.
fn variables<M>(
    context: &AdapterContext<'_>,
    folder: &CheckpointDir,
    stacks: &[LayerStack],
    start: StartFrom,
    rule: &InitRule<'_>,
    model: impl FnOnce(&dyn TensorSource) -> Result<M>,
) -> Result<(Variables, Settings)> {
    let (variables, origin) = match start {
        StartFrom::Checkpoint => {
            let checkpoint = folder.checkpoint(stacks)?;
            if let Some(QuantizationInfo { format, .. }) = checkpoint.quantized() {
                bail!(
                    "{}: the weights are {format}: it takes full ones to train or quantize",
                    folder.path().display()
                );
            }
            let source = CheckpointSource {
                checkpoint: &checkpoint,
                device: context.device,
            };
            let settings = folder.weights_settings()?;
            (Variables::load(&source, model)?, settings)
        }
        StartFrom::Scratch(seed) => {
            let source = InitSource::new(rule, seed, context.device);
            (
                Variables::load(&source, model)?,
                vec![("weights", format!("drawn by seed {seed}"))],
            )
        }
    };
    Ok((
        variables,
        origin
            .into_iter()
            .chain([("dtype", "f32".to_owned())])
            .collect(),
    ))
}
