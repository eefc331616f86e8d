//! Finding a chart's image by one listing of its folder: the extension may differ from the expected one.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use super::text;
use crate::sample::{ChartQuestions, ImageRef};

/// Extensions an image may have, the preferred ones first; what a file really is, its content tells.
const EXTENSIONS: [&str; 8] = ["png", "jpg", "jpeg", "gif", "bmp", "tif", "tiff", "webp"];

/// `name` without its extension when that is an image's or `json`; other dots belong to the name.
pub(super) fn stem(name: &str) -> &str {
    match name.rsplit_once('.') {
        Some((stem, extension)) if !stem.is_empty() => {
            let known = EXTENSIONS.iter().chain(&["json"]).any(|known| extension.eq_ignore_ascii_case(known));
            if known { stem } else { name }
        }
        _ => name,
    }
}

/// The listing of one folder.
pub(super) struct Images {
    folder: PathBuf,
    names: HashSet<String>,
}

impl Images {
    /// Lists `folder`; one that does not exist has no images.
    pub(super) fn list(folder: PathBuf) -> Result<Self> {
        let names = text::names(&folder)?.into_iter().collect();
        Ok(Self { folder, names })
    }

    /// The image called `name`, else one that differs from it in the extension only, else the path where it should be.
    pub(super) fn find(&self, name: &str) -> ImageRef {
        let found = if self.names.contains(name) { None } else { self.other_extension(stem(name)) };
        ImageRef::File(self.folder.join(found.as_deref().unwrap_or(name)))
    }

    fn other_extension(&self, stem: &str) -> Option<String> {
        let lower = EXTENSIONS.iter().map(|extension| format!("{stem}.{extension}"));
        let upper = EXTENSIONS.iter().map(|extension| format!("{stem}.{}", extension.to_ascii_uppercase()));
        lower.chain(upper).find(|name| self.names.contains(name))
    }

    fn has(&self, path: &Path) -> bool {
        path.parent() == Some(&self.folder)
            && path.file_name().and_then(|name| name.to_str()).is_some_and(|name| self.names.contains(name))
    }
}

/// Refuses charts of which not one has its image in `folders`: the data folder is then a wrong one. A single missing
/// image is left to fail when its questions are asked.
pub(super) fn require_any(charts: &[ChartQuestions], folders: &[&Images]) -> Result<()> {
    let found = |entry: &ChartQuestions| match &entry.chart.image {
        ImageRef::File(path) => folders.iter().any(|images| images.has(path)),
        ImageRef::Drawn(_) => true,
    };
    if let Some(ImageRef::File(first)) = charts.first().map(|entry| &entry.chart.image)
        && !charts.iter().any(found)
    {
        bail!("none of the {} chart images is there; the first should be {}", charts.len(), first.display());
    }
    Ok(())
}
