//! `score`: scores predictions made elsewhere, under one or all metric conventions.

pub mod verify;

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use super::{Status, print};
use crate::metric::{CONVENTIONS, Convention, Metric, Pair, Summary};
use crate::report::table::{Cell, Column, Format, Table};
use crate::sample::{Gold, Prediction};

/// Scores the predictions of CSV files with a header line, one column of predictions and one of gold answers.
///
/// Metrics are in percent. `errors` counts the questions on which the convention's original raises an exception
/// instead of a score (pix2struct's ANLS of two empty texts divides by zero); they count as 0.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// CSV files with a prediction column and a gold answer column.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The metric convention, or `all`.
    #[arg(long, value_name = "NAME", default_value = "all")]
    convention: String,
    /// The column of predictions, if its name does not tell.
    #[arg(long, value_name = "COLUMN")]
    prediction_column: Option<String>,
    /// The column of gold answers, if its name does not tell.
    #[arg(long, value_name = "COLUMN")]
    gold_column: Option<String>,
    /// The form of the table.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Prints the scores of every file.
///
/// # Errors
/// As [`table`], and when standard output cannot be written.
pub fn run(args: &Args) -> Result<Status> {
    print(&table(args)?.render(args.format)?)?;
    Ok(Status::Done)
}

/// One row for each file and convention; metrics in percent.
///
/// # Errors
/// Names the file, and the line in it where there is one, that cannot be read as CSV in UTF-8, has ragged rows or none
/// at all, or whose columns cannot be told; names the known conventions when the one asked for is none of them.
pub fn table(args: &Args) -> Result<Table> {
    let conventions: Vec<&Convention> = match args.convention.as_str() {
        "all" => CONVENTIONS.iter().collect(),
        name => vec![Convention::named(name)?],
    };
    let mut rows = Vec::new();
    for file in &args.files {
        let answers = read(file, args).with_context(|| file.display().to_string())?;
        for convention in &conventions {
            let scores = answers.iter().map(|(gold, prediction)| convention.score(&Pair::new(gold, prediction)));
            let summary = Summary::of(scores).with_context(|| format!("{}: no rows to score", file.display()))?;
            rows.push(row(file, convention, &summary));
        }
    }
    let columns = vec![
        Column::left("file"),
        Column::right("questions"),
        Column::left("convention"),
        Column::right("EM"),
        Column::right("relaxed"),
        Column::right("ANLS"),
        Column::right("errors"),
    ];
    Ok(Table { title: String::new(), columns, rows })
}

fn row(file: &Path, convention: &Convention, summary: &Summary) -> Vec<Cell> {
    vec![
        Cell::text(file.display().to_string()),
        Cell::count(summary.count),
        Cell::text(convention.name),
        Cell::Decimal(summary.mean(Metric::ExactMatch).unwrap_or(f64::NAN), 3),
        Cell::Decimal(summary.mean(Metric::RelaxedAccuracy).unwrap_or(f64::NAN), 3),
        Cell::Decimal(summary.mean(Metric::Anls).unwrap_or(f64::NAN), 3),
        Cell::count(summary.errors),
    ]
}

/// Every row's gold answer and prediction. Fields are taken as they stand, white space included.
fn read(path: &Path, args: &Args) -> Result<Vec<(Gold, Prediction)>> {
    let mut reader = csv::Reader::from_reader(File::open(path).context("cannot open the file")?);
    let header = reader.headers().map_err(located)?.clone();
    ensure!(!header.is_empty(), "the file is empty");
    let columns = Columns::find(&header, args)?;
    let mut answers = Vec::new();
    for record in reader.records() {
        let record = record.map_err(located)?;
        let field = |index: usize| record.get(index).unwrap_or_default();
        answers.push((Gold::from(field(columns.gold)), Prediction(field(columns.prediction).to_owned())));
    }
    ensure!(!answers.is_empty(), "no rows below the header line");
    Ok(answers)
}

