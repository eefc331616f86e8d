//! Whether this program's scores are those a file records, e.g. of the original implementations.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::report::table::{Cell, Column, Table};
use chartbench_core::input;
use chartbench_core::question::{AnswerType, Gold, Prediction, QuestionKind, YearFlags};
use chartbench_score::metric::{Convention, Counterparts, Metric, Pair, Score};

/// One line of such a file.
#[derive(Deserialize)]
struct Line {
    /// Tells which assertions are a pair.
    #[serde(default)]
    id: String,
    #[serde(alias = "target")]
    gold: Gold,
    prediction: Prediction,
    question: Option<String>,
    answer_type: Option<AnswerType>,
    #[serde(alias = "Year")]
    year: Option<Flags>,
    #[serde(alias = "Question Type")]
    question_type: Option<String>,
    is_clear: Option<bool>,
    scores: Map<String, Value>,
}

/// ChartQAPro's flags: a text, or a list of them.
#[derive(Deserialize)]
#[serde(untagged)]
enum Flags {
    Text(String),
    List(Vec<String>),
}

impl Flags {
    fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::List(flags) => flags.join(", "),
        }
    }
}

/// The meaning of a key of `scores`; RealCQA's depend on the answer type, and ChartQAPro's have a form
/// for years.
struct Key {
    convention: &'static Convention,
    metric: Metric,
    answer_type: Option<AnswerType>,
    /// All elements of the answer are years.
    year: bool,
}

/// Short keys, as files of the original implementations' scores have them, beside
/// `CONVENTION.METRIC`.
const SHORT: [(&str, &str, &str, Option<AnswerType>); 17] = [
    ("p2s", "pix2struct", "relaxed", None),
    ("lmms", "lmms-eval", "relaxed", None),
    ("vlm", "vlmevalkit", "relaxed", None),
    (
        "vlmCB(swapped as called)",
        "vlmevalkit-chartbench",
        "relaxed",
        None,
    ),
    ("lm-eval", "lm-eval", "relaxed", None),
    ("unichart", "unichart", "relaxed", None),
    ("ChartQAPro", "chartqapro", "relaxed", None),
    ("seed", "study", "relaxed", None),
    (
        "RealCQA-num",
        "realcqa",
        "accuracy",
        Some(AnswerType::Numerical),
    ),
    (
        "RealCQA-str",
        "realcqa",
        "accuracy",
        Some(AnswerType::String),
    ),
    (
        "RealCQA-bin",
        "realcqa",
        "accuracy",
        Some(AnswerType::Binary),
    ),
    ("anls_pix2struct", "pix2struct", "anls", None),
    ("anls_vlmevalkit", "vlmevalkit", "anls", None),
    ("anls_lmms", "lmms-eval", "anls", None),
    ("anls_pypi_0.0.2", "study", "anls", None),
    ("em_seed", "study", "exact_match", None),
    ("em_raw", "pix2struct", "exact_match", None),
];

/// Keys of the scores that ChartQAPro gives a flagged year: another program's, and this program's
/// before it read flags.
const YEAR_KEYS: [&str; 2] = ["ChartQAPro(Y)", "chartqapro-year.relaxed"];

impl Key {
    fn read(key: &str) -> Result<Self> {
        let year = YEAR_KEYS.contains(&key);
        let key = if year { "ChartQAPro" } else { key };
        let short = SHORT.iter().find(|(short, ..)| *short == key);
        let (convention, metric, answer_type) = match short {
            Some((_, convention, metric, answer_type)) => (*convention, *metric, *answer_type),
            None => {
                let (convention, metric) = key
                    .rsplit_once('.')
                    .with_context(|| format!("scores: `{key}` is not CONVENTION.METRIC"))?;
                (convention, metric, None)
            }
        };
        let convention =
            Convention::by_name(convention).with_context(|| format!("scores: `{key}`"))?;
        let metric = convention
            .metrics
            .iter()
            .copied()
            .find(|known| known.key() == metric)
            .with_context(|| {
                let known: Vec<&str> = convention
                    .metrics
                    .iter()
                    .map(|metric| metric.key())
                    .collect();
                format!(
                    "scores: `{key}`: {} gives {}",
                    convention.name,
                    known.join(", ")
                )
            })?;
        Ok(Self {
            convention,
            metric,
            answer_type,
            year,
        })
    }
}

