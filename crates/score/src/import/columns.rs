//! Recognises the columns, or the keys of JSON objects, by their names.

use anyhow::{Context, Result, bail, ensure};

use super::problem::OneLine;

/// The names of columns (in JSON: keys) with unusual names.
#[derive(Clone, Debug, Default)]
pub struct ColumnNames {
    /// Column of ids, which match golds of another file; `None` looks for a usual name, e.g. `id`.
    pub id: Option<String>,
    /// Column of predictions; `None` looks for a usual name, e.g. `prediction`.
    pub prediction: Option<String>,
    /// Column of gold answers; `None` looks for a usual name, e.g. `label` or `gold`.
    pub gold: Option<String>,
    /// Column of question texts; `None` looks for a usual name, e.g. `question`.
    pub question: Option<String>,
    /// Column of RealCQA's answer types; `None` looks for a usual name, e.g. `answer_type`.
    pub answer_type: Option<String>,
    /// Column of chart ids or images; `None` looks for a usual name, e.g. `chart` or `image`.
    pub chart: Option<String>,
}

/// The purpose for which a file is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// Predictions and their golds.
    Both,
    /// Predictions; the golds are in another file, and any golds of this file are compared with
    /// them.
    Predictions,
    /// Golds alone.
    Golds,
}

/// The purpose for which a file is read, and the names of its columns.
#[derive(Clone, Copy)]
pub(super) struct Scope<'a> {
    pub(super) names: &'a ColumnNames,
    pub(super) need: Need,
}

/// The columns of a file, as indices into its header.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Columns {
    pub(super) id: Option<usize>,
    pub(super) prediction: Option<usize>,
    pub(super) gold: Option<usize>,
    pub(super) question: Option<usize>,
    pub(super) answer_type: Option<usize>,
    pub(super) chart: Option<usize>,
    pub(super) year: Option<usize>,
    pub(super) question_type: Option<usize>,
}

/// The predictions of the samples that lmms-eval and lm-eval log; their gold is `target`.
pub(super) const FILTERED_RESPONSES: &str = "filtered_resps";

/// Names of columns of predictions, in lower case.
const PREDICTION_NAMES: [&str; 8] = [
    "prediction",
    "predictions",
    "predicted",
    "predicted_answer",
    "pred",
    "preds",
    "output",
    "response",
];
/// Names of columns of gold answers, in lower case.
const GOLD_NAMES: [&str; 12] = [
    "label",
    "labels",
    "gold",
    "gold_answer",
    "target",
    "targets",
    "reference",
    "references",
    "ground_truth",
    "groundtruth",
    "gt",
    "expected",
];
/// Names that mean predictions or gold answers, whichever no other column has.
const EITHER_NAMES: [&str; 2] = ["answer", "answers"];
/// Names of ids; the first existing one counts.
const ID_NAMES: [&str; 6] = [
    "id",
    "question_id",
    "questionid",
    "qa_id",
    "doc_id",
    "index",
];
/// Names of questions; the first existing one counts.
const QUESTION_NAMES: [&str; 3] = ["question", "query", "question_text"];
/// Names of answer types; the first existing one counts.
const ANSWER_TYPE_NAMES: [&str; 2] = ["answer_type", "answertype"];
/// Names of charts or images; the first existing one counts.
const CHART_NAMES: [&str; 8] = [
    "chart",
    "chart_id",
    "image",
    "image_id",
    "imgname",
    "image_path",
    "image_name",
    "filename",
];

/// Names of ChartQAPro's year flags.
const YEAR_NAMES: [&str; 2] = ["year", "year_flags"];
/// Names of ChartQAPro's question types.
const QUESTION_TYPE_NAMES: [&str; 2] = ["question type", "question_type"];

impl Columns {
    /// The columns of a file with this header.
    ///
    /// # Errors
    /// Returns an error if a required column cannot be recognised or a named one is missing; the
    /// error lists the existing columns.
    pub(super) fn find<S: AsRef<str>>(header: &[S], scope: Scope<'_>) -> Result<Self> {
        let header = Header(header.iter().map(AsRef::as_ref).collect());
        let names = scope.names;
        let (prediction, gold) = match scope.need {
            Need::Both => header.both(names)?,
            Need::Predictions => header.predictions(names)?,
            Need::Golds => (None, Some(header.golds(names)?)),
        };
        Ok(Self {
            id: header.optional(names.id.as_deref(), &ID_NAMES, "--id-column")?,
            prediction,
            gold,
            question: header.optional(
                names.question.as_deref(),
                &QUESTION_NAMES,
                "--question-column",
            )?,
            answer_type: header.optional(
                names.answer_type.as_deref(),
                &ANSWER_TYPE_NAMES,
                "--answer-type-column",
            )?,
            chart: header.optional(names.chart.as_deref(), &CHART_NAMES, "--chart-column")?,
            year: header.first(&YEAR_NAMES),
            question_type: header.first(&QUESTION_TYPE_NAMES),
        })
    }
}

struct Header<'a>(Vec<&'a str>);

