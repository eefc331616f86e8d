//! The last word on two charts whose thumbnails resemble each other: their images themselves.
//!
//! Images of one size, or nearly one, are compared closely, as they are and centred on each other (one has a border).
//! Images of one shape in two sizes are compared after shrinking to less than half of the smaller, where the traces of
//! scaling are gone; charts of one style that differ in the data have one size as a rule.

use image::imageops;
use image::{GrayImage, Luma, RgbImage};

use super::envelope;
use chartbench_pixels::{Filter, resize};

/// Sizes this close, in pixels, can differ by a border; shapes this close can differ by the scale.
const BORDER: u32 = 8;

/// How closely two images are compared.
struct Scrutiny {
    /// Longer side after shrinking, in pixels, at most.
    side: f32,
    /// How much of the smaller image's size is left, at most.
    scale: f32,
    /// Grey levels by which a pixel may leave the values around its place in the other image.
    tolerance: f32,
    /// How many pixels may do so.
    outside: usize,
}

const CLOSE: Scrutiny = Scrutiny { side: 320.0, scale: 0.66, tolerance: 32.0, outside: 2 };
const SCALED: Scrutiny = Scrutiny { side: 200.0, scale: 0.5, tolerance: 48.0, outside: 20 };

/// The tolerance and the pixels that may leave it for red, green and blue each: JPEG keeps colours at half the
/// resolution and less exactly, and light colours are seen here alone.
const COLOUR_TOLERANCE: f32 = 64.0;
const COLOUR_OUTSIDE: usize = 20;

/// Whether two images show the same chart: but for encoding, size, brightness and a thin border they are one.
pub fn same_chart(a: &RgbImage, b: &RgbImage) -> bool {
    let ((wide_a, high_a), (wide_b, high_b)) = (a.dimensions(), b.dimensions());
    if wide_a.abs_diff(wide_b) <= BORDER && high_a.abs_diff(high_b) <= BORDER {
        let (width, height) = (wide_a.min(wide_b), high_a.min(high_b));
        let centred = |image| cut(image, width, height);
        return CLOSE.same(a, b) || ((wide_a, high_a) != (wide_b, high_b) && CLOSE.same(&centred(a), &centred(b)));
    }
    let (larger, smaller) = if wide_a > wide_b { (a, b) } else { (b, a) };
    let height = f64::from(larger.height()) * f64::from(smaller.width()) / f64::from(larger.width());
    (height - f64::from(smaller.height())).abs() <= f64::from(BORDER) && SCALED.same(a, b)
}

impl Scrutiny {
    fn same(&self, a: &RgbImage, b: &RgbImage) -> bool {
        let (width, height) = (a.width().min(b.width()), a.height().min(b.height()));
        let scale = (self.side / width.max(height) as f32).min(self.scale);
        let [width, height] = [width, height].map(|length| ((length as f32 * scale).round() as u32).max(1));
        let [a, b] = [a, b].map(|image| resize(&framed(image), width, height, Filter::Bilinear));
        let outside = envelope::outside_evened(&imageops::grayscale(&a), &imageops::grayscale(&b), self.tolerance);
        outside <= self.outside
            && (0..3).all(|channel| {
                let [a, b] = [&a, &b].map(|image| only(image, channel));
                envelope::outside(&a, &b, COLOUR_TOLERANCE) <= COLOUR_OUTSIDE
            })
    }
}

/// The middle `width` by `height` pixels.
fn cut(image: &RgbImage, width: u32, height: u32) -> RgbImage {
    let [left, top] = [image.width() - width, image.height() - height].map(|spare| spare / 2);
    imageops::crop_imm(image, left, top, width, height).to_image()
}

/// An image without its outermost fiftieth at each side, where borders are.
fn framed(image: &RgbImage) -> RgbImage {
    let [width, height] =
        [image.width(), image.height()].map(|length| length - 2 * (length as f32 * 0.02).round() as u32);
    cut(image, width, height)
}

/// One channel as a grey image.
fn only(image: &RgbImage, channel: usize) -> GrayImage {
    GrayImage::from_fn(image.width(), image.height(), |x, y| {
        Luma([image.get_pixel(x, y).0.get(channel).copied().unwrap_or_default()])
    })
}
