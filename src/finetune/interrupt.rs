//! Stopping a training between two steps, or between two calls of a validation.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Result, bail};

use crate::adapter::{Adapter, Identity, ReportAnswer};
use chartbench_core::question::ChartQuestions;

/// The error of a training that was told to stop; its state is saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interrupted {
    /// Finished steps.
    pub step: u64,
}

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "stopped, and step {} is saved: the same command goes on from there",
            self.step
        )
    }
}

impl std::error::Error for Interrupted {}

/// An adapter that refuses the next call once `stop` is set.
pub(super) struct InterruptibleAdapter<'a> {
    pub(super) inner: &'a mut dyn Adapter,
    pub(super) stop: &'a AtomicBool,
    /// Finished steps of the training.
    pub(super) step: u64,
}

impl Adapter for InterruptibleAdapter<'_> {
    fn identity(&self) -> &Identity {
        self.inner.identity()
    }

    fn batch(&self) -> usize {
        self.inner.batch()
    }

    fn answer(&mut self, charts: &[ChartQuestions], report: &mut ReportAnswer<'_>) -> Result<()> {
        if self.stop.load(Ordering::Relaxed) {
            bail!(Interrupted { step: self.step });
        }
        self.inner.answer(charts, report)
    }
}
