//! The steps by which a convention comes to its scores.
//!
//! The same code scores and explains: a convention reports each step to a [`Trace`], and scoring
//! passes one that ignores them at no cost.

use super::Metric;

/// Receives a convention's steps.
pub trait Trace {
    /// Receives a step: `rule` is the applied rule (the last rule of a metric decides), `detail`
    /// its result here.
    fn step(&mut self, metric: Metric, rule: &'static str, detail: impl FnOnce() -> String);
}

/// Ignores every step.
pub struct SilentTrace;

impl Trace for SilentTrace {
    #[inline]
    fn step(&mut self, _: Metric, _: &'static str, _: impl FnOnce() -> String) {}
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The metric whose score the step is about.
    pub metric: Metric,
    /// The applied rule in words, e.g. `numerical: not two numbers`.
    pub rule: &'static str,
    /// The rule's result for this answer, e.g. the compared texts; empty if details are not
    /// recorded.
    pub detail: String,
}

/// Records every step.
#[derive(Debug)]
pub struct StepTrace {
    steps: Vec<Step>,
    details: bool,
}

impl Default for StepTrace {
    fn default() -> Self {
        Self {
            steps: Vec::new(),
            details: true,
        }
    }
}

impl StepTrace {
    /// Records the rules without details, for counting.
    pub fn rules_only() -> Self {
        Self {
            steps: Vec::new(),
            details: false,
        }
    }

    /// The steps of one metric, in order.
    pub fn for_metric(&self, metric: Metric) -> impl DoubleEndedIterator<Item = &Step> {
        self.steps.iter().filter(move |step| step.metric == metric)
    }

    /// The step that decided `metric`, its last.
    pub fn deciding(&self, metric: Metric) -> Option<&Step> {
        self.for_metric(metric).next_back()
    }
}

impl Trace for StepTrace {
    fn step(&mut self, metric: Metric, rule: &'static str, detail: impl FnOnce() -> String) {
        let detail = if self.details {
            detail()
        } else {
            String::new()
        };
        self.steps.push(Step {
            metric,
            rule,
            detail,
        });
    }
}
