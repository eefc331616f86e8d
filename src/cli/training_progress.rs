//! A training's events on stderr: a bar with loss, learning rate, rate, time left and memory on a
//! terminal, a line now and then elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar, ProgressStyle};
use sysinfo::{ProcessRefreshKind, ProcessesToUpdate};

use super::progress::Progress;
use super::run_report::OutputArgs;
use crate::finetune::log::{StepEntry, ValidationEntry};
use crate::finetune::{TrainEvent, format_bytes};
use crate::jobs::finetune::{Estimate, Event as FinetuneEvent};
use chartbench_core::terminal::visible;

/// How often a line is written when stderr is not a terminal.
const LINE_EVERY: Duration = Duration::from_secs(30);
/// Most questions that are named among those left out.
const NAMED: usize = 5;

/// Draws the events of a fine-tuning: each adapter's training, then the run.
pub(super) struct FinetuneProgress {
    /// Whether only warnings and errors are written.
    quiet: bool,
    training: Option<TrainingProgress>,
    run: Progress,
}

impl FinetuneProgress {
    /// Draws as the command's output asks.
    pub(super) fn new(output: &OutputArgs) -> Self {
        Self {
            quiet: output.is_quiet(),
            training: None,
            run: output.progress(),
        }
    }

    /// Takes in one event.
    pub(super) fn observe(&mut self, event: FinetuneEvent<'_>) {
        match event {
            FinetuneEvent::QuestionsChosen { .. }
            | FinetuneEvent::Estimated { .. }
            | FinetuneEvent::Overfitted { .. }
            | FinetuneEvent::AsksUntrained { .. }
            | FinetuneEvent::UntrainedStored { .. }
                if self.quiet => {}
            FinetuneEvent::SelectsOnTest => chartbench_core::note!(
                "note: this protocol chooses the step to keep on test questions, so that its test score is too good; \
                 --protocol chartbench chooses on train charts held out"
            ),
            FinetuneEvent::WarmupShortened { from, to } => chartbench_core::note!(
                "note: --max-steps is too few for the protocol's warm-up of {from} steps: it is shortened to {to}; \
                 --warmup-steps sets it"
            ),
            FinetuneEvent::DataNote { line } => chartbench_core::note!("note: {line}"),
            FinetuneEvent::QuestionsChosen { description } => {
                chartbench_core::note!("{description}")
            }
            FinetuneEvent::Estimated { adapter, estimate } => print_estimate(adapter, estimate),
            FinetuneEvent::Training { adapter, event } => {
                // The training before may have failed.
                let mut training = self
                    .training
                    .take()
                    .filter(|training| training.id == adapter)
                    .unwrap_or_else(|| TrainingProgress::new(adapter, self.quiet));
                training.observe(event);
                self.training = Some(training);
            }
            FinetuneEvent::Trained {
                adapter,
                finished,
                curves,
            } => {
                self.finish_training();
                if !self.quiet {
                    chartbench_core::terminal::write_note_block(curves);
                }
                if finished.step == 0 {
                    chartbench_core::note!(
                        "warning: {adapter}: no validation was better than the one before training: the weights kept are the \
                         untrained ones (try another --learning-rate, a higher --max-steps, or --select-by loss)"
                    );
                }
                if !self.quiet {
                    chartbench_core::note!(
                        "{adapter}: the weights of step {} are in {}, every curve is in training.svg beside it",
                        finished.step,
                        finished.checkpoint.display()
                    );
                }
            }
            FinetuneEvent::Overfitted { adapter, loss } => {
                self.finish_training();
                chartbench_core::note!(
                    "{adapter}: one question was overfitted (loss {loss:.4}) and is answered right"
                );
            }
            FinetuneEvent::AsksUntrained { adapter } => chartbench_core::note!(
                "asking {adapter} as it was before training, for comparison (--no-before leaves this out)"
            ),
            FinetuneEvent::UntrainedStored { adapter, run } => chartbench_core::note!(
                "{adapter} as it was before training answered these questions in {}",
                run.display()
            ),
            FinetuneEvent::Failed(failure) => super::print_failures(std::slice::from_ref(failure)),
            FinetuneEvent::Run(event) => self.run.observe(event),
        }
    }

    /// Ends the drawing of a training, however it ended.
    pub(super) fn finish_training(&mut self) {
        if let Some(mut training) = self.training.take() {
            training.finish();
        }
    }
}

fn print_estimate(adapter: &str, estimate: &Estimate) {
    let seconds = estimate.step.as_secs_f64();
    chartbench_core::note!(
        "{adapter}: about {} of memory ({} free), {seconds:.2} s a step, {:.2} h for {} steps without validation",
        format_bytes(estimate.memory),
        format_bytes(estimate.available),
        seconds * estimate.steps as f64 / 3600.0,
        estimate.steps
    );
}

/// Draws one adapter's training.
struct TrainingProgress {
    id: String,
    quiet: bool,
    bar: Option<ProgressBar>,
    steps: u64,
    began: (u64, Instant),
    last_line: Instant,
    skipped: usize,
    failed: usize,
    cut: usize,
}

