//! The folders of a data set: one of each kind in the authors' archive, three on the hub.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

use super::MERGED;
use crate::images::{self, ImageFolder};
use crate::notes::Notes;
use chartbench_core::input::Boundary;
use chartbench_core::question::ImageRef;
use chartbench_core::read_file;
use chartbench_core::realcqa_split::TEST_LIST;

/// The endings of numbered folders: the hub has `images/`, `images2/` and `images3/`.
const NUMBERS: [&str; 9] = ["", "2", "3", "4", "5", "6", "7", "8", "9"];
/// Extensions of what may lie beside the one folder of an unpacked archive.
const BESIDE: [&str; 4] = ["txt", "npy", "md", "zip"];

/// The folder that holds the data set: `folder`, or the one folder in it where an archive was
/// unpacked with the folder around it. `folder` itself where neither has the names of this format.
pub(crate) fn root(folder: &Path) -> PathBuf {
    if has_questions(folder) {
        return folder.to_owned();
    }
    inner_root(folder).unwrap_or_else(|| folder.to_owned())
}

/// Whether `folder` has the file names of this format.
pub(crate) fn is_at(folder: &Path) -> bool {
    has_questions(folder) || folder.join(TEST_LIST).exists() || inner_root(folder).is_some()
}

fn has_questions(folder: &Path) -> bool {
    folder.join(MERGED).exists()
        || NUMBERS
            .iter()
            .any(|number| in_any_case(folder, "qa", number).is_ok_and(|folder| folder.is_dir()))
}

/// The folder of a kind and number; its name may be written in another case.
fn in_any_case(folder: &Path, kind: &str, number: &str) -> Result<PathBuf> {
    read_file::in_any_case(folder, &format!("{kind}{number}"))
}

/// The only folder in `folder`, if it holds questions and nothing but texts and archives lies
/// beside it.
fn inner_root(folder: &Path) -> Option<PathBuf> {
    let mut inner = None;
    for entry in fs::read_dir(folder).ok()? {
        let entry = entry.ok()?;
        let name = entry.file_name();
        let name = name.to_str()?;
        // macOS puts its own folder into archives.
        if name.starts_with('.') || name == "__MACOSX" {
            continue;
        }
        let path = entry.path();
        if entry.file_type().ok()?.is_dir() {
            if inner.replace(path).is_some() {
                return None;
            }
        } else {
            let extension = path.extension()?.to_str()?;
            if !BESIDE
                .iter()
                .any(|listed| extension.eq_ignore_ascii_case(listed))
            {
                return None;
            }
        }
    }
    inner.filter(|inner| has_questions(inner))
}

/// The charts that have a file of questions.
pub(super) struct QaFolders {
    /// `qa/`, `qa2/`, ...: those of [`NUMBERS`] that a chart's questions can lie in, the missing
    /// ones too.
    pub(super) folders: Vec<PathBuf>,
    /// Each chart's id, and the place of its folder.
    pub(super) charts: Vec<(String, usize)>,
}

impl QaFolders {
    /// Lists the folders of questions in `folder`; `None` where there is none.
    ///
    /// # Errors
    /// Returns an error if a folder cannot be listed, or if two of them have one chart.
    pub(super) fn list(folder: &Path) -> Result<Option<Self>> {
        let folders: Vec<PathBuf> = NUMBERS
            .iter()
            .map(|number| in_any_case(folder, "qa", number))
            .collect::<Result<_>>()?;
        if !folders.iter().any(|folder| folder.is_dir()) {
            return Ok(None);
        }
        let mut places = HashMap::new();
        for (place, folder) in folders.iter().enumerate() {
            for name in read_file::list_folder(folder)? {
                let Some(id) = name.strip_suffix(".json") else {
                    continue;
                };
                let first = places.insert(id.to_owned(), place);
                if let Some(first) = first.and_then(|first| folders.get(first)) {
                    bail!(
                        "{}: the questions of chart `{id}` are in {} already; leave one of the two files",
                        folder.join(&name).display(),
                        first.display()
                    );
                }
            }
        }
        Ok(Some(Self {
            folders,
            charts: places.into_iter().collect(),
        }))
    }
}

/// The images and annotations of a data set.
pub(super) struct ChartFiles {
    /// By place: `images/`, `images2/`, ...
    images: Vec<ImageFolder>,
    /// The archive's folder and the hub's: `json/`, `jsons/`, `jsons2/` ..., those that exist.
    annotations: Vec<PathBuf>,
    boundary: Boundary,
}

impl ChartFiles {
    pub(super) fn list(folder: &Path, allow_outside: bool) -> Result<Self> {
        let boundary = Boundary::new(folder, allow_outside);
        let images = NUMBERS
            .iter()
            .map(|number| ImageFolder::list(in_any_case(folder, "images", number)?, &boundary))
            .collect::<Result<_>>()?;
        let annotations = NUMBERS
            .iter()
            .flat_map(|number| ["json", "jsons"].map(|name| in_any_case(folder, name, number)))
            .filter(|folder| folder.as_ref().map_or(true, |folder| folder.is_dir()))
            .collect::<Result<_>>()?;
        Ok(Self {
            images,
            annotations,
            boundary,
        })
    }

    pub(super) fn boundary(&self) -> &Boundary {
        &self.boundary
    }

    /// The image of a chart, in whatever folder; where it is in none, the path in the folder of the
    /// number that its questions have.
    pub(super) fn image(&self, id: &str, place: usize) -> ImageRef {
        let name = format!("{id}.jpg");
        let own = self.images.get(place);
        let mut folders = own.into_iter().chain(&self.images);
        let found = folders.find(|images| images.contains(&name)).or(own);
        match found.or(self.images.first()) {
            Some(images) => images.find(&name),
            None => ImageRef::File(PathBuf::from(name).into()),
        }
    }

    /// The annotation of a chart, in whatever folder; `None` where it is in none.
    pub(super) fn annotation(&self, id: &str) -> Option<PathBuf> {
        let name = format!("{id}.json");
        let mut paths = self.annotations.iter().map(|folder| folder.join(&name));
        paths.find(|path| path.exists())
    }

    /// Checks that at least one of these charts, each with its place, has an image.
    pub(super) fn require_any_image<'a>(
        &self,
        charts: impl IntoIterator<Item = (&'a String, usize)>,
    ) -> Result<()> {
        let images = charts.into_iter().map(|(id, place)| self.image(id, place));
        let folders: Vec<&ImageFolder> = self.images.iter().collect();
        images::require_any_image(images, &folders)
    }

    /// Counts the images of these charts whose names are written in another case.
    pub(super) fn report<'a>(
        &self,
        charts: impl IntoIterator<Item = (&'a String, usize)>,
        notes: &mut Notes,
    ) {
        charts.into_iter().for_each(|(id, place)| {
            self.image(id, place);
        });
        self.images.iter().for_each(|images| images.report(notes));
    }
}
