//! The rows of a file, before golds and predictions are joined.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use anyhow::{Context, Result, ensure};

use super::problem::{Place, Problem, Unit};
use crate::metric::python::literal;
use chartbench_core::parse_field;
use chartbench_core::question::{AnswerType, Gold, Prediction, YearFlags};

/// A row of any format.
#[derive(Debug, Default)]
pub(super) struct Row {
    pub(super) id: String,
    pub(super) prediction: Option<Prediction>,
    pub(super) gold: Option<Gold>,
    pub(super) question: Option<String>,
    pub(super) answer_type: Option<AnswerType>,
    pub(super) chart: Option<String>,
    /// The only item of a prediction that the file gives as a list.
    pub(super) only_item: Option<Prediction>,
    /// What stands in ChartQAPro's `Year` and `Question Type`.
    pub(super) year: Option<String>,
    pub(super) question_type: Option<String>,
    /// Index into [`Table::parts`], where there are parts.
    pub(super) part: u32,
    /// The row's line, record or row number, from 1.
    pub(super) number: u32,
}

/// Rows in their order, with what is needed to say where each stands.
#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) rows: Vec<Row>,
    pub(super) unit: Unit,
    /// The files, or charts, that the rows are from; none when they are from a single text.
    pub(super) parts: Vec<String>,
    /// Whether the rows have ids of their own.
    pub(super) has_ids: bool,
    /// What single rows had wrong.
    pub(super) problems: Vec<Problem>,
    unknown_types: Tally,
    several_responses: Tally,
    other_filters: Tally,
    /// The first filter met in a file of lm-eval's samples.
    filter: Option<String>,
}

/// Rows of one kind: how many, and the first.
#[derive(Debug, Default)]
struct Tally {
    rows: u32,
    first: Option<(Place, String)>,
}

impl Tally {
    fn count(&mut self, place: Place, example: &str) {
        self.rows = self.rows.saturating_add(1);
        self.first.get_or_insert_with(|| (place, example.to_owned()));
    }
}

impl Table {
    pub(super) fn of(unit: Unit) -> Self {
        Self { unit, ..Self::default() }
    }

    /// Where the row stands.
    pub(super) fn place(&self, row: &Row) -> Place {
        self.place_at(row.part, row.number)
    }

    /// The place called `number` in the part at hand, the last that was begun.
    pub(super) fn here(&self, number: usize) -> Place {
        self.place_at(self.part(), saturated(number))
    }

    fn place_at(&self, part: u32, number: u32) -> Place {
        Place { part: self.parts.get(part as usize).cloned(), unit: self.unit, number }
    }

    fn part(&self) -> u32 {
        saturated(self.parts.len().saturating_sub(1))
    }

    /// Adds a row that stands at `number` in the part at hand; without `id` it is called by its number among all rows.
    pub(super) fn push(&mut self, number: usize, id: Option<String>, mut row: Row) {
        self.has_ids |= id.is_some();
        let id = id.unwrap_or_else(|| (self.rows.len() + 1).to_string());
        if row.has_turns() {
            row.gold = row.gold.map(Gold::last_turn);
        }
        self.rows.push(Row { id, part: self.part(), number: saturated(number), ..row });
    }

    /// Says that the last row's prediction is null.
    pub(super) fn last_failed(&mut self, reason: Option<String>) {
        if let Some(row) = self.rows.last() {
            self.problems.push(Problem::Failed { id: row.id.clone(), place: self.place(row), reason });
        }
    }

    /// The answer type written as `text`; an unknown one is none, and counted.
    pub(super) fn answer_type(&mut self, number: usize, text: &str) -> Option<AnswerType> {
        if text.trim().is_empty() {
            return None;
        }
        let known = parse_field::answer_type(text).ok();
        if known.is_none() {
            let place = self.here(number);
            self.unknown_types.count(place, text);
        }
        known
    }

    /// Counts a row with several responses.
    pub(super) fn several_responses(&mut self, number: usize) {
        let place = self.here(number);
        self.several_responses.count(place, "");
    }

    /// Whether a row of lm-eval's `filter` counts: those of the first filter do.
    pub(super) fn takes_filter(&mut self, number: usize, filter: &str) -> bool {
        let takes = *self.filter.get_or_insert_with(|| filter.to_owned()) == filter;
        if !takes {
            let place = self.here(number);
            self.other_filters.count(place, filter);
        }
        takes
    }

    /// Leaves out each row whose id an earlier row has; `what` is how the problem calls the id.
    pub(super) fn drop_doubled(&mut self, what: &'static str) {
        if !self.has_ids {
            return;
        }
        let mut first = HashMap::with_capacity(self.rows.len());
        let mut doubled = Vec::new();
        for (index, row) in self.rows.iter().enumerate() {
            match first.entry(row.id.as_str()) {
                Entry::Occupied(entry) => doubled.push((*entry.get(), index)),
                Entry::Vacant(entry) => _ = entry.insert(index),
            }
        }
        let problem = |&(first, again): &(usize, usize)| {
            let (first, again) = (self.rows.get(first)?, self.rows.get(again)?);
            let (first, again, id) = (self.place(first), self.place(again), again.id.clone());
            Some(Problem::Doubled { what, id, first, again })
        };
        let problems: Vec<Problem> = doubled.iter().filter_map(problem).collect();
        self.problems.extend(problems);
        let (mut index, mut left) = (0, doubled.into_iter().map(|(_, again)| again).peekable());
        self.rows.retain(|_| {
            index += 1;
            left.next_if_eq(&(index - 1)).is_none()
        });
    }

    /// Ends the reading: a table with rows, the counted problems among the others.
    ///
    /// # Errors
    /// No rows at all.
    pub(super) fn finish(mut self, empty: &str) -> Result<Self> {
        ensure!(!self.rows.is_empty(), "{empty}");
        let Tally { rows, first } = std::mem::take(&mut self.unknown_types);
        if let Some((first, example)) = first {
            self.problems.push(Problem::AnswerTypes { rows, first, example });
        }
        let Tally { rows, first } = std::mem::take(&mut self.several_responses);
        if let Some((first, _)) = first {
            self.problems.push(Problem::SeveralResponses { rows, first });
        }
        let Tally { rows, first } = std::mem::take(&mut self.other_filters);
        if let Some((first, example)) = first {
            let counts = self.filter.take().unwrap_or_default();
            self.problems.push(Problem::OtherFilters { counts, rows, first, example });
        }
        u32::try_from(self.rows.len()).context("more than 4,294,967,295 rows")?;
        Ok(self)
    }
}

impl Row {
    /// ChartQAPro's flags of the answer's elements.
    pub(super) fn year_flags(&self) -> YearFlags<'_> {
        let year = self.year.as_deref();
        year.map(|year| YearFlags::new(year, self.question_type.as_deref())).unwrap_or_default()
    }

    /// Whether the row has ChartQAPro's fields: a list is then the answers to a conversation's turns.
    fn has_turns(&self) -> bool {
        self.question_type.is_some() && self.year_flags() != YearFlags::default()
    }

    /// Reads the gold of a text cell, in which ChartQAPro's turns are a list as Python writes it.
    pub(super) fn set_gold(&mut self, cell: String) {
        let turns = if self.has_turns() { literal::typed_list(&cell) } else { None };
        let turns = turns.filter(|turns| turns.iter().all(|turn| turn.is_str));
        self.gold = Some(match turns {
            Some(turns) => Gold::List(turns.into_iter().map(|turn| Gold::Text(turn.text)).collect()),
            None => Gold::Text(cell),
        });
    }
}

fn saturated(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
