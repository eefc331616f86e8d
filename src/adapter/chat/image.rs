//! A chart's picture as a data URL.

use std::io::Cursor;

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use image::ImageFormat;

use chartbench_core::question::Chart;

/// The description in manifests.
pub(super) const HANDLING: &str =
    "the file's own bytes where PNG, JPEG, WebP or GIF, else as PNG; base64";

/// The picture as `data:MIME;base64,...`: the file's own bytes where every server reads its format,
/// else re-encoded as PNG. The content decides the format.
///
/// # Errors
/// Returns an error if the file cannot be read or is no image.
pub(super) fn data_url(chart: &Chart) -> Result<String> {
    let bytes = chart.image.bytes()?;
    let (mime, bytes) = match image::guess_format(&bytes) {
        Ok(ImageFormat::Png) => ("image/png", bytes),
        Ok(ImageFormat::Jpeg) => ("image/jpeg", bytes),
        Ok(ImageFormat::WebP) => ("image/webp", bytes),
        Ok(ImageFormat::Gif) => ("image/gif", bytes),
        _ => ("image/png", as_png(&bytes, &chart.image_name())?),
    };
    Ok(format!("data:{mime};base64,{}", STANDARD.encode(bytes)))
}

fn as_png(bytes: &[u8], name: &str) -> Result<Vec<u8>> {
    let mut png = Cursor::new(Vec::new());
    let image = chartbench_pixels::decode(bytes, name)?;
    image
        .write_to(&mut png, ImageFormat::Png)
        .with_context(|| format!("image {name}: cannot encode it as PNG"))?;
    Ok(png.into_inner())
}
