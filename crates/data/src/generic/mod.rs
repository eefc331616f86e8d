//! A user's own questions: a `.jsonl`, `.json`, `.csv` or `.tsv` file, or a folder with
//! `questions.jsonl`, `questions.json`, `questions.csv` or `questions.tsv`.
//!
//! Required fields: `image`, `question`, `answer`. The image is a path, relative to the file, a data
//! URL or base64. Optional fields: `id` (default: `index` if every record has it, else the number of
//! the record, from 1), `answer_type`, `chart_type`, `taxonomy`, `template`, `source`, `split`
//! (`train` or `test`; default `test`). Further slice values are fields of an object `slices`; in CSV
//! and TSV they are columns `slices.NAME`. Other fields are slices too, unless they have too many
//! values; another spelling of a field's name is refused. The first row of CSV and TSV names the
//! fields, and an empty cell of an optional field is absent. The chart's id is its `image` as
//! written, or made of the hash of an image in the file. Images in CSV and TSV stay in the file and
//! are read when they are asked for.
//!
//! VLMEvalKit's TSV has a column `index`, and `image` may be the index of another row, which has
//! the image, or be left out for `image_path`. Its answers may be lists as Python writes them, and
//! its `split` may name a part of the test split, as in `test_human`.
//!
//! Answers are text; in JSON they may also be numbers, `true`, `false` or lists; a question whose
//! answer is `null` is left out. ChartQAPro's
//! `Year` (flags `YES` and `NO`, a list or a text) and `Question Type` are slices that its scoring
//! reads. A row with both has a conversation's answers as its list, one for each turn, and the last
//! turn's answer is the gold.

mod delimited;
mod embedded_image;
mod rows;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};

use self::delimited::DelimitedFile;
use self::rows::{Place, QuestionRow, RowImage};
use super::images::{self, ImageFolder};
use super::notes::{NO_ANSWER, Notes};
use super::questions_by_chart::QuestionsByChart;
use chartbench_core::input::Boundary;
use chartbench_core::question::Split;
use chartbench_core::question::{Chart, ChartQuestions, ImageRef, Question};
use chartbench_core::terminal::shorten;
use chartbench_core::{parse_field, read_file};

/// The files of this format in a line, for messages.
pub(super) const LAYOUT: &str = "a .jsonl, .json, .csv or .tsv file with image, question and answer, or a folder with \
                                 such a file called questions; images relative to the file";

/// The extensions of question files; a folder has one called `questions`.
const EXTENSIONS: [&str; 4] = ["jsonl", "json", "csv", "tsv"];

/// Loads one split of the questions at `path`.
///
/// # Errors
/// Returns an error if anything is missing or malformed; the error names file and line. A single
/// missing image is no error.
pub(super) fn load(
    path: &Path,
    split: Split,
    allow_outside: bool,
    notes: &mut Notes,
) -> Result<Vec<ChartQuestions>> {
    let file = question_file(path)?;
    let file_name = || file.display().to_string();
    let delimited = |delimiter: u8, notes: &mut Notes| {
        let file = Arc::new(DelimitedFile::open(&file, delimiter)?);
        rows::delimited(&file, notes).with_context(file_name)
    };
    let mut rows = match extension(&file).as_str() {
        "csv" => delimited(b',', notes)?,
        "tsv" => delimited(b'\t', notes)?,
        _ => {
            let content = read_file::read(&file)?;
            rows::json(&read_file::without_nan(&content)).with_context(file_name)?
        }
    };
    let left_out = rows::keep_extras(&mut rows).with_context(file_name)?;
    if split == Split::Test && !left_out.is_empty() {
        let names: Vec<String> = left_out.iter().map(|name| shorten(name)).collect();
        notes.add(format!(
            "no slices, for their many values: {} (`slices.NAME` is one all the same)",
            names.join(", ")
        ));
    }
    let folder = folder_of(&file);
    let mut loader = Loader {
        boundary: Boundary::new(&folder, allow_outside),
        folder,
        ..Default::default()
    };
    for (index, row) in rows.into_iter().enumerate() {
        let place = row.place;
        loader
            .add(row, index + 1, split, notes)
            .with_context(|| place.to_string())
            .with_context(file_name)?;
    }
    let charts = loader.charts.into_charts();
    loader
        .image_folders
        .values()
        .for_each(|images| images.report(notes));
    images::require_any_image(
        images::chart_images(&charts),
        &loader.image_folders.values().collect::<Vec<_>>(),
    )?;
    Ok(charts)
}

