//! The rules by which an answer is cut out of a reply, each under a name.

use clap::ValueEnum;
use serde::Deserialize;

/// How the answer is cut out of a reply. Rules in a row each cut what the one before left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Extraction {
    /// The whole reply
    Whole,
    /// As mistral-evals and lm-eval: the first line with text behind the last `answer:` in any case
    /// (`Final Answer: 5`), without Markdown's * _ and the brackets [ ] ( )
    FinalAnswer,
    /// The rest of the line behind the last `ANSWER:` in any case
    AnswerLine,
    /// The text between the first `<answer>` and `</answer>`, or the reply's end
    AnswerTag,
    /// The content of the last `\boxed{...}`
    Boxed,
    /// The last line with text
    LastLine,
    /// The text after the last `</think>`; the whole reply where there is none
    AfterThink,
}

impl Extraction {
    /// Its name on the command line and in settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::FinalAnswer => "final-answer",
            Self::AnswerLine => "answer-line",
            Self::AnswerTag => "answer-tag",
            Self::Boxed => "boxed",
            Self::LastLine => "last-line",
            Self::AfterThink => "after-think",
        }
    }

    /// The names of several, as settings have them.
    pub fn describe(rules: &[Self]) -> String {
        let names: Vec<&str> = rules.iter().map(|rule| rule.name()).collect();
        names.join(", ")
    }
}
