//! The rows of a file, before predictions and golds are joined.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use anyhow::{Context, Result, ensure};

use super::columns::ColumnsRead;
use super::problem::{Location, Problem, Unit};
use super::provenance::{PromptTemplate, Provenance};
use crate::metric::python::literal;
use chartbench_core::parse_field;
use chartbench_core::question::{AnswerType, Gold, Prediction, YearFlags};

/// A row of any format.
#[derive(Debug, Default)]
pub(super) struct AnswerRow {
    pub(super) id: String,
    pub(super) prediction: Option<Prediction>,
    pub(super) gold: Option<Gold>,
    pub(super) question: Option<String>,
    pub(super) answer_type: Option<AnswerType>,
    pub(super) chart: Option<String>,
    /// Why there is no prediction, if the file says so.
    pub(super) failure: Option<String>,
    /// The only item of a prediction that the file gives as a list.
    pub(super) only_item: Option<Prediction>,
    /// The values of ChartQAPro's `Year` and `Question Type`.
    pub(super) year: Option<String>,
    pub(super) question_type: Option<String>,
    /// The type of the question in another data set's words.
    pub(super) kind: Option<String>,
    /// EvoChart-QA's `is_clear`.
    pub(super) is_clear: Option<bool>,
    /// Index into [`AnswerTable::parts`], if the table has parts.
    pub(super) part: u32,
    /// The row's line, record or row number, from 1.
    pub(super) number: u32,
}

/// Rows in their order, with the location of each.
#[derive(Debug, Default)]
pub(super) struct AnswerTable {
    pub(super) rows: Vec<AnswerRow>,
    pub(super) unit: Unit,
    /// The files or charts of the rows; empty for a single text.
    pub(super) parts: Vec<String>,
    /// Whether the rows have ids of their own.
    pub(super) has_ids: bool,
    /// The problems of single rows.
    pub(super) problems: Vec<Problem>,
    /// The columns that were recognised; `None` where the format has none to recognise.
    pub(super) columns: Option<ColumnsRead>,
    /// What the file says about how its predictions were made.
    pub(super) provenance: Provenance,
    /// The prompt that the rows have in common.
    pub(super) prompt: PromptTemplate,
    unknown_types: RowCount,
    several_responses: RowCount,
    several_targets: RowCount,
    other_filters: RowCount,
    /// The first filter met in a file of lm-eval's samples.
    filter: Option<String>,
}

/// The number of rows of one kind, and the first of them.
#[derive(Debug, Default)]
struct RowCount {
    rows: u32,
    first: Option<(Location, String)>,
}

impl RowCount {
    fn count(&mut self, location: Location, example: &str) {
        self.rows = self.rows.saturating_add(1);
        self.first
            .get_or_insert_with(|| (location, example.to_owned()));
    }
}

impl AnswerTable {
    pub(super) fn new(unit: Unit) -> Self {
        Self {
            unit,
            ..Self::default()
        }
    }

    /// The location of a row.
    pub(super) fn location(&self, row: &AnswerRow) -> Location {
        self.location_at(row.part, row.number)
    }

    /// The location `number` in the current part, the last one.
    pub(super) fn here(&self, number: usize) -> Location {
        self.location_at(self.part(), saturated(number))
    }

    fn location_at(&self, part: u32, number: u32) -> Location {
        Location {
            part: self.parts.get(part as usize).cloned(),
            unit: self.unit,
            number,
        }
    }

    fn part(&self) -> u32 {
        saturated(self.parts.len().saturating_sub(1))
    }

    /// Adds a row with the number `number` in the current part. Without `id` its id is its number
    /// among all rows.
    pub(super) fn push(&mut self, number: usize, id: Option<String>, mut row: AnswerRow) {
        self.has_ids |= id.is_some();
        let id = id.unwrap_or_else(|| (self.rows.len() + 1).to_string());
        if row.has_turns() {
            row.gold = row.gold.map(Gold::last_turn);
        }
        self.rows.push(AnswerRow {
            id,
            part: self.part(),
            number: saturated(number),
            ..row
        });
    }

    /// Reports that the last row's prediction is null.
    pub(super) fn last_failed(&mut self, reason: Option<String>) {
        if let Some(row) = self.rows.last_mut() {
            row.failure = reason.clone();
        }
        if let Some(row) = self.rows.last() {
            self.problems.push(Problem::Failed {
                id: row.id.clone(),
                location: self.location(row),
                reason,
            });
        }
    }

    /// Parses an answer type; an unknown one counts as a problem and gives `None`.
    pub(super) fn answer_type(&mut self, number: usize, text: &str) -> Option<AnswerType> {
        if text.trim().is_empty() {
            return None;
        }
        let answer_type = parse_field::answer_type(text).ok();
        if answer_type.is_none() {
            let location = self.here(number);
            self.unknown_types.count(location, text);
        }
        answer_type
    }

