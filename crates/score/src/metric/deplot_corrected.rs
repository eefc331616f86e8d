//! `deplot-corrected`: DePlot's table metrics with the faults of [`deplot`](super::deplot)
//! corrected. It is unpublished.
//!
//! **RMS** and **RNSS** are as on that page, with these corrections:
//! - F1 is the harmonic mean of precision and recall.
//! - Tables are read as models write them ([`DataTable::parse`]): rows by line breaks, `<0x0A>` or
//!   UniChart's `&`, cells by `|` with or without blanks. A prediction that is not a table scores 0
//!   in every metric; the convention does not apply to a gold that is not a table.
//! - A gold 0 has distance 0 from 0, however written, and 1 from everything else. Equal cells
//!   agree, `nan` too.
//! - Every row is its own points, also under a key that occurs twice. Of equally near keys those
//!   with the nearest values are matched, so that the order of rows changes nothing.
//! - The title counts where the gold has one; a title that is read where the gold has none costs
//!   nothing.
//! - To RNSS `5%` is 0.05, as to RMS; the title's numbers are not the table's; a number left over
//!   on either side has distance 1.
//! - An empty prediction has precision 0.
//!
//! Kept: 10 % for numbers and ANLS from 0.5 on for texts, `%` as 1/100, `1,234` and `$5` as texts,
//! the transpose.

use super::tables::{self, Agreement, anls, assignment, number};
use super::{Metric, Pair, Rules, Score, Scores, Trace, python};
use chartbench_core::data_table::DataTable;

/// See the module's page.
pub struct DePlotCorrectedRules;

/// Weight of the values against the keys in the matching: it decides among equal keys only.
const VALUE_WEIGHT: f64 = 1.0 / (1 << 30) as f64;

impl Rules for DePlotCorrectedRules {
    const NAME: &'static str = "deplot-corrected";
    const ABOUT: &'static str =
        "DePlot's RMS and RNSS with their faults mended; not published; for table questions only";
    const METRICS: &'static [Metric] = tables::METRICS;
    const TABLES_ONLY: bool = true;

    fn score(pair: &Pair<'_>, prediction: &str, trace: &mut impl Trace) -> Scores {
        let Some(gold) = tables::gold(pair, trace) else {
            return tables::inapplicable();
        };
        let mut all = |rule, error: anyhow::Error| {
            Self::METRICS
                .iter()
                .for_each(|metric| trace.step(*metric, rule, || format!("{error:#}")));
        };
        let gold = match DataTable::parse(&gold) {
            Ok(gold) => gold,
            Err(error) => {
                all("the gold is no table: does not apply", error);
                return tables::inapplicable();
            }
        };
        let predicted = match DataTable::parse(prediction) {
            Ok(predicted) => predicted,
            Err(error) => {
                all("the prediction is no table: 0", error);
                return Scores::failed(Self::METRICS);
            }
        };
        let values = rms(&gold, &predicted, trace)
            .and_then(|rms| Ok((rms, rnss(&gold, &predicted, trace)?)));
        let (rms, rnss) = match values {
            Ok(values) => values,
            Err(error) => return tables::unmatched(error, trace),
        };
        let values = [rms.f1, rms.precision, rms.recall, rnss];
        Scores::new(Self::METRICS, values.map(Score::Value))
    }
}

/// A cell with its number, lower-cased.
struct Cell {
    text: String,
    number: Option<f64>,
}

impl Cell {
    fn new(text: &str) -> Self {
        Self {
            text: plain(text),
            number: number(text).filter(|number| number.is_finite()),
        }
    }

    /// The similarity of `predicted`, from 0 to 1.
    fn similarity(&self, predicted: &Self) -> f64 {
        match (self.number, predicted.number) {
            _ if self.text == predicted.text => 1.0,
            (Some(t), Some(p)) => {
                let distance = relative_distance(t, p);
                if distance < 0.1 { 1.0 - distance } else { 0.0 }
            }
            _ => anls(&self.text, &predicted.text),
        }
    }
}

fn plain(text: &str) -> String {
    python::lower(python::strip(text)).into_owned()
}

fn relative_distance(t: f64, p: f64) -> f64 {
    // Halves do not overflow.
    if t == p {
        0.0
    } else {
        ((t / 2.0 - p / 2.0) / (t / 2.0)).abs().min(1.0)
    }
}

type Points = Vec<(String, Cell)>;

