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
//! Charts are ordered by id in both forms. On the hub the charts are spread over `images/`, `images2/`
//! and `images3/`, with `qa/` and `jsons/` numbered likewise and without the list of test charts,
//! which may lie beside the data set's folder, too. The authors' archive may have one folder around
//! all ([`root`]).

mod annotation;
mod folders;
mod record;

use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use rayon::prelude::*;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

pub(super) use self::folders::{is_at, root};

use self::annotation::AnnotationTableSource;
use self::folders::{ChartFiles, QaFolders};
use super::notes::Notes;
use chartbench_core::question::{Chart, ChartQuestions, Question, Split, TableRef};
use chartbench_core::read_file;
use chartbench_core::realcqa_split::TestCharts;

const MERGED: &str = "merged_qa.json";

/// The files of this format in a line, for messages.
pub(super) const LAYOUT: &str = "images/, qa/*.json (or merged_qa.json), test_filenames.txt, and json/*.json for chart types and tables (on the hub also images2/, qa2/, jsons2/ ...)";

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
    let folder = &root(folder);
    let tests = TestCharts::find(folder)?;
    let merged = folder.join(MERGED);
    if let Some(qa) = QaFolders::list(folder)? {
        let chosen = tests.choose(qa.charts, split, &folder.join("qa"))?;
        chosen
            .without_questions
            .into_iter()
            .for_each(|line| notes.add(line));
        let files = ChartFiles::list(folder, allow_outside)?;
        let charts = || chosen.charts.iter().map(|(id, place)| (id, *place));
        files.require_any_image(charts())?;
        files.report(charts(), notes);
        Ok(QaLayout::PerChart(PerChartQa {
            charts: chosen.charts,
            folders: qa.folders,
            files,
        }))
    } else if merged.exists() {
        let questions = read_merged(&merged, &tests, split, notes)?;
        let files = ChartFiles::list(folder, allow_outside)?;
        let charts = || questions.iter().map(|(id, _)| (id, 0));
        files.require_any_image(charts())?;
        files.report(charts(), notes);
        let charts = questions
            .into_par_iter()
            .map(|(id, questions)| files.chart(id, 0, questions));
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
    /// Each chart's id, and the place of its folder of questions.
    charts: Vec<(String, usize)>,
    folders: Vec<PathBuf>,
    files: ChartFiles,
}

impl PerChartQa {
    /// Reads the charts of a range of the split's order, with their questions and what is to be
    /// said about them.
    ///
    /// # Errors
    /// Returns the first error in that order if a file is malformed; the error names file and line.
    pub(super) fn charts(&self, range: Range<usize>) -> Result<(Vec<ChartQuestions>, Notes)> {
        let read = collect_in_order(self.charts[range].par_iter().map(|(id, place)| {
            let folder = self.folders.get(*place).context("no folder of questions")?;
            let path = folder.join(format!("{id}.json"));
            let json = read_file::read(&path)?;
            let mut notes = Notes::default();
            let questions = record::questions(id, &json, || 1, &mut notes)
                .with_context(|| path.display().to_string())?;
            Ok((self.files.chart(id.clone(), *place, questions)?, notes))
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
        self.charts.len()
    }
}

impl ChartFiles {
    /// A chart with its questions, which lie in the folder of questions at `place`.
    fn chart(&self, id: String, place: usize, questions: Vec<Question>) -> Result<ChartQuestions> {
        let path = self.annotation(&id);
        let chart_type = match &path {
            Some(path) => annotation::chart_type(path, self.boundary())?,
            None => None,
        };
        let image = self.image(&id, place);
        let source = path.map(|path| AnnotationTableSource {
            path,
            boundary: self.boundary().clone(),
        });
        let table = source.map(|source| TableRef(Arc::new(source)));
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
