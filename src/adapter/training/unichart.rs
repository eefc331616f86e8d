//! Fine-tuning of UniChart and other Donut models: prompt and answer are one text, and only the answer has labels.

use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};
use candle_core::{Device, Tensor};

use super::checkpoint_files::CheckpointFiles;
use super::labels::{Labels, end_of_sequence};
use super::{LabelRule, Prepared, StartFrom, Trainable, variables};
use crate::adapter::checkpoint_dir::CheckpointDir;
use crate::adapter::unichart::{CandleBackend, UniChart, UniChartAdapter};
use crate::adapter::{Adapter, AdapterContext, chart_image};
use crate::config::UniChartSpec;
use chartbench_core::question::{Chart, Question};
use chartbench_nn::TensorSource;
use chartbench_nn::donut::{Config, Model};
use chartbench_nn::training::{Example, Loss, LossOptions, Variables};

pub(super) struct UniChartTrainable {
    config: Config,
    /// Processor, tokenizer and prompts; what computes is [`Self::variables`].
    parts: UniChart<()>,
    variables: Variables,
    files: CheckpointFiles,
    device: Device,
    eos: u32,
    /// The last prepared chart; following questions about it share its pixels.
    last: Mutex<Option<(String, Tensor)>>,
}

impl UniChartTrainable {
    pub(super) fn load(
        context: &AdapterContext<'_>,
        spec: &UniChartSpec,
        start: StartFrom,
    ) -> Result<Self> {
        let folder = CheckpointDir::locate(context, &spec.weights)?;
        let dir = folder.path();
        let config = Config::read(dir)?;
        let device = context.device.clone();
        let rule = |name: &str, shape: &[usize]| config.init_distribution(name, shape);
        let model = |source: &dyn TensorSource| Model::from_source(&config, source);
        let (variables, origin) = variables(
            context,
            &folder,
            &config.layer_stacks(),
            start,
            &rule,
            model,
        )?;
        let family = ("family", "unichart".to_owned());
        let parts = UniChart::assemble(context, spec, dir, |_| {
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
            last: Mutex::default(),
        })
    }

    fn image(&self, chart: &Chart) -> Result<Tensor> {
        // The lock is not held while pixels are prepared: threads that wait for it would be missing there.
        let last = || self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = last()
            .as_ref()
            .filter(|(id, _)| *id == chart.id)
            .map(|(_, image)| image.clone());
        if let Some(image) = kept {
            return Ok(image);
        }
        let pixels = self.parts.processor.pixels(&chart_image(chart)?);
        let pixels = pixels.with_context(|| format!("image {}", chart.image_name()))?;
        let image = Tensor::from_vec(pixels.data, (3, pixels.height, pixels.width), &self.device)?;
        *last() = Some((chart.id.clone(), image.clone()));
        Ok(image)
    }
}

impl Trainable for UniChartTrainable {
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
        let prompt = self.parts.prompt(question)?;
        let labels = Labels::new(
            &self.parts.tokenizer,
            &format!(" {}", question.gold.text()),
            self.eos,
            rule,
        )?;
        let image = self.image(chart)?;
        let cut = labels.cut;
        let answer = labels.padded(self.config.decoder.pad_token_id, rule);
        let length = prompt.len() + answer.len() - 1;
        let most = self.config.decoder.max_position_embeddings;
        anyhow::ensure!(
            length <= most,
            "prompt and answer of {length} tokens exceed the decoder's {most} positions"
        );
        // All tokens but the last are read, all but the first are written, those of the prompt without a label.
        let read = prompt
            .iter()
            .copied()
            .chain(answer.iter().flatten().copied());
        let inputs = read.take(length).collect();
        let labels = std::iter::repeat_n(None, prompt.len() - 1)
            .chain(answer)
            .collect();
        Ok(Prepared {
            example: Example {
                image,
                inputs,
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

    /// Counts each block's norms, projections and products, times the positions of its stage.
    fn activations(&self, example: &Example, checkpointing: bool) -> usize {
        let (encoder, decoder) = (&self.config.encoder, &self.config.decoder);
        let pixels = example.image.elem_count() / encoder.num_channels.max(1);
        let mut places = pixels / (encoder.patch_size * encoder.patch_size).max(1);
        let mut width = encoder.embed_dim;
        let (mut sum, mut largest) = (0, 0);
        for depth in &encoder.depths {
            let inner = (encoder.mlp_ratio * width as f64) as usize;
            let block = 9 * width + 2 * inner;
            sum += places
                * if checkpointing {
                    depth * width
                } else {
                    depth * block
                };
            largest = largest.max(places * block);
            (places, width) = (places.div_ceil(4), 2 * width);
        }
        let layers = decoder.decoder_layers;
        let projected = 8 * places * layers * decoder.d_model;
        let tokens =
            layers * (16 * decoder.d_model + 2 * decoder.decoder_ffn_dim) + 2 * decoder.vocab_size;
        let again = if checkpointing { largest } else { 0 };
        sum + again + projected + example.labels.len() * tokens
    }

    fn adapter_over(&self, source: &dyn TensorSource) -> Result<Box<dyn Adapter>> {
        let model = Model::for_inference(&self.config, source)?;
        let backend = CandleBackend::new(model, self.device.clone());
        Ok(Box::new(UniChartAdapter::new(
            self.parts.with_backend(backend),
        )))
    }

    fn architecture(&self) -> &'static str {
        "donut"
    }

    fn files(&self) -> &CheckpointFiles {
        &self.files
    }
}
