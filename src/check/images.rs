//! Every chart's image: there, decodable, and fit to be a chart. What is needed to find copies is kept, the pixels not.

use std::io::ErrorKind;

use image::RgbImage;
use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::thumbnail::Thumbnail;
use super::{Entry, Finding, Kind};
use crate::preprocess;

/// A smaller side of fewer pixels is no chart's.
const SMALLEST: u32 = 16;

/// What is kept of an image.
pub(super) struct Look {
    /// SHA-256 of the file.
    pub(super) bytes: [u8; 32],
    /// SHA-256 of width, height and pixels.
    pub(super) pixels: [u8; 32],
    pub(super) thumbnail: Thumbnail,
}

/// Looks at every entry's image on all cores, in place of the missing and broken ones `None`; `progress` is called once
/// an image.
pub(super) fn look(
    entries: &[Entry<'_>],
    progress: &(dyn Fn() + Sync),
    findings: &mut Vec<Finding>,
) -> Vec<Option<Look>> {
    let looks: Vec<Result<Look, Finding>> = entries
        .par_iter()
        .map(|entry| {
            let look = look_at(entry);
            progress();
            look
        })
        .collect();
    looks.into_iter().map(|look| look.map_err(|finding| findings.push(finding)).ok()).collect()
}

fn look_at(entry: &Entry<'_>) -> Result<Look, Finding> {
    let missing = |error: &anyhow::Error| {
        error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == ErrorKind::NotFound)
    };
    let broken = |what: String| Finding::of_chart(Kind::BrokenImage, entry, what);
    let bytes = entry.chart.image.bytes().map_err(|error| {
        if missing(&error) {
            Finding::of_chart(Kind::MissingImage, entry, "there is no such file")
        } else {
            broken(format!("{error:#}"))
        }
    })?;
    let name = entry.chart.image_name();
    let image = preprocess::decode(&bytes, &name).map_err(|error| {
        let what = format!("{error:#}");
        broken(what.strip_prefix(&format!("image {name}: ")).unwrap_or(&what).to_owned())
    })?;
    if let Some(what) = absurd(&image) {
        return Err(broken(what));
    }
    let mut pixels = Sha256::new();
    pixels.update(image.width().to_le_bytes());
    pixels.update(image.height().to_le_bytes());
    pixels.update(image.as_raw());
    Ok(Look {
        bytes: Sha256::digest(&bytes).into(),
        pixels: pixels.finalize().into(),
        thumbnail: Thumbnail::of(&image),
    })
}

/// Why a decoded image cannot be a chart.
fn absurd(image: &RgbImage) -> Option<String> {
    let (width, height) = image.dimensions();
    if width.min(height) < SMALLEST {
        return Some(format!("{width} x {height} pixels are no chart"));
    }
    let mut pixels = image.pixels();
    let first = pixels.next()?;
    pixels.all(|pixel| pixel == first).then(|| format!("all of its {width} x {height} pixels have one colour"))
}
