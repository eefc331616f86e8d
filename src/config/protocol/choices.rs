//! The words and lists that keys of a protocol take, in TOML and as flags.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use clap::ValueEnum;
use serde::Deserialize;

use chartbench_core::question::AnswerType;
use chartbench_core::terminal::shorten;

/// The preset that gives a protocol's default values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// The RealCQA fine-tuning study's, as it was: padding counted, the step chosen on test charts
    Study,
    /// The study's with these corrected
    #[default]
    Chartbench,
}

/// Which step is kept if several have the same value of the selection metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ties {
    /// The first, as the study's script did.
    First,
    /// The one with the lowest validation loss, and among equal losses the last.
    LowestLoss,
}

impl Preset {
    /// How its trainings resolve ties.
    pub fn ties(self) -> Ties {
        match self {
            Self::Study => Ties::First,
            Self::Chartbench => Ties::LowestLoss,
        }
    }
}

/// `optimizer`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum OptimizerKind {
    /// As PyTorch's
    #[value(name = "adamw")]
    AdamW,
    /// As transformers': a fraction of AdamW's memory
    Adafactor,
}

/// `schedule`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
#[expect(
    missing_docs,
    reason = "the names are those of transformers' schedules, and comments would become help text"
)]
pub enum ScheduleKind {
    Cosine,
    Linear,
    Constant,
}

/// The split to validate on (`validate_on`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum ValidateOn {
    /// Charts of the train split that are held out of training
    Train,
    /// Charts of the test split, as the study did: a kept step's test score is then too good
    Test,
}

/// Which step's weights are kept (`keep`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum Keep {
    /// The one with the best strict accuracy (convention chartbench)
    Strict,
    /// The one with the most exact matches
    ExactMatch,
    /// The one with the best relaxed accuracy
    Relaxed,
    /// The one with the best ANLS
    Anls,
    /// The one with the lowest validation loss
    Loss,
    /// The last
    Last,
}

impl Keep {
    /// The name of the metric that selects a step, and whether higher is better; `None` for the
    /// last step.
    pub fn metric(self) -> Option<(&'static str, bool)> {
        match self {
            Self::Strict => Some(("strict", true)),
            Self::ExactMatch => Some(("exact_match", true)),
            Self::Relaxed => Some(("relaxed", true)),
            Self::Anls => Some(("anls", true)),
            Self::Loss => Some(("loss", false)),
            Self::Last => None,
        }
    }
}

/// `questions_per_epoch`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
#[value(rename_all = "snake_case")]
pub enum QuestionsPerEpoch {
    /// Each chart with one of its questions, drawn anew each epoch
    OnePerChart,
    /// Each question
    All,
    /// Each question, those about one chart one after the other: UniChart encodes it once for them
    AllByChart,
}

/// `dropout`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Dropout {
    /// As the checkpoint's config.json says
    Config,
    /// No dropout
    Off,
}

/// `compute`: what the operands of training's large products are rounded to. Weights, sums and
/// everything else are f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum ComputeDtype {
    /// No rounding, on any device.
    F32,
    /// On the CPU.
    Bf16,
}

/// Prints a choice as TOML spells it.
macro_rules! spelled {
    ($($kind:ty),*) => {
        $(impl fmt::Display for $kind {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self.to_possible_value() {
                    Some(value) => f.write_str(value.get_name()),
                    None => Ok(()),
                }
            }
        })*
    };
}

spelled!(
    Preset,
    OptimizerKind,
    ScheduleKind,
    ValidateOn,
    Keep,
    QuestionsPerEpoch,
    Dropout,
    ComputeDtype
);

/// `betas`: `[0.9, 0.999]` in TOML, `0.9,0.999` as a flag.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(try_from = "Vec<f64>")]
pub struct Betas(pub [f64; 2]);

impl TryFrom<Vec<f64>> for Betas {
    type Error = String;

    fn try_from(numbers: Vec<f64>) -> Result<Self, String> {
        numbers
            .try_into()
            .map(Self)
            .map_err(|_| "must be two numbers, e.g. 0.9 and 0.999".to_owned())
    }
}

impl FromStr for Betas {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers: Option<Vec<f64>> = text
            .split(',')
            .map(|part| part.trim().parse().ok())
            .collect();
        numbers.unwrap_or_default().try_into()
    }
}

/// `weights`: a table in TOML, `numeric=3,binary=0.5` as a flag. Keys are answer types; `numeric`
/// is `numerical`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(try_from = "BTreeMap<String, f64>")]
pub struct AnswerTypeWeights(pub BTreeMap<AnswerType, f64>);

impl TryFrom<BTreeMap<String, f64>> for AnswerTypeWeights {
    type Error = String;

    fn try_from(table: BTreeMap<String, f64>) -> Result<Self, String> {
        let mut weights = BTreeMap::new();
        for (name, weight) in table {
            if weights.insert(answer_type(&name)?, weight).is_some() {
                return Err(format!(
                    "the answer type `{}` is weighted twice",
                    shorten(&name)
                ));
            }
        }
        Ok(Self(weights))
    }
}

impl FromStr for AnswerTypeWeights {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut table = BTreeMap::new();
        for part in text.split(',') {
            let (name, weight) = part
                .split_once('=')
                .ok_or("must be TYPE=WEIGHT, e.g. numeric=3")?;
            let weight = weight
                .trim()
                .parse()
                .map_err(|_| format!("`{}` is no number", shorten(weight)))?;
            if table.insert(name.trim().to_owned(), weight).is_some() {
                return Err(format!(
                    "the answer type `{}` is weighted twice",
                    shorten(name.trim())
                ));
            }
        }
        table.try_into()
    }
}

fn answer_type(name: &str) -> Result<AnswerType, String> {
    Ok(match name {
        "string" => AnswerType::String,
        "numerical" | "numeric" => AnswerType::Numerical,
        "binary" => AnswerType::Binary,
        "ranked_list" => AnswerType::RankedList,
        "unranked_list" => AnswerType::UnrankedList,
        "table" => AnswerType::Table,
        _ => {
            return Err(format!(
                "unknown answer type `{}`: must be string, numeric, binary, ranked_list, unranked_list or table",
                shorten(name)
            ));
        }
    })
}

/// An answer type as a key of `weights`.
pub(super) fn answer_type_name(kind: AnswerType) -> &'static str {
    match kind {
        AnswerType::String => "string",
        AnswerType::Numerical => "numerical",
        AnswerType::Binary => "binary",
        AnswerType::RankedList => "ranked_list",
        AnswerType::UnrankedList => "unranked_list",
        AnswerType::Table => "table",
    }
}
