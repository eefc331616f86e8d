//! The content of questions: text, gold answer and decoded pixels. It does not depend on ids, on
//! the order, nor on how a picture is encoded, so that one data set from two sources has one
//! content hash.

use std::collections::{HashMap, HashSet};
use std::fmt::Write;

use anyhow::{Context, Result};
use image::RgbImage;
use rayon::prelude::*;
use sha2::{Digest, Sha256};

use chartbench_core::question::{Chart, Gold, QuestionSource};

/// Digest of a decoded picture: equal for a PNG, a BMP and a lossless WebP of the same pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PixelDigest {
    /// Pixels in a row.
    pub width: u32,
    /// Rows of pixels.
    pub height: u32,
    /// SHA-256 of the pixels, row by row, each as red, green and blue of 8 bits.
    pub sha256: [u8; 32],
}

impl PixelDigest {
    /// The digest of a decoded picture.
    pub fn from_image(image: &RgbImage) -> Self {
        Self {
            width: image.width(),
            height: image.height(),
            sha256: Sha256::digest(image.as_raw()).into(),
        }
    }

    /// Reads and decodes a chart's picture.
    ///
    /// # Errors
    /// Returns an error that names the picture if it cannot be read or decoded.
    pub fn from_chart(chart: &Chart) -> Result<Self> {
        let image = chartbench_pixels::decode(&chart.image.bytes()?, &chart.image_name())?;
        Ok(Self::from_image(&image))
    }
}

/// The content of one question: SHA-256 of the JSON array `[text, gold, width, height, pixels]`,
/// lists of one item taken for the item, pixels as the hex of [`PixelDigest::sha256`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentKey([u8; 32]);

impl ContentKey {
    /// The key of a question about a picture.
    ///
    /// # Errors
    /// Returns an error if the question cannot be written as JSON, which plain text always can.
    pub fn new(text: &str, gold: &Gold, pixels: &PixelDigest) -> Result<Self> {
        let fields = (
            text,
            unwrap_single_items(gold),
            pixels.width,
            pixels.height,
            to_hex(&pixels.sha256),
        );
        let json = serde_json::to_vec(&fields).context("cannot hash a question's content")?;
        Ok(Self(Sha256::digest(json).into()))
    }
}

/// The gold answer with each list of one item replaced by the item: some sources write an answer as
/// a text, others as a list of it.
pub fn unwrap_single_items(gold: &Gold) -> Gold {
    match gold {
        Gold::Text(_) => gold.clone(),
        Gold::List(items) => match items.as_slice() {
            [item] => unwrap_single_items(item),
            items => Gold::List(items.iter().map(unwrap_single_items).collect()),
        },
    }
}

/// The content hash of a set of questions: SHA-256 over their sorted keys.
#[derive(Clone, Debug, Default)]
pub struct ContentHash(Vec<ContentKey>);

impl ContentHash {
    /// Adds a question.
    pub fn add(&mut self, key: ContentKey) {
        self.0.push(key);
    }

    /// The hash of all added questions, in lower-case hex.
    pub fn hex(mut self) -> String {
        self.0.sort_unstable();
        let mut hasher = Sha256::new();
        self.0.iter().for_each(|key| hasher.update(key.0));
        to_hex(&hasher.finalize())
    }
}

/// Decodes the pictures of the charts whose ids are `wanted`, on all cores, one picture a core in
/// memory. Charts that `source` does not have are absent from the result.
///
/// # Errors
/// Returns the first error in the order of `source` if a chunk or a picture cannot be read.
pub fn digest_pictures(
    source: &dyn QuestionSource,
    wanted: &HashSet<&str>,
) -> Result<HashMap<String, PixelDigest>> {
    let mut digests = HashMap::with_capacity(wanted.len());
    for chunk in source.chunks() {
        let chunk = chunk?;
        let decoded: Vec<Result<(String, PixelDigest)>> = chunk
            .par_iter()
            .map(|chart_questions| &chart_questions.chart)
            .filter(|chart| wanted.contains(chart.id.as_str()))
            .map(|chart| Ok((chart.id.clone(), PixelDigest::from_chart(chart)?)))
            .collect();
        for digest in decoded {
            digests.extend([digest?]);
        }
        if digests.len() == wanted.len() {
            break;
        }
    }
    Ok(digests)
}

fn to_hex(bytes: &[u8]) -> String {
    let mut hex = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a `String` never fails.
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    fn picture() -> RgbImage {
        RgbImage::from_fn(5, 3, |x, y| Rgb([x as u8, y as u8, 7]))
    }

    fn key(text: &str, gold: &Gold, image: &RgbImage) -> ContentKey {
        ContentKey::new(text, gold, &PixelDigest::from_image(image)).unwrap()
    }

    #[test]
    fn text_gold_and_pixels_are_the_content() {
        let image = picture();
        let question = key("How many?", &"3".into(), &image);
        assert_eq!(key("How many?", &"3".into(), &picture()), question);
        assert_ne!(key("How many ?", &"3".into(), &image), question);
        assert_ne!(key("How many?", &"3.0".into(), &image), question);
        let mut changed = picture();
        changed.put_pixel(4, 2, Rgb([4, 2, 8]));
        assert_ne!(key("How many?", &"3".into(), &changed), question);
        // The same bytes in rows of another length.
        let reshaped = RgbImage::from_raw(3, 5, image.into_raw()).unwrap();
        assert_ne!(key("How many?", &"3".into(), &reshaped), question);
    }

    #[test]
    fn a_list_of_one_item_is_the_item() {
        let image = picture();
        let list = |items: &[Gold]| Gold::List(items.to_vec());
        let text = key("Q?", &"a".into(), &image);
        assert_eq!(key("Q?", &list(&["a".into()]), &image), text);
        assert_eq!(key("Q?", &list(&[list(&["a".into()])]), &image), text);
        let two = key("Q?", &list(&["a".into(), "b".into()]), &image);
        let nested = list(&[list(&["a".into()]), "b".into()]);
        assert_eq!(key("Q?", &nested, &image), two);
        assert_ne!(key("Q?", &"a, b".into(), &image), two);
        assert_ne!(
            key("Q?", &list(&["b".into(), "a".into()]), &image),
            two,
            "the order of a list's items is content"
        );
    }

    #[test]
    fn the_order_of_questions_is_no_content_and_their_number_is() {
        let image = picture();
        let keys = ["a", "b"].map(|gold| key("Q?", &gold.into(), &image));
        let hash = |keys: &[ContentKey]| {
            let mut hash = ContentHash::default();
            keys.iter().for_each(|key| hash.add(*key));
            hash.hex()
        };
        assert_eq!(hash(&keys), hash(&[keys[1], keys[0]]));
        assert_ne!(hash(&keys), hash(&[keys[0], keys[1], keys[1]]));
        // Pinned: another value is another definition, and stored hashes would mean nothing.
        assert_eq!(
            hash(&keys),
            "c25fba4724a9b906b18f44b38e4f94e8322c6d263a4d6cb0d54921ea49d4793e"
        );
    }
}
