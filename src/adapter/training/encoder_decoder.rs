//! Fine-tuning of every family that [`Processor`] describes.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, ensure};
use candle_core::{Device, Tensor};

use super::checkpoint_files::CheckpointFiles;
use super::labels::{Labels, end_of_sequence};
use super::{LabelRule, Prepared, StartFrom, Trainable, variables};
use crate::adapter::checkpoint_dir::CheckpointDir;
use crate::adapter::encoder_decoder::{CandleBackend, EncoderDecoderAdapter, LastImage, Processor};
use crate::adapter::{Adapter, AdapterContext, Identity, chart_image, identity};
use crate::config::WeightsSource;
use chartbench_core::question::{Chart, Question};
use chartbench_nn::training::{Example, Loss, LossOptions, Variables};
use chartbench_nn::{EncoderDecoder, ModelConfig, TensorSource};

/// A model whose weights are [`Variables`]; what computes is made of them for each step.
pub(super) struct EncoderDecoderTrainable<P> {
    identity: Identity,
    processor: Arc<P>,
    variables: Variables,
    files: CheckpointFiles,
    device: Device,
    eos: u32,
    /// The last prepared image; following questions about it share its values.
    last: Mutex<Option<LastImage<Tensor>>>,
}

impl<P: Processor> EncoderDecoderTrainable<P> {
    /// Finds the checkpoint of `weights` and loads it, or draws fresh weights.
    ///
    /// # Errors
    /// Returns an error if weights cannot be found, or the files are not those of the family.
    pub(super) fn load(
        context: &AdapterContext<'_>,
        spec: &P::Spec,
        weights: &WeightsSource,
        start: StartFrom,
    ) -> Result<Self> {
        let folder = CheckpointDir::locate(context, weights)?;
        let processor = P::open(context, spec, folder.path())?;
        let config = processor.config();
        let rule = |name: &str, shape: &[usize]| config.init_distribution(name, shape);
        let model = |source: &dyn TensorSource| P::Model::from_source(config, source);
        let stacks = config.layer_stacks();
        let (variables, origin) = variables(context, &folder, &stacks, start, &rule, model)?;
        let family = ("family", P::FAMILY.to_owned());
        let settings = std::iter::once(family)
            .chain(origin)
            .chain(processor.settings());
        Ok(Self {
            identity: identity(context, settings.collect()),
            variables,
            files: CheckpointFiles::read(folder.path())?,
            device: context.device.clone(),
            eos: end_of_sequence(config.eos())?,
            last: Mutex::default(),
            processor: Arc::new(processor),
        })
    }

    fn image(&self, chart: &Chart, header: Option<&str>) -> Result<Tensor> {
        // The lock is not held while an image is prepared: threads that wait for it would be
        // missing there.
        let last = || self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = last().as_ref().and_then(|last| last.get(chart, header));
        if let Some(input) = kept {
            return Ok(input);
        }
        let input = self
            .processor
            .image(&chart_image(chart)?, header)
            .with_context(|| format!("image {}", chart.image_name()))?
            .tensor(&self.device)?;
        *last() = Some(LastImage::new(chart, header, input.clone()));
        Ok(input)
    }
}

impl<P: Processor> Trainable for EncoderDecoderTrainable<P>
where
    P::Model: 'static,
{
    fn settings(&self) -> &[(String, String)] {
        &self.identity.settings
    }

    fn variables(&self) -> &Variables {
        &self.variables
    }

    fn variables_mut(&mut self) -> &mut Variables {
        &mut self.variables
    }

    fn prepare(&self, chart: &Chart, question: &Question, rule: LabelRule) -> Result<Prepared> {
        let (processor, config) = (&*self.processor, self.processor.config());
        let header = processor.header(question)?;
        let prompt = processor.prompt(question)?;
        let gold = format!("{}{}", P::ANSWER_PREFIX, question.gold.text());
        let labels = Labels::new(processor.tokenizer(), &gold, self.eos, rule)?;
        let image = self.image(chart, header)?;
        let cut = labels.cut;
        let pad = config.pad_token_id();
        let example = Example::teacher_forced(image, &prompt, &labels.padded(pad, rule), pad);
        let (length, most) = (example.inputs.len(), config.max_positions());
        if let Some(most) = most {
            ensure!(
                length <= most,
                "prompt and answer of {length} tokens exceed the decoder's {most} positions"
            );
        }
        Ok(Prepared { example, cut })
    }

    fn loss_over(
        &self,
        source: &dyn TensorSource,
        batch: &[Example],
        pass: LossOptions<'_>,
    ) -> Result<Loss> {
        P::Model::from_source(self.processor.config(), source)?.loss(batch, pass)
    }

    fn activations(&self, example: &Example, checkpointing: bool) -> usize {
        let (input, labels) = (example.image.dims(), example.labels.len());
        self.processor
            .config()
            .activations(input, labels, checkpointing)
    }

    fn adapter_over(&self, source: &dyn TensorSource) -> Result<Box<dyn Adapter>> {
        let model = P::Model::for_inference(self.processor.config(), source)?;
        let device = self.device.clone();
        Ok(Box::new(EncoderDecoderAdapter::new(
            self.identity.clone(),
            Arc::clone(&self.processor),
            CandleBackend { model, device },
        )))
    }

    fn architecture(&self) -> &'static str {
        P::Model::ARCHITECTURE
    }

    fn files(&self) -> &CheckpointFiles {
        &self.files
    }
}
