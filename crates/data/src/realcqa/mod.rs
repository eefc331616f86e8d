//! RealCQA: real charts of scientific papers with template questions (Ahmed et al., "RealCQA",
//! ICDAR 2023).
//!
//! ```text
//! images/CHART.jpg     the charts
//! qa/CHART.json        a list of question records for each chart; or else
//! merged_qa.json       {"CHART": [records], ...}
//! json/CHART.json      the CHART-Info annotation, for chart type and data table; may be absent
//! test_filenames.txt   the test charts, one name on each line; all others are for training
//! ```
//! Charts are ordered by id in both forms.

mod annotation;
mod record;

use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use rayon::prelude::*;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use self::annotation::AnnotationTableSource;
use super::images::{self, ImageFolder};
use super::notes::Notes;
use chartbench_core::input::Boundary;
use chartbench_core::question::{Chart, ChartQuestions, ImageRef, Question, Split, TableRef};
use chartbench_core::read_file;
use chartbench_core::realcqa_split::{self, TestCharts};

const MERGED: &str = "merged_qa.json";

/// The files of this format in a line, for messages.
pub(super) const LAYOUT: &str = "images/, qa/*.json (or merged_qa.json), test_filenames.txt, and json/*.json for chart types and tables";

/// The questions of one split, by how the files store them.
pub(super) enum QaLayout {
    /// One file of questions for each chart, read on demand.
    PerChart(PerChartQa),
    /// All questions in one file, already in memory.
    Merged(Vec<ChartQuestions>),
}

/// Opens one split of the data set in `folder`.
///
/// # Errors
/// Returns an error if anything is missing or ambiguous, or if a merged file is malformed; the
/// error names file and line. A single missing image is no error.
pub(super) fn open(
    folder: &Path,
    split: Split,
    allow_outside: bool,
    notes: &mut Notes,
) -> Result<QaLayout> {
    read_file::require_folder(folder)?;
    let tests = TestCharts::read(folder)?;
    let qa = read_file::in_any_case(folder, "qa")?;
    let merged = folder.join(MERGED);
    if qa.is_dir() {
        let names = read_file::list_folder(&qa)?;
        let ids = names
            .iter()
            .filter_map(|name| name.strip_suffix(".json"))
            .map(|id| (id.to_owned(), ()));
        let chosen = tests.choose(ids.collect(), split, &qa)?;
        chosen
            .without_questions
            .into_iter()
            .for_each(|line| notes.add(line));
        let ids: Vec<String> = chosen.charts.into_iter().map(|(id, ())| id).collect();
        let files = ChartFiles::list(folder, allow_outside)?;
        files.require_any_image(&ids)?;
        files.report(&ids, notes);
        Ok(QaLayout::PerChart(PerChartQa { ids, qa, files }))
    } else if merged.exists() {
        let questions = read_merged(&merged, &tests, split, notes)?;
        let files = ChartFiles::list(folder, allow_outside)?;
        files.require_any_image(questions.iter().map(|(id, _)| id))?;
        files.report(questions.iter().map(|(id, _)| id), notes);
        let charts = questions
            .into_par_iter()
            .map(|(id, questions)| files.chart(id, questions));
        Ok(QaLayout::Merged(collect_in_order(charts)?))
    } else {
        bail!(
            "{}: neither qa/ nor {MERGED} is there; the layout is {LAYOUT}",
            folder.display()
        );
    }
}

/// The charts of one split, whose questions are not read yet.
pub(super) struct PerChartQa {
    ids: Vec<String>,
    qa: PathBuf,
    files: ChartFiles,
}

impl PerChartQa {
    /// Reads the charts of a range of the split's order, with their questions and what is to be
    /// said about them.
    ///
    /// # Errors
    /// Returns the first error in that order if a file is malformed; the error names file and line.
    pub(super) fn charts(&self, range: Range<usize>) -> Result<(Vec<ChartQuestions>, Notes)> {
        let read = collect_in_order(self.ids[range].par_iter().map(|id| {
            let path = self.qa.join(format!("{id}.json"));
            let json = read_file::read(&path)?;
            let mut notes = Notes::default();
            let questions = record::questions(id, &json, || 1, &mut notes)
                .with_context(|| path.display().to_string())?;
            Ok((self.files.chart(id.clone(), questions)?, notes))
        }))?;
        let mut all = Notes::default();
        let charts = read.into_iter().map(|(chart, notes)| {
            all.extend(notes);
            chart
        });
        Ok((charts.collect(), all))
    }

