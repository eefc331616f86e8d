//! Image files to RGB pixels, equal to Pillow's decoding followed by transformers'
//! `convert_to_rgb`: transparency is composited on white, nothing else is changed (no ICC profile,
//! no EXIF orientation, no gamma).

mod jpeg;
mod other;
mod png;

use anyhow::{Context, Result, anyhow, bail, ensure};
use image::{ImageFormat, RgbImage};

use chartbench_core::catch_panic;
use chartbench_core::terminal::shorten;

/// Most pixels an image may have: where Pillow refuses a "decompression bomb".
const MAX_PIXELS: u64 = 178_956_970;
/// Most bytes of an image's pixels, in the depth and channels of the file and as RGB of 8 bits:
/// where Pillow warns of a decompression bomb.
const MAX_BYTES: u64 = 1 << 28;

/// Decodes the first frame of a PNG, JPEG, GIF, BMP, TIFF or WebP file. The content decides the
/// format; `name` is for errors.
///
/// # Errors
/// Returns an error if the bytes are in none of these formats, are damaged or truncated, hold more
/// than 178,956,970 pixels, or the pixels take more than 256 MiB in the file's own depth and
/// channels or as RGB of 8 bits.
pub fn decode(bytes: &[u8], name: &str) -> Result<RgbImage> {
    let image = match image::guess_format(bytes) {
        Ok(ImageFormat::Png) => catch_panic("the PNG decoder", || png::decode(bytes)),
        Ok(ImageFormat::Jpeg) => catch_panic("the JPEG decoder", || jpeg::decode(bytes)),
        Ok(format)
            if matches!(
                format,
                ImageFormat::Gif | ImageFormat::Bmp | ImageFormat::Tiff | ImageFormat::WebP
            ) =>
        {
            catch_panic("the image decoder", || other::decode(bytes, format))
        }
        _ if bytes.is_empty() => Err(anyhow!("the file is empty")),
        _ => Err(anyhow!("not a PNG, JPEG, GIF, BMP, TIFF or WebP file")),
    };
    image.with_context(|| format!("image {}", shorten(name)))
}

/// Refuses sizes that no chart has, before memory is taken for the pixels of `bits` each.
fn check_size(width: u32, height: u32, bits: usize) -> Result<()> {
    if width == 0 || height == 0 {
        bail!("it has no pixels ({width} x {height})");
    }
    let pixels = u64::from(width) * u64::from(height);
    ensure!(
        pixels <= MAX_PIXELS,
        "{width} x {height} pixels are more than the {MAX_PIXELS} allowed"
    );
    let bits = bits.max(24);
    let bytes = pixels * bits as u64 / 8;
    ensure!(
        bytes <= MAX_BYTES,
        "{width} x {height} pixels of {bits} bits are {bytes} bytes, more than the {MAX_BYTES} allowed: make the image \
         smaller"
    );
    Ok(())
}

fn from_pixels(width: u32, height: u32, pixels: impl Iterator<Item = [u8; 3]>) -> Result<RgbImage> {
    let mut samples = Vec::with_capacity(width as usize * height as usize * 3);
    samples.extend(pixels.flatten());
    RgbImage::from_raw(width, height, samples).context("fewer pixels than its size says")
}

/// A pixel over white, with Pillow's integer rounding.
fn over_white([r, g, b, a]: [u8; 4]) -> [u8; 3] {
    [r, g, b].map(|value| {
        let sum = u32::from(value) * u32::from(a) + 255 * (255 - u32::from(a)) + 128;
        (((sum >> 8) + sum) >> 8) as u8
    })
}

/// Naive CMYK to RGB, with Pillow's integer rounding.
fn from_cmyk([c, m, y, k]: [u8; 4]) -> [u8; 3] {
    let light = u32::from(255 - k);
    [c, m, y].map(|ink| {
        let product = u32::from(ink) * light + 128;
        light.saturating_sub(((product >> 8) + product) >> 8) as u8
    })
}
