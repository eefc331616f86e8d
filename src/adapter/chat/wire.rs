//! Requests and replies of `/chat/completions`
//! (<https://platform.openai.com/docs/api-reference/chat>).

use std::borrow::Cow;
use std::time::Duration;

use anyhow::{Result, bail};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::adapter::secrets::Secrets;
use crate::config::EndpointSpec;
use chartbench_core::terminal::shorten;

/// The request keys besides the messages; absent ones are not sent.
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
pub(super) fn request(
    spec: &EndpointSpec,
    model: &str,
    messages: Vec<Value>,
    keys: &RequestKeys<'_>,
) -> Value {
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
    if spec.stream {
        set("stream", Some(true.into()));
        set("stream_options", Some(json!({"include_usage": true})));
    }
    Value::Object(body)
}

/// A reply's body, as far as it is read. Servers leave out keys, send `null` for them, or another
/// type: only what an answer cannot do without is insisted on.
#[derive(Debug)]
pub(super) struct WireReply {
    pub choices: Option<Vec<Choice>>,
    pub usage: Option<WireUsage>,
    /// Some gateways report errors with status 200.
    pub error: Option<Value>,
}

/// The tokens of a reply, as far as they are numbers.
#[derive(Debug)]
pub(super) struct WireUsage {
    pub prompt_tokens: Option<u64>,
    pub completion_tokens: Option<u64>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Choice {
    content: Option<String>,
    refusal: Option<String>,
    /// The key that holds what the model thought, where there is such a text.
    reasoning: Option<&'static str>,
    /// Why the reply ends, as the server names it.
    pub finish_reason: Option<String>,
}

impl WireReply {
    /// # Errors
    /// Returns an error if the body is no JSON object.
    pub(super) fn parse(body: &str) -> serde_json::Result<Self> {
        /// Each part by itself: a number out of range in one says nothing of the others.
        #[derive(Deserialize)]
        struct Body<'a> {
            #[serde(borrow, default)]
            choices: Option<&'a RawValue>,
            #[serde(borrow, default)]
            usage: Option<&'a RawValue>,
            #[serde(borrow, default)]
            error: Option<&'a RawValue>,
        }
        fn read<T: DeserializeOwned>(part: Option<&RawValue>) -> Option<T> {
            part.and_then(|part| serde_json::from_str(part.get()).ok())
        }
        let body = replace_lone_surrogates(body);
        let body = match serde_json::from_str::<Vec<&RawValue>>(&body).as_deref() {
            // Gemini's errors are in a list.
            Ok([reply]) => serde_json::from_str::<Body<'_>>(reply.get())?,
            _ => serde_json::from_str(&body)?,
        };
        let usage = read::<Value>(body.usage).filter(Value::is_object);
        Ok(Self {
            choices: read::<Vec<WireChoice>>(body.choices)
                .map(|choices| choices.into_iter().map(Choice::from).collect()),
            usage: usage.map(|usage| WireUsage {
                prompt_tokens: usage.get("prompt_tokens").and_then(count),
                completion_tokens: usage.get("completion_tokens").and_then(count),
            }),
            error: read::<Value>(body.error).filter(is_error),
        })
    }
}

/// Whether the `error` of a body says that there is one: some servers send an empty one with each
/// answer.
pub(super) fn is_error(error: &Value) -> bool {
    match error {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.is_empty(),
        Value::Object(fields) => fields.values().any(is_error),
        Value::Array(items) => items.iter().any(is_error),
        Value::Number(code) => code.as_f64() != Some(0.0),
        Value::Bool(true) => true,
    }
}

#[derive(Deserialize)]
struct WireChoice {
    #[serde(default)]
    message: Value,
    #[serde(default)]
    finish_reason: Value,
}

impl From<WireChoice> for Choice {
    fn from(
        WireChoice {
            message,
            finish_reason,
        }: WireChoice,
    ) -> Self {
        let is_text = |key: &&str| {
            message
                .get(*key)
                .and_then(Value::as_str)
                .is_some_and(|text| !text.trim().is_empty())
        };
        Self {
            content: message.get("content").and_then(content),
            refusal: message
                .get("refusal")
                .and_then(Value::as_str)
                .map(str::to_owned),
            reasoning: ["reasoning", "reasoning_content"].into_iter().find(is_text),
            finish_reason: scalar(&finish_reason)
                .filter(|reason| !reason.trim().is_empty())
                .map(|text| shorten(&text)),
        }
    }
}

