//! The gradients of attention inside the windows of a grid.

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor};
use pulp::Arch;
use rayon::prelude::*;

use super::attention_backward::{HeadRows, PanelLayout, ScorePanels, gradients};
use super::backward::{cpu_slice, detached, sum_rows};
use super::dropout::Dropout;
use super::micro_kernel::TileShape;
use super::window_attention::{APART, Windows, attend};
use super::{AttentionInput, matrix};
use chartbench_core::isa;

/// Tasks for the windows of a head. The gradient of the bias is summed over each task's windows,
/// then over the tasks in order.
const TASKS: usize = 16;

/// See [`super::window_attention`]: its arguments are the queries, the keys with the values below
/// them, and the bias.
pub(super) struct TrainableWindowAttention {
    pub(super) windows: Windows,
    pub(super) heads: usize,
    pub(super) dropout: Option<Dropout>,
}

impl CustomOp3 for TrainableWindowAttention {
    fn name(&self) -> &'static str {
        "trained-window-attention"
    }

    fn cpu_fwd(
        &self,
        q: &CpuStorage,
        ql: &Layout,
        kv: &CpuStorage,
        kvl: &Layout,
        bias: &CpuStorage,
        bl: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let keys = kvl.dims()[0] / 2;
        let (k, v) = (kvl.narrow(0, 0, keys)?, kvl.narrow(0, keys, keys)?);
        let input =
            AttentionInput::new(self.heads, matrix(q, ql)?, matrix(kv, &k)?, matrix(kv, &v)?)?;
        let out = attend(
            &input,
            self.windows,
            matrix(bias, bl)?,
            self.dropout.as_ref(),
        )?;
        Ok((
            CpuStorage::F32(out),
            Shape::from((input.queries, input.hidden)),
        ))
    }

    fn bwd(
        &self,
        q: &Tensor,
        kv: &Tensor,
        bias: &Tensor,
        _: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (rows, hidden) = q.dims2()?;
        let inputs = [
            detached(q)?,
            detached(kv)?,
            detached(bias)?,
            detached(grad)?,
        ];
        let storages = inputs.each_ref().map(Tensor::storage_and_layout);
        let (k, v) = cpu_slice(&storages[1])?.split_at(rows * hidden);
        let input = AttentionInput {
            q: cpu_slice(&storages[0])?,
            k,
            v,
            queries: rows,
            keys: rows,
            hidden,
            heads: self.heads,
        };
        let task = Task {
            input: &input,
            grad: cpu_slice(&storages[3])?,
            bias: cpu_slice(&storages[2])?,
            positions: self.windows.positions(),
            regions: self.windows.regions(),
            tokens: self.windows.side * self.windows.side,
            dropout: self.dropout.as_ref(),
        };
        let [dq, dk, dv, dbias] = task.all();
        let tensor = |values, like: &Tensor| Tensor::from_vec(values, like.shape(), like.device());
        let (dk, dv) = (tensor(dk, q)?, tensor(dv, q)?);
        let dbias = bias.track_op().then(|| tensor(dbias, bias)).transpose()?;
        Ok((
            Some(tensor(dq, q)?),
            Some(Tensor::cat(&[dk, dv], 0)?),
            dbias,
        ))
    }
}

struct Task<'a> {
    input: &'a AttentionInput<'a>,
    grad: &'a [f32],
    bias: &'a [f32],
    positions: Vec<usize>,
    regions: Vec<u8>,
    /// Tokens of a window.
    tokens: usize,
    dropout: Option<&'a Dropout>,
}

