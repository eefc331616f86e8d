//! Adafactor's step of a matrix, or of several matrices in one tensor, on the CPU: three passes
//! over the gradient and no temporary of its size.

use std::ops::Range;

use anyhow::Result;
use candle_core::Tensor;
use rayon::prelude::*;

use super::{Factors, SQUARE_GUARD};
use crate::optimizer::gradient::Gradient;
use crate::optimizer::in_place::with_values;
use chartbench_core::isa;

/// Maximum number of bands of a matrix; each band sums all columns.
const BANDS: usize = 64;

/// `rows` [.., R] and `columns` [.., C] are the moments of `variable` [.., R, C].
pub(super) fn step(
    variable: &Tensor,
    rows: &Tensor,
    columns: &Tensor,
    gradient: &Gradient<'_>,
    factors: Factors,
) -> Result<()> {
    let height = rows.dims().last().copied().unwrap_or(1).max(1);
    with_values(&[variable, rows, columns], &mut |values| {
        let [weights, rows, columns] = values else {
            candle_core::bail!("not three tensors")
        };
        let width = gradient.grid.columns;
        if weights.is_empty() {
            return Ok(());
        }
        let matrices = rows
            .chunks_exact_mut(height)
            .zip(columns.chunks_exact_mut(width))
            .enumerate();
        let mut sum = 0.0;
        let mut parts = Vec::new();
        for (index, (rows, columns)) in matrices {
            let matrix = Matrix {
                gradient,
                first: index * height,
                height,
                scale: factors.scale,
            };
            matrix.update_means(rows, columns, factors);
            let (down, across) = roots(rows, columns);
            sum += matrix.sum_of_squared_updates(&down, &across);
            parts.push((matrix, down, across));
        }
        // The root mean square is that of the whole tensor's update, so all matrices are read
        // before any weight changes.
        let divisor = factors.divisor((sum / weights.len() as f64).sqrt());
        for ((matrix, down, across), weights) in
            parts.iter().zip(weights.chunks_exact_mut(height * width))
        {
            matrix.apply(weights, down, across, divisor, factors);
        }
        Ok(())
    })?;
    Ok(())
}

/// The inverse roots of the row and column factors of the second moment; the factors' product is a
/// value's moment.
fn roots(rows: &[f32], columns: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let mean = (rows.iter().map(|&row| f64::from(row)).sum::<f64>() / rows.len() as f64) as f32;
    let down = rows.iter().map(|row| (row / mean).sqrt().recip()).collect();
    let across = columns.iter().map(|column| column.sqrt().recip()).collect();
    (down, across)
}

/// One matrix of a gradient.
struct Matrix<'a> {
    gradient: &'a Gradient<'a>,
    /// Its first row among the gradient's.
    first: usize,
    height: usize,
    scale: f32,
}

