//! How a model is fine-tuned on a benchmark: a named preset, the keys of the benchmark's
//! `[finetune]` table and flags, merged in that order and checked.

mod choices;
mod merge;
mod overrides;
mod preset;
mod settings;

use std::collections::BTreeMap;

pub use choices::{
    AnswerTypeWeights, Betas, ComputeDtype, Dropout, Keep, OptimizerKind, Preset,
    QuestionsPerEpoch, ScheduleKind, Ties, ValidateOn,
};
pub use merge::ProtocolFault;
pub use overrides::{AdafactorOverrides, LoraOverrides, ProtocolOverrides};

use chartbench_core::question::AnswerType;

/// A checked fine-tuning protocol: every choice that decides the trained weights.
#[derive(Clone, Debug, PartialEq)]
pub struct Protocol {
    /// The preset of the other values.
    pub preset: Preset,
    /// The optimizer, with its settings.
    pub optimizer: OptimizerSpec,
    /// Peak learning rate of the schedule.
    pub lr: f64,
    /// Warm-up and decay of the learning rate.
    pub schedule: ScheduleSpec,
    /// The warm-up steps that `--max-steps` was too few for; `None` where they were not shortened.
    pub warmup_shortened_from: Option<usize>,
    /// Steps of the optimiser; the schedule ends with them.
    pub steps: usize,
    /// Questions a step.
    pub batch: usize,
    /// Gradient accumulation: micro-batches of equal size per batch. Less memory, same step.
    pub accumulate: usize,
    /// Activation checkpointing: only the input of each encoder layer is kept for the backward
    /// pass. Less memory, same step, more time.
    pub activation_checkpointing: bool,
    /// Patch budget of an image, for families with patches; `None` is the adapter's own.
    pub max_patches: Option<usize>,
    /// Longest label in tokens, end of sequence included; longer ones are cut in training, never in
    /// evaluation.
    pub max_label_tokens: usize,
    /// Seed of the data's order, the held-out charts and the dropout.
    pub seed: u64,
    /// How often and on which questions it is validated, and which step is kept.
    pub validation: Validation,
    /// Gradient clipping by global norm; `None` for no clipping.
    pub clip_norm: Option<f64>,
    /// Whether padding in labels is left out of the loss. The study counted it.
    pub mask_padding: bool,
    /// Share of the target's probability spread over all tokens; 0 for none.
    pub label_smoothing: f64,
    /// Whether the checkpoint's dropout rates count in training.
    pub dropout: Dropout,
    /// The dtype that operands of large products are rounded to.
    pub compute: ComputeDtype,
    /// The questions that an epoch asks about each chart, and their order.
    pub questions_per_epoch: QuestionsPerEpoch,
    /// Sampling weights by answer type; 1 by default.
    pub weights: BTreeMap<AnswerType, f64>,
    /// Frozen weights: `encoder`, `embeddings`, or prefixes of weight names.
    pub freeze: Vec<String>,
    /// Low-rank adapters; `None` trains the full weights.
    pub lora: Option<Lora>,
}

impl Protocol {
    /// Questions computed at a time: [`Protocol::batch`] over [`Protocol::accumulate`].
    pub fn micro_batch(&self) -> usize {
        self.batch / self.accumulate
    }

    /// Whether the step that is kept is chosen by questions of the test split, as the study did:
    /// its score is then no estimate of what other charts would give, and whoever shows it must say
    /// so.
    pub fn selects_on_test(&self) -> bool {
        self.validation.on == ValidateOn::Test && self.validation.keep != Keep::Last
    }
}

/// The optimiser and its options.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum OptimizerSpec {
    /// `torch.optim.AdamW`: two moments per weight.
    AdamW(AdamWSpec),
    /// `transformers.Adafactor`: row and column means of the second moment.
    Adafactor(AdafactorSpec),
}

/// `torch.optim.AdamW`'s settings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamWSpec {
    /// Decay rates of the first and second moment.
    pub betas: [f64; 2],
    /// Added to the root of the second moment; above 0.
    pub eps: f64,
    /// Decoupled weight decay, times the learning rate; 0 for none.
    pub weight_decay: f64,
}

impl Default for AdamWSpec {
    /// PyTorch's.
    fn default() -> Self {
        Self {
            betas: [0.9, 0.999],
            eps: 1e-8,
            weight_decay: 0.01,
        }
    }
}

/// `transformers.Adafactor`'s settings, without a first moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdafactorSpec {
    /// The step's size follows from the number of steps, and the learning rate does not count.
    pub relative_step: bool,
    /// Steps are measured by each variable's own size.
    pub scale_parameter: bool,
    /// With `relative_step`: small steps at first.
    pub warmup_init: bool,
    /// Largest root mean square of an update.
    pub clip_threshold: f64,
    /// Negative: how fast the second moment forgets.
    pub decay_rate: f64,
    /// Decoupled weight decay, times the learning rate; 0 for none.
    pub weight_decay: f64,
}

impl Default for AdafactorSpec {
    /// With the learning rate as given: what transformers' documentation advises for fine-tuning.
    fn default() -> Self {
        Self {
            relative_step: false,
            scale_parameter: false,
            warmup_init: false,
            clip_threshold: 1.0,
            decay_rate: -0.8,
            weight_decay: 0.0,
        }
    }
}

/// How the learning rate rises and falls.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ScheduleSpec {
    /// The shape of the decay after the warm-up.
    pub kind: ScheduleKind,
    /// Steps in which it rises from 0 to the highest.
    pub warmup_steps: usize,
    /// Waves of the cosine from there to the end: 0.5 falls once to 0.
    pub num_cycles: f64,
}

/// How a training is watched, and which step is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Validation {
    /// Steps from one validation to the next.
    pub every: usize,
    /// The split whose questions are asked.
    pub on: ValidateOn,
    /// Part of the train split's charts that is held out for it, with [`ValidateOn::Train`].
    pub share: f64,
    /// Maximum number of questions; `None` for all.
    pub questions: Option<usize>,
    /// Maximum number of questions per chart; `None` for all.
    pub questions_per_chart: Option<usize>,
    /// The metric that selects the step whose weights are kept.
    pub keep: Keep,
    /// Validations without a better one after which training ends; `None` never ends early.
    pub patience: Option<usize>,
}

/// Low-rank adapters: `W + alpha / rank · B A`. Hu et al., arXiv 2106.09685.
#[derive(Clone, Debug, PartialEq)]
pub struct Lora {
    /// The inner dimension of `B A`; at least 1.
    pub rank: usize,
    /// The scale: `B A` counts `alpha / rank` times. Above 0.
    pub alpha: f64,
    /// Parts of the names of the weights that get one, e.g. `query`.
    pub targets: Vec<String>,
}
