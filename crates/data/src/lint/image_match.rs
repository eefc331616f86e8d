//! Decides whether two images with similar thumbnails show the same chart, by comparing the images
//! themselves.
//!
//! Images of nearly one size are compared closely, as they are and centred on each other (one may
//! have a border). Images of one shape in two sizes are compared after shrinking to less than half
//! of the smaller, which removes the traces of scaling; charts of one style with different data
//! usually have one size.

use image::imageops;
use image::{GrayImage, Luma, RgbImage};

use super::pixel_match;
use chartbench_pixels::{Filter, resize};

/// Largest difference, in pixels, between sizes that differ by a border, or between shapes that
/// differ by the scale.
const BORDER: u32 = 8;

/// Tolerances of a comparison.
struct Tolerances {
    /// Longest side after shrinking, in pixels.
    side: f32,
    /// Largest scale of the smaller image after shrinking.
    scale: f32,
    /// Grey levels by which a pixel may lie outside the values around its position in the other
    /// image.
    tolerance: f32,
    /// Pixels that may lie further outside.
    outside: usize,
}

const CLOSE: Tolerances = Tolerances {
    side: 320.0,
    scale: 0.66,
    tolerance: 32.0,
    outside: 2,
};
const SCALED: Tolerances = Tolerances {
    side: 200.0,
    scale: 0.5,
    tolerance: 48.0,
    outside: 20,
};

/// The same for red, green and blue each: JPEG stores colours at half the resolution and less
/// exactly, and light colours differ in these channels only.
const COLOUR_TOLERANCE: f32 = 64.0;
const COLOUR_OUTSIDE: usize = 20;

/// Whether two images show the same chart, up to encoding, size, brightness and a thin border.
pub(super) fn same_chart(a: &RgbImage, b: &RgbImage) -> bool {
    let ((wide_a, high_a), (wide_b, high_b)) = (a.dimensions(), b.dimensions());
    if wide_a.abs_diff(wide_b) <= BORDER && high_a.abs_diff(high_b) <= BORDER {
        let (width, height) = (wide_a.min(wide_b), high_a.min(high_b));
        let sizes_differ = (wide_a, high_a) != (wide_b, high_b);
        return CLOSE.match_images(a, b)
            || (sizes_differ
                && CLOSE.match_images(
                    &crop_middle(a, width, height),
                    &crop_middle(b, width, height),
                ));
    }
    let (larger, smaller) = if wide_a > wide_b { (a, b) } else { (b, a) };
    let height =
        f64::from(larger.height()) * f64::from(smaller.width()) / f64::from(larger.width());
    (height - f64::from(smaller.height())).abs() <= f64::from(BORDER) && SCALED.match_images(a, b)
}

impl Tolerances {
    fn match_images(&self, a: &RgbImage, b: &RgbImage) -> bool {
        let (width, height) = (a.width().min(b.width()), a.height().min(b.height()));
        let scale = (self.side / width.max(height) as f32).min(self.scale);
        let [width, height] =
            [width, height].map(|length| ((length as f32 * scale).round() as u32).max(1));
        let [a, b] =
            [a, b].map(|image| resize(&without_border(image), width, height, Filter::Bilinear));
        let outside = pixel_match::outside_after_evening(
            &imageops::grayscale(&a),
            &imageops::grayscale(&b),
            self.tolerance,
        );
        outside <= self.outside
            && (0..3).all(|channel| {
                let [a, b] = [&a, &b].map(|image| channel_as_grey(image, channel));
                pixel_match::outside(&a, &b, COLOUR_TOLERANCE) <= COLOUR_OUTSIDE
            })
    }
}

/// The middle `width` by `height` pixels.
fn crop_middle(image: &RgbImage, width: u32, height: u32) -> RgbImage {
    let [left, top] = [image.width() - width, image.height() - height].map(|spare| spare / 2);
    imageops::crop_imm(image, left, top, width, height).to_image()
}

/// An image without a fiftieth at each side, where borders are.
fn without_border(image: &RgbImage) -> RgbImage {
    let [width, height] = [image.width(), image.height()]
        .map(|length| length - 2 * (length as f32 * 0.02).round() as u32);
    crop_middle(image, width, height)
}

/// One channel as a grey image.
fn channel_as_grey(image: &RgbImage, channel: usize) -> GrayImage {
    GrayImage::from_fn(image.width(), image.height(), |x, y| {
        Luma([image
            .get_pixel(x, y)
            .0
            .get(channel)
            .copied()
            .unwrap_or_default()])
    })
}
