//! The steps by which a convention comes to its scores, for those who ask why.
//!
//! The code that scores and the code that explains are one: a convention tells each step to a [`Trace`], and scoring
//! passes one that does not listen, which costs nothing.

use super::Metric;

/// Hears a convention's steps.
pub trait Trace {
    /// `rule` is what was applied (of a metric's steps, the last rule decided), `detail` what it came to here.
    fn step(&mut self, metric: Metric, rule: &'static str, detail: impl FnOnce() -> String);
}

/// Does not listen.
pub struct Silent;

impl Trace for Silent {
    #[inline]
    fn step(&mut self, _: Metric, _: &'static str, _: impl FnOnce() -> String) {}
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub metric: Metric,
    pub rule: &'static str,
    pub detail: String,
}

/// Keeps every step.
#[derive(Debug)]
pub struct Steps {
    steps: Vec<Step>,
    details: bool,
}

impl Default for Steps {
    fn default() -> Self {
        Self { steps: Vec::new(), details: true }
    }
}

impl Steps {
    /// Keeps the rules and leaves the details empty, for those who only count.
    pub fn rules_only() -> Self {
        Self { steps: Vec::new(), details: false }
    }

    /// The steps of one metric, in order.
    pub fn of(&self, metric: Metric) -> impl DoubleEndedIterator<Item = &Step> {
        self.steps.iter().filter(move |step| step.metric == metric)
    }

    /// The step that decided `metric`: its last one.
    pub fn deciding(&self, metric: Metric) -> Option<&Step> {
        self.of(metric).next_back()
    }
}

impl Trace for Steps {
    fn step(&mut self, metric: Metric, rule: &'static str, detail: impl FnOnce() -> String) {
        let detail = if self.details { detail() } else { String::new() };
        self.steps.push(Step { metric, rule, detail });
    }
}
