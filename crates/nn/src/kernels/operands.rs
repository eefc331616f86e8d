//! Tensors as the slices that kernels compute with.

use candle_core::{CpuStorage, DType, Layout, Result, Tensor};

use super::varlen::SpanOffsets;

pub(super) fn fused(x: &Tensor) -> bool {
    x.device().is_cpu() && x.dtype() == DType::F32
}

/// A row-major f32 matrix.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a> {
    pub(super) values: &'a [f32],
    pub(super) rows: usize,
    pub(super) columns: usize,
}

/// The matrix in a contiguous two-dimensional f32 tensor.
pub(super) fn matrix<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<Matrix<'a>> {
    let (rows, columns) = layout.shape().dims2()?;
    let values = storage.as_slice::<f32>()?;
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(Matrix {
            values: &values[start..end],
            rows,
            columns,
        }),
        None => candle_core::bail!("a fused kernel needs contiguous rows"),
    }
}

/// The three matrices of an attention, checked to fit each other.
pub(super) struct AttentionInput<'a> {
    pub(super) q: &'a [f32],
    pub(super) k: &'a [f32],
    pub(super) v: &'a [f32],
    pub(super) queries: usize,
    pub(super) keys: usize,
    pub(super) hidden: usize,
    pub(super) heads: usize,
}

impl<'a> AttentionInput<'a> {
    pub(super) fn new(heads: usize, q: Matrix<'a>, k: Matrix<'a>, v: Matrix<'a>) -> Result<Self> {
        let Matrix {
            values: q,
            rows: queries,
            columns: hidden,
        } = q;
        let Matrix {
            values: k,
            rows: keys,
            columns: k_hidden,
        } = k;
        let Matrix {
            values: v,
            rows: v_keys,
            columns: v_hidden,
        } = v;
        if k_hidden != hidden
            || v_hidden != hidden
            || v_keys != keys
            || heads == 0
            || !hidden.is_multiple_of(heads)
            || keys == 0
        {
            candle_core::bail!(
                "attention over {heads} heads does not fit q {queries}x{hidden}, k {keys}x{k_hidden}, \
                 v {v_keys}x{v_hidden}"
            );
        }
        Ok(Self {
            q,
            k,
            v,
            queries,
            keys,
            hidden,
            heads,
        })
    }

    /// One part of several examples' rows.
    pub(super) fn span(
        &self,
        SpanOffsets {
            span, query, key, ..
        }: SpanOffsets,
    ) -> AttentionInput<'a> {
        let rows = |values: &'a [f32], first: usize, count: usize| {
            &values[first * self.hidden..][..count * self.hidden]
        };
        AttentionInput {
            q: rows(self.q, query, span.queries),
            k: rows(self.k, key, span.keys),
            v: rows(self.v, key, span.keys),
            queries: span.queries,
            keys: span.keys,
            ..*self
        }
    }

    /// Width of one head.
    pub(super) fn width(&self) -> usize {
        self.hidden / self.heads
    }
}
