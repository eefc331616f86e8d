//! Which columns of a data set are read, and which files are a split.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use chartbench_core::terminal::shorten;

/// The columns of parquet files, or the fields of JSON records (`[columns]` of a benchmark file).
/// `A.B` is the field `B` of the records in the column `A`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnMap {
    /// The image: a record of bytes and path, bytes, or a path relative to the data folder or to
    /// its `images/`.
    pub image: String,
    /// The question: a text, a list of turns of which the last is asked, or a list of records with
    /// a question and its answer each.
    pub question: String,
    /// The answer: a text, a number, a truth value or a list of these. Absent where the questions
    /// are records.
    pub answer: Option<String>,
    /// The chart's id; the hash of its image where it is absent.
    pub chart: Option<String>,
    /// The question's id; the chart's id and the number of the row where it is absent.
    pub id: Option<String>,
    /// The part of the data set.
    pub source: Option<String>,
    /// The chart's type.
    pub chart_type: Option<String>,
    /// The text around the chart.
    pub paragraph: Option<String>,
    /// More slices, each under its column's name.
    #[serde(default)]
    pub slices: Vec<String>,
    /// Which items of a list are the answer; where it is absent, all of them, but the last of
    /// several turns.
    pub answers: Option<AnswerChoice>,
    /// Other names of a column's values, by the column and the value.
    #[serde(default)]
    pub names: BTreeMap<String, BTreeMap<String, String>>,
    /// The value that each of these columns has in the rows that are read; all rows where it is
    /// empty.
    #[serde(default)]
    pub only: BTreeMap<String, String>,
    /// The text that is asked, in which `{question}` is the question; the question alone where it is
    /// absent.
    pub prompt: Option<String>,
}

/// The question's place in a prompt.
const QUESTION: &str = "{question}";

/// Which items of a list are the answer (`answers`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AnswerChoice {
    /// All of them: a list answer.
    All,
    /// The first.
    First,
    /// The last.
    Last,
}

/// The files of each split (`[files]` of a benchmark file): patterns relative to the data folder.
/// The usual names where a split has none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SplitFiles {
    /// Those of the test split.
    pub test: Vec<String>,
    /// Those of the train split.
    pub train: Vec<String>,
}

impl ColumnMap {
    /// A map of these columns alone.
    pub(crate) fn new(image: &str, question: &str, answer: &str) -> Self {
        Self {
            image: image.to_owned(),
            question: question.to_owned(),
            answer: Some(answer.to_owned()),
            chart: None,
            id: None,
            source: None,
            chart_type: None,
            paragraph: None,
            slices: Vec::new(),
            answers: None,
            names: BTreeMap::new(),
            only: BTreeMap::new(),
            prompt: None,
        }
    }

    /// Every column that is named, but the image's.
    pub(super) fn columns(&self) -> impl Iterator<Item = &str> {
        let optional = [
            &self.answer,
            &self.chart,
            &self.id,
            &self.source,
            &self.chart_type,
            &self.paragraph,
        ];
        [&self.question]
            .into_iter()
            .chain(optional.into_iter().flatten())
            .chain(&self.slices)
            .chain(self.only.keys())
            .map(String::as_str)
    }

    /// The text that is asked about a question.
    pub(super) fn fill_prompt(&self, question: String) -> String {
        match &self.prompt {
            Some(prompt) => prompt.replace(QUESTION, &question),
            None => question,
        }
    }

    /// Checks the map by itself.
    ///
    /// # Errors
    /// Returns an error if a name is empty, the prompt has no place for the question, or `names` is
    /// about a column that is not read.
    pub fn check(&self) -> Result<(), String> {
        if self.image.is_empty() || self.columns().any(str::is_empty) {
            return Err("the name of a column is empty".to_owned());
        }
        if self
            .prompt
            .as_ref()
            .is_some_and(|prompt| !prompt.contains(QUESTION))
        {
            return Err(format!("prompt: it has no {QUESTION}"));
        }
        match self
            .names
            .keys()
            .find(|column| !self.columns().any(|read| read == *column))
        {
            Some(column) => Err(format!(
                "names: `{}` is none of the columns that are read",
                shorten(column)
            )),
            None => Ok(()),
        }
    }
}

impl SplitFiles {
    /// Checks the patterns.
    ///
    /// # Errors
    /// Returns an error if a pattern is malformed, or leads out of the data folder.
    pub fn check(&self) -> Result<(), String> {
        for pattern in self.test.iter().chain(&self.train) {
            let quoted = shorten(pattern);
            if Path::new(pattern).has_root()
                || pattern.contains(['\\', ':'])
                || pattern.split('/').any(|part| part == "..")
            {
                return Err(format!(
                    "`{quoted}` must be relative to the data folder, with / between folders"
                ));
            }
            glob::Pattern::new(pattern)
                .map_err(|error| format!("`{quoted}` is no pattern: {}", error.msg))?;
        }
        Ok(())
    }
}
