//! The plain data every other module shares: charts, questions, gold answers and predictions; where questions come from, and
//! the hash that tells one set of them from another.

mod hash;
mod image_name;
mod sample;
mod source;
mod split;
mod year_flags;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

pub use hash::QuestionHash;
pub use image_name::{IMAGE_EXTENSIONS, stem};
pub use sample::sample;
pub use source::{CHARTS_AT_A_TIME, QuestionSource, Survey};
pub use split::Split;
pub use year_flags::{QUESTION_TYPE, YEAR, YearFlags};

use crate::data_table::DataTable;
use crate::input::{self, Boundary, MAX_IMAGE_BYTES};

/// Something that produces an encoded image (PNG, JPEG, ...) when asked: a drawn chart, a blank one.
pub trait Draw: Send + Sync {
    /// The encoded image file, as it would lie on disk.
    fn encoded(&self) -> Result<Vec<u8>>;
}

/// An image file on disk, and the folder it must lie in. Its format is told by its content, never by its extension.
#[derive(Clone, Debug)]
pub struct ImageFile {
    path: PathBuf,
    boundary: Boundary,
}

impl ImageFile {
    /// A file that a data set names.
    pub fn new(path: PathBuf, boundary: Boundary) -> Self {
        Self { path, boundary }
    }

    /// Opens it and closes it again, before a program that gets its path reads it.
    ///
    /// # Errors
    /// Returns an error if it cannot be opened, is no regular file, is too large or lies outside its boundary; the error
    /// names it.
    pub fn check(&self) -> Result<()> {
        let size = self.boundary.open(&self.path).and_then(|file| file.metadata());
        let checked = size.and_then(|metadata| input::check_size(metadata.len(), MAX_IMAGE_BYTES));
        checked.with_context(|| self.unreadable())
    }

    fn read(&self) -> Result<Vec<u8>> {
        let bytes = self.boundary.open(&self.path).and_then(|file| input::read_at_most(file, MAX_IMAGE_BYTES));
        bytes.with_context(|| self.unreadable())
    }

    fn unreadable(&self) -> String {
        format!("cannot read the chart image {}", self.path.display())
    }

    /// Whether it exists outside its boundary.
    pub fn is_outside(&self) -> bool {
        self.path.exists() && !self.boundary.contains(&self.path)
    }
}

/// A file that the user names: it may lie anywhere.
impl From<PathBuf> for ImageFile {
    fn from(path: PathBuf) -> Self {
        Self { path, boundary: Boundary::default() }
    }
}

impl From<&str> for ImageFile {
    fn from(path: &str) -> Self {
        PathBuf::from(path).into()
    }
}

impl Deref for ImageFile {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.path
    }
}

/// Where a chart's image comes from. Nothing is read or drawn before [`ImageRef::bytes`].
#[derive(Clone)]
pub enum ImageRef {
    File(ImageFile),
    /// An image made on demand.
    Drawn(Arc<dyn Draw>),
}

impl ImageRef {
    /// The encoded image.
    ///
    /// # Errors
    /// Names the file when it cannot be read, or lies outside its data set's folder.
    pub fn bytes(&self) -> Result<Vec<u8>> {
        match self {
            Self::File(file) => file.read(),
            Self::Drawn(source) => source.encoded(),
        }
    }
}

impl fmt::Debug for ImageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file) => f.debug_tuple("File").field(&file.path).finish(),
            Self::Drawn(_) => f.write_str("Drawn"),
        }
    }
}

/// Something that produces the gold data table of a chart when asked: an annotation file, the recipe of a drawn chart.
pub trait TableSource: Send + Sync {
    /// The table. Errors name the file that is missing or malformed.
    fn table(&self) -> Result<DataTable>;
}

/// Where a chart's gold data table comes from. Nothing is read before [`TableSource::table`].
#[derive(Clone)]
pub struct TableRef(pub Arc<dyn TableSource>);

impl fmt::Debug for TableRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TableRef")
    }
}

