//! The loop: step after step until the protocol's last, validated and saved on the way.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use candle_core::{Tensor, Var};
use rayon::{ThreadPool, ThreadPoolBuilder};

use super::feed::{Fed, Feeder, Skipped};
use super::gradients::Gradients;
use super::kept::Kept;
use super::log::{Entry, StepEntry, TrainingLog, ValidationEntry, read_log};
use super::optimizer::{self, Optimizer, clip_scale, global_norm};
use super::state::{History, StateFolder, TrainingState, ValidationPoint};
use super::tensorboard::EventFile;
use super::validation::{Validated, validate};
use super::{Order, Schedule, Variables};
use crate::adapter::training::{LabelRule, Precision, Provenance, Trainable};
use crate::config::{Dropout, Protocol};
use chartbench_core::question::QuestionSet;
use chartbench_nn::TensorSource;
use chartbench_nn::training::{DropoutRng, DropoutRngState};

/// Batches made ahead.
const AHEAD: usize = 2;
/// How the names of trained weights begin in a saved state.
const WEIGHT: &str = "weight.";
/// The log's name in a training's folder.
pub const LOG: &str = "training.jsonl";

/// A training to be done, or to go on with.
pub struct Training<'a> {
    pub model: &'a dyn Trainable,
    pub protocol: &'a Protocol,
    pub train: &'a QuestionSet,
    pub validation: &'a QuestionSet,
    /// Where its log, states and checkpoint are.
    pub folder: &'a Path,
    /// How the kept checkpoint stores its weights.
    pub precision: Precision,
    /// Model, data and protocol: a training only goes on under the same.
    pub settings: Vec<(String, String)>,
}