/// How many scores were compared, and a row for each that differs.
pub struct Verified {
    /// Lines of the file, each a pair of gold and prediction.
    pub pairs: usize,
    /// Recorded scores over all lines.
    pub scores: usize,
    /// One row a score that differs, with line, pair and both values; no row if all agree.
    pub differences: Table,
}

/// Scores every line of a JSONL file anew and compares with its recorded `scores`: numbers within
/// 0.00005, for files that keep four digits; a text that begins with `ERR` stands for an exception.
///
/// # Errors
/// Names the file and the line that is no such object, or the key that names no score.
pub fn verify(path: &Path) -> Result<Verified> {
    let place = || path.display().to_string();
    let text = input::read_stream(path)
        .context("cannot read the file")
        .with_context(place)?;
    let lines = lines(&text, path)?;
    let counterparts = Counterparts::new(
        lines
            .iter()
            .map(|(_, line)| (line.id.as_str(), &line.gold, Some(&line.prediction))),
    );
    let mut rows = Vec::new();
    let mut scores = 0;
    for (number, line) in &lines {
        let at = || format!("{}: line {number}", path.display());
        let year = line.year.as_ref().map(Flags::text).unwrap_or_default();
        for (name, recorded) in &line.scores {
            let key = Key::read(name).with_context(at)?;
            let answer_type = key.answer_type.or(line.answer_type);
            let pair = Pair {
                gold: &line.gold,
                prediction: Some(&line.prediction),
                question: line.question.as_deref(),
                answer_type,
                year_flags: YearFlags::new(if key.year { "YES" } else { &year }, None),
                kind: QuestionKind {
                    question_type: line.question_type.as_deref(),
                    is_clear: line.is_clear,
                },
                counterpart: counterparts.get(&line.id),
                judgements: &[],
            };
            let score = key.convention.score(&pair).get(key.metric);
            scores += 1;
            if !same(score, recorded) {
                rows.push(vec![
                    Cell::count(*number),
                    Cell::text(name),
                    Cell::text(line.gold.text()),
                    Cell::text(&line.prediction.0),
                    Cell::text(recorded.to_string()),
                    Cell::text(score.to_string()),
                ]);
            }
        }
    }
    ensure!(scores > 0, "{}: no recorded scores", path.display());
    let names = ["score", "gold", "prediction", "recorded", "here"].map(Column::left);
    let columns = std::iter::once(Column::right("line"))
        .chain(names)
        .collect();
    Ok(Verified {
        pairs: lines.len(),
        scores,
        differences: Table {
            title: String::new(),
            columns,
            rows,
        },
    })
}

/// The lines that are not empty, each with its number.
fn lines(text: &str, path: &Path) -> Result<Vec<(usize, Line)>> {
    let numbered = text.lines().enumerate();
    numbered
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(index, line)| {
            let number = index + 1;
            let line = serde_json::from_str(line)
                .context("not an object with gold (or target), prediction and scores")
                .with_context(|| format!("{}: line {number}", path.display()))?;
            Ok((number, line))
        })
        .collect()
}

fn same(score: Score, recorded: &Value) -> bool {
    match (score, recorded) {
        (Score::Value(value), Value::Number(number)) => number
            .as_f64()
            .is_some_and(|number| (number - value).abs() <= 0.5e-4 + 1e-12),
        (Score::Raises(exception), Value::String(text)) => text
            .strip_prefix("ERR")
            .is_some_and(|rest| rest.trim_start_matches(':').trim() == exception),
        (Score::Inapplicable, Value::Null) => true,
        _ => false,
    }
}
