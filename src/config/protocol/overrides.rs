//! The keys of a `[finetune]` table, which are also the flags of `finetune`: what is absent stays as it was.

use serde::Deserialize;

use super::choices::{
    Betas, Compute, Dropout, Keep, OptimizerKind, Preset, QuestionsPerEpoch, ScheduleKind, ValidateOn, Weights,
};

/// What a benchmark's file or a command line says about training, unchecked.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, clap::Args)]
#[serde(deny_unknown_fields)]
#[command(next_help_heading = "Training")]
pub struct ProtocolOverrides {
    /// Values of all that is not named; another protocol than the benchmark's sets aside the benchmark's keys too
    #[arg(long, value_enum, value_name = "NAME")]
    pub protocol: Option<Preset>,
    /// Rule that turns gradients into steps
    #[arg(long, value_enum, value_name = "NAME")]
    pub optimizer: Option<OptimizerKind>,
    /// Highest learning rate
    #[arg(long, value_name = "RATE")]
    pub lr: Option<f64>,
    /// AdamW's two rates of forgetting
    #[arg(long, value_name = "B1,B2")]
    pub betas: Option<Betas>,
    /// AdamW's guard against divisions by zero
    #[arg(long, value_name = "NUMBER")]
    pub eps: Option<f64>,
    /// Part of each weight that is taken off a step, times the learning rate
    #[arg(long, value_name = "NUMBER")]
    pub weight_decay: Option<f64>,
    /// Adafactor's own settings
    #[command(flatten)]
    #[serde(default)]
    pub adafactor: AdafactorOverrides,
    /// How the learning rate falls after its warm-up
    #[arg(long, value_enum, value_name = "NAME")]
    pub schedule: Option<ScheduleKind>,
    /// Waves of the cosine schedule; 0.5 falls once to 0
    #[arg(long, value_name = "NUMBER")]
    pub num_cycles: Option<f64>,
    /// Steps in which the learning rate rises
    #[arg(long, value_name = "N")]
    pub warmup_steps: Option<usize>,
    /// Steps to train
    #[arg(long, value_name = "N")]
    pub steps: Option<usize>,
    /// Questions a step
    #[arg(long, value_name = "N")]
    pub batch: Option<usize>,
    /// Parts a batch is computed in, one after the other: less memory, same step
    #[arg(long, value_name = "N")]
    pub accumulate: Option<usize>,
    /// Keep of each encoder layer its input alone for the backward pass: less memory, same step, more time
    #[arg(long, value_name = "true|false")]
    pub activation_checkpointing: Option<bool>,
    /// Patch budget of an image in training
    // The flag is one of the adapters'.
    #[arg(skip)]
    pub max_patches: Option<usize>,
    /// Longest label in tokens
    #[arg(long, value_name = "N")]
    pub max_label_tokens: Option<usize>,
    /// Seed of the data's order, the held-out charts and the dropout
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Steps from one validation to the next
    #[arg(long, value_name = "N")]
    pub validate_every: Option<usize>,
    /// Whose charts validation asks about
    #[arg(long, value_enum, value_name = "SPLIT")]
    pub validate_on: Option<ValidateOn>,
    /// Part of the train split's charts that is held out for validation
    #[arg(long, value_name = "SHARE")]
    pub validation_share: Option<f64>,
    /// Most questions of a validation; 0 is all
    #[arg(long, value_name = "N")]
    pub validation_questions: Option<usize>,
    /// Most questions a chart of a validation; 0 is all
    #[arg(long, value_name = "N")]
    pub validation_questions_per_chart: Option<usize>,
    /// Largest common norm of the gradients; 0 leaves them
    #[arg(long, value_name = "NORM")]
    pub clip_norm: Option<f64>,
    /// Whether padding in labels is left out of the loss
    #[arg(long, value_name = "true|false")]
    pub mask_padding: Option<bool>,
    /// Part of the target's probability spread over all tokens
    #[arg(long, value_name = "SHARE")]
    pub label_smoothing: Option<f64>,
    /// Dropout in training
    #[arg(long, value_enum, value_name = "WHICH")]
    pub dropout: Option<Dropout>,
    /// What the operands of training's large products are rounded to; weights stay f32
    #[arg(long, value_enum, value_name = "DTYPE")]
    pub compute: Option<Compute>,
    /// Validations without a better one after which training ends; 0 never ends early
    #[arg(long, value_name = "N")]
    pub patience: Option<usize>,
    /// The step whose weights are kept
    #[arg(long, value_enum, value_name = "BY")]
    pub keep: Option<Keep>,
    /// What an epoch is
    #[arg(long, value_enum, value_name = "WHICH")]
    pub questions_per_epoch: Option<QuestionsPerEpoch>,
    /// How often questions of an answer type are seen for each time others are, e.g. numeric=3
    // `--weights` is the adapters' checkpoint folder.
    #[arg(id = "question_weights", long = "question-weights", value_name = "TYPE=WEIGHT,...")]
    pub weights: Option<Weights>,
    /// What is not trained: encoder, embeddings, or beginnings of names of weights
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    pub freeze: Option<Vec<String>>,
    /// Low-rank adapters instead of whole weights
    #[command(flatten)]
    #[serde(default)]
    pub lora: LoraOverrides,
}

