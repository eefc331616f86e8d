//! `deplot`: the table metrics of DePlot (arXiv 2212.10505), `deplot/metrics.py` of
//! google-research/google-research (main branch, 2024). It applies only to questions that ask for a
//! table.
//!
//! A table is lines of cells separated by ` | `, under an optional line `title | ...`; texts are
//! lower-cased.
//!
//! - **RMS** (relative mapping similarity) takes a table as data points:
//!   `row header + " " + column header` is a point's key, the cell its value, and the title a point
//!   with the key `title`. Points of both tables are matched by their keys alone, at the least sum
//!   of 1 - ANLS (Hungarian method). A matched pair scores the ANLS of its keys times the
//!   similarity of its values: 1 - |p - t| / |t| where that distance is below 0.1, else 0, for
//!   numbers (`%` is 1/100); 1 for equal texts; else their ANLS. The sum over the predicted points
//!   is **precision**, over the gold ones **recall**. The better of the prediction and its
//!   transpose counts.
//! - **RNSS** (relative number set similarity): all numbers of both tables, matched at the least
//!   sum of min(1, |p - t| / |t|); 1 - sum / larger count.
//!
//! Known faults:
//! - **F1** is recall: the list from which the mean is made holds recall under its name.
//! - A gold number 0 has distance 1 from 0 and 0 from everything else in RNSS. In RMS its cell is
//!   text: `0.0` is wrong for `0`, and `0.1` mostly right for `0.0`. `nan` and `inf` never match
//!   themselves.
//! - Two rows under one key are one point, the last (a scatter chart's rows begin with their
//!   series' name).
//! - A text without ` | ` has no points: two such texts agree in full, whatever they say, and an
//!   empty prediction has precision 1. `|` without blanks around separates nothing.
//! - A literal `<0x0A>`, as the Hugging Face tokenizer writes a line break, breaks no line: the
//!   table is one row.
//! - An empty title is a point to be won, and one to be lost by a prediction without a title line.
//! - `5%` is no number to RNSS. Numbers that are left over cost nothing: one right number alone
//!   scores 1.
//! - Which of equally good matches is taken depends on the order of the rows.
//!
//! (Its ANLS of two empty texts divides by zero, but these metrics never compute that.) If the gold
//! itself is written with `<0x0A>`, as in chartbench's table benchmarks, it is read as a line break
//! in both texts.

use std::collections::HashMap;

use super::tables::{self, Agreement, anls, assignment, number};
use super::{Metric, Pair, Rules, Score, Scores, Trace, python};

/// See the module's page.
pub struct DePlotRules;

impl Rules for DePlotRules {
    const NAME: &'static str = "deplot";
    const ABOUT: &'static str =
        "DePlot's tables: RMS (F1 is recall, as published) and RNSS; for table questions only";
    const METRICS: &'static [Metric] = tables::METRICS;
    const TABLES_ONLY: bool = true;

    fn score(pair: &Pair<'_>, prediction: &str, trace: &mut impl Trace) -> Scores {
        let Some(gold) = tables::gold(pair, trace) else {
            return tables::inapplicable();
        };
        let one_line = gold.contains("<0x0A>");
        let lines = |text: &str| {
            if one_line {
                text.replace("<0x0A>", "\n")
            } else {
                text.to_owned()
            }
        };
        let (gold, prediction) = (lines(&gold), lines(prediction));
        let values = rms(&gold, &prediction, trace)
            .and_then(|rms| Ok((rms, rnss(&gold, &prediction, trace)?)));
        let (rms, rnss) = match values {
            Ok(values) => values,
            Err(error) => return tables::unmatched(error, trace),
        };
        trace.step(
            Metric::RmsF1,
            "as published: recall under the name of F1",
            || format!("F1 would be {}", rms.f1),
        );
        Scores::new(
            Self::METRICS,
            [rms.recall, rms.precision, rms.recall, rnss].map(Score::Value),
        )
    }
}

fn rms(gold: &str, prediction: &str, trace: &mut impl Trace) -> Result<Agreement, Score> {
    let gold = points(gold, false);
    let [transposed, straight] = [true, false].map(|transposed| points(prediction, transposed));
    let agreements = [agreement(&gold, &transposed)?, agreement(&gold, &straight)?];
    let (rule, best) = match agreements {
        [transposed, straight] if straight.f1 > transposed.f1 => {
            ("points matched by key", straight)
        }
        [transposed, _] => (
            "points matched by key, the prediction transposed",
            transposed,
        ),
    };
    for metric in [Metric::RmsPrecision, Metric::RmsRecall, Metric::RmsF1] {
        trace.step(metric, rule, || {
            let Agreement {
                precision, recall, ..
            } = best;
            format!(
                "{} gold points, {} predicted: precision {precision}, recall {recall}",
                gold.len(),
                straight.len()
            )
        });
    }
    Ok(best)
}

