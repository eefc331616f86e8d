//! A chart's thumbnail, for finding near copies: a perceptual hash rules out most other charts, and
//! a small grey image rules out most of the rest.

use image::imageops;
use image::{GrayImage, RgbImage};

use super::pixel_match;
use chartbench_pixels::{Filter, resize};

/// Side of the grey image in pixels, and of its cells, whose means form the hash.
const SIDE: u32 = 64;
const CELL: usize = 4;
const CELLS: usize = SIDE as usize / CELL;
/// Grey levels by which a cell must be darker than its neighbour to count: more than encoding and
/// brightness change.
const STEP: u32 = 12;
/// Largest number of different bits between the hashes of near copies.
const BITS: u32 = 48;
/// The share of an image at each side that is ignored, because one of two copies may have a border.
const MARGIN: f32 = 0.02;
/// The same in pixels, at least.
const MARGIN_PIXELS: u32 = 3;
/// Largest difference of the logarithms of near copies' aspect ratios.
const ASPECT: f32 = 0.03;
/// Grey levels by which a near copy's pixel may lie outside the values around its position, and the
/// number of pixels that may lie further outside.
const TOLERANCE: f32 = 32.0;
const OUTSIDE: usize = 24;

/// A small image of a chart, and its hash.
pub(super) struct Thumbnail {
    hash: [u64; 8],
    /// The logarithm of width over height of the whole image.
    aspect: f32,
    grey: GrayImage,
}

impl Thumbnail {
    /// The thumbnail of a decoded image.
    pub(super) fn from_image(image: &RgbImage) -> Self {
        let (width, height) = image.dimensions();
        let [left, top] = [width, height].map(margin);
        let inner =
            imageops::crop_imm(image, left, top, width - 2 * left, height - 2 * top).to_image();
        let grey = imageops::grayscale(&resize(&inner, SIDE, SIDE, Filter::Bilinear));
        Self {
            hash: hash(&grey),
            aspect: (width as f32 / height as f32).ln(),
            grey,
        }
    }

    /// Whether `other` could show the same chart.
    pub(super) fn resembles(&self, other: &Self) -> bool {
        (self.aspect - other.aspect).abs() <= ASPECT
            && self.distance(other) <= BITS
            && pixel_match::outside_after_evening(&self.grey, &other.grey, TOLERANCE) <= OUTSIDE
    }

    /// The number of bits in which two hashes differ.
    fn distance(&self, other: &Self) -> u32 {
        self.hash
            .iter()
            .zip(&other.hash)
            .map(|(a, b)| (a ^ b).count_ones())
            .sum()
    }
}

/// The margin of a side of `length` pixels; an image too small for margins has none.
fn margin(length: u32) -> u32 {
    let margin = ((length as f32 * MARGIN) as u32).max(MARGIN_PIXELS);
    if length > 4 * margin { margin } else { 0 }
}

/// A difference hash with a dead zone: each bit says whether a cell is darker than the next by
/// [`STEP`] or more, first along the rows, then along the columns. Without the dead zone, the bits
/// of a chart's white areas would be noise.
fn hash(grey: &GrayImage) -> [u64; 8] {
    let mut cells = [0_u32; CELLS * CELLS];
    for (x, y, pixel) in grey.enumerate_pixels() {
        if let Some(cell) = cells.get_mut(y as usize / CELL * CELLS + x as usize / CELL) {
            *cell += u32::from(pixel.0[0]);
        }
    }
    let step = STEP * (CELL * CELL) as u32;
    let mut words = [0; 8];
    let (across, down) = words.split_at_mut(4);
    for (neighbour, bits) in [(1, across), (CELLS, down)] {
        let pairs = cells.iter().zip(cells.iter().skip(neighbour)).enumerate();
        for (bit, _) in pairs.filter(|(_, (cell, next))| **cell + step <= **next) {
            if let Some(word) = bits.get_mut(bit / 64) {
                *word |= 1 << (bit % 64);
            }
        }
    }
    words
}
