//! The training loop: steps, validations and saved states.

use std::collections::{HashMap, HashSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use candle_core::{Tensor, Var};
use rayon::{ThreadPool, ThreadPoolBuilder};

use super::best_checkpoint::BestCheckpoint;
use super::curves::Curves;
use super::events::TrainEvent;
use super::gradients::Gradients;
use super::interrupt::Interrupted;
use super::log::{LogEntry, StepEntry, TRAINING_LOG, TrainingLog, read_log};
use super::optimizer::{self, Optimizer, clip_scale, global_norm};
use super::prefetch::{Prefetcher, PreparedBatch};
use super::state::{History, StateDir, TrainingState, ValidationPoint};
use super::tensorboard::EventFile;
use super::validation::{ValidationOutcome, validate};
use super::{Order, Schedule, Variables};
use crate::adapter::training::{LabelRule, Precision, Provenance, Trainable};
use crate::config::{Dropout, Protocol};
use chartbench_core::question::QuestionSet;
use chartbench_nn::TensorSource;
use chartbench_nn::training::{DropoutRng, DropoutRngState};

/// Number of prefetched batches.
const AHEAD: usize = 2;
/// Prefix of the trained weights' names in a saved state.
const WEIGHT: &str = "weight.";

/// A training to start or to resume.
pub struct Trainer<'a> {
    /// The model to train; its variables change in place.
    pub model: &'a dyn Trainable,
    /// Hyperparameters: batches, schedule, optimiser, validation.
    pub protocol: &'a Protocol,
    /// Questions that batches are drawn from.
    pub train: &'a QuestionSet,
    /// Questions that every validation asks, in order.
    pub validation: &'a QuestionSet,
    /// Title of the curves: the row's name.
    pub title: &'a str,
    /// Folder of the log, its curves, the states and the checkpoint.
    pub folder: &'a Path,
    /// How the checkpoint stores its weights.
    pub precision: Precision,
    /// Steps between saved states, besides those of the validations.
    pub save_every: Option<usize>,
    /// Once set, the training saves its state after the step it is at and ends.
    pub stop: &'a AtomicBool,
    /// Model, data and protocol; a training only resumes with the same settings.
    pub settings: Vec<(String, String)>,
}

/// How a training ended.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainOutcome {
    /// The checkpoint's folder.
    pub checkpoint: PathBuf,
    /// The step whose weights it holds.
    pub step: u64,
    /// Metrics of the validation after that step; empty if the training had ended before.
    pub metrics: Vec<(String, f64)>,
}

impl Trainer<'_> {
    /// Trains to the end. After a kill it resumes from the last saved state and reaches the same
    /// weights bit for bit.
    ///
    /// # Errors
    /// Returns an error if the settings differ from the saved ones, if a loss or gradient is not
    /// finite (the best checkpoint so far stays), or if a file cannot be written; [`Interrupted`] if
    /// [`Self::stop`] was set.
    pub fn run(&self, observe: &mut dyn FnMut(TrainEvent<'_>)) -> Result<TrainOutcome> {
        let best_checkpoint = BestCheckpoint::new(self.folder);
        if let Some(checkpoint) = best_checkpoint.finished() {
            return self.finished_before(checkpoint);
        }
        std::fs::create_dir_all(self.folder)
            .with_context(|| format!("cannot create {}", self.folder.display()))?;
        let mut train_loop = TrainLoop::new(self, best_checkpoint)?;
        let (done, steps) = (train_loop.state.step, self.protocol.steps as u64);
        observe(TrainEvent::Started { done, steps });
        let order = Order::new(self.train, self.protocol)?;
        let prefetcher = Prefetcher {
            model: self.model,
            set: self.train,
            rule: self.rule(),
        };
        prefetch_pool()?.in_place_scope(|scope| {
            let (send, receive) = sync_channel(AHEAD);
            scope.spawn(move |_| prefetcher.send(&order, done, steps, &send));
            train_loop.run(&receive, observe)
        })?;
        train_loop.finish()
    }

    /// Whether the training has ended, so that [`Self::run`] only reads its outcome.
    pub fn is_finished(&self) -> bool {
        BestCheckpoint::new(self.folder).finished().is_some()
    }

    /// The rule for labels.
    pub fn rule(&self) -> LabelRule {
        LabelRule {
            max_tokens: self.protocol.max_label_tokens,
            mask_padding: self.protocol.mask_padding,
        }
    }

    fn finished_before(&self, checkpoint: PathBuf) -> Result<TrainOutcome> {
        let provenance = Provenance::read(&checkpoint)?;
        let provenance =
            provenance.with_context(|| format!("{}: not of a training", checkpoint.display()))?;
        let state = TrainingState {
            settings: provenance.settings,
            ..TrainingState::default()
        };
        state.check_settings(&self.settings)?;
        self.remove_states()?;
        Ok(TrainOutcome {
            checkpoint,
            step: provenance.step,
            metrics: Vec::new(),
        })
    }

    /// The folder of the states of a training that has not ended.
    fn states(&self) -> PathBuf {
        self.folder.join("state")
    }

    /// Removes the states of a training that has ended; a kill at that moment leaves some.
    fn remove_states(&self) -> Result<()> {
        let states = self.states();
        match std::fs::remove_dir_all(&states) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            removed => removed.with_context(|| format!("cannot remove {}", states.display())),
        }
    }
}

