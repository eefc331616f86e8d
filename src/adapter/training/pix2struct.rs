//! Fine-tuning a Pix2Struct: MatCha answers the question above the chart, DePlot writes its table.

use anyhow::{Context, Result};
use candle_core::{Device, Tensor};

use super::checkpoint_files::CheckpointFiles;
use super::labels::{Labels, end_of_sequence};
use super::{LabelRule, Prepared, StartFrom, Trainable, variables};
use crate::adapter::checkpoint_dir::CheckpointDir;
use crate::adapter::pix2struct::{CandleBackend, Pix2Struct};
use crate::adapter::{Adapter, AdapterContext, chart_image};
use crate::config::Pix2StructSpec;
use chartbench_core::question::{Chart, Question};
use chartbench_nn::TensorSource;
use chartbench_nn::pix2struct::{Config, Model};
use chartbench_nn::training::{Example, Loss, LossOptions, Variables};

pub(super) struct Pix2StructTrainable {
    config: Config,
    /// Processor, tokenizer and prompt; what computes is [`Self::variables`].
    parts: Pix2Struct<()>,
    variables: Variables,
    files: CheckpointFiles,
    device: Device,
    eos: u32,
}

impl Pix2StructTrainable {
    pub(super) fn load(
        context: &AdapterContext<'_>,
        spec: &Pix2StructSpec,
        start: StartFrom,
    ) -> Result<Self> {
        let folder = CheckpointDir::locate(context, &spec.weights)?;
        let dir = folder.path();
        let config = Config::read(dir)?;
        let device = context.device.clone();
        let rule = |name: &str, _: &[usize]| config.init_distribution(name);
        let model = |source: &dyn TensorSource| Model::from_source(&config, source);
        let (variables, origin) = variables(
            context,
            &folder,
            &config.layer_stacks(),
            start,
            &rule,
            model,
        )?;
        let family = ("family", "pix2struct".to_owned());
        let parts = Pix2Struct::assemble(context, spec, dir, |_, _| {
            Ok(((), std::iter::once(family).chain(origin).collect()))
        })?;
        let eos = end_of_sequence(&config.generation.eos)?;
        Ok(Self {
            files: CheckpointFiles::read(dir)?,
            config,
            parts,
            variables,
            device,
            eos,
        })
    }
}

impl Trainable for Pix2StructTrainable {
    fn settings(&self) -> &[(String, String)] {
        &self.parts.identity.settings
    }

    fn variables(&self) -> &Variables {
        &self.variables
    }

    fn variables_mut(&mut self) -> &mut Variables {
        &mut self.variables
    }

    fn prepare(&self, chart: &Chart, question: &Question, rule: LabelRule) -> Result<Prepared> {
        let labels = Labels::new(&self.parts.tokenizer, &question.gold.text(), self.eos, rule)?;
        let header = self.parts.header(question)?;
        let patches = self
            .parts
            .processor
            .patches(&chart_image(chart)?, Some(header));
        let patches = patches.with_context(|| format!("image {}", chart.image_name()))?;
        let rows = patches.rows * patches.cols;
        let width = patches.data.len() / rows;
        let image = Tensor::from_vec(patches.data, (rows, width), &self.device)?;
        let cut = labels.cut;
        let labels = labels.padded(self.config.text_config.pad_token_id, rule);
        Ok(Prepared {
            example: Example {
                image,
                inputs: self.config.inputs(&labels),
                labels,
            },
            cut,
        })
    }

    fn loss_over(
        &self,
        source: &dyn TensorSource,
        batch: &[Example],
        pass: LossOptions<'_>,
    ) -> Result<Loss> {
        Model::from_source(&self.config, source)?.loss(batch, pass)
    }

    /// Counts each layer's norms, projections and products: per patch in the encoder, per token in the decoder.
    fn activations(&self, example: &Example, checkpointing: bool) -> usize {
        let (vision, text) = (&self.config.vision_config, &self.config.text_config);
        let patches = example.image.dim(0).unwrap_or(0);
        let (layers, layer) = (
            vision.num_hidden_layers,
            8 * vision.hidden_size + vision.d_ff,
        );
        let encoder = if checkpointing {
            layers * vision.hidden_size + layer
        } else {
            layers * layer
        };
        let projected = 2 * text.num_layers * text.hidden_size;
        let decoder = text.num_layers * (14 * text.hidden_size + text.d_ff) + 2 * text.vocab_size;
        patches * (encoder + projected + vision.patch_embed_hidden_size)
            + example.labels.len() * decoder
    }

    fn adapter_over(&self, source: &dyn TensorSource) -> Result<Box<dyn Adapter>> {
        let model = Model::for_inference(&self.config, source)?;
        Ok(Box::new(self.parts.with_backend(CandleBackend::new(
            model,
            self.device.clone(),
        ))))
    }

    fn architecture(&self) -> &'static str {
        "pix2struct"
    }

    fn files(&self) -> &CheckpointFiles {
        &self.files
    }
}
