//! Initial weights of a model that is trained from scratch.

use std::cell::RefCell;

use anyhow::Result;
use candle_core::{Device, Tensor};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use crate::loading::TensorSource;

/// The distribution of a tensor's initial values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum InitDistribution {
    /// One value everywhere.
    Constant(f64),
    /// Normal around zero with this standard deviation.
    Normal(f64),
    /// Normal likewise, with zeros in the row of this index.
    NormalExceptRow(f64, usize),
}

/// The distribution for the tensor of a name and shape.
pub type InitRule<'a> = dyn Fn(&str, &[usize]) -> InitDistribution + 'a;

/// A source of initial weights by an architecture's rule, drawn from a seeded generator in the
/// order of the requests.
pub struct InitSource<'a> {
    rule: &'a InitRule<'a>,
    generator: RefCell<ChaCha8Rng>,
    device: Device,
}

impl<'a> InitSource<'a> {
    /// A source that draws values by `rule` from `seed`, as f32 tensors on `device`.
    pub fn new(rule: &'a InitRule<'a>, seed: u64, device: &Device) -> Self {
        Self {
            rule,
            generator: RefCell::new(ChaCha8Rng::seed_from_u64(seed)),
            device: device.clone(),
        }
    }

    fn normal(&self, count: usize, deviation: f64) -> Vec<f32> {
        let mut generator = self.generator.borrow_mut();
        let mut values = Vec::with_capacity(count);
        for _ in 0..count {
            let value: f64 = StandardNormal.sample(&mut *generator);
            values.push((value * deviation) as f32);
        }
        values
    }
}

impl TensorSource for InitSource<'_> {
    /// Weights that a model can tie stay tied.
    fn contains(&self, _: &str) -> bool {
        false
    }

    fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        let count = shape.iter().product();
        let values = match (self.rule)(name, shape) {
            InitDistribution::Constant(value) => vec![value as f32; count],
            InitDistribution::Normal(deviation) => self.normal(count, deviation),
            InitDistribution::NormalExceptRow(deviation, row) => {
                let mut values = self.normal(count, deviation);
                let width = shape.last().copied().unwrap_or(0);
                values
                    .iter_mut()
                    .skip(row * width)
                    .take(width)
                    .for_each(|value| *value = 0.0);
                values
            }
        };
        Ok(Tensor::from_vec(values, shape, &self.device)?)
    }

    fn device(&self) -> &Device {
        &self.device
    }
}
