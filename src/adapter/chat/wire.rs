//! Requests and replies of `/chat/completions` (<https://platform.openai.com/docs/api-reference/chat>).

use anyhow::{Result, bail};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::config::EndpointSpec;

/// What differs between requests besides their messages; what is absent is not sent.
#[derive(Debug, Default)]
pub(super) struct RequestKeys<'a> {
    pub temperature: Option<f64>,
    pub seed: Option<u64>,
    pub max_tokens: Option<usize>,
    pub stop: &'a [String],
    /// Sent from 2 on.
    pub samples: usize,
}

/// The request's body.
pub(super) fn request(spec: &EndpointSpec, model: &str, messages: Vec<Value>, keys: &RequestKeys<'_>) -> Value {
    let mut body: Map<String, Value> = spec.extra.clone();
    let mut set = |key: &str, value: Option<Value>| {
        if let Some(value) = value.filter(|_| spec.without.iter().all(|without| without != key)) {
            body.insert(key.to_owned(), value);
        }
    };
    set("model", Some(model.into()));
    set("messages", Some(messages.into()));
    set("temperature", keys.temperature.map(Value::from));
    set("seed", keys.seed.map(Value::from));
    set(spec.max_tokens_key.name(), keys.max_tokens.map(Value::from));
    set("stop", (!keys.stop.is_empty()).then(|| keys.stop.into()));
    set("n", (keys.samples > 1).then(|| keys.samples.into()));
    Value::Object(body)
}

/// A reply's body, as far as it is read.
#[derive(Debug, Deserialize)]
pub(super) struct WireReply {
    pub choices: Option<Vec<Choice>>,
    pub usage: Option<WireUsage>,
    /// Some gateways tell errors with status 200.
    pub error: Option<Value>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct WireUsage {
    #[serde(default)]
    pub prompt_tokens: u64,
    #[serde(default)]
    pub completion_tokens: u64,
}

#[derive(Debug, Deserialize)]
pub(super) struct Choice {
    message: Message,
    finish_reason: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Message {
    content: Option<String>,
    refusal: Option<String>,
}

impl Choice {
    /// What the model wrote.
    ///
    /// # Errors
    /// An answer withheld by a content filter, refused by the model, or with no text at all.
    pub(super) fn text(&self) -> Result<&str> {
        let finish = self.finish_reason.as_deref().unwrap_or("none");
        let content = self.message.content.as_deref();
        match (finish, content, self.message.refusal.as_deref()) {
            ("content_filter", ..) => bail!("the endpoint's content filter withheld the answer"),
            (_, None | Some(""), Some(refusal)) => bail!("the model refused to answer: {}", told(refusal)),
            ("length", None | Some(""), None) => {
                bail!("the reply has no text: all its tokens went into reasoning; allow it more")
            }
            (_, None, None) => bail!("the reply has no text (finish_reason {finish})"),
            (_, Some(text), _) => Ok(text),
        }
    }
}

/// What a server says of an error, on one line and not too long: from the usual places in a JSON body, else the body.
pub(super) fn error_message(body: &str) -> String {
    let json: Value = serde_json::from_str(body).unwrap_or_default();
    let places = ["/error/message", "/error", "/message", "/detail"];
    let found = places.iter().find_map(|place| json.pointer(place).and_then(Value::as_str));
    told(found.unwrap_or(body))
}

fn told(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(300) {
        Some((end, _)) => format!("{}...", line.get(..end).unwrap_or_default()),
        None => line,
    }
}
