//! Products with weights in GGML's Q8_0 (blocks of 32 values of 8 bits with a scale), on processors
//! with AVX2 or AVX-512 VNNI. Elsewhere candle multiplies them.
//!
//! The left operand is rounded to 8 bits in the same blocks, row by row. A block's products are
//! whole numbers and exact; blocks are added up in f32 from first to last, whichever rows share the
//! pass and whichever kernel multiplies.

#[cfg(target_arch = "x86_64")]
mod native;

#[cfg(not(target_arch = "x86_64"))]
use missing as native;
#[cfg(test)]
mod tests;

use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{CpuStorage, CustomOp1, CustomOp2, Device, Layout, Result, Shape, Tensor};
use rayon::prelude::*;

use super::linear::in_blocks;
use super::{Matrix, PARALLEL_FROM, matrix};
use native::Kernel;

/// Values of a block.
const BLOCK: usize = 32;
/// Bytes of a block in Q8_0: its scale as f16, then its values.
const STORED: usize = 34;
/// Output columns of a panel: lanes of a vector.
const WIDTH: usize = 16;
/// Words of values in a panel's block, four bytes of a column each.
const VALUES: usize = BLOCK / 4 * WIDTH;
/// Words of a panel's block: values, then a scale for each column.
const PANEL_BLOCK: usize = VALUES + WIDTH;
/// Rows of a task in [`many_rows`].
const TASK_ROWS: usize = 96;
/// With at least this many rows, tasks split the rows; otherwise the columns.
const MANY_ROWS: usize = 64;
/// Panels of a task in [`few_rows`].
const TASK_PANELS: usize = 4;

/// A weight [out, in] on the CPU as panels of 16 columns, `[out / 16][in / 32]` blocks, each the
/// bytes `[8][16][4]`, offset by 128, and `[16]` scales. Zeros fill the last panel.
pub struct PackedQ8 {
    words: Vec<u32>,
    inner: usize,
    columns: usize,
}

impl std::fmt::Debug for PackedQ8 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PackedQ8({}x{})", self.columns, self.inner)
    }
}

impl PackedQ8 {
    /// Packs a weight in Q8_0 on the CPU; `None` for other weights and on processors without the
    /// instructions.
    ///
    /// # Errors
    /// Returns an error if its bytes cannot be read.
    pub(super) fn new(weight: &QTensor) -> Result<Option<Self>> {
        if weight.dtype() != GgmlDType::Q8_0
            || !weight.device().is_cpu()
            || Kernel::current().is_none()
        {
            return Ok(None);
        }
        let (columns, inner) = weight.shape().dims2()?;
        let stored = weight.data()?;
        let blocks = inner / BLOCK;
        let mut words = vec![0u32; columns.div_ceil(WIDTH) * blocks * PANEL_BLOCK];
        if !words.is_empty() {
            let panels = words
                .par_chunks_mut(blocks * PANEL_BLOCK)
                .zip(stored.par_chunks(WIDTH * blocks * STORED));
            panels.for_each(|(panel, rows)| {
                for (column, row) in rows.chunks_exact(blocks * STORED).enumerate() {
                    for (block, stored) in panel
                        .chunks_exact_mut(PANEL_BLOCK)
                        .zip(row.chunks_exact(STORED))
                    {
                        let scale = half::f16::from_le_bytes([stored[0], stored[1]]).to_f32();
                        block[VALUES + column] = scale.to_bits();
                        for (word, bytes) in block[column..VALUES]
                            .iter_mut()
                            .step_by(WIDTH)
                            .zip(stored[2..].as_chunks().0)
                        {
                            *word = u32::from_le_bytes(*bytes) ^ 0x8080_8080;
                        }
                    }
                }
            });
        }
        Ok(Some(Self {
            words,
            inner,
            columns,
        }))
    }

    /// The values as f32 [out, in].
    ///
    /// # Errors
    /// Returns an error if candle cannot make the tensor.
    pub(super) fn full(&self) -> Result<Tensor> {
        let blocks = self.inner / BLOCK;
        let mut full = vec![0f32; self.columns * self.inner];
        for (index, values) in full.chunks_exact_mut(BLOCK).enumerate() {
            let (column, block) = (index / blocks, index % blocks);
            let block =
                &self.words[(column / WIDTH * blocks + block) * PANEL_BLOCK..][..PANEL_BLOCK];
            let column = column % WIDTH;
            let scale = f32::from_bits(block[VALUES + column]);
            let bytes = block[column..VALUES]
                .iter()
                .step_by(WIDTH)
                .flat_map(|word| (word ^ 0x8080_8080).to_le_bytes());
            values
                .iter_mut()
                .zip(bytes)
                .for_each(|(value, byte)| *value = scale * f32::from(byte as i8));
        }
        Tensor::from_vec(full, (self.columns, self.inner), &Device::Cpu)
    }

    /// Bytes in memory.
    pub(super) fn bytes(&self) -> usize {
        size_of_val(self.words.as_slice())
    }

