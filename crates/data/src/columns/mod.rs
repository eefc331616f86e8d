//! Data sets whose columns are named: parquet in Hugging Face's layout, and JSON files.
//!
//! A folder with the files of each split, `test-*.parquet`, `test.parquet` or `test/*.parquet`,
//! also in `data/`, or other files by the patterns of [`SplitFiles`]; or one file, which is the test
//! split. Which column is which is said by a [`ColumnMap`], else guessed by the usual names. JSON
//! files are read by both only: a record is a row, its fields are the columns, and its image is a
//! path relative to the folder or to its `images/`.
//!
//! The questions are read from their own columns, row group by row group, and kept. Images stay in
//! the file and are read when they are asked for; where the charts have no ids, one pass over the
//! images hashes them. A question's id is the chart's id and the row's number in its split, from 0,
//! unless a column has the ids.

mod bounds;
mod files;
mod guess;
mod json_file;
mod labels;
mod map;
mod parquet_file;
mod pictures;
mod rows;
mod value;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};

use self::files::DataFiles;
pub(super) use self::files::{FileType, is_parquet_at};
pub use self::map::{AnswerChoice, ColumnMap, SplitFiles};
use self::parquet_file::ParquetFile;
use self::pictures::{ImageRoots, KeptPictures, MissingPicture, PictureColumn, PictureName};
use self::rows::RowQuestions;
use self::value::Value;
use super::MissingSplit;
use super::images;
use super::notes::{EMPTY_FILE, ID_TWICE, Notes};
use super::questions_by_chart::QuestionsByChart;
use chartbench_core::input::Boundary;
use chartbench_core::question::{Chart, ChartQuestions, ImageRef, Split};
use chartbench_core::read_file;
use chartbench_core::terminal::shorten;

/// The parquet files in a line, for messages.
pub(super) const PARQUET_LAYOUT: &str = "test-*.parquet, test.parquet or test/*.parquet (train for \
                                         training), also in data/, or one .parquet file";

/// Which data set is read, and how.
pub(super) struct Request<'a> {
    /// The data set's folder, or a file.
    pub(super) path: &'a Path,
    /// What its files are.
    pub(super) file_type: FileType,
    /// The columns; of parquet files guessed by their names where it is absent.
    pub(super) columns: Option<&'a ColumnMap>,
    /// The files of the splits.
    pub(super) files: &'a SplitFiles,
    /// The split that is read.
    pub(super) split: Split,
    /// Whether images may lie outside the data folder.
    pub(super) allow_outside: bool,
}

impl Request<'_> {
    fn missing_split(&self) -> MissingSplit {
        let (path, split) = (self.path.display(), self.split);
        let own = match split {
            Split::Test => &self.files.test,
            Split::Train => &self.files.train,
        };
        MissingSplit(match self.file_type {
            FileType::Parquet => format!(
                "{path}: no parquet files of the {split} split are there; the layout is {PARQUET_LAYOUT}, and [files] of \
                 a benchmark file names others"
            ),
            FileType::Json if own.is_empty() => {
                format!("{path}: the benchmark names no files of the {split} split")
            }
            FileType::Json => format!(
                "{path}: no JSON files of the {split} split are there; [files] of the benchmark names {}",
                own.join(", ")
            ),
        })
    }
}

/// Loads one split of a data set.
///
/// # Errors
/// Returns an error if the split has no files ([`MissingSplit`]), or one is damaged or lacks a
/// column; the error names the file, the row and the column.
pub(super) fn load(request: &Request<'_>, notes: &mut Notes) -> Result<Vec<ChartQuestions>> {
    let data = DataFiles::list(request.path, request.file_type)?;
    let files = data.of_split(request.split, request.files);
    if files.is_empty() {
        bail!(request.missing_split());
    }
    let root = data.root();
    let mut loader = Loader {
        roots: Arc::new(ImageRoots {
            folders: vec![root.clone(), root.join("images")],
            boundary: Boundary::new(&root, request.allow_outside),
        }),
        kept: Arc::default(),
        charts: QuestionsByChart::default(),
        rows_by_id: HashMap::new(),
        next_row: 0,
        notes,
    };
    let mut guessed = None;
    for (number, path) in files.iter().enumerate() {
        if request.file_type == FileType::Json {
            let map = request.columns.context("the fields are not known")?;
            loader.add_json(map, path)?;
            continue;
        }
        let Some(file) = ParquetFile::open(path)?.filter(|file| file.rows() > 0) else {
            loader.notes.count(EMPTY_FILE, || read_file::name(path));
            continue;
        };
        if request.columns.is_none() && guessed.is_none() {
            let map = guess::guess(file.columns(), &path.display().to_string())?;
            loader.notes.add(guess::describe(&map));
            guessed = Some(map);
        }
        let map = request.columns.or(guessed.as_ref());
        let map = map.context("the columns are not known")?;
        loader.add_file(map, Arc::new(file), number)?;
    }
    let mut charts = loader.charts.into_charts();
    let images = images::chart_images(&charts);
    require_any_image(images)?;
    if guessed.is_some() {
        let left_out = guess::drop_many_values(&mut charts);
        if !left_out.is_empty() {
            notes.add(format!(
                "no slices, for their many values: {}",
                left_out.join(", ")
            ));
        }
    }
    Ok(charts)
}

