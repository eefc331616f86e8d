//! Which questions a benchmark asks, and where they come from.

use serde::Deserialize;

/// Where the questions of a benchmark come from and which of them are asked.
#[derive(Clone, Debug, PartialEq)]
pub struct QuestionSetSpec {
    /// The benchmark's name.
    pub name: String,
    pub format: Format,
    /// What is asked about the charts.
    pub ask: Ask,
    /// Which questions of the test split are asked.
    pub questions: Questions,
    /// SHA-256 of the asked test questions ([`chartbench_core::question::QuestionSet::hash`]) in lower-case hex, where pinned.
    pub hash: Option<String>,
    /// Whether images and tables may lie outside the data set's folder; the user's choice, never a file's.
    pub allow_outside: bool,
}

/// Where the questions come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Format {
    RealCqa,
    ChartQa,
    PlotQa,
    Generic,
    /// Drawn by the program itself.
    Synth {
        seed: u64,
        /// Charts in the train split.
        train: usize,
        /// Charts in the test split.
        test: usize,
        questions_per_chart: usize,
    },
}

/// What is asked about the charts (`ask`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ask {
    /// The data set's questions.
    #[default]
    Questions,
    /// The data table of each chart that has one in the data set.
    Tables,
    /// All of a chart's questions with their answers as one text.
    QuestionsAndAnswers,
}

/// Which questions are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Questions {
    All,
    /// At most `count` a chart, drawn by `seed`.
    PerChart {
        count: usize,
        seed: u64,
    },
}
