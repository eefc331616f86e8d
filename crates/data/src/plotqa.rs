//! PlotQA: plots of real-world data with template questions (Methani et al., WACV 2020, arXiv:1909.00997).
//!
//! ```text
//! test/png/0.png, 1.png, ...   the charts, named by their image_index
//! test/qa_pairs.json           {"qa_pairs": [{"image_index", "question_string", "answer", ...}, ...]}, or the bare list;
//!                              also as published: qa_pairs_V1.json, qa_pairs_V2.json, in any case
//! test/annotations.json        [{"image_index", "type", ...}, ...], for the chart type; may be absent
//! train/..., val/...           for the train split; val may be called validation, and may be absent
//! ```
//! or `png/` and `qa_pairs.json` side by side, for the test split alone. Where both V1 and V2 are there, the data path is
//! that of the test file itself; for training the files of the same name in `train/` and `val/` are meant then.
//!
//! A chart's id is its image_index; a question's is `12/3`: the image_index and the `question_id`, or where that is absent
//! the record's index in its file. In the train split `train/` or `val/` comes before both. The test file has up to four
//! million questions: files are read as streams, and nothing but the questions is kept.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::NoSplit;
use super::group::Groups;
use super::images::{self, Images};
use chartbench_core::input::Boundary;
use chartbench_core::parse_field::{self, Label};
use chartbench_core::question::Split;
use chartbench_core::question::{Chart, ChartQuestions, Question};
use chartbench_core::{json_records, read_file};

/// The layout in a line, for messages.
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

/// Loads one split of the data set in the folder `path`, or that of the question file `path`.
///
/// # Errors
/// Anything missing, malformed or ambiguous, by file, record and key. A single missing image is no error here.
pub(super) fn load(path: &Path, split: Split, allow_outside: bool) -> Result<Vec<ChartQuestions>> {
    let places = Places::of(path)?;
    let boundary = Boundary::new(&places.root, allow_outside);
    let missing = |part: &str| {
        let root = places.root.display();
        NoSplit(format!("{root}: no question file of the {part} split is there; the layout is {LAYOUT}"))
    };
    let mut groups = Groups::default();
    let mut listings = Vec::new();
    match split {
        Split::Test => {
            let file = places.questions(&["test", ""])?.with_context(|| missing("test"))?;
            listings.push(part(&file, "", &boundary, &mut groups)?);
        }
        Split::Train => {
            let file = places.questions(&["train"])?.with_context(|| missing("train"))?;
            listings.push(part(&file, "train/", &boundary, &mut groups)?);
            if let Some(file) = places.questions(&["val", "validation"])? {
                listings.push(part(&file, "val/", &boundary, &mut groups)?);
            }
        }
    }
    let charts = groups.into_charts();
    images::require_any(images::of(&charts), &listings.iter().collect::<Vec<_>>())?;
    Ok(charts)
}

/// Whether `path` has the names of this layout's test split, or is one of its question files.
pub(super) fn is_at(path: &Path) -> bool {
    Places::of(path).is_ok_and(|places| !matches!(places.questions(&["test", ""]), Ok(None)))
}

/// Where the parts lie.
struct Places {
    root: PathBuf,
    /// The name of the question file, where the user named it.
    name: Option<String>,
}

impl Places {
    fn of(path: &Path) -> Result<Self> {
        let meta = std::fs::metadata(path).with_context(|| format!("cannot open {}", path.display()))?;
        if meta.is_dir() {
            return Ok(Self { root: path.to_owned(), name: None });
        }
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if !is_question_file(name) {
            bail!("{}: neither a folder nor a qa_pairs file; the layout is {LAYOUT}", path.display());
        }
        let folder = path.parent().unwrap_or(Path::new(""));
        let in_test = folder.file_name().is_some_and(|name| name == "test");
        let root = if in_test { folder.parent().unwrap_or(Path::new("")) } else { folder };
        let root = if root.as_os_str().is_empty() { Path::new(".") } else { root };
        Ok(Self { root: root.to_owned(), name: Some(name.to_owned()) })
    }