/// Checks that at least one image is there, of those that are files.
fn require_any_image(mut images: impl Iterator<Item = ImageRef>) -> Result<()> {
    let Some(ImageRef::File(first)) = images.next() else {
        return Ok(());
    };
    let is_there = |image: ImageRef| match image {
        ImageRef::File(file) => file.is_file(),
        ImageRef::Drawn(_) => true,
    };
    ensure!(
        first.is_file() || images.any(is_there),
        "none of the chart images is there; the first should be {}",
        shorten(&first.to_string_lossy())
    );
    Ok(())
}

/// The questions of a split while its files are read.
struct Loader<'a> {
    roots: Arc<ImageRoots>,
    kept: Arc<KeptPictures>,
    charts: QuestionsByChart,
    /// The row of each question id.
    rows_by_id: HashMap<String, usize>,
    /// The number of the next row in the split.
    next_row: usize,
    notes: &'a mut Notes,
}

/// Where the images of a file are.
enum Images {
    /// In the file; with the names of all rows by row group, where charts are told apart by them.
    Column(Arc<PictureColumn>, Option<Vec<Vec<PictureName>>>),
    /// In files that a column names.
    Paths,
}

impl Loader<'_> {
    fn add_file(&mut self, map: &ColumnMap, file: Arc<ParquetFile>, number: usize) -> Result<()> {
        let path = file.path().display().to_string();
        check_columns(map, &file).with_context(|| path.clone())?;
        let images = self.images(map, &file, number)?;
        let names = file.key_value(labels::KEY).map(labels::class_names);
        let names = names.unwrap_or_default();
        let mut read: Vec<&str> = map.columns().collect();
        if matches!(images, Images::Paths) {
            read.push(&map.image);
        }
        let top_level = top_level(&read, &file);
        for group in 0..file.groups() {
            let mut row_in_group = 0;
            file.for_each_row(group, &top_level, |columns| {
                let mut row = Value::from_columns(&columns);
                rename(&mut row, map, &names);
                let number = self.next_row;
                self.add_row(map, &row, &images, group, row_in_group)
                    .with_context(|| format!("row {number}"))?;
                (self.next_row, row_in_group) = (number + 1, row_in_group + 1);
                Ok(())
            })
            .with_context(|| path.clone())?;
        }
        Ok(())
    }

    fn add_json(&mut self, map: &ColumnMap, path: &Path) -> Result<()> {
        let content = read_file::read(path)?;
        let columns: Vec<&str> = map.columns().chain([map.image.as_str()]).collect();
        let json = read_file::without_nan(&content);
        let records = json_file::for_each_record(&json, &columns, &mut |mut row: Value| {
            rename(&mut row, map, &HashMap::new());
            let number = self.next_row;
            ensure!(
                matches!(row.get(&map.image), Value::Text(_) | Value::Null),
                "row {number}: field `{}` is no path of an image",
                shorten(&map.image)
            );
            self.add_row(map, &row, &Images::Paths, 0, 0)
                .with_context(|| format!("row {number}"))?;
            self.next_row = number + 1;
            Ok(())
        })
        .with_context(|| path.display().to_string())?;
        if records == 0 {
            self.notes.count(EMPTY_FILE, || read_file::name(path));
        }
        Ok(())
    }

    fn images(&self, map: &ColumnMap, file: &Arc<ParquetFile>, number: usize) -> Result<Images> {
        if file.is_text(&map.image) {
            return Ok(Images::Paths);
        }
        let column = PictureColumn::new(file, number, &map.image, &self.roots, &self.kept);
        let column = column.with_context(|| {
            format!(
                "{}: column `{}` holds neither records of bytes and path, nor bytes, nor paths",
                file.path().display(),
                shorten(&map.image)
            )
        })?;
        let names = map.chart.is_none().then(|| column.names()).transpose()?;
        Ok(Images::Column(Arc::new(column), names))
    }

    fn add_row(
        &mut self,
        map: &ColumnMap,
        row: &Value,
        images: &Images,
        group: usize,
        index: usize,
    ) -> Result<()> {
        if !rows::is_read(map, row) {
            return Ok(());
        }
        let number = self.next_row;
        let place = || format!("row {number}");
        let RowQuestions {
            chart_type,
            questions,
        } = rows::questions(map, row, &place, self.notes)?;
        let own_id = |column: &Option<String>| {
            let text = column.as_ref().and_then(|column| row.get(column).text());
            text.filter(|text| !text.is_empty())
        };
        let path = row.get(&map.image).text().filter(|path| !path.is_empty());
        let image_name = match images {
            Images::Paths => path.clone(),
            Images::Column(_, None) => None,
            Images::Column(_, Some(names)) => names
                .get(group)
                .and_then(|names| names.get(index))
                .and_then(PictureName::chart_id),
        };
        let chart_id = own_id(&map.chart)
            .or(image_name)
            .unwrap_or_else(|| format!("row-{number}"));
        let row_id = own_id(&map.id).unwrap_or_else(|| format!("{chart_id}-{number}"));
        for mut question in questions {
            question.id = self.unique_id(format!("{row_id}{}", question.id))?;
            let image = || match (images, &path) {
                (Images::Column(column, _), _) => column.picture(group, index),
                (Images::Paths, Some(path)) => self.roots.file(path),
                (Images::Paths, None) => ImageRef::Drawn(Arc::new(MissingPicture(place()))),
            };
            let chart = || Chart {
                id: chart_id.clone(),
                image: image(),
                chart_type: chart_type.clone(),
                table: None,
            };
            self.charts.add(&chart_id, chart, question);
        }
        Ok(())
    }

    /// `id`, or a new one if an earlier question has it.
    fn unique_id(&mut self, id: String) -> Result<String> {
        let number = self.next_row;
        if !self.rows_by_id.contains_key(&id) {
            self.rows_by_id.insert(id.clone(), number);
            return Ok(id);
        }
        self.notes
            .count(ID_TWICE, || format!("`{id}` in row {number}"));
        let new = format!("{id}-{number}");
        if let Some(first) = self.rows_by_id.insert(new.clone(), number) {
            bail!("id: `{}` is already the id of row {first}", shorten(&new));
        }
        Ok(new)
    }
}