    /// Outputs and inputs.
    pub(super) fn dims(&self) -> (usize, usize) {
        (self.columns, self.inner)
    }
}

/// The products of the same rows with weights of one shape, one below the other. Each is a single
/// weight, or the two of a gated GELU.
pub(super) struct Q8Linear<'a, const W: usize>(pub(super) &'a [[&'a PackedQ8; W]]);

impl<const W: usize> CustomOp1 for Q8Linear<'_, W> {
    fn name(&self) -> &'static str {
        "block-linear"
    }

    fn cpu_fwd(&self, x: &CpuStorage, xl: &Layout) -> Result<(CpuStorage, Shape)> {
        products(matrix(x, xl)?, self.0, None, self.name())
    }
}

/// The product with a weight, added to the second argument.
pub(super) struct Q8LinearAdd<'a>(pub(super) &'a PackedQ8);

impl CustomOp2 for Q8LinearAdd<'_> {
    fn name(&self) -> &'static str {
        "block-linear-onto"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        xl: &Layout,
        onto: &CpuStorage,
        ol: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let onto = matrix(onto, ol)?.values;
        products(matrix(x, xl)?, &[[self.0]], Some(onto), self.name())
    }
}

fn products<const W: usize>(
    x: Matrix,
    weights: &[[&PackedQ8; W]],
    onto: Option<&[f32]>,
    name: &str,
) -> Result<(CpuStorage, Shape)> {
    let Matrix {
        rows,
        columns: inner,
        ..
    } = x;
    let Some(columns) = weights.first().map(|weight| weight[0].columns) else {
        candle_core::bail!("{name}: no weight")
    };
    if let Some(weight) = weights
        .iter()
        .flatten()
        .find(|weight| weight.inner != inner || weight.columns != columns)
    {
        candle_core::bail!("{name}: weight {weight:?} does not fit input {rows}x{inner}");
    }
    let mut out = match onto {
        None => vec![0f32; weights.len() * rows * columns],
        Some(onto) if onto.len() == rows * columns => onto.to_vec(),
        Some(onto) => {
            candle_core::bail!("{name}: {} values do not fit {rows}x{columns}", onto.len())
        }
    };
    if !out.is_empty() && inner > 0 {
        let Some(kernel) = Kernel::current() else {
            candle_core::bail!("{name}: this processor has no kernel for it")
        };
        let weights: Vec<[&[u32]; W]> = weights
            .iter()
            .map(|weight| weight.map(|weight| &*weight.words))
            .collect();
        if rows >= MANY_ROWS {
            many_rows(kernel, x, &weights, columns, onto.is_some(), &mut out);
        } else {
            let lhs = PackedLhs::new(kernel, x.values, inner);
            for (weights, out) in weights.iter().zip(out.chunks_exact_mut(rows * columns)) {
                few_rows(&lhs, *weights, columns, onto.is_some(), out);
            }
        }
    }
    Ok((
        CpuStorage::F32(out),
        Shape::from((weights.len() * rows, columns)),
    ))
}

/// Multiplies in tasks of [`TASK_ROWS`] rows and all columns.
fn many_rows<const W: usize>(
    kernel: Kernel,
    x: Matrix,
    weights: &[[&[u32]; W]],
    columns: usize,
    onto: bool,
    out: &mut [f32],
) {
    let Matrix {
        values: x,
        rows,
        columns: inner,
    } = x;
    let of_panel = inner / BLOCK * PANEL_BLOCK;
    let task = TASK_ROWS.min(
        rows.div_ceil(rayon::current_num_threads())
            .next_multiple_of(kernel.group()),
    );
    let tasks = in_blocks(out, rows * columns, task * columns)
        .into_par_iter()
        .zip(x.par_chunks(task * inner));
    tasks.for_each(|(outs, x)| {
        let lhs = PackedLhs::new(kernel, x, inner);
        for (weights, out) in weights.iter().zip(outs) {
            let weights = *weights;
            kernel.run(Task {
                lhs: &lhs,
                weights,
                of_panel,
                out,
                row: columns,
                panel: WIDTH,
                columns,
                onto,
            });
        }
    });
}

