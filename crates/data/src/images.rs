//! Finds a chart's image by one listing of its folder; the extension and the case of the name may
//! differ from the expected ones.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use anyhow::{Result, bail};

use super::notes::{Notes, OTHER_CASE};
use chartbench_core::input::Boundary;
use chartbench_core::question::{ChartQuestions, ImageFile, ImageRef};
use chartbench_core::question::{IMAGE_EXTENSIONS, stem};
use chartbench_core::read_file;
use chartbench_core::terminal::visible;

/// The images of one folder, listed once.
pub(super) struct ImageFolder {
    folder: PathBuf,
    names: HashSet<String>,
    /// The names by their lower case, once one of them is sought in vain.
    lower: OnceLock<HashMap<String, String>>,
    /// The names that were found in another case only.
    other_case: Mutex<BTreeSet<String>>,
    boundary: Boundary,
}

impl ImageFolder {
    /// Lists `folder`; a folder that does not exist, or lies outside the boundary, has no images.
    pub(super) fn list(folder: PathBuf, boundary: &Boundary) -> Result<Self> {
        let names = if boundary.contains(&folder) {
            read_file::list_folder(&folder)?
        } else {
            Vec::new()
        };
        Ok(Self {
            folder,
            names: names.into_iter().collect(),
            lower: OnceLock::new(),
            other_case: Mutex::default(),
            boundary: boundary.clone(),
        })
    }

    /// The image called `name`, else one that differs in the extension only, else one that differs
    /// in upper and lower case only, else the path where it should be.
    pub(super) fn find(&self, name: &str) -> ImageRef {
        let found = if self.names.contains(name) {
            None
        } else {
            self.other_extension(stem(name))
                .or_else(|| self.other_case(name))
        };
        let path = self.folder.join(found.as_deref().unwrap_or(name));
        ImageRef::File(ImageFile::new(path, self.boundary.clone()))
    }

    fn other_extension(&self, stem: &str) -> Option<String> {
        let lower = IMAGE_EXTENSIONS
            .iter()
            .map(|extension| format!("{stem}.{extension}"));
        let upper = IMAGE_EXTENSIONS
            .iter()
            .map(|extension| format!("{stem}.{}", extension.to_ascii_uppercase()));
        lower.chain(upper).find(|name| self.names.contains(name))
    }

    /// Whether the folder has an image that [`Self::find`] takes for `name`.
    pub(super) fn contains(&self, name: &str) -> bool {
        self.names.contains(name)
            || self.other_extension(stem(name)).is_some()
            || self.in_lower_case().contains_key(&name.to_lowercase())
    }

    /// The names by their lower case.
    fn in_lower_case(&self) -> &HashMap<String, String> {
        self.lower.get_or_init(|| {
            let names = self.names.iter();
            names
                .map(|name| (name.to_lowercase(), name.clone()))
                .collect()
        })
    }

    fn other_case(&self, name: &str) -> Option<String> {
        let found = self.in_lower_case().get(&name.to_lowercase())?.clone();
        let mut other_case = self
            .other_case
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        other_case.insert(name.to_owned());
        Some(found)
    }

    /// Counts the images that were found in another case.
    pub(super) fn report(&self, notes: &mut Notes) {
        let other_case = self
            .other_case
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for name in other_case.iter() {
            notes.count(OTHER_CASE, || format!("`{name}`"));
        }
    }

    fn has(&self, path: &Path) -> bool {
        path.parent() == Some(&self.folder)
            && path
                .file_name()
                .and_then(|name| name.to_str())
                .is_some_and(|name| self.names.contains(name))
    }
}

/// Checks that at least one image is in `folders`: a data set without any is in the wrong folder. A
/// single missing image fails when its questions are asked.
///
/// # Errors
/// Returns an error if no image exists; the error names the first.
pub(super) fn require_any_image(
    images: impl Iterator<Item = ImageRef>,
    folders: &[&ImageFolder],
) -> Result<()> {
    let (mut count, mut first) = (0, None);
    for image in images {
        let ImageRef::File(file) = image else {
            return Ok(());
        };
        if folders.iter().any(|images| images.has(&file)) {
            return Ok(());
        }
        count += 1;
        first.get_or_insert(file);
    }
    let Some(first) = first else { return Ok(()) };
    let outside = if first.is_outside() {
        ", which lies outside the data set's folder (--allow-outside reads such images)"
    } else {
        ""
    };
    bail!(
        "none of the {count} chart images is there; the first should be {}{outside}",
        visible(&first.to_string_lossy())
    )
}

/// The images of `charts`.
pub(super) fn chart_images(charts: &[ChartQuestions]) -> impl Iterator<Item = ImageRef> {
    charts
        .iter()
        .map(|chart_questions| chart_questions.chart.image.clone())
}
