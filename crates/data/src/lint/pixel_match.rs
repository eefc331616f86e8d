//! Compares two grey images: each pixel must lie within the values around its position in the other
//! image.
//!
//! Copies of one chart with another encoding, scale or frame differ a little everywhere: by a
//! fraction of a pixel and by a few grey levels. Charts of one style with other data are equal
//! nearly everywhere and differ strongly at the marks. Comparing with a neighbourhood ignores the
//! first and finds the second.

use image::GrayImage;

/// The number of pixels of `a` or of `b`, whichever is larger, that lie more than `tolerance` grey
/// levels outside the values of the other image at the same position and the eight around it. The
/// images must have one size.
pub(super) fn outside(a: &GrayImage, b: &GrayImage, tolerance: f32) -> usize {
    count_outside(
        Levels {
            gain: 1.0,
            offset: 0.0,
        },
        a,
        b,
        tolerance,
    )
}

/// As [`outside`], after brightness and contrast are evened out within limits.
pub(super) fn outside_after_evening(a: &GrayImage, b: &GrayImage, tolerance: f32) -> usize {
    count_outside(even(a, b), a, b, tolerance)
}

/// A linear change of grey levels.
struct Levels {
    gain: f32,
    offset: f32,
}

fn count_outside(levels: Levels, a: &GrayImage, b: &GrayImage, tolerance: f32) -> usize {
    let Levels { gain, offset } = levels;
    let evened: Vec<f32> = a
        .as_raw()
        .iter()
        .map(|&value| f32::from(value) * gain + offset)
        .collect();
    let plain: Vec<f32> = b.as_raw().iter().map(|&value| f32::from(value)).collect();
    let width = a.width() as usize;
    strays(&evened, &plain, width, tolerance).max(strays(&plain, &evened, width, tolerance))
}

/// The gain and offset that give `a` the mean and the standard deviation of `b`.
fn even(a: &GrayImage, b: &GrayImage) -> Levels {
    let [(mean_a, deviation_a), (mean_b, deviation_b)] = [a, b].map(moments);
    let gain = if deviation_a > 0.0 {
        (deviation_b / deviation_a).clamp(0.8, 1.25)
    } else {
        1.0
    };
    Levels {
        gain,
        offset: (mean_b - gain * mean_a).clamp(-64.0, 64.0),
    }
}

fn moments(image: &GrayImage) -> (f32, f32) {
    let count = image.as_raw().len().max(1) as f64;
    let (sum, squares) = image
        .as_raw()
        .iter()
        .fold((0_u64, 0_u64), |(sum, squares), &value| {
            (
                sum + u64::from(value),
                squares + u64::from(value) * u64::from(value),
            )
        });
    let mean = sum as f64 / count;
    (
        mean as f32,
        (squares as f64 / count - mean * mean).max(0.0).sqrt() as f32,
    )
}

/// The number of `values` outside the neighbourhoods of `around`, both in rows of `width` values.
fn strays(values: &[f32], around: &[f32], width: usize, tolerance: f32) -> usize {
    let low = extreme(around, width, f32::min);
    let high = extreme(around, width, f32::max);
    let bounds = low.iter().zip(&high);
    values
        .iter()
        .zip(bounds)
        .filter(|(value, (low, high))| **value < *low - tolerance || **value > *high + tolerance)
        .count()
}

/// The smallest or largest of each value and its eight neighbours, by `pick`.
fn extreme(values: &[f32], width: usize, pick: fn(f32, f32) -> f32) -> Vec<f32> {
    let mut across = values.to_vec();
    for (out, row) in across.chunks_mut(width).zip(values.chunks(width)) {
        for (out, pair) in out.iter_mut().zip(row.iter().skip(1)) {
            *out = pick(*out, *pair);
        }
        for (out, pair) in out.iter_mut().skip(1).zip(row) {
            *out = pick(*out, *pair);
        }
    }
    let mut all = across.clone();
    for (out, below) in all.iter_mut().zip(across.iter().skip(width)) {
        *out = pick(*out, *below);
    }
    for (out, above) in all.iter_mut().skip(width).zip(&across) {
        *out = pick(*out, *above);
    }
    all
}