/// The threads that prepare examples. The loop runs on a thread of the global pool and waits for
/// examples, so preparing them in that pool would deadlock where it has one thread. This pool has
/// as many threads, which sleep while enough batches are ready.
fn prefetch_pool() -> Result<ThreadPool> {
    let pool = ThreadPoolBuilder::new().num_threads(rayon::current_num_threads());
    pool.build()
        .context("cannot start the threads that read examples")
}

/// A running training.
struct TrainLoop<'a> {
    training: &'a Trainer<'a>,
    variables: Variables,
    optimizer: Box<dyn Optimizer>,
    schedule: Schedule,
    noise: Option<DropoutRng>,
    state: TrainingState,
    states: StateDir,
    best_checkpoint: BestCheckpoint,
    log: TrainingLog,
    board: EventFile,
    /// Validation questions that have been reported as failed.
    reported: HashSet<String>,
}

impl<'a> TrainLoop<'a> {
    fn new(training: &'a Trainer<'a>, best_checkpoint: BestCheckpoint) -> Result<Self> {
        let protocol = training.protocol;
        let trained = training.model.variables().trained();
        let variables: Variables = trained
            .map(|(name, variable)| (name.to_owned(), variable.clone()))
            .collect();
        ensure!(
            !variables.is_empty(),
            "everything is frozen: there is nothing to train"
        );
        let states = StateDir::new(&training.states(), 1);
        let mut optimizer = optimizer::build(&protocol.optimizer);
        let mut noise =
            (protocol.dropout == Dropout::Config).then(|| DropoutRng::new(protocol.seed));
        let mut state = TrainingState {
            settings: training.settings.clone(),
            ..TrainingState::default()
        };
        let saved = states.latest()?;
        let done = saved.as_ref().map(|saved| saved.state.step);
        if let Some(saved) = saved {
            saved.state.check_settings(&training.settings)?;
            let mut tensors = saved.tensors(training.model.variables().device())?;
            restore(&variables, &mut tensors)?;
            optimizer.restore(tensors, &variables)?;
            noise = noise.map(|noise| {
                DropoutRng::from_state(&DropoutRngState {
                    word: saved.state.generator,
                    ..noise.state()
                })
            });
            state = saved.state;
        }
        let path = training.folder.join(TRAINING_LOG);
        let validated = state.history.0.last().map(|point| point.step);
        let log = TrainingLog::open(&path, done, validated)?;
        let board = EventFile::open(training.folder, &read_log(&path)?)?;
        let schedule = Schedule::new(protocol);
        let reported = HashSet::new();
        let train_loop = Self {
            training,
            variables,
            optimizer,
            schedule,
            noise,
            state,
            states,
            best_checkpoint,
            log,
            board,
            reported,
        };
        if let Ok(best) = train_loop.best() {
            train_loop
                .best_checkpoint
                .check(best.step, &train_loop.state.kept)?;
        }
        Ok(train_loop)
    }

