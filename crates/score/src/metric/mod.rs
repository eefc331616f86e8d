//! Scores answers: pure functions of a gold answer and a raw prediction.
//!
//! A *convention* is one published way to score chart question answering, faithful to its original
//! down to the order of the float operations, faults included: no convention is "official", each
//! has a name. Each module describes and implements one convention; [`CONVENTIONS`] lists them. A
//! new convention needs one module here and one line there. [`chartbench`] is this project's own
//! and the default. Conventions that leave the decision to a language model
//! ([`JUDGED_CONVENTIONS`]) score by its stored verdicts ([`Judgement`]), and ask nobody.
//!
//! [`Summary`] is the mean over questions, the same to the last bit in any order; [`StepTrace`]
//! records the steps by which a convention came to its scores.
#![deny(clippy::disallowed_methods)]

pub mod chartbench;
pub mod chartmuseum;
pub mod chartqapro;
pub mod chartqapro_exact;
pub mod charxiv;
pub mod charxiv_single;
mod closed_form;
mod counterparts;
pub mod deplot;
pub mod deplot_corrected;
pub mod dvqa;
pub mod evochart_qa;
pub mod figureqa;
pub mod idea_finai_chartbench;
mod judgement;
pub mod lm_eval;
pub mod lm_eval_anywhere;
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
pub mod tinychart;
mod trace;
pub mod unichart;
pub mod vlmevalkit;
pub mod vlmevalkit_chartbench;

use std::fmt;

use anyhow::Result;

pub use counterparts::{Counterpart, Counterparts};
pub use scores::{Metric, Score, Scores};
pub use sensitivity::{Mistake, Notation, is_right, mistake};
pub use summary::Summary;
pub use tables::asks_for_table;
pub use trace::{SilentTrace, Step, StepTrace, Trace};

use chartbench_core::judgement::Judgement;
use chartbench_core::names::UnknownName;
use chartbench_core::question::{AnswerType, Gold, Prediction, QuestionKind, YearFlags};

/// All conventions that score by rules, the default first, then in alphabetical order.
pub static CONVENTIONS: &[Convention] = &[
    Convention::from_rules::<chartbench::ChartbenchRules>(),
    Convention::from_rules::<chartqapro::ChartQaProRules>(),
    Convention::from_rules::<chartqapro_exact::ChartQaProExactRules>(),
    Convention::from_rules::<deplot::DePlotRules>(),
    Convention::from_rules::<deplot_corrected::DePlotCorrectedRules>(),
    Convention::from_rules::<dvqa::DvqaRules>(),
    Convention::from_rules::<evochart_qa::EvoChartQaRules>(),
    Convention::from_rules::<figureqa::FigureQaRules>(),
    Convention::from_rules::<idea_finai_chartbench::IdeaFinaiChartBenchRules>(),
    Convention::from_rules::<lm_eval::LmEvalRules>(),
    Convention::from_rules::<lm_eval_anywhere::LmEvalAnywhereRules>(),
    Convention::from_rules::<lmms_eval::LmmsEvalRules>(),
    Convention::from_rules::<pix2struct::Pix2StructRules>(),
    Convention::from_rules::<realcqa::RealCqaRules>(),
    Convention::from_rules::<realcqa_corrected::RealCqaCorrectedRules>(),
    Convention::from_rules::<study::StudyRules>(),
    Convention::from_rules::<tinychart::TinyChartRules>(),
    Convention::from_rules::<unichart::UniChartRules>(),
    Convention::from_rules::<vlmevalkit::VlmEvalKitRules>(),
    Convention::from_rules::<vlmevalkit_chartbench::VlmEvalKitChartBenchRules>(),
];

/// All conventions that score by the stored verdicts of a judge, in alphabetical order.
pub static JUDGED_CONVENTIONS: &[Convention] = &[
    Convention::from_rules::<chartmuseum::ChartMuseumRules>(),
    Convention::from_rules::<charxiv::CharXivRules>(),
    Convention::from_rules::<charxiv_single::CharXivSingleRules>(),
];

/// One answer and everything that scoring it needs.
#[derive(Clone, Copy, Debug)]
pub struct Pair<'a> {
    /// The gold answer, lists as lists.
    pub gold: &'a Gold,
    /// `None` where the question failed: every convention then scores 0.
    pub prediction: Option<&'a Prediction>,
    /// The question's text, for rules that depend on the question.
    pub question: Option<&'a str>,
    /// RealCQA's answer type; without one, RealCQA's conventions do not apply.
    pub answer_type: Option<AnswerType>,
    /// ChartQAPro's flags of the gold answer's elements.
    pub year_flags: YearFlags<'a>,
    /// The kind of the question, by its data set.
    pub kind: QuestionKind<'a>,
    /// The other assertion of the pair, where the question is one of two (ChartBench).
    pub counterpart: Option<Counterpart<'a>>,
    /// The verdicts of judges on the answer, at most one under each convention.
    pub judgements: &'a [Judgement],
}

