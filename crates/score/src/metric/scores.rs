//! The scores of one answer by one convention.

use std::fmt;

use anyhow::Result;
use serde::Serialize;

use chartbench_core::names::UnknownName;

/// The metrics. Conventions define these differently; the name alone does not identify a formula.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// The predicted text equals the gold text, each normalised as the convention does.
    ExactMatch,
    /// In most conventions, numbers within 5 % of the gold number or equal texts (arXiv
    /// 2203.10244).
    #[serde(rename = "relaxed")]
    RelaxedAccuracy,
    /// Average normalised Levenshtein similarity (arXiv 1907.00490), of one answer.
    Anls,
    /// The part of the questions that is right, by a rule of the data set; RealCQA's is a different
    /// function for each answer type.
    Accuracy,
    /// `chartbench`: correct as written.
    Strict,
    /// `chartbench`: correct once notation is normalised.
    Lenient,
    /// Relative mapping similarity of two tables (arXiv 2212.10505): F1 of the data points.
    RmsF1,
    /// RMS: the summed similarity of matched data points over the number of predicted points.
    RmsPrecision,
    /// RMS: the summed similarity of matched data points over the number of gold points.
    RmsRecall,
    /// Relative number set similarity of two tables (arXiv 2203.10244, under this name in
    /// 2212.10505).
    Rnss,
    /// ChartBench's mean over number questions and pairs of assertions (arXiv 2312.15915).
    Overall,
    /// ChartBench: a right and a wrong assertion about one chart are both judged right, of a pair.
    AccPlus,
    /// ChartBench's confusion rate: both assertions of a pair get the same reply. Less is better.
    Cor,
    /// The verdict of a judge: 1 or 0.
    #[serde(rename = "judged")]
    JudgedAccuracy,
    /// Whether a rule that could judge the answer comes to the judge's verdict.
    RuleAgreement,
}

impl Metric {
    const ALL: [Self; 15] = [
        Self::ExactMatch,
        Self::RelaxedAccuracy,
        Self::Anls,
        Self::Accuracy,
        Self::Strict,
        Self::Lenient,
        Self::RmsF1,
        Self::RmsPrecision,
        Self::RmsRecall,
        Self::Rnss,
        Self::Overall,
        Self::AccPlus,
        Self::Cor,
        Self::JudgedAccuracy,
        Self::RuleAgreement,
    ];

    /// The metric whose [`key`](Self::key) is `key`.
    ///
    /// # Errors
    /// Returns an error if no metric has that key; the error names the nearest ones.
    pub fn by_name(key: &str) -> Result<Self, UnknownName> {
        let found = Self::ALL.into_iter().find(|metric| metric.key() == key);
        found.ok_or_else(|| UnknownName::new("metric", key, Self::ALL.into_iter().map(Self::key)))
    }

    /// The metric's name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::ExactMatch => "exact match",
            Self::RelaxedAccuracy => "relaxed accuracy",
            Self::Anls => "ANLS",
            Self::Accuracy => "accuracy",
            Self::Strict => "strict accuracy",
            Self::Lenient => "lenient accuracy",
            Self::RmsF1 => "RMS F1",
            Self::RmsPrecision => "RMS precision",
            Self::RmsRecall => "RMS recall",
            Self::Rnss => "RNSS",
            Self::Overall => "overall",
            Self::AccPlus => "Acc+",
            Self::Cor => "CoR",
            Self::JudgedAccuracy => "judged accuracy",
            Self::RuleAgreement => "rule agreement",
        }
    }

    /// The metric's name in files, as in `CONVENTION.METRIC`.
    pub fn key(self) -> &'static str {
        match self {
            Self::ExactMatch => "exact_match",
            Self::RelaxedAccuracy => "relaxed",
            Self::Anls => "anls",
            Self::Accuracy => "accuracy",
            Self::Strict => "strict",
            Self::Lenient => "lenient",
            Self::RmsF1 => "rms_f1",
            Self::RmsPrecision => "rms_precision",
            Self::RmsRecall => "rms_recall",
            Self::Rnss => "rnss",
            Self::Overall => "overall",
            Self::AccPlus => "acc_plus",
            Self::Cor => "cor",
            Self::JudgedAccuracy => "judged",
            Self::RuleAgreement => "rule_agreement",
        }
    }

    /// Whether a higher value is better, as in all metrics but the rates of errors.
    pub fn higher_is_better(self) -> bool {
        self != Self::Cor
    }
}

/// The value of one metric for one answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Score {
    /// In 0..=1; RealCQA's unranked lists can exceed 1 (their module says how).
    Value(f64),
    /// The convention's original raises this exception, which ends its whole evaluation; here the
    /// answer counts 0 and the error is counted.
    Raises(&'static str),
    /// The convention has no rule for this question, as RealCQA's without an answer type.
    Inapplicable,
}

impl Score {
    /// The value in a mean: 0 where the original raises, `None` where the convention does not
    /// apply.
    pub fn counted(self) -> Option<f64> {
        match self {
            Self::Value(value) => Some(value),
            Self::Raises(_) => Some(0.0),
            Self::Inapplicable => None,
        }
    }
}

/// The form in files of scores: the number, `ERR:` and the exception, `null` where the convention
/// does not apply.
impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(value) => write!(f, "{value}"),
            Self::Raises(exception) => write!(f, "ERR:{exception}"),
            Self::Inapplicable => f.write_str("null"),
        }
    }
}

impl From<bool> for Score {
    fn from(correct: bool) -> Self {
        Self::Value(f64::from(correct))
    }
}

/// The values of a convention's metrics for one answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scores {
    metrics: &'static [Metric],
    values: [Score; Self::MAX_METRICS],
}

impl Scores {
    /// The most metrics of a convention.
    pub(super) const MAX_METRICS: usize = 5;

    /// `values` in the order of `metrics`.
    pub(super) fn new<const N: usize>(metrics: &'static [Metric], values: [Score; N]) -> Self {
        let mut all = [Score::Inapplicable; Self::MAX_METRICS];
        all.iter_mut()
            .zip(values)
            .for_each(|(slot, value)| *slot = value);
        Self {
            metrics,
            values: all,
        }
    }

    /// The scores of a failed question: 0 in every metric; nobody judged it, so that no rule can
    /// agree.
    pub fn failed(metrics: &'static [Metric]) -> Self {
        let mut values = [Score::Value(0.0); Self::MAX_METRICS];
        for (value, metric) in values.iter_mut().zip(metrics) {
            if *metric == Metric::RuleAgreement {
                *value = Score::Inapplicable;
            }
        }
        Self { metrics, values }
    }

    /// The metrics, in the convention's order.
    pub fn metrics(&self) -> &'static [Metric] {
        self.metrics
    }

    /// Every metric with its value, in the convention's order.
    pub fn iter(&self) -> impl Iterator<Item = (Metric, Score)> + '_ {
        self.metrics.iter().copied().zip(self.values)
    }

    /// One metric's value; inapplicable if the convention does not have the metric.
    pub fn get(&self, metric: Metric) -> Score {
        self.iter()
            .find(|(listed, _)| *listed == metric)
            .map_or(Score::Inapplicable, |(_, score)| score)
    }
}
