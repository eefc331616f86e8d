//! A chart's picture as a data URL.

use std::io::Cursor;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use image::codecs::jpeg::JpegEncoder;
use image::imageops::FilterType;
use image::{ImageFormat, ImageReader, RgbImage};

use chartbench_core::question::{Chart, ChartQuestions};

/// The description in manifests. It is part of fingerprints and stays as it is: WebP and GIF, which
/// not every server reads, go out as PNG with the same pixels.
pub(super) const HANDLING: &str =
    "the file's own bytes where PNG, JPEG, WebP or GIF, else as PNG; base64";

/// Quality of the JPEG that a picture becomes where its PNG has too many bytes.
const JPEG_QUALITY: u8 = 90;
/// Factor of the sides of a picture whose JPEG has too many bytes, until it has not.
const SHRINK: f64 = 0.8;
/// Shortest long side of a picture that is made smaller.
const MIN_SIDE: u32 = 32;

/// What a server takes of a picture.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ImageLimits {
    /// Longest side in pixels.
    pub side: Option<usize>,
    /// Largest file in bytes, before base64.
    pub bytes: Option<usize>,
}

/// A chart's picture: encoded for the first of its questions, and let go after the last.
pub(super) struct SharedPicture<'a> {
    chart: &'a Chart,
    limits: ImageLimits,
    questions_left: AtomicUsize,
    encoded: Mutex<Option<Result<Arc<str>, String>>>,
}

impl<'a> SharedPicture<'a> {
    /// The picture of a chart none of whose questions is expected yet.
    pub(super) fn new(charts: &'a ChartQuestions, limits: ImageLimits) -> Self {
        Self {
            chart: &charts.chart,
            limits,
            questions_left: AtomicUsize::new(0),
            encoded: Mutex::default(),
        }
    }

    /// The picture as a data URL.
    ///
    /// # Errors
    /// As [`data_url`].
    pub(super) fn get(&self) -> Result<Arc<str>> {
        let mut encoded = self.lock();
        let encoded = encoded.get_or_insert_with(|| {
            let url = data_url(self.chart, self.limits);
            url.map(Arc::from).map_err(|error| format!("{error:#}"))
        });
        encoded.clone().map_err(anyhow::Error::msg)
    }

