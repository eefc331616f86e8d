//! Chooses the layers of a checkpoint to quantize. Each layer is quantized alone to measure the
//! rise of the loss; then all but the most damaging layers are quantized, and the smallest choice
//! whose exact match holds is taken.

mod report;

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::adapter::training::{LabelRule, Trainable};
use crate::finetune::{self, SkippedQuestion};
use chartbench_core::question::QuestionSet;
use chartbench_nn::{LayerQuantizer, TensorSource, WeightFormat};
use chartbench_score::metric::{Convention, Metric};

pub use report::{Decision, choices, damages, model_card};

/// The convention of the scores: the one of fine-tuning's validation.
pub const CONVENTION: &str = "pix2struct";

/// The model and the questions that every choice is measured with.
#[derive(Clone, Copy)]
pub struct Trial<'a> {
    /// The model whose layers are quantized, with its weights in full precision.
    pub model: &'a dyn Trainable,
    /// Questions about charts that are held out of the train split.
    pub questions: &'a QuestionSet,
    /// How gold answers become the labels of the loss.
    pub rule: LabelRule,
    /// Questions at a time in which the loss is computed.
    pub micro_batch: usize,
}

/// One set of weights, measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measurement {
    /// Size of the weights' files.
    pub bytes: u64,
    /// Questions answered per second of wall time; loading and the loss do not count.
    pub questions_per_second: f64,
    /// Mean cross-entropy of a label's token, the tokens before it given.
    pub loss: f64,
    /// In percent.
    pub exact_match: f64,
    /// In percent.
    pub relaxed: f64,
}

/// The damage of quantizing one layer alone.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Damage {
    /// As [`chartbench_nn::layer_name`] names it.
    pub layer: String,
    /// Rise of the loss over full precision.
    pub loss_rise: f64,
}

/// Everything quantized but some layers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Choice {
    /// Layers left in full precision.
    pub kept: Vec<String>,
    /// Matrices by how they are stored.
    pub matrices: BTreeMap<String, usize>,
    /// Its measurement; in JSON the fields stand beside `kept`.
    #[serde(flatten)]
    pub measured: Measurement,
}

/// The study of one precision.
#[derive(Clone, Debug, PartialEq)]
pub struct Study {
    /// The format that layers are quantized to.
    pub to: WeightFormat,
    /// The most damaging layer first.
    pub damages: Vec<Damage>,
    /// The first choice keeps no layer in full precision.
    pub choices: Vec<Choice>,
    /// The smallest choice whose exact match holds, if one does.
    pub chosen: Option<usize>,
}

/// The events of a study.
pub enum QuantizeEvent<'a> {
    /// One layer was quantized alone and its loss measured.
    Damage {
        /// Layers measured so far, this one included.
        done: usize,
        /// Layers that can be quantized, all of which are measured.
        of: usize,
        /// The layer and how much it raises the loss.
        damage: &'a Damage,
    },
    /// A choice of layers to keep in full precision was measured.
    Choice(&'a Choice),
}

