//! Which questions the rows have no answer to, in words.

use std::collections::BTreeMap;

use anyhow::Result;

use super::line_index::LineIndex;
use super::sources::{Log, OF_FIRST_SHARD, Row, Sources};
use chartbench_core::question::{ChartQuestions, QuestionSource};
use chartbench_core::shard::Shard;
use chartbench_core::terminal::shorten;

/// Most questions that are named by their ids.
const MAX_IDS: usize = 3;
/// Most shards that are named.
const MAX_SHARDS: usize = 8;

/// Describes the questions that rows have no answer to, rows that lack the same together; `None`
/// where every row has all.
///
/// # Errors
/// Returns an error if the questions cannot be read.
pub(super) fn describe_missing(
    sources: &Sources,
    rows: &[LineIndex],
    questions: &dyn QuestionSource,
) -> Result<Option<String>> {
    let rows = sources.rows.iter().zip(rows);
    let mut missing: Vec<Missing<'_>> = rows
        .filter(|(_, lines)| lines.answered() < lines.places().len())
        .map(|(row, lines)| Missing::new(sources, row, lines))
        .collect();
    let absent = describe_absent(sources);
    let left_to_first = describe_left_to_first(sources);
    if missing.is_empty() && absent.is_none() && left_to_first.is_none() {
        return Ok(None);
    }
    let mut first = 0;
    for chunk in questions.chunks() {
        for chart in &chunk? {
            missing.iter_mut().for_each(|row| row.add(chart, first));
            first += chart.questions.len();
        }
    }
    let mut groups: Vec<(String, Vec<&str>)> = Vec::new();
    for row in &missing {
        let lack = row.describe();
        match groups.iter_mut().find(|(known, _)| *known == lack) {
            Some((_, rows)) => rows.push(&row.row.id),
            None => groups.push((lack, vec![&row.row.id])),
        }
    }
    let mut lines: Vec<String> = groups
        .into_iter()
        .map(|(lack, rows)| format!("of {} {lack}", rows.join(", ")))
        .collect();
    lines.extend(absent.into_iter().chain(left_to_first));
    Ok(Some(format!(
        "{}: no answer {}",
        sources.describe(),
        lines.join("; ")
    )))
}

/// Names the rows that every shard asks and none has begun.
fn describe_absent(sources: &Sources) -> Option<String> {
    let absent = sources.absent.iter().map(String::as_str);
    let absent: Vec<&str> = absent.filter(|row| !OF_FIRST_SHARD.contains(row)).collect();
    (!absent.is_empty()).then(|| format!("of {} to any", absent.join(", ")))
}

/// Names the rows that wait for the first shard, where no run has a log of it.
fn describe_left_to_first(sources: &Sources) -> Option<String> {
    let mut logs = sources.rows.iter().flat_map(|row| &row.logs);
    let is_begun = logs.any(|log| log.shard.is_some_and(Shard::is_first));
    let left = sources.absent.iter().map(String::as_str);
    let left: Vec<&str> = left.filter(|row| OF_FIRST_SHARD.contains(row)).collect();
    (!is_begun && !left.is_empty())
        .then(|| format!("of {} to any (the first shard asks them)", left.join(", ")))
}

/// The questions that a row has no answer to.
struct Missing<'a> {
    row: &'a Row,
    lines: &'a LineIndex,
    /// Whether the row looks at no chart, in a run that is cut into shards.
    is_of_first_shard: bool,
    /// A shard of the row, where all its logs are of as many.
    cut: Option<Shard>,
    /// The first ones.
    ids: Vec<String>,
    by_shard: BTreeMap<Shard, usize>,
}

impl<'a> Missing<'a> {
    fn new(sources: &Sources, row: &'a Row, lines: &'a LineIndex) -> Self {
        let mut logs = sources.rows.iter().flat_map(|row| &row.logs);
        let is_cut = logs.any(|log| log.shard.is_some());
        let mut entries = sources.manifest.adapters.iter();
        let entry = entries.find(|entry| entry.id == row.id);
        let first = row.logs.first().and_then(|log| log.shard);
        let is_alike = |log: &Log| log.shard.map(Shard::count) == first.map(Shard::count);
        Self {
            row,
            lines,
            // What learns from the train split alone has its hash.
            is_of_first_shard: is_cut
                && entry.is_some_and(|entry| entry.settings.contains_key("train_hash")),
            cut: first.filter(|_| row.logs.iter().all(is_alike)),
            ids: Vec::new(),
            by_shard: BTreeMap::new(),
        }
    }

    /// Looks at the questions of a chart, the first of which has the number `first`.
    fn add(&mut self, ChartQuestions { chart, questions }: &ChartQuestions, first: usize) {
        let places = self.lines.places().iter().skip(first);
        let unanswered = questions.iter().zip(places);
        let mut count = 0;
        for (question, _) in unanswered.filter(|(_, place)| place.is_none()) {
            count += 1;
            if self.ids.len() < MAX_IDS {
                self.ids.push(shorten(&question.id));
            }
        }
        if let (Some(cut), true) = (self.cut, count > 0) {
            *self.by_shard.entry(cut.with_chart(&chart.id)).or_default() += count;
        }
    }

    /// `to 131 of 480 questions (a, b, c, ...; shard 3/8: 131 questions)`.
    fn describe(&self) -> String {
        let all = self.lines.places().len();
        let missing = all - self.lines.answered();
        let mut text = format!("to {missing} of {all} questions ({}", self.ids.join(", "));
        if missing > self.ids.len() {
            text += ", ...";
        }
        let shards: Vec<String> = self
            .by_shard
            .iter()
            .take(MAX_SHARDS)
            .map(|(shard, count)| format!("shard {shard}: {count} questions"))
            .collect();
        if self.is_of_first_shard {
            text += "; the first shard asks it";
        } else if !shards.is_empty() {
            text += &format!("; {}", shards.join(", "));
        }
        let more = self.by_shard.len() - shards.len();
        if more > 0 {
            text += &format!(" and {more} more shards");
        }
        text + ")"
    }
}
