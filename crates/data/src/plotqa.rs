//! PlotQA: plots of real-world data with template questions (Methani et al., WACV 2020,
//! arXiv:1909.00997).
//!
//! ```text
//! test/png/0.png, 1.png, ...   the charts, named by their image_index
//! test/qa_pairs.json           {"qa_pairs": [{"image_index", "question_string", "answer", ...}, ...]}, or the bare list;
//!                              also as published: qa_pairs_V1.json, qa_pairs_V2.json, in any case
//! test/annotations.json        [{"image_index", "type", ...}, ...], for the chart type; may be absent
//! train/..., val/...           for the train split; val may be called validation, and may be absent
//! ```
//! or `png/` and `qa_pairs.json` side by side, for the test split alone. Where both V1 and V2
//! exist, the data path is that of the test file itself, and training reads the files of the same
//! name in `train/` and `val/`.
//!
//! A chart's id is its image_index. A question's id is `12/3`: the image_index and the
//! `question_id`, or without one the record's index in its file. In the train split `train/` or
//! `val/` precedes both. The test file has up to four million questions: files are read as streams,
//! and only the questions are kept.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::MissingSplit;
use super::images::{self, ImageFolder};
use super::notes::{NO_ANSWER, Notes};
use super::questions_by_chart::QuestionsByChart;
use chartbench_core::input::Boundary;
use chartbench_core::parse_field::{self, Label};
use chartbench_core::question::Split;
use chartbench_core::question::{Chart, ChartQuestions, Question};
use chartbench_core::{json_records, read_file};

/// The files of this format in a line, for messages.
pub(super) const LAYOUT: &str = "test/ with png/, qa_pairs.json (or qa_pairs_V1.json, qa_pairs_V2.json) and annotations.json, \
                                 train/ and val/ likewise; or the test split's files alone";

/// The question files' names in lower case.
const QUESTIONS: [&str; 3] = ["qa_pairs.json", "qa_pairs_v1.json", "qa_pairs_v2.json"];

#[derive(Deserialize)]
struct Record {
    image_index: Label,
    question_string: String,
    answer: Box<RawValue>,
    template: Option<Label>,
    #[serde(rename = "type")]
    chart_type: Option<String>,
    question_id: Option<Label>,
}

#[derive(Deserialize)]
struct Annotation {
    image_index: Label,
    #[serde(rename = "type")]
    chart_type: Option<String>,
}

/// Loads one split of the data set at `path`, its folder or its test question file.
///
/// # Errors
/// Returns an error if anything is missing, malformed or ambiguous; the error names file, record
/// and key. A single missing image is no error.
pub(super) fn load(
    path: &Path,
    split: Split,
    allow_outside: bool,
    notes: &mut Notes,
) -> Result<Vec<ChartQuestions>> {
    let files = QuestionFiles::open(path)?;
    let boundary = Boundary::new(&files.root, allow_outside);
    let missing = |part: &str| {
        let root = files.root.display();
        MissingSplit(format!(
            "{root}: no question file of the {part} split is there; the layout is {LAYOUT}"
        ))
    };
    let mut charts = QuestionsByChart::default();
    let mut image_folders = Vec::new();
    match split {
        Split::Test => {
            let file = files
                .find(&["test", ""])?
                .with_context(|| missing("test"))?;
            image_folders.push(load_part(&file, "", &boundary, &mut charts, notes)?);
        }
        Split::Train => {
            let file = files.find(&["train"])?.with_context(|| missing("train"))?;
            image_folders.push(load_part(&file, "train/", &boundary, &mut charts, notes)?);
            if let Some(file) = files.find(&["val", "validation"])? {
                image_folders.push(load_part(&file, "val/", &boundary, &mut charts, notes)?);
            }
        }
    }
    let charts = charts.into_charts();
    image_folders.iter().for_each(|images| images.report(notes));
    images::require_any_image(
        images::chart_images(&charts),
        &image_folders.iter().collect::<Vec<_>>(),
    )?;
    Ok(charts)
}

/// Whether `path` has the file names of this format's test split, or is one of its question files.
pub(super) fn is_at(path: &Path) -> bool {
    QuestionFiles::open(path).is_ok_and(|files| !matches!(files.find(&["test", ""]), Ok(None)))
}

/// The question files of a data set.
struct QuestionFiles {
    root: PathBuf,
    /// The name of the question files, if the user chose one.
    name: Option<String>,
}

impl QuestionFiles {
    /// The question files of the data set at `path`.
    fn open(path: &Path) -> Result<Self> {
        let meta =
            std::fs::metadata(path).with_context(|| format!("cannot open {}", path.display()))?;
        if meta.is_dir() {
            return Ok(Self {
                root: path.to_owned(),
                name: None,
            });
        }
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        if !is_question_file(name) {
            bail!(
                "{}: neither a folder nor a qa_pairs file; the layout is {LAYOUT}",
                path.display()
            );
        }
        let folder = path.parent().unwrap_or(Path::new(""));
        let in_test = folder
            .file_name()
            .is_some_and(|name| name.eq_ignore_ascii_case("test"));
        let root = if in_test {
            folder.parent().unwrap_or(Path::new(""))
        } else {
            folder
        };
        let root = if root.as_os_str().is_empty() {
            Path::new(".")
        } else {
            root
        };
        Ok(Self {
            root: root.to_owned(),
            name: Some(name.to_owned()),
        })
    }