/// What happens in a training.
#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// It begins, or goes on after so many steps.
    Started {
        done: u64,
        steps: u64,
    },
    Step(&'a StepEntry),
    /// A question is left out.
    Skipped(&'a Skipped),
    /// A validation question cannot be answered or learned from; each is reported once.
    ValidationFailed(&'a Skipped),
    /// So many labels of a step were cut.
    Cut(usize),
    Validated(&'a ValidationEntry),
    /// All questions got one answer.
    Collapsed {
        step: u64,
    },
    /// No better validation for as long as the protocol waits.
    EndedEarly {
        step: u64,
    },
}

/// How a training ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Finished {
    /// The checkpoint's folder.
    pub checkpoint: PathBuf,
    /// The step whose weights it holds.
    pub step: u64,
    /// What the validation after that step found; nothing where training had ended before.
    pub metrics: Vec<(String, f64)>,
}

impl Training<'_> {
    /// Trains to the end. Started again after a kill it goes on from the last saved state, to the same weights bit for bit.
    ///
    /// # Errors
    /// Other settings than the training was begun with; a loss or gradient that is no number (the weights kept so far
    /// stay); a file that cannot be written.
    pub fn run(&self, observe: &mut dyn FnMut(Event<'_>)) -> Result<Finished> {
        let kept = Kept::new(self.folder);
        if let Some(checkpoint) = kept.finished() {
            return self.finished_before(checkpoint);
        }
        std::fs::create_dir_all(self.folder).with_context(|| format!("cannot create {}", self.folder.display()))?;
        let mut course = Course::begin(self, kept)?;
        let (done, steps) = (course.state.step, self.protocol.steps as u64);
        observe(Event::Started { done, steps });
        let order = Order::new(self.train, self.protocol)?;
        let feeder = Feeder { model: self.model, set: self.train, rule: self.rule() };
        feeding_pool()?.in_place_scope(|scope| {
            let (send, receive) = sync_channel(AHEAD);
            scope.spawn(move |_| feeder.send(&order, done, steps, &send));
            course.go(&receive, observe)
        })?;
        course.finish()
    }

    /// Whether it has ended before, so that [`Self::run`] only looks up how.
    pub fn is_finished(&self) -> bool {
        Kept::new(self.folder).finished().is_some()
    }

    /// How it makes labels.
    pub fn rule(&self) -> LabelRule {
        LabelRule { max_tokens: self.protocol.max_label_tokens, mask_padding: self.protocol.mask_padding }
    }

    fn finished_before(&self, checkpoint: PathBuf) -> Result<Finished> {
        let provenance = Provenance::read(&checkpoint)?;
        let provenance = provenance.with_context(|| format!("{}: not of a training", checkpoint.display()))?;
        let state = TrainingState { settings: provenance.settings, ..TrainingState::default() };
        state.check_settings(&self.settings)?;
        Ok(Finished { checkpoint, step: provenance.step, metrics: Vec::new() })
    }
}

/// The threads that prepare examples. Images are prepared in parallel, and the loop, itself on a thread of the global pool,
/// waits for them: in that pool they would wait for the loop in turn, for ever where it has one thread. There are as many
/// here as there, so that preparing keeps its speed; they sleep while enough batches are ready.
fn feeding_pool() -> Result<ThreadPool> {
    let pool = ThreadPoolBuilder::new().num_threads(rayon::current_num_threads());
    pool.build().context("cannot start the threads that read examples")
}

/// A training under way.
struct Course<'a> {
    training: &'a Training<'a>,
    variables: Variables,
    optimizer: Box<dyn Optimizer>,
    schedule: Schedule,
    noise: Option<DropoutRng>,
    state: TrainingState,
    states: StateFolder,
    kept: Kept,
    log: TrainingLog,
    board: EventFile,
    /// Validation questions that have been reported as failed.
    reported: HashSet<String>,
}

impl<'a> Course<'a> {
    fn begin(training: &'a Training<'a>, kept: Kept) -> Result<Self> {
        let protocol = training.protocol;
        let trained = training.model.variables().trained();
        let variables: Variables = trained.map(|(name, variable)| (name.to_owned(), variable.clone())).collect();
        ensure!(!variables.is_empty(), "everything is frozen: there is nothing to train");
        let states = StateFolder::new(&training.folder.join("state"), 1);
        let mut optimizer = optimizer::build(&protocol.optimizer);
        let mut noise = (protocol.dropout == Dropout::Config).then(|| DropoutRng::new(protocol.seed));
        let mut state = TrainingState { settings: training.settings.clone(), ..TrainingState::default() };
        if let Some(saved) = states.latest()? {
            saved.state.check_settings(&training.settings)?;
            let mut tensors = saved.tensors(training.model.variables().device())?;
            restore(&variables, &mut tensors)?;
            optimizer.restore(tensors, &variables)?;
            noise = noise
                .map(|noise| DropoutRng::from_state(&DropoutRngState { word: saved.state.generator, ..noise.state() }));
            state = saved.state;
        }
        let path = training.folder.join(LOG);
        let log = TrainingLog::open(&path, state.step)?;
        let board = EventFile::open(training.folder, &read_log(&path)?)?;
        let schedule = Schedule::new(protocol);
        let reported = HashSet::new();
        let course =
            Self { training, variables, optimizer, schedule, noise, state, states, kept, log, board, reported };
        if let Ok(best) = course.best() {
            course.kept.check(best.step, &course.state.kept)?;
        }
        Ok(course)
    }

    /// All steps that are left.
    fn go(&mut self, fed: &Receiver<Fed>, observe: &mut dyn FnMut(Event<'_>)) -> Result<()> {
        let protocol = self.training.protocol;
        if self.state.history.0.is_empty() {
            self.validate(observe)?;
        }
        while self.state.step < protocol.steps as u64 {
            if let Some(patience) = protocol.validation.patience
                && self.state.history.since_best(protocol.validation.keep, protocol.preset.ties()) >= patience
            {
                observe(Event::EndedEarly { step: self.state.step });
                break;
            }
            let fed = fed.recv().context("the thread that reads examples has ended: a bug in it")?;
            self.step(&fed, observe)?;
            let last = self.state.step == protocol.steps as u64;
            if last || self.state.step.is_multiple_of(protocol.validation.every as u64) {
                self.validate(observe)?;
            }
        }
        Ok(())
    }

    fn step(&mut self, fed: &Fed, observe: &mut dyn FnMut(Event<'_>)) -> Result<()> {
        let (started, protocol) = (Instant::now(), self.training.protocol);
        for skipped in &fed.skipped {
            observe(Event::Skipped(skipped));
        }
        if fed.cut > 0 {
            observe(Event::Cut(fed.cut));
        }
        let size = protocol.micro_batch();
        let model = self.training.model;
        let gradients = Gradients::of(model, &self.variables, &fed.examples, size, &mut self.noise, protocol)?;
        let step = self.state.step + 1;
        let gradients = gradients.with_context(|| {
            format!("step {step}: none of its questions can be trained on; `chartbench data check` tells what is wrong")
        })?;
        let tokens = gradients.labels as f64;
        let (loss, lr) = (gradients.loss / tokens, self.schedule.lr(self.state.step as usize));
        let gradient_norm = global_norm(&self.variables, &gradients.store)? / tokens;
        self.check(step, loss, gradient_norm, lr)?;
        let scale = protocol.clip_norm.map_or(1.0, |max| clip_scale(gradient_norm, max)) / gradients.labels as f32;
        self.optimizer.step(&self.variables, &gradients.store, lr, scale)?;
        self.state.step = step;
        let seconds = started.elapsed().as_secs_f64();
        let entry = StepEntry { step, loss, lr, gradient_norm, tokens: gradients.labels as u64, seconds };
        observe(Event::Step(&entry));
        self.write(Entry::Step(entry))
    }

    /// Stops a training whose numbers have run away.
    fn check(&self, step: u64, loss: f64, gradient_norm: f64, lr: f64) -> Result<()> {
        if loss.is_finite() && gradient_norm.is_finite() {
            return Ok(());
        }
        let what = if loss.is_finite() { "the gradient" } else { "the loss" };
        let kept = self.chosen().map(|point| self.kept.of_step(point.step));
        let kept = kept.map_or_else(String::new, |path| format!("; the best weights so far are in {}", path.display()));
        bail!("{what} is no number at step {step} (learning rate {lr:.3e}): try a lower --lr, or --clip-norm 1{kept}")
    }

    fn validate(&mut self, observe: &mut dyn FnMut(Event<'_>)) -> Result<()> {
        let training = self.training;
        let step = self.state.step;
        let Validated { entry, collapsed, failed } =
            validate(training.model, training.validation, training.protocol, training.rule(), step)?;
        for failure in &failed {
            if self.reported.insert(failure.question.clone()) {
                observe(Event::ValidationFailed(failure));
            }
        }
        self.state.history.0.push(ValidationPoint { step, metrics: entry.metrics.clone() });
        observe(Event::Validated(&entry));
        if collapsed && step > 0 {
            observe(Event::Collapsed { step });
        }
        self.write(Entry::Validation(entry))?;
        if self.best()?.step == step {
            let provenance = Provenance::new(step, training.settings.clone());
            self.state.kept = self.kept.keep(step, (training.model, training.precision), &provenance)?;
        }
        self.state.generator = self.noise.as_ref().map_or(0, |noise| noise.state().word);
        let mut tensors = self.optimizer.state()?;
        let weight = |(name, variable): (&String, &Var)| (format!("{WEIGHT}{name}"), variable.as_tensor().clone());
        tensors.extend(self.variables.iter().map(weight));
        self.states.save(&self.state, &tensors, |_| Ok(()))?;
        self.kept.remove_others(self.best()?.step)
    }

    /// The validation that the protocol chooses, once one has a metric to choose by.
    fn chosen(&self) -> Option<&ValidationPoint> {
        let protocol = self.training.protocol;
        self.state.history.best(protocol.validation.keep, protocol.preset.ties())
    }

    /// The one whose weights are kept: until there is a choice, the first.
    fn best(&self) -> Result<&ValidationPoint> {
        let History(points) = &self.state.history;
        self.chosen().or(points.first()).context("no validation was made")
    }

    fn write(&mut self, entry: Entry) -> Result<()> {
        self.log.append(&entry)?;
        self.board.append(&entry)
    }

    fn finish(self) -> Result<Finished> {
        let keep = self.training.protocol.validation.keep;
        let best = self.chosen().with_context(|| {
            format!("no validation has a finite number to choose the step by (--keep {keep}): try a lower --lr")
        })?;
        let (step, metrics) = (best.step, best.metrics.clone().into_iter().collect());
        self.kept.check(step, &self.state.kept)?;
        let checkpoint = self.kept.finish(step)?;
        let states = self.training.folder.join("state");
        std::fs::remove_dir_all(&states).with_context(|| format!("cannot remove {}", states.display()))?;
        Ok(Finished { checkpoint, step, metrics })
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
