//! Slices: the properties of questions by which results are split.

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use anyhow::{Result, bail};

use super::Scored;
use crate::run::store::PredictionRecord;

/// A property of a question by which results are split.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SliceBy {
    /// The type of the gold answer: `numerical`, `ranked list` and so on.
    AnswerType,
    /// RealCQA's question class: `root`, `structural`, `retrieval` or `reasoning`.
    Taxonomy,
    /// The data set's name of the kind of chart, e.g. `vertical bar`.
    ChartType,
    /// The part of the data set a question is from: ChartQA's human and augmented questions.
    Source,
    /// The question template (RealCQA: `QID`).
    Template,
    /// Number of characters of the gold answer.
    LabelLength,
    /// A property recorded in the run under this name: `series`, `negative values`, a column of the
    /// user's own data.
    Named(String),
}

impl SliceBy {
    /// The default properties of a leaderboard.
    pub const DEFAULT: [Self; 4] = [
        Self::AnswerType,
        Self::Taxonomy,
        Self::ChartType,
        Self::Source,
    ];

    /// The question's value, if the data set tells it.
    pub fn value(&self, record: &PredictionRecord) -> Option<String> {
        match self {
            Self::AnswerType => record.answer_type.map(|value| words(&value)),
            Self::Taxonomy => record.taxonomy.map(|value| words(&value)),
            Self::ChartType => record.chart_type.clone(),
            Self::Source => record.source.clone(),
            Self::Template => record.template.clone(),
            Self::LabelLength => Some(length(record.gold.text().chars().count()).to_owned()),
            Self::Named(name) => record.slices.get(name).cloned(),
        }
    }

    /// The default properties, and those that a run recorded for its questions.
    pub fn recorded<'a>(records: impl Iterator<Item = &'a PredictionRecord>) -> Vec<Self> {
        let mut names = BTreeSet::new();
        records.for_each(|record| add_names(&mut names, record));
        Self::DEFAULT
            .into_iter()
            .chain(names.into_iter().map(Self::Named))
            .collect()
    }

    /// The question's value, with the order of slices.
    pub fn key(&self, record: &PredictionRecord) -> Option<SliceValue> {
        self.value(record).map(SliceValue::new)
    }

    /// The parts of some answers by value, in the values' order; answers without one are in none.
    pub fn parts<'a>(&self, scored: &Scored<'a>) -> BTreeMap<SliceValue, Scored<'a>> {
        let mut places: BTreeMap<SliceValue, Vec<usize>> = BTreeMap::new();
        for (place, record) in scored.records.iter().enumerate() {
            if let Some(key) = self.key(record) {
                places.entry(key).or_default().push(place);
            }
        }
        places
            .into_iter()
            .map(|(key, places)| (key, scored.select(&places)))
            .collect()
    }
}

/// Checks that every requested property has a value in some question.
///
/// # Errors
/// Returns an error that names the first such property and the existing ones; or if a record cannot
/// be read.
pub fn check_slices_exist<R: Borrow<PredictionRecord>>(
    slices_by: &[SliceBy],
    mut records: impl Iterator<Item = Result<R>>,
) -> Result<()> {
    let mut unknown: Vec<&SliceBy> = slices_by.iter().collect();
    let mut others = SliceBy::DEFAULT.to_vec();
    others.extend([SliceBy::Template, SliceBy::LabelLength]);
    let (mut known, mut names) = (Vec::new(), BTreeSet::new());
    // Usually the first record has all of them. Nothing is read if nothing is requested.
    while !unknown.is_empty()
        && let Some(record) = records.next()
    {
        let record = record?;
        let record = record.borrow();
        unknown.retain(|slice_by| slice_by.value(record).is_none());
        known.extend(others.extract_if(.., |slice_by| slice_by.value(record).is_some()));
        add_names(&mut names, record);
    }
    let Some(unknown) = unknown.first() else {
        return Ok(());
    };
    known.extend(names.into_iter().map(SliceBy::Named));
    let known: Vec<String> = known.iter().map(SliceBy::to_string).collect();
    bail!(
        "--slice-by: no question has a `{unknown}`; the runs have {}",
        known.join(", ")
    );
}

/// Adds the names of the further properties of a question.
fn add_names(names: &mut BTreeSet<String>, record: &PredictionRecord) {
    for name in record.slices.keys() {
        if !names.contains(name) {
            names.insert(name.clone());
        }
    }
}

/// The name in headings, columns and on the command line.
impl fmt::Display for SliceBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AnswerType => "answer type",
            Self::Taxonomy => "taxonomy",
            Self::ChartType => "chart type",
            Self::Source => "source",
            Self::Template => "template",
            Self::LabelLength => "label length",
            Self::Named(name) => name,
        })
    }
}

impl FromStr for SliceBy {
    type Err = std::convert::Infallible;

    fn from_str(name: &str) -> std::result::Result<Self, Self::Err> {
        let built_in = Self::DEFAULT
            .into_iter()
            .chain([Self::Template, Self::LabelLength]);
        Ok(built_in
            .into_iter()
            .find(|slice_by| slice_by.to_string() == name)
            .unwrap_or_else(|| Self::Named(name.to_owned())))
    }
}

/// A slice's value; numbers are ordered by size.
#[derive(Clone, Debug, PartialEq)]
pub struct SliceValue {
    number: Option<f64>,
    text: String,
}

impl SliceValue {
    fn new(text: String) -> Self {
        let digits = text.split(['-', ' ']).next().unwrap_or_default();
        Self {
            number: digits
                .parse()
                .ok()
                .filter(|number: &f64| number.is_finite()),
            text,
        }
    }

    /// The value's text.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl Eq for SliceValue {}

impl PartialOrd for SliceValue {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for SliceValue {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let number = |key: &Self| key.number.unwrap_or(f64::INFINITY);
        number(self)
            .total_cmp(&number(other))
            .then_with(|| self.text.cmp(&other.text))
    }
}

fn length(characters: usize) -> &'static str {
    match characters {
        0..=4 => "0-4 characters",
        5..=9 => "5-9 characters",
        10..=19 => "10-19 characters",
        20..=39 => "20-39 characters",
        _ => "40 characters and more",
    }
}

/// An enum's stored name with spaces: `ranked list`.
fn words<T: serde::Serialize>(value: &T) -> String {
    let name = serde_json::to_value(value)
        .ok()
        .and_then(|value| value.as_str().map(str::to_owned));
    name.unwrap_or_default().replace('_', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dimensions_are_asked_for_as_they_are_called() {
        for name in [
            "answer type",
            "template",
            "label length",
            "series",
            "journal",
        ] {
            assert_eq!(name.parse::<SliceBy>().unwrap().to_string(), name);
        }
        assert_eq!("chart type".parse(), Ok(SliceBy::ChartType));
        assert_eq!("series".parse(), Ok(SliceBy::Named("series".to_owned())));
    }

    #[test]
    fn numbers_come_by_size() {
        let mut keys: Vec<SliceValue> = ["line", "10", "9", length(25), length(7), "bar"]
            .map(|key| SliceValue::new(key.to_owned()))
            .into();
        keys.sort();
        assert_eq!(
            keys.iter().map(SliceValue::as_str).collect::<Vec<_>>(),
            [
                "5-9 characters",
                "9",
                "10",
                "20-39 characters",
                "bar",
                "line"
            ]
        );
    }
}
