//! The best model row of a run against its best blind row, in a sentence.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, RandomState};

use anyhow::Result;

use super::aggregate::too_few;
use super::compare::conclusion::interval_words;
use super::scored::scores;
use super::table::Cell;
use super::whole_pairs::WholePairs;
use super::{CONFIDENCE, Leaderboard, RowKind};
use crate::run::store::{PredictionRecord, RunReader};
use chartbench_score::metric::{Convention, Metric};
use chartbench_score::stats::{ChartSums, SignFlips};

/// Tests the difference between the best finished model row of the run and its best finished blind
/// row, question by question, by the convention's first metric. `None` where the run lacks one of
/// the two. `leaderboard` is the run's own, under the same convention.
///
/// # Errors
/// Returns an error if predictions cannot be read.
pub fn against_blind(
    run: &RunReader,
    leaderboard: &Leaderboard,
    convention: &Convention,
) -> Result<Option<String>> {
    let rows = [RowKind::Model, RowKind::Blind].map(|kind| leaderboard.best(kind));
    let ([Some(model), Some(blind)], Some(&metric)) = (rows, convention.metrics.first()) else {
        return Ok(None);
    };
    let measured = Measured {
        model,
        blind,
        convention,
        metric,
    };
    let mut differences = Differences::default();
    measured.read(run, blind, |record, value| {
        differences.add_blind(record, value)
    })?;
    measured.read(run, model, |record, value| {
        differences.add_model(record, value)
    })?;
    Ok(measured.sentence(&differences.into_sums()))
}

/// The two rows, and how they are compared.
struct Measured<'a> {
    model: &'a str,
    blind: &'a str,
    convention: &'a Convention,
    metric: Metric,
}

impl Measured<'_> {
    /// Passes on an adapter's answers, each with its value of the metric in percent.
    fn read(
        &self,
        run: &RunReader,
        adapter: &str,
        mut add: impl FnMut(&PredictionRecord, f64),
    ) -> Result<()> {
        let logs = run.predictions().filter(|(name, _)| *name == adapter);
        for records in WholePairs::new(logs.flat_map(|(_, chunks)| chunks)) {
            let records = records?;
            let scores = scores(&records, self.convention);
            for (record, scores) in records.iter().zip(scores) {
                if let Some(value) = scores.get(self.metric).counted() {
                    add(record, 100.0 * value);
                }
            }
        }
        Ok(())
    }

    /// The conclusion, as `compare` draws it from a single test.
    fn sentence(&self, sums: &ChartSums) -> Option<String> {
        let Self {
            model,
            blind,
            metric,
            ..
        } = self;
        let metric = metric.name();
        let test = SignFlips::default().test(sums).into_iter().next()?;
        let (charts, questions) = sums.counts(0);
        let difference = sums.mean(0)?;
        let p = test.p_value();
        let measured = format!(
            "{difference:+.2} points ({}p {})",
            interval_words(test.interval(CONFIDENCE)),
            Cell::p_value(p, test.is_least()).format_display()
        );
        Some(if too_few(charts, questions) {
            format!(
                "{model} against {blind}, the best blind row: {measured} of {metric}, on too few questions to conclude \
                 anything ({questions} on {charts} charts)."
            )
        } else if p >= 1.0 - CONFIDENCE {
            format!(
                "No difference in {metric} between {model} and {blind}, the best blind row, can be concluded, {measured}."
            )
        } else {
            let verdict = if difference > 0.0 { "better" } else { "worse" };
            format!(
                "{model} is {verdict} than {blind}, the best blind row, in {metric}, by {measured}."
            )
        })
    }
}

/// The differences between two rows, summed by chart. Ids are kept as hashes of 128 bits.
#[derive(Default)]
struct Differences {
    blind: HashMap<[u64; 2], f64>,
    hashers: [RandomState; 2],
    /// By name, so that sums do not depend on the order of the answers.
    charts: BTreeMap<String, usize>,
    sums: Option<ChartSums>,
}

impl Differences {
    fn hash(&self, record: &PredictionRecord) -> [u64; 2] {
        self.hashers
            .each_ref()
            .map(|hasher| hasher.hash_one(&record.id))
    }

    fn add_blind(&mut self, record: &PredictionRecord, value: f64) {
        self.blind.insert(self.hash(record), value);
    }

    fn add_model(&mut self, record: &PredictionRecord, value: f64) {
        let Some(blind) = self.blind.get(&self.hash(record)) else {
            return;
        };
        let difference = value - blind;
        let sums = self.sums.get_or_insert_with(|| ChartSums::new(0, 1));
        let chart = match self.charts.get(&record.chart) {
            Some(&chart) => chart,
            None => {
                let chart = sums.push();
                self.charts.insert(record.chart.clone(), chart);
                chart
            }
        };
        sums.add(chart, 0, difference);
    }

    fn into_sums(self) -> ChartSums {
        let sums = self.sums.unwrap_or_else(|| ChartSums::new(0, 1));
        sums.reordered(self.charts.into_values())
    }
}
