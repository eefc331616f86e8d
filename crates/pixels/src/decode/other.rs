//! GIF, BMP, TIFF and WebP through the `image` crate: the first frame.
//!
//! Not read, though Pillow does: TIFF with a palette or with grey and alpha. JPEG inside TIFF may
//! differ by one level.

use std::io::Cursor;

use anyhow::{Result, anyhow, bail};
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, RgbImage};

use super::{check_size, from_pixels, over_white};

pub(super) fn decode(bytes: &[u8], format: ImageFormat) -> Result<RgbImage> {
    // One message: these errors repeat themselves in their causes.
    let damaged = |error| anyhow!("damaged or unsupported {format:?} file: {error}");
    let decoder = ImageReader::with_format(Cursor::new(bytes), format)
        .into_decoder()
        .map_err(damaged)?;
    let (width, height) = decoder.dimensions();
    check_size(width, height, decoder.color_type().bits_per_pixel().into())?;
    let image = DynamicImage::from_decoder(decoder).map_err(damaged)?;
    match image {
        DynamicImage::ImageRgb8(image) => Ok(image),
        DynamicImage::ImageRgba8(image) => from_pixels(
            width,
            height,
            image.pixels().map(|pixel| over_white(pixel.0)),
        ),
        DynamicImage::ImageLuma8(image) => {
            from_pixels(width, height, image.pixels().map(|pixel| [pixel.0[0]; 3]))
        }
        DynamicImage::ImageLumaA8(image) => from_pixels(
            width,
            height,
            image
                .pixels()
                .map(|pixel| over_white([pixel.0[0], pixel.0[0], pixel.0[0], pixel.0[1]])),
        ),
        DynamicImage::ImageLuma16(image) => from_pixels(
            width,
            height,
            image
                .pixels()
                .map(|pixel| [u8::try_from(pixel.0[0]).unwrap_or(u8::MAX); 3]),
        ),
        DynamicImage::ImageRgb16(image) => from_pixels(
            width,
            height,
            image
                .pixels()
                .map(|pixel| pixel.0.map(|value| (value >> 8) as u8)),
        ),
        other => bail!(
            "{:?} pixels are not supported: convert the image to PNG",
            other.color()
        ),
    }
}
