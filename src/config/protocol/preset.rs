//! The named protocols.

use std::collections::BTreeMap;

use super::{
    AdamWSpec, ComputeDtype, Dropout, Keep, OptimizerSpec, Preset, Protocol, QuestionsPerEpoch,
    ScheduleKind, ScheduleSpec, ValidateOn, Validation,
};

impl Preset {
    /// The protocol of that name with nothing changed.
    pub fn protocol(self) -> Protocol {
        match self {
            Self::Study => study(),
            Self::Chartbench => chartbench(),
        }
    }
}

/// The RealCQA fine-tuning study's (github.com/IOBananaOI/Sber-CV-Task, `train.py` and its README).
/// The study drew the test question of a chart anew at every pass; here it is drawn by seed.
fn study() -> Protocol {
    Protocol {
        preset: Preset::Study,
        optimizer: OptimizerSpec::AdamW(AdamWSpec::default()),
        lr: 1e-4,
        schedule: ScheduleSpec {
            kind: ScheduleKind::Cosine,
            warmup_steps: 120,
            num_cycles: 0.5,
        },
        warmup_shortened_from: None,
        steps: 600,
        batch: 4,
        accumulate: 1,
        activation_checkpointing: false,
        max_patches: Some(768),
        max_label_tokens: 20,
        seed: 42,
        validation: Validation {
            every: 100,
            on: ValidateOn::Test,
            share: 0.0,
            questions: None,
            questions_per_chart: Some(1),
            keep: Keep::ExactMatch,
            patience: None,
        },
        clip_norm: None,
        mask_padding: false,
        label_smoothing: 0.0,
        dropout: Dropout::Config,
        compute: ComputeDtype::F32,
        questions_per_epoch: QuestionsPerEpoch::OnePerChart,
        weights: BTreeMap::new(),
        freeze: Vec::new(),
        lora: None,
    }
}

/// The study's with padding masked, labels whole, gradients clipped, and the step chosen by strict
/// accuracy on train charts held out.
fn chartbench() -> Protocol {
    Protocol {
        preset: Preset::Chartbench,
        max_patches: None,
        max_label_tokens: 64,
        validation: Validation {
            on: ValidateOn::Train,
            share: 0.05,
            questions: Some(500),
            questions_per_chart: Some(1),
            keep: Keep::Strict,
            patience: Some(5),
            ..study().validation
        },
        clip_norm: Some(1.0),
        mask_padding: true,
        ..study()
    }
}
