//! Ctrl-C, and what asks a process to end, in `finetune`: the first in a training saves the step it
//! is at; the second, and the first outside a training, ends the program as usual.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::finetune::TrainEvent;
use crate::jobs::finetune::Event;

/// The flags that the signals' handlers read and set.
pub(super) struct Interrupt {
    /// Whether a signal ends the program at once.
    at_once: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
}

impl Interrupt {
    /// Registers the handlers.
    ///
    /// # Errors
    /// Returns an error if the system refuses them.
    pub(super) fn install() -> Result<Self> {
        let interrupt = Self {
            at_once: Arc::new(AtomicBool::new(true)),
            stop: Arc::default(),
        };
        for signal in [SIGINT, SIGTERM] {
            // In this order: the flag set by the first signal lets the second end the program.
            flag::register_conditional_default(signal, Arc::clone(&interrupt.at_once))
                .and_then(|_| {
                    flag::register_conditional_default(signal, Arc::clone(&interrupt.stop))
                })
                .and_then(|_| flag::register(signal, Arc::clone(&interrupt.stop)))
                .context("cannot handle Ctrl-C")?;
        }
        Ok(interrupt)
    }

    /// What the training asks after each step.
    pub(super) fn stop(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.stop)
    }

    /// Takes note of whether a training is running, which has a step to save.
    pub(super) fn observe(&self, event: &Event<'_>) {
        let at_once = match event {
            Event::Training {
                event: TrainEvent::Started { .. },
                ..
            } => false,
            Event::Training { .. } => return,
            _ => true,
        };
        self.at_once.store(at_once, Ordering::Relaxed);
    }
}
