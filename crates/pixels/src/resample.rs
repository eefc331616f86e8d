//! Image resizing that agrees with the references: Pillow's 8-bit `Image.resize` bit for bit, and
//! torch's `interpolate(mode="bilinear", antialias=True, align_corners=False)` in f32.
//!
//! Both are separable and use one kernel per output pixel, widened by the scale when shrinking;
//! rows first, then columns. Pillow rounds to 8 bits after each pass, torch keeps floats.

use image::RgbImage;
use rayon::prelude::*;

use chartbench_core::isa;

const CHANNELS: usize = 3;
/// Fraction bits of Pillow's integer weights.
const PRECISION: u32 = 22;

/// The kernel of a resize.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// Triangle, support 1.
    Bilinear,
    /// Keys' cubic with a = -0.5, support 2: the default of `Image.resize`.
    Bicubic,
}

impl Filter {
    fn support(self) -> f64 {
        match self {
            Self::Bilinear => 1.0,
            Self::Bicubic => 2.0,
        }
    }

    fn weight(self, x: f64) -> f64 {
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

/// The weights that make each output pixel. All have the same number of taps (zeros fill them up),
/// which suits branch prediction.
struct Kernels<W> {
    /// The first input pixel of each output pixel.
    first: Vec<usize>,
    /// `taps` weights for each output pixel.
    weights: Vec<W>,
    taps: usize,
}

impl<W: Copy + Default> Kernels<W> {
    /// Makes kernels from the first input pixel and the weights of each output pixel, for `from`
    /// input pixels.
    fn new(from: u32, kernels: Vec<(u32, Vec<W>)>) -> Self {
        let taps = kernels
            .iter()
            .map(|(_, weights)| weights.len())
            .max()
            .unwrap_or(0)
            .max(1);
        let last = (from as usize).saturating_sub(taps);
        let mut first = Vec::with_capacity(kernels.len());
        let mut padded = Vec::with_capacity(kernels.len() * taps);
        for (start, weights) in kernels {
            let start = start as usize;
            let moved = start.min(last);
            padded.resize(padded.len() + start - moved, W::default());
            padded.extend(weights);
            first.push(moved);
            padded.resize(first.len() * taps, W::default());
        }
        Self {
            first,
            weights: padded,
            taps,
        }
    }

    /// First input pixel and weights of each output pixel.
    fn iter(&self) -> impl Iterator<Item = (usize, &[W])> {
        self.first
            .iter()
            .copied()
            .zip(self.weights.chunks_exact(self.taps))
    }
}

/// Pillow's `Image.resize((width, height), filter)` for RGB, bit for bit. An equal size gives an
/// unchanged copy.
pub fn resize(image: &RgbImage, width: u32, height: u32, filter: Filter) -> RgbImage {
    let (from_width, from_height) = image.dimensions();
    let across = (width != from_width).then(|| pillow_kernels(from_width, width, filter));
    let down = (height != from_height).then(|| pillow_kernels(from_height, height, filter));
    let mut pixels = std::borrow::Cow::Borrowed(image.as_raw().as_slice());
    let row = width as usize * CHANNELS;
    if let Some(kernels) = across {
        let mut out = vec![0; row * from_height as usize];
        let source = pixels.par_chunks((from_width as usize * CHANNELS).max(1));
        out.par_chunks_mut(row.max(1))
            .zip(source)
            .with_min_len(16)
            .for_each_init(Vec::new, |wide, (out, source)| {
                across_u8(source, &kernels, wide, out)
            });
        pixels = out.into();
    }
    if let Some(kernels) = down {
        let mut out = vec![0; row * height as usize];
        out.par_chunks_mut(row.max(1))
            .zip(&kernels.first)
            .zip(kernels.weights.par_chunks(kernels.taps))
            .with_min_len(16)
            .for_each_init(Vec::new, |sums, ((out, first), weights)| {
                down_u8(
                    pixels.get(first * row..).unwrap_or_default(),
                    weights,
                    sums,
                    out,
                );
            });
        pixels = out.into();
    }
    RgbImage::from_raw(width, height, pixels.into_owned()).unwrap_or_default()
}

/// Torch's antialiased bilinear interpolation of `level[value]` over all pixel values, as rows of
/// interleaved RGB: `height * width * 3` floats. Columns come first here, which is faster when
/// shrinking and changes at most the last bit.
pub fn interpolate(image: &RgbImage, level: &[f32; 256], width: u32, height: u32) -> Vec<f32> {
    const ROWS: usize = 16;
    let (from_width, from_height) = image.dimensions();
    let (across, down) = (
        torch_kernels(from_width, width),
        torch_kernels(from_height, height),
    );
    let (from_row, row) = (from_width as usize * CHANNELS, width as usize * CHANNELS);
    let mut out = vec![0.0; row * height as usize];
    let jobs = out
        .par_chunks_mut((row * ROWS).max(1))
        .zip(down.first.par_chunks(ROWS))
        .zip(down.weights.par_chunks(ROWS * down.taps));
    jobs.for_each_init(
        || (Vec::new(), vec![0.0; from_row], Vec::new()),
        |(levels, sums, wide), ((out, firsts), weights)| {
            let start = firsts.first().map_or(0, |first| first * from_row);
            let end = firsts
                .last()
                .map_or(0, |last| (last + down.taps) * from_row);
            levels.clear();
            let source = image
                .as_raw()
                .get(start..end.min(image.as_raw().len()))
                .unwrap_or_default();
            levels.extend(source.iter().map(|&value| level[usize::from(value)]));
            let lines = out
                .chunks_exact_mut(row.max(1))
                .zip(firsts)
                .zip(weights.chunks_exact(down.taps));
            for ((out, first), weights) in lines {
                down_f32(
                    levels.get(first * from_row - start..).unwrap_or_default(),
                    weights,
                    sums,
                );
                across_f32(sums, &across, wide, out);
            }
        },
    );
    out
}

/// Pillow's weights: computed in f64, rounded half away from zero to 22 fraction bits.
fn pillow_kernels(from: u32, to: u32, filter: Filter) -> Kernels<i32> {
    let scale = f64::from(from) / f64::from(to);
    let stretch = scale.max(1.0);
    let support = filter.support() * stretch;
    let kernels = (0..to)
        .map(|i| {
            let center = (f64::from(i) + 0.5) * scale;
            let first = (center - support + 0.5) as u32;
            let end = ((center + support + 0.5) as u32).min(from);
            let inverse = 1.0 / stretch;
            let weights: Vec<f64> = (first..end)
                .map(|j| {
                    filter
                        .weight((f64::from(j - first) + f64::from(first) - center + 0.5) * inverse)
                })
                .collect();
            let total: f64 = weights.iter().sum();
            let fixed = |weight: &f64| {
                let scaled = (if total == 0.0 {
                    *weight
                } else {
                    weight / total
                }) * f64::from(1 << PRECISION);
                (scaled + 0.5_f64.copysign(scaled)) as i32
            };
            (first, weights.iter().map(fixed).collect())
        })
        .collect();
    Kernels::new(from, kernels)
}

/// Torch's weights: the same triangle, computed in f32.
fn torch_kernels(from: u32, to: u32) -> Kernels<f32> {
    let scale = from as f32 / to as f32;
    let support = scale.max(1.0);
    let inverse = if scale >= 1.0 { 1.0 / scale } else { 1.0 };
    let kernels = (0..to)
        .map(|i| {
            let center = scale * (i as f32 + 0.5);
            let first = (center - support + 0.5) as u32;
            let end = ((center + support + 0.5) as u32).min(from);
            let mut weights: Vec<f32> = (first..end)
                .map(|j| (1.0 - (((j as f32) - center + 0.5) * inverse).abs()).max(0.0))
                .collect();
            let total: f32 = weights.iter().sum();
            if total != 0.0 {
                weights.iter_mut().for_each(|weight| *weight /= total);
            }
            (first, weights)
        })
        .collect();
    Kernels::new(from, kernels)
}

fn rounded(sum: i32) -> u8 {
    (sum >> PRECISION).clamp(0, 255) as u8
}

/// One half, so that the shift rounds. Sums of 8-bit values times normalised 22-bit weights stay
/// within 32 bits; they wrap only so that no overflow check keeps the loops from being vectorised.
const HALF: i32 = 1 << (PRECISION - 1);

/// Pixels are widened to four integers so that one tap is one vector operation.
fn across_u8(source: &[u8], kernels: &Kernels<i32>, wide: &mut Vec<[i32; 4]>, out: &mut [u8]) {
    isa::arch().dispatch(|| {
        wide.clear();
        wide.extend(
            source
                .chunks_exact(CHANNELS)
                .map(|pixel| [pixel[0].into(), pixel[1].into(), pixel[2].into(), 0]),
        );
        for (out, (first, weights)) in out.chunks_exact_mut(CHANNELS).zip(kernels.iter()) {
            let mut sums = [HALF; 4];
            for (pixel, &weight) in wide.get(first..).unwrap_or_default().iter().zip(weights) {
                for (sum, &value) in sums.iter_mut().zip(pixel) {
                    *sum = sum.wrapping_add(value.wrapping_mul(weight));
                }
            }
            for (out, sum) in out.iter_mut().zip(sums) {
                *out = rounded(sum);
            }
        }
    })
}

/// One output row out of the rows that `source` starts with.
fn down_u8(source: &[u8], weights: &[i32], sums: &mut Vec<i32>, out: &mut [u8]) {
    isa::arch().dispatch(|| {
        sums.clear();
        sums.resize(out.len(), HALF);
        for (line, &weight) in source.chunks_exact(out.len().max(1)).zip(weights) {
            for (sum, &value) in sums.iter_mut().zip(line) {
                *sum = sum.wrapping_add(i32::from(value).wrapping_mul(weight));
            }
        }
        for (out, &sum) in out.iter_mut().zip(sums.iter()) {
            *out = rounded(sum);
        }
    })
}

/// One output row from an input row, see [`across_u8`].
fn across_f32(source: &[f32], kernels: &Kernels<f32>, wide: &mut Vec<[f32; 4]>, out: &mut [f32]) {
    isa::arch().dispatch(|| {
        wide.clear();
        wide.extend(
            source
                .chunks_exact(CHANNELS)
                .map(|pixel| [pixel[0], pixel[1], pixel[2], 0.0]),
        );
        for (out, (first, weights)) in out.chunks_exact_mut(CHANNELS).zip(kernels.iter()) {
            let mut sums = [0.0_f32; 4];
            for (pixel, &weight) in wide.get(first..).unwrap_or_default().iter().zip(weights) {
                for (sum, &value) in sums.iter_mut().zip(pixel) {
                    *sum += value * weight;
                }
            }
            out.copy_from_slice(&sums[..CHANNELS]);
        }
    })
}

fn down_f32(source: &[f32], weights: &[f32], out: &mut [f32]) {
    isa::arch().dispatch(|| {
        out.fill(0.0);
        for (line, &weight) in source.chunks_exact(out.len().max(1)).zip(weights) {
            for (sum, &value) in out.iter_mut().zip(line) {
                *sum += value * weight;
            }
        }
    })
}
