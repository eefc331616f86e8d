//! An adapter's answers before and after, question by question.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::report::scored::numbered;
use crate::report::table::Cell;
use crate::report::{CONFIDENCE, Scored, SliceBy, SliceValue};
use crate::run::store::AdapterEntry;
use chartbench_core::terminal::shorten;
use chartbench_score::metric::Metric;
use chartbench_score::stats::{ChartSums, Interval, SignFlipTest, SignFlips, mcnemar};

/// Both sides' answers to the same questions, in the same order.
pub(in crate::report) struct Pair<'a> {
    /// Its name; `A -> B` where the sides have different ones.
    pub(in crate::report) adapter: String,
    pub(in crate::report) before: Scored<'a>,
    pub(in crate::report) after: Scored<'a>,
    /// Both sides' entries in the manifests.
    pub(in crate::report) entries: [Option<&'a AdapterEntry>; 2],
}

/// The change of one metric, in percentage points.
pub(in crate::report) struct Change {
    /// Whether more of the metric is better.
    higher_is_better: bool,
    pub(in crate::report) before: Option<f64>,
    pub(in crate::report) after: Option<f64>,
    /// The interval of the difference.
    pub(in crate::report) interval: Option<Interval>,
    /// Questions that score better, and worse.
    pub(in crate::report) fixed: usize,
    pub(in crate::report) broken: usize,
    /// P-value of the sign-flip test over charts.
    pub(in crate::report) p: f64,
    /// Whether `p` is the smallest value that the number of random flips can show; the true one may
    /// be smaller.
    pub(in crate::report) p_is_least: bool,
    /// Charts and questions that the metric applies to.
    pub(in crate::report) charts: usize,
    pub(in crate::report) questions: usize,
    /// P-value of McNemar's test, if every score is 0 or 1.
    pub(in crate::report) mcnemar: Option<f64>,
    /// The smallest difference that such a comparison detects with 80 % power.
    pub(in crate::report) detectable: Option<f64>,
}

impl Change {
    pub(in crate::report) fn difference(&self) -> Option<f64> {
        Some(self.after? - self.before?)
    }

    /// The difference, positive where the second side is better.
    pub(in crate::report) fn improvement(&self) -> Option<f64> {
        let difference = self.difference()?;
        Some(if self.higher_is_better {
            difference
        } else {
            -difference
        })
    }

    /// The cell of a p-value of this test.
    pub(in crate::report) fn probability(&self, p: f64) -> Cell {
        Cell::p_value(p, self.p_is_least)
    }
}

