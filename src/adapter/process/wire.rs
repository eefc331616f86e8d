//! The lines of the protocol.

use anyhow::{Result, anyhow, bail, ensure};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::adapter::Answer;
use crate::adapter::secrets::Secrets;
use chartbench_core::question::AnswerType;
use chartbench_core::terminal::shorten;

/// The version this program speaks.
const PROTOCOL: u64 = 1;

/// The program's first line.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Hello {
    protocol: u64,
    settings: Map<String, Value>,
}

impl Hello {
    pub(super) fn parse(line: &str, secrets: &Secrets) -> Result<Self> {
        let hello: Self = serde_json::from_str(line).map_err(|error| {
            let error = secrets.blot(&error.to_string());
            let line = describe_line(line, secrets);
            anyhow!("its first line is not {{\"protocol\":{PROTOCOL},\"settings\":{{...}}}} but {line}: {error}")
        })?;
        ensure!(
            hello.protocol == PROTOCOL,
            "it speaks protocol {}, this program {PROTOCOL}",
            hello.protocol
        );
        Ok(hello)
    }

    /// The settings as texts; what is no string is as in JSON.
    pub(super) fn settings(self) -> impl Iterator<Item = (String, String)> {
        self.settings.into_iter().map(|(key, value)| match value {
            Value::String(text) => (key, text),
            other => (key, other.to_string()),
        })
    }
}

/// A question.
#[derive(Serialize)]
pub(super) struct Request<'a> {
    pub id: &'a str,
    pub chart: &'a str,
    pub image: &'a str,
    pub question: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer_type: Option<AnswerType>,
}

/// The answer to a question, or its error.
pub(super) struct Reply {
    pub id: String,
    pub answer: Result<Answer, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireReply {
    id: String,
    prediction: Option<String>,
    error: Option<String>,
}

impl Reply {
    pub(super) fn parse(line: &str, secrets: &Secrets) -> Result<Self> {
        let wire: WireReply = serde_json::from_str(line).map_err(|error| {
            let error = secrets.blot(&error.to_string());
            anyhow!(
                "it wrote a line that is no answer ({error}): {}",
                describe_line(line, secrets)
            )
        })?;
        let answer = match (wire.prediction, wire.error) {
            (Some(prediction), None) => Ok(Answer::from_text(prediction)),
            (None, Some(error)) => Err(error.split_whitespace().collect::<Vec<_>>().join(" ")),
            _ => bail!(
                "its answer to `{}` must have either `prediction` or `error`",
                shorten(&wire.id)
            ),
        };
        Ok(Self {
            id: wire.id,
            answer,
        })
    }
}

/// The beginning of a line, for errors; cut after secrets are gone: half of one would not be found.
fn describe_line(line: &str, secrets: &Secrets) -> String {
    let start: String = secrets.blot(line).chars().take(120).collect();
    format!("{start:?}")
}