/// A message's text: a string, or the texts of a list of parts without those of its reasoning.
pub(super) fn content(value: &Value) -> Option<String> {
    let is_reasoning = |part: &Value| {
        let kind = part.get("type").and_then(Value::as_str);
        kind.is_some_and(|kind| ["reasoning", "thinking"].contains(&kind))
    };
    let part = |part: &Value| {
        part.as_str()
            .or_else(|| part.get("text")?.as_str())
            .filter(|_| !is_reasoning(part))
            .map(str::to_owned)
    };
    match value {
        Value::Array(parts) => parts
            .iter()
            .filter_map(part)
            .reduce(|text, more| text + &more),
        other => scalar(other),
    }
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// A count that is a number, or a number as text.
pub(super) fn count(value: &Value) -> Option<u64> {
    value
        .as_u64()
        .or_else(|| value.as_str()?.trim().parse().ok())
}

/// Puts U+FFFD in the place of each escaped half of a surrogate pair without its other half: a
/// server that counts in UTF-16 cuts an answer there, and JSON's own rules would refuse all of it.
pub(super) fn replace_lone_surrogates(body: &str) -> Cow<'_, str> {
    let unit = |at: usize| {
        let digits = body
            .get(at..)
            .filter(|rest| rest.starts_with("\\u"))?
            .get(2..6)?;
        u32::from_str_radix(digits, 16).ok()
    };
    let mut mended = String::new();
    let (mut kept, mut at) = (0, 0);
    while let Some(found) = body.get(at..).and_then(|rest| rest.find('\\')) {
        let escape = at + found;
        at = match (unit(escape), unit(escape + 6)) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => escape + 12,
            (Some(0xd800..=0xdfff), _) => {
                mended.push_str(body.get(kept..escape).unwrap_or_default());
                mended.push_str("\\ufffd");
                kept = escape + 6;
                kept
            }
            // The character behind a backslash is part of the escape, a second backslash too.
            _ => {
                escape
                    + 1
                    + body
                        .get(escape + 1..)
                        .and_then(|rest| rest.chars().next())
                        .map_or(1, char::len_utf8)
            }
        };
    }
    if kept == 0 {
        body.into()
    } else {
        (mended + body.get(kept..).unwrap_or_default()).into()
    }
}

impl Choice {
    /// The text that the model wrote.
    ///
    /// # Errors
    /// Returns an error if a content filter withheld the answer, the model refused it, the endpoint
    /// broke it off, or there is no text.
    pub(super) fn text(&self) -> Result<&str> {
        let finish = self.finish_reason.as_deref().unwrap_or("none");
        let text = self
            .content
            .as_deref()
            .filter(|text| !text.trim().is_empty());
        match (
            finish.to_lowercase().as_str(),
            text,
            self.refusal.as_deref(),
            self.reasoning,
        ) {
            // Gemini adds the filter's reason.
            (reason, ..) if reason.starts_with("content_filter") => {
                bail!("the endpoint's content filter withheld the answer")
            }
            ("error" | "abort", ..) => {
                bail!("the endpoint broke the answer off (finish_reason {finish})")
            }
            (_, Some(text), ..) => Ok(text),
            (_, None, Some(refusal), _) => {
                bail!("the model refused to answer: {}", one_line(refusal))
            }
            ("length", None, None, _) => {
                bail!("the reply has no text: all its tokens went into reasoning; allow it more")
            }
            (_, None, None, Some(key)) => {
                bail!(
                    "the reply has its text in `{key}` alone (finish_reason {finish}): turn reasoning off, or allow it more tokens"
                )
            }
            (_, None, None, None) => bail!("the reply has no text (finish_reason {finish})"),
        }
    }

    /// Whether it ended as it should, with nothing written: one completion of several may.
    pub(super) fn is_empty(&self) -> bool {
        self.finish_reason
            .as_deref()
            .is_none_or(|reason| reason == "stop")
            && self.refusal.is_none()
            && self.reasoning.is_none()
            && self
                .content
                .as_deref()
                .is_some_and(|text| text.trim().is_empty())
    }

    /// The name of a secret that it repeats. A refusal becomes a message, where it loses the
    /// secret.
    pub(super) fn secret<'a>(&mut self, secrets: &'a Secrets) -> Option<&'a str> {
        self.refusal = self.refusal.as_deref().map(|refusal| secrets.blot(refusal));
        [&self.content, &self.finish_reason]
            .into_iter()
            .flatten()
            .find_map(|text| secrets.found_in(text))
    }
}

/// The error message of a server: from the usual places in a JSON body, else the body.
pub(super) fn error_message(body: &str) -> String {
    let json: Value = serde_json::from_str(&replace_lone_surrogates(body)).unwrap_or_default();
    let json = in_list(&json);
    let pointers = [
        "/error/message",
        "/error",
        "/message",
        "/detail",
        "/detail/0/msg",
    ];
    let found = pointers
        .iter()
        .find_map(|pointer| json.pointer(pointer).and_then(Value::as_str));
    found.unwrap_or(body).to_owned()
}

/// How long Gemini's error asks to wait.
pub(super) fn retry_delay(body: &str) -> Option<Duration> {
    let json: Value = serde_json::from_str(body).ok()?;
    let details = in_list(&json).pointer("/error/details")?.as_array()?;
    let delay = details
        .iter()
        .find_map(|detail| detail.get("retryDelay")?.as_str())?;
    let seconds: f64 = delay.strip_suffix('s')?.parse().ok()?;
    Duration::try_from_secs_f64(seconds)
        .ok()
        .filter(|delay| !delay.is_zero())
}

/// The value itself, or the one value of a list.
fn in_list(value: &Value) -> &Value {
    match value {
        Value::Array(values) if values.len() == 1 => values.first().unwrap_or(value),
        value => value,
    }
}

