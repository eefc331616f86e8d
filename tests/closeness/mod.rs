//! Tensors against those of another implementation.

use candle_core::Tensor;

/// Of the largest value.
const TOLERANCE: f32 = 1e-4;

#[track_caller]
pub fn assert_close(ours: &Tensor, golden: &Tensor) {
    assert_eq!(ours.dims(), golden.dims());
    let largest = |x: &Tensor| x.abs()?.flatten_all()?.max(0)?.to_scalar::<f32>();
    let difference = (ours - golden).and_then(|d| largest(&d)).unwrap();
    let size = largest(golden).unwrap().max(1.0);
    assert!(difference <= TOLERANCE * size, "differs by {difference}, the largest value is {size}");
}
