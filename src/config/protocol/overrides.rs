//! The keys of a `[finetune]` table, each with its flag of `finetune`; absent ones keep the
//! preset's values.
//!
//! A flag has the name that transformers' `TrainingArguments` or peft's `LoraConfig` gives the
//! option, where one of them has it. Keys are stored and keep their names. A flag's former spelling
//! is a hidden alias.

use serde::Deserialize;

use super::choices::{
    AnswerTypeWeights, Betas, ComputeDtype, Dropout, Keep, OptimizerKind, Preset,
    QuestionsPerEpoch, ScheduleKind, ValidateOn,
};

/// The training options of a benchmark file or a command line, unchecked.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, clap::Args)]
#[serde(deny_unknown_fields)]
#[command(next_help_heading = "Training")]
pub struct ProtocolOverrides {
    /// Preset of all other values; a preset other than the benchmark's also replaces the
    /// benchmark's keys
    #[arg(long, value_enum, value_name = "NAME")]
    pub protocol: Option<Preset>,
    /// Optimizer (turns gradients into steps)
    #[arg(long = "optim", alias = "optimizer", value_enum, value_name = "NAME")]
    pub optimizer: Option<OptimizerKind>,
    /// Learning rate (peak of the schedule)
    #[arg(long = "learning-rate", alias = "lr", value_name = "RATE")]
    pub lr: Option<f64>,
    /// AdamW betas (decay rates of the two moment estimates)
    #[arg(long, value_name = "B1,B2")]
    pub betas: Option<Betas>,
    /// AdamW epsilon (added to the denominator)
    #[arg(long = "adam-epsilon", alias = "eps", value_name = "NUMBER")]
    pub eps: Option<f64>,
    /// Weight decay (decoupled, times the learning rate)
    #[arg(long, value_name = "NUMBER")]
    pub weight_decay: Option<f64>,
    /// Adafactor's own settings
    #[command(flatten)]
    #[serde(default)]
    pub adafactor: AdafactorOverrides,
    /// Learning-rate schedule after the warm-up
    #[arg(
        long = "lr-scheduler-type",
        alias = "schedule",
        value_enum,
        value_name = "NAME"
    )]
    pub schedule: Option<ScheduleKind>,
    /// Cycles of the cosine schedule; 0.5 decays once to 0
    #[arg(long, value_name = "NUMBER")]
    pub num_cycles: Option<f64>,
    /// Warm-up steps of the learning rate
    #[arg(long, value_name = "N")]
    pub warmup_steps: Option<usize>,
    /// Training steps (optimizer updates)
    #[arg(long = "max-steps", alias = "steps", value_name = "N")]
    pub steps: Option<usize>,
    /// Batch size (questions per step, over all accumulation steps)
    // Transformers multiplies its `per_device_train_batch_size` by the accumulation steps; this
    // value is the product.
    #[arg(long = "batch-size", alias = "batch", value_name = "N")]
    pub batch: Option<usize>,
    /// Gradient accumulation steps (micro-batches per batch): less memory, same step
    #[arg(
        long = "gradient-accumulation-steps",
        alias = "accumulate",
        value_name = "N"
    )]
    pub accumulate: Option<usize>,
    /// Gradient checkpointing of the encoder layers (the backward pass computes their activations
    /// again): less memory, same step, more time
    #[arg(
        long = "gradient-checkpointing",
        alias = "activation-checkpointing",
        value_name = "true|false"
    )]
    pub activation_checkpointing: Option<bool>,
    /// Patch budget of an image in training
    // The flag is one of the adapters'.
    #[arg(skip)]
    pub max_patches: Option<usize>,
    /// Maximum label length in tokens
    #[arg(long, value_name = "N")]
    pub max_label_tokens: Option<usize>,
    /// Seed of the data order, the held-out charts and the dropout
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Validation interval in steps
    #[arg(long = "eval-steps", alias = "validate-every", value_name = "N")]
    pub validate_every: Option<usize>,
    /// Split to validate on
    #[arg(long, value_enum, value_name = "SPLIT")]
    pub validate_on: Option<ValidateOn>,
    /// Share of the train split's charts held out for validation
    #[arg(long, value_name = "SHARE")]
    pub validation_share: Option<f64>,
    /// Maximum number of validation questions; 0 for all
    #[arg(long, value_name = "N")]
    pub validation_questions: Option<usize>,
    /// Maximum number of validation questions per chart; 0 for all
    #[arg(long, value_name = "N")]
    pub validation_questions_per_chart: Option<usize>,
    /// Gradient clipping by global norm; 0 for none
    #[arg(long = "max-grad-norm", alias = "clip-norm", value_name = "NORM")]
    pub clip_norm: Option<f64>,
    /// Mask padding in labels, so that it does not count in the loss
    #[arg(long, value_name = "true|false")]
    pub mask_padding: Option<bool>,
    /// Label smoothing (share of the target's probability spread over all tokens)
    #[arg(
        long = "label-smoothing-factor",
        alias = "label-smoothing",
        value_name = "SHARE"
    )]
    pub label_smoothing: Option<f64>,
    /// Dropout in training
    #[arg(long, value_enum, value_name = "WHICH")]
    pub dropout: Option<Dropout>,
    /// Compute dtype of the large matrix products in training; weights stay f32
    #[arg(
        long = "compute-dtype",
        alias = "compute",
        value_enum,
        value_name = "DTYPE"
    )]
    pub compute: Option<ComputeDtype>,
    /// Early-stopping patience in validations; 0 for none
    #[arg(long = "early-stopping-patience", alias = "patience", value_name = "N")]
    pub patience: Option<usize>,
    /// Metric that selects the best checkpoint
    #[arg(long = "select-by", alias = "keep", value_enum, value_name = "BY")]
    pub keep: Option<Keep>,
    /// Questions of an epoch
    #[arg(long, value_enum, value_name = "WHICH")]
    pub questions_per_epoch: Option<QuestionsPerEpoch>,
    /// Sampling weights by answer type, e.g. numeric=3
    // `--weights` is the adapters' checkpoint folder.
    #[arg(
        id = "question_weights",
        long = "answer-type-weights",
        alias = "question-weights",
        value_name = "TYPE=WEIGHT,..."
    )]
    pub weights: Option<AnswerTypeWeights>,
    /// Frozen weights: encoder, embeddings, or prefixes of weight names
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
    /// Adafactor: relative step size, from the step number instead of the learning rate
    #[arg(
        id = "adafactor_relative_step",
        long = "adafactor-relative-step",
        value_name = "true|false"
    )]
    pub relative_step: Option<bool>,
    /// Adafactor: scale steps by each weight matrix's root mean square
    #[arg(
        id = "adafactor_scale_parameter",
        long = "adafactor-scale-parameter",
        value_name = "true|false"
    )]
    pub scale_parameter: Option<bool>,
    /// Adafactor: warm-up of relative steps
    #[arg(
        id = "adafactor_warmup_init",
        long = "adafactor-warmup-init",
        value_name = "true|false"
    )]
    pub warmup_init: Option<bool>,
    /// Adafactor: clipping threshold of an update's root mean square
    #[arg(
        id = "adafactor_clip_threshold",
        long = "adafactor-clip-threshold",
        value_name = "NUMBER"
    )]
    pub clip_threshold: Option<f64>,
    /// Adafactor: decay rate of the second moment, negative
    #[arg(
        id = "adafactor_decay_rate",
        long = "adafactor-decay-rate",
        value_name = "NUMBER",
        allow_negative_numbers = true
    )]
    pub decay_rate: Option<f64>,
}

/// `[finetune.lora]`; without a rank, or with rank 0, the full weights are trained.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct LoraOverrides {
    /// LoRA rank; 0 trains the full weights
    #[arg(
        id = "lora_rank",
        long = "lora-r",
        alias = "lora-rank",
        value_name = "N"
    )]
    pub rank: Option<usize>,
    /// LoRA alpha (the update is scaled by alpha / rank) [default: twice the rank]
    #[arg(id = "lora_alpha", long = "lora-alpha", value_name = "NUMBER")]
    pub alpha: Option<f64>,
    /// LoRA target modules, as parts of weight names [default: query,value]
    #[arg(
        id = "lora_targets",
        long = "lora-target-modules",
        alias = "lora-targets",
        value_delimiter = ',',
        value_name = "NAMES"
    )]
    pub targets: Option<Vec<String>>,
}

/// Takes each named field of `$over` if it is set, else of `$base`.
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