impl<'a> Pair<'a> {
    /// Pairs answers by question; those to questions that only one side has are left out. `names`
    /// are what each side's adapter is called in tables.
    pub(in crate::report) fn new(
        names: &[String; 2],
        before: &Scored<'a>,
        after: &Scored<'a>,
        entries: [Option<&'a AdapterEntry>; 2],
    ) -> Self {
        let adapter = if names[0] == names[1] {
            names[0].clone()
        } else {
            names.join(" -> ")
        };
        Self::with_name(adapter, before, after, entries)
    }

    fn with_name(
        adapter: String,
        before: &Scored<'a>,
        after: &Scored<'a>,
        entries: [Option<&'a AdapterEntry>; 2],
    ) -> Self {
        let places: HashMap<&str, usize> = after
            .records
            .iter()
            .enumerate()
            .map(|(place, record)| (record.id.as_str(), place))
            .collect();
        let both = before.records.iter().enumerate();
        let both =
            both.filter_map(|(place, record)| Some((place, *places.get(record.id.as_str())?)));
        let (olds, news): (Vec<usize>, Vec<usize>) = both.unzip();
        Self {
            adapter,
            before: before.select(&olds),
            after: after.select(&news),
            entries,
        }
    }

    /// The parts along a property.
    pub(in crate::report) fn parts(&self, slice_by: &SliceBy) -> BTreeMap<SliceValue, Self> {
        let mut afters = slice_by.parts(&self.after);
        let befores = slice_by.parts(&self.before).into_iter();
        let part = |before: &Scored<'a>, after: &Scored<'a>| {
            Self::with_name(self.adapter.clone(), before, after, self.entries)
        };
        befores
            .filter_map(|(key, before)| Some((key.clone(), part(&before, &afters.remove(&key)?))))
            .collect()
    }

    /// The questions whose score by `metric` is another one, and whether it is better.
    pub(in crate::report) fn changed(&self, metric: Metric) -> impl Iterator<Item = (usize, bool)> {
        self.values(metric)
            .filter(|(_, before, after)| before != after)
            .map(move |(place, a, b)| (place, (b > a) == metric.higher_is_better()))
    }

    /// The questions that `metric` applies to, with both values.
    fn values(&self, metric: Metric) -> impl Iterator<Item = (usize, f64, f64)> {
        let values = move |place| {
            Some((
                place,
                self.before.value(place, metric)?,
                self.after.value(place, metric)?,
            ))
        };
        (0..self.before.records.len()).filter_map(values)
    }

    /// Every metric of the convention.
    pub(in crate::report) fn changes(&self, sign_flips: &SignFlips) -> Vec<(Metric, Change)> {
        let metrics = self.before.convention.metrics;
        let numbers = numbered(
            self.before
                .records
                .iter()
                .map(|record| record.chart.as_str()),
        );
        let mut charts = ChartSums::new(numbers.len(), metrics.len());
        for (statistic, &metric) in metrics.iter().enumerate() {
            for (place, before, after) in self.values(metric) {
                let chart = numbers[self.before.records[place].chart.as_str()];
                charts.add(chart, statistic, 100.0 * (after - before));
            }
        }
        let tests = sign_flips.test(&charts).into_iter().enumerate();
        let changes = metrics.iter().zip(tests);
        changes
            .map(|(&metric, (statistic, test))| {
                (metric, self.change(metric, &charts, statistic, &test))
            })
            .collect()
    }

    fn change(
        &self,
        metric: Metric,
        changes: &ChartSums,
        statistic: usize,
        test: &SignFlipTest,
    ) -> Change {
        let mean = |side: &Scored<'_>| side.summary().and_then(|summary| summary.mean(metric));
        let rose: Vec<bool> = self.changed(metric).map(|(_, rose)| rose).collect();
        let fixed = rose.iter().filter(|rose| **rose).count();
        let broken = rose.len() - fixed;
        let is_binary = self
            .values(metric)
            .all(|(_, a, b)| [a, b].iter().all(|value| [0.0, 1.0].contains(value)));
        let (charts, questions) = changes.counts(statistic);
        Change {
            higher_is_better: metric.higher_is_better(),
            before: mean(&self.before),
            after: mean(&self.after),
            interval: test.interval(CONFIDENCE),
            fixed,
            broken,
            p: test.p_value(),
            p_is_least: test.is_least(),
            charts,
            questions,
            mcnemar: is_binary.then(|| mcnemar(fixed, broken)),
            detectable: changes.detectable(statistic, CONFIDENCE),
        }
    }
}

/// How a model was trained is one difference, however many settings it has.
const TRAINING: &str = "finetune.";

/// `ADAPTER: settings differ: KEY BEFORE / AFTER, ...`; `None` where both sides answered with the
/// same. Of two adapters of different names only the settings that both have.
pub(in crate::report) fn describe_settings(pair: &Pair<'_>) -> Option<String> {
    let [Some(before), Some(after)] = pair.entries else {
        return None;
    };
    let keys: BTreeSet<&String> = before
        .settings
        .keys()
        .chain(after.settings.keys())
        .collect();
    let one_is_trained = is_trained(before) != is_trained(after);
    let mut differences: Vec<String> = keys
        .into_iter()
        .filter(|key| before.settings.get(*key) != after.settings.get(*key))
        .filter(|key| !(one_is_trained && key.starts_with(TRAINING)))
        .filter(|key| {
            before.id == after.id
                || [before, after]
                    .iter()
                    .all(|side| side.settings.contains_key(*key))
        })
        .map(|key| {
            format!(
                "{key} {} / {}",
                setting_value(before, key),
                setting_value(after, key)
            )
        })
        .collect();
    if one_is_trained {
        let [before, after] =
            [before, after].map(|side| if is_trained(side) { "yes" } else { "no" });
        differences.push(format!("fine-tuned {before} / {after}"));
    }
    (!differences.is_empty()).then(|| {
        format!(
            "{}: settings differ: {}",
            pair.adapter,
            differences.join(", ")
        )
    })
}

fn is_trained(entry: &AdapterEntry) -> bool {
    entry.settings.keys().any(|key| key.starts_with(TRAINING))
}

/// A setting's value; a hash by its first characters, as tables show it.
fn setting_value(entry: &AdapterEntry, key: &str) -> String {
    let Some(value) = entry.settings.get(key) else {
        return "none".to_owned();
    };
    let text = value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned);
    match text.get(..12) {
        Some(first) if key.contains("hash") || key.contains("sha256") => first.to_owned(),
        _ => shorten(&text),
    }
}
