//! Checks that every chart's image exists, decodes and can be a chart. Keeps digests for finding
//! copies, not the pixels.

use std::io::ErrorKind;

use image::RgbImage;
use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::thumbnail::Thumbnail;
use super::{Finding, FindingKind, SplitChart};
use crate::content::PixelDigest;
use chartbench_core::question::{CHUNK_CHARTS, Chart};

/// Least pixels of the shorter side of a chart.
const MIN_SIDE: u32 = 16;

/// Digests of an image, for finding copies.
pub(super) struct ImageDigest {
    /// SHA-256 of the file.
    pub(super) bytes: [u8; 32],
    pub(super) pixels: PixelDigest,
    pub(super) thumbnail: Thumbnail,
}

/// What decoding every chart's image found, in the order of the charts.
pub(super) struct DecodedImages {
    /// `None` for images that are missing, broken or no chart.
    pub(super) digests: Vec<Option<ImageDigest>>,
    /// `None` for images that do not decode.
    pub(super) pixels: Vec<Option<PixelDigest>>,
}

/// Decodes and digests every chart's image on all cores. `progress` is called once for each image.
pub(super) fn digest_images(
    split_charts: &[SplitChart<'_>],
    progress: &(dyn Fn() + Sync),
    findings: &mut Vec<Finding>,
) -> DecodedImages {
    let mut digests: Vec<Result<ImageDigest, ImageFault>> = Vec::new();
    // In the order of the data set: parquet files are read a row group at a time.
    for chunk in split_charts.chunks(CHUNK_CHARTS) {
        digests.par_extend(chunk.par_iter().map(|split_chart| {
            let digest = digest_image(split_chart.chart);
            progress();
            digest
        }));
    }
    let mut decoded = DecodedImages {
        digests: Vec::with_capacity(digests.len()),
        pixels: Vec::with_capacity(digests.len()),
    };
    for (split_chart, digest) in split_charts.iter().zip(digests) {
        match digest {
            Ok(digest) => {
                decoded.pixels.push(Some(digest.pixels));
                decoded.digests.push(Some(digest));
            }
            Err(ImageFault {
                kind,
                message,
                pixels,
            }) => {
                findings.push(Finding::about_chart(kind, split_chart, message));
                decoded.pixels.push(pixels);
                decoded.digests.push(None);
            }
        }
    }
    decoded
}

/// A fault of an image.
struct ImageFault {
    kind: FindingKind,
    message: String,
    /// The pixels of an image that decodes and can be no chart.
    pixels: Option<PixelDigest>,
}

fn broken(message: String) -> ImageFault {
    ImageFault {
        kind: FindingKind::BrokenImage,
        message,
        pixels: None,
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
                    pixels: None,
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
    let pixels = PixelDigest::from_image(&image);
    if let Some(message) = cannot_be_a_chart(&image) {
        return Err(ImageFault {
            pixels: Some(pixels),
            ..broken(message)
        });
    }
    Ok(ImageDigest {
        bytes: Sha256::digest(&bytes).into(),
        pixels,
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