impl Header<'_> {
    fn both(&self, names: &ColumnNames) -> Result<(Option<usize>, Option<usize>)> {
        let prediction = self.prediction(names)?;
        let gold = match names.gold.as_deref() {
            None if self.exact(FILTERED_RESPONSES).is_some() => self.exact("target"),
            named => self.find(named, &GOLD_NAMES, "--gold-column")?,
        };
        let (prediction, gold) = match (prediction, gold) {
            (Some(prediction), Some(gold)) => (prediction, gold),
            (Some(prediction), None) => (prediction, self.either("gold answers", GOLD_ADVICE)?),
            (None, Some(gold)) => (self.either("predictions", PREDICTION_ADVICE)?, gold),
            (None, None) => bail!(
                "cannot tell the columns of predictions and gold answers: columns are {} \
                 (name them with --prediction-column and --gold-column, or give the golds by --gold)",
                self.listed()
            ),
        };
        ensure!(
            prediction != gold,
            "the predictions and the gold answers cannot be one column"
        );
        Ok((Some(prediction), Some(gold)))
    }

    /// `--gold-column` may concern the separate golds only, so this file need not have it.
    fn predictions(&self, names: &ColumnNames) -> Result<(Option<usize>, Option<usize>)> {
        let gold = match names.gold.as_deref() {
            Some(named) => self.exact(named),
            None => self.matching(&GOLD_NAMES).first().copied(),
        };
        Ok(match self.prediction(names)? {
            Some(prediction) => {
                let gold = gold.or_else(|| self.matching(&EITHER_NAMES).first().copied());
                (Some(prediction), gold.filter(|gold| *gold != prediction))
            }
            None => (Some(self.either("predictions", PREDICTION_ADVICE)?), gold),
        })
    }

    fn golds(&self, names: &ColumnNames) -> Result<usize> {
        match self.find(names.gold.as_deref(), &GOLD_NAMES, "--gold-column")? {
            Some(gold) => Ok(gold),
            None => self.either("gold answers", "name it with --gold-column"),
        }
    }

    fn prediction(&self, names: &ColumnNames) -> Result<Option<usize>> {
        match (names.prediction.as_deref(), self.exact(FILTERED_RESPONSES)) {
            (None, Some(responses)) => Ok(Some(responses)),
            (named, _) => self.find(named, &PREDICTION_NAMES, "--prediction-column"),
        }
    }

    /// The column that the user named, else the only one with a usual name.
    fn find(&self, named: Option<&str>, usual: &[&str], flag: &str) -> Result<Option<usize>> {
        let found = self.by_name(named, flag)?;
        if found.is_some() {
            return Ok(found);
        }
        match self.matching(usual).as_slice() {
            [] => Ok(None),
            [index] => Ok(Some(*index)),
            [first, second, ..] => {
                let name = |index: &usize| OneLine(self.0.get(*index).copied().unwrap_or_default());
                let fault = if self.0.get(*first) == self.0.get(*second) {
                    format!(
                        "two columns are called `{}`: rename or remove one",
                        name(first)
                    )
                } else {
                    format!(
                        "both `{}` and `{}` could be meant: name one",
                        name(first),
                        name(second)
                    )
                };
                bail!("{flag}: columns are {}: {fault}", self.listed())
            }
        }
    }

    /// The column that the user named, else the first existing one of the usual names.
    fn optional(&self, named: Option<&str>, usual: &[&str], flag: &str) -> Result<Option<usize>> {
        let found = self.by_name(named, flag)?;
        Ok(found.or_else(|| self.first(usual)))
    }

    /// The first existing column of the usual names.
    fn first(&self, usual: &[&str]) -> Option<usize> {
        usual
            .iter()
            .find_map(|name| self.matching(&[*name]).first().copied())
    }

    fn by_name(&self, named: Option<&str>, flag: &str) -> Result<Option<usize>> {
        let Some(named) = named else { return Ok(None) };
        let mut found = self
            .0
            .iter()
            .enumerate()
            .filter(|(_, name)| **name == named);
        let index = match (found.next(), found.next()) {
            (Some((index, _)), None) => Ok(Some(index)),
            (Some(_), Some(_)) => Err(anyhow::anyhow!(
                "two columns are called `{named}`: rename or remove one"
            )),
            (None, _) => Err(anyhow::anyhow!("no column is called `{named}`")),
        };
        index.with_context(|| format!("{flag}: columns are {}", self.listed()))
    }

    fn exact(&self, name: &str) -> Option<usize> {
        self.0.iter().position(|column| *column == name)
    }

    fn either(&self, what: &str, advice: &str) -> Result<usize> {
        match self.matching(&EITHER_NAMES).as_slice() {
            [index] => Ok(*index),
            _ => bail!(
                "cannot tell the column of {what}: columns are {} ({advice})",
                self.listed()
            ),
        }
    }

    /// The columns whose names are among `usual`, up to case and white space.
    fn matching(&self, usual: &[&str]) -> Vec<usize> {
        let is_usual = |name: &str| usual.contains(&name.trim().to_lowercase().as_str());
        self.0
            .iter()
            .enumerate()
            .filter(|(_, name)| is_usual(name))
            .map(|(index, _)| index)
            .collect()
    }

    fn listed(&self) -> String {
        let names: Vec<String> = self
            .0
            .iter()
            .take(MAX_LISTED)
            .map(|name| OneLine(name).to_string())
            .collect();
        let more = self.0.len().saturating_sub(MAX_LISTED);
        if more == 0 {
            names.join(", ")
        } else {
            format!("{} and {more} more", names.join(", "))
        }
    }
}

/// Most columns that a message lists.
const MAX_LISTED: usize = 20;
const PREDICTION_ADVICE: &str = "name it with --prediction-column";
const GOLD_ADVICE: &str = "name it with --gold-column, or give the golds by --gold";