/// Multiplies in tasks of [`TASK_PANELS`] panels and all rows.
fn few_rows<const W: usize>(
    lhs: &PackedLhs,
    weights: [&[u32]; W],
    columns: usize,
    onto: bool,
    out: &mut [f32],
) {
    let &PackedLhs {
        kernel,
        rows,
        inner,
        ..
    } = lhs;
    let of_panel = inner / BLOCK * PANEL_BLOCK;
    // [panels][rows][16]: a task's outputs lie together.
    let mut by_panel = vec![0f32; columns.div_ceil(WIDTH) * rows * WIDTH];
    let task = |(index, out): (usize, &mut [f32])| {
        let first = index * TASK_PANELS * of_panel;
        let weights =
            weights.map(|words| &words[first..words.len().min(first + TASK_PANELS * of_panel)]);
        let columns = out.len() / rows;
        kernel.run(Task {
            lhs,
            weights,
            of_panel,
            out,
            row: WIDTH,
            panel: rows * WIDTH,
            columns,
            onto: false,
        });
    };
    let of_task = TASK_PANELS * rows * WIDTH;
    if rows * inner * columns < PARALLEL_FROM {
        by_panel.chunks_mut(of_task).enumerate().for_each(task);
    } else {
        by_panel.par_chunks_mut(of_task).enumerate().for_each(task);
    }
    for (panel, of_panel) in by_panel.chunks_exact(rows * WIDTH).enumerate() {
        for (out, row) in out
            .chunks_exact_mut(columns)
            .zip(of_panel.chunks_exact(WIDTH))
        {
            let range = panel * WIDTH..columns.min((panel + 1) * WIDTH);
            for (out, value) in out[range].iter_mut().zip(row) {
                *out = if onto { *out + value } else { *value };
            }
        }
    }
}

/// Rows rounded to 8 bits, in groups that share a pass over the weight.
struct PackedLhs {
    kernel: Kernel,
    rows: usize,
    inner: usize,
    groups: Vec<Group>,
}

struct Group {
    /// [`Kernel::group`], or 1.
    rows: usize,
    /// `[blocks]` of the values as the kernel takes them (`[words][rows]`), `[rows]` corrections
    /// for the weights' offset of 128, and `[rows]` scales.
    words: Vec<u32>,
}

impl PackedLhs {
    fn new(kernel: Kernel, x: &[f32], inner: usize) -> Self {
        let (rows, group) = (x.len() / inner, kernel.group());
        let whole = rows / group * group;
        let sizes = (0..whole)
            .step_by(group)
            .map(|first| (first, group))
            .chain((whole..rows).map(|row| (row, 1)));
        let pack = |(first, rows)| Group {
            rows,
            words: kernel.round(&x[first * inner..][..rows * inner], rows),
        };
        Self {
            kernel,
            rows,
            inner,
            groups: sizes.map(pack).collect(),
        }
    }
}

/// Some rows against some panels. `row` and `panel` are the strides of rows and panels in `out`.
struct Task<'a, const W: usize> {
    lhs: &'a PackedLhs,
    weights: [&'a [u32]; W],
    of_panel: usize,
    out: &'a mut [f32],
    row: usize,
    panel: usize,
    columns: usize,
    /// Whether the product is added to the values of `out`.
    onto: bool,
}

/// Rounds rows' values to bytes, block by block; see [`Group::words`]. `pack` makes the words of
/// four values.
#[inline(always)]
fn round_rows<const N: usize>(
    x: &[f32],
    rows: usize,
    words: &mut [u32],
    pack: impl Fn([i8; 4]) -> [u32; N],
) {
    /// Adding 1.5 · 2^23 rounds to a whole number, ties to even, and leaves it in the low bits.
    const ROUND: f32 = 12_582_912.0;
    const SIZE: u32 = 0x7fff_ffff;
    const INFINITE: u32 = 0x7f80_0000;
    let inner = x.len() / rows;
    let values_words = BLOCK / 4 * N;
    for (row, x) in x.chunks_exact(inner).enumerate() {
        for (values, words) in x
            .as_chunks::<BLOCK>()
            .0
            .iter()
            .zip(words.chunks_exact_mut((values_words + 2) * rows))
        {
            // Magnitudes order as their bits do; NaN and infinity have larger bits than any finite
            // value.
            let largest = values
                .iter()
                .fold(0, |largest, value| largest.max(value.to_bits() & SIZE));
            let scale = f32::from_bits(largest) / 127.0;
            let steps = if largest > 0 { 1.0 / scale } else { 0.0 };
            let whole = values.map(|value| (value * steps + ROUND).to_bits() as i8);
            let sum: i32 = whole.iter().map(|whole| i32::from(*whole)).sum();
            for (index, four) in whole.as_chunks::<4>().0.iter().enumerate() {
                for (word, packed) in pack(*four).into_iter().enumerate() {
                    words[(index * N + word) * rows + row] = packed;
                }
            }
            words[values_words * rows + row] = (-128 * sum) as u32;
            // NaN or infinity in the values makes the sums NaN.
            let scale = if largest < INFINITE { scale } else { f32::NAN };
            words[(values_words + 1) * rows + row] = scale.to_bits();
        }
    }
}

/// Other architectures have no such kernel yet.
#[cfg(not(target_arch = "x86_64"))]
mod missing {
    use super::Task;

    #[derive(Clone, Copy)]
    pub(super) enum Kernel {}

    impl Kernel {
        pub(super) fn current() -> Option<Self> {
            None
        }

        pub(super) fn group(self) -> usize {
            match self {}
        }

        pub(super) fn round(self, _: &[f32], _: usize) -> Vec<u32> {
            match self {}
        }

        pub(super) fn run<const W: usize>(self, _: Task<'_, W>) {
            match self {}
        }
    }
}
