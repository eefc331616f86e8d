//! Which layers of a checkpoint to quantize, decided by what it costs: each layer is quantized alone to see what it does to the
//! loss, then all are but the most damaging ones, and the smallest choice is taken whose exact match holds.

mod report;

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::adapter::training::{LabelRule, Trainable};
use crate::train::{self, Skipped};
use chartbench_core::question::QuestionSet;
use chartbench_nn::{Quantization, Quantized, Source};
use chartbench_score::metric::{Convention, Metric};

pub use report::{Decision, card, choices, damages};

/// The convention of the scores: the one of fine-tuning's validation.
pub const CONVENTION: &str = "pix2struct";

/// What every choice is measured with.
#[derive(Clone, Copy)]
pub struct Trial<'a> {
    pub model: &'a dyn Trainable,
    /// Questions about charts that are held out of the train split.
    pub questions: &'a QuestionSet,
    pub rule: LabelRule,
    /// Questions at a time in which the loss is computed.
    pub micro_batch: usize,
}

/// One set of weights, measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measured {
    /// Of the weights' files.
    pub bytes: u64,
    pub questions_per_second: f64,
    /// Mean cross-entropy of a label's token, the tokens before it given.
    pub loss: f64,
    /// In percent.
    pub exact_match: f64,
    /// In percent.
    pub relaxed: f64,
}

/// What quantizing one layer alone does.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Damage {
    /// As [`chartbench_nn::layer`] names it.
    pub layer: String,
    /// How much more the loss is than in full precision.
    pub loss_rise: f64,
}

/// Everything quantized but some layers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Choice {
    /// Layers left in full precision.
    pub kept: Vec<String>,
    /// Matrices by how they are stored.
    pub matrices: BTreeMap<String, usize>,
    #[serde(flatten)]
    pub measured: Measured,
}

/// What was found for one precision.
#[derive(Clone, Debug, PartialEq)]
pub struct Study {
    pub to: Quantization,
    /// The most damaging layer first.
    pub damages: Vec<Damage>,
    /// The first keeps nothing.
    pub choices: Vec<Choice>,
    /// The smallest choice whose exact match holds, if one does.
    pub chosen: Option<usize>,
}

/// What happens meanwhile.
pub enum Event<'a> {
    Damage { done: usize, of: usize, damage: &'a Damage },
    Choice(&'a Choice),
}

impl Trial<'_> {
    /// Measures the weights as they are; also the questions that fail with them, which count as wrong.
    ///
    /// # Errors
    /// An adapter that cannot go on; questions none of which can be read.
    pub fn baseline(&self) -> Result<(Measured, Vec<Skipped>)> {
        let bytes = self.model.files().weights_bytes().context("the checkpoint has no weights")?;
        self.measure(&self.model.variables().fixed(), bytes)
    }

    /// Studies what `quantized`, which is over the model's weights, can leave out; afterwards it is as chosen.
    ///
    /// # Errors
    /// As [`Self::baseline`].
    pub fn study(
        &self,
        quantized: &mut Quantized<'_>,
        baseline: &Measured,
        tolerance: f64,
        observe: &mut dyn FnMut(Event<'_>),
    ) -> Result<Study> {
        let damages = self.damages(quantized, baseline, observe)?;
        let mut choices = Vec::new();
        for count in counts(damages.len()) {
            quantized.keep(damages.iter().take(count).map(|damage| damage.layer.clone()));
            let choice = self.choice(quantized)?;
            observe(Event::Choice(&choice));
            choices.push(choice);
        }
        let chosen = choose(&choices, baseline, tolerance);
        if let Some(choice) = chosen.and_then(|chosen| choices.get(chosen)) {
            quantized.keep(choice.kept.iter().cloned());
        }
        Ok(Study { to: quantized.quantized_as().to, damages, choices, chosen })
    }

    fn damages(
        &self,
        quantized: &mut Quantized<'_>,
        baseline: &Measured,
        observe: &mut dyn FnMut(Event<'_>),
    ) -> Result<Vec<Damage>> {
        // Its layers are known once a model has asked for all its weights.
        self.model.adapter_over(quantized)?;
        let layers = quantized.layers();
        let mut damages = Vec::new();
        for layer in &layers {
            quantized.keep(layers.iter().filter(|other| *other != layer).cloned());
            let damage = Damage { layer: layer.clone(), loss_rise: self.loss(quantized)? - baseline.loss };
            observe(Event::Damage { done: damages.len() + 1, of: layers.len(), damage: &damage });
            damages.push(damage);
        }
        damages.sort_by(|a, b| b.loss_rise.total_cmp(&a.loss_rise));
        Ok(damages)
    }

    fn choice(&self, quantized: &Quantized<'_>) -> Result<Choice> {
        let (measured, _) = self.measure(quantized, self.model.quantized_bytes(quantized)?)?;
        Ok(Choice { kept: quantized.quantized_as().kept, matrices: quantized.kinds(), measured })
    }

    fn measure(&self, weights: &dyn Source, bytes: u64) -> Result<(Measured, Vec<Skipped>)> {
        let mut adapter = self.model.adapter_over(weights)?;
        let begun = Instant::now();
        let answers = train::answers(adapter.as_mut(), self.questions)?;
        let questions_per_second = answers.len() as f64 / begun.elapsed().as_secs_f64();
        let summary = train::summary(Convention::by_name(CONVENTION)?, self.questions, &answers)?;
        let mean = |metric: Metric| summary.mean(metric).with_context(|| format!("no {}", metric.name()));
        let (exact_match, relaxed) = (mean(Metric::ExactMatch)?, mean(Metric::RelaxedAccuracy)?);
        let measured = Measured { bytes, questions_per_second, loss: self.loss(weights)?, exact_match, relaxed };
        Ok((measured, train::failures(self.questions, &answers)))
    }

    fn loss(&self, weights: &dyn Source) -> Result<f64> {
        let loss = train::mean_loss((self.model, weights), self.questions, self.rule, self.micro_batch)?;
        loss.mean.context("no validation question can be learned from; try `chartbench data check`")
    }
}

/// How many layers the choices keep: none, one, two, four and so on, never all.
fn counts(layers: usize) -> Vec<usize> {
    let doubling = std::iter::successors(Some(1), |count| Some(2 * count)).take_while(|&count| count < layers);
    std::iter::once(0).chain(doubling).collect()
}

/// The smallest whose exact match lies at most `tolerance` points below the baseline's and whose loss is finite.
fn choose(choices: &[Choice], baseline: &Measured, tolerance: f64) -> Option<usize> {
    // Means of percents are off by their last bits.
    let least = baseline.exact_match - tolerance - 1e-9;
    let holds = |measured: &Measured| measured.exact_match >= least && measured.loss.is_finite();
    let good = choices.iter().enumerate().filter(|(_, choice)| holds(&choice.measured));
    good.min_by_key(|(_, choice)| choice.measured.bytes).map(|(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(bytes: u64, exact_match: f64) -> Measured {
        Measured { bytes, questions_per_second: 1.0, loss: 1.0, exact_match, relaxed: exact_match }
    }

    fn choice(kept: usize, bytes: u64, exact_match: f64) -> Choice {
        let kept = (0..kept).map(|layer| layer.to_string()).collect();
        Choice { kept, matrices: BTreeMap::new(), measured: measured(bytes, exact_match) }
    }

    #[test]
    fn the_smallest_that_holds_is_chosen() {
        let baseline = measured(100, 50.0);
        let choices = [choice(0, 50, 49.4), choice(1, 55, 49.5), choice(2, 60, 50.0)];
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
