//! The image of a chart: a file, or one that is produced on demand.

use std::fmt;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};

use crate::input::{self, Boundary, MAX_IMAGE_BYTES};

/// Extensions that an image may have, the preferred ones first. The content decides the format,
/// never the extension.
pub const IMAGE_EXTENSIONS: [&str; 8] = ["png", "jpg", "jpeg", "gif", "bmp", "tif", "tiff", "webp"];

/// `name` without its extension where that is an image's or `json`; other dots belong to the name.
pub fn stem(name: &str) -> &str {
    match name.rsplit_once('.') {
        Some((stem, extension)) if !stem.is_empty() => {
            let mut extensions = IMAGE_EXTENSIONS.iter().chain(&["json"]);
            if extensions.any(|listed| extension.eq_ignore_ascii_case(listed)) {
                stem
            } else {
                name
            }
        }
        _ => name,
    }
}

/// Produces an encoded image (PNG, JPEG, ...) on demand: a drawn chart, a blank image.
pub trait ImageProducer: Send + Sync {
    /// The encoded image file, as it would lie on disk.
    fn encoded(&self) -> Result<Vec<u8>>;
}

/// An image file on disk, and the folder that it must lie in. The content decides its format, never
/// the extension.
#[derive(Clone, Debug)]
pub struct ImageFile {
    path: PathBuf,
    boundary: Boundary,
}

impl ImageFile {
    /// A file that a data set names.
    pub fn new(path: PathBuf, boundary: Boundary) -> Self {
        Self { path, boundary }
    }

    /// Opens the file and closes it again, before a program that gets its path reads it.
    ///
    /// # Errors
    /// Returns an error if it cannot be opened, is no regular file, is too large or lies outside
    /// its boundary; the error names it.
    pub fn check(&self) -> Result<()> {
        let size = self
            .boundary
            .open(&self.path)
            .and_then(|file| file.metadata());
        let checked = size.and_then(|metadata| input::check_size(metadata.len(), MAX_IMAGE_BYTES));
        checked.with_context(|| self.unreadable())
    }

    fn read(&self) -> Result<Vec<u8>> {
        let bytes = self
            .boundary
            .open(&self.path)
            .and_then(|file| input::read_at_most(file, MAX_IMAGE_BYTES));
        bytes.with_context(|| self.unreadable())
    }

    fn unreadable(&self) -> String {
        format!("cannot read the chart image {}", self.path.display())
    }

    /// Whether the file exists outside its boundary.
    pub fn is_outside(&self) -> bool {
        self.path.exists() && !self.boundary.contains(&self.path)
    }
}

/// A file that the user names: it may lie anywhere.
impl From<PathBuf> for ImageFile {
    fn from(path: PathBuf) -> Self {
        Self {
            path,
            boundary: Boundary::default(),
        }
    }
}

impl From<&str> for ImageFile {
    fn from(path: &str) -> Self {
        PathBuf::from(path).into()
    }
}

impl Deref for ImageFile {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.path
    }
}

/// The source of a chart's image. Nothing is read or drawn before [`ImageRef::bytes`].
#[derive(Clone)]
pub enum ImageRef {
    /// A file on disk, which may be missing.
    File(ImageFile),
    /// An image made on demand.
    Drawn(Arc<dyn ImageProducer>),
}

impl ImageRef {
    /// The encoded image.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read or lies outside its data set's folder; the error
    /// names it.
    pub fn bytes(&self) -> Result<Vec<u8>> {
        match self {
            Self::File(file) => file.read(),
            Self::Drawn(producer) => producer.encoded(),
        }
    }
}

impl fmt::Debug for ImageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file) => f.debug_tuple("File").field(&file.path).finish(),
            Self::Drawn(_) => f.write_str("Drawn"),
        }
    }
}