/// A text of a server on one line, and not too long.
pub(super) fn one_line(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(300) {
        Some((end, _)) => format!("{}...", line.get(..end).unwrap_or_default()),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first choice of a reply with this message and finish reason.
    fn text(message: &str, finish_reason: &str) -> Result<String> {
        let body = format!(
            "{{\"choices\": [{{\"message\": {message}, \"finish_reason\": {finish_reason}}}]}}"
        );
        Ok(WireReply::parse(&body)?
            .choices
            .unwrap()
            .remove(0)
            .text()?
            .to_owned())
    }

    #[test]
    fn an_error_of_nothing_is_none() {
        for (error, is_error) in [
            ("null", false),
            ("false", false),
            ("0", false),
            ("\"\"", false),
            ("{}", false),
            ("[]", false),
            (r#"{"message": "", "code": null}"#, false),
            (r#"{"code": 503}"#, true),
            ("\"gone\"", true),
            ("true", true),
        ] {
            let body = format!("{{\"choices\": [], \"error\": {error}}}");
            let reply = WireReply::parse(&body).unwrap();
            assert_eq!(reply.error.is_some(), is_error, "{error}");
        }
    }

    #[test]
    fn an_answer_is_read_whatever_is_around_it() {
        for (message, finish_reason, answer) in [
            (r#"{"content": "7"}"#, "null", "7"),
            (
                r#"{"content": " 7\n", "reasoning": "hm", "refusal": null}"#,
                "1",
                " 7\n",
            ),
            (
                r#"{"content": [{"type": "text", "text": "7 "}, {"type": "image_url"}, "8"], "x": [1e5]}"#,
                "\"stop\"",
                "7 8",
            ),
            (
                r#"{"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "8?"}]},
                    {"type": "reasoning", "text": "8?"}, {"type": "text", "text": "7"}]}"#,
                "\"stop\"",
                "7",
            ),
            (r#"{"content": 7}"#, "{}", "7"),
            (r#"{"content": "7 \ud83d"}"#, "\"length\"", "7 \u{fffd}"),
            (
                r#"{"content": "\udc00\ud83d\ude00\\ud83d \\\ud83d"}"#,
                "true",
                "\u{fffd}\u{1f600}\\ud83d \\\u{fffd}",
            ),
        ] {
            assert_eq!(text(message, finish_reason).unwrap(), answer, "{message}");
        }
    }

    #[test]
    fn a_reply_without_an_answer_says_why() {
        for (message, finish_reason, why) in [
            (
                "null",
                "\"content_filter\"",
                "the endpoint's content filter withheld the answer",
            ),
            (
                r#"{"content": "7"}"#,
                "\"content_filter: RECITATION\"",
                "the endpoint's content filter withheld the answer",
            ),
            ("null", "null", "the reply has no text (finish_reason none)"),
            (
                "\"7\"",
                "\"stop\"",
                "the reply has no text (finish_reason stop)",
            ),
            (
                r#"{"content": " \n"}"#,
                "\"stop\"",
                "the reply has no text (finish_reason stop)",
            ),
            (
                r#"{"content": []}"#,
                "\"stop\"",
                "the reply has no text (finish_reason stop)",
            ),
            (
                r#"{"content": "7"}"#,
                "\"error\"",
                "the endpoint broke the answer off (finish_reason error)",
            ),
            (
                r#"{"content": "7"}"#,
                "\"ABORT\"",
                "the endpoint broke the answer off (finish_reason ABORT)",
            ),
            (
                r#"{"content": "", "reasoning_content": "7"}"#,
                "\"stop\"",
                "the reply has its text in `reasoning_content` alone (finish_reason stop): turn reasoning off, or allow it \
                 more tokens",
            ),
        ] {
            assert_eq!(text(message, finish_reason).unwrap_err().to_string(), why);
        }
    }

    #[test]
    fn usage_is_read_as_far_as_it_is_numbers() {
        for (usage, tokens) in [
            ("null", None),
            ("7", None),
            (
                r#"{"prompt_tokens": null, "completion_tokens": null}"#,
                Some((None, None)),
            ),
            (
                r#"{"prompt_tokens": "12", "completion_tokens": -1}"#,
                Some((Some(12), None)),
            ),
            (
                r#"{"prompt_tokens": 3, "completion_tokens": 4, "details": [1]}"#,
                Some((Some(3), Some(4))),
            ),
            (r#"{"prompt_tokens": 3, "completion_tokens": 1e400}"#, None),
        ] {
            let reply =
                WireReply::parse(&format!("{{\"choices\": [], \"usage\": {usage}}}")).unwrap();
            assert_eq!(reply.choices.unwrap().len(), 0);
            assert_eq!(
                reply
                    .usage
                    .map(|usage| (usage.prompt_tokens, usage.completion_tokens)),
                tokens,
                "{usage}"
            );
        }
        assert!(WireReply::parse("{}").unwrap().choices.is_none());
        assert!(
            WireReply::parse("{\"choices\": {}}")
                .unwrap()
                .choices
                .is_none()
        );
    }
}