/// A CSV error with the line it is about.
fn located(error: csv::Error) -> anyhow::Error {
    let line = error.position().map_or(1, csv::Position::line);
    match error.kind() {
        csv::ErrorKind::Utf8 { .. } => anyhow::anyhow!("line {line}: not UTF-8 text (convert the file to UTF-8)"),
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            anyhow::anyhow!("line {line}: {len} fields where the header line has {expected_len}")
        }
        _ => anyhow::Error::new(error).context("cannot read the file as CSV"),
    }
}

/// Where a file's answers stand.
struct Columns {
    gold: usize,
    prediction: usize,
}

/// Names that tell a column of predictions, in lower case.
const PREDICTION_NAMES: [&str; 8] =
    ["prediction", "predictions", "predicted", "predicted_answer", "pred", "preds", "output", "response"];
/// Names that tell a column of gold answers, in lower case.
const GOLD_NAMES: [&str; 12] = [
    "label",
    "labels",
    "gold",
    "gold_answer",
    "target",
    "targets",
    "reference",
    "references",
    "ground_truth",
    "groundtruth",
    "gt",
    "expected",
];
/// Names that stand for the side the other columns leave open.
const EITHER_NAMES: [&str; 2] = ["answer", "answers"];

impl Columns {
    fn find(header: &csv::StringRecord, args: &Args) -> Result<Self> {
        let listed = || header.iter().collect::<Vec<_>>().join(", ");
        let prediction = find(header, args.prediction_column.as_deref(), &PREDICTION_NAMES)
            .with_context(|| format!("--prediction-column: columns are {}", listed()))?;
        let gold = find(header, args.gold_column.as_deref(), &GOLD_NAMES)
            .with_context(|| format!("--gold-column: columns are {}", listed()))?;
        let (prediction, gold) = match (prediction, gold) {
            (Some(prediction), Some(gold)) => (prediction, gold),
            (Some(prediction), None) => (prediction, either(header, "gold answers", "--gold-column")?),
            (None, Some(gold)) => (either(header, "predictions", "--prediction-column")?, gold),
            (None, None) => bail!(
                "cannot tell the columns of predictions and gold answers: columns are {} \
                 (name them with --prediction-column and --gold-column)",
                listed()
            ),
        };
        ensure!(prediction != gold, "the predictions and the gold answers cannot be one column");
        Ok(Self { gold, prediction })
    }
}

/// The column the user named, or else the only one with a usual name.
fn find(header: &csv::StringRecord, named: Option<&str>, usual: &[&str]) -> Result<Option<usize>> {
    if let Some(named) = named {
        let mut found = header.iter().enumerate().filter(|(_, name)| *name == named);
        return match (found.next(), found.next()) {
            (Some((index, _)), None) => Ok(Some(index)),
            (Some(_), Some(_)) => bail!("two columns are called `{named}`"),
            (None, _) => bail!("no column is called `{named}`"),
        };
    }
    let found = matching(header, usual);
    match found.as_slice() {
        [] => Ok(None),
        [index] => Ok(Some(*index)),
        [first, second, ..] => {
            bail!("both `{}` and `{}` could be meant: name one", &header[*first], &header[*second])
        }
    }
}

fn either(header: &csv::StringRecord, what: &str, flag: &str) -> Result<usize> {
    match matching(header, &EITHER_NAMES).as_slice() {
        [index] => Ok(*index),
        _ => bail!(
            "cannot tell the column of {what}: columns are {} (name it with {flag})",
            header.iter().collect::<Vec<_>>().join(", ")
        ),
    }
}

/// The columns whose name, case and white space aside, is one of `usual`.
fn matching(header: &csv::StringRecord, usual: &[&str]) -> Vec<usize> {
    let is_usual = |name: &str| usual.contains(&name.trim().to_lowercase().as_str());
    header.iter().enumerate().filter(|(_, name)| is_usual(name)).map(|(index, _)| index).collect()
}
