//! LoRA (Hu et al., arXiv 2106.09685): beside a frozen weight `W` [out, in] two small matrices are
//! trained, and the model computes with `W + alpha / rank · B A`.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use candle_core::{Device, Tensor, Var};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The low-rank factors beside some weights.
#[derive(Debug)]
pub(super) struct LoraFactors {
    /// The names of A [rank, in] and B [out, rank] by the name of their weight.
    pairs: BTreeMap<String, (String, String)>,
    factors: BTreeMap<String, Var>,
    scale: f64,
}

impl LoraFactors {
    /// Makes factors for every matrix among `weights` whose name contains one of `targets`: A
    /// uniform within 1 / sqrt(in), B zero, so that the model begins unchanged.
    ///
    /// # Errors
    /// Returns an error if there is no such matrix.
    pub(super) fn new(
        weights: &BTreeMap<String, Var>,
        rank: usize,
        alpha: f64,
        targets: &[String],
        seed: u64,
        device: &Device,
    ) -> Result<Self> {
        let mut generator = ChaCha8Rng::seed_from_u64(seed);
        let (mut pairs, mut factors) = (BTreeMap::new(), BTreeMap::new());
        for (name, weight) in weights {
            let &[out, inner] = weight.dims() else {
                continue;
            };
            if !targets.iter().any(|target| name.contains(target.as_str())) {
                continue;
            }
            let bound = (inner as f32).powf(-0.5);
            let values: Vec<f32> = (0..rank * inner)
                .map(|_| generator.random_range(-bound..bound))
                .collect();
            let a = Var::from_tensor(&Tensor::from_vec(values, (rank, inner), device)?)?;
            let b = Var::from_tensor(&Tensor::zeros(
                (out, rank),
                candle_core::DType::F32,
                device,
            )?)?;
            let names = (format!("{name}.lora_A"), format!("{name}.lora_B"));
            factors.insert(names.0.clone(), a);
            factors.insert(names.1.clone(), b);
            pairs.insert(name.clone(), names);
        }
        ensure!(
            !pairs.is_empty(),
            "no weight matrix has {} in its name",
            targets.join(" or ")
        );
        Ok(Self {
            pairs,
            factors,
            scale: alpha / rank as f64,
        })
    }

    pub(super) fn factors(&self) -> impl Iterator<Item = (&str, &Var)> {
        self.factors
            .iter()
            .map(|(name, factor)| (name.as_str(), factor))
    }

    /// The weight of a name as the model computes with it, inside the graph of its factors.
    pub(super) fn merge(&self, name: &str, weight: Tensor) -> Result<Tensor> {
        let factors = self
            .pairs
            .get(name)
            .and_then(|(a, b)| Some((self.factors.get(a)?, self.factors.get(b)?)));
        let Some((a, b)) = factors else {
            return Ok(weight);
        };
        Ok((weight + (b.matmul(a)? * self.scale)?)?)
    }
}
