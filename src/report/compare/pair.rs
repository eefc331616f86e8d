//! An adapter's answers before and after, question by question.

use std::collections::{BTreeMap, HashMap};

use crate::record::AdapterEntry;
use crate::report::scored::numbered;
use crate::report::{CONFIDENCE, Dimension, Key, Scored};
use chartbench_score::metric::Metric;
use chartbench_score::stats::{ChartSums, Interval, SignFlipTest, SignFlips, mcnemar};

/// Both sides' answers to the same questions, in the same order.
pub(super) struct Pair<'a> {
    /// Its name; `A -> B` where the sides have different ones.
    pub(super) adapter: String,
    pub(super) before: Scored<'a>,
    pub(super) after: Scored<'a>,
    /// What the manifests record of both sides.
    pub(super) entries: [Option<&'a AdapterEntry>; 2],
}

/// What became of one metric, in points of percent.
pub(super) struct Change {
    pub(super) before: Option<f64>,
    pub(super) after: Option<f64>,
    /// Of the difference.
    pub(super) interval: Option<Interval>,
    /// Questions that score higher, and lower.
    pub(super) fixed: usize,
    pub(super) broken: usize,
    /// Of no difference, from the sign-flip test over charts.
    pub(super) p: f64,
    /// The true `p` may be smaller: it is the least that so many random flips can show.
    pub(super) p_is_least: bool,
    /// Charts and questions that the metric applies to.
    pub(super) charts: usize,
    pub(super) questions: usize,
    /// The same by McNemar's test, where every score is right or wrong.
    pub(super) mcnemar: Option<f64>,
    /// The smallest difference that such a comparison finds in 80 % of cases.
    pub(super) detectable: Option<f64>,
}

impl Change {
    pub(super) fn difference(&self) -> Option<f64> {
        Some(self.after? - self.before?)
    }
}

impl<'a> Pair<'a> {
    /// Pairs answers by question; those to questions that only one side has are left out. `names` are what each side's
    /// adapter is called in tables.
    pub(super) fn new(
        names: &[String; 2],
        before: &Scored<'a>,
        after: &Scored<'a>,
        entries: [Option<&'a AdapterEntry>; 2],
    ) -> Self {
        let adapter = if names[0] == names[1] { names[0].clone() } else { names.join(" -> ") };
        Self::named(adapter, before, after, entries)
    }

    fn named(adapter: String, before: &Scored<'a>, after: &Scored<'a>, entries: [Option<&'a AdapterEntry>; 2]) -> Self {
        let places: HashMap<&str, usize> =
            after.records.iter().enumerate().map(|(place, record)| (record.id.as_str(), place)).collect();
        let both = before.records.iter().enumerate();
        let both = both.filter_map(|(place, record)| Some((place, *places.get(record.id.as_str())?)));
        let (olds, news): (Vec<usize>, Vec<usize>) = both.unzip();
        Self { adapter, before: before.at(&olds), after: after.at(&news), entries }
    }

    /// The parts along a dimension.
    pub(super) fn parts(&self, dimension: &Dimension) -> BTreeMap<Key, Self> {
        let mut afters = dimension.parts(&self.after);
        let befores = dimension.parts(&self.before).into_iter();
        let part =
            |before: &Scored<'a>, after: &Scored<'a>| Self::named(self.adapter.clone(), before, after, self.entries);
        befores.filter_map(|(key, before)| Some((key.clone(), part(&before, &afters.remove(&key)?)))).collect()
    }

    /// The questions whose score by `metric` is another one, and whether it rose.
    pub(super) fn changed(&self, metric: Metric) -> impl Iterator<Item = (usize, bool)> {
        self.values(metric).filter(|(_, before, after)| before != after).map(|(place, a, b)| (place, b > a))
    }

    /// The questions that `metric` applies to, with both values.
    fn values(&self, metric: Metric) -> impl Iterator<Item = (usize, f64, f64)> {
        let values = move |place| Some((place, self.before.value(place, metric)?, self.after.value(place, metric)?));
        (0..self.before.records.len()).filter_map(values)
    }

    /// Every metric of the convention.
    pub(super) fn changes(&self, sign_flips: &SignFlips) -> Vec<(Metric, Change)> {
        let metrics = self.before.convention.metrics;
        let numbers = numbered(self.before.records.iter().map(|record| record.chart.as_str()));
        let mut charts = ChartSums::new(numbers.len(), metrics.len());
        for (statistic, &metric) in metrics.iter().enumerate() {
            for (place, before, after) in self.values(metric) {
                let chart = numbers[self.before.records[place].chart.as_str()];
                charts.add(chart, statistic, 100.0 * (after - before));
            }
        }
        let tests = sign_flips.test(&charts).into_iter().enumerate();
        let changes = metrics.iter().zip(tests);
        changes.map(|(&metric, (statistic, test))| (metric, self.change(metric, &charts, statistic, &test))).collect()
    }

    fn change(&self, metric: Metric, changes: &ChartSums, statistic: usize, test: &SignFlipTest) -> Change {
        let mean = |side: &Scored<'_>| side.summary().and_then(|summary| summary.mean(metric));
        let rose: Vec<bool> = self.changed(metric).map(|(_, rose)| rose).collect();
        let fixed = rose.iter().filter(|rose| **rose).count();
        let broken = rose.len() - fixed;
        let is_binary = self.values(metric).all(|(_, a, b)| [a, b].iter().all(|value| [0.0, 1.0].contains(value)));
        let (charts, questions) = changes.counts(statistic);
        Change {
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