fn rms(
    gold: &DataTable,
    predicted: &DataTable,
    trace: &mut impl Trace,
) -> Result<Agreement, Score> {
    let title = |table: &DataTable| {
        let both = !gold.title.is_empty() && !table.title.is_empty();
        both.then(|| ("title".to_owned(), Cell::new(&table.title)))
    };
    let gold_title = (!gold.title.is_empty()).then(|| ("title".to_owned(), Cell::new(&gold.title)));
    let gold_points: Points = gold_title
        .into_iter()
        .chain(points(&gold.header, &gold.rows))
        .collect();
    let (header, rows) = transpose(predicted);
    let straight: Points = title(predicted)
        .into_iter()
        .chain(points(&predicted.header, &predicted.rows))
        .collect();
    let transposed: Points = title(predicted)
        .into_iter()
        .chain(points(&header, &rows))
        .collect();
    let agreements = [
        agreement(&gold_points, &straight)?,
        agreement(&gold_points, &transposed)?,
    ];
    let (rule, best) = match agreements {
        [straight, transposed] if transposed.f1 > straight.f1 => (
            "points matched by key, then value, the prediction transposed",
            transposed,
        ),
        [straight, _] => ("points matched by key, then value", straight),
    };
    for metric in [Metric::RmsF1, Metric::RmsPrecision, Metric::RmsRecall] {
        trace.step(metric, rule, || {
            let Agreement {
                precision, recall, ..
            } = best;
            let (gold, predicted) = (gold_points.len(), straight.len());
            format!(
                "{gold} gold points, {predicted} predicted: precision {precision}, recall {recall}"
            )
        });
    }
    Ok(best)
}

fn points(header: &[String], rows: &[Vec<String>]) -> Points {
    let mut points = Points::new();
    for row in rows {
        let Some((row_name, cells)) = row.split_first() else {
            continue;
        };
        let columns = header.iter().skip(1).zip(cells);
        points.extend(
            columns.map(|(column, cell)| (plain(&format!("{row_name} {column}")), Cell::new(cell))),
        );
    }
    points
}

fn transpose(table: &DataTable) -> (Vec<String>, Vec<Vec<String>>) {
    let grid: Vec<&Vec<String>> = std::iter::once(&table.header).chain(&table.rows).collect();
    let column = |index: usize| {
        grid.iter()
            .map(|row| row.get(index).cloned().unwrap_or_default())
            .collect()
    };
    (column(0), (1..table.width()).map(column).collect())
}

fn agreement(gold: &Points, predicted: &Points) -> Result<Agreement, Score> {
    match (gold.is_empty(), predicted.is_empty()) {
        (true, true) => return Ok(Agreement::FULL),
        (false, false) => {}
        _ => return Ok(Agreement::NONE),
    }
    let mut worth = Vec::with_capacity(gold.len() * predicted.len());
    let mut cost = Vec::with_capacity(gold.len() * predicted.len());
    for (gold_key, gold_cell) in gold {
        for (key, cell) in predicted {
            let keys = anls(gold_key, key);
            let values = if keys > 0.0 {
                gold_cell.similarity(cell)
            } else {
                0.0
            };
            worth.push(keys * values);
            cost.push((1.0 - keys) + VALUE_WEIGHT * (1.0 - values));
        }
    }
    let pairs = assignment(gold.len(), predicted.len(), &cost)?;
    let sum = pairs
        .into_iter()
        .map(|(row, column)| worth[row * predicted.len() + column])
        .sum();
    Ok(Agreement::from_similarities(
        sum,
        predicted.len(),
        gold.len(),
    ))
}

fn rnss(gold: &DataTable, predicted: &DataTable, trace: &mut impl Trace) -> Result<f64, Score> {
    let (gold, predicted) = (numbers(gold), numbers(predicted));
    let score = match (gold.is_empty(), predicted.is_empty()) {
        (true, true) => 1.0,
        (false, false) => {
            let row = |t: &f64| {
                predicted
                    .iter()
                    .map(|p| relative_distance(*t, *p))
                    .collect::<Vec<_>>()
            };
            let cost: Vec<f64> = gold.iter().flat_map(row).collect();
            let pairs = assignment(gold.len(), predicted.len(), &cost)?;
            let similarity =
                |(row, column): (usize, usize)| 1.0 - cost[row * predicted.len() + column];
            pairs.into_iter().map(similarity).sum::<f64>() / gold.len().max(predicted.len()) as f64
        }
        _ => 0.0,
    };
    trace.step(
        Metric::Rnss,
        "numbers matched; a number left over counts as wrong",
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

fn numbers(table: &DataTable) -> Vec<f64> {
    let cells = table.header.iter().chain(table.rows.iter().flatten());
    cells
        .filter_map(|cell| number(cell))
        .filter(|number| number.is_finite())
        .collect()
}
