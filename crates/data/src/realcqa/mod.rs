//! RealCQA: real charts of scientific papers with template questions (Ahmed et al., "RealCQA", ICDAR 2023).
//!
//! ```text
//! images/CHART.jpg     the charts
//! qa/CHART.json        a list of question records a chart; or else
//! merged_qa.json       {"CHART": [records], ...}
//! json/CHART.json      the CHART-Info annotation, for chart type and data table; may be absent
//! test_filenames.txt   the test charts, one name a line; all others are for training
//! ```
//! Charts are ordered by id, whichever of the two forms the questions come in.

mod annotation;
mod record;
mod table;

use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use rayon::prelude::*;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::images::{self, Images};
use chartbench_core::input::Boundary;
use chartbench_core::question::{Chart, ChartQuestions, ImageRef, Question, Split, TableRef};
use chartbench_core::read_file;
use chartbench_core::realcqa_split::{self, TestCharts};

const MERGED: &str = "merged_qa.json";

/// The layout in a line, for messages.
pub(super) const LAYOUT: &str =
    "images/, qa/*.json (or merged_qa.json), test_filenames.txt, and json/*.json for chart types and tables";

/// One split, as far as it is read at once.
pub(super) enum Opened {
    /// A file of questions a chart.
    Folder(Folder),
    /// All questions were in one file.
    Held(Vec<ChartQuestions>),
}

/// Opens one split of the data set in `folder`.
///
/// # Errors
/// Anything missing or ambiguous, by file and place; of questions in one file also anything malformed. A single missing
/// image is no error here.
pub(super) fn open(folder: &Path, split: Split, allow_outside: bool) -> Result<Opened> {
    read_file::require_folder(folder)?;
    let tests = TestCharts::read(folder)?;
    let qa = folder.join("qa");
    let merged = folder.join(MERGED);
    if qa.is_dir() {
        let files = read_file::names(&qa)?;
        let ids = files.iter().filter_map(|name| name.strip_suffix(".json")).map(|id| (id.to_owned(), ()));
        let chosen = tests.choose(ids.collect(), split, &qa)?;
        let ids: Vec<String> = chosen.into_iter().map(|(id, ())| id).collect();
        let around = Around::list(folder, allow_outside)?;
        around.require_any(&ids)?;
        Ok(Opened::Folder(Folder { ids, qa, around }))
    } else if merged.exists() {
        let asked = from_merged(&merged, &tests, split)?;
        let around = Around::list(folder, allow_outside)?;
        around.require_any(asked.iter().map(|(id, _)| id))?;
        Ok(Opened::Held(in_order(asked.into_par_iter().map(|(id, questions)| around.chart(id, questions)))?))
    } else {
        bail!("{}: neither qa/ nor {MERGED} is there; the layout is {LAYOUT}", folder.display());
    }
}

/// One split's charts, of which no question has been read.
pub(super) struct Folder {
    ids: Vec<String>,
    qa: PathBuf,
    around: Around,
}

impl Folder {
    /// The charts at some places of the split's order, with their questions.
    ///
    /// # Errors
    /// Anything malformed, by file and place: the first, in that order.
    pub(super) fn charts(&self, places: Range<usize>) -> Result<Vec<ChartQuestions>> {
        in_order(self.ids[places].par_iter().map(|id| {
            let path = self.qa.join(format!("{id}.json"));
            let json = read_file::read(&path)?;
            let questions = record::questions(id, &json, || 1).with_context(|| path.display().to_string())?;
            self.around.chart(id.clone(), questions)
        }))
    }

    /// How many charts the split has.
    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }
}

/// What a data set has of its charts beside their questions.
struct Around {
    images: Images,
    annotations: PathBuf,
    boundary: Boundary,
}

impl Around {
    fn list(folder: &Path, allow_outside: bool) -> Result<Self> {
        let boundary = Boundary::new(folder, allow_outside);
        let images = Images::list(folder.join("images"), &boundary)?;
        Ok(Self { images, annotations: folder.join("json"), boundary })
    }

    fn image(&self, id: &str) -> ImageRef {
        self.images.find(&format!("{id}.jpg"))
    }

    /// Refuses a folder with not one of these charts' images.
    fn require_any<'a>(&self, ids: impl IntoIterator<Item = &'a String>) -> Result<()> {
        images::require_any(ids.into_iter().map(|id| self.image(id)), &[&self.images])
    }

    fn chart(&self, id: String, questions: Vec<Question>) -> Result<ChartQuestions> {
        let annotation = self.annotations.join(format!("{id}.json"));
        let chart_type = annotation::chart_type(&annotation, &self.boundary)?;
        let image = self.image(&id);
        let exists = annotation.exists();
        let annotated = table::Annotated { path: annotation, boundary: self.boundary.clone() };
        let table = exists.then(|| TableRef(Arc::new(annotated)));
        Ok(ChartQuestions { chart: Chart { id, image, chart_type, table }, questions })
    }
}

/// Whether `folder` has the names of this layout.
pub(super) fn is_at(folder: &Path) -> bool {
    folder.join("qa").is_dir() || [MERGED, realcqa_split::FILE].iter().any(|name| folder.join(name).exists())
}

/// Collects in order and, unlike rayon's own way, always fails with the first error in that order.
fn in_order<T: Send>(results: impl IndexedParallelIterator<Item = Result<T>>) -> Result<Vec<T>> {
    results.collect::<Vec<_>>().into_iter().collect()
}

fn from_merged(path: &Path, tests: &TestCharts, split: Split) -> Result<Vec<(String, Vec<Question>)>> {
    let json = read_file::read(path)?;
    let named = || path.display().to_string();
    let mut parser = serde_json::Deserializer::from_str(&json);
    let lists = parser.deserialize_map(Lists).and_then(|lists| parser.end().map(|()| lists));
    let lists = lists.map_err(|error| read_file::json_fault(&error, 1)).with_context(named)?;
    let mut lines = HashMap::new();
    for (id, list) in &lists {
        if let Some(first) = lines.insert(id.as_str(), *list) {
            let [line, first] = [*list, first].map(|list| line_of(&json, list.get()));
            bail!("{}: line {line}: chart `{id}` is already on line {first}", path.display());
        }
    }
    let chosen = tests.choose(lists, split, path)?;
    in_order(chosen.into_par_iter().map(|(id, list)| {
        let list = list.get();
        let questions = record::questions(&id, list, || line_of(&json, list)).with_context(|| format!("chart `{id}`"));
        Ok((id, questions.with_context(named)?))
    }))
}

/// The number of the line of `text` on which `part`, a piece of it, begins.
fn line_of(text: &str, part: &str) -> usize {
    let offset = (part.as_ptr() as usize).saturating_sub(text.as_ptr() as usize);
    1 + text.bytes().take(offset).filter(|&byte| byte == b'\n').count()
}

/// Reads `{chart: [...]}` without reading the lists.
struct Lists;

impl<'de> Visitor<'de> for Lists {
    type Value = Vec<(String, &'de RawValue)>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object of question lists by chart id")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut lists = Vec::new();
        while let Some(entry) = map.next_entry()? {
            lists.push(entry);
        }
        Ok(lists)
    }
}
