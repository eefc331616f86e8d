//! Reads the records of a question file, JSON, JSONL, CSV or TSV, as [`QuestionRow`]s.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::delimited::{self, DelimitedFile};
use super::embedded_image;
use crate::notes::{MORE_IMAGES, Notes};
use chartbench_core::parse_field::{self, Label};
use chartbench_core::question::{Gold, ImageRef, QUESTION_TYPE, YEAR, YearFlags};
use chartbench_core::read_file;
use chartbench_core::terminal::shorten;
use chartbench_score::metric::python::literal;

const FIELDS: [&str; 12] = [
    "image",
    "question",
    "answer",
    "id",
    "answer_type",
    "chart_type",
    "taxonomy",
    "template",
    "source",
    "split",
    YEAR,
    QUESTION_TYPE,
];
/// The object of slices in a JSON record; columns `slices.NAME` elsewhere.
const SLICES: &str = "slices";
/// Most different values of a column without a meaning that is kept as a slice.
const MAX_VALUES: usize = 100;
/// The column that is the id where no record has one, as in VLMEvalKit's files.
const INDEX: &str = "index";
/// The column of VLMEvalKit's files with the path of an image that is not in the file.
const IMAGE_PATH: &str = "image_path";
/// Longest field that VLMEvalKit reads as the index of the row that has the image.
const MAX_REFERENCE: usize = 64;

/// The place of a record in its file.
#[derive(Clone, Copy)]
pub(super) enum Place {
    Line(usize),
    Record(usize),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(number) => write!(f, "line {number}"),
            Self::Record(number) => write!(f, "record {number}"),
        }
    }
}

/// The image of a record.
pub(super) enum RowImage {
    /// A path, a data URL or base64.
    Text(String),
    /// An image that stays in its file, under the id that its hash makes.
    InFile(String, ImageRef),
}

/// A record of any format.
pub(super) struct QuestionRow {
    pub(super) place: Place,
    pub(super) image: RowImage,
    pub(super) question: String,
    /// `None` where the record has `null`.
    pub(super) answer: Option<Gold>,
    pub(super) id: Option<String>,
    pub(super) answer_type: Option<String>,
    pub(super) chart_type: Option<String>,
    pub(super) taxonomy: Option<String>,
    pub(super) template: Option<String>,
    pub(super) source: Option<String>,
    pub(super) split: Option<String>,
    pub(super) slices: BTreeMap<String, String>,
    /// The values of columns without a meaning, by name.
    extras: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct JsonRow<'a> {
    image: String,
    question: String,
    #[serde(borrow)]
    answer: &'a RawValue,
    id: Option<Label>,
    answer_type: Option<String>,
    chart_type: Option<String>,
    taxonomy: Option<Label>,
    template: Option<Label>,
    source: Option<String>,
    split: Option<String>,
    #[serde(borrow, rename = "Year")]
    year: Option<&'a RawValue>,
    #[serde(rename = "Question Type")]
    question_type: Option<String>,
    #[serde(default)]
    slices: BTreeMap<String, Label>,
}

/// Reads one JSON object from each line, where empty lines are skipped, or a list of objects.
///
/// # Errors
/// Returns an error if the text or a record is malformed; the error names the place.
pub(super) fn json(content: &str) -> Result<Vec<QuestionRow>> {
    if content.trim_start().starts_with('[') {
        let records: Vec<&RawValue> =
            serde_json::from_str(content).map_err(|error| read_file::json_fault(&error, 1))?;
        let records = records.into_iter().enumerate();
        return records
            .map(|(index, record)| {
                let place = Place::Record(index + 1);
                json_row(place, record.get(), 1).with_context(|| place.to_string())
            })
            .collect();
    }
    let lines = content
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(index, text)| json_row(Place::Line(index + 1), text, index + 1))
        .collect()
}

/// One object, whose text begins on the line `line` where its place is a line.
fn json_row(place: Place, text: &str, line: usize) -> Result<QuestionRow> {
    let fault = |error: serde_json::Error| match place {
        Place::Record(_) => anyhow!("{}", without_position(&error)),
        Place::Line(_) => read_file::json_fault(&error, line),
    };
    let row: JsonRow<'_> = serde_json::from_str(text).map_err(fault)?;
    let keys: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_str(text).map_err(fault)?;
    let field = |name: &str| match place {
        Place::Record(_) => name.to_owned(),
        Place::Line(_) => format!("{place}: {name}"),
    };
    let mut extras = BTreeMap::new();
    for (key, value) in keys {
        if FIELDS.contains(&key.as_ref()) || key == SLICES {
            continue;
        }
        check_spelling(&key).with_context(|| field("keys"))?;
        let text = slice_text(value).with_context(|| field(&shorten(&key)))?;
        extras.extend(text.map(|text| (key.into_owned(), text)));
    }
    let mut slices: BTreeMap<_, _> = row
        .slices
        .into_iter()
        .map(|(name, value)| (name, value.0))
        .collect();
    let mut answer = parse_field::optional_gold(row.answer).with_context(|| field("answer"))?;
    if let Some(year) = row.year {
        let flags = parse_field::gold(year)
            .with_context(|| field(YEAR))?
            .text()
            .into_owned();
        if row.question_type.is_some() && YearFlags::new(&flags, None) != YearFlags::default() {
            answer = answer.map(Gold::last_turn);
        }
        slices.insert(YEAR.to_owned(), flags);
    }
    slices.extend(
        row.question_type
            .map(|question_type| (QUESTION_TYPE.to_owned(), question_type)),
    );
    Ok(QuestionRow {
        place,
        answer,
        image: RowImage::Text(row.image),
        question: row.question,
        id: row.id.map(|id| id.0),
        answer_type: row.answer_type,
        chart_type: row.chart_type,
        taxonomy: row.taxonomy.map(|id| id.0),
        template: row.template.map(|id| id.0),
        source: row.source,
        split: row.split,
        slices,
        extras,
    })
}

