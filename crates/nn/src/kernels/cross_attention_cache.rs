//! The cache of cross-attention: keys and values of an image stay the same in all decoding steps,
//! so they are packed once, head by head, in the order that a step reads them. Pix2Struct's decoder
//! has one a question; Donut's questions about an image share one.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Tensor};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use super::backward::cpu_slice;
use super::decode_attention::softmax_weights;
use super::decode_linear::products;
use super::mul_add::ComputeDtype;
use super::packed_weight::PackedWeight;
use super::{Matrix, fused, matrix, reference};
use chartbench_core::isa;

/// The keys and values [N, H] of a cross-attention, heads side by side in H.
#[derive(Debug)]
pub struct CrossKv(Kind);

#[derive(Debug)]
enum Kind {
    Packed { heads: Vec<PackedKv>, width: usize },
    Plain { k: Tensor, v: Tensor, heads: usize },
}

#[derive(Debug)]
struct PackedKv {
    /// [N, width].
    k: PackedWeight,
    /// [width, N].
    v: PackedWeight,
}

impl CrossKv {
    /// Packs `k` and `v` [N, H]. Operands of both products are in `dtype`.
    ///
    /// # Errors
    /// Returns an error if the shapes do not fit.
    pub fn new(k: &Tensor, v: &Tensor, heads: usize, dtype: ComputeDtype) -> Result<Self> {
        let (keys, hidden) = k.dims2()?;
        if v.dims2()? != (keys, hidden) || keys == 0 || heads == 0 || !hidden.is_multiple_of(heads)
        {
            candle_core::bail!(
                "{heads} heads do not fit keys {:?} and values {:?}",
                k.shape(),
                v.shape()
            );
        }
        if !fused(k) {
            return Ok(Self(Kind::Plain {
                k: k.clone(),
                v: v.clone(),
                heads,
            }));
        }
        let (k, v, width) = (k.contiguous()?, v.contiguous()?, hidden / heads);
        let storages = [k.storage_and_layout(), v.storage_and_layout()];
        let (k, v) = (cpu_slice(&storages[0])?, cpu_slice(&storages[1])?);
        let pack_head = |index: usize| {
            let part = index * width..(index + 1) * width;
            PackedKv {
                k: PackedWeight::of_rows(k, hidden, part.clone(), dtype),
                v: PackedWeight::of_columns(v, hidden, part, dtype),
            }
        };
        Ok(Self(Kind::Packed {
            heads: (0..heads).into_par_iter().map(pack_head).collect(),
            width,
        }))
    }

    /// `softmax(q kᵀ) v` of each head, unscaled and unmasked: `q` and the result are [M, H]. No
    /// gradient passes through.
    ///
    /// # Errors
    /// Returns an error if the shapes do not fit.
    pub fn attention(&self, q: &Tensor) -> Result<Tensor> {
        match &self.0 {
            Kind::Plain { k, v, heads } => reference::attention(q, k, v, *heads, None),
            Kind::Packed { heads, width } => q.contiguous()?.apply_op1_no_bwd(&CrossAttention {
                heads,
                width: *width,
            }),
        }
    }
}

struct CrossAttention<'a> {
    heads: &'a [PackedKv],
    width: usize,
}

impl CustomOp1 for CrossAttention<'_> {
    fn name(&self) -> &'static str {
        "memory-attention"
    }

    fn cpu_fwd(&self, q: &CpuStorage, ql: &Layout) -> Result<(CpuStorage, Shape)> {
        let Matrix {
            values: q,
            rows,
            columns: hidden,
        } = matrix(q, ql)?;
        let width = self.width;
        if hidden != width * self.heads.len() {
            candle_core::bail!(
                "{}: queries of {hidden} values, {} heads of {width}",
                self.name(),
                self.heads.len()
            );
        }
        let arch = isa::arch();
        let attend = |(index, head): (usize, &PackedKv)| {
            let q: Vec<f32> = q
                .chunks_exact(hidden)
                .flat_map(|row| &row[index * width..(index + 1) * width])
                .copied()
                .collect();
            let mut scores = products(&q, rows, &head.k);
            let weights: Vec<f32> = scores
                .chunks_exact_mut(head.k.columns)
                .map(|scores| arch.dispatch(Softmax(scores)))
                .collect();
            let mut sums = products(&scores, rows, &head.v);
            for (sums, weight) in sums.chunks_exact_mut(width).zip(weights) {
                sums.iter_mut().for_each(|value| *value /= weight);
            }
            sums
        };
        let by_head: Vec<Vec<f32>> = self.heads.par_iter().enumerate().map(attend).collect();
        let mut out = Vec::with_capacity(rows * hidden);
        for row in 0..rows {
            by_head.iter().for_each(|of_head| {
                out.extend_from_slice(&of_head[row * width..(row + 1) * width])
            });
        }
        Ok((CpuStorage::F32(out), Shape::from((rows, hidden))))
    }
}

/// See [`softmax_weights`].
struct Softmax<'a>(&'a mut [f32]);

impl WithSimd for Softmax<'_> {
    type Output = f32;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f32 {
        softmax_weights(simd, self.0)
    }
}