/// Whether `path` has the file names of this format.
pub(super) fn is_at(path: &Path) -> bool {
    question_file(path).is_ok() || !files_in(path).is_empty()
}

/// The question files in a folder.
fn files_in(folder: &Path) -> Vec<PathBuf> {
    let names = EXTENSIONS.map(|extension| folder.join("questions").with_extension(extension));
    names.into_iter().filter(|file| file.exists()).collect()
}

/// The extension of a file in lower case.
fn extension(file: &Path) -> String {
    let extension = file.extension().unwrap_or_default();
    extension.to_string_lossy().to_lowercase()
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
        let mut files = files_in(path).into_iter();
        return match (files.next(), files.next()) {
            (Some(file), None) => Ok(file),
            (Some(first), Some(second)) => bail!(
                "{}: both {} and {} are there; name one",
                path.display(),
                first.file_name().unwrap_or_default().display(),
                second.file_name().unwrap_or_default().display()
            ),
            (None, _) => bail!(
                "{}: none of questions.{} is there",
                path.display(),
                EXTENSIONS.join(", questions.")
            ),
        };
    }
    if !EXTENSIONS.contains(&extension(path).as_str()) {
        bail!(
            "{}: not a .{} file; the data must be {LAYOUT}",
            path.display(),
            EXTENSIONS.join(", .")
        );
    }
    Ok(path.to_owned())
}

/// NAME of a split `test_NAME`, which is a part of the test split.
fn part_name(rest: &str) -> Option<&str> {
    let name = rest.strip_prefix(['_', '-'])?;
    (!name.is_empty()).then_some(name)
}

/// The questions of one split while the file is read.
#[derive(Default)]
struct Loader {
    folder: PathBuf,
    boundary: Boundary,
    charts: QuestionsByChart,
    /// The place of each question id.
    places: HashMap<String, Place>,
    image_folders: HashMap<PathBuf, ImageFolder>,
}

impl Loader {
    fn add(
        &mut self,
        row: QuestionRow,
        number: usize,
        split: Split,
        notes: &mut Notes,
    ) -> Result<()> {
        let id = row.id.unwrap_or_else(|| number.to_string());
        if let Some(first) = self.places.insert(id.clone(), row.place) {
            bail!("id: `{}` is already the id of {first}", shorten(&id));
        }
        let (row_split, part) = match row.split.as_deref() {
            None | Some("test") => (Split::Test, None),
            Some("train") => (Split::Train, None),
            Some(other) => match other.strip_prefix("test").and_then(part_name) {
                Some(part) => (Split::Test, Some(part.to_owned())),
                None => bail!("split: `{other}` is neither train nor test"),
            },
        };
        if row.question.trim().is_empty() {
            bail!("question: it is empty");
        }
        let chart_type = row.chart_type.as_deref().and_then(parse_field::chart_type);
        let Some(gold) = row.answer else {
            if row_split == split {
                notes.count(NO_ANSWER, || row.place.to_string());
            }
            return Ok(());
        };
        let question = Question {
            id,
            text: row.question,
            gold,
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
            source: row.source.or(part),
            slices: row.slices,
            context: None,
        };
        let (chart_id, image) = self.image(row.image)?;
        if row_split != split {
            return Ok(());
        }
        if let Some(chart) = self.charts.get(&chart_id)
            && chart.chart_type != chart_type
        {
            let [first, new] =
                [&chart.chart_type, &chart_type].map(|kind| kind.as_deref().unwrap_or_default());
            bail!(
                "chart_type: it is `{new}`, but `{first}` on an earlier line with the image `{}`",
                shorten(&chart_id)
            );
        }
        self.charts.add(
            &chart_id,
            || Chart {
                id: chart_id.clone(),
                image,
                chart_type,
                table: None,
            },
            question,
        );
        Ok(())
    }

    /// The id of the chart in a field `image`, and its image.
    fn image(&mut self, image: RowImage) -> Result<(String, ImageRef)> {
        let field = match image {
            RowImage::InFile(id, image) => return Ok((id, image)),
            RowImage::Text(field) => field,
        };
        if field.is_empty() {
            bail!("image: it is empty");
        }
        if let Some(base64) = embedded_image::base64(&field) {
            return base64.and_then(embedded_image::decode).context("image");
        }
        let image = self.file(&field)?;
        Ok((field, image))
    }

    fn file(&mut self, name: &str) -> Result<ImageRef> {
        let path = self.folder.join(name);
        let (Some(folder), Some(file)) = (
            path.parent(),
            path.file_name().and_then(|file| file.to_str()),
        ) else {
            bail!("image: `{}` is not the path of a file", shorten(name));
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
