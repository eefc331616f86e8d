//! Whether drawn train and test charts are apart: those of a benchmark, and those of other drawn
//! benchmarks, which models are trained on before.
//!
//! Charts are the same where their data tables are, however they are drawn. A picture shows its
//! table, so that no two pictures are the same where the tables differ; the pictures of the
//! benchmark itself are compared besides. Charts of two seeds, or of two splits of one seed, come from
//! generators of their own.

use std::collections::HashMap;

use anyhow::Result;
use rayon::prelude::*;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::{Finding, FindingKind, SplitChart};
use crate::{Ask, Format, QuestionSetSpec, Questions};
use chartbench_core::question::{Chart, QuestionSet, Split};

/// SHA-256 of a linearised data table.
pub(super) type TableKey = [u8; 32];

/// What was found about train charts on the one side and test charts on the other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Separation {
    /// The benchmarks compared with, which draw the same charts; the first entry of a report is
    /// the checked benchmark, its own train split against its test split.
    pub benchmarks: Vec<String>,
    /// Their seed.
    pub seed: u64,
    /// Charts that one side trains on and the other tests.
    pub shared: usize,
    /// By what charts were compared: `id`, `image`, `data table`.
    pub compared: Vec<&'static str>,
}

/// The charts of drawn benchmarks that have them in common.
pub(super) struct DrawnCharts {
    names: Vec<String>,
    seed: u64,
    train: QuestionSet,
    test: QuestionSet,
}

/// Draws the charts of those of `specs` that draw charts which `own` does not.
///
/// # Errors
/// Returns an error if charts cannot be drawn by this build.
pub(super) fn draw_others(
    own: &QuestionSetSpec,
    specs: &[QuestionSetSpec],
) -> Result<Vec<DrawnCharts>> {
    let drawn = |spec: &QuestionSetSpec| match spec.format {
        Format::Synth {
            seed, train, test, ..
        } => Some((seed, train, test)),
        _ => None,
    };
    let (own_seed, own_train, own_test) = drawn(own).unwrap_or_default();
    let mut counts: Vec<(u64, usize, usize)> = Vec::new();
    let mut others: Vec<DrawnCharts> = Vec::new();
    for spec in specs {
        let Some((seed, train, test)) = drawn(spec) else {
            continue;
        };
        if seed == own_seed && train <= own_train && test <= own_test {
            continue;
        }
        let mut known = others.iter_mut().zip(&counts);
        if let Some((other, _)) = known.find(|(_, counts)| **counts == (seed, train, test)) {
            other.names.push(spec.name.clone());
            continue;
        }
        counts.push((seed, train, test));
        let spec = QuestionSetSpec {
            format: Format::Synth {
                seed,
                train,
                test,
                // The charts are the same whatever is asked about them.
                questions_per_chart: 1,
            },
            ask: Ask::Questions,
            questions: Questions::All,
            listed: None,
            hash: None,
            ..spec.clone()
        };
        others.push(DrawnCharts {
            names: vec![spec.name.clone()],
            seed,
            train: crate::load(&spec, None, Split::Train)?,
            test: crate::load(&spec, None, Split::Test)?,
        });
    }
    Ok(others)
}