impl Trial<'_> {
    /// Measures the unquantized weights; also returns the failed questions, which count as wrong.
    ///
    /// # Errors
    /// Returns an error if the adapter cannot go on, or no question can be read.
    pub fn baseline(&self) -> Result<(Measurement, Vec<SkippedQuestion>)> {
        let bytes = self
            .model
            .files()
            .weights_bytes()
            .context("the checkpoint has no weights")?;
        self.measure(&self.model.variables().frozen(), bytes)
    }

    /// Studies which layers of `quantized`, built on the model's weights, stay in full precision,
    /// and applies the choice.
    ///
    /// # Errors
    /// As [`Self::baseline`].
    pub fn study(
        &self,
        quantized: &mut LayerQuantizer<'_>,
        baseline: &Measurement,
        tolerance: f64,
        observe: &mut dyn FnMut(QuantizeEvent<'_>),
    ) -> Result<Study> {
        let damages = self.damages(quantized, baseline, observe)?;
        let mut choices = Vec::new();
        for count in counts(damages.len()) {
            quantized.keep(
                damages
                    .iter()
                    .take(count)
                    .map(|damage| damage.layer.clone()),
            );
            let choice = self.choice(quantized)?;
            observe(QuantizeEvent::Choice(&choice));
            choices.push(choice);
        }
        let chosen = choose(&choices, baseline, tolerance);
        if let Some(choice) = chosen.and_then(|chosen| choices.get(chosen)) {
            quantized.keep(choice.kept.iter().cloned());
        }
        Ok(Study {
            to: quantized.info().format,
            damages,
            choices,
            chosen,
        })
    }

    fn damages(
        &self,
        quantized: &mut LayerQuantizer<'_>,
        baseline: &Measurement,
        observe: &mut dyn FnMut(QuantizeEvent<'_>),
    ) -> Result<Vec<Damage>> {
        // Its layers are known once a model has asked for all its weights.
        self.model.adapter_over(quantized)?;
        let layers = quantized.layers();
        let mut damages = Vec::new();
        for layer in &layers {
            quantized.keep(layers.iter().filter(|other| *other != layer).cloned());
            let damage = Damage {
                layer: layer.clone(),
                loss_rise: self.loss(quantized)? - baseline.loss,
            };
            observe(QuantizeEvent::Damage {
                done: damages.len() + 1,
                of: layers.len(),
                damage: &damage,
            });
            damages.push(damage);
        }
        damages.sort_by(|a, b| b.loss_rise.total_cmp(&a.loss_rise));
        Ok(damages)
    }

    fn choice(&self, quantized: &LayerQuantizer<'_>) -> Result<Choice> {
        let (measured, _) = self.measure(quantized, self.model.quantized_bytes(quantized)?)?;
        Ok(Choice {
            kept: quantized.info().kept,
            matrices: quantized.count_by_format(),
            measured,
        })
    }

    fn measure(
        &self,
        weights: &dyn TensorSource,
        bytes: u64,
    ) -> Result<(Measurement, Vec<SkippedQuestion>)> {
        let mut adapter = self.model.adapter_over(weights)?;
        let begun = Instant::now();
        let answers = finetune::answer_questions(adapter.as_mut(), self.questions)?;
        let questions_per_second = answers.len() as f64 / begun.elapsed().as_secs_f64();
        let summary =
            finetune::summarize(Convention::by_name(CONVENTION)?, self.questions, &answers)?;
        let mean = |metric: Metric| {
            summary
                .mean(metric)
                .with_context(|| format!("no {}", metric.name()))
        };
        let (exact_match, relaxed) = (mean(Metric::ExactMatch)?, mean(Metric::RelaxedAccuracy)?);
        let measured = Measurement {
            bytes,
            questions_per_second,
            loss: self.loss(weights)?,
            exact_match,
            relaxed,
        };
        Ok((
            measured,
            finetune::failed_questions(self.questions, &answers),
        ))
    }

    fn loss(&self, weights: &dyn TensorSource) -> Result<f64> {
        let loss = finetune::mean_loss(
            self.model,
            weights,
            self.questions,
            self.rule,
            self.micro_batch,
        )?;
        loss.mean
            .context("no validation question can be learned from; try `chartbench data check`")
    }
}

/// Numbers of layers that the choices keep in full precision: 0, 1, 2, 4 and so on, never all.
fn counts(layers: usize) -> Vec<usize> {
    let doubling =
        std::iter::successors(Some(1), |count| Some(2 * count)).take_while(|&count| count < layers);
    std::iter::once(0).chain(doubling).collect()
}

/// The smallest choice with a finite loss and an exact match at most `tolerance` points below the
/// baseline's.
fn choose(choices: &[Choice], baseline: &Measurement, tolerance: f64) -> Option<usize> {
    // Means of percents are off by their last bits.
    let least = baseline.exact_match - tolerance - 1e-9;
    let holds = |measured: &Measurement| measured.exact_match >= least && measured.loss.is_finite();
    let good = choices
        .iter()
        .enumerate()
        .filter(|(_, choice)| holds(&choice.measured));
    good.min_by_key(|(_, choice)| choice.measured.bytes)
        .map(|(index, _)| index)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(bytes: u64, exact_match: f64) -> Measurement {
        Measurement {
            bytes,
            questions_per_second: 1.0,
            loss: 1.0,
            exact_match,
            relaxed: exact_match,
        }
    }

    fn choice(kept: usize, bytes: u64, exact_match: f64) -> Choice {
        let kept = (0..kept).map(|layer| layer.to_string()).collect();
        Choice {
            kept,
            matrices: BTreeMap::new(),
            measured: measured(bytes, exact_match),
        }
    }

    #[test]
    fn the_smallest_that_holds_is_chosen() {
        let baseline = measured(100, 50.0);
        let choices = [
            choice(0, 50, 49.4),
            choice(1, 55, 49.5),
            choice(2, 60, 50.0),
        ];
        assert_eq!(choose(&choices, &baseline, 0.5), Some(1));
        assert_eq!(choose(&choices, &baseline, 0.6), Some(0));
        assert_eq!(choose(&choices, &baseline, 0.0), Some(2));
        assert_eq!(choose(&choices[..2], &baseline, 0.0), None);
    }

    #[test]
    fn never_all_layers_are_kept() {
        assert_eq!(counts(0), [0]);
        assert_eq!(counts(1), [0]);
        assert_eq!(counts(9), [0, 1, 2, 4, 8]);
        assert_eq!(counts(8), [0, 1, 2, 4]);
    }
}
