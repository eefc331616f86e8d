//! Replies that come as a stream of server-sent events (<https://html.spec.whatwg.org/#server-sent-events>),
//! put together to the reply that comes without a stream.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::wire::{content, is_error, replace_lone_surrogates};

/// The data of the last event.
const DONE: &str = "[DONE]";
/// The fields that a stream may begin with; a comment has an empty name.
const FIELDS: [&str; 5] = ["data:", "event:", "id:", "retry:", ":"];
/// The keys of a message whose pieces are texts.
const TEXTS: [&str; 3] = ["refusal", "reasoning", "reasoning_content"];

/// Why the events make no reply.
#[derive(Debug)]
pub(super) enum StreamError {
    /// The last event is missing.
    Cut,
    /// An event is no JSON.
    Garbled(serde_json::Error),
}

/// Whether a body is a stream, whatever its headers say: no JSON begins as one.
pub(super) fn is_stream(body: &str) -> bool {
    let body = body.trim_start_matches(['\u{feff}', '\r', '\n']);
    FIELDS.iter().any(|field| body.starts_with(field))
}

/// Whether what has come of a stream ends with its last event: a server may keep the connection open
/// behind it.
pub(super) fn is_at_end(body: &[u8]) -> bool {
    let line = body.trim_ascii_end();
    let Some(before) = line.strip_suffix(DONE.as_bytes()) else {
        return false;
    };
    let field = before.trim_ascii_end().strip_suffix(b"data:");
    field.is_some_and(|before| matches!(before.last(), None | Some(b'\n' | b'\r')))
}

/// The reply whose pieces the events are, as JSON; an error among them is the reply.
///
/// # Errors
/// Returns an error if an event is no JSON, or the last event is missing and a choice has no end.
pub(super) fn whole_reply(body: &str) -> Result<String, StreamError> {
    let mut reply = Reply::default();
    for Event {
        name,
        data,
        is_ended,
    } in events(body)
    {
        if data.trim() == DONE {
            reply.is_done = true;
            break;
        }
        let event: Value = match serde_json::from_str(&replace_lone_surrogates(&data)) {
            Ok(event) => event,
            Err(error) if is_ended => return Err(StreamError::Garbled(error)),
            Err(_) => break,
        };
        if let Some(error) = error_of(&name, &event) {
            return Ok(error.to_string());
        }
        reply.add(&event);
    }
    match reply.is_whole() {
        true => Ok(reply.into_json().to_string()),
        false => Err(StreamError::Cut),
    }
}

/// An event with its name, which most servers leave out.
#[derive(Default)]
struct Event {
    name: String,
    data: String,
    /// Whether its end has come, which is an empty line.
    is_ended: bool,
}

/// The events with data; one that a server forgot to end counts too.
fn events(body: &str) -> Vec<Event> {
    let (mut events, mut event, mut has_data) = (Vec::new(), Event::default(), false);
    let body = body.trim_start_matches('\u{feff}').replace("\r\n", "\n");
    let lines: Vec<&str> = body.split(['\n', '\r']).collect();
    for (index, line) in lines.iter().chain(&[""]).enumerate() {
        if line.is_empty() {
            let mut ended = std::mem::take(&mut event);
            // What stands behind the last line break is no line.
            ended.is_ended = index + 1 < lines.len();
            if std::mem::take(&mut has_data) {
                events.push(ended);
            }
            continue;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut event.name),
            "data" => {
                if std::mem::replace(&mut has_data, true) {
                    event.data.push('\n');
                }
                event.data.push_str(value);
            }
            _ => {}
        }
    }
    events
}

/// The body of an error that an event reports, in one of the shapes that servers have for it.
fn error_of(name: &str, event: &Value) -> Option<Value> {
    let inner = event.get(0).unwrap_or(event);
    if inner.get("error").is_some_and(is_error) {
        return Some(inner.clone());
    }
    let is_error = name == "error" || inner.get("object").and_then(Value::as_str) == Some("error");
    is_error.then(|| json!({"error": inner}))
}

/// What the events so far add up to.
#[derive(Default)]
struct Reply {
    choices: BTreeMap<u64, Choice>,
    usage: Value,
    is_done: bool,
}

#[derive(Default)]
struct Choice {
    content: Option<String>,
    texts: BTreeMap<&'static str, String>,
    finish_reason: Value,
}

impl Reply {
    fn add(&mut self, event: &Value) {
        // Counts of a stream are those so far.
        if let Some(usage) = event.get("usage").filter(|usage| usage.is_object()) {
            self.usage = usage.clone();
        }
        for piece in event
            .get("choices")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            let index = piece.get("index").and_then(Value::as_u64).unwrap_or(0);
            self.choices.entry(index).or_default().add(piece);
        }
    }

    fn is_whole(&self) -> bool {
        let has_end = |choice: &Choice| !choice.finish_reason.is_null();
        self.is_done || (!self.choices.is_empty() && self.choices.values().all(has_end))
    }

    fn into_json(self) -> Value {
        let choices: Vec<Value> = self.choices.into_values().map(Choice::into_json).collect();
        json!({"choices": choices, "usage": self.usage})
    }
}