    /// The number of charts of the split.
    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }
}

/// The images and annotations of a data set.
struct ChartFiles {
    images: ImageFolder,
    annotations: PathBuf,
    boundary: Boundary,
}

impl ChartFiles {
    fn list(folder: &Path, allow_outside: bool) -> Result<Self> {
        let boundary = Boundary::new(folder, allow_outside);
        let images = ImageFolder::list(read_file::in_any_case(folder, "images")?, &boundary)?;
        Ok(Self {
            images,
            annotations: read_file::in_any_case(folder, "json")?,
            boundary,
        })
    }

    fn image(&self, id: &str) -> ImageRef {
        self.images.find(&format!("{id}.jpg"))
    }

    /// Checks that at least one of these charts has an image.
    fn require_any_image<'a>(&self, ids: impl IntoIterator<Item = &'a String>) -> Result<()> {
        images::require_any_image(ids.into_iter().map(|id| self.image(id)), &[&self.images])
    }

    /// Counts the images of these charts whose names are written in another case.
    fn report<'a>(&self, ids: impl IntoIterator<Item = &'a String>, notes: &mut Notes) {
        ids.into_iter().for_each(|id| {
            self.image(id);
        });
        self.images.report(notes);
    }

    fn chart(&self, id: String, questions: Vec<Question>) -> Result<ChartQuestions> {
        let annotation = self.annotations.join(format!("{id}.json"));
        let chart_type = annotation::chart_type(&annotation, &self.boundary)?;
        let image = self.image(&id);
        let has_annotation = annotation.exists();
        let source = AnnotationTableSource {
            path: annotation,
            boundary: self.boundary.clone(),
        };
        let table = has_annotation.then(|| TableRef(Arc::new(source)));
        Ok(ChartQuestions {
            chart: Chart {
                id,
                image,
                chart_type,
                table,
            },
            questions,
        })
    }
}

/// Whether `folder` has the file names of this format.
pub(super) fn is_at(folder: &Path) -> bool {
    folder.join("qa").is_dir()
        || [MERGED, realcqa_split::TEST_LIST]
            .iter()
            .any(|name| folder.join(name).exists())
}

/// Collects in order. Unlike rayon's own `collect` it always returns the first error in that order.
fn collect_in_order<T: Send>(
    results: impl IndexedParallelIterator<Item = Result<T>>,
) -> Result<Vec<T>> {
    results.collect::<Vec<_>>().into_iter().collect()
}

fn read_merged(
    path: &Path,
    tests: &TestCharts,
    split: Split,
    notes: &mut Notes,
) -> Result<Vec<(String, Vec<Question>)>> {
    let json = read_file::read(path)?;
    let json = read_file::without_nan(&json);
    let file_name = || path.display().to_string();
    let mut parser = serde_json::Deserializer::from_str(&json);
    let lists = parser
        .deserialize_map(Lists)
        .and_then(|lists| parser.end().map(|()| lists));
    let lists = lists
        .map_err(|error| read_file::json_fault(&error, 1))
        .with_context(file_name)?;
    let mut lines = HashMap::new();
    for (id, list) in &lists {
        if let Some(first) = lines.insert(id.as_str(), *list) {
            let [line, first] = [*list, first].map(|list| line_of(&json, list.get()));
            bail!(
                "{}: line {line}: chart `{id}` is already on line {first}",
                path.display()
            );
        }
    }
    let chosen = tests.choose(lists, split, path)?;
    chosen
        .without_questions
        .into_iter()
        .for_each(|line| notes.add(line));
    let read = collect_in_order(chosen.charts.into_par_iter().map(|(id, list)| {
        let list = list.get();
        let mut notes = Notes::default();
        let questions = record::questions(&id, list, || line_of(&json, list), &mut notes)
            .with_context(|| format!("chart `{id}`"));
        Ok((id, questions.with_context(file_name)?, notes))
    }))?;
    let mut charts = Vec::with_capacity(read.len());
    for (id, questions, own) in read {
        notes.extend(own);
        charts.push((id, questions));
    }
    Ok(charts)
}

/// The number of the line of `text` on which `part`, a slice of it, begins.
fn line_of(text: &str, part: &str) -> usize {
    let offset = (part.as_ptr() as usize).saturating_sub(text.as_ptr() as usize);
    1 + text
        .bytes()
        .take(offset)
        .filter(|&byte| byte == b'\n')
        .count()
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
        while let Some(list) = map.next_entry()? {
            lists.push(list);
        }
        Ok(lists)
    }
}
