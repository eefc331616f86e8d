//! Every chart's image: there, decodable, and fit to be a chart. What is needed to find copies is kept, the pixels not.

use std::io::ErrorKind;

use image::RgbImage;
use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::thumbnail::Thumbnail;
use super::{Entry, Finding, Kind};
use chartbench_core::question::Chart;

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
    let looks: Vec<Result<Look, Fault>> = entries
        .par_iter()
        .map(|entry| {
            let look = look_at(entry.chart);
            progress();
            look
        })
        .collect();
    let found = |(entry, look): (&Entry<'_>, Result<Look, Fault>)| match look {
        Ok(look) => Some(look),
        Err((kind, what)) => {
            findings.push(Finding::of_chart(kind, entry, what));
            None
        }
    };
    entries.iter().zip(looks).map(found).collect()
}

/// What is wrong with an image.
type Fault = (Kind, String);

fn look_at(chart: &Chart) -> Result<Look, Fault> {
    let broken = |what: String| (Kind::BrokenImage, what);
    let bytes = chart.image.bytes().map_err(|error| match error.downcast_ref::<std::io::Error>() {
        Some(io) if io.kind() == ErrorKind::NotFound => (Kind::MissingImage, "there is no such file".to_owned()),
        _ => broken(format!("{error:#}")),
    })?;
    let name = chart.image_name();
    let image = chartbench_pixels::decode(&bytes, &name).map_err(|error| {
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
