//! Merges a preset and overrides into a checked protocol.

use super::choices::answer_type_name;
use super::{
    AdafactorSpec, AdamWSpec, Lora, OptimizerKind, OptimizerSpec, Protocol, ProtocolOverrides,
    ScheduleSpec, ValidateOn, Validation,
};
use chartbench_core::counts::{
    MAX_BATCH, MAX_LIMIT, MAX_PATCHES, MAX_RANK, MAX_STEPS, MAX_TOKENS, check_count,
};

/// A value that cannot be trained with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProtocolFault {
    /// The conflicting keys, dotted (`lora.rank`), the likeliest cause first.
    pub keys: Vec<&'static str>,
    /// The fault and its remedy.
    pub what: String,
}

impl ProtocolFault {
    /// Describes the fault by the names of the flags.
    pub fn describe_flags(&self) -> String {
        let flags: Vec<String> = self.keys.iter().map(|key| flag_of(key)).collect();
        format!("{}: {}", flags.join(" or "), self.what)
    }
}

/// The flag of a dotted key, as the help of `finetune` names it.
fn flag_of(key: &str) -> String {
    let id = match key {
        // The id `weights` is the adapters' flag.
        "weights" => "question_weights".to_owned(),
        key => key.replace('.', "_"),
    };
    let command = <ProtocolOverrides as clap::Args>::augment_args(clap::Command::new("finetune"));
    let flag = command
        .get_arguments()
        .find(|argument| argument.get_id().as_str() == id)
        .and_then(clap::Arg::get_long);
    // `max_patches` has no flag here: `--max-patches` is one of the adapters'.
    flag.map_or_else(
        || format!("--{}", key.replace(['_', '.'], "-")),
        |flag| format!("--{flag}"),
    )
}