/// One chart of a benchmark.
#[derive(Clone, Debug)]
pub struct Chart {
    /// Unique within the benchmark, e.g. `PMC3104219___1471-2458-11-S4-S6-2`.
    pub id: String,
    pub image: ImageRef,
    /// As the data set spells it in lower case, e.g. `line`, `vertical bar`; absent where it is not annotated.
    pub chart_type: Option<String>,
    /// The data behind the chart, where the data set has them.
    pub table: Option<TableRef>,
}

impl Chart {
    /// How errors name the image: its path, or the chart's id where the image is drawn.
    pub fn image_name(&self) -> Cow<'_, str> {
        match &self.image {
            ImageRef::File(file) => file.to_string_lossy(),
            ImageRef::Drawn(_) => Cow::Borrowed(&self.id),
        }
    }
}

impl Chart {
    /// What its data tell of it for slices, by name: `series` (how many) and `negative values`. Nothing where there are no
    /// data, or where they cannot be read: a chart is asked about all the same.
    pub fn slices(&self) -> BTreeMap<String, String> {
        let Some(Ok(table)) = self.table.as_ref().map(|source| source.0.table()) else { return BTreeMap::new() };
        let series = table.series().map(|count| ("series".to_owned(), count.to_string()));
        let negative = if table.has_negative() { "yes" } else { "no" };
        series.into_iter().chain([("negative values".to_owned(), negative.to_owned())]).collect()
    }
}

/// RealCQA's five answer types, and tables; other data sets leave it out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnswerType {
    String,
    Numerical,
    Binary,
    RankedList,
    UnrankedList,
    /// The whole data table behind the chart, as DePlot writes tables; not one of RealCQA's.
    Table,
}

/// RealCQA's question taxonomy, told by the first digit of its `taxonomy id`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Taxonomy {
    Root,
    Structural,
    Retrieval,
    Reasoning,
}

/// A gold answer, whole: never cut to a token limit, list answers kept as lists.
///
/// In JSON a text is a string and a list is an array (RealCQA nests lists at times).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Gold {
    Text(String),
    List(Vec<Gold>),
}

impl Gold {
    /// The answer as one text; a list's items are joined by `", "`, inner lists likewise.
    pub fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Text(text) => Cow::Borrowed(text),
            Self::List(items) => Cow::Owned(items.iter().map(Gold::text).collect::<Vec<_>>().join(", ")),
        }
    }
}

impl From<&str> for Gold {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// A model's answer, raw: as decoded, before any normalisation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Prediction(pub String);

/// One question about one chart.
#[derive(Clone, Debug)]
pub struct Question {
    /// Unique within the benchmark.
    pub id: String,
    pub text: String,
    pub gold: Gold,
    pub answer_type: Option<AnswerType>,
    pub taxonomy: Option<Taxonomy>,
    /// The question's template where the data set has templates (RealCQA: `QID`); the blind prior is learned by it.
    pub template: Option<String>,
    /// Which part of the data set it is from, where that has parts (ChartQA: `human`, `augmented`).
    pub source: Option<String>,
    /// What else is known of it, by name: the columns that a user's own data have for slices.
    pub slices: BTreeMap<String, String>,
}

/// A chart with the questions asked about it: the unit in which work reaches an adapter, because a chart
/// read once can serve all its questions.
#[derive(Clone, Debug)]
pub struct ChartQuestions {
    pub chart: Chart,
    pub questions: Vec<Question>,
}

/// A loaded benchmark split: a fixed list of questions, in a fixed order.
#[derive(Clone, Debug)]
pub struct QuestionSet {
    /// The benchmark's name, e.g. `realcqa`.
    pub benchmark: String,
    /// Charts in the order they are asked, each with at least one question.
    pub charts: Vec<ChartQuestions>,
}

impl QuestionSet {
    /// How many questions there are.
    pub fn len(&self) -> usize {
        self.charts.iter().map(|chart| chart.questions.len()).sum()
    }

    /// Whether there is no question at all.
    pub fn is_empty(&self) -> bool {
        self.charts.is_empty()
    }

    /// Every question with its chart, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&Chart, &Question)> {
        self.charts.iter().flat_map(|entry| entry.questions.iter().map(move |question| (&entry.chart, question)))
    }
}
