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
    if missing.is_empty() && sources.absent.is_empty() {
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
    lines.extend(describe_absent(sources));
    Ok(Some(format!(
        "{}: no answer {}",
        sources.describe(),
        lines.join("; ")
    )))
}

/// Names the rows that are to come: those that every shard asks, and those of the first.
fn describe_absent(sources: &Sources) -> impl Iterator<Item = String> {
    let rows = sources.absent.iter().map(String::as_str);
    let (of_first, of_all): (Vec<&str>, Vec<&str>) =
        rows.partition(|row| OF_FIRST_SHARD.contains(row));
    let of_all = (!of_all.is_empty()).then(|| format!("of {} to any", of_all.join(", ")));
    let of_first = (!of_first.is_empty()).then(|| {
        let (rows, first) = (of_first.join(", "), name_first_shard(sources));
        format!("of {rows} to any ({first} asks them)")
    });
    of_all.into_iter().chain(of_first)
}

/// Names the shard that asks the rows that look at no chart.
fn name_first_shard(sources: &Sources) -> String {
    let any = common_cut(sources.rows.iter().flat_map(|row| &row.logs));
    let first = any.and_then(|shard| Shard::new(1, shard.count()).ok());
    first.map_or_else(
        || "the first shard".to_owned(),
        |first| format!("shard {first}"),
    )
}

/// A shard whose log is among these, where all logs of shards are of as many.
fn common_cut<'a>(logs: impl Iterator<Item = &'a Log>) -> Option<Shard> {
    let mut shards = logs.filter_map(|log| log.shard);
    let first = shards.next()?;
    shards
        .all(|shard| shard.count() == first.count())
        .then_some(first)
}

/// The questions that a row has no answer to.
struct Missing<'a> {
    row: &'a Row,
    lines: &'a LineIndex,
    /// The shard that asks the row whole, since it looks at no chart.
    asked_by: Option<String>,
    /// A shard of the row, where all its logs of shards are of as many.
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
        // What learns from the train split alone has its hash.
        let is_of_first_shard =
            is_cut && entry.is_some_and(|entry| entry.settings.contains_key("train_hash"));
        Self {
            row,
            lines,
            asked_by: is_of_first_shard.then(|| name_first_shard(sources)),
            cut: common_cut(row.logs.iter()),
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
        if let Some(first) = &self.asked_by {
            text += &format!("; {first} asks it");
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
