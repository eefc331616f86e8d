//! Recognises the columns, or the keys of JSON objects, by their names.

use std::fmt;

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
    pub(super) kind: Option<usize>,
    pub(super) is_clear: Option<usize>,
    /// Whether a name only suggests what the column holds.
    guessed: bool,
}

/// Which columns (in JSON: keys) of a file are read as what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ColumnsRead {
    /// The name of each column behind its role.
    columns: Vec<(&'static str, String)>,
    /// Whether a name only suggests what the column holds, or the separator of the fields was
    /// guessed.
    pub guessed: bool,
    /// Separates the fields, where it is not the usual one of the format.
    pub(super) separator: Option<char>,
}

impl ColumnsRead {
    /// Whether ids and predictions have the names that VLMEvalKit gives them.
    pub(super) fn are_vlmevalkits(&self) -> bool {
        [("id", "index"), ("prediction", "prediction")]
            .iter()
            .all(|(role, name)| {
                self.columns
                    .iter()
                    .any(|read| read == &(*role, (*name).to_owned()))
            })
    }
}

impl fmt::Display for ColumnsRead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("reads ")?;
        for (index, (role, column)) in self.columns.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}`{}` as the {role}", OneLine(column))?;
        }
        match self.separator {
            Some(separator) => write!(f, " (fields separated by `{separator}`)"),
            None => Ok(()),
        }
    }
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
/// Names that suggest predictions, where no column has a usual name.
const PREDICTION_GUESSES: [&str; 23] = [
    "model_output",
    "model_outputs",
    "generated",
    "generated_text",
    "generated_answer",
    "generation",
    "generations",
    "completion",
    "completions",
    "hypothesis",
    "hypotheses",
    "hyp",
    "outputs",
    "responses",
    "model_answer",
    "model_response",
    "model_prediction",
    "pred_answer",
    "predicted_text",
    "llm_output",
    "raw_output",
    "decoded",
    "y_pred",
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
/// Names that suggest gold answers, where no column has a usual name.
const GOLD_GUESSES: [&str; 16] = [
    "truth",
    "true_answer",
    "ref",
    "refs",
    "reference_answer",
    "correct_answer",
    "correct_answers",
    "gold_label",
    "gold_answers",
    "golden_answer",
    "gt_answer",
    "answer_gt",
    "ground_truth_answer",
    "expected_answer",
    "expected_output",
    "y_true",
];
/// Names that mean predictions or gold answers, whichever no other column has.
const EITHER_NAMES: [&str; 2] = ["answer", "answers"];
/// Names of ids; the first existing one counts.
const ID_NAMES: [&str; 10] = [
    "id",
    "question_id",
    "questionid",
    "qa_id",
    "doc_id",
    "index",
    "sample_id",
    "example_id",
    "question_index",
    "idx",
];
/// Names of questions; the first existing one counts.
const QUESTION_NAMES: [&str; 3] = ["question", "query", "question_text"];
/// Names of answer types; the first existing one counts.
const ANSWER_TYPE_NAMES: [&str; 2] = ["answer_type", "answertype"];
/// Names of charts or images; the first existing one counts.
const CHART_NAMES: [&str; 12] = [
    "chart",
    "chart_id",
    "image",
    "image_id",
    "imgname",
    "image_path",
    "image_name",
    "filename",
    "image_file",
    "img",
    "figure",
    "figure_id",
];

/// Names of ChartQAPro's year flags.
const YEAR_NAMES: [&str; 2] = ["year", "year_flags"];
/// Names of ChartQAPro's question types.
const QUESTION_TYPE_NAMES: [&str; 1] = ["question_type"];
/// Names of the kinds of questions in VLMEvalKit's ChartBench.
const KIND_NAMES: [&str; 1] = ["qa_type"];
/// Names of EvoChart-QA's `is_clear`.
const IS_CLEAR_NAMES: [&str; 1] = ["is_clear"];

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
        let guessed = prediction
            .filter(|_| names.prediction.is_none())
            .is_some_and(|index| header.is_among(index, &PREDICTION_GUESSES))
            || gold
                .filter(|_| names.gold.is_none())
                .is_some_and(|index| header.is_among(index, &GOLD_GUESSES));
        Ok(Self {
            guessed,
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
            kind: header.first(&KIND_NAMES),
            is_clear: header.first(&IS_CLEAR_NAMES),
        })
    }

    /// The names of the columns in a file with this header.
    pub(super) fn describe<S: AsRef<str>>(&self, header: &[S]) -> ColumnsRead {
        let roles = [
            ("prediction", self.prediction),
            ("gold answer", self.gold),
            ("id", self.id),
            ("question", self.question),
            ("answer type", self.answer_type),
            ("chart", self.chart),
        ];
        let name = |index: usize| Some(header.get(index)?.as_ref().to_owned());
        ColumnsRead {
            columns: roles
                .into_iter()
                .filter_map(|(role, index)| Some((role, name(index?)?)))
                .collect(),
            guessed: self.guessed,
            separator: None,
        }
    }
}

