//! Checks that every chart's image exists, decodes and can be a chart. Keeps digests for finding
//! copies, not the pixels.

use std::io::ErrorKind;

use image::RgbImage;
use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::thumbnail::Thumbnail;
use super::{Finding, FindingKind, SplitChart};
use chartbench_core::question::{CHUNK_CHARTS, Chart};

/// Least pixels of the shorter side of a chart.
const MIN_SIDE: u32 = 16;

/// Digests of an image, for finding copies.
pub(super) struct ImageDigest {
    /// SHA-256 of the file.
    pub(super) bytes: [u8; 32],
    /// SHA-256 of width, height and pixels.
    pub(super) pixels: [u8; 32],
    pub(super) thumbnail: Thumbnail,
}

/// Decodes and digests every chart's image on all cores; `None` for missing and broken images.
/// `progress` is called once for each image.
pub(super) fn digest_images(
    split_charts: &[SplitChart<'_>],
    progress: &(dyn Fn() + Sync),
    findings: &mut Vec<Finding>,
) -> Vec<Option<ImageDigest>> {
    let mut digests: Vec<Result<ImageDigest, ImageFault>> = Vec::new();
    // In the order of the data set: parquet files are read a row group at a time.
    for chunk in split_charts.chunks(CHUNK_CHARTS) {
        digests.par_extend(chunk.par_iter().map(|split_chart| {
            let digest = digest_image(split_chart.chart);
            progress();
            digest
        }));
    }
    let mut found = Vec::with_capacity(digests.len());
    for (split_chart, digest) in split_charts.iter().zip(digests) {
        found.push(match digest {
            Ok(digest) => Some(digest),
            Err(ImageFault { kind, message }) => {
                findings.push(Finding::about_chart(kind, split_chart, message));
                None
            }
        });
    }
    found
}

/// A fault of an image.
struct ImageFault {
    kind: FindingKind,
    message: String,
}

fn broken(message: String) -> ImageFault {
    ImageFault {
        kind: FindingKind::BrokenImage,
        message,
    }
}

fn digest_image(chart: &Chart) -> Result<ImageDigest, ImageFault> {
    let bytes =
        chart
            .image
            .bytes()
            .map_err(|error| match error.downcast_ref::<std::io::Error>() {
                Some(io) if io.kind() == ErrorKind::NotFound => ImageFault {
                    kind: FindingKind::MissingImage,
                    message: "there is no such file".to_owned(),
                },
                _ => broken(format!("{error:#}")),
            })?;
    let name = chart.image_name();
    let image = chartbench_pixels::decode(&bytes, &name).map_err(|error| {
        let message = format!("{error:#}");
        broken(
            message
                .strip_prefix(&format!("image {name}: "))
                .unwrap_or(&message)
                .to_owned(),
        )
    })?;
    if let Some(message) = cannot_be_a_chart(&image) {
        return Err(broken(message));
    }
    let mut pixels = Sha256::new();
    pixels.update(image.width().to_le_bytes());
    pixels.update(image.height().to_le_bytes());
    pixels.update(image.as_raw());
    Ok(ImageDigest {
        bytes: Sha256::digest(&bytes).into(),
        pixels: pixels.finalize().into(),
        thumbnail: Thumbnail::from_image(&image),
    })
}

/// The reason why a decoded image cannot be a chart.
fn cannot_be_a_chart(image: &RgbImage) -> Option<String> {
    let (width, height) = image.dimensions();
    if width.min(height) < MIN_SIDE {
        return Some(format!("{width} x {height} pixels are no chart"));
    }
    let mut pixels = image.pixels();
    let first = pixels.next()?;
    pixels
        .all(|pixel| pixel == first)
        .then(|| format!("all of its {width} x {height} pixels have one colour"))
}
