//! Signals in `run`, `finetune` and `judge`: Ctrl-C, SIGTERM and SIGUSR1, which batch systems send before
//! they end a job. The first asks the job to stop. A training saves the step it is at; a run
//! has a grace time for the calls in hand, after which a thread of this module stores what they have
//! reported and ends the process, whatever an adapter does. A second Ctrl-C ends it at once.

use std::ffi::{OsStr, c_int};
use std::io::{self, IsTerminal};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use anyhow::{Context, Result, bail};
#[cfg(unix)]
use signal_hook::consts::SIGUSR1;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::{flag, low_level};

use super::{Status, one_line};
use crate::finetune::Interrupted;
use crate::run::{Stop, Stopped};

/// How long calls in hand may still come to their end. Batch systems give 30 s.
const GRACE: Duration = Duration::from_secs(15);
/// Polling interval of the flags that the handlers set.
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// The signals, as messages name them.
const SIGNALS: &[(c_int, &str)] = &[
    (SIGINT, "Ctrl-C"),
    (SIGTERM, "SIGTERM"),
    #[cfg(unix)]
    (SIGUSR1, "SIGUSR1"),
];

/// The handlers of this process.
static HANDLERS: LazyLock<Result<Watch>> = LazyLock::new(Watch::register_all);

/// Registers the handlers where the first argument names a command with a job that may be stopped:
/// a signal may come before the other arguments are read. [`Signals::watch`] reports errors.
pub(super) fn register_for(command: Option<&OsStr>) {
    if command.is_some_and(|command| ["run", "finetune", "judge"].iter().any(|it| command == *it)) {
        LazyLock::force(&HANDLERS);
    }
}

/// The handlers of the signals, and the thread that acts on them. Once this is dropped, the job has
/// ended, and signals do what they usually do.
pub(super) struct Signals(Watch);

#[derive(Clone)]
struct Watch {
    stop: Stop,
    /// The last signal that came.
    received: Arc<AtomicUsize>,
    /// Whether the job has ended by itself, or the process is being ended.
    is_over: Arc<AtomicBool>,
}

impl Signals {
    /// Starts the thread that acts on the signals, also on one that came before.
    ///
    /// # Errors
    /// Returns an error if the system refuses.
    pub(super) fn watch() -> Result<Self> {
        let watch = match &*HANDLERS {
            Ok(watch) => watch.clone(),
            Err(error) => bail!("{error:#}"),
        };
        let signals = Self(watch.clone());
        std::thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || watch.wait())
            .context("cannot start a thread")?;
        Ok(signals)
    }

    /// What the job looks at.
    pub(super) fn stop(&self) -> Stop {
        self.0.stop.clone()
    }

    /// Prints how a job ended that a signal stopped.
    ///
    /// # Errors
    /// Returns the error if it is another one.
    pub(super) fn report_stop(self, error: anyhow::Error) -> Result<Status> {
        let line = match error.downcast_ref::<Stopped>() {
            Some(stopped) => stopped.by(self.0.signal().1),
            None if error.is::<Interrupted>() => one_line(&error),
            None => return Err(error),
        };
        let status = self.0.status();
        drop(self);
        chartbench_core::note!("{line}");
        Ok(status)
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        // Where the thread is ending the process, it says so first.
        while self.0.is_over.swap(true, Ordering::SeqCst) {
            std::thread::park();
        }
    }
}

impl Watch {
    fn register_all() -> Result<Self> {
        let watch = Self {
            stop: Stop::default(),
            received: Arc::default(),
            is_over: Arc::default(),
        };
        for &(signal, name) in SIGNALS {
            watch
                .register(signal)
                .with_context(|| format!("cannot handle {name}"))?;
        }
        Ok(watch)
    }

    fn register(&self, signal: c_int) -> io::Result<()> {
        flag::register_conditional_default(signal, Arc::clone(&self.is_over))?;
        if signal == SIGINT {
            // Before the flag is set: the first signal lets the second end the program.
            flag::register_conditional_default(signal, Arc::clone(self.stop.flag()))?;
        }
        let number = usize::try_from(signal).unwrap_or_default();
        flag::register_usize(signal, Arc::clone(&self.received), number)?;
        flag::register(signal, Arc::clone(self.stop.flag()))?;
        Ok(())
    }

    /// The signal that came; SIGTERM if none did.
    fn signal(&self) -> (c_int, &'static str) {
        let received = self.received.load(Ordering::SeqCst);
        let is_received = |&&(signal, _): &&(c_int, _)| usize::try_from(signal) == Ok(received);
        let signal = SIGNALS.iter().find(is_received);
        signal.copied().unwrap_or((SIGTERM, "SIGTERM"))
    }

    fn status(&self) -> Status {
        match self.signal() {
            (SIGINT, _) => Status::Interrupted,
            _ => Status::StartAgain,
        }
    }

    /// Acts on the signals until the job is over.
    fn wait(&self) {
        while !self.is_over.load(Ordering::SeqCst) {
            if self.stop.is_requested() {
                self.stop.request();
                if let Some(ended) = self.stop.end_after(GRACE) {
                    return self.end_process(ended);
                }
            }
            std::thread::sleep(POLL_INTERVAL);
        }
    }

    /// Ends the process, unless the job has just ended by itself.
    fn end_process(&self, ended: Result<Stopped>) {
        if self.is_over.swap(true, Ordering::SeqCst) {
            return;
        }
        if io::stderr().is_terminal() {
            // A bar may be drawn on the line.
            chartbench_core::terminal::write_note_block("\n");
        }
        let code = match ended {
            Ok(stopped) => {
                chartbench_core::note!("{}", stopped.by(self.signal().1));
                self.status().code()
            }
            Err(error) => {
                chartbench_core::note!("error: {}", one_line(&error));
                2
            }
        };
        // Without what a library has registered for the end of a process: it may wait for a call
        // that hangs.
        low_level::exit(code.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch() -> Watch {
        Watch {
            stop: Stop::default(),
            received: Arc::default(),
            is_over: Arc::default(),
        }
    }

    #[test]
    fn a_job_that_ends_while_the_process_is_ended_waits_for_that() {
        for is_ending in [false, true] {
            let watch = watch();
            watch.is_over.store(is_ending, Ordering::SeqCst);
            let (sender, is_dropped) = std::sync::mpsc::channel();
            std::thread::spawn(move || {
                drop(Signals(watch));
                sender.send(()).unwrap();
            });
            let timeout = Duration::from_millis(if is_ending { 200 } else { 60_000 });
            assert_eq!(is_dropped.recv_timeout(timeout).is_err(), is_ending);
        }
    }

    #[test]
    fn each_signal_has_its_name_and_its_exit_code() {
        let watch = watch();
        let ended = |signal: c_int| {
            watch.received.store(signal as usize, Ordering::SeqCst);
            (watch.signal().1, watch.status().code())
        };
        assert_eq!(ended(SIGINT), ("Ctrl-C", 130));
        assert_eq!(ended(SIGTERM), ("SIGTERM", 75));
        #[cfg(unix)]
        assert_eq!(ended(SIGUSR1), ("SIGUSR1", 75));
    }
}
