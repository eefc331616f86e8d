//! How an answer is scored: pure functions of a gold answer and a raw prediction.
//!
//! A *convention* is one published way to score chart question answering, faithful to its original down to the order
//! of the float operations, faults included: no convention is "official", each has a name. One module describes and
//! implements one convention; [`CONVENTIONS`] lists them. Adding one is one module here and one line there.
//! [`chartbench`] is our own and the default.
//!
//! [`Summary`] is the mean over questions, the same to the last bit in whatever order they come; [`Steps`] tells how a
//! convention came to its scores.
#![deny(clippy::disallowed_methods)]

pub mod chartbench;
pub mod chartqapro;
pub mod deplot;
pub mod deplot_corrected;
mod edit;
pub mod lm_eval;
pub mod lmms_eval;
pub mod pix2struct;
pub mod python;
pub mod realcqa;
pub mod realcqa_corrected;
mod scores;
mod sensitivity;
pub mod study;
mod summary;
mod tables;
mod trace;
pub mod unichart;
pub mod vlmevalkit;
pub mod vlmevalkit_chartbench;

use std::fmt;

use anyhow::Result;

pub use scores::{Metric, Score, Scores};
pub use sensitivity::{Mistake, Notation, is_right, mistake};
pub use summary::Summary;
pub use tables::asks_for_table;
pub use trace::{Silent, Step, Steps, Trace};

use chartbench_core::names::unknown_name;
use chartbench_core::question::{AnswerType, Gold, Prediction, YearFlags};

/// Every convention there is, the default first, then in alphabetical order.
pub static CONVENTIONS: &[Convention] = &[
    Convention::of::<chartbench::Chartbench>(),
    Convention::of::<chartqapro::ChartQaPro>(),
    Convention::of::<deplot::DePlot>(),
    Convention::of::<deplot_corrected::DePlotCorrected>(),
    Convention::of::<lm_eval::LmEval>(),
    Convention::of::<lmms_eval::LmmsEval>(),
    Convention::of::<pix2struct::Pix2Struct>(),
    Convention::of::<realcqa::RealCqa>(),
    Convention::of::<realcqa_corrected::RealCqaCorrected>(),
    Convention::of::<study::Study>(),
    Convention::of::<unichart::UniChart>(),
    Convention::of::<vlmevalkit::VlmEvalKit>(),
    Convention::of::<vlmevalkit_chartbench::VlmEvalKitChartBench>(),
];

/// One answer with what it is scored against.
#[derive(Clone, Copy, Debug)]
pub struct Pair<'a> {
    pub gold: &'a Gold,
    /// None where the question failed: every convention then gives 0.
    pub prediction: Option<&'a Prediction>,
    /// The question's text, for rules that depend on what is asked.
    pub question: Option<&'a str>,
    pub answer_type: Option<AnswerType>,
    /// ChartQAPro's flags of the gold answer's elements.
    pub year_flags: YearFlags<'a>,
}

impl<'a> Pair<'a> {
    /// An answer of which nothing else is known.
    pub fn new(gold: &'a Gold, prediction: &'a Prediction) -> Self {
        Self { gold, prediction: Some(prediction), question: None, answer_type: None, year_flags: YearFlags::default() }
    }
}

/// What a convention's module defines.
trait Rules {
    /// What users call it.
    const NAME: &'static str;
    /// One line on what it is and where it comes from.
    const ABOUT: &'static str;
    /// What it measures.
    const METRICS: &'static [Metric];
    /// Whether it has rules for tables and for nothing else.
    const TABLES_ONLY: bool = false;

    /// Scores one prediction, telling each step.
    fn score(pair: &Pair<'_>, prediction: &str, trace: &mut impl Trace) -> Scores;
}

/// A named, published way to score one answer.
#[derive(Clone, Copy)]
pub struct Convention {
    /// What users call it, e.g. `pix2struct`.
    pub name: &'static str,
    /// One line on what it is and where it comes from.
    pub about: &'static str,
    /// What it measures; leaderboards sort by the first.
    pub metrics: &'static [Metric],
    /// It applies to questions that ask for a table ([`asks_for_table`]) and to no others.
    pub tables_only: bool,
    score: fn(&Pair<'_>, &str) -> Scores,
    explain: fn(&Pair<'_>, &str, &mut Steps) -> Scores,
}

impl Convention {
    const fn of<R: Rules>() -> Self {
        Self {
            name: R::NAME,
            about: R::ABOUT,
            metrics: R::METRICS,
            tables_only: R::TABLES_ONLY,
            score: |pair, prediction| R::score(pair, prediction, &mut Silent),
            explain: |pair, prediction, steps| R::score(pair, prediction, steps),
        }
    }

    /// The convention called `name`.
    ///
    /// # Errors
    /// Names the nearest conventions when there is none of that name.
    ///
    /// ```
    /// use chartbench::metric::Convention;
    /// assert_eq!(Convention::named("study").unwrap().name, "study");
    /// let error = Convention::named("pix2strukt").unwrap_err().to_string();
    /// assert!(error.contains("nearest: pix2struct"), "{error}");
    /// ```
    pub fn named(name: &str) -> Result<&'static Self> {
        let known = CONVENTIONS.iter().find(|convention| convention.name == name);
        known.ok_or_else(|| unknown_name("convention", name, CONVENTIONS.iter().map(|convention| convention.name)))
    }

    /// Scores one answer. Conventions that know no lists take a list answer as its [`Gold::text`].
    ///
    /// ```
    /// use chartbench::metric::{Convention, Metric, Pair, Score};
    /// use chartbench::sample::{Gold, Prediction};
    /// let (gold, prediction) = (Gold::from("100"), Prediction("105".into()));
    /// let scores = Convention::named("pix2struct").unwrap().score(&Pair::new(&gold, &prediction));
    /// assert_eq!(scores.get(Metric::ExactMatch), Score::Value(0.0));
    /// assert_eq!(scores.get(Metric::RelaxedAccuracy), Score::Value(1.0));
    /// ```
    ///
    /// The two cannot be swapped:
    ///
    /// ```compile_fail,E0308
    /// use chartbench::metric::Pair;
    /// use chartbench::sample::{Gold, Prediction};
    /// Pair::new(&Prediction("105".into()), &Gold::from("100"));
    /// ```
    pub fn score(&self, pair: &Pair<'_>) -> Scores {
        match pair.prediction {
            Some(prediction) => (self.score)(pair, &prediction.0),
            None => Scores::failed(self.metrics),
        }
    }

    /// The same with every step told to `steps`.
    pub fn explain(&self, pair: &Pair<'_>, steps: &mut Steps) -> Scores {
        match pair.prediction {
            Some(prediction) => (self.explain)(pair, &prediction.0, steps),
            None => Scores::failed(self.metrics),
        }
    }
}

impl fmt::Debug for Convention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Convention").field(&self.name).finish()
    }
}

impl PartialEq for Convention {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Convention {}