impl Choice {
    /// Adds a piece: a `delta`, or a whole `message` of a server that streams in one event.
    fn add(&mut self, piece: &Value) {
        let message = ["delta", "message"]
            .iter()
            .find_map(|key| piece.get(key).filter(|message| message.is_object()));
        if let Some(message) = message {
            if let Some(text) = message.get("content").and_then(content) {
                self.content.get_or_insert_default().push_str(&text);
            }
            for key in TEXTS {
                if let Some(text) = message.get(key).and_then(Value::as_str) {
                    self.texts.entry(key).or_default().push_str(text);
                }
            }
        }
        if let Some(reason) = piece
            .get("finish_reason")
            .filter(|reason| !reason.is_null())
        {
            self.finish_reason = reason.clone();
        }
    }

    fn into_json(self) -> Value {
        let mut message = Map::new();
        message.insert("content".to_owned(), self.content.into());
        for (key, text) in self.texts {
            message.insert(key.to_owned(), text.into());
        }
        json!({"message": message, "finish_reason": self.finish_reason})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn reply(body: &str) -> Value {
        assert!(is_stream(body), "{body}");
        serde_json::from_str(&whole_reply(body).unwrap()).unwrap()
    }

    #[test]
    fn the_pieces_of_each_choice_are_one_message() {
        let body = ": hello\n\n\
            data: {\"choices\": [], \"prompt_filter_results\": []}\r\n\r\n\
            event: message\ndata: {\"choices\": [{\"index\": 1, \"delta\": {\"role\": \"assistant\", \"content\": \"no\"}}]}\n\n\
            data: {\"choices\": [{\"index\": 0, \"delta\": {\"content\": null, \"reasoning_content\": \"hm\"}}]}\n\n\
            data:{\"choices\": [{\"index\": 0,\ndata: \"delta\": {\"content\": \"1\"}}]}\n\n\
            data: {\"choices\": [{\"index\": 0, \"delta\": {\"content\": [{\"type\": \"text\", \"text\": \"2\"}]}}]}\n\n\
            data: {\"choices\": [{\"index\": 0, \"delta\": {}, \"finish_reason\": \"stop\"}], \"usage\": {\"prompt_tokens\": 1}}\n\n\
            data: {\"choices\": [{\"index\": 1, \"delta\": {}, \"finish_reason\": \"length\"}], \"usage\": null}\n\n\
            data: {\"choices\": [], \"usage\": {\"prompt_tokens\": 7, \"completion_tokens\": 3}}\n\n\
            data: [DONE]\n\ndata: what is behind it is not read\n\n";
        let expected = json!({
            "choices": [
                {"message": {"content": "12", "reasoning_content": "hm"}, "finish_reason": "stop"},
                {"message": {"content": "no"}, "finish_reason": "length"},
            ],
            "usage": {"prompt_tokens": 7, "completion_tokens": 3},
        });
        assert_eq!(reply(body), expected);
    }

    #[test]
    fn a_stream_may_be_one_message_and_may_lack_its_last_event() {
        let body = "data: {\"choices\": [{\"message\": {\"content\": \"5\"}, \"finish_reason\": \"stop\"}]}";
        assert_eq!(reply(body)["choices"][0]["message"]["content"], "5");
        let cut = "data: {\"choices\": [{\"delta\": {\"content\": \"5\"}}]}\n\n";
        assert!(matches!(whole_reply(cut), Err(StreamError::Cut)));
        assert!(matches!(whole_reply(": ping\n"), Err(StreamError::Cut)));
        let done = format!("{cut}data: [DONE]\n\n");
        assert_eq!(reply(&done)["choices"][0]["message"]["content"], "5");
        // Cut within an event it is cut, but an event that ends is all that the server sent.
        for end in ["", "\n"] {
            let cut = format!("{cut}data: {{\"choi{end}");
            assert!(
                matches!(whole_reply(&cut), Err(StreamError::Cut)),
                "{end:?}"
            );
        }
        let garbled = format!("{cut}data: {{\"choi\n\n");
        assert!(matches!(
            whole_reply(&garbled),
            Err(StreamError::Garbled(_))
        ));
    }

    #[test]
    fn an_error_among_the_events_is_the_reply() {
        let before = "data: {\"choices\": [{\"delta\": {\"content\": \"5\"}}]}\n\n";
        for event in [
            "data: {\"error\": {\"message\": \"gone\", \"code\": 503}}",
            "data: [{\"error\": {\"message\": \"gone\", \"code\": 503}}]",
            "event: error\ndata: {\"message\": \"gone\", \"code\": 503}",
            "data: {\"object\": \"error\", \"message\": \"gone\", \"code\": 503}",
        ] {
            let reply = reply(&format!("{before}{event}\n\n"));
            assert_eq!(reply["error"]["message"], "gone", "{event}");
            assert_eq!(reply["error"]["code"], 503, "{event}");
        }
    }

    #[test]
    fn json_is_no_stream_and_a_text_about_the_end_is_not_the_end() {
        for body in ["{\"choices\": []}", "[{}]", "<html>", "", "datum: 5"] {
            assert!(!is_stream(body), "{body}");
        }
        for body in [
            "data: {}\n\ndata: [DONE]\n\n",
            "data:[DONE]",
            "data: {}\r\rdata: [DONE]",
        ] {
            assert!(is_at_end(body.as_bytes()), "{body}");
        }
        for body in [
            "data: {\"content\": \"data: [DONE]",
            "data: {}\n\n",
            "data: [DONE]x",
            "",
        ] {
            assert!(!is_at_end(body.as_bytes()), "{body}");
        }
    }
}
