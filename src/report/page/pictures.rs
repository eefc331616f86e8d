//! The charts' pictures: some are embedded in the page, the others are linked.

use std::collections::HashMap;
use std::io::Cursor;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use image::{DynamicImage, ImageFormat, ImageReader, Rgb, RgbImage};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use rayon::prelude::*;
use serde::Serialize;

use super::text::VisibleText;
use chartbench_core::catch_panic;
use chartbench_core::input::Boundary;
use chartbench_core::question::ImageRef;

/// An image file up to this size is put into the page as it is; a bigger one is made smaller.
const WHOLE_BYTES: usize = 256 * 1024;
/// The longer side of a picture that was made smaller, and its JPEG quality.
const LONGER_SIDE: u32 = 1000;
const QUALITY: u8 = 85;
/// Characters that need no percent-encoding in a path segment.
const IN_LINK: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// Where the charts' pictures are.
#[derive(Debug, Default)]
pub struct Pictures {
    /// By the chart's id; empty where the data set is not at hand.
    pub images: HashMap<String, ImageRef>,
    /// The folder that holds the image files.
    pub folder: Option<Folder>,
    /// Maximum number of embedded pictures.
    pub most: usize,
}

/// A data set's folder. Nothing outside of it gets into the page.
#[derive(Debug)]
pub struct Folder {
    /// The folder as the user names it; the paths of its images begin with it.
    pub path: PathBuf,
    /// The same, seen from the page's folder; none where no relative path leads there.
    pub from_page: Option<PathBuf>,
}

/// The picture of a chart in the page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Picture {
    /// A `data:` address with the picture itself.
    Data(String),
    /// A relative address.
    Link(String),
    /// Words in the picture's place.
    Text(VisibleText),
}

impl Pictures {
    /// The pictures of `charts`, in their order; those that matter most are given in `first`, by
    /// their places.
    pub(super) fn select(&self, charts: &[&str], first: &[usize]) -> Vec<Picture> {
        let mut inside = vec![false; charts.len()];
        first
            .iter()
            .filter(|&&place| self.images.contains_key(charts[place]))
            .take(self.most)
            .for_each(|&place| {
                inside[place] = true;
            });
        charts
            .par_iter()
            .zip(inside)
            .map(|(chart, inside)| self.picture(chart, inside))
            .collect()
    }

    fn picture(&self, chart: &str, inside: bool) -> Picture {
        let Some(image) = self.images.get(chart) else {
            return words(&format!("no picture of {chart} at hand"));
        };
        let mut link = None;
        if let ImageRef::File(path) = image {
            let inside = self
                .folder
                .as_ref()
                .and_then(|folder| Some((folder, folder.inside(path)?)));
            let Some((folder, parts)) = inside else {
                return words(&format!("not shown: {}", self.describe_path(path)));
            };
            if !path.is_file() {
                return words(&format!("not there: {}", self.describe_path(path)));
            }
            if !Boundary::new(&folder.path, false).contains(path) {
                return words(&format!("not shown: {}", self.describe_path(path)));
            }
            link = folder.link(&parts);
        }
        if inside {
            match image.bytes().and_then(|bytes| embedded(&bytes)) {
                Ok(address) => return Picture::Data(address),
                Err(_) => return words(&format!("the picture of {chart} cannot be read")),
            }
        }
        link.map_or_else(
            || words("this picture is not in the page (--images)"),
            Picture::Link,
        )
    }

    /// A path relative to the data set's folder, so that the page does not reveal where the data
    /// set is stored.
    fn describe_path(&self, path: &Path) -> String {
        let part = self
            .folder
            .as_ref()
            .and_then(|folder| path.strip_prefix(&folder.path).ok());
        part.unwrap_or_else(|| path.file_name().map_or(path, Path::new))
            .display()
            .to_string()
    }
}

impl Folder {
    /// The parts of a path below the folder; none of one that leaves it or looks like an address.
    fn inside<'a>(&self, path: &'a Path) -> Option<Vec<&'a str>> {
        let parts =
            path.strip_prefix(&self.path)
                .ok()?
                .components()
                .map(|component| match component {
                    Component::Normal(part) => {
                        part.to_str().filter(|part| !part.contains([':', '\\']))
                    }
                    _ => None,
                });
        parts.collect()
    }

    fn link(&self, parts: &[&str]) -> Option<String> {
        let above = self
            .from_page
            .as_ref()?
            .components()
            .map(|component| match component {
                Component::ParentDir => Some(".."),
                Component::CurDir => Some("."),
                Component::Normal(part) => part.to_str(),
                Component::Prefix(_) | Component::RootDir => None,
            });
        let above: Vec<&str> = above.collect::<Option<_>>()?;
        let encoded = above
            .iter()
            .chain(parts)
            .map(|part| utf8_percent_encode(part, IN_LINK).to_string());
        // The first part must not read as a scheme or a host.
        Some(
            std::iter::once(".".to_owned())
                .chain(encoded)
                .collect::<Vec<_>>()
                .join("/"),
        )
    }
}

