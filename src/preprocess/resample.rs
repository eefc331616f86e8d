//! Image resizing that agrees with the references: Pillow's 8-bit `Image.resize` bit for bit, and torch's
//! `interpolate(mode="bilinear", antialias=True, align_corners=False)` in f32.
//!
//! Both are separable and use one kernel per output pixel, widened by the scale when shrinking; rows first, then
//! columns. Pillow rounds to 8 bits after each pass, torch keeps floats.

use image::RgbImage;
use multiversion::multiversion;
use rayon::prelude::*;

const CHANNELS: usize = 3;
/// Fraction bits of Pillow's integer weights.
const PRECISION: u32 = 22;

/// The kernel of a resize.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// Triangle, support 1.
    Bilinear,
    /// Keys' cubic with a = -0.5, support 2: what `Image.resize` takes by itself.
    Bicubic,
}

impl Filter {
    fn support(self) -> f64 {
        match self {
            Self::Bilinear => 1.0,
            Self::Bicubic => 2.0,
        }
    }

    fn at(self, x: f64) -> f64 {
        const A: f64 = -0.5;
        let x = x.abs();
        match self {
            Self::Bilinear if x < 1.0 => 1.0 - x,
            Self::Bicubic if x < 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
            Self::Bicubic if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * A,
            _ => 0.0,
        }
    }
}

/// The weights that make one output pixel: those of the input pixels from `first` on.
#[derive(Clone, Debug)]
struct Taps<W> {
    first: usize,
    weights: Vec<W>,
}

/// Pillow's `Image.resize((width, height), filter)` for RGB, bit for bit. An equal size gives an unchanged copy.
pub fn resize(image: &RgbImage, width: u32, height: u32, filter: Filter) -> RgbImage {
    let (from_width, from_height) = image.dimensions();
    let across = (width != from_width).then(|| pillow_taps(from_width, width, filter));
    let down = (height != from_height).then(|| pillow_taps(from_height, height, filter));
    let mut pixels = std::borrow::Cow::Borrowed(image.as_raw().as_slice());
    let row = width as usize * CHANNELS;
    if let Some(taps) = across {
        let mut out = vec![0; row * from_height as usize];
        let from_row = (from_width as usize * CHANNELS).max(1);
        out.par_chunks_mut(row.max(1))
            .zip(pixels.par_chunks(from_row))
            .with_min_len(16)
            .for_each(|(out, source)| across_u8(source, &taps, out));
        pixels = out.into();
    }
    if let Some(taps) = down {
        let mut out = vec![0; row * height as usize];
        out.par_chunks_mut(row.max(1))
            .zip(&taps)
            .with_min_len(16)
            .for_each(|(out, tap)| down_u8(pixels.get(tap.first * row..).unwrap_or_default(), &tap.weights, out));
        pixels = out.into();
    }
    RgbImage::from_raw(width, height, pixels.into_owned()).unwrap_or_default()
}

/// Torch's antialiased bilinear interpolation of `level[value]` over all pixel values, as rows of interleaved RGB:
/// `height * width * 3` floats.
pub fn interpolate(image: &RgbImage, level: &[f32; 256], width: u32, height: u32) -> Vec<f32> {
    let (from_width, from_height) = image.dimensions();
    let (across, down) = (torch_taps(from_width, width), torch_taps(from_height, height));
    let row = width as usize * CHANNELS;
    let mut wide = vec![0.0; row * from_height as usize];
    wide.par_chunks_mut(row.max(1))
        .zip(image.as_raw().par_chunks((from_width as usize * CHANNELS).max(1)))
        .with_min_len(16)
        .for_each_init(Vec::new, |levels, (out, source)| across_f32(source, level, &across, levels, out));
    let mut out = vec![0.0; row * height as usize];
    out.par_chunks_mut(row.max(1))
        .zip(&down)
        .with_min_len(16)
        .for_each(|(out, tap)| down_f32(wide.get(tap.first * row..).unwrap_or_default(), &tap.weights, out));
    out
}

/// Pillow's weights: computed in f64, rounded half away from zero to 22 fraction bits.
fn pillow_taps(from: u32, to: u32, filter: Filter) -> Vec<Taps<i32>> {
    let scale = f64::from(from) / f64::from(to);
    let stretch = scale.max(1.0);
    let support = filter.support() * stretch;
    (0..to)
        .map(|i| {
            let center = (f64::from(i) + 0.5) * scale;
            let first = (center - support + 0.5) as u32;
            let end = ((center + support + 0.5) as u32).min(from);
            let inverse = 1.0 / stretch;
            let weights: Vec<f64> = (first..end)
                .map(|j| filter.at((f64::from(j - first) + f64::from(first) - center + 0.5) * inverse))
                .collect();
            let total: f64 = weights.iter().sum();
            let fixed = |weight: &f64| {
                let scaled = (if total == 0.0 { *weight } else { weight / total }) * f64::from(1 << PRECISION);
                (scaled + 0.5_f64.copysign(scaled)) as i32
            };
            Taps { first: first as usize, weights: weights.iter().map(fixed).collect() }
        })
        .collect()
}

