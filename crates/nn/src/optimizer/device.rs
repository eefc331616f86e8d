//! Optimiser steps as candle operations, for devices other than the CPU.

use anyhow::{Result, bail};
use candle_core::{D, Tensor, Var};

use super::adafactor::{self, SQUARE_GUARD};
use super::adamw;
use super::moments::VariableMoments;

/// One step of AdamW.
pub(super) fn adamw(
    variable: &Var,
    moments: &mut VariableMoments,
    gradient: &Tensor,
    factors: adamw::Factors,
) -> Result<()> {
    let [mean, square] = moments.tensors.as_mut_slice() else {
        bail!("not the moments of AdamW")
    };
    let [new, new_square] = factors.new.map(f64::from);
    let gradient = (gradient.detach() * f64::from(factors.scale))?;
    *mean = (&*mean + ((&gradient - &*mean)? * new)?)?;
    *square = ((&*square * f64::from(factors.beta2))? + (gradient.sqr()? * new_square)?)?;
    let divisor = ((square.sqrt()? / f64::from(factors.root))? + f64::from(factors.eps))?;
    let update = ((&*mean / divisor)? * f64::from(factors.step_size))?;
    variable.set(&((variable.as_detached_tensor() * f64::from(factors.kept))? - update)?)?;
    Ok(())
}

/// One step of Adafactor.
pub(super) fn adafactor(
    variable: &Var,
    moments: &mut VariableMoments,
    gradient: &Tensor,
    factors: adafactor::Factors,
) -> Result<()> {
    let gradient = (gradient.detach() * f64::from(factors.scale))?;
    let squares = (gradient.sqr()? + f64::from(SQUARE_GUARD))?;
    let mix = |old: &Tensor, new: &Tensor| -> Result<Tensor> {
        Ok(((old * f64::from(factors.old))? + (new * f64::from(factors.new))?)?)
    };
    let update = match moments.tensors.as_mut_slice() {
        [rows, columns] => {
            *rows = mix(rows, &squares.mean(D::Minus1)?)?;
            *columns = mix(columns, &squares.mean(D::Minus2)?)?;
            let down = rows
                .broadcast_div(&rows.mean_keepdim(D::Minus1)?)?
                .sqrt()?
                .recip()?
                .unsqueeze(D::Minus1)?;
            let across = columns.sqrt()?.recip()?.unsqueeze(D::Minus2)?;
            (down.broadcast_mul(&across)? * gradient)?
        }
        [square] => {
            *square = mix(square, &squares)?;
            (gradient / square.sqrt()?)?
        }
        _ => bail!("not the moments of Adafactor"),
    };
    let mean = f64::from(update.sqr()?.mean_all()?.to_scalar::<f32>()?);
    let update = ((update / f64::from(factors.divisor(mean.sqrt())))? * factors.lr)?;
    variable.set(&((variable.as_detached_tensor() * f64::from(factors.kept()))? - update)?)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use rand_distr::StandardNormal;

    use super::*;
    use crate::assert_close::{Tolerance, compare};
    use crate::optimizer::{
        Adafactor, AdafactorOptions, AdamW, AdamWOptions, Optimizer, Variables,
    };

    /// Steps of two copies of a variable, one by `fused`, one by `composed`: they end at the same
    /// values.
    fn agree(
        shape: &[usize],
        fused: &mut dyn Optimizer,
        mut composed: impl FnMut(&Var, u32, &Tensor),
    ) {
        let mut draws = ChaCha8Rng::seed_from_u64(5);
        let mut normal = || {
            let values: Vec<f32> = (0..shape.iter().product())
                .map(|_| draws.sample(StandardNormal))
                .collect();
            Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
        };
        let start = normal();
        let variables = Variables::from([("a".to_owned(), Var::from_tensor(&start).unwrap())]);
        let other = Var::from_tensor(&start).unwrap();
        for step in 1..=5 {
            let gradient = normal();
            let mut gradients = variables["a"].sum_all().unwrap().backward().unwrap();
            gradients.insert(&variables["a"], gradient.clone());
            fused.step(&variables, &gradients, 1e-2, 0.5).unwrap();
            composed(&other, step, &gradient);
        }
        let (found, golden) = (
            variables["a"].as_detached_tensor(),
            other.as_detached_tensor(),
        );
        compare(&found, &golden, Tolerance::Absolute(1e-5))
            .unwrap_or_else(|fault| panic!("{shape:?}: {fault}"));
    }

    #[test]
    fn both_ways_of_a_step_agree() {
        for shape in [vec![40], vec![300, 70], vec![2, 30, 20]] {
            let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
            let spec = AdamWOptions {
                betas: [0.9, 0.999],
                eps: 1e-8,
                weight_decay: 0.01,
            };
            let mut moments = VariableMoments {
                step: 0,
                tensors: vec![zeros(&shape), zeros(&shape)],
            };
            agree(&shape, &mut AdamW::new(spec), |variable, step, gradient| {
                let factors = adamw::factors(&spec, step, 1e-2, 0.5);
                adamw(variable, &mut moments, gradient, factors).unwrap();
            });
            let spec = AdafactorOptions {
                relative_step: false,
                scale_parameter: false,
                warmup_init: false,
                clip_threshold: 1.0,
                decay_rate: -0.8,
                weight_decay: 0.1,
            };
            let moments = adafactor::moment_shapes(&shape)
                .iter()
                .map(|(_, shape)| zeros(shape))
                .collect();
            let mut moments = VariableMoments {
                step: 0,
                tensors: moments,
            };
            agree(
                &shape,
                &mut Adafactor::new(spec),
                |variable, step, gradient| {
                    let factors = adafactor::factors(&spec, step, 1e-2, 0.5, 0.0);
                    adafactor(variable, &mut moments, gradient, factors).unwrap();
                },
            );
        }
    }
}