fn words(text: &str) -> Picture {
    Picture::Text(VisibleText::new(text))
}

/// An image file as a `data:` address; its content decides the format.
fn embedded(bytes: &[u8]) -> Result<String> {
    let format = image::guess_format(bytes).context("not an image")?;
    let kind = match format {
        ImageFormat::Png => Some("png"),
        ImageFormat::Jpeg => Some("jpeg"),
        ImageFormat::Gif => Some("gif"),
        ImageFormat::WebP => Some("webp"),
        _ => None,
    };
    match kind.filter(|_| bytes.len() <= WHOLE_BYTES) {
        Some(kind) => Ok(address(kind, bytes)),
        None => Ok(address(
            "jpeg",
            &catch_panic("the image decoder", || smaller(bytes))?,
        )),
    }
}

fn address(kind: &str, bytes: &[u8]) -> String {
    format!("data:image/{kind};base64,{}", STANDARD.encode(bytes))
}

/// The picture as a JPEG on white, its longer side at most [`LONGER_SIDE`].
fn smaller(bytes: &[u8]) -> Result<Vec<u8>> {
    let image = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()?
        .decode()?;
    let image = if image.width().max(image.height()) > LONGER_SIDE {
        image.resize(
            LONGER_SIDE,
            LONGER_SIDE,
            image::imageops::FilterType::CatmullRom,
        )
    } else {
        image
    };
    let mut white = DynamicImage::ImageRgb8(RgbImage::from_pixel(
        image.width(),
        image.height(),
        Rgb([255; 3]),
    ))
    .to_rgba8();
    image::imageops::overlay(&mut white, &image.to_rgba8(), 0, 0);
    let mut jpeg = Vec::new();
    let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut jpeg, QUALITY);
    DynamicImage::ImageRgba8(white)
        .to_rgb8()
        .write_with_encoder(encoder)?;
    Ok(jpeg)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> Folder {
        Folder {
            path: "data".into(),
            from_page: Some("../my data".into()),
        }
    }

    fn pick(image: &str, most: usize) -> Picture {
        let images = HashMap::from([(
            "c".to_owned(),
            ImageRef::File(Path::new("data").join(image).into()),
        )]);
        Pictures {
            images,
            folder: Some(folder()),
            most,
        }
        .select(&["c"], &[0])
        .swap_remove(0)
    }

    #[test]
    fn links_are_relative_and_encoded() {
        let link = |path: &str| {
            folder()
                .link(&folder().inside(&Path::new("data").join(path)).unwrap())
                .unwrap()
        };
        assert_eq!(
            link("png/a b#1?.png"),
            "./../my%20data/png/a%20b%231%3F.png"
        );
        assert_eq!(
            link("\"><script>.png"),
            "./../my%20data/%22%3E%3Cscript%3E.png"
        );
    }

    #[test]
    fn what_leaves_the_data_set_or_reads_as_an_address_is_words() {
        for path in [
            "../secret.png",
            "png/../../secret.png",
            "javascript:alert(1)",
            "C:\\x.png",
            "/etc/passwd",
        ] {
            assert_eq!(
                folder().inside(&Path::new("data").join(path)),
                None,
                "{path}"
            );
        }
        assert_eq!(pick("../secret.png", 1), words("not shown: ../secret.png"));
    }

    #[test]
    fn a_file_that_is_missing_or_no_image_is_words() {
        assert_eq!(
            [pick("missing.png", 0), pick("missing.png", 1)],
            ["not there: missing.png"; 2].map(words)
        );
        assert!(embedded(b"<svg onload=alert(1)>").is_err());
    }

    #[test]
    fn big_pictures_are_made_smaller() {
        let mut png = Vec::new();
        let noise = RgbImage::from_fn(1600, 800, |x, y| {
            Rgb([(x * y % 251) as u8, (x % 256) as u8, (x * 7 + y) as u8])
        });
        noise
            .write_to(&mut Cursor::new(&mut png), ImageFormat::Png)
            .unwrap();
        assert!(png.len() > WHOLE_BYTES);
        let address = embedded(&png).unwrap();
        let jpeg = STANDARD
            .decode(address.strip_prefix("data:image/jpeg;base64,").unwrap())
            .unwrap();
        let small = image::load_from_memory(&jpeg).unwrap();
        assert_eq!((small.width(), small.height()), (1000, 500));
    }
}