    /// Notes that one more of its questions is about to be asked.
    pub(super) fn expect_question(&self) {
        self.questions_left.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes that one of its questions is asked.
    pub(super) fn finish_question(&self) {
        if self.questions_left.fetch_sub(1, Ordering::Relaxed) == 1 {
            *self.lock() = None;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Result<Arc<str>, String>>> {
        self.encoded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A picture file.
struct Encoded {
    mime: &'static str,
    bytes: Vec<u8>,
}

/// The picture as `data:MIME;base64,...`: the file's own bytes where they are PNG or JPEG within the
/// limits, else PNG, or JPEG where that has too many bytes. The content decides the format.
///
/// # Errors
/// Returns an error if the file cannot be read or is no image, or fits into no limit.
fn data_url(chart: &Chart, limits: ImageLimits) -> Result<String> {
    let bytes = chart.image.bytes()?;
    let name = chart.image_name();
    let mime = match image::guess_format(&bytes) {
        Ok(ImageFormat::Png) => Some("image/png"),
        Ok(ImageFormat::Jpeg) => Some("image/jpeg"),
        _ => None,
    };
    let is_within = is_small(bytes.len(), limits.bytes)
        && (limits.side.is_none()
            || dimensions(&bytes)
                .is_none_or(|(width, height)| is_small(width.max(height), limits.side)));
    let encoded = match mime {
        Some(mime) if is_within => Encoded { mime, bytes },
        _ => encode(chartbench_pixels::decode(&bytes, &name)?, limits)
            .with_context(|| format!("image {name}"))?,
    };
    let base64 = STANDARD.encode(encoded.bytes);
    Ok(format!("data:{};base64,{base64}", encoded.mime))
}

/// The pixels of a picture in a data URL, as far as its header can be read.
pub(super) fn pixels(data_url: &str) -> Option<u64> {
    let (_, base64) = data_url.split_once(";base64,")?;
    let (width, height) = dimensions(&STANDARD.decode(base64).ok()?)?;
    Some(u64::from(width) * u64::from(height))
}

/// Width and height by the file's header.
fn dimensions(bytes: &[u8]) -> Option<(u32, u32)> {
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format();
    reader.ok()?.into_dimensions().ok()
}

fn is_small<T: TryInto<usize>>(size: T, limit: Option<usize>) -> bool {
    let size = size.try_into().unwrap_or(usize::MAX);
    limit.is_none_or(|limit| size <= limit)
}

/// Encodes pixels within the limits.
fn encode(image: RgbImage, limits: ImageLimits) -> Result<Encoded> {
    let longest = image.width().max(image.height());
    let mut side = limits
        .side
        .and_then(|side| u32::try_from(side).ok())
        .map_or(longest, |side| side.min(longest));
    let scaled = scaled(&image, side);
    let mut bytes = Vec::new();
    scaled
        .write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png)
        .context("cannot encode it as PNG")?;
    if is_small(bytes.len(), limits.bytes) {
        let mime = "image/png";
        return Ok(Encoded { mime, bytes });
    }
    let mut bytes = as_jpeg(&scaled)?;
    while !is_small(bytes.len(), limits.bytes) {
        side = (f64::from(side) * SHRINK) as u32;
        ensure!(
            side >= MIN_SIDE,
            "no JPEG of it has at most {} bytes (`endpoint.max_image_bytes`)",
            limits.bytes.unwrap_or_default()
        );
        bytes = as_jpeg(&self::scaled(&image, side))?;
    }
    let mime = "image/jpeg";
    Ok(Encoded { mime, bytes })
}

/// The image with this longest side, in its proportions.
fn scaled(image: &RgbImage, longest: u32) -> RgbImage {
    let (width, height) = image.dimensions();
    if longest >= width.max(height) {
        return image.clone();
    }
    let factor = f64::from(longest) / f64::from(width.max(height));
    let side = |side: u32| ((f64::from(side) * factor).round() as u32).max(1);
    // Not by the resampling of `chartbench_pixels`, which uses rayon's pool: its only thread may be
    // waiting for this picture.
    image::imageops::resize(image, side(width), side(height), FilterType::CatmullRom)
}

fn as_jpeg(image: &RgbImage) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    image
        .write_with_encoder(JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY))
        .context("cannot encode it as JPEG")?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pixels that compress badly.
    fn noisy(width: u32, height: u32) -> RgbImage {
        let value = |x: u32, y: u32, c: u32| (x * 7919 + y * 104_729 + c * 31 + x * y * 13) as u8;
        RgbImage::from_fn(width, height, |x, y| {
            image::Rgb([value(x, y, 0), value(x, y, 1), value(x, y, 2)])
        })
    }

    #[test]
    fn a_large_picture_is_scaled_and_a_heavy_one_is_a_jpeg() {
        let image = noisy(300, 150);
        let encoded = |side, bytes| encode(image.clone(), ImageLimits { side, bytes }).unwrap();
        let all = encoded(None, None);
        assert_eq!(
            (all.mime, dimensions(&all.bytes)),
            ("image/png", Some((300, 150)))
        );
        let scaled = encoded(Some(100), None);
        assert_eq!(
            (scaled.mime, dimensions(&scaled.bytes)),
            ("image/png", Some((100, 50)))
        );
        let jpeg = as_jpeg(&image).unwrap().len();
        assert!(jpeg < all.bytes.len(), "{jpeg}");
        let lighter = encoded(None, Some(jpeg));
        assert_eq!(
            (
                lighter.mime,
                lighter.bytes.len(),
                dimensions(&lighter.bytes)
            ),
            ("image/jpeg", jpeg, Some((300, 150)))
        );
        let smaller = encoded(None, Some(jpeg - 1));
        assert_eq!(dimensions(&smaller.bytes), Some((240, 120)));
        assert!(smaller.bytes.len() < jpeg);
    }

    #[test]
    fn a_limit_that_no_picture_meets_is_an_error() {
        let limits = ImageLimits {
            side: None,
            bytes: Some(20),
        };
        let error = format!("{:#}", encode(noisy(64, 64), limits).err().unwrap());
        assert!(error.contains("`endpoint.max_image_bytes`"), "{error}");
    }
}