type Points = Vec<(String, String)>;

/// The table's data points in order; points with one key are one, at the position of the first with
/// the value of the last.
fn points(text: &str, transposed: bool) -> Points {
    let text = python::lower(text);
    let mut lines = python::lines(&text).peekable();
    let mut points = Points::new();
    if let Some(title) = lines.peek().and_then(|line| line.strip_prefix("title |")) {
        points.push(("title".to_owned(), python::strip(title).to_owned()));
        lines.next();
    }
    let rows: Vec<Vec<&str>> = lines
        .map(|line| line.split(" | ").map(python::strip).collect())
        .collect();
    let rows = if transposed { transpose(&rows) } else { rows };
    let Some((header, rows)) = rows.split_first() else {
        return points;
    };
    let mut indices = HashMap::new();
    for row in rows {
        let Some((row_name, cells)) = row.split_first() else {
            continue;
        };
        for (column, cell) in header.iter().skip(1).zip(cells) {
            let key = format!("{row_name} {column}");
            match indices
                .get(&key)
                .and_then(|&index: &usize| points.get_mut(index))
            {
                Some((_, value)) => (*cell).clone_into(value),
                None => {
                    indices.insert(key.clone(), points.len());
                    points.push((key, (*cell).to_owned()));
                }
            }
        }
    }
    points
}

fn transpose<'a>(rows: &[Vec<&'a str>]) -> Vec<Vec<&'a str>> {
    let width = rows.iter().map(Vec::len).max().unwrap_or(0);
    (0..width)
        .map(|column| {
            rows.iter()
                .map(|row| row.get(column).copied().unwrap_or(""))
                .collect()
        })
        .collect()
}

fn agreement(gold: &Points, predicted: &Points) -> Result<Agreement, Score> {
    match (gold.is_empty(), predicted.is_empty()) {
        (true, true) => return Ok(Agreement::FULL),
        (true, false) => {
            return Ok(Agreement {
                recall: 1.0,
                ..Agreement::NONE
            });
        }
        (false, true) => {
            return Ok(Agreement {
                precision: 1.0,
                ..Agreement::NONE
            });
        }
        (false, false) => {}
    }
    let distances = |gold: &str| {
        predicted
            .iter()
            .map(|(key, _)| 1.0 - anls(gold, key))
            .collect::<Vec<_>>()
    };
    let cost = gold.iter().flat_map(|(key, _)| distances(key)).collect();
    let pairs = assignment(gold.len(), predicted.len(), &cost)?;
    let worth = |(row, column): (usize, usize)| similarity(&gold[row], &predicted[column]);
    Ok(Agreement::from_similarities(
        pairs.into_iter().map(worth).sum(),
        predicted.len(),
        gold.len(),
    ))
}

fn similarity(gold: &(String, String), predicted: &(String, String)) -> f64 {
    let keys = anls(&gold.0, &predicted.0);
    match (number(&predicted.1), number(&gold.1)) {
        (Some(p), Some(t)) if t != 0.0 => keys * (1.0 - relative_distance(t, p, 0.1)),
        _ if gold.1 == predicted.1 => keys,
        _ => keys * anls(&gold.1, &predicted.1),
    }
}

/// min(1, |t - p| / |t|), 1 from `theta` on; inverted at t = 0.
fn relative_distance(t: f64, p: f64, theta: f64) -> f64 {
    if t == 0.0 {
        return f64::from(p == 0.0);
    }
    let distance = ((t - p) / t).abs();
    if distance < theta { distance } else { 1.0 }
}

fn rnss(gold: &str, prediction: &str, trace: &mut impl Trace) -> Result<f64, Score> {
    let (gold, predicted) = (numbers(gold), numbers(prediction));
    let score = match (gold.is_empty(), predicted.is_empty()) {
        (true, true) => 1.0,
        (false, false) => {
            let row = |t: &f64| {
                predicted
                    .iter()
                    .map(|p| relative_distance(*t, *p, 1.0))
                    .collect::<Vec<_>>()
            };
            let cost: Vec<f64> = gold.iter().flat_map(row).collect();
            let pairs = assignment(gold.len(), predicted.len(), &cost)?;
            let sum: f64 = pairs
                .into_iter()
                .map(|(row, column)| cost[row * predicted.len() + column])
                .sum();
            1.0 - sum / gold.len().max(predicted.len()) as f64
        }
        _ => 0.0,
    };
    trace.step(
        Metric::Rnss,
        "numbers matched; numbers left over cost nothing",
        || {
            format!(
                "{} gold numbers, {} predicted: {score}",
                gold.len(),
                predicted.len()
            )
        },
    );
    Ok(score)
}

fn numbers(text: &str) -> Vec<f64> {
    python::lines(text)
        .flat_map(|line| line.split(" | "))
        .filter_map(python::float)
        .collect()
}
