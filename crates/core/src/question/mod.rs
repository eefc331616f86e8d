//! Charts, questions, gold answers and predictions as plain data; where questions come from, and
//! the hash that identifies a set of them.

mod hash;
mod image;
mod kind;
mod set;
mod year_flags;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use anyhow::Result;
use serde::{Deserialize, Serialize};

pub use hash::QuestionHash;
pub use image::{IMAGE_EXTENSIONS, ImageFile, ImageProducer, ImageRef, stem};
pub use kind::{IS_CLEAR, QA_TYPE, QuestionKind};
pub use set::{CHUNK_CHARTS, QuestionSet, QuestionSetSummary, QuestionSource, sample_questions};
pub use year_flags::{QUESTION_TYPE, YEAR, YearFlags};

use crate::data_table::DataTable;

/// The two parts of a benchmark; they never share a chart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Split {
    /// The charts for fine-tuning models and fitting blind baselines.
    Train,
    /// The charts whose questions are scored.
    Test,
}

impl Split {
    /// Its spelling in chart ids and file names.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Test => "test",
        }
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Produces the gold data table of a chart on demand: an annotation file, the plan of a drawn
/// chart.
pub trait TableSource: Send + Sync {
    /// The table.
    ///
    /// # Errors
    /// Returns an error if the file is missing or malformed; the error names it.
    fn table(&self) -> Result<DataTable>;
}

/// The source of a chart's gold data table. Nothing is read before [`TableSource::table`].
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
    /// The picture that models see, read or drawn on demand.
    pub image: ImageRef,
    /// The data set's name in lower case, e.g. `line`, `vertical bar`; `None` where it is not
    /// annotated.
    pub chart_type: Option<String>,
    /// The data behind the chart; `None` where the data set has none.
    pub table: Option<TableRef>,
}

impl Chart {
    /// The image's name in error texts: its path, or the chart's id where the image is drawn.
    pub fn image_name(&self) -> Cow<'_, str> {
        match &self.image {
            ImageRef::File(file) => file.to_string_lossy(),
            ImageRef::Drawn(_) => Cow::Borrowed(&self.id),
        }
    }

    /// Slice values that are read off the chart's data, by name: `series` (the number of them) and
    /// `negative values`. Empty where the chart has no data or they cannot be read; its questions
    /// are asked all the same.
    pub fn slices(&self) -> BTreeMap<String, String> {
        let Some(Ok(table)) = self.table.as_ref().map(|source| source.0.table()) else {
            return BTreeMap::new();
        };
        let series = table
            .series()
            .map(|count| ("series".to_owned(), count.to_string()));
        let negative = if table.has_negative() { "yes" } else { "no" };
        series
            .into_iter()
            .chain([("negative values".to_owned(), negative.to_owned())])
            .collect()
    }
}

/// RealCQA's five answer types, and tables; other data sets leave it out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnswerType {
    /// A word or phrase, e.g. a legend entry.
    String,
    /// One number.
    Numerical,
    /// Yes or no.
    Binary,
    /// Several items whose order counts.
    RankedList,
    /// Several items in any order.
    UnrankedList,
    /// The whole data table behind the chart, as DePlot writes tables; not one of RealCQA's.
    Table,
}

/// RealCQA's question taxonomy; the first digit of a `taxonomy id` names the class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Taxonomy {
    /// `1`: what the chart is as a whole, e.g. its type.
    Root,
    /// `2`: parts of the chart, e.g. axis titles, ticks, legend.
    Structural,
    /// `3`: a value or label that is read off the chart.
    Retrieval,
    /// `4`: comparisons, differences and rankings of several values.
    Reasoning,
}

/// A gold answer, whole: never cut to a token limit, list answers kept as lists.
///
/// In JSON a text is a string and a list is an array (RealCQA nests some lists).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Gold {
    /// A text, or a number or truth value as text.
    Text(String),
    /// A list answer's items; nested lists occur.
    List(Vec<Gold>),
}

impl Gold {
    /// The answer as one text; a list's items are joined by `", "`, inner lists likewise.
    pub fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Text(text) => Cow::Borrowed(text),
            Self::List(items) => {
                Cow::Owned(items.iter().map(Gold::text).collect::<Vec<_>>().join(", "))
            }
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
    /// The question's text, as models are asked it.
    pub text: String,
    /// The right answer by the data set.
    pub gold: Gold,
    /// RealCQA's answer type; `None` where the data set has none.
    pub answer_type: Option<AnswerType>,
    /// RealCQA's class of the question; `None` where the data set has none.
    pub taxonomy: Option<Taxonomy>,
    /// The question's template where the data set has templates (RealCQA: `QID`); the question
    /// prior groups by it.
    pub template: Option<String>,
    /// The part of the data set that the question is from, where it has parts (ChartQA: `human`,
    /// `augmented`).
    pub source: Option<String>,
    /// More slice values by name, from the columns of a user's own data.
    pub slices: BTreeMap<String, String>,
    /// What the data set gives besides the chart; `None` for most data sets.
    pub context: Option<Arc<QuestionContext>>,
}

/// What a data set gives with a question besides the chart (ChartQAPro): named prompts show it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
pub struct QuestionContext {
    /// The text around the chart; empty where there is none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub paragraph: String,
    /// The earlier turns of a conversation, the first one first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<Turn>,
}

/// An earlier question of a conversation, with its right answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Turn {
    /// The question's text.
    pub question: String,
    /// The right answer by the data set; `None` where it has none.
    pub answer: Option<Gold>,
}

/// A chart with the questions asked about it: the unit of work of an adapter, which encodes a chart
/// once for all its questions.
#[derive(Clone, Debug)]
pub struct ChartQuestions {
    /// The chart that all the questions are about.
    pub chart: Chart,
    /// The questions, in the order of the data set.
    pub questions: Vec<Question>,
}
