//! The learning rate of each step, as transformers' `get_cosine_schedule_with_warmup`,
//! `get_linear_schedule_with_warmup` and `get_constant_schedule_with_warmup`.

use std::f64::consts::PI;

use crate::config::{Protocol, ScheduleKind, ScheduleSpec};

/// Learning rates by step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    spec: ScheduleSpec,
    steps: usize,
    lr: f64,
}

impl Schedule {
    /// A protocol's.
    pub fn new(protocol: &Protocol) -> Self {
        Self {
            spec: protocol.schedule,
            steps: protocol.steps,
            lr: protocol.lr,
        }
    }

    /// The learning rate of the step after `done` finished ones. With a warm-up the first step's is
    /// 0, as in transformers: it only fills the optimiser's moments.
    pub fn lr(&self, done: usize) -> f64 {
        self.lr * self.factor(done)
    }

    fn factor(&self, done: usize) -> f64 {
        let warmup = self.spec.warmup_steps;
        if done < warmup {
            return done as f64 / warmup as f64;
        }
        let falling = self.steps.saturating_sub(warmup).max(1) as f64;
        let progress = (done - warmup) as f64 / falling;
        match self.spec.kind {
            ScheduleKind::Cosine => {
                (0.5 * (1.0 + (PI * self.spec.num_cycles * 2.0 * progress).cos())).max(0.0)
            }
            ScheduleKind::Linear => (self.steps.saturating_sub(done) as f64 / falling).max(0.0),
            ScheduleKind::Constant => 1.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Preset;

    const STEPS: [usize; 12] = [0, 1, 60, 119, 120, 121, 240, 300, 360, 599, 600, 604];

    /// Printed by fixtures/optimizers/make.py (transformers 5.24.0): lr 1e-4, 120 of 600 steps of
    /// warm-up.
    #[test]
    fn rates_are_those_of_transformers() {
        let warmup = [
            0.0,
            8.333333333333333e-07,
            5e-05,
            9.916666666666667e-05,
            0.0001,
        ];
        let cosine = [
            9.999892908320647e-05,
            8.535533905932738e-05,
            6.91341716182545e-05,
            5e-05,
            1.0709167935385455e-09,
            0.0,
            1.7133751222137007e-08,
        ];
        let two_cycles = [
            9.998286624877786e-05,
            0.0,
            4.999999999999999e-05,
            0.0001,
            9.998286624877786e-05,
            0.0001,
            9.972609476841368e-05,
        ];
        let linear = [
            9.979166666666668e-05,
            7.500000000000001e-05,
            6.25e-05,
            5e-05,
            2.0833333333333333e-07,
            0.0,
            0.0,
        ];
        for (kind, num_cycles, after) in [
            (ScheduleKind::Cosine, 0.5, cosine),
            (ScheduleKind::Cosine, 2.0, two_cycles),
            (ScheduleKind::Linear, 0.5, linear),
            (ScheduleKind::Constant, 0.5, [0.0001; 7]),
        ] {
            let mut protocol = Preset::Study.protocol();
            protocol.schedule.kind = kind;
            protocol.schedule.num_cycles = num_cycles;
            let schedule = Schedule::new(&protocol);
            for (step, expected) in STEPS.into_iter().zip(warmup.into_iter().chain(after)) {
                let apart = (schedule.lr(step) - expected).abs();
                assert!(
                    apart <= 1e-15,
                    "{kind} at {step}: {} is not {expected}",
                    schedule.lr(step)
                );
            }
        }
    }

    #[test]
    fn without_warm_up_the_first_step_has_the_highest_rate() {
        let mut protocol = Preset::Study.protocol();
        protocol.schedule.warmup_steps = 0;
        assert_eq!(Schedule::new(&protocol).lr(0), 1e-4);
    }
}