    /// The question file in the first of `folders` that has one.
    fn find(&self, folders: &[&str]) -> Result<Option<PathBuf>> {
        for name in folders {
            let folder = match *name {
                "" => self.root.clone(),
                name => read_file::in_any_case(&self.root, name)?,
            };
            if !folder.is_dir() {
                continue;
            }
            let is_chosen = |name: &String| {
                self.name
                    .as_ref()
                    .map_or_else(|| is_question_file(name), |chosen| name == chosen)
            };
            let names: Vec<String> = read_file::list_folder(&folder)?
                .into_iter()
                .filter(is_chosen)
                .collect();
            match names.as_slice() {
                [] => {}
                [name] => return Ok(Some(folder.join(name))),
                [first, second, ..] => bail!(
                    "{}: both {first} and {second} are there; give the path of the one you mean in the test split",
                    folder.display()
                ),
            }
        }
        Ok(None)
    }
}

fn is_question_file(name: &str) -> bool {
    QUESTIONS
        .iter()
        .any(|listed| name.eq_ignore_ascii_case(listed))
}

/// Adds the questions of a part to `charts`, with `prefix` before all ids, and returns the folder
/// of its images.
fn load_part(
    file: &Path,
    prefix: &str,
    boundary: &Boundary,
    charts: &mut QuestionsByChart,
    notes: &mut Notes,
) -> Result<ImageFolder> {
    let folder = file.parent().unwrap_or(Path::new("."));
    let mut part = SplitPart {
        prefix,
        types: annotated_types(&read_file::in_any_case(folder, "annotations.json")?)?,
        images: ImageFolder::list(read_file::in_any_case(folder, "png")?, boundary)?,
        indices: HashMap::new(),
    };
    json_records::for_each_record(file, "qa_pairs", |index, record: Record| {
        part.add(index, record, charts, notes)
    })?;
    Ok(part.images)
}

/// The type of each annotated chart by its image_index; empty if the file does not exist.
fn annotated_types(path: &Path) -> Result<HashMap<String, String>> {
    let mut types = HashMap::new();
    if !path.exists() {
        return Ok(types);
    }
    json_records::for_each_record(path, "annotations", |index, annotation: Annotation| {
        let id = annotation.image_index.0;
        let Some(kind) = annotation.chart_type.as_deref().and_then(chart_type) else {
            return Ok(());
        };
        if let Some(first) = types.get(&id)
            && *first != kind
        {
            bail!(
                "[{index}].type: it is `{kind}`, but `{first}` in an earlier record of image_index {id}"
            );
        }
        types.insert(id, kind);
        Ok(())
    })?;
    Ok(types)
}

/// Translates PlotQA's names of chart types into those of the other data sets.
fn chart_type(text: &str) -> Option<String> {
    match text {
        "vbar_categorical" => Some("vertical bar".to_owned()),
        "hbar_categorical" => Some("horizontal bar".to_owned()),
        _ => parse_field::chart_type(text),
    }
}

/// A part of the data set while its questions are read.
struct SplitPart<'a> {
    /// Precedes the ids of questions and charts.
    prefix: &'a str,
    types: HashMap<String, String>,
    images: ImageFolder,
    /// The index of each question's record, by its id.
    indices: HashMap<String, usize>,
}

impl SplitPart<'_> {
    fn add(
        &mut self,
        index: usize,
        record: Record,
        charts: &mut QuestionsByChart,
        notes: &mut Notes,
    ) -> Result<()> {
        let image = record.image_index.0;
        let number = record
            .question_id
            .map_or_else(|| index.to_string(), |id| id.0);
        let chart_id = format!("{}{image}", self.prefix);
        let id = format!("{chart_id}/{number}");
        if let Some(first) = self.indices.insert(id.clone(), index) {
            bail!(
                "[{index}].question_id: `{number}` of image_index {image} is already the id of [{first}]"
            );
        }
        let gold = parse_field::optional_gold(&record.answer);
        let Some(gold) = gold.with_context(|| format!("[{index}].answer"))? else {
            notes.count(NO_ANSWER, || format!("[{index}], image_index {image}"));
            return Ok(());
        };
        let annotated = self.types.get(&image).cloned();
        let recorded = record.chart_type.as_deref().and_then(chart_type);
        if annotated.is_none()
            && let Some(chart) = charts.get(&chart_id)
            && chart.chart_type != recorded
        {
            let [first, new] =
                [&chart.chart_type, &recorded].map(|kind| kind.as_deref().unwrap_or_default());
            bail!(
                "[{index}].type: it is `{new}`, but `{first}` in an earlier record of image_index {image}"
            );
        }
        let question = Question {
            id,
            text: record.question_string,
            gold,
            answer_type: None,
            taxonomy: None,
            template: record.template.map(|template| template.0),
            source: None,
            slices: Default::default(),
            context: None,
        };
        let file = self.images.find(&format!("{image}.png"));
        let chart = || Chart {
            id: chart_id.clone(),
            image: file,
            chart_type: annotated.or(recorded),
            table: None,
        };
        charts.add(&chart_id, chart, question);
        Ok(())
    }
}
