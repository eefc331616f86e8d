//! Images that stand in the question file itself: data URLs, and base64 as VLMEvalKit's TSV files
//! have it.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use sha2::{Digest, Sha256};

use chartbench_core::input::MAX_IMAGE_BYTES;
use chartbench_core::question::{ImageProducer, ImageRef};

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
/// Base64 of the first bytes of PNG, JPEG, GIF, WebP, BMP and TIFF files.
const BEGINNINGS: [&str; 7] = [
    "iVBORw0KGgo",
    "/9j/",
    "R0lGOD",
    "UklGR",
    "Qk",
    "SUkqA",
    "TU0AK",
];
/// Shortest base64 that is taken for an image: a shorter text may be a path.
const MIN_BASE64: usize = 64;
/// Characters of the hash in a chart's id.
const ID_CHARACTERS: usize = 16;

/// The base64 of an image in a field, if the field is not a path.
pub(super) fn base64(field: &str) -> Option<Result<&str>> {
    let is_url = field
        .get(..5)
        .is_some_and(|scheme| scheme.eq_ignore_ascii_case("data:"));
    if is_url {
        let data = field.split_once(";base64,").map(|(_, data)| data);
        return Some(data.context("a data URL without `;base64,`"));
    }
    let is_base64 = field.len() >= MIN_BASE64
        && BEGINNINGS.iter().any(|bytes| field.starts_with(bytes))
        && !field.contains('.');
    is_base64.then_some(Ok(field))
}

/// The image behind its base64, kept in memory, and a chart id made of the image's hash.
///
/// # Errors
/// Returns an error if the text is not base64, or the image is too large.
pub(super) fn decode(base64: &str) -> Result<(String, ImageRef)> {
    let bytes = bytes(base64)?;
    Ok((id(&bytes), ImageRef::Drawn(Arc::new(EmbeddedImage(bytes)))))
}

/// The image behind its base64.
///
/// # Errors
/// Returns an error if the text is not base64, or the image is too large.
pub(super) fn bytes(base64: &str) -> Result<Vec<u8>> {
    let characters = base64.bytes().filter(|byte| !byte.is_ascii_whitespace());
    let text: Vec<u8> = characters.collect();
    ensure!(
        text.len() as u64 / 4 * 3 <= MAX_IMAGE_BYTES,
        "it has more than {} MiB",
        MAX_IMAGE_BYTES >> 20
    );
    BASE64.decode(text).context("not base64")
}

/// The id of a chart whose image has these bytes.
pub(super) fn id(bytes: &[u8]) -> String {
    let hash = format!("{:x}", Sha256::digest(bytes));
    format!("embedded-{}", hash.get(..ID_CHARACTERS).unwrap_or(&hash))
}

struct EmbeddedImage(Vec<u8>);

impl ImageProducer for EmbeddedImage {
    fn encoded(&self) -> Result<Vec<u8>> {
        Ok(self.0.clone())
    }
}
