//! The images in a parquet column, read when they are asked for.
//!
//! An image can only be read with its page, which holds 100 images in what Hugging Face's libraries
//! write today, and 1000 or more in older files. So the images around it are read with it and kept,
//! [`WINDOW_ROWS`] rows at a time, and charts that are asked in their order decode a page a few
//! times instead of once an image. At most [`MAX_KEPT_BYTES`] are kept, whatever the file's size.

use std::collections::VecDeque;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, bail};
use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::parquet_file::ParquetFile;
use chartbench_core::input::{Boundary, MAX_IMAGE_BYTES, check_size};
use chartbench_core::question::{ImageFile, ImageProducer, ImageRef};
use chartbench_core::terminal::shorten;

/// Most bytes of images that are kept, but for the images that were read last.
const MAX_KEPT_BYTES: usize = 64 << 20;
/// Rows whose images are read together.
const WINDOW_ROWS: usize = 64;
/// Row groups whose images are hashed at the same time.
const HASHED_TOGETHER: usize = 4;
/// Bytes of a hash that tells images apart.
const HASH_BYTES: usize = 16;

/// The image column of one file.
pub(super) struct PictureColumn {
    file: Arc<ParquetFile>,
    /// The number of the file in its split.
    number: usize,
    /// The leaf column with encoded images.
    bytes_leaf: usize,
    /// The leaf column with the paths of images that are not in the file.
    path_leaf: Option<usize>,
    folders: Arc<ImageRoots>,
    kept: Arc<KeptPictures>,
}

/// The folders in which a relative path of an image may begin, the likeliest first.
pub(super) struct ImageRoots {
    /// The folders.
    pub(super) folders: Vec<PathBuf>,
    /// The folder that images must lie in.
    pub(super) boundary: Boundary,
}

/// The identity of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PictureName {
    /// The first half of SHA-256 of the encoded image.
    Hash([u8; HASH_BYTES]),
    /// The path of an image that is not in the file.
    Path(String),
    /// The row has no image.
    Missing,
}

impl PictureName {
    /// The id of a chart that has no other; `None` without an image.
    pub(super) fn chart_id(&self) -> Option<String> {
        match self {
            Self::Hash(hash) => Some(hash.iter().map(|byte| format!("{byte:02x}")).collect()),
            Self::Path(path) => Some(path.clone()),
            Self::Missing => None,
        }
    }
}

/// The image of a row.
#[derive(Clone)]
enum Cell {
    Encoded(Arc<[u8]>),
    Path(String),
    Missing,
}

impl PictureColumn {
    /// The column `name` of `file`, if it holds images or records of images.
    pub(super) fn new(
        file: &Arc<ParquetFile>,
        number: usize,
        name: &str,
        folders: &Arc<ImageRoots>,
        kept: &Arc<KeptPictures>,
    ) -> Option<Self> {
        let path: Vec<&str> = name.split('.').collect();
        let inner = |field| [path.as_slice(), &[field]].concat();
        let bytes_leaf = file
            .bytes_leaf(&inner("bytes"))
            .or_else(|| file.bytes_leaf(&[name]))
            .or_else(|| file.bytes_leaf(&path))?;
        Some(Self {
            file: Arc::clone(file),
            number,
            bytes_leaf,
            path_leaf: file.bytes_leaf(&inner("path")),
            folders: Arc::clone(folders),
            kept: Arc::clone(kept),
        })
    }

    /// The image of a row of a row group.
    pub(super) fn picture(self: &Arc<Self>, group: usize, row: usize) -> ImageRef {
        ImageRef::Drawn(Arc::new(RowPicture {
            column: Arc::clone(self),
            group,
            row,
        }))
    }

    /// The names of the images of all rows, by row group: one pass over the images.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read or is damaged; the error names it.
    pub(super) fn names(&self) -> Result<Vec<Vec<PictureName>>> {
        let groups: Vec<usize> = (0..self.file.groups()).collect();
        let mut names = Vec::with_capacity(groups.len());
        for groups in groups.chunks(HASHED_TOGETHER) {
            let hashed: Vec<Result<_>> = groups
                .par_iter()
                .map(|&group| self.names_of_group(group))
                .collect();
            for group in hashed {
                names.push(group.with_context(|| self.file.path().display().to_string())?);
            }
        }
        Ok(names)
    }

    fn names_of_group(&self, group: usize) -> Result<Vec<PictureName>> {
        let rows = 0..self.file.rows_of(group);
        let mut names = Vec::with_capacity(rows.len().min(1 << 16));
        let leaf = self.bytes_leaf;
        self.file.for_each_cell(group, leaf, rows.clone(), |cell| {
            names.push(cell.map_or(PictureName::Missing, |bytes| {
                let hash: [u8; 32] = Sha256::digest(bytes.data()).into();
                let mut half = [0; HASH_BYTES];
                half.iter_mut().zip(hash).for_each(|(to, from)| *to = from);
                PictureName::Hash(half)
            }));
        })?;
        if names.contains(&PictureName::Missing) {
            let paths = self.paths(group, rows)?;
            for (name, path) in names.iter_mut().zip(paths) {
                if let Some(path) = path.filter(|_| *name == PictureName::Missing) {
                    *name = PictureName::Path(path);
                }
            }
        }
        Ok(names)
    }

