//! Weights of a model that has learned nothing yet.

use std::cell::RefCell;

use anyhow::Result;
use candle_core::{Device, Tensor};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use crate::loading::Source;

/// How a tensor's values begin.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Start {
    /// All the same.
    Constant(f64),
    /// Normally distributed around zero with this standard deviation.
    Normal(f64),
    /// Likewise, but one row of zeros.
    NormalButRow(f64, usize),
}

/// How the tensor of a name and shape begins.
pub type Rule<'a> = dyn Fn(&str, &[usize]) -> Start + 'a;

/// A source of weights as an architecture's rule begins them, drawn from a seeded generator in the order they are asked
/// for.
pub struct Initial<'a> {
    rule: &'a Rule<'a>,
    generator: RefCell<ChaCha8Rng>,
    device: Device,
}

impl<'a> Initial<'a> {
    /// Nothing is drawn yet.
    pub fn new(rule: &'a Rule<'a>, seed: u64, device: &Device) -> Self {
        Self { rule, generator: RefCell::new(ChaCha8Rng::seed_from_u64(seed)), device: device.clone() }
    }
}

impl Source for Initial<'_> {
    /// What a model ties where it can stays tied.
    fn contains(&self, _: &str) -> bool {
        false
    }

    fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        let count = shape.iter().product();
        let normal = |deviation: f64| -> Vec<f32> {
            let mut generator = self.generator.borrow_mut();
            let draw = |_| {
                let value: f64 = StandardNormal.sample(&mut *generator);
                (value * deviation) as f32
            };
            (0..count).map(draw).collect()
        };
        let values = match (self.rule)(name, shape) {
            Start::Constant(value) => vec![value as f32; count],
            Start::Normal(deviation) => normal(deviation),
            Start::NormalButRow(deviation, row) => {
                let mut values = normal(deviation);
                let width = shape.last().copied().unwrap_or(0);
                values.iter_mut().skip(row * width).take(width).for_each(|value| *value = 0.0);
                values
            }
        };
        Ok(Tensor::from_vec(values, shape, &self.device)?)
    }

    fn device(&self) -> &Device {
        &self.device
    }
}
