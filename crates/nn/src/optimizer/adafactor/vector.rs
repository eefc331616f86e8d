//! Adafactor's step of a one-dimensional variable, whose second moment is not factored, on the CPU.

use anyhow::Result;
use candle_core::Tensor;

use super::{Factors, SQUARE_GUARD};
use crate::optimizer::gradient::Gradient;
use crate::optimizer::in_place::with_values;

/// Vectors are short (biases, norms), so that one thread is enough.
pub(super) fn step(
    variable: &Tensor,
    square: &Tensor,
    gradient: &Gradient<'_>,
    factors: Factors,
) -> Result<()> {
    let mut buffer = Vec::new();
    let gradient = gradient.rows(0..gradient.grid.rows, &mut buffer);
    with_values(&[variable, square], &mut |values| {
        let [weights, squares] = values else {
            candle_core::bail!("not two tensors")
        };
        let mut sum = 0f64;
        for (square, gradient) in squares.iter_mut().zip(gradient) {
            let gradient = gradient * factors.scale;
            *square = *square * factors.old + (gradient * gradient + SQUARE_GUARD) * factors.new;
            sum += f64::from(gradient / square.sqrt()).powi(2);
        }
        let divisor = factors.divisor((sum / weights.len() as f64).sqrt());
        let (lr, kept) = (factors.lr as f32, factors.kept());
        for ((weight, square), gradient) in weights.iter_mut().zip(squares.iter()).zip(gradient) {
            let update = gradient * factors.scale / square.sqrt() / divisor * lr;
            *weight = *weight * kept - update;
        }
        Ok(())
    })?;
    Ok(())
}