/// `[finetune.adafactor]`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct AdafactorOverrides {
    /// Adafactor: the step's size follows from the number of steps instead of the learning rate
    #[arg(id = "adafactor_relative_step", long = "adafactor-relative-step", value_name = "true|false")]
    pub relative_step: Option<bool>,
    /// Adafactor: steps are measured by each weight matrix's own size
    #[arg(id = "adafactor_scale_parameter", long = "adafactor-scale-parameter", value_name = "true|false")]
    pub scale_parameter: Option<bool>,
    /// Adafactor with relative steps: small ones at first
    #[arg(id = "adafactor_warmup_init", long = "adafactor-warmup-init", value_name = "true|false")]
    pub warmup_init: Option<bool>,
    /// Adafactor: largest root mean square of an update
    #[arg(id = "adafactor_clip_threshold", long = "adafactor-clip-threshold", value_name = "NUMBER")]
    pub clip_threshold: Option<f64>,
    /// Adafactor: how fast the second moment forgets, negative
    #[arg(
        id = "adafactor_decay_rate",
        long = "adafactor-decay-rate",
        value_name = "NUMBER",
        allow_negative_numbers = true
    )]
    pub decay_rate: Option<f64>,
}

/// `[finetune.lora]`; a rank of 0, or none, trains the weights themselves.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct LoraOverrides {
    /// LoRA: rank of the matrices trained beside frozen ones; 0 trains the weights themselves
    #[arg(id = "lora_rank", long = "lora-rank", value_name = "N")]
    pub rank: Option<usize>,
    /// LoRA: their product counts alpha / rank times [default: twice the rank]
    #[arg(id = "lora_alpha", long = "lora-alpha", value_name = "NUMBER")]
    pub alpha: Option<f64>,
    /// LoRA: parts of the names of the weights that get one [default: query,value]
    #[arg(id = "lora_targets", long = "lora-targets", value_delimiter = ',', value_name = "NAMES")]
    pub targets: Option<Vec<String>>,
}

/// Takes each named field of `$over` where it is there, else `$base`'s.
macro_rules! layered {
    ($base:expr, $over:expr, { $($field:ident),* $(,)? } $(, { $($nested:ident),* })?) => {
        Self {
            $($field: $over.$field.clone().or_else(|| $base.$field.clone()),)*
            $($($nested: $base.$nested.under(&$over.$nested),)*)?
        }
    };
}

impl ProtocolOverrides {
    /// These keys with those of `over` on top.
    #[must_use]
    pub fn under(&self, over: &Self) -> Self {
        layered!(self, over, {
            protocol, optimizer, lr, betas, eps, weight_decay, schedule, num_cycles, warmup_steps, steps, batch,
            accumulate, activation_checkpointing, max_patches, max_label_tokens, seed, validate_every, validate_on, validation_share,
            validation_questions, validation_questions_per_chart, clip_norm, mask_padding, label_smoothing, dropout,
            compute, patience, keep, questions_per_epoch, weights, freeze,
        }, { adafactor, lora })
    }
}

impl AdafactorOverrides {
    fn under(&self, over: &Self) -> Self {
        layered!(self, over, { relative_step, scale_parameter, warmup_init, clip_threshold, decay_rate })
    }
}

impl LoraOverrides {
    fn under(&self, over: &Self) -> Self {
        layered!(self, over, { rank, alpha, targets })
    }
}