fn fault<T>(keys: &[&'static str], what: impl Into<String>) -> Result<T, ProtocolFault> {
    Err(ProtocolFault {
        keys: keys.to_vec(),
        what: what.into(),
    })
}

fn check(
    fine: bool,
    keys: &[&'static str],
    what: impl FnOnce() -> String,
) -> Result<(), ProtocolFault> {
    if fine { Ok(()) } else { fault(keys, what()) }
}

impl ProtocolOverrides {
    /// The protocol of a benchmark with the file's keys `self` and the command line's `flags`. A
    /// `--protocol` other than the file's replaces all the file's keys, which were chosen for the
    /// file's preset. The warm-up was chosen for the protocol's steps: `--max-steps` without
    /// `--warmup-steps` shortens one that would not end, in proportion.
    ///
    /// # Errors
    /// Returns an error if a value is out of range, or values conflict.
    pub fn resolve(&self, flags: &Self) -> Result<Protocol, ProtocolFault> {
        let own = self.protocol.unwrap_or_default();
        let nothing = Self::default();
        let file = match flags.protocol {
            Some(asked) if asked != own => &nothing,
            _ => self,
        };
        let mut keys = file.under(flags);
        let base = keys.protocol.unwrap_or_default().protocol();
        let warmup = keys.warmup_steps.unwrap_or(base.schedule.warmup_steps);
        let too_few = flags
            .steps
            .filter(|&steps| flags.warmup_steps.is_none() && steps <= warmup);
        if let Some(steps) = too_few {
            keys.warmup_steps = Some(warmup * steps / file.steps.unwrap_or(base.steps).max(1));
        }
        Ok(Protocol {
            warmup_shortened_from: too_few.map(|_| warmup),
            ..keys.protocol()?
        })
    }

    /// # Errors
    /// As [`ProtocolOverrides::resolve`].
    pub fn protocol(&self) -> Result<Protocol, ProtocolFault> {
        let base = self.protocol.unwrap_or_default().protocol();
        let protocol = Protocol {
            preset: base.preset,
            optimizer: self.optimizer()?,
            lr: self.lr.unwrap_or(base.lr),
            schedule: self.schedule(base.schedule)?,
            warmup_shortened_from: None,
            steps: self.steps.unwrap_or(base.steps),
            batch: self.batch.unwrap_or(base.batch),
            accumulate: self.accumulate.unwrap_or(base.accumulate),
            activation_checkpointing: self
                .activation_checkpointing
                .unwrap_or(base.activation_checkpointing),
            max_patches: self.max_patches.or(base.max_patches),
            max_label_tokens: self.max_label_tokens.unwrap_or(base.max_label_tokens),
            seed: self.seed.unwrap_or(base.seed),
            validation: self.validation(base.validation)?,
            clip_norm: self.clip_norm.map_or(base.clip_norm, |norm| {
                Some(norm).filter(|&norm| norm != 0.0)
            }),
            mask_padding: self.mask_padding.unwrap_or(base.mask_padding),
            label_smoothing: self.label_smoothing.unwrap_or(base.label_smoothing),
            dropout: self.dropout.unwrap_or(base.dropout),
            compute: self.compute.unwrap_or(base.compute),
            questions_per_epoch: self.questions_per_epoch.unwrap_or(base.questions_per_epoch),
            weights: self
                .weights
                .clone()
                .map_or(base.weights, |weights| weights.0),
            freeze: self.freeze.clone().unwrap_or(base.freeze),
            lora: self.lora()?,
        };
        check_protocol(&protocol)?;
        Ok(protocol)
    }

    fn optimizer(&self) -> Result<OptimizerSpec, ProtocolFault> {
        let decay = self.weight_decay;
        let fine = decay.is_none_or(|decay| decay.is_finite() && decay >= 0.0);
        check(fine, &["weight_decay"], || "must be 0 or more".to_owned())?;
        match self.optimizer.unwrap_or(OptimizerKind::AdamW) {
            OptimizerKind::AdamW => self.adamw().map(OptimizerSpec::AdamW),
            OptimizerKind::Adafactor => self.adafactor().map(OptimizerSpec::Adafactor),
        }
    }

    fn adamw(&self) -> Result<AdamWSpec, ProtocolFault> {
        let own = [
            (
                "adafactor.relative_step",
                self.adafactor.relative_step.is_some(),
            ),
            (
                "adafactor.scale_parameter",
                self.adafactor.scale_parameter.is_some(),
            ),
            (
                "adafactor.warmup_init",
                self.adafactor.warmup_init.is_some(),
            ),
            (
                "adafactor.clip_threshold",
                self.adafactor.clip_threshold.is_some(),
            ),
            ("adafactor.decay_rate", self.adafactor.decay_rate.is_some()),
        ];
        for (key, given) in own {
            check(!given, &[key], || {
                "belongs to optimizer = \"adafactor\" only".to_owned()
            })?;
        }
        let spec = AdamWSpec::default();
        let spec = AdamWSpec {
            betas: self.betas.map_or(spec.betas, |betas| betas.0),
            eps: self.eps.unwrap_or(spec.eps),
            weight_decay: self.weight_decay.unwrap_or(spec.weight_decay),
        };
        let fine = spec.betas.iter().all(|beta| (0.0..1.0).contains(beta));
        check(fine, &["betas"], || {
            "both must be at least 0 and below 1".to_owned()
        })?;
        check(spec.eps.is_finite() && spec.eps > 0.0, &["eps"], || {
            "must be above 0".to_owned()
        })?;
        Ok(spec)
    }

    fn adafactor(&self) -> Result<AdafactorSpec, ProtocolFault> {
        for (key, given) in [("betas", self.betas.is_some()), ("eps", self.eps.is_some())] {
            check(!given, &[key], || {
                "belongs to optimizer = \"adamw\" only".to_owned()
            })?;
        }
        let (own, spec) = (&self.adafactor, AdafactorSpec::default());
        let spec = AdafactorSpec {
            relative_step: own.relative_step.unwrap_or(spec.relative_step),
            scale_parameter: own.scale_parameter.unwrap_or(spec.scale_parameter),
            warmup_init: own.warmup_init.unwrap_or(spec.warmup_init),
            clip_threshold: own.clip_threshold.unwrap_or(spec.clip_threshold),
            decay_rate: own.decay_rate.unwrap_or(spec.decay_rate),
            weight_decay: self.weight_decay.unwrap_or(spec.weight_decay),
        };
        check(
            !spec.relative_step || self.lr.is_none(),
            &["lr", "adafactor.relative_step"],
            || {
                "does not count with adafactor.relative_step = true: leave one of them out"
                    .to_owned()
            },
        )?;
        check(
            !spec.warmup_init || spec.relative_step,
            &["adafactor.warmup_init"],
            || "needs adafactor.relative_step = true".to_owned(),
        )?;
        let threshold = spec.clip_threshold;
        check(
            threshold.is_finite() && threshold > 0.0,
            &["adafactor.clip_threshold"],
            || "must be above 0".to_owned(),
        )?;
        let rate = spec.decay_rate;
        check(
            rate.is_finite() && rate < 0.0,
            &["adafactor.decay_rate"],
            || "must be below 0, e.g. -0.8".to_owned(),
        )?;
        Ok(spec)
    }

    fn schedule(&self, base: ScheduleSpec) -> Result<ScheduleSpec, ProtocolFault> {
        let spec = ScheduleSpec {
            kind: self.schedule.unwrap_or(base.kind),
            warmup_steps: self.warmup_steps.unwrap_or(base.warmup_steps),
            num_cycles: self.num_cycles.unwrap_or(base.num_cycles),
        };
        check(
            spec.num_cycles.is_finite() && spec.num_cycles > 0.0,
            &["num_cycles"],
            || "must be above 0; 0.5 falls once to 0".to_owned(),
        )?;
        Ok(spec)
    }

    fn validation(&self, base: Validation) -> Result<Validation, ProtocolFault> {
        let limit = |given: Option<usize>, base: Option<usize>| {
            given.map_or(base, |count| Some(count).filter(|&n| n > 0))
        };
        let on = self.validate_on.unwrap_or(base.on);
        let usual = super::Preset::Chartbench.protocol().validation.share;
        let base_share = if on == ValidateOn::Train && base.share == 0.0 {
            usual
        } else {
            base.share
        };
        let share = match on {
            ValidateOn::Train => self.validation_share.unwrap_or(base_share),
            ValidateOn::Test => self.validation_share.unwrap_or(0.0),
        };
        match on {
            ValidateOn::Train => check(share > 0.0 && share < 1.0, &["validation_share"], || {
                "must be above 0 and below 1, e.g. 0.05: that part of the train charts is held out"
                    .to_owned()
            })?,
            ValidateOn::Test => check(share == 0.0, &["validation_share"], || {
                "must be 0 with validate_on = \"test\": nothing is held out of the train split"
                    .to_owned()
            })?,
        }
        Ok(Validation {
            every: self.validate_every.unwrap_or(base.every),
            on,
            share,
            questions: limit(self.validation_questions, base.questions),
            questions_per_chart: limit(
                self.validation_questions_per_chart,
                base.questions_per_chart,
            ),
            keep: self.keep.unwrap_or(base.keep),
            patience: limit(self.patience, base.patience),
        })
    }

    fn lora(&self) -> Result<Option<Lora>, ProtocolFault> {
        let Some(rank) = self.lora.rank.filter(|&rank| rank > 0) else {
            for (key, given) in [
                ("lora.alpha", self.lora.alpha.is_some()),
                ("lora.targets", self.lora.targets.is_some()),
            ] {
                check(!given || self.lora.rank == Some(0), &[key], || {
                    "needs lora.rank, e.g. 8".to_owned()
                })?;
            }
            return Ok(None);
        };
        let alpha = self.lora.alpha.unwrap_or(2.0 * rank as f64);
        check(alpha.is_finite() && alpha > 0.0, &["lora.alpha"], || {
            "must be above 0".to_owned()
        })?;
        let targets = self
            .lora
            .targets
            .clone()
            .unwrap_or_else(|| vec!["query".to_owned(), "value".to_owned()]);
        let fine = !targets.is_empty() && targets.iter().all(|target| !target.is_empty());
        check(fine, &["lora.targets"], || {
            "must name parts of names of weights, e.g. query".to_owned()
        })?;
        Ok(Some(Lora {
            rank,
            alpha,
            targets,
        }))
    }
}

fn check_counts(protocol: &Protocol) -> Result<(), ProtocolFault> {
    let validation = &protocol.validation;
    let counts = [
        ("steps", protocol.steps, MAX_STEPS),
        ("batch", protocol.batch, MAX_BATCH),
        ("accumulate", protocol.accumulate, MAX_BATCH),
        (
            "max_patches",
            protocol.max_patches.unwrap_or(1),
            MAX_PATCHES,
        ),
        ("max_label_tokens", protocol.max_label_tokens, MAX_TOKENS),
        ("validate_every", validation.every, MAX_STEPS),
        (
            "validation_questions",
            validation.questions.unwrap_or(1),
            MAX_LIMIT,
        ),
        (
            "validation_questions_per_chart",
            validation.questions_per_chart.unwrap_or(1),
            MAX_LIMIT,
        ),
        ("patience", validation.patience.unwrap_or(1), MAX_STEPS),
        (
            "lora.rank",
            protocol.lora.as_ref().map_or(1, |lora| lora.rank),
            MAX_RANK,
        ),
    ];
    for (key, count, most) in counts {
        check_count(count, most).map_err(|what| ProtocolFault {
            keys: vec![key],
            what,
        })?;
    }
    Ok(())
}

/// Checks the values that do not depend on the optimiser.
fn check_protocol(protocol: &Protocol) -> Result<(), ProtocolFault> {
    /// Fine-tuning diverges above it; such a value is a typing error in the exponent.
    const HIGHEST_LR: f64 = 1.0;
    check_counts(protocol)?;
    let lr = protocol.lr;
    check(lr > 0.0 && lr <= HIGHEST_LR, &["lr"], || {
        format!("is {lr}: must be above 0 and at most {HIGHEST_LR}, e.g. 1e-4")
    })?;
    let warmup = protocol.schedule.warmup_steps;
    check(warmup < protocol.steps, &["warmup_steps", "steps"], || {
        format!(
            "a warm-up of {warmup} steps does not end within {} steps: shorten it or train longer",
            protocol.steps
        )
    })?;
    check(
        protocol.batch.is_multiple_of(protocol.accumulate),
        &["accumulate", "batch"],
        || {
            format!(
                "a batch of {} does not divide into {} equal parts",
                protocol.batch, protocol.accumulate
            )
        },
    )?;
    let norm_is_fine = protocol
        .clip_norm
        .is_none_or(|norm| norm.is_finite() && norm > 0.0);
    check(norm_is_fine, &["clip_norm"], || {
        "must be above 0, or 0 for no clipping".to_owned()
    })?;
    check(
        (0.0..1.0).contains(&protocol.label_smoothing),
        &["label_smoothing"],
        || "must be at least 0 and below 1".to_owned(),
    )?;
    for (&kind, &weight) in &protocol.weights {
        /// More repetitions of a question an epoch than make sense.
        const HIGHEST: f64 = 1000.0;
        check((0.0..=HIGHEST).contains(&weight), &["weights"], || {
            format!(
                "{} = {weight}: must be from 0 to {HIGHEST}",
                answer_type_name(kind)
            )
        })?;
    }
    check(
        protocol.freeze.iter().all(|name| !name.is_empty()),
        &["freeze"],
        || "an empty name would freeze everything".to_owned(),
    )
}