    /// The images of some rows of a row group. They are copied: a slice would keep its whole page.
    fn read(&self, group: usize, rows: Range<usize>) -> Result<Vec<Cell>> {
        let mut cells = Vec::with_capacity(rows.len());
        let leaf = self.bytes_leaf;
        self.file.for_each_cell(group, leaf, rows.clone(), |cell| {
            cells.push(cell.map_or(Cell::Missing, |bytes| Cell::Encoded(bytes.data().into())));
        })?;
        if cells.iter().any(|cell| matches!(cell, Cell::Missing)) {
            let paths = self.paths(group, rows)?;
            for (cell, path) in cells.iter_mut().zip(paths) {
                if let Some(path) = path.filter(|_| matches!(cell, Cell::Missing)) {
                    *cell = Cell::Path(path);
                }
            }
        }
        Ok(cells)
    }

    /// The path beside the image of some rows of a row group.
    fn paths(&self, group: usize, rows: Range<usize>) -> Result<Vec<Option<String>>> {
        let mut paths = Vec::new();
        if let Some(leaf) = self.path_leaf {
            self.file.for_each_cell(group, leaf, rows, |cell| {
                let path = cell.map(|path| String::from_utf8_lossy(path.data()).into_owned());
                paths.push(path.filter(|path| !path.is_empty()));
            })?;
        }
        Ok(paths)
    }
}

/// An image of a [`PictureColumn`].
struct RowPicture {
    column: Arc<PictureColumn>,
    group: usize,
    row: usize,
}

impl RowPicture {
    fn read(&self) -> Result<Vec<u8>> {
        match self.column.kept.cell(&self.column, self.group, self.row)? {
            Cell::Encoded(bytes) => {
                check_size(bytes.len() as u64, MAX_IMAGE_BYTES)?;
                Ok(bytes.to_vec())
            }
            Cell::Path(path) => self.column.folders.file(&path).bytes(),
            Cell::Missing => bail!("the row has no image"),
        }
    }
}

impl ImageProducer for RowPicture {
    fn encoded(&self) -> Result<Vec<u8>> {
        self.read().with_context(|| {
            let file = self.column.file.path().display();
            format!(
                "cannot read the chart image in row {} of row group {} of {file}",
                self.row, self.group
            )
        })
    }
}

impl ImageRoots {
    /// The image at a relative path: the first that exists, else where it should be.
    pub(super) fn file(&self, path: &str) -> ImageRef {
        let mut candidates = self.folders.iter().map(|folder| folder.join(path));
        let first = candidates.next().unwrap_or_else(|| PathBuf::from(path));
        let found = if first.exists() {
            None
        } else {
            candidates.find(|candidate| candidate.exists())
        };
        ImageRef::File(ImageFile::new(
            found.unwrap_or(first),
            self.boundary.clone(),
        ))
    }
}

/// An image that a row lacks.
pub(super) struct MissingPicture(
    /// The place of the row.
    pub(super) String,
);

impl ImageProducer for MissingPicture {
    fn encoded(&self) -> Result<Vec<u8>> {
        bail!("{} has no image", shorten(&self.0))
    }
}

/// The images that were read last, the latest first.
#[derive(Default)]
pub(super) struct KeptPictures(Mutex<VecDeque<Window>>);

/// The images of neighbouring rows.
struct Window {
    place: WindowPlace,
    cells: Vec<Cell>,
    bytes: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct WindowPlace {
    /// The number of the file.
    file: usize,
    /// The row group.
    group: usize,
    /// The first row in it.
    start: usize,
}

impl KeptPictures {
    /// The cell of a row. Rows are read while others wait: reading at several places at once would
    /// take a page's memory at each.
    fn cell(&self, column: &PictureColumn, group: usize, row: usize) -> Result<Cell> {
        let place = WindowPlace {
            file: column.number,
            group,
            start: row - row % WINDOW_ROWS,
        };
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = kept.iter().position(|window| window.place == place);
        let window = match found.and_then(|index| kept.remove(index)) {
            Some(window) => window,
            None => Window::read(column, place)?,
        };
        let cell = window.cells.get(row - place.start).cloned();
        kept.push_front(window);
        while kept.len() > 1
            && kept.iter().map(|window| window.bytes).sum::<usize>() > MAX_KEPT_BYTES
        {
            kept.pop_back();
        }
        cell.context("the row group has fewer rows")
    }
}

impl Window {
    fn read(column: &PictureColumn, place: WindowPlace) -> Result<Self> {
        let end = (place.start + WINDOW_ROWS).min(column.file.rows_of(place.group));
        let cells = column.read(place.group, place.start..end)?;
        let bytes = cells
            .iter()
            .map(|cell| match cell {
                Cell::Encoded(bytes) => bytes.len(),
                Cell::Path(_) | Cell::Missing => 0,
            })
            .sum();
        Ok(Self {
            place,
            cells,
            bytes,
        })
    }
}