impl Task<'_> {
    /// The gradients of queries, keys, values and bias.
    fn all(&self) -> [Vec<f32>; 4] {
        let (heads, width, hidden) = (self.input.heads, self.input.width(), self.input.hidden);
        let windows = self.positions.len() / self.tokens;
        let share = windows.div_ceil(TASKS).max(1);
        let starts: Vec<usize> = (0..windows).step_by(share).collect();
        let tasks: Vec<(usize, usize)> = (0..heads)
            .flat_map(|head| starts.iter().map(move |&start| (head, start)))
            .collect();
        let arch = isa::arch();
        let some = |&(head, start): &(usize, usize)| {
            self.some(arch, head, start..windows.min(start + share))
        };
        let results: Vec<[Vec<f32>; 4]> = tasks.par_iter().map(some).collect();
        let mut all: [Vec<f32>; 3] = std::array::from_fn(|_| vec![0f32; self.input.q.len()]);
        for ((head, start), parts) in tasks.iter().zip(&results) {
            for (all, part) in all.iter_mut().zip(parts) {
                let rows = part
                    .chunks_exact(width)
                    .zip(&self.positions[start * self.tokens..]);
                for (row, position) in rows {
                    all[position * hidden + head * width..][..width].copy_from_slice(row);
                }
            }
        }
        let of_head = |results: &[[Vec<f32>; 4]]| {
            sum_rows(
                results.iter().map(|parts| parts[3].as_slice()),
                self.tokens * self.tokens,
            )
        };
        let bias = results
            .chunks(starts.len().max(1))
            .flat_map(of_head)
            .collect();
        let [q, k, v] = all;
        [q, k, v, bias]
    }

    /// The gradients of one head in some windows, token by token, and of its bias [tokens, tokens].
    fn some(&self, arch: Arch, head: usize, windows: std::ops::Range<usize>) -> [Vec<f32>; 4] {
        let tokens = self.tokens;
        let layout = PanelLayout {
            queries: tokens,
            keys: tokens,
            columns: TileShape::get().columns,
        };
        let bias = &self.bias[head * tokens * tokens..][..tokens * tokens];
        let (mut unmasked_bias, mut masked_bias) =
            (vec![0f32; layout.len()], vec![0f32; layout.len()]);
        let mut sums = vec![0f32; layout.len()];
        layout.fill(&mut unmasked_bias, |query, key| bias[query * tokens + key]);
        let mut out: [Vec<f32>; 3] = Default::default();
        for window in windows {
            let rows = self.rows(head, window);
            let regions = &self.regions[window * tokens..][..tokens];
            let mixed = regions.iter().any(|region| *region != regions[0]);
            if mixed {
                let apart = |query, key| {
                    if regions[query] == regions[key] {
                        0.0
                    } else {
                        APART
                    }
                };
                layout.fill(&mut masked_bias, |query, key| {
                    bias[query * tokens + key] + apart(query, key)
                });
            }
            let factors = self.dropout.map(|dropout| {
                let (mut factors, mut panels) =
                    (vec![0f32; tokens * tokens], vec![0f32; layout.len()]);
                dropout.factors(
                    (window * self.input.heads + head) * tokens * tokens,
                    &mut factors,
                );
                layout.fill(&mut panels, |query, key| factors[query * tokens + key]);
                panels
            });
            let bias = Some(if mixed {
                masked_bias.as_slice()
            } else {
                unmasked_bias.as_slice()
            });
            let panels = ScorePanels {
                bias,
                factors: factors.as_deref(),
                of_bias: Some(&mut sums),
            };
            let head_gradients = gradients(arch, &rows, panels);
            for (out, part) in
                out.iter_mut()
                    .zip([head_gradients.q, head_gradients.k, head_gradients.v])
            {
                out.extend_from_slice(&part);
            }
        }
        let mut of_bias = vec![0f32; tokens * tokens];
        for (index, of_bias) in of_bias.iter_mut().enumerate() {
            *of_bias = sums[layout.index(index / tokens, index % tokens)];
        }
        let [q, k, v] = out;
        [q, k, v, of_bias]
    }

    /// The values of one head in a window's tokens.
    fn rows(&self, head: usize, window: usize) -> HeadRows {
        let (width, hidden) = (self.input.width(), self.input.hidden);
        let positions = &self.positions[window * self.tokens..][..self.tokens];
        let take = |values: &[f32]| {
            let mut taken = Vec::with_capacity(positions.len() * width);
            for position in positions {
                taken.extend_from_slice(&values[position * hidden + head * width..][..width]);
            }
            taken
        };
        let [q, k, v, grad] = [self.input.q, self.input.k, self.input.v, self.grad].map(take);
        HeadRows {
            width,
            q,
            k,
            v,
            grad,
        }
    }
}
