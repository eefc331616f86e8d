//! A protocol as keys and values, for manifests and model cards.

use super::choices::answer_type_name;
use super::{ComputeDtype, OptimizerKind, OptimizerSpec, Protocol};

impl Protocol {
    /// Every choice, in a fixed order, as `[finetune]` spells it: two protocols that train
    /// differently differ here.
    pub fn settings(&self) -> Vec<(String, String)> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        let mut push = |key: &str, value: String| pairs.push((key.to_owned(), value));
        push("protocol", self.preset.to_string());
        self.optimizer.settings(&mut push);
        push("lr", self.lr.to_string());
        push("schedule", self.schedule.kind.to_string());
        push("num_cycles", self.schedule.num_cycles.to_string());
        push("warmup_steps", self.schedule.warmup_steps.to_string());
        push("steps", self.steps.to_string());
        push("batch", self.batch.to_string());
        push("accumulate", self.accumulate.to_string());
        if self.activation_checkpointing {
            push("activation_checkpointing", true.to_string());
        }
        push(
            "max_patches",
            self.max_patches
                .map_or_else(|| "adapter's".to_owned(), |patches| patches.to_string()),
        );
        push("max_label_tokens", self.max_label_tokens.to_string());
        push("seed", self.seed.to_string());
        self.validation_settings(&mut push);
        push("clip_norm", self.clip_norm.unwrap_or(0.0).to_string());
        push("mask_padding", self.mask_padding.to_string());
        push("label_smoothing", self.label_smoothing.to_string());
        push("dropout", self.dropout.to_string());
        if self.compute != ComputeDtype::F32 {
            push("compute", self.compute.to_string());
        }
        push("questions_per_epoch", self.questions_per_epoch.to_string());
        for (&kind, weight) in &self.weights {
            push(
                &format!("weights.{}", answer_type_name(kind)),
                weight.to_string(),
            );
        }
        push("freeze", self.freeze.join(","));
        push(
            "lora.rank",
            self.lora.as_ref().map_or(0, |lora| lora.rank).to_string(),
        );
        if let Some(lora) = &self.lora {
            push("lora.alpha", lora.alpha.to_string());
            push("lora.targets", lora.targets.join(","));
        }
        pairs
    }

    fn validation_settings(&self, push: &mut impl FnMut(&str, String)) {
        let validation = &self.validation;
        push("validate_every", validation.every.to_string());
        push("validate_on", validation.on.to_string());
        push("validation_share", validation.share.to_string());
        push(
            "validation_questions",
            validation.questions.unwrap_or(0).to_string(),
        );
        push(
            "validation_questions_per_chart",
            validation.questions_per_chart.unwrap_or(0).to_string(),
        );
        push("keep", validation.keep.to_string());
        push("patience", validation.patience.unwrap_or(0).to_string());
    }
}

impl OptimizerSpec {
    fn settings(&self, push: &mut impl FnMut(&str, String)) {
        match self {
            Self::AdamW(spec) => {
                push("optimizer", OptimizerKind::AdamW.to_string());
                push("betas", spec.betas.map(|beta| beta.to_string()).join(","));
                push("eps", spec.eps.to_string());
                push("weight_decay", spec.weight_decay.to_string());
            }
            Self::Adafactor(spec) => {
                push("optimizer", OptimizerKind::Adafactor.to_string());
                push("weight_decay", spec.weight_decay.to_string());
                push("adafactor.relative_step", spec.relative_step.to_string());
                push(
                    "adafactor.scale_parameter",
                    spec.scale_parameter.to_string(),
                );
                push("adafactor.warmup_init", spec.warmup_init.to_string());
                push("adafactor.clip_threshold", spec.clip_threshold.to_string());
                push("adafactor.decay_rate", spec.decay_rate.to_string());
            }
        }
    }
}