/// Torch's weights: the same triangle, computed in f32.
fn torch_taps(from: u32, to: u32) -> Vec<Taps<f32>> {
    let scale = from as f32 / to as f32;
    let support = scale.max(1.0);
    let inverse = if scale >= 1.0 { 1.0 / scale } else { 1.0 };
    (0..to)
        .map(|i| {
            let center = scale * (i as f32 + 0.5);
            let first = (center - support + 0.5) as u32;
            let end = ((center + support + 0.5) as u32).min(from);
            let mut weights: Vec<f32> =
                (first..end).map(|j| (1.0 - (((j as f32) - center + 0.5) * inverse).abs()).max(0.0)).collect();
            let total: f32 = weights.iter().sum();
            if total != 0.0 {
                weights.iter_mut().for_each(|weight| *weight /= total);
            }
            Taps { first: first as usize, weights }
        })
        .collect()
}

fn rounded(sum: i32) -> u8 {
    (sum >> PRECISION).clamp(0, 255) as u8
}

const HALF: i32 = 1 << (PRECISION - 1);

#[multiversion(targets("x86_64+avx2+fma", "x86_64+sse4.1"))]
fn across_u8(source: &[u8], taps: &[Taps<i32>], out: &mut [u8]) {
    for (out, tap) in out.chunks_exact_mut(CHANNELS).zip(taps) {
        let mut sums = [HALF; CHANNELS];
        let pixels = source.get(tap.first * CHANNELS..).unwrap_or_default().chunks_exact(CHANNELS);
        for (pixel, &weight) in pixels.zip(&tap.weights) {
            for (sum, &value) in sums.iter_mut().zip(pixel) {
                *sum += i32::from(value) * weight;
            }
        }
        for (out, sum) in out.iter_mut().zip(sums) {
            *out = rounded(sum);
        }
    }
}

/// One output row out of the rows that `source` starts with.
#[multiversion(targets("x86_64+avx2+fma", "x86_64+sse4.1"))]
fn down_u8(source: &[u8], weights: &[i32], out: &mut [u8]) {
    const BLOCK: usize = 64;
    let row = out.len();
    for (block, out) in out.chunks_mut(BLOCK).enumerate() {
        let mut sums = [HALF; BLOCK];
        for (line, &weight) in source.chunks_exact(row).zip(weights) {
            let line = line.get(block * BLOCK..).unwrap_or_default();
            for (sum, &value) in sums.iter_mut().zip(line) {
                *sum += i32::from(value) * weight;
            }
        }
        for (out, sum) in out.iter_mut().zip(sums) {
            *out = rounded(sum);
        }
    }
}

/// Pixels are widened to four floats so that one tap is one vector operation.
#[multiversion(targets("x86_64+avx2+fma", "x86_64+sse4.1"))]
fn across_f32(source: &[u8], level: &[f32; 256], taps: &[Taps<f32>], levels: &mut Vec<[f32; 4]>, out: &mut [f32]) {
    levels.clear();
    levels.extend(source.chunks_exact(CHANNELS).map(|pixel| {
        let at = |channel: usize| level[usize::from(pixel[channel])];
        [at(0), at(1), at(2), 0.0]
    }));
    for (out, tap) in out.chunks_exact_mut(CHANNELS).zip(taps) {
        let mut sums = [0.0_f32; 4];
        for (pixel, &weight) in levels.get(tap.first..).unwrap_or_default().iter().zip(&tap.weights) {
            for (sum, &value) in sums.iter_mut().zip(pixel) {
                *sum += value * weight;
            }
        }
        out.copy_from_slice(&sums[..CHANNELS]);
    }
}

#[multiversion(targets("x86_64+avx2+fma", "x86_64+sse4.1"))]
fn down_f32(source: &[f32], weights: &[f32], out: &mut [f32]) {
    out.fill(0.0);
    for (line, &weight) in source.chunks_exact(out.len().max(1)).zip(weights) {
        for (sum, &value) in out.iter_mut().zip(line) {
            *sum += value * weight;
        }
    }
}