impl TrainingProgress {
    fn new(id: &str, quiet: bool) -> Self {
        let now = Instant::now();
        Self {
            id: id.to_owned(),
            quiet,
            bar: None,
            steps: 0,
            began: (0, now),
            last_line: now,
            skipped: 0,
            failed: 0,
            cut: 0,
        }
    }

    /// Takes in one event.
    fn observe(&mut self, event: &TrainEvent<'_>) {
        match event {
            TrainEvent::Started { .. }
            | TrainEvent::Step(_)
            | TrainEvent::Validated(_)
            | TrainEvent::EndedEarly { .. }
                if self.quiet => {}
            TrainEvent::Started { done, steps } => self.start(*done, *steps),
            TrainEvent::Step(entry) => self.step(entry),
            TrainEvent::Skipped(skipped) => {
                self.skipped += 1;
                if self.skipped <= NAMED {
                    self.report(&format!("left out {}: {}", skipped.question, skipped.error));
                }
            }
            TrainEvent::ValidationFailed(failed) => {
                self.failed += 1;
                if self.failed <= NAMED {
                    self.report(&format!("validation question {}: {}", failed.question, failed.error));
                }
            }
            TrainEvent::Cut(labels) => self.cut += labels,
            TrainEvent::Validated(entry) => self.validated(entry),
            TrainEvent::Collapsed { step } => self.report(&format!(
                "warning: at step {step} every validation question gets the same answer: the model does not look at the \
                 charts (try a lower --learning-rate, or a higher --max-steps)"
            )),
            TrainEvent::EndedEarly { step } => self.report(&format!("ended at step {step}: no better validation any more")),
        }
    }

    /// Reports the counts of the whole training.
    fn finish(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        if self.skipped > NAMED {
            chartbench_core::note!(
                "{}: {} questions were left out of training",
                self.id,
                self.skipped
            );
        }
        if self.failed > NAMED {
            chartbench_core::note!(
                "{}: {} validation questions failed, which counts as wrong",
                self.id,
                self.failed
            );
        }
        if self.cut > 0 {
            chartbench_core::note!(
                "{}: {} labels were cut to the longest allowed (--max-label-tokens)",
                self.id,
                self.cut
            );
        }
    }

    fn start(&mut self, done: u64, steps: u64) {
        if done > 0 {
            chartbench_core::note!("{}: going on after step {done} of {steps}", self.id);
        }
        (self.steps, self.began) = (steps, (done, Instant::now()));
        if std::io::stderr().is_terminal() {
            chartbench_core::note!("Ctrl-C saves the step it is at; a second one ends at once");
            let style = ProgressStyle::with_template(
                "{prefix} {wide_bar} {pos}/{len} {msg} {per_sec} ETA {eta}",
            );
            let bar = ProgressBar::new(steps)
                .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
            let bar = bar.with_prefix(visible(&self.id));
            bar.set_position(done);
            bar.reset_eta();
            bar.enable_steady_tick(Duration::from_millis(500));
            self.bar = Some(bar);
        }
    }

    fn step(&mut self, entry: &StepEntry) {
        let now = || {
            let memory = resident_memory().map_or(String::new(), format_bytes);
            format!("loss {:.4} lr {:.2e} {memory}", entry.loss, entry.lr)
        };
        if let Some(bar) = &self.bar {
            bar.set_position(entry.step);
            bar.set_message(now());
        } else if self.last_line.elapsed() >= LINE_EVERY {
            self.last_line = Instant::now();
            let (before, started) = self.began;
            let rate = (entry.step - before) as f64 / started.elapsed().as_secs_f64();
            let left = Duration::from_secs_f64((self.steps - entry.step) as f64 / rate.max(1e-9));
            chartbench_core::note!(
                "{}: step {}/{}, {}, {rate:.2}/s, ETA {}",
                self.id,
                entry.step,
                self.steps,
                now(),
                HumanDuration(left)
            );
        }
    }

    fn validated(&self, entry: &ValidationEntry) {
        const SCORES: [(&str, &str); 4] = [
            ("strict", "strict accuracy"),
            ("exact_match", "exact match"),
            ("relaxed", "relaxed accuracy"),
            ("anls", "ANLS"),
        ];
        let score = |(key, name): (&str, &str)| {
            Some(format!("{name} {:.2}", 100.0 * entry.metrics.get(key)?))
        };
        let loss = entry
            .metrics
            .get("loss")
            .map(|loss| format!("loss {loss:.4}"));
        let numbers: Vec<String> = SCORES.into_iter().filter_map(score).chain(loss).collect();
        self.report(&format!(
            "step {}: validation {} ({} questions)",
            entry.step,
            numbers.join(", "),
            entry.questions
        ));
    }

    fn report(&self, line: &str) {
        let line = format!("{}: {line}", self.id);
        match &self.bar {
            Some(bar) => bar.println(visible(&line)),
            None => chartbench_core::note!("{line}"),
        }
    }
}

/// The memory of this process that is in use, in bytes; none where the system does not say.
fn resident_memory() -> Option<u64> {
    let process = sysinfo::get_current_pid().ok()?;
    let mut system = sysinfo::System::new();
    system.refresh_processes_specifics(
        ProcessesToUpdate::Some(&[process]),
        false,
        ProcessRefreshKind::nothing().with_memory().without_tasks(),
    );
    Some(system.process(process)?.memory())
}