impl Matrix<'_> {
    /// Ranges of rows, of the same size for the same shape on every machine.
    fn bands(&self) -> Vec<Range<usize>> {
        let size = self
            .gradient
            .grid
            .block_rows()
            .max(self.height.div_ceil(BANDS));
        (0..self.height)
            .step_by(size)
            .map(|start| start..(start + size).min(self.height))
            .collect()
    }

    /// Calls `each` with every row of a band and its index in the matrix.
    fn for_each_row(
        &self,
        band: Range<usize>,
        buffer: &mut Vec<f32>,
        mut each: impl FnMut(usize, &[f32]),
    ) {
        for block in self.gradient.grid.blocks(band) {
            let rows = self.first + block.start..self.first + block.end;
            let values = self.gradient.rows(rows, buffer);
            for (row, line) in block.zip(values.chunks_exact(self.gradient.grid.columns)) {
                each(row, line);
            }
        }
    }

    fn update_means(&self, rows: &mut [f32], columns: &mut [f32], factors: Factors) {
        let width = columns.len();
        let sums: Vec<(Vec<f64>, Vec<f64>)> = self
            .bands()
            .into_par_iter()
            .map_init(Vec::new, |buffer, band| {
                let (mut down, mut across) = (Vec::with_capacity(band.len()), vec![0f64; width]);
                self.for_each_row(band, buffer, |_, line| {
                    down.push(add_squares(line, self.scale, &mut across))
                });
                (down, across)
            })
            .collect();
        let mix = |old: &mut f32, mean: f64| *old = *old * factors.old + mean as f32 * factors.new;
        for (row, sum) in rows.iter_mut().zip(sums.iter().flat_map(|(down, _)| down)) {
            mix(row, sum / width as f64);
        }
        for (index, column) in columns.iter_mut().enumerate() {
            let sum: f64 = sums
                .iter()
                .filter_map(|(_, across)| across.get(index))
                .sum();
            mix(column, sum / self.height as f64);
        }
    }

    fn sum_of_squared_updates(&self, down: &[f32], across: &[f32]) -> f64 {
        let sums: Vec<f64> = self
            .bands()
            .into_par_iter()
            .map_init(Vec::new, |buffer, band| {
                let mut sum = 0.0;
                self.for_each_row(band, buffer, |row, line| {
                    sum += squared_updates(line, self.scale, down[row], across)
                });
                sum
            })
            .collect();
        sums.iter().sum()
    }

    fn apply(
        &self,
        weights: &mut [f32],
        down: &[f32],
        across: &[f32],
        divisor: f32,
        factors: Factors,
    ) {
        let width = across.len();
        let bands = self.bands();
        let size = bands.first().map_or(1, ExactSizeIterator::len) * width;
        let update_factors = UpdateFactors {
            scale: self.scale,
            divisor,
            lr: factors.lr as f32,
            kept: factors.kept(),
        };
        weights.par_chunks_mut(size).zip_eq(bands).for_each_init(
            Vec::new,
            |buffer, (weights, band)| {
                let mut lines = weights.chunks_exact_mut(width);
                self.for_each_row(band, buffer, |row, line| {
                    if let Some(weights) = lines.next() {
                        update_row(weights, line, down[row], across, update_factors);
                    }
                });
            },
        );
    }
}

/// Adds a row's squares to the column sums and returns their sum.
fn add_squares(line: &[f32], scale: f32, across: &mut [f64]) -> f64 {
    isa::arch().dispatch(|| {
        let mut sum = [0f64; 4];
        for (line, across) in line.chunks(4).zip(across.chunks_mut(4)) {
            for ((sum, column), gradient) in sum.iter_mut().zip(across).zip(line) {
                let gradient = gradient * scale;
                let square = f64::from(gradient * gradient + SQUARE_GUARD);
                *sum += square;
                *column += square;
            }
        }
        sum.iter().sum()
    })
}

fn squared_updates(line: &[f32], scale: f32, down: f32, across: &[f32]) -> f64 {
    isa::arch().dispatch(|| {
        let mut sum = [0f64; 4];
        for (line, across) in line.chunks(4).zip(across.chunks(4)) {
            for ((sum, column), gradient) in sum.iter_mut().zip(across).zip(line) {
                let update = f64::from(down * column * (gradient * scale));
                *sum += update * update;
            }
        }
        sum.iter().sum()
    })
}

/// The factors of an update that are the same for all values.
#[derive(Clone, Copy)]
struct UpdateFactors {
    scale: f32,
    divisor: f32,
    lr: f32,
    kept: f32,
}

fn update_row(
    weights: &mut [f32],
    line: &[f32],
    down: f32,
    across: &[f32],
    update_factors: UpdateFactors,
) {
    isa::arch().dispatch(|| {
        for ((weight, column), gradient) in weights.iter_mut().zip(across).zip(line) {
            let update = down * column * (gradient * update_factors.scale) / update_factors.divisor
                * update_factors.lr;
            *weight = *weight * update_factors.kept - update;
        }
    })
}
