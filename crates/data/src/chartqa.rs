//! ChartQA: charts of four web sources, questions written by people and by a model (Masry et al., ACL 2022 Findings).
//!
//! ```text
//! png/NAME.png                              the charts
//! tables/NAME.csv                           their data tables; may be absent
//! test_human.json, test_augmented.json      [{"imgname", "query", "label"}, ...]
//! train_human.json, ..., val_human.json, ...  for the train split
//! ```
//! or, as published, one such folder a part: `test/png`, `test/test_human.json`, `train/...`, `val/...`; also under
//! `ChartQA Dataset/`. The train split is `train` with `val`, where `val` is there.
//!
//! A test question's id is `human/0` or `augmented/12`: its file and its index there; in the train split `train/` or
//! `val/` comes before it, and before the chart's id. Labels are kept as the text they are, `[2013, 2016]` too.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::NoSplit;
use super::group::Groups;
use super::images::{self, Images};
use chartbench_core::data_table::DataTable;
use chartbench_core::input::Boundary;
use chartbench_core::question::Split;
use chartbench_core::question::stem;
use chartbench_core::question::{Chart, ChartQuestions, Gold, ImageRef, Question, TableRef, TableSource};
use chartbench_core::read_file;

/// The two kinds of questions, in the order they are asked about a chart.
const SOURCES: [&str; 2] = ["human", "augmented"];

/// The layout in a line, for messages.
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
/// Anything missing or malformed, by file and place. A single missing image is no error here.
pub(super) fn load(folder: &Path, split: Split, allow_outside: bool) -> Result<Vec<ChartQuestions>> {
    read_file::require_folder(folder)?;
    let boundary = Boundary::new(folder, allow_outside);
    let mut groups = Groups::default();
    let mut listings = Vec::new();
    match split {
        Split::Test => listings.push(part(&home(folder, "test")?, "test", "", &boundary, &mut groups)?),
        Split::Train => {
            listings.push(part(&home(folder, "train")?, "train", "train/", &boundary, &mut groups)?);
            if let Ok(val) = home(folder, "val") {
                listings.push(part(&val, "val", "val/", &boundary, &mut groups)?);
            }
        }
    }
    let charts = groups.into_charts();
    images::require_any(images::of(&charts), &listings.iter().collect::<Vec<_>>())?;
    Ok(charts)
}

/// Whether `folder` has the names of this layout's test split.
pub(super) fn is_at(folder: &Path) -> bool {
    folder.is_dir() && home(folder, "test").is_ok()
}

/// The folder in which a part's question files lie.
fn home(folder: &Path, part: &str) -> Result<PathBuf> {
    let places = [folder.to_owned(), folder.join(part), folder.join("ChartQA Dataset").join(part)];
    let holds = |place: &PathBuf| SOURCES.iter().any(|source| place.join(format!("{part}_{source}.json")).exists());
    places.into_iter().find(holds).with_context(|| {
        NoSplit(format!(
            "{}: neither {part}_human.json nor {part}_augmented.json is there; the layout is {LAYOUT}",
            folder.display()
        ))
    })
}

/// Adds a part's questions, `prefix` before their ids and their charts', and tells where its images lie.
fn part(home: &Path, part: &str, prefix: &str, boundary: &Boundary, groups: &mut Groups) -> Result<Images> {
    let images = Images::list(home.join("png"), boundary)?;
    let tables = Tables::list(home.join("tables"), boundary)?;
    for source in SOURCES {
        let path = home.join(format!("{part}_{source}.json"));
        let json = read_file::read(&path)?;
        let records = serde_json::from_str::<Vec<Record>>(&json).map_err(|error| read_file::json_fault(&error, 1));
        for (index, record) in records.with_context(|| path.display().to_string())?.into_iter().enumerate() {
            let place = || format!("{}: [{index}].imgname", path.display());
            let id = format!("{prefix}{source}/{index}");
            let table = tables.find(&record.imgname);
            add(&images, table, prefix, source, id, record, groups).with_context(place)?;
        }
    }
    Ok(images)
}

/// The data tables of a part, by one listing of their folder.
struct Tables {
    folder: PathBuf,
    names: HashSet<String>,
    boundary: Boundary,
}

impl Tables {
    fn list(folder: PathBuf, boundary: &Boundary) -> Result<Self> {
        let names = read_file::names(&folder)?.into_iter().collect();
        Ok(Self { folder, names, boundary: boundary.clone() })
    }

    fn find(&self, image: &str) -> Option<TableRef> {
        let name = format!("{}.csv", stem(image));
        let file = || CsvFile { path: self.folder.join(&name), boundary: self.boundary.clone() };
        self.names.contains(&name).then(|| TableRef(Arc::new(file())))
    }
}

/// A table on disk, without a title.
struct CsvFile {
    path: PathBuf,
    boundary: Boundary,
}

impl TableSource for CsvFile {
    fn table(&self) -> Result<DataTable> {
        let text = read_file::read_within(&self.path, &self.boundary)?;
        DataTable::from_csv(&text).with_context(|| self.path.display().to_string())
    }
}

fn add(
    images: &Images,
    table: Option<TableRef>,
    prefix: &str,
    source: &str,
    id: String,
    record: Record,
    groups: &mut Groups,
) -> Result<()> {
    let chart_id = format!("{prefix}{}", stem(&record.imgname));
    let image = images.find(&record.imgname);
    if let Some(known) = groups.get(&chart_id)
        && let (ImageRef::File(known), ImageRef::File(path)) = (&known.image, &image)
        && **known != **path
    {
        bail!("chart `{chart_id}` would be {} and {}", known.display(), path.display());
    }
    let question = Question {
        id,
        text: record.query,
        gold: Gold::Text(record.label),
        answer_type: None,
        taxonomy: None,
        template: None,
        source: Some(source.to_owned()),
        slices: Default::default(),
    };
    groups.add(&chart_id, || Chart { id: chart_id.clone(), image, chart_type: None, table }, question);
    Ok(())
}