struct Header<'a>(Vec<&'a str>);

impl Header<'_> {
    fn both(&self, names: &ColumnNames) -> Result<(Option<usize>, Option<usize>)> {
        let prediction = self.prediction(names)?;
        let gold = match names.gold.as_deref() {
            None if self.exact(FILTERED_RESPONSES).is_some() => self.exact("target"),
            named => self.find(named, [&GOLD_NAMES, &GOLD_GUESSES], "--gold-column")?,
        };
        let (prediction, gold) = match (prediction, gold) {
            (Some(prediction), Some(gold)) => (prediction, gold),
            (Some(prediction), None) => {
                let found = Some(("prediction", prediction));
                (prediction, self.either("gold answers", found, GOLD_ADVICE)?)
            }
            (None, Some(gold)) => {
                let found = Some(("gold answer", gold));
                (self.either("predictions", found, PREDICTION_ADVICE)?, gold)
            }
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
            None => [GOLD_NAMES.as_slice(), &GOLD_GUESSES]
                .iter()
                .find_map(|names| self.matching(names).first().copied()),
        };
        Ok(match self.prediction(names)? {
            Some(prediction) => {
                let gold = gold.or_else(|| self.matching(&EITHER_NAMES).first().copied());
                (Some(prediction), gold.filter(|gold| *gold != prediction))
            }
            None => {
                let found = gold.map(|gold| ("gold answer", gold));
                let prediction = self.either("predictions", found, PREDICTION_ADVICE)?;
                (Some(prediction), gold)
            }
        })
    }

    fn golds(&self, names: &ColumnNames) -> Result<usize> {
        let usual = [GOLD_NAMES.as_slice(), &GOLD_GUESSES];
        match self.find(names.gold.as_deref(), usual, "--gold-column")? {
            Some(gold) => Ok(gold),
            None => self.either("gold answers", None, "name it with --gold-column"),
        }
    }

    fn prediction(&self, names: &ColumnNames) -> Result<Option<usize>> {
        match (names.prediction.as_deref(), self.exact(FILTERED_RESPONSES)) {
            (None, Some(responses)) => Ok(Some(responses)),
            (named, _) => self.find(
                named,
                [&PREDICTION_NAMES, &PREDICTION_GUESSES],
                "--prediction-column",
            ),
        }
    }

    /// The column that the user named, else the only one with a usual name, else the only one with
    /// a name that suggests it.
    fn find(
        &self,
        named: Option<&str>,
        [usual, guesses]: [&[&str]; 2],
        flag: &str,
    ) -> Result<Option<usize>> {
        let found = self.by_name(named, flag)?;
        if found.is_some() {
            return Ok(found);
        }
        let mut matching = self.matching(usual);
        if matching.is_empty() {
            matching = self.matching(guesses);
        }
        match matching.as_slice() {
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

    /// The only column whose name means either; `found` is what the other one was found to be.
    fn either(&self, what: &str, found: Option<(&str, usize)>, advice: &str) -> Result<usize> {
        let others = self.matching(&EITHER_NAMES).into_iter();
        let others: Vec<usize> = others
            .filter(|index| found.is_none_or(|(_, taken)| taken != *index))
            .collect();
        if let [index] = others.as_slice() {
            return Ok(*index);
        }
        let found = found.and_then(|(role, index)| Some((role, self.0.get(index)?)));
        let found = found.map_or_else(String::new, |(role, name)| {
            format!("`{}` is read as the {role}; ", OneLine(name))
        });
        bail!(
            "cannot tell the column of {what}: columns are {} ({found}{advice})",
            self.listed()
        )
    }

    fn is_among(&self, index: usize, names: &[&str]) -> bool {
        self.matching(names).contains(&index)
    }

    /// The columns whose names are among `usual`, up to case, white space and hyphens.
    fn matching(&self, usual: &[&str]) -> Vec<usize> {
        let is_usual = |name: &str| {
            let plain = name.trim().to_lowercase().replace([' ', '-'], "_");
            usual.contains(&plain.as_str())
        };
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
