//! Which questions are listed.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use anyhow::{Result, bail, ensure};

use crate::report::verdict::Verdict;
use crate::report::{SliceBy, SliceValue};
use crate::run::store::PredictionRecord;
use chartbench_core::terminal::shorten;

/// Most values of a property that an error names.
const MAX_VALUES: usize = 12;

/// The kind of answers that are listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AnswerKind {
    /// Answers that score below 1 by the convention's first metric, and questions that failed or
    /// are not answered.
    #[default]
    Wrong,
    /// Answers that score 1 by the convention's first metric.
    Right,
    /// Wrong answers that are right by the lenient accuracy of `chartbench`: right but for notation.
    LenientOnly,
}

impl AnswerKind {
    /// Whether an answer of this kind is listed.
    pub(super) fn includes(self, verdict: Verdict, but_for_notation: bool) -> bool {
        match self {
            Self::Wrong => matches!(verdict, Verdict::Wrong | Verdict::Partly | Verdict::Failed),
            Self::Right => verdict == Verdict::Right,
            Self::LenientOnly => but_for_notation,
        }
    }

    /// Completes "these answers are".
    pub(super) fn describe(self) -> &'static str {
        match self {
            Self::Wrong => "wrong",
            Self::Right => "right",
            Self::LenientOnly => "right but for notation",
        }
    }
}

/// A property with the value that a question must have, case aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SliceCondition {
    /// The property.
    pub slice_by: SliceBy,
    /// Its value.
    pub value: String,
}

impl SliceCondition {
    fn holds(&self, record: &PredictionRecord) -> bool {
        let value = self.slice_by.value(record);
        value.is_some_and(|value| self.is_value(&value))
    }

    fn is_value(&self, value: &str) -> bool {
        value.to_lowercase() == self.value.to_lowercase()
    }

    /// Checks that some question has the property, and one its value.
    ///
    /// # Errors
    /// Returns an error that names the properties, or the property's values, that exist.
    fn check<'a>(&self, records: impl Iterator<Item = &'a PredictionRecord> + Clone) -> Result<()> {
        let Self { slice_by, value } = self;
        let values: BTreeSet<SliceValue> = records
            .clone()
            .filter_map(|record| slice_by.key(record))
            .collect();
        if values.is_empty() {
            let known: Vec<String> = SliceBy::recorded(records.clone())
                .into_iter()
                .chain([SliceBy::Template, SliceBy::LabelLength])
                .filter(|known| records.clone().any(|record| known.value(record).is_some()))
                .map(|known| known.to_string())
                .collect();
            bail!(
                "--where: no question has a `{}`; the run has {}",
                shorten(&slice_by.to_string()),
                known.join(", ")
            );
        }
        ensure!(
            values.iter().any(|known| self.is_value(known.as_str())),
            "--where: no question has the {slice_by} `{}`; the run has {}",
            shorten(value),
            describe_values(&values)
        );
        Ok(())
    }
}

impl FromStr for SliceCondition {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let (key, value) = text
            .split_once('=')
            .ok_or("it is not KEY=VALUE, e.g. `chart type=line`")?;
        let Ok(slice_by) = key.trim().parse();
        Ok(Self {
            slice_by,
            value: value.trim().to_owned(),
        })
    }
}

impl fmt::Display for SliceCondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {}", self.slice_by, self.value)
    }
}

/// The conditions of a listed question, all of which must hold.
#[derive(Clone, Debug, Default)]
pub struct QuestionFilter {
    /// The kind of answers that are listed.
    pub kind: AnswerKind,
    /// The question's properties.
    pub slices: Vec<SliceCondition>,
    /// A text in the question, the gold answer or the answer, case aside.
    pub text: Option<String>,
    /// Most listed questions of an adapter; all where it is absent.
    pub limit: Option<usize>,
}

impl QuestionFilter {
    /// Checks that some question has each property, and one its value.
    ///
    /// # Errors
    /// Returns an error that names the properties, or the property's values, that exist.
    pub(super) fn check<'a>(
        &self,
        records: impl Iterator<Item = &'a PredictionRecord> + Clone,
    ) -> Result<()> {
        self.slices
            .iter()
            .try_for_each(|condition| condition.check(records.clone()))
    }

    /// Whether a question passes the conditions on slices and text; `answer` is the adapter's own.
    pub(super) fn matches(&self, record: &PredictionRecord, answer: Option<&str>) -> bool {
        let has_text = |text: &String| {
            let text = text.to_lowercase();
            let contains = |other: &str| other.to_lowercase().contains(&text);
            contains(&record.question)
                || contains(&record.gold.text())
                || answer.is_some_and(contains)
        };
        self.slices.iter().all(|condition| condition.holds(record))
            && self.text.iter().all(has_text)
    }

    /// The conditions on slices and text in brackets; empty without any.
    pub(super) fn describe(&self) -> String {
        let slices = self.slices.iter().map(SliceCondition::to_string);
        let text = self.text.iter().map(|text| format!("with `{text}`"));
        let conditions: Vec<String> = slices.chain(text).collect();
        if conditions.is_empty() {
            String::new()
        } else {
            format!(" ({})", conditions.join(", "))
        }
    }
}

fn describe_values(values: &BTreeSet<SliceValue>) -> String {
    let names = values.iter().take(MAX_VALUES);
    let names: Vec<String> = names.map(|value| shorten(value.as_str())).collect();
    match values.len().saturating_sub(MAX_VALUES) {
        0 => names.join(", "),
        more => format!("{} and {more} more", names.join(", ")),
    }
}
