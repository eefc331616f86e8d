//! Compares tensors value by value.
//!
//! A value that is NaN or infinite fails on either side, even where both sides hold it: a largest
//! difference hides it, because `f32::max` and candle's `max` skip NaN.

// Each suite that includes this file uses a part of it.
#![allow(dead_code)]

use candle_core::{DType, Tensor};

/// How far a value may be from its golden value.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Tolerance {
    Absolute(f64),
    /// `factor` times the largest magnitude of the golden tensor, which counts as at least `floor`.
    OfLargest {
        factor: f64,
        floor: f64,
    },
    /// `factor` times the golden value's own magnitude, which counts as at least `floor` times the
    /// largest one.
    OfEach {
        factor: f64,
        floor: f64,
    },
}

impl Tolerance {
    /// `factor` times the largest magnitude of the golden tensor.
    pub(crate) const fn relative(factor: f64) -> Self {
        Self::OfLargest { factor, floor: 0.0 }
    }

    fn allowed(self, golden: f64, largest: f64) -> f64 {
        match self {
            Self::Absolute(difference) => difference,
            Self::OfLargest { factor, floor } => factor * largest.max(floor),
            Self::OfEach { factor, floor } => factor * golden.abs().max(floor * largest),
        }
    }
}

/// # Panics
/// As [`compare`] returns an error.
#[track_caller]
pub(crate) fn assert_close(found: &Tensor, golden: &Tensor, tolerance: Tolerance) {
    if let Err(fault) = compare(found, golden, tolerance) {
        panic!("{fault}");
    }
}

/// # Errors
/// Returns the first place where the tensors differ, with both values: shapes, a value that is not
/// finite, a value further from the golden one than `tolerance` allows.
pub(crate) fn compare(found: &Tensor, golden: &Tensor, tolerance: Tolerance) -> Result<(), String> {
    if found.dims() != golden.dims() {
        return Err(format!(
            "the shape is {:?}, not {:?}",
            found.dims(),
            golden.dims()
        ));
    }
    let (found_values, golden_values) = (values(found), values(golden));
    let finite = golden_values.iter().filter(|value| value.is_finite());
    let largest = finite.fold(0.0, |largest: f64, value| largest.max(value.abs()));
    for (position, (&found_value, &golden_value)) in
        found_values.iter().zip(&golden_values).enumerate()
    {
        let allowed = tolerance.allowed(golden_value, largest);
        let both_finite = found_value.is_finite() && golden_value.is_finite();
        if !(both_finite && (found_value - golden_value).abs() <= allowed) {
            let index = index_of(position, golden.dims());
            return Err(format!(
                "at {index:?}: {found_value:e}, not {golden_value:e} (within {allowed:.1e})"
            ));
        }
    }
    Ok(())
}

fn values(tensor: &Tensor) -> Vec<f64> {
    tensor
        .to_dtype(DType::F64)
        .and_then(|tensor| tensor.flatten_all()?.to_vec1())
        .unwrap()
}

/// The index in each dimension of the value at `position` in row-major order.
fn index_of(mut position: usize, dims: &[usize]) -> Vec<usize> {
    let mut index = vec![0; dims.len()];
    for (index, size) in index.iter_mut().zip(dims).rev() {
        *index = position % size;
        position /= size;
    }
    index
}