/// Checks that a file has every column of the map.
fn check_columns(map: &ColumnMap, file: &ParquetFile) -> Result<()> {
    let has = |name: &str| file.columns().iter().any(|column| column.name() == name);
    let is_there =
        |name: &str| has(name) || name.split_once('.').is_some_and(|(first, _)| has(first));
    let missing = map
        .columns()
        .chain([map.image.as_str()])
        .find(|name| !is_there(name));
    if let Some(missing) = missing {
        let columns = file.columns().iter();
        let columns: Vec<String> = columns.map(|column| shorten(column.name())).collect();
        bail!(
            "no column is called `{}`; columns are {}",
            shorten(missing),
            columns.join(", ")
        );
    }
    Ok(())
}

/// The top-level columns that hold the columns `read`.
fn top_level<'a>(read: &[&'a str], file: &ParquetFile) -> Vec<&'a str> {
    let has = |name: &str| file.columns().iter().any(|column| column.name() == name);
    let top = |name: &'a str| match name.split_once('.') {
        Some((first, _)) if !has(name) => first,
        _ => name,
    };
    read.iter().map(|name| top(name)).collect()
}

/// Puts the names of class labels, then those of the map, in the place of values.
fn rename(row: &mut Value, map: &ColumnMap, labels: &HashMap<String, Vec<String>>) {
    for (column, names) in labels {
        if let Some(value) = row.get_mut(column) {
            value.rename(&|number| names.get(number.parse::<usize>().ok()?).cloned());
        }
    }
    for (column, names) in &map.names {
        if let Some(value) = row.get_mut(column) {
            value.rename(&|text| names.get(text).cloned());
        }
    }
}
