//! ChartQA: charts of four web sources, questions written by people and by a model (Masry et al.,
//! ACL 2022 Findings).
//!
//! ```text
//! png/NAME.png                              the charts
//! tables/NAME.csv                           their data tables; may be absent
//! test_human.json, test_augmented.json      [{"imgname", "query", "label"}, ...]
//! train_human.json, ..., val_human.json, ...  for the train split
//! ```
//! or, as published, one such folder for each part: `test/png`, `test/test_human.json`,
//! `train/...`, `val/...`; also under `ChartQA Dataset/`. The train split is `train` and, if it
//! exists, `val`. Folders and files may be written in another case, and the images may lie in
//! `images/`, or in `test/png/` where the question files lie beside `test/`.
//!
//! A test question's id is `human/0` or `augmented/12`: its file and its index there. In the train
//! split `train/` or `val/` precedes the ids of questions and charts. Labels stay texts, also
//! `[2013, 2016]`; some copies have them as JSON lists, numbers or truth values. A copy may have
//! one of the two files only.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::MissingSplit;
use super::images::{self, ImageFolder};
use super::notes::{EMPTY_FILE, NO_ANSWER, Notes};
use super::questions_by_chart::QuestionsByChart;
use chartbench_core::data_table::DataTable;
use chartbench_core::input::Boundary;
use chartbench_core::question::Split;
use chartbench_core::question::stem;
use chartbench_core::question::{
    Chart, ChartQuestions, Gold, ImageRef, Question, TableRef, TableSource,
};
use chartbench_core::{parse_field, read_file};

/// The two kinds of questions, in the order they are asked about a chart.
const SOURCES: [&str; 2] = ["human", "augmented"];

/// The files of this format in a line, for messages.
pub(super) const LAYOUT: &str = "png/, test_human.json and test_augmented.json (train_*, val_* for training), \
                                 side by side or in test/, train/, val/ as published";

#[derive(Deserialize)]
struct Record {
    imgname: String,
    query: String,
    label: Box<RawValue>,
}

/// Loads one split of the data set in `folder`.
///
/// # Errors
/// Returns an error if anything is missing or malformed; the error names file and record. A single
/// missing image is no error.
pub(super) fn load(
    folder: &Path,
    split: Split,
    allow_outside: bool,
    notes: &mut Notes,
) -> Result<Vec<ChartQuestions>> {
    read_file::require_folder(folder)?;
    let mut loader = Loader {
        root: folder,
        boundary: Boundary::new(folder, allow_outside),
        charts: QuestionsByChart::default(),
        notes,
    };
    let mut parts = Vec::new();
    match split {
        Split::Test => parts.push(loader.part("test", "", &part_folder(folder, "test")?)?),
        Split::Train => {
            parts.push(loader.part("train", "train/", &part_folder(folder, "train")?)?);
            if let Ok(val) = part_folder(folder, "val") {
                parts.push(loader.part("val", "val/", &val)?);
            }
        }
    }
    let Loader { charts, notes, .. } = loader;
    let charts = charts.into_charts();
    parts.iter().for_each(|images| images.report(notes));
    images::require_any_image(
        images::chart_images(&charts),
        &parts.iter().collect::<Vec<_>>(),
    )?;
    Ok(charts)
}

/// Whether `folder` has the file names of this format's test split.
pub(super) fn is_at(folder: &Path) -> bool {
    folder.is_dir() && part_folder(folder, "test").is_ok()
}

/// The folder with a part's question files.
fn part_folder(folder: &Path, part: &str) -> Result<PathBuf> {
    let published = read_file::in_any_case(folder, "ChartQA Dataset")?;
    let candidates = [
        folder.to_owned(),
        read_file::in_any_case(folder, part)?,
        read_file::in_any_case(&published, part)?,
    ];
    let has_questions = |folder: &PathBuf| {
        SOURCES
            .iter()
            .any(|source| question_file(folder, part, source).is_ok_and(|file| file.exists()))
    };
    candidates.into_iter().find(has_questions).with_context(|| {
        MissingSplit(format!(
            "{}: neither {part}_human.json nor {part}_augmented.json is there; the layout is {LAYOUT}",
            folder.display()
        ))
    })
}

fn question_file(folder: &Path, part: &str, source: &str) -> Result<PathBuf> {
    read_file::in_any_case(folder, &format!("{part}_{source}.json"))
}

/// The questions of a split while its parts are read.
struct Loader<'a> {
    /// The data folder.
    root: &'a Path,
    boundary: Boundary,
    charts: QuestionsByChart,
    notes: &'a mut Notes,
}

