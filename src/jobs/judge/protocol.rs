//! How each judged benchmark is judged: what the judge is asked, and how its reply is read.

use std::path::Path;

use anyhow::{Result, bail};
use serde_json::Value;

use super::{chartmuseum, charxiv};
use crate::adapter::language_model::Sampling;
use crate::report::SliceBy;
use crate::run::store::{PredictionRecord, answer_sha256};
use chartbench_core::judgement::Verdict;
use chartbench_core::read_file;
use chartbench_data::{CharXivClone, CharXivPart, ChartMuseumClone, Format, QuestionSetSpec};
use chartbench_score::metric::Convention;

/// Longest reply in tokens at first.
pub(super) const MAX_TOKENS: usize = 256;
/// Settings that can change a verdict besides the judge's own.
pub(super) const SAMPLING: [(&str, &str); 3] =
    [("temperature", "0"), ("seed", "42"), ("max_tokens", "256")];

/// How the judge is sampled.
pub(super) fn sampling(max_tokens: usize) -> Sampling {
    Sampling {
        samples: 1,
        temperature: 0.0,
        seed: 42,
        max_new_tokens: max_tokens,
        stop: Vec::new(),
    }
}

/// An answer as the judge reads it.
#[derive(Clone, Debug)]
pub(super) struct Response<'a> {
    pub(super) record: &'a PredictionRecord,
    /// The whole reply of a chat model, also where the answer was cut out of it; else the answer.
    pub(super) text: &'a str,
    pub(super) answer_sha256: String,
}

impl<'a> Response<'a> {
    /// The answer of a question that did not fail.
    pub(super) fn new(record: &'a PredictionRecord, is_chat: bool) -> Option<Self> {
        let prediction = record.prediction.as_ref()?;
        let text = match record.completions.as_slice() {
            [whole] if is_chat => whole,
            _ => &prediction.0,
        };
        Some(Self {
            record,
            text,
            answer_sha256: answer_sha256(record)?,
        })
    }
}

/// A request to the judge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct JudgeCall {
    pub(super) message: String,
    /// The answers in it: ids with [`answer_sha256`], in the order of the message.
    pub(super) answers: Vec<(String, String)>,
}

impl JudgeCall {
    pub(super) fn new(message: String, responses: &[&Response<'_>]) -> Self {
        Self {
            message,
            answers: responses
                .iter()
                .map(|response| (response.record.id.clone(), response.answer_sha256.clone()))
                .collect(),
        }
    }
}

/// The part of a reply about one answer.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Finding {
    pub(super) extracted: Option<Value>,
    pub(super) score: Verdict,
}

/// Why a reply cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ReplyFault {
    /// It ends within a string: more tokens may mend that.
    Cut,
    /// It is otherwise not as it should be.
    Other(String),
}

/// How the answers to a benchmark are judged.
pub(super) enum JudgeProtocol {
    Descriptive {
        clone: Box<CharXivClone>,
        /// The answers of one template that are judged together.
        batch: usize,
    },
    Reasoning(Box<CharXivClone>),
    ChartMuseum(ChartMuseumClone),
}

impl JudgeProtocol {
    /// The protocol of a benchmark under a convention, or under the benchmark's own; `clone` gives
    /// the folder of its official repository.
    ///
    /// # Errors
    /// Returns an error if the benchmark is not judged, or not under the convention, or the clone
    /// cannot be read.
    pub(super) fn open<'a>(
        benchmark: &QuestionSetSpec,
        convention: Option<&str>,
        clone: &dyn Fn() -> Result<&'a Path>,
    ) -> Result<Self> {
        let convention = convention.map(Convention::by_name).transpose()?;
        let name = &benchmark.name;
        let others = |own: &[&str]| match convention {
            Some(convention) if !own.contains(&convention.name) => bail!(
                "--convention {}: the answers to `{name}` are judged under {}",
                convention.name,
                own.join(" or ")
            ),
            _ => Ok(convention.map(|convention| convention.name)),
        };
        Ok(match &benchmark.format {
            Format::CharXiv(CharXivPart::Descriptive) => Self::Descriptive {
                batch: match others(&[charxiv::BATCHED, charxiv::SINGLE])? {
                    Some(charxiv::SINGLE) => 1,
                    _ => charxiv::BATCH,
                },
                clone: Box::new(CharXivClone::open(clone()?)?),
            },
            Format::CharXiv(CharXivPart::Reasoning) => {
                others(&[charxiv::BATCHED])?;
                Self::Reasoning(Box::new(CharXivClone::open(clone()?)?))
            }
            Format::ChartMuseum => {
                others(&[chartmuseum::CONVENTION])?;
                Self::ChartMuseum(ChartMuseumClone::open(clone()?)?)
            }
            _ => bail!(
                "the answers to `{name}` need no judge: those to charxiv-descriptive, charxiv-reasoning and chartmuseum do"
            ),
        })
    }

    /// The name of the convention that reads the verdicts.
    pub(super) fn convention(&self) -> &'static str {
        match self {
            Self::Descriptive { batch: 1, .. } => charxiv::SINGLE,
            Self::Descriptive { .. } | Self::Reasoning(_) => charxiv::BATCHED,
            Self::ChartMuseum(_) => chartmuseum::CONVENTION,
        }
    }

    /// The properties by which the official code splits its results.
    pub(super) fn slices(&self) -> Vec<SliceBy> {
        let named = |name: &str| SliceBy::Named(name.to_owned());
        match self {
            Self::Descriptive { .. } => vec![named("category"), named("subplots")],
            Self::Reasoning(_) => {
                vec![named("inst_category"), SliceBy::Source, named("subplots")]
            }
            Self::ChartMuseum(_) => vec![named("reasoning_type")],
        }
    }

    /// The requests that judge all `responses`, in the official order.
    ///
    /// # Errors
    /// Returns an error if a response is to a question that the clone does not have, or the clone
    /// lacks wording.
    pub(super) fn requests(&self, responses: &[Response<'_>]) -> Result<Vec<JudgeCall>> {
        match self {
            Self::Descriptive { clone, batch } => charxiv::descriptive(clone, responses, *batch),
            Self::Reasoning(clone) => charxiv::reasoning(clone, responses),
            Self::ChartMuseum(clone) => chartmuseum::requests(clone, responses),
        }
    }

    /// Reads the reply to a request about so many answers: one result for each.
    ///
    /// # Errors
    /// Returns why it cannot be read, as the official code sees it.
    pub(super) fn read(&self, reply: &str, answers: usize) -> Result<Vec<Finding>, ReplyFault> {
        match self {
            Self::Descriptive { .. } => charxiv::read_descriptive(&json(reply)?, answers),
            Self::Reasoning(_) => charxiv::read_reasoning(&json(reply)?),
            Self::ChartMuseum(_) => Ok(chartmuseum::read(reply)),
        }
    }
}

/// A reply as Python's `json.loads` reads it.
fn json(reply: &str) -> Result<Value, ReplyFault> {
    serde_json::from_str(&read_file::without_nan(reply)).map_err(|error| {
        let message = error.to_string();
        if error.is_eof() && message.starts_with("EOF while parsing a string") {
            ReplyFault::Cut
        } else {
            ReplyFault::Other(format!("the reply is no JSON ({message})"))
        }
    })
}
