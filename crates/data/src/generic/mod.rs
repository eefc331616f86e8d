//! One's own questions: a `.jsonl` or `.csv` file, or a folder that holds `questions.jsonl` or `questions.csv`.
//!
//! Fields: `image` (a path, relative to the file), `question`, `answer`; and where wanted `id` (else the number of the
//! record, from 1), `answer_type`, `chart_type`, `taxonomy`, `template`, `source`, and `split` (`train` or `test`; else
//! `test`). More columns to cut results along are fields of an object `slices`, in a CSV columns `slices.NAME`. A CSV has them in its first row, and an empty cell of the latter ones is an absent one. Answers are text;
//! in JSONL they may also be numbers, `true`, `false` or lists. ChartQAPro's `Year` (flags `YES` and `NO`, a list or a text)
//! and `Question Type` are slices that its scoring reads; where both are there, a list is the answers to a conversation's
//! turns, of which the last is the question's. Other fields are refused: they would be misspelt ones.
//! The chart's id is its `image` as written.

mod rows;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use self::rows::Row;
use super::group::Groups;
use super::images::{self, Images};
use chartbench_core::input::Boundary;
use chartbench_core::question::Split;
use chartbench_core::question::{Chart, ChartQuestions, ImageRef, Question};
use chartbench_core::{parse_field, read_file};

/// The layout in a line, for messages.
pub(super) const LAYOUT: &str = "a .jsonl or .csv file with image, question and answer, or a folder with such a \
                                 questions.jsonl or questions.csv; images relative to the file";

/// The question files' names in a folder.
const NAMES: [&str; 2] = ["questions.jsonl", "questions.csv"];

/// Loads one split of the questions at `path`.
///
/// # Errors
/// Anything missing or malformed, by file and line. A single missing image is no error here.
pub(super) fn load(path: &Path, split: Split, allow_outside: bool) -> Result<Vec<ChartQuestions>> {
    let file = question_file(path)?;
    let content = read_file::read(&file)?;
    let named = || file.display().to_string();
    let is_csv = file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"));
    let rows = if is_csv { rows::csv(&content) } else { rows::jsonl(&content) }.with_context(named)?;
    let folder = folder_of(&file);
    let mut gathered = Gathered { boundary: Boundary::new(&folder, allow_outside), folder, ..Default::default() };
    for (index, row) in rows.into_iter().enumerate() {
        let line = row.line;
        gathered.add(row, index + 1, split).with_context(|| format!("line {line}")).with_context(named)?;
    }
    let charts = gathered.groups.into_charts();
    images::require_any(images::of(&charts), &gathered.listings.values().collect::<Vec<_>>())?;
    Ok(charts)
}

/// Whether `path` has the names of this layout.
pub(super) fn is_at(path: &Path) -> bool {
    question_file(path).is_ok() || NAMES.iter().all(|name| path.join(name).exists())
}

/// Where a file lies; a bare name lies in the working directory.
fn folder_of(file: &Path) -> PathBuf {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new(".")).to_owned()
}

/// The file itself, or the one in the folder.
fn question_file(path: &Path) -> Result<PathBuf> {
    let meta = std::fs::metadata(path).with_context(|| format!("cannot open {}", path.display()))?;
    if meta.is_dir() {
        let [jsonl, csv] = NAMES.map(|name| path.join(name));
        return match (jsonl.exists(), csv.exists()) {
            (true, false) => Ok(jsonl),
            (false, true) => Ok(csv),
            (true, true) => bail!("{}: both questions.jsonl and questions.csv are there; name one", path.display()),
            (false, false) => bail!("{}: neither questions.jsonl nor questions.csv is there", path.display()),
        };
    }
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    if !["jsonl", "csv"].iter().any(|known| extension.eq_ignore_ascii_case(known)) {
        bail!("{}: not a .jsonl or .csv file; the data must be {LAYOUT}", path.display());
    }
    Ok(path.to_owned())
}

#[derive(Default)]
struct Gathered {
    folder: PathBuf,
    boundary: Boundary,
    groups: Groups,
    /// The line on which each question id stands.
    lines: HashMap<String, usize>,
    listings: HashMap<PathBuf, Images>,
}

impl Gathered {
    fn add(&mut self, row: Row, number: usize, split: Split) -> Result<()> {
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
            answer_type: row.answer_type.as_deref().map(parse_field::answer_type).transpose().context("answer_type")?,
            taxonomy: row.taxonomy.as_deref().map(parse_field::taxonomy).transpose().context("taxonomy")?,
            template: row.template,
            source: row.source,
            slices: row.slices,
        };
        let image = self.image(&row.image)?;
        if row_split != split {
            return Ok(());
        }
        if let Some(known) = self.groups.get(&row.image)
            && known.chart_type != chart_type
        {
            let [known, new] = [&known.chart_type, &chart_type].map(|kind| kind.as_deref().unwrap_or_default());
            bail!("chart_type: it is `{new}`, but `{known}` on an earlier line with the image `{}`", row.image);
        }
        self.groups.add(&row.image, || Chart { id: row.image.clone(), image, chart_type, table: None }, question);
        Ok(())
    }

    fn image(&mut self, name: &str) -> Result<ImageRef> {
        let path = self.folder.join(name);
        if name.is_empty() {
            bail!("image: it is empty");
        }
        let (Some(folder), Some(file)) = (path.parent(), path.file_name().and_then(|file| file.to_str())) else {
            bail!("image: `{name}` is not the path of a file");
        };
        let images = match self.listings.entry(folder.to_owned()) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => entry.insert(Images::list(folder.to_owned(), &self.boundary)?),
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