/// An error of a record in a list, whose own lines and columns mean nothing.
fn without_position(error: &serde_json::Error) -> String {
    let full = error.to_string();
    let what = full.rsplit_once(" at line ").map(|(what, _)| what);
    what.unwrap_or(&full).to_owned()
}

/// A slice's value: a text, any other value as it is written; `null` is none.
fn slice_text(raw: &RawValue) -> Result<Option<String>> {
    Ok(match raw.get().as_bytes().first() {
        Some(b'n') => None,
        Some(b'"') => Some(serde_json::from_str(raw.get()).context("not a proper string")?),
        _ => Some(raw.get().to_owned()),
    })
}

/// Reads a file of separated fields, with their names in its first row.
///
/// # Errors
/// Returns an error if the header or a row is malformed; the error names its line.
pub(super) fn delimited(file: &Arc<DelimitedFile>, notes: &mut Notes) -> Result<Vec<QuestionRow>> {
    let mut file_rows = file.rows()?;
    let header = match file_rows.next()? {
        Some((_, header)) => header.clone(),
        None => csv::StringRecord::new(),
    };
    let columns = columns(&header).context("line 1")?;
    let mut rows = Vec::new();
    // Each image that is in the file, by the index of its row.
    let mut images = HashMap::new();
    while let Some((row_place, record)) = file_rows.next()? {
        let place = Place::Line(row_place.line);
        let cells = Cells {
            columns: &columns,
            record,
        };
        let image = cells.image(file, row_place, notes);
        let image = image.with_context(|| format!("{place}: image"))?;
        if let (RowImage::InFile(id, image), Some(index)) = (&image, cells.optional(INDEX)) {
            images.insert(index, (id.clone(), image.clone()));
        }
        rows.push(QuestionRow {
            place,
            image,
            question: cells.get("question").unwrap_or_default().to_owned(),
            answer: Some(cells.answer()),
            id: cells.optional("id"),
            answer_type: cells.optional("answer_type"),
            chart_type: cells.optional("chart_type"),
            taxonomy: cells.optional("taxonomy"),
            template: cells.optional("template"),
            source: cells.optional("source"),
            split: cells.optional("split"),
            slices: cells.sliced(slice_name),
            extras: cells.sliced(extra_name),
        });
    }
    for row in &mut rows {
        if !columns.contains_key("image") {
            row.extras.remove(IMAGE_PATH);
        }
        let RowImage::Text(text) = &row.image else {
            continue;
        };
        if text.len() <= MAX_REFERENCE
            && let Some((id, image)) = images.get(text)
        {
            row.image = RowImage::InFile(id.clone(), image.clone());
        }
    }
    Ok(rows)
}

/// The cells of a row by the names of their columns.
struct Cells<'a> {
    columns: &'a HashMap<&'a str, usize>,
    record: &'a csv::StringRecord,
}

