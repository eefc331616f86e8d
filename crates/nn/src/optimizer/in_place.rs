//! Changes the values of tensors on the CPU in place.

use std::cell::RefCell;

use candle_core::{CpuStorage, InplaceOp1, Layout, Result, Tensor, bail};

/// Works on the borrowed values, in the order of the tensors.
type Body<'a> = &'a mut dyn FnMut(&mut [&mut [f32]]) -> Result<()>;

/// The values borrowed so far, with the body that gets them.
type Held<'a> = (Vec<&'a mut [f32]>, Body<'a>);

/// Calls `body` with the values of all `tensors`, which must be contiguous f32 on the CPU and share
/// no memory.
///
/// # Errors
/// Returns an error if a tensor is of another kind, or if `body` fails.
pub(super) fn with_values(tensors: &[&Tensor], body: Body<'_>) -> Result<()> {
    borrow(tensors, Vec::new(), body)
}

fn borrow(tensors: &[&Tensor], borrowed: Vec<&mut [f32]>, body: Body<'_>) -> Result<()> {
    match tensors.split_first() {
        Some((first, rest)) => first.inplace_op1(&Borrow {
            rest,
            state: RefCell::new(Some((borrowed, body))),
        }),
        None => {
            let mut borrowed = borrowed;
            body(&mut borrowed)
        }
    }
}

/// An operation in place that adds its tensor's values to those borrowed and goes on to the next
/// tensor: candle lends values for writing to such operations alone, one tensor each.
struct Borrow<'a> {
    rest: &'a [&'a Tensor],
    /// Taken when the operation is made.
    state: RefCell<Option<Held<'a>>>,
}

impl InplaceOp1 for Borrow<'_> {
    fn name(&self) -> &'static str {
        "optimizer-step"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        let Some((start, end)) = layout.contiguous_offsets() else {
            bail!("a trained tensor is not contiguous")
        };
        let CpuStorage::F32(values) = storage else {
            bail!("a trained tensor is not f32")
        };
        let Some((mut borrowed, body)) = self.state.take() else {
            bail!("a step was made twice")
        };
        borrowed.push(&mut values[start..end]);
        borrow(self.rest, borrowed, body)
    }
}
