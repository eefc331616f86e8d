//! What a data set says about a question that decides how its answer is scored.

use super::QUESTION_TYPE;

/// The field of VLMEvalKit's ChartBench that separates assertions from questions.
pub const QA_TYPE: &str = "QA_type";
/// The field of EvoChart-QA's rows with the rule of the answer, and the slice that keeps it.
pub const IS_CLEAR: &str = "is_clear";

/// Slices with the kind of a question, the first one that is there: ChartQAPro's, VLMEvalKit's of
/// ChartBench, ChartBench's own.
const TYPE_SLICES: [&str; 4] = [QUESTION_TYPE, QA_TYPE, "type.QA", "type.task"];

/// The kind of a question, by its data set.
///
/// ```
/// use chartbench_core::question::QuestionKind;
/// let slices = [("is_clear", "True"), ("type.task", "VE")];
/// let get = |name: &str| slices.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
/// let kind = QuestionKind::from_slices(get);
/// assert_eq!((kind.question_type, kind.is_clear), (Some("VE"), Some(true)));
/// assert_eq!(QuestionKind::from_slices(|_| None), QuestionKind::default());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QuestionKind<'a> {
    /// The type of the question in the data set's words: `Fact Checking` (ChartQAPro), `Acc+`
    /// (ChartBench).
    pub question_type: Option<&'a str>,
    /// Whether the answer can be read off the chart as it is written there (EvoChart-QA).
    pub is_clear: Option<bool>,
}

impl<'a> QuestionKind<'a> {
    /// The kind among a question's slices.
    pub fn from_slices(get: impl Fn(&str) -> Option<&'a str>) -> Self {
        Self {
            question_type: TYPE_SLICES.iter().find_map(|name| get(name)),
            is_clear: get(IS_CLEAR).and_then(Self::parse_is_clear),
        }
    }

    /// Whether the question is one of ChartBench's assertions, or one of its questions with a
    /// number; `None` for any other type.
    pub fn is_assertion(self) -> Option<bool> {
        match self.question_type? {
            "Acc+" | "CR" | "VE" | "VC" | "GC" => Some(true),
            "GPT-acc" | "NQA" => Some(false),
            _ => None,
        }
    }

    /// A value of EvoChart-QA's `is_clear`: `true` or `false` in any case.
    pub fn parse_is_clear(text: &str) -> Option<bool> {
        text.trim().to_ascii_lowercase().parse().ok()
    }
}