impl<'a> Pair<'a> {
    /// An answer without question, answer type, year flags, kind, counterpart or verdicts.
    pub fn new(gold: &'a Gold, prediction: &'a Prediction) -> Self {
        Self {
            gold,
            prediction: Some(prediction),
            question: None,
            answer_type: None,
            year_flags: YearFlags::default(),
            kind: QuestionKind::default(),
            counterpart: None,
            judgements: &[],
        }
    }
}

/// The definition of a convention.
trait Rules {
    /// The users' name of the convention.
    const NAME: &'static str;
    /// A line about the convention and its origin.
    const ABOUT: &'static str;
    /// The metrics of the convention.
    const METRICS: &'static [Metric];
    /// Whether it has rules for tables only.
    const TABLES_ONLY: bool = false;
    /// Whether it reads the stored verdicts of a judge.
    const JUDGED: bool = false;

    /// Whether the convention is meant for data sets with such questions; one that only its name
    /// asks for is for none.
    fn is_for(_pair: &Pair<'_>) -> bool {
        true
    }

    /// The scores of a failed question.
    fn failed(_pair: &Pair<'_>) -> Scores {
        Scores::failed(Self::METRICS)
    }

    /// Scores one prediction, and reports each step to `trace`.
    fn score(pair: &Pair<'_>, prediction: &str, trace: &mut impl Trace) -> Scores;
}

/// A named, published way to score one answer.
#[derive(Clone, Copy)]
pub struct Convention {
    /// The users' name of the convention, e.g. `pix2struct`.
    pub name: &'static str,
    /// A line about the convention and its origin.
    pub about: &'static str,
    /// The metrics of the convention; leaderboards sort by the first.
    pub metrics: &'static [Metric],
    /// Whether it applies only to questions that ask for a table ([`asks_for_table`]).
    pub tables_only: bool,
    is_for: fn(&Pair<'_>) -> bool,
    failed: fn(&Pair<'_>) -> Scores,
    /// Whether it reads the stored verdicts of a judge; answers without one have no scores.
    pub judged: bool,
    score: fn(&Pair<'_>, &str) -> Scores,
    explain: fn(&Pair<'_>, &str, &mut StepTrace) -> Scores,
}

impl Convention {
    const fn from_rules<R: Rules>() -> Self {
        Self {
            name: R::NAME,
            about: R::ABOUT,
            metrics: R::METRICS,
            tables_only: R::TABLES_ONLY,
            is_for: R::is_for,
            failed: R::failed,
            judged: R::JUDGED,
            score: |pair, prediction| R::score(pair, prediction, &mut SilentTrace),
            explain: |pair, prediction, steps| R::score(pair, prediction, steps),
        }
    }

    /// The convention called `name`.
    ///
    /// # Errors
    /// Returns an error if no convention has that name; the error names the nearest ones.
    ///
    /// ```
    /// use chartbench_score::metric::Convention;
    /// assert_eq!(Convention::by_name("study").unwrap().name, "study");
    /// let error = Convention::by_name("pix2strukt").unwrap_err().to_string();
    /// assert!(error.contains("nearest: pix2struct"), "{error}");
    /// ```
    pub fn by_name(name: &str) -> Result<&'static Self, UnknownName> {
        let all = || CONVENTIONS.iter().chain(JUDGED_CONVENTIONS);
        let found = all().find(|convention| convention.name == name);
        found.ok_or_else(|| {
            let names = all().map(|convention| convention.name);
            UnknownName::new("convention", name, names)
        })
    }

    /// Scores one answer. Conventions without rules for lists score the [`Gold::text`] of a list.
    ///
    /// ```
    /// use chartbench_score::metric::{Convention, Metric, Pair, Score};
    /// use chartbench_core::question::{Gold, Prediction};
    /// let (gold, prediction) = (Gold::from("100"), Prediction("105".into()));
    /// let scores = Convention::by_name("pix2struct").unwrap().score(&Pair::new(&gold, &prediction));
    /// assert_eq!(scores.get(Metric::ExactMatch), Score::Value(0.0));
    /// assert_eq!(scores.get(Metric::RelaxedAccuracy), Score::Value(1.0));
    /// ```
    ///
    /// Gold and prediction cannot be swapped:
    ///
    /// ```compile_fail,E0308
    /// use chartbench_score::metric::Pair;
    /// use chartbench_core::question::{Gold, Prediction};
    /// Pair::new(&Prediction("105".into()), &Gold::from("100"));
    /// ```
    pub fn score(&self, pair: &Pair<'_>) -> Scores {
        match pair.prediction {
            Some(prediction) => (self.score)(pair, &prediction.0),
            None => (self.failed)(pair),
        }
    }

    /// Scores one answer, and records every step in `steps`.
    pub fn explain(&self, pair: &Pair<'_>, steps: &mut StepTrace) -> Scores {
        match pair.prediction {
            Some(prediction) => (self.explain)(pair, &prediction.0, steps),
            None => (self.failed)(pair),
        }
    }

    /// Whether the convention is meant for data sets with such questions: those of tables and of
    /// single data sets leave out others when all conventions are asked for.
    pub fn is_for(&self, pair: &Pair<'_>) -> bool {
        if self.tables_only {
            asks_for_table(pair)
        } else {
            (self.is_for)(pair)
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