    /// The question file in the first of `folders` that has one.
    fn questions(&self, folders: &[&str]) -> Result<Option<PathBuf>> {
        for folder in folders.iter().map(|folder| self.root.join(folder)) {
            if !folder.is_dir() {
                continue;
            }
            let chosen = |name: &String| self.name.as_ref().map_or_else(|| is_question_file(name), |own| name == own);
            let names: Vec<String> = read_file::names(&folder)?.into_iter().filter(chosen).collect();
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
    QUESTIONS.iter().any(|known| name.eq_ignore_ascii_case(known))
}

/// Adds a part's questions, `prefix` before their ids and their charts', and tells where its images lie.
fn part(file: &Path, prefix: &str, boundary: &Boundary, groups: &mut Groups) -> Result<Images> {
    let folder = file.parent().unwrap_or(Path::new("."));
    let mut part = Part {
        prefix,
        types: annotated_types(&folder.join("annotations.json"))?,
        images: Images::list(folder.join("png"), boundary)?,
        indices: HashMap::new(),
    };
    json_records::records(file, "qa_pairs", |index, record: Record| part.add(index, record, groups))?;
    Ok(part.images)
}

/// Each annotated chart's type by its image_index; none where there is no such file.
fn annotated_types(path: &Path) -> Result<HashMap<String, String>> {
    let mut types = HashMap::new();
    if !path.exists() {
        return Ok(types);
    }
    json_records::records(path, "annotations", |index, annotation: Annotation| {
        let id = annotation.image_index.0;
        let Some(kind) = annotation.chart_type.as_deref().and_then(chart_type) else { return Ok(()) };
        if let Some(known) = types.get(&id)
            && *known != kind
        {
            bail!("[{index}].type: it is `{kind}`, but `{known}` in an earlier record of image_index {id}");
        }
        types.insert(id, kind);
        Ok(())
    })?;
    Ok(types)
}

/// PlotQA's names of chart types in the words of the other data sets.
fn chart_type(text: &str) -> Option<String> {
    match text {
        "vbar_categorical" => Some("vertical bar".to_owned()),
        "hbar_categorical" => Some("horizontal bar".to_owned()),
        _ => parse_field::chart_type(text),
    }
}

struct Part<'a> {
    prefix: &'a str,
    types: HashMap<String, String>,
    images: Images,
    /// The index of each question's record, by its id.
    indices: HashMap<String, usize>,
}

impl Part<'_> {
    fn add(&mut self, index: usize, record: Record, groups: &mut Groups) -> Result<()> {
        let image = record.image_index.0;
        let number = record.question_id.map_or_else(|| index.to_string(), |id| id.0);
        let chart_id = format!("{}{image}", self.prefix);
        let id = format!("{chart_id}/{number}");
        if let Some(first) = self.indices.insert(id.clone(), index) {
            bail!("[{index}].question_id: `{number}` of image_index {image} is already the id of [{first}]");
        }
        let annotated = self.types.get(&image).cloned();
        let told = record.chart_type.as_deref().and_then(chart_type);
        if annotated.is_none()
            && let Some(known) = groups.get(&chart_id)
            && known.chart_type != told
        {
            let [known, new] = [&known.chart_type, &told].map(|kind| kind.as_deref().unwrap_or_default());
            bail!("[{index}].type: it is `{new}`, but `{known}` in an earlier record of image_index {image}");
        }
        let question = Question {
            id,
            text: record.question_string,
            gold: parse_field::gold(&record.answer).with_context(|| format!("[{index}].answer"))?,
            answer_type: None,
            taxonomy: None,
            template: record.template.map(|template| template.0),
            source: None,
            slices: Default::default(),
        };
        let file = self.images.find(&format!("{image}.png"));
        let chart = || Chart { id: chart_id.clone(), image: file, chart_type: annotated.or(told), table: None };
        groups.add(&chart_id, chart, question);
        Ok(())
    }
}
