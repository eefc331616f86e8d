//! Every question's scores under every convention.

use std::fmt::Write;

use anyhow::Result;
use rayon::prelude::*;
use serde_json::{Map, Value, json};

use super::matrix::score_name;
use super::score_all::{CHUNK, NamedPair};
use super::table::{Cell, Column, Table};
use chartbench_core::terminal::visible;
use chartbench_score::metric::{Convention, Metric, Score, Scores, StepTrace};

/// One row a question, one column for each of `scores`: values in 0..=1, `ERR:` and the exception
/// where the original raises.
pub fn per_question(entries: &[NamedPair<'_>], scores: &[(&Convention, Metric)]) -> Table {
    let names = scores
        .iter()
        .map(|(convention, metric)| Column::right(score_name(convention, *metric)));
    let columns = ["id", "gold", "prediction"]
        .map(Column::left)
        .into_iter()
        .chain(names)
        .collect();
    let row = |entry: &NamedPair<'_>| {
        let scores = values(entry, scores).into_iter().map(cell);
        let prediction = entry
            .pair
            .prediction
            .map_or(Cell::Missing, |prediction| Cell::text(&prediction.0));
        [
            Cell::text(entry.id),
            Cell::text(entry.pair.gold.text()),
            prediction,
        ]
        .into_iter()
        .chain(scores)
        .collect()
    };
    Table {
        title: String::new(),
        columns,
        rows: entries.par_iter().map(row).collect(),
    }
}

/// The values of `scores`, in their order; each convention is asked once.
fn values(entry: &NamedPair<'_>, scores: &[(&Convention, Metric)]) -> Vec<Score> {
    let mut last: Option<(&str, Scores)> = None;
    let value = |(convention, metric): &(&Convention, Metric)| {
        let scores = match last {
            Some((name, scores)) if name == convention.name => scores,
            _ => convention.score(&entry.pair),
        };
        last = Some((convention.name, scores));
        scores.get(*metric)
    };
    scores.iter().map(value).collect()
}

fn cell(score: Score) -> Cell {
    match score {
        // Nearly all are right or wrong.
        Score::Value(value) => Cell::Decimal(value, if value.fract() == 0.0 { 0 } else { 2 }),
        Score::Raises(_) => Cell::text(score.to_string()),
        Score::Inapplicable => Cell::Missing,
    }
}

/// One JSON object a line and question:
/// `{"id","gold","prediction","scores":{"CONVENTION.METRIC":x}}`, and `Year`, `Question
/// Type` and `is_clear` where the question has them. A score is a number, `"ERR:EXCEPTION"` where the original raises, `null`
/// where the convention does not apply.
///
/// Ends early once `write` returns that nobody reads on.
///
/// # Errors
/// Never returns an error in practice: plain data always encodes as JSON.
pub fn per_question_jsonl(
    entries: &[NamedPair<'_>],
    scores: &[(&Convention, Metric)],
    mut write: impl FnMut(&str) -> bool,
) -> Result<()> {
    // A few chunks at a time, so that written text does not stay in memory.
    for some in entries.chunks(16 * CHUNK) {
        let lines: Vec<String> = some
            .par_chunks(CHUNK)
            .map(|chunk| lines(chunk, scores))
            .collect::<Result<_>>()?;
        if !lines.iter().all(|lines| write(lines)) {
            break;
        }
    }
    Ok(())
}

fn lines(entries: &[NamedPair<'_>], scores: &[(&Convention, Metric)]) -> Result<String> {
    let keys: Vec<String> = scores
        .iter()
        .map(|(convention, metric)| score_name(convention, *metric))
        .collect();
    let mut lines = String::new();
    for entry in entries {
        let scores: Map<String, Value> = keys
            .iter()
            .cloned()
            .zip(values(entry, scores).into_iter().map(json_score))
            .collect();
        let prediction = entry.pair.prediction.map(|prediction| &prediction.0);
        let mut line = json!({"id": entry.id, "gold": entry.pair.gold, "prediction": prediction});
        if let Some(flags) = entry.pair.year_flags.text() {
            line["Year"] = Value::from(flags);
        }
        if let Some(kind) = entry.pair.kind.question_type {
            line["Question Type"] = Value::from(kind);
        }
        if let Some(is_clear) = entry.pair.kind.is_clear {
            line["is_clear"] = Value::from(is_clear);
        }
        line["scores"] = Value::from(scores);
        lines += &serde_json::to_string(&line)?;
        lines.push('\n');
    }
    Ok(lines)
}

pub(super) fn json_score(score: Score) -> Value {
    match score {
        Score::Value(value) => Value::from(value),
        Score::Raises(_) => Value::from(score.to_string()),
        Score::Inapplicable => Value::Null,
    }
}

/// Explains step by step how each convention scores one answer.
pub fn explain(entry: &NamedPair<'_>, conventions: &[&Convention]) -> String {
    let NamedPair { id, pair } = entry;
    let mut text = format!("{}\n  gold        {:?}\n", visible(id), pair.gold.text());
    let prediction = pair.prediction.map_or_else(
        || "none: the question failed".to_owned(),
        |text| format!("{:?}", text.0),
    );
    let _ = writeln!(text, "  prediction  {prediction}");
    if let Some(question) = pair.question {
        let _ = writeln!(text, "  question    {question:?}");
    }
    if let Some(answer_type) = pair.answer_type {
        let _ = writeln!(text, "  answer type {answer_type:?}");
    }
    if let Some(flags) = pair.year_flags.text() {
        let _ = writeln!(text, "  year flags  {flags}");
    }
    if let Some(kind) = pair.kind.question_type {
        let _ = writeln!(text, "  type        {}", visible(kind));
    }
    if let Some(is_clear) = pair.kind.is_clear {
        let _ = writeln!(text, "  is clear    {is_clear}");
    }
    if let Some(counterpart) = pair.counterpart {
        let reply = counterpart.prediction.map_or_else(
            || "none: the question failed".to_owned(),
            |reply| format!("{:?}", reply.0),
        );
        let _ = writeln!(text, "  counterpart {reply}");
    }
    for convention in conventions {
        let mut steps = StepTrace::default();
        let scores = convention.explain(pair, &mut steps);
        for (metric, score) in scores.iter() {
            let shown = match score {
                Score::Value(value) => format!("{value}"),
                Score::Raises(exception) => format!("the original raises {exception}: counts 0"),
                Score::Inapplicable => "does not apply".to_owned(),
            };
            let _ = writeln!(text, "{} = {shown}", score_name(convention, metric));
            for step in steps.for_metric(metric) {
                let _ = writeln!(
                    text,
                    "    {}{}{}",
                    step.rule,
                    if step.detail.is_empty() { "" } else { ": " },
                    visible(&step.detail)
                );
            }
        }
    }
    text
}
