//! Tests of what the other suites compare with.

use crate::assert_close::{Tolerance, assert_close, compare};
use candle_core::{Device, Tensor};

const EXACT: Tolerance = Tolerance::Absolute(0.0);
/// Allows any finite difference.
const WIDE: [Tolerance; 3] = [
    Tolerance::Absolute(f64::INFINITY),
    Tolerance::OfLargest {
        factor: f64::INFINITY,
        floor: 1.0,
    },
    Tolerance::OfEach {
        factor: 1e30,
        floor: 1.0,
    },
];

fn tensor(values: [f32; 4]) -> Tensor {
    Tensor::from_slice(&values, (2, 2), &Device::Cpu).unwrap()
}

#[test]
fn equal_tensors_are_close() {
    let values = tensor([1.0, -0.0, f32::MAX, f32::MIN_POSITIVE]);
    assert_close(&values, &values, EXACT);
    let empty = Tensor::zeros((0, 3), candle_core::DType::F32, &Device::Cpu).unwrap();
    assert_close(&empty, &empty, EXACT);
    let scalar = Tensor::new(2f32, &Device::Cpu).unwrap();
    assert_close(&scalar, &scalar, EXACT);
}

#[test]
fn a_nan_is_never_close() {
    let (plain, spoilt) = (
        tensor([1.0, 2.0, 3.0, 4.0]),
        tensor([1.0, 2.0, f32::NAN, 4.0]),
    );
    for tolerance in WIDE {
        assert_close(&plain, &tensor([4.0, 3.0, 2.0, 1.0]), tolerance);
        for (found, golden) in [(&spoilt, &plain), (&plain, &spoilt), (&spoilt, &spoilt)] {
            let fault = compare(found, golden, tolerance).unwrap_err();
            assert!(
                fault.starts_with("at [1, 0]: ") && fault.contains("NaN"),
                "{fault}"
            );
        }
    }
}

#[test]
fn an_infinite_value_is_never_close() {
    let plain = tensor([1.0, 2.0, 3.0, 4.0]);
    for infinite in [f32::INFINITY, f32::NEG_INFINITY] {
        let spoilt = tensor([1.0, infinite, 3.0, 4.0]);
        for tolerance in WIDE {
            for (found, golden) in [(&spoilt, &plain), (&plain, &spoilt), (&spoilt, &spoilt)] {
                let fault = compare(found, golden, tolerance).unwrap_err();
                assert!(
                    fault.starts_with("at [0, 1]: ") && fault.contains("inf"),
                    "{fault}"
                );
            }
        }
    }
}

#[test]
#[should_panic(expected = "at [0, 1]: NaN, not 2e0")]
fn a_nan_panics() {
    assert_close(
        &tensor([1.0, f32::NAN, 3.0, 4.0]),
        &tensor([1.0, 2.0, 3.0, 4.0]),
        WIDE[0],
    );
}

#[test]
#[should_panic(expected = "the shape is [2, 2], not [4]")]
fn another_shape_panics() {
    assert_close(
        &tensor([1.0; 4]),
        &tensor([1.0; 4]).flatten_all().unwrap(),
        WIDE[0],
    );
}

/// Shapes that broadcast are other shapes.
#[test]
#[should_panic(expected = "the shape is [2, 2], not [1, 2]")]
fn a_row_is_no_matrix() {
    assert_close(
        &tensor([1.0; 4]),
        &tensor([1.0; 4]).narrow(0, 0, 1).unwrap(),
        WIDE[0],
    );
}

#[test]
fn each_tolerance_ends_where_it_should() {
    let golden = tensor([100.0, 1.0, 0.0, -10.0]);
    let moved = |place: usize, by: f32| {
        let mut values = [100.0, 1.0, 0.0, -10.0];
        values[place] += by;
        tensor(values)
    };
    let relative = Tolerance::relative(0.01);
    let floored = Tolerance::OfLargest {
        factor: 0.01,
        floor: 200.0,
    };
    let of_each = Tolerance::OfEach {
        factor: 0.5,
        floor: 0.01,
    };
    for (tolerance, place, fine, wrong) in [
        (Tolerance::Absolute(0.5), 2, 0.5, 0.51),
        (relative, 1, 1.0, 1.01),
        (relative, 3, -1.0, -1.01),
        (floored, 0, 2.0, 2.01),
        (of_each, 0, -50.0, -50.1),
        (of_each, 2, 0.5, 0.51),
        (of_each, 3, 5.0, 5.1),
    ] {
        assert_close(&moved(place, fine), &golden, tolerance);
        assert!(
            compare(&moved(place, wrong), &golden, tolerance).is_err(),
            "{tolerance:?} at {place}"
        );
    }
    let fault = compare(&moved(3, 2.0), &golden, relative).unwrap_err();
    assert_eq!(fault, "at [1, 1]: -8e0, not -1e1 (within 1.0e0)");
}