    /// Counts a row with several responses.
    pub(super) fn several_responses(&mut self, number: usize) {
        let location = self.here(number);
        self.several_responses.count(location, "");
    }

    /// Counts a row with several targets, each of which is right.
    pub(super) fn several_targets(&mut self, number: usize) {
        let location = self.here(number);
        self.several_targets.count(location, "");
    }

    /// The first filter met in a file of lm-eval's samples.
    pub(super) fn filter(&self) -> Option<&str> {
        self.filter.as_deref()
    }

    /// Whether a row of lm-eval's `filter` counts; only rows of the first filter do.
    pub(super) fn takes_filter(&mut self, number: usize, filter: &str) -> bool {
        let takes = *self.filter.get_or_insert_with(|| filter.to_owned()) == filter;
        if !takes {
            let location = self.here(number);
            self.other_filters.count(location, filter);
        }
        takes
    }

    /// Removes each row whose id an earlier row has; `what` names the id in the problem.
    pub(super) fn drop_duplicates(&mut self, what: &'static str) {
        if !self.has_ids {
            return;
        }
        let mut first = HashMap::with_capacity(self.rows.len());
        let mut doubled = Vec::new();
        for (index, row) in self.rows.iter().enumerate() {
            match first.entry(row.id.as_str()) {
                Entry::Occupied(earlier) => doubled.push((*earlier.get(), index)),
                Entry::Vacant(vacant) => _ = vacant.insert(index),
            }
        }
        let problem = |&(first, again): &(usize, usize)| {
            let (first, again) = (self.rows.get(first)?, self.rows.get(again)?);
            let (first, again, id) = (self.location(first), self.location(again), again.id.clone());
            Some(Problem::DuplicateId {
                what,
                id,
                first,
                again,
            })
        };
        let problems: Vec<Problem> = doubled.iter().filter_map(problem).collect();
        self.problems.extend(problems);
        let (mut index, mut left) = (0, doubled.into_iter().map(|(_, again)| again).peekable());
        self.rows.retain(|_| {
            index += 1;
            left.next_if_eq(&(index - 1)).is_none()
        });
    }

    /// Finishes the table: adds the counted problems to the others.
    ///
    /// # Errors
    /// Returns the error `empty` if the table has no rows.
    pub(super) fn finish(mut self, empty: &str) -> Result<Self> {
        ensure!(!self.rows.is_empty(), "{empty}");
        let RowCount { rows, first } = std::mem::take(&mut self.unknown_types);
        if let Some((first, example)) = first {
            self.problems.push(Problem::AnswerTypes {
                rows,
                first,
                example,
            });
        }
        let RowCount { rows, first } = std::mem::take(&mut self.several_responses);
        if let Some((first, _)) = first {
            self.problems
                .push(Problem::SeveralResponses { rows, first });
        }
        let RowCount { rows, first } = std::mem::take(&mut self.several_targets);
        if let Some((first, _)) = first {
            self.problems.push(Problem::SeveralTargets { rows, first });
        }
        let RowCount { rows, first } = std::mem::take(&mut self.other_filters);
        if let Some((first, example)) = first {
            let counts = self.filter.take().unwrap_or_default();
            self.problems.push(Problem::OtherFilters {
                counts,
                rows,
                first,
                example,
            });
        }
        if self.provenance.prompt.is_none() {
            self.provenance.prompt = std::mem::take(&mut self.prompt).into_text();
        }
        u32::try_from(self.rows.len()).context("more than 4,294,967,295 rows")?;
        Ok(self)
    }
}

impl AnswerRow {
    /// ChartQAPro's flags of the answer's elements.
    pub(super) fn year_flags(&self) -> YearFlags<'_> {
        let year = self.year.as_deref();
        year.map(|year| YearFlags::new(year, self.question_type.as_deref()))
            .unwrap_or_default()
    }

    /// Whether the row has ChartQAPro's fields, so that a list is the answers to a conversation's
    /// turns.
    fn has_turns(&self) -> bool {
        self.question_type.is_some() && self.year_flags() != YearFlags::default()
    }

    /// Parses the gold of a text cell, in which ChartQAPro's turns are a Python list.
    pub(super) fn set_gold(&mut self, cell: String) {
        let turns = if self.has_turns() {
            literal::typed_list(&cell)
        } else {
            None
        };
        let turns = turns.filter(|turns| turns.iter().all(|turn| turn.is_str));
        self.gold = Some(match turns {
            Some(turns) => Gold::List(
                turns
                    .into_iter()
                    .map(|turn| Gold::Text(turn.text))
                    .collect(),
            ),
            None => Gold::Text(cell),
        });
    }
}

fn saturated(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