impl<'a> Cells<'a> {
    fn get(&self, name: &str) -> Option<&'a str> {
        self.record.get(*self.columns.get(name)?)
    }

    /// The text of a cell that is not empty.
    fn optional(&self, name: &str) -> Option<String> {
        self.get(name)
            .filter(|text| !text.is_empty())
            .map(str::to_owned)
    }

    /// The cells that are slices, by the name that `name_of` gives their column.
    fn sliced(&self, name_of: fn(&str) -> Option<&str>) -> BTreeMap<String, String> {
        self.columns
            .keys()
            .filter_map(|column| Some((name_of(column)?.to_owned(), self.optional(column)?)))
            .collect()
    }

    fn image(
        &self,
        file: &Arc<DelimitedFile>,
        place: delimited::RowPlace,
        notes: &mut Notes,
    ) -> Result<RowImage> {
        let text = self.get("image").unwrap_or_default();
        if let (Some(base64), Some(&column)) =
            (embedded_image::base64(text), self.columns.get("image"))
        {
            let (id, image) = delimited::field_image(file, place, column, base64?)?;
            return Ok(RowImage::InFile(id, image));
        }
        let path = self.get(IMAGE_PATH).filter(|_| text.is_empty());
        let Some(path) = path else {
            return Ok(RowImage::Text(text.to_owned()));
        };
        let Some(paths) = literal::list(path) else {
            return Ok(RowImage::Text(path.to_owned()));
        };
        if paths.len() > 1 {
            notes.count(MORE_IMAGES, || Place::Line(place.line).to_string());
        }
        Ok(RowImage::Text(paths.into_iter().next().unwrap_or_default()))
    }

    /// The answer. Where the columns are VLMEvalKit's, the Python literal of a list of strings is
    /// that list, as there; other lists stay texts, which its convention reads by itself.
    fn answer(&self) -> Gold {
        let text = self.get("answer").unwrap_or_default();
        let items = self
            .columns
            .contains_key(INDEX)
            .then(|| literal::typed_list(text))
            .flatten()
            .filter(|items| items.iter().all(|item| item.is_str));
        let Some(mut items) = items.filter(|items| !items.is_empty()) else {
            return Gold::Text(text.to_owned());
        };
        match (items.pop(), items.is_empty()) {
            (Some(only), true) => Gold::Text(only.text),
            (last, _) => Gold::List(
                items
                    .into_iter()
                    .chain(last)
                    .map(|item| Gold::Text(item.text))
                    .collect(),
            ),
        }
    }
}

/// The index of each column by its name.
fn columns(header: &csv::StringRecord) -> Result<HashMap<&str, usize>> {
    let mut columns: HashMap<&str, usize> = HashMap::new();
    for (column, name) in header.iter().enumerate() {
        ensure!(!name.is_empty(), "column {} has no name", column + 1);
        if columns.insert(name, column).is_some() {
            bail!("two columns are called `{name}`");
        }
    }
    let has = |name: &str| {
        columns.contains_key(name) || (name == "image" && columns.contains_key(IMAGE_PATH))
    };
    if let Some(missing) = FIELDS.iter().take(3).find(|name| !has(name)) {
        bail!(
            "no column is called `{missing}`; columns are {}",
            header.iter().map(shorten).collect::<Vec<_>>().join(", ")
        );
    }
    header
        .iter()
        .filter(|name| extra_name(name).is_some())
        .try_for_each(check_spelling)?;
    Ok(columns)
}

/// NAME of a column `slices.NAME`. ChartQAPro's columns are slices, too.
fn slice_name(column: &str) -> Option<&str> {
    let is_chartqapro = [YEAR, QUESTION_TYPE].contains(&column);
    column
        .strip_prefix("slices.")
        .or(is_chartqapro.then_some(column))
        .filter(|name| !name.is_empty())
}

/// The name of a column without a meaning.
fn extra_name(column: &str) -> Option<&str> {
    (slice_name(column).is_none() && !FIELDS.contains(&column)).then_some(column)
}

/// Refuses a name that is a field's in another spelling: it would be a slice without a word.
fn check_spelling(name: &str) -> Result<()> {
    let plain = |name: &str| name.to_lowercase().replace(['_', '-', ' '], "");
    let own = plain(name);
    let meant = FIELDS.iter().take(10).find(|field| plain(field) == own);
    match meant {
        Some(field) => bail!("`{}` is written `{field}`", shorten(name)),
        None => Ok(()),
    }
}

/// Makes slices of the columns without a meaning, and the ids of `index`; names those columns that
/// have too many values to be slices.
///
/// # Errors
/// Returns an error if a column and one of `slices.NAME` are one slice.
pub(super) fn keep_extras(rows: &mut [QuestionRow]) -> Result<Vec<String>> {
    if rows
        .iter()
        .all(|row| row.id.is_none() && row.extras.contains_key(INDEX))
    {
        rows.iter_mut()
            .for_each(|row| row.id = row.extras.remove(INDEX));
    }
    let mut values: BTreeMap<String, HashSet<String>> = BTreeMap::new();
    for (name, value) in rows.iter().flat_map(|row| &row.extras) {
        let values = match values.get_mut(name) {
            Some(values) => values,
            None => values.entry(name.clone()).or_default(),
        };
        if values.len() <= MAX_VALUES && !values.contains(value) {
            values.insert(value.clone());
        }
    }
    let is_slice = |name: &String| {
        values
            .get(name)
            .is_some_and(|values| values.len() <= MAX_VALUES)
    };
    for row in rows {
        for (name, value) in std::mem::take(&mut row.extras) {
            if is_slice(&name) && row.slices.insert(name.clone(), value).is_some() {
                bail!(
                    "{}: `{name}` and `slices.{name}` are one slice: rename one",
                    row.place
                );
            }
        }
    }
    values.retain(|_, values| values.len() > MAX_VALUES);
    Ok(values.into_keys().collect())
}
