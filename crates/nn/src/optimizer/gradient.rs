//! Reads gradients by blocks of rows, in any memory layout.

use std::ops::Range;

use anyhow::{Context, Result, ensure};
use candle_core::{CpuStorage, Layout, Storage, Tensor};

/// Values a task works on at a time: they fit the second-level cache with the variable and its
/// moments.
const BLOCK: usize = 1 << 14;
/// Columns read side by side when a transposed gradient is gathered: as many as fill a cache line
/// when written.
const TILE: usize = 16;

/// A tensor as a matrix: the last dimension gives the columns, all others the rows. A tensor of
/// fewer than two dimensions is a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Grid {
    pub rows: usize,
    pub columns: usize,
}

impl Grid {
    pub(super) fn from_dims(dims: &[usize]) -> Self {
        match dims {
            [] => Self {
                rows: 1,
                columns: 1,
            },
            [count] => Self {
                rows: *count,
                columns: 1,
            },
            [rows @ .., columns] => Self {
                rows: rows.iter().product(),
                columns: *columns,
            },
        }
    }

    /// Rows of one block; the same for the same shape on every machine.
    pub(super) fn block_rows(self) -> usize {
        (BLOCK / self.columns.max(1)).max(1)
    }

    /// The blocks of `rows`, in order.
    pub(super) fn blocks(self, rows: Range<usize>) -> impl Iterator<Item = Range<usize>> {
        let step = self.block_rows();
        rows.clone()
            .step_by(step)
            .map(move |start| start..(start + step).min(rows.end))
    }
}

/// A gradient on the CPU that is contiguous, or any matrix: the gradient of a weight that was used
/// transposed is a transposed view, and copying it whole would cost a pass over memory.
pub(super) struct Gradient<'a> {
    values: &'a [f32],
    pub grid: Grid,
    /// Distance of neighbours down and across; `None` where rows follow each other.
    strides: Option<(usize, usize)>,
}

impl<'a> Gradient<'a> {
    fn new(storage: &'a Storage, layout: &Layout) -> Result<Self> {
        let Storage::Cpu(CpuStorage::F32(values)) = storage else {
            anyhow::bail!("a gradient is not f32 on the CPU")
        };
        let values = &values[layout.start_offset()..];
        let strides = match (layout.is_contiguous(), layout.stride()) {
            (true, _) => None,
            (false, &[down, across]) => Some((down, across)),
            (false, _) => anyhow::bail!("a gradient is neither contiguous nor a matrix"),
        };
        Ok(Self {
            values,
            grid: Grid::from_dims(layout.dims()),
            strides,
        })
    }

    /// The values of `rows`, row after row; `buffer` holds them if they have to be gathered.
    pub(super) fn rows<'b>(&'b self, rows: Range<usize>, buffer: &'b mut Vec<f32>) -> &'b [f32] {
        let columns = self.grid.columns;
        let Some((down, across)) = self.strides else {
            return &self.values[rows.start * columns..rows.end * columns];
        };
        buffer.resize(rows.len() * columns, 0.0);
        for first in (0..columns).step_by(TILE) {
            let tile = first..(first + TILE).min(columns);
            for (line, row) in buffer.chunks_exact_mut(columns).zip(rows.clone()) {
                for column in tile.clone() {
                    line[column] = self.values[row * down + column * across];
                }
            }
        }
        buffer
    }
}

/// Calls `body` with the gradient `tensor` of a variable of the shape `dims`.
///
/// # Errors
/// Returns an error if the gradient has another shape or is not f32, or if `body` fails.
pub(super) fn with_gradient<T>(
    tensor: &Tensor,
    dims: &[usize],
    body: impl FnOnce(&Gradient<'_>) -> Result<T>,
) -> Result<T> {
    ensure!(
        tensor.dims() == dims,
        "its gradient has the shape {:?}, not {dims:?}",
        tensor.dims()
    );
    let copied;
    let tensor = if tensor.is_contiguous() || tensor.rank() == 2 {
        tensor
    } else {
        copied = tensor.contiguous().context("cannot copy its gradient")?;
        &copied
    };
    let (storage, layout) = tensor.storage_and_layout();
    body(&Gradient::new(&storage, layout)?)
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};

    use super::*;

    fn read(tensor: &Tensor) -> Vec<f32> {
        with_gradient(tensor, tensor.dims(), |gradient| {
            let mut all = Vec::new();
            let mut buffer = Vec::new();
            for block in gradient.grid.blocks(0..gradient.grid.rows) {
                all.extend_from_slice(gradient.rows(block, &mut buffer));
            }
            Ok(all)
        })
        .unwrap()
    }

    #[test]
    fn any_layout_reads_in_the_order_of_its_rows() {
        let count = 3 * BLOCK + 50;
        let values = Tensor::arange(0f32, count as f32, &Device::Cpu).unwrap();
        let wide = values
            .narrow(0, 1, 300 * 150)
            .unwrap()
            .reshape((300, 150))
            .unwrap();
        for tensor in [
            values.clone(),
            wide.clone(),
            wide.t().unwrap(),
            wide.narrow(1, 3, 37).unwrap(),
            wide.narrow(0, 3, 1)
                .unwrap()
                .broadcast_as((5, 150))
                .unwrap(),
            wide.reshape((3, 100, 150))
                .unwrap()
                .transpose(0, 2)
                .unwrap(),
            wide.get(0).unwrap().get(0).unwrap(),
        ] {
            assert_eq!(
                read(&tensor),
                tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap(),
                "{:?}",
                tensor.layout()
            );
        }
    }
}
