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
//! exists, `val`.
//!
//! A test question's id is `human/0` or `augmented/12`: its file and its index there. In the train
//! split `train/` or `val/` precedes the ids of questions and charts. Labels stay texts, also
//! `[2013, 2016]`.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::MissingSplit;
use super::images::{self, ImageFolder};
use super::questions_by_chart::QuestionsByChart;
use chartbench_core::data_table::DataTable;
use chartbench_core::input::Boundary;
use chartbench_core::question::Split;
use chartbench_core::question::stem;
use chartbench_core::question::{
    Chart, ChartQuestions, Gold, ImageRef, Question, TableRef, TableSource,
};
use chartbench_core::read_file;

/// The two kinds of questions, in the order they are asked about a chart.
const SOURCES: [&str; 2] = ["human", "augmented"];

/// The files of this format in a line, for messages.
pub(super) const LAYOUT: &str = "png/, test_human.json and test_augmented.json (train_*, val_* for training), \
                                 side by side or in test/, train/, val/ as published";

#[derive(Deserialize)]
struct Record {
    imgname: String,
    query: String,
    label: String,
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
) -> Result<Vec<ChartQuestions>> {
    read_file::require_folder(folder)?;
    let boundary = Boundary::new(folder, allow_outside);
    let mut charts = QuestionsByChart::default();
    let mut parts = Vec::new();
    match split {
        Split::Test => parts.push(Part::load(
            &part_folder(folder, "test")?,
            "test",
            "",
            &boundary,
            &mut charts,
        )?),
        Split::Train => {
            let train = part_folder(folder, "train")?;
            parts.push(Part::load(
                &train,
                "train",
                "train/",
                &boundary,
                &mut charts,
            )?);
            if let Ok(val) = part_folder(folder, "val") {
                parts.push(Part::load(&val, "val", "val/", &boundary, &mut charts)?);
            }
        }
    }
    let charts = charts.into_charts();
    let folders: Vec<&ImageFolder> = parts.iter().map(|part| &part.images).collect();
    images::require_any_image(images::chart_images(&charts), &folders)?;
    Ok(charts)
}

/// Whether `folder` has the file names of this format's test split.
pub(super) fn is_at(folder: &Path) -> bool {
    folder.is_dir() && part_folder(folder, "test").is_ok()
}

/// The folder with a part's question files.
fn part_folder(folder: &Path, part: &str) -> Result<PathBuf> {
    let candidates = [
        folder.to_owned(),
        folder.join(part),
        folder.join("ChartQA Dataset").join(part),
    ];
    let has_questions = |folder: &PathBuf| {
        SOURCES
            .iter()
            .any(|source| folder.join(format!("{part}_{source}.json")).exists())
    };
    candidates.into_iter().find(has_questions).with_context(|| {
        MissingSplit(format!(
            "{}: neither {part}_human.json nor {part}_augmented.json is there; the layout is {LAYOUT}",
            folder.display()
        ))
    })
}

/// A part of the data set: `test`, `train` or `val`.
struct Part<'a> {
    /// Precedes the ids of questions and charts.
    prefix: &'a str,
    images: ImageFolder,
    tables: TableFolder,
}

impl<'a> Part<'a> {
    /// Lists the images and tables of the part `name` in `folder`, and adds its questions to
    /// `charts`.
    fn load(
        folder: &Path,
        name: &str,
        prefix: &'a str,
        boundary: &Boundary,
        charts: &mut QuestionsByChart,
    ) -> Result<Self> {
        let images = ImageFolder::list(folder.join("png"), boundary)?;
        let tables = TableFolder::list(folder.join("tables"), boundary)?;
        let part = Self {
            prefix,
            images,
            tables,
        };
        for source in SOURCES {
            let path = folder.join(format!("{name}_{source}.json"));
            let json = read_file::read(&path)?;
            let records = serde_json::from_str::<Vec<Record>>(&json)
                .map_err(|error| read_file::json_fault(&error, 1));
            for (index, record) in records
                .with_context(|| path.display().to_string())?
                .into_iter()
                .enumerate()
            {
                let field = || format!("{}: [{index}].imgname", path.display());
                part.add(source, index, record, charts)
                    .with_context(field)?;
            }
        }
        Ok(part)
    }

    fn add(
        &self,
        source: &str,
        index: usize,
        record: Record,
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
            id: format!("{}{source}/{index}", self.prefix),
            text: record.query,
            gold: Gold::Text(record.label),
            answer_type: None,
            taxonomy: None,
            template: None,
            source: Some(source.to_owned()),
            slices: Default::default(),
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
