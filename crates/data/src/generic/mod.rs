//! A user's own questions: a `.jsonl` or `.csv` file, or a folder with `questions.jsonl` or
//! `questions.csv`.
//!
//! Required fields: `image` (a path, relative to the file), `question`, `answer`. Optional fields:
//! `id` (default: the number of the record, from 1), `answer_type`, `chart_type`, `taxonomy`,
//! `template`, `source`, `split` (`train` or `test`; default `test`). Further slice values are
//! fields of an object `slices`; in a CSV they are columns `slices.NAME`. The first row of a CSV
//! names the fields, and an empty cell of an optional field is absent. Other fields are refused,
//! because they are likely misspelt. The chart's id is its `image` as written.
//!
//! Answers are text; in JSONL they may also be numbers, `true`, `false` or lists. ChartQAPro's
//! `Year` (flags `YES` and `NO`, a list or a text) and `Question Type` are slices that its scoring
//! reads. A row with both has a conversation's answers as its list, one for each turn, and the last
//! turn's answer is the gold.

mod rows;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use self::rows::QuestionRow;
use super::images::{self, ImageFolder};
use super::questions_by_chart::QuestionsByChart;
use chartbench_core::input::Boundary;
use chartbench_core::question::Split;
use chartbench_core::question::{Chart, ChartQuestions, ImageRef, Question};
use chartbench_core::{parse_field, read_file};

/// The files of this format in a line, for messages.
pub(super) const LAYOUT: &str = "a .jsonl or .csv file with image, question and answer, or a folder with such a \
                                 questions.jsonl or questions.csv; images relative to the file";

/// The question files' names in a folder.
const NAMES: [&str; 2] = ["questions.jsonl", "questions.csv"];

/// Loads one split of the questions at `path`.
///
/// # Errors
/// Returns an error if anything is missing or malformed; the error names file and line. A single
/// missing image is no error.
pub(super) fn load(path: &Path, split: Split, allow_outside: bool) -> Result<Vec<ChartQuestions>> {
    let file = question_file(path)?;
    let content = read_file::read(&file)?;
    let file_name = || file.display().to_string();
    let is_csv = file
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("csv"));
    let rows = if is_csv {
        rows::csv(&content)
    } else {
        rows::jsonl(&content)
    }
    .with_context(file_name)?;
    let folder = folder_of(&file);
    let mut loader = Loader {
        boundary: Boundary::new(&folder, allow_outside),
        folder,
        ..Default::default()
    };
    for (index, row) in rows.into_iter().enumerate() {
        let line = row.line;
        loader
            .add(row, index + 1, split)
            .with_context(|| format!("line {line}"))
            .with_context(file_name)?;
    }
    let charts = loader.charts.into_charts();
    images::require_any_image(
        images::chart_images(&charts),
        &loader.image_folders.values().collect::<Vec<_>>(),
    )?;
    Ok(charts)
}

/// Whether `path` has the file names of this format.
pub(super) fn is_at(path: &Path) -> bool {
    question_file(path).is_ok() || NAMES.iter().all(|name| path.join(name).exists())
}

/// The folder of a file; a bare name lies in the working directory.
fn folder_of(file: &Path) -> PathBuf {
    let folder = file
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new(".")).to_owned()
}

/// The question file: `path` itself, or the file in that folder.
fn question_file(path: &Path) -> Result<PathBuf> {
    let meta =
        std::fs::metadata(path).with_context(|| format!("cannot open {}", path.display()))?;
    if meta.is_dir() {
        let [jsonl, csv] = NAMES.map(|name| path.join(name));
        return match (jsonl.exists(), csv.exists()) {
            (true, false) => Ok(jsonl),
            (false, true) => Ok(csv),
            (true, true) => bail!(
                "{}: both questions.jsonl and questions.csv are there; name one",
                path.display()
            ),
            (false, false) => bail!(
                "{}: neither questions.jsonl nor questions.csv is there",
                path.display()
            ),
        };
    }
    let extension = path
        .extension()
        .and_then(|extension| extension.to_str())
        .unwrap_or_default();
    if !["jsonl", "csv"]
        .iter()
        .any(|listed| extension.eq_ignore_ascii_case(listed))
    {
        bail!(
            "{}: not a .jsonl or .csv file; the data must be {LAYOUT}",
            path.display()
        );
    }
    Ok(path.to_owned())
}

/// The questions of one split while the file is read.
#[derive(Default)]
struct Loader {
    folder: PathBuf,
    boundary: Boundary,
    charts: QuestionsByChart,
    /// The line of each question id.
    lines: HashMap<String, usize>,
    image_folders: HashMap<PathBuf, ImageFolder>,
}

impl Loader {
    fn add(&mut self, row: QuestionRow, number: usize, split: Split) -> Result<()> {
        let id = row.id.unwrap_or_else(|| number.to_string());
        if let Some(first) = self.lines.insert(id.clone(), row.line) {
            bail!("id: `{id}` is already the id of line {first}");
        }
        let row_split = match row.split.as_deref() {
            None | Some("test") => Split::Test,
            Some("train") => Split::Train,
            Some(other) => bail!("split: `{other}` is neither train nor test"),
        };
        if row.question.trim().is_empty() {
            bail!("question: it is empty");
        }
        let chart_type = row.chart_type.as_deref().and_then(parse_field::chart_type);
        let question = Question {
            id,
            text: row.question,
            gold: row.answer,
            answer_type: row
                .answer_type
                .as_deref()
                .map(parse_field::answer_type)
                .transpose()
                .context("answer_type")?,
            taxonomy: row
                .taxonomy
                .as_deref()
                .map(parse_field::taxonomy)
                .transpose()
                .context("taxonomy")?,
            template: row.template,
            source: row.source,
            slices: row.slices,
        };
        let image = self.image(&row.image)?;
        if row_split != split {
            return Ok(());
        }
        if let Some(chart) = self.charts.get(&row.image)
            && chart.chart_type != chart_type
        {
            let [first, new] =
                [&chart.chart_type, &chart_type].map(|kind| kind.as_deref().unwrap_or_default());
            bail!(
                "chart_type: it is `{new}`, but `{first}` on an earlier line with the image `{}`",
                row.image
            );
        }
        self.charts.add(
            &row.image,
            || Chart {
                id: row.image.clone(),
                image,
                chart_type,
                table: None,
            },
            question,
        );
        Ok(())
    }

    fn image(&mut self, name: &str) -> Result<ImageRef> {
        let path = self.folder.join(name);
        if name.is_empty() {
            bail!("image: it is empty");
        }
        let (Some(folder), Some(file)) = (
            path.parent(),
            path.file_name().and_then(|file| file.to_str()),
        ) else {
            bail!("image: `{name}` is not the path of a file");
        };
        let images = match self.image_folders.entry(folder.to_owned()) {
            Entry::Occupied(listed) => listed.into_mut(),
            Entry::Vacant(unlisted) => {
                unlisted.insert(ImageFolder::list(folder.to_owned(), &self.boundary)?)
            }
        };
        Ok(images.find(file))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_name_lies_in_the_working_directory() {
        assert_eq!(folder_of(Path::new("q.csv")), Path::new("."));
        assert_eq!(folder_of(Path::new("a/q.csv")), Path::new("a"));
    }
}