/// The keys of the charts' tables, in order; empty unless the charts are drawn.
pub(super) fn table_keys(format: &Format, charts: &[SplitChart<'_>]) -> Vec<Option<TableKey>> {
    match format {
        Format::Synth { .. } => charts
            .par_iter()
            .map(|split_chart| table_key(split_chart.chart))
            .collect(),
        _ => Vec::new(),
    }
}

fn table_key(chart: &Chart) -> Option<TableKey> {
    let table = chart.table.as_ref()?.0.table().ok()?;
    Some(Sha256::digest(table.linearized()).into())
}

/// The charts that one of two benchmarks trains on and the other tests: `charts`, whose tables'
/// keys are `tables`, and `other`'s.
pub(super) fn shared_charts(
    charts: &[SplitChart<'_>],
    tables: &[Option<TableKey>],
    other: &DrawnCharts,
) -> Vec<Finding> {
    let ids = |set: &QuestionSet| -> HashMap<TableKey, String> {
        let keys = set.charts.par_iter().filter_map(|entry| {
            let chart = &entry.chart;
            Some((table_key(chart)?, chart.id.clone()))
        });
        keys.collect()
    };
    let (train, test) = (ids(&other.train), ids(&other.test));
    let mut findings = Vec::new();
    for (chart, key) in charts.iter().zip(tables) {
        let (theirs, split) = match chart.split {
            Split::Test => (&train, Split::Train),
            Split::Train => (&test, Split::Test),
        };
        let Some(id) = key.as_ref().and_then(|key| theirs.get(key)) else {
            continue;
        };
        let message = format!(
            "the same data table as the {split} chart `{id}` of {}",
            other.names.join(", ")
        );
        let kind = FindingKind::ChartInTrainAndTest;
        findings.push(Finding::about_chart(kind, chart, message).colliding_with(id));
    }
    findings
}

/// The separation of a drawn benchmark's own train and test charts, of which `shared` are in both.
pub(super) fn own(name: String, seed: u64, shared: usize, images: bool) -> Separation {
    let image = images.then_some("image");
    Separation {
        benchmarks: vec![name],
        seed,
        shared,
        compared: ["id"]
            .into_iter()
            .chain(image)
            .chain(["data table"])
            .collect(),
    }
}

/// The separation from another benchmark, with which `shared` charts are in common.
pub(super) fn from_other(other: &DrawnCharts, shared: usize) -> Separation {
    Separation {
        benchmarks: other.names.clone(),
        seed: other.seed,
        shared,
        compared: vec!["data table"],
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use chartbench_core::data_table::DataTable;
    use chartbench_core::question::{ChartQuestions, ImageRef, TableRef, TableSource};

    /// A table of one number.
    struct Number(i32);

    impl TableSource for Number {
        fn table(&self) -> Result<DataTable> {
            DataTable::parse(&format!("x | y\na | {}", self.0))
        }
    }

    fn set(charts: &[(&str, i32)]) -> QuestionSet {
        let chart = |&(id, number): &(&str, i32)| ChartQuestions {
            chart: Chart {
                id: id.to_owned(),
                image: ImageRef::File("none.png".into()),
                chart_type: None,
                table: Some(TableRef(Arc::new(Number(number)))),
            },
            questions: Vec::new(),
        };
        QuestionSet {
            benchmark: "made-up".to_owned(),
            charts: charts.iter().map(chart).collect(),
        }
    }

    const SYNTH: Format = Format::Synth {
        seed: 1,
        train: 3,
        test: 2,
        questions_per_chart: 1,
    };

    #[test]
    fn a_chart_that_one_trains_on_and_the_other_tests_is_found() {
        let (train, test) = (
            set(&[("a", 1), ("b", 2), ("c", 3)]),
            set(&[("d", 4), ("e", 5)]),
        );
        let other = DrawnCharts {
            names: vec!["other".to_owned()],
            seed: 2,
            // Trained on by both is no fault.
            train: set(&[("f", 6), ("g", 5), ("h", 1)]),
            test: set(&[("i", 2), ("j", 4)]),
        };
        let charts: Vec<SplitChart<'_>> = [(Split::Train, &train), (Split::Test, &test)]
            .into_iter()
            .flat_map(|(split, set)| {
                set.charts.iter().map(move |entry| SplitChart {
                    split,
                    chart: &entry.chart,
                    questions: &entry.questions,
                })
            })
            .collect();
        let tables = table_keys(&SYNTH, &charts);
        let found = shared_charts(&charts, &tables, &other);
        let found: Vec<_> = found
            .iter()
            .map(|finding| (finding.chart.as_deref(), finding.message.as_str()))
            .collect();
        assert_eq!(
            found,
            [
                (
                    Some("b"),
                    "the same data table as the test chart `i` of other"
                ),
                (
                    Some("e"),
                    "the same data table as the train chart `g` of other"
                ),
            ]
        );
        assert!(table_keys(&Format::RealCqa, &charts).is_empty());
    }
}