    /// Runs the remaining steps.
    fn run(
        &mut self,
        batches: &Receiver<PreparedBatch>,
        observe: &mut dyn FnMut(TrainEvent<'_>),
    ) -> Result<()> {
        let Trainer {
            protocol,
            save_every,
            stop,
            ..
        } = *self.training;
        loop {
            if self.validation_is_due() {
                self.validate(observe)?;
            }
            let step = self.state.step;
            if step >= protocol.steps as u64 {
                return Ok(());
            }
            if self.is_out_of_patience() {
                observe(TrainEvent::EndedEarly { step });
                return Ok(());
            }
            if stop.load(Ordering::Relaxed) {
                self.save()?;
                return Err(Interrupted { step }.into());
            }
            let batch = batches
                .recv()
                .context("the thread that reads examples has ended: a bug in it")?;
            self.step(&batch, observe)?;
            // A validation saves the state, too.
            if save_every.is_some_and(|every| self.state.step.is_multiple_of(every as u64))
                && !self.validation_is_due()
            {
                self.save()?;
            }
        }
    }

    /// Whether the current step is to be validated and was not yet.
    fn validation_is_due(&self) -> bool {
        let protocol = self.training.protocol;
        let step = self.state.step;
        match self.state.history.0.last() {
            None => true,
            Some(last) => {
                last.step < step
                    && (step == protocol.steps as u64
                        || step.is_multiple_of(protocol.validation.every as u64))
            }
        }
    }

    /// Whether so many validations were no better that the training ends early.
    fn is_out_of_patience(&self) -> bool {
        let protocol = self.training.protocol;
        let validation = &protocol.validation;
        let history = &self.state.history;
        validation.patience.is_some_and(|patience| {
            history.since_best(validation.keep, protocol.preset.ties()) >= patience
        })
    }

    fn step(
        &mut self,
        batch: &PreparedBatch,
        observe: &mut dyn FnMut(TrainEvent<'_>),
    ) -> Result<()> {
        let (started, protocol) = (Instant::now(), self.training.protocol);
        for skipped in &batch.skipped {
            observe(TrainEvent::Skipped(skipped));
        }
        if batch.cut > 0 {
            observe(TrainEvent::Cut(batch.cut));
        }
        let size = protocol.micro_batch();
        let model = self.training.model;
        let gradients = Gradients::compute(
            model,
            &self.variables,
            &batch.examples,
            size,
            &mut self.noise,
            protocol,
        )?;
        let step = self.state.step + 1;
        let gradients = gradients.with_context(|| {
            format!("step {step}: none of its questions can be trained on; `chartbench data check` tells what is wrong")
        })?;
        let tokens = gradients.labels as f64;
        let (loss, lr) = (
            gradients.loss / tokens,
            self.schedule.lr(self.state.step as usize),
        );
        let gradient_norm = global_norm(&self.variables, &gradients.store)? / tokens;
        self.check(step, loss, gradient_norm, lr)?;
        let scale = protocol
            .clip_norm
            .map_or(1.0, |max| clip_scale(gradient_norm, max))
            / gradients.labels as f32;
        self.optimizer
            .step(&self.variables, &gradients.store, lr, scale)?;
        self.state.step = step;
        let seconds = started.elapsed().as_secs_f64();
        let entry = StepEntry {
            step,
            loss,
            lr,
            gradient_norm,
            tokens: gradients.labels as u64,
            seconds,
        };
        observe(TrainEvent::Step(&entry));
        self.write(LogEntry::Step(entry))
    }

    /// Returns an error if the loss or the gradient is not finite.
    fn check(&self, step: u64, loss: f64, gradient_norm: f64, lr: f64) -> Result<()> {
        if loss.is_finite() && gradient_norm.is_finite() {
            return Ok(());
        }
        let what = if loss.is_finite() {
            "the gradient"
        } else {
            "the loss"
        };
        let kept = self
            .chosen()
            .map(|point| self.best_checkpoint.step_path(point.step));
        let kept = kept.map_or_else(String::new, |path| {
            format!("; the best weights so far are in {}", path.display())
        });
        bail!(
            "{what} is no number at step {step} (learning rate {lr:.3e}): try a lower --learning-rate, or --max-grad-norm 1{kept}"
        )
    }

    fn validate(&mut self, observe: &mut dyn FnMut(TrainEvent<'_>)) -> Result<()> {
        let training = self.training;
        let step = self.state.step;
        let outcome = validate(
            training.model,
            training.validation,
            training.protocol,
            training.rule(),
            step,
            training.stop,
        );
        if outcome
            .as_ref()
            .is_err_and(|error| error.is::<Interrupted>())
        {
            self.save()?;
            bail!(Interrupted { step });
        }
        let ValidationOutcome {
            entry,
            collapsed,
            failed,
        } = outcome?;
        for failure in &failed {
            if self.reported.insert(failure.question.clone()) {
                observe(TrainEvent::ValidationFailed(failure));
            }
        }
        self.state.history.0.push(ValidationPoint {
            step,
            metrics: entry.metrics.clone(),
        });
        observe(TrainEvent::Validated(&entry));
        if collapsed && step > 0 {
            observe(TrainEvent::Collapsed { step });
        }
        self.write(LogEntry::Validation(entry))?;
        if self.best()?.step == step {
            let provenance = Provenance::new(step, training.settings.clone());
            self.state.kept =
                self.best_checkpoint
                    .keep(step, training.model, training.precision, &provenance)?;
        }
        self.save()?;
        self.best_checkpoint.remove_others(self.best()?.step)?;
        Curves::draw_log(training.folder, training.title)?;
        Ok(())
    }

    /// Saves the state: a killed training resumes from it.
    fn save(&mut self) -> Result<()> {
        self.state.generator = self.noise.as_ref().map_or(0, |noise| noise.state().word);
        let mut tensors = self.optimizer.state()?;
        let weight = |(name, variable): (&String, &Var)| {
            (format!("{WEIGHT}{name}"), variable.as_tensor().clone())
        };
        tensors.extend(self.variables.iter().map(weight));
        self.states.save(&self.state, &tensors, |_| Ok(()))?;
        Ok(())
    }

    /// The validation that the protocol selects; `None` until one has a finite metric.
    fn chosen(&self) -> Option<&ValidationPoint> {
        let protocol = self.training.protocol;
        self.state
            .history
            .best(protocol.validation.keep, protocol.preset.ties())
    }

    /// The validation whose weights are kept: the selected one, else the first.
    fn best(&self) -> Result<&ValidationPoint> {
        let History(points) = &self.state.history;
        self.chosen()
            .or(points.first())
            .context("no validation was made")
    }

    fn write(&mut self, entry: LogEntry) -> Result<()> {
        self.log.append(&entry)?;
        self.board.append(&entry)
    }

    fn finish(self) -> Result<TrainOutcome> {
        let keep = self.training.protocol.validation.keep;
        let best = self.chosen().with_context(|| {
            format!("no validation has a finite number to choose the step by (--select-by {keep}): try a lower --learning-rate")
        })?;
        let (step, metrics) = (best.step, best.metrics.clone().into_iter().collect());
        self.best_checkpoint.check(step, &self.state.kept)?;
        let checkpoint = self.best_checkpoint.finish(step)?;
        self.training.remove_states()?;
        Ok(TrainOutcome {
            checkpoint,
            step,
            metrics,
        })
    }
}

/// Takes the trained weights out of a saved state's tensors and gives them to the variables.
fn restore(variables: &Variables, tensors: &mut HashMap<String, Tensor>) -> Result<()> {
    for (name, variable) in variables {
        let saved = tensors.remove(&format!("{WEIGHT}{name}"));
        variable.set(&saved.with_context(|| format!("the saved state has no weight {name}"))?)?;
    }
    Ok(())
}