impl Loader<'_> {
    /// Adds the questions of a part of the data set, `test`, `train` or `val`, whose question files
    /// are in `folder`, with `prefix` before all ids. Returns the part's images.
    fn part(&mut self, name: &str, prefix: &str, folder: &Path) -> Result<ImageFolder> {
        let beside = self.folder_beside(folder, name, "tables")?;
        let part = Part {
            prefix,
            images: ImageFolder::list(self.image_folder(folder, name)?, &self.boundary)?,
            tables: TableFolder::list(beside, &self.boundary)?,
        };
        for source in SOURCES {
            let path = question_file(folder, name, source)?;
            if !path.exists() {
                self.notes.add(format!(
                    "{} is not there: no question of the {name} split is {source}",
                    path.display()
                ));
            } else if std::fs::metadata(&path).is_ok_and(|metadata| metadata.len() == 0) {
                self.notes.count(EMPTY_FILE, || read_file::name(&path));
            } else {
                self.file(&part, source, &path)?;
            }
        }
        Ok(part.images)
    }

    /// The folder of a part's images.
    fn image_folder(&self, folder: &Path, part: &str) -> Result<PathBuf> {
        let usual = self.folder_beside(folder, part, "png")?;
        let other = read_file::in_any_case(folder, "images")?;
        Ok(if !usual.exists() && other.is_dir() {
            other
        } else {
            usual
        })
    }

    /// `folder/NAME`, or `PART/NAME` in the data folder where only that exists.
    fn folder_beside(&self, folder: &Path, part: &str, name: &str) -> Result<PathBuf> {
        let usual = read_file::in_any_case(folder, name)?;
        let other = read_file::in_any_case(&read_file::in_any_case(self.root, part)?, name)?;
        Ok(if !usual.exists() && other.is_dir() {
            other
        } else {
            usual
        })
    }

    fn file(&mut self, part: &Part<'_>, source: &str, path: &Path) -> Result<()> {
        let json = read_file::read(path)?;
        let records = serde_json::from_str::<Vec<Record>>(&read_file::without_nan(&json))
            .map_err(|error| read_file::json_fault(&error, 1))
            .with_context(|| path.display().to_string())?;
        if records.is_empty() {
            self.notes.count(EMPTY_FILE, || read_file::name(path));
        }
        for (index, record) in records.into_iter().enumerate() {
            let place = || format!("{}: [{index}]", path.display());
            let gold = gold(&record.label).with_context(|| format!("{}.label", place()))?;
            let Some(gold) = gold else {
                self.notes.count(NO_ANSWER, || {
                    format!("{}: [{index}]", read_file::name(path))
                });
                continue;
            };
            let id = format!("{}{source}/{index}", part.prefix);
            part.add(record, gold, id, source, &mut self.charts)
                .with_context(|| format!("{}.imgname", place()))?;
        }
        Ok(())
    }
}

/// A label; a list of one item is the item, as the data set's authors have it.
fn gold(label: &RawValue) -> Result<Option<Gold>> {
    Ok(match parse_field::optional_gold(label)? {
        Some(Gold::List(mut items)) if items.len() < 2 => items.pop(),
        gold => gold,
    })
}

/// A part of the data set: `test`, `train` or `val`.
struct Part<'a> {
    /// Precedes the ids of questions and charts.
    prefix: &'a str,
    images: ImageFolder,
    tables: TableFolder,
}

impl Part<'_> {
    /// Adds the question of a record under its id and source.
    fn add(
        &self,
        record: Record,
        gold: Gold,
        id: String,
        source: &str,
        charts: &mut QuestionsByChart,
    ) -> Result<()> {
        let chart_id = format!("{}{}", self.prefix, stem(&record.imgname));
        let image = self.images.find(&record.imgname);
        if let Some(chart) = charts.get(&chart_id)
            && let (ImageRef::File(first), ImageRef::File(path)) = (&chart.image, &image)
            && **first != **path
        {
            bail!(
                "chart `{chart_id}` would be {} and {}",
                first.display(),
                path.display()
            );
        }
        let table = self.tables.find(&record.imgname);
        let question = Question {
            id,
            text: record.query,
            gold,
            answer_type: None,
            taxonomy: None,
            template: None,
            source: Some(source.to_owned()),
            slices: Default::default(),
            context: None,
        };
        charts.add(
            &chart_id,
            || Chart {
                id: chart_id.clone(),
                image,
                chart_type: None,
                table,
            },
            question,
        );
        Ok(())
    }
}

/// The data tables of a part, by one listing of their folder.
struct TableFolder {
    folder: PathBuf,
    names: HashSet<String>,
    boundary: Boundary,
}

impl TableFolder {
    fn list(folder: PathBuf, boundary: &Boundary) -> Result<Self> {
        let names = read_file::list_folder(&folder)?.into_iter().collect();
        Ok(Self {
            folder,
            names,
            boundary: boundary.clone(),
        })
    }

    fn find(&self, image: &str) -> Option<TableRef> {
        let name = format!("{}.csv", stem(image));
        let source = || CsvTableSource {
            path: self.folder.join(&name),
            boundary: self.boundary.clone(),
        };
        self.names
            .contains(&name)
            .then(|| TableRef(Arc::new(source())))
    }
}

/// A table on disk, without a title.
struct CsvTableSource {
    path: PathBuf,
    boundary: Boundary,
}

impl TableSource for CsvTableSource {
    fn table(&self) -> Result<DataTable> {
        let text = read_file::read_within(&self.path, &self.boundary)?;
        DataTable::from_csv(&text).with_context(|| self.path.display().to_string())
    }
}
