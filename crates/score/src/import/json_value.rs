//! Converts JSON values to answers: strings, numbers, lists.

use std::borrow::Cow;

use anyhow::{Context, Result, anyhow, bail};
use serde_json::value::RawValue;

use super::json_object;

/// Deepest nesting of lists in a prediction.
const MAX_DEPTH: usize = 8;

/// A prediction: a string is its text, a number keeps its JSON text (`1.0` stays `1.0`), `true` and
/// `false` become `True` and `False` (what Python prints), a list its text as a Python literal
/// (`["A", 2]`), `null` none.
///
/// # Errors
/// Returns an error for an object, a broken string, and lists nested deeper than [`MAX_DEPTH`].
pub(super) fn prediction(raw: &RawValue) -> Result<Option<String>> {
    match raw.get().as_bytes().first() {
        Some(b'n') => Ok(None),
        Some(b'"') => string(raw).map(Some),
        _ => {
            let mut literal = String::new();
            write_literal(raw, 0, &mut literal)?;
            Ok(Some(literal))
        }
    }
}

/// The only item of a prediction that is a list of one, as gold answers write such a list.
pub(super) fn only_item(raw: &RawValue) -> Option<String> {
    let [item] = items(raw).ok()?[..] else {
        return None;
    };
    if item.get().starts_with(['[', '{']) {
        None
    } else {
        prediction(item).ok()?
    }
}

/// The text of a string, or of the last string of a list (the last turn of a conversation); nothing
/// for anything else.
pub(super) fn last_text(raw: &RawValue) -> Option<String> {
    text(raw).or_else(|| text(items(raw).ok()?.last()?))
}

/// A text, or the items of a list of texts separated by commas.
pub(super) fn listed_text(raw: &RawValue) -> Option<String> {
    let listed = || {
        Some(
            items(raw)
                .ok()?
                .into_iter()
                .filter_map(text)
                .collect::<Vec<_>>()
                .join(", "),
        )
    };
    text(raw).or_else(listed)
}

/// The first text of the arguments of a model's call: lm-eval writes lists of lists, or objects of
/// numbered keys.
pub(super) fn first_text(raw: &RawValue) -> Option<String> {
    let mut raw = raw;
    for _ in 0..MAX_DEPTH {
        raw = match raw.get().as_bytes().first() {
            Some(b'[') => *items(raw).ok()?.first()?,
            Some(b'{') => json_object::key_values(raw.get()).ok()?.first()?.1,
            _ => return text(raw),
        };
    }
    None
}

fn write_literal(raw: &RawValue, depth: usize, out: &mut String) -> Result<()> {
    let text = raw.get();
    match text.as_bytes().first() {
        // Written anew, because Python reads `\/` otherwise.
        Some(b'"') => {
            out.push_str(&serde_json::to_string(&string(raw)?).context("not a proper string")?)
        }
        Some(b'[') if depth == MAX_DEPTH => bail!("lists nested deeper than {MAX_DEPTH}"),
        Some(b'[') => {
            out.push('[');
            for (index, item) in items(raw)?.into_iter().enumerate() {
                out.push_str(if index == 0 { "" } else { ", " });
                write_literal(item, depth + 1, out)?;
            }
            out.push(']');
        }
        Some(b'{') => bail!(
            "an object is no answer; it must be a string, a number, true, false, null or a list"
        ),
        Some(b'n') => out.push_str("None"),
        Some(b't') => out.push_str("True"),
        Some(b'f') => out.push_str("False"),
        _ => out.push_str(text),
    }
    Ok(())
}

/// Parses the responses that an evaluation harness logs: a text, `[text]` or `[[text, ...]]`.
/// Returns the first text, and whether others follow.
///
/// # Errors
/// Returns an error for anything else, such as the log-likelihoods of a multiple-choice task.
pub(super) fn response(raw: &RawValue) -> Result<(Option<String>, bool)> {
    let (mut raw, mut several) = (raw, false);
    for _ in 0..MAX_DEPTH {
        match raw.get().as_bytes().first() {
            Some(b'[') => {
                let list = items(raw)?;
                several |= list.len() > 1;
                raw = list.first().context("an empty list of responses")?;
            }
            Some(b'"') => return Ok((Some(string(raw)?), several)),
            Some(b'n') => return Ok((None, several)),
            _ => break,
        }
    }
    bail!(
        "neither a text nor a list of texts (the log-likelihoods of a multiple-choice task are no answers)"
    )
}

/// Parses an id, which some files write as a number.
///
/// # Errors
/// Returns an error if it is neither a string nor a number.
pub(super) fn id(raw: &RawValue) -> Result<String> {
    match raw.get().as_bytes().first() {
        Some(b'"') => string(raw),
        Some(b'-' | b'0'..=b'9') => Ok(raw.get().to_owned()),
        _ => bail!("it must be a string or a number"),
    }
}

/// The text of a string; nothing for any other value.
pub(super) fn text(raw: &RawValue) -> Option<String> {
    raw.get()
        .starts_with('"')
        .then(|| string(raw).ok())
        .flatten()
}

fn string(raw: &RawValue) -> Result<String> {
    serde_json::from_str(raw.get()).map_err(|error| {
        let full = error.to_string();
        anyhow!(
            "a broken string ({})",
            full.rsplit_once(" at line ")
                .map_or(full.as_str(), |(what, _)| what)
        )
    })
}

fn items(raw: &RawValue) -> Result<Vec<&RawValue>> {
    serde_json::from_str(raw.get()).context("not a proper list")
}

/// Replaces `NaN`, `Infinity` and `-Infinity`, which Python's `json` writes and JSON does not have,
/// by their Python texts (`"nan"`, `"inf"`, `"-inf"`). Lines keep their numbers.
pub(super) fn without_nan(json: &str) -> Cow<'_, str> {
    if !json.contains("NaN") && !json.contains("Infinity") {
        return Cow::Borrowed(json);
    }
    const TEXTS: [(&str, &str); 3] = [
        ("NaN", "\"nan\""),
        ("Infinity", "\"inf\""),
        ("-Infinity", "\"-inf\""),
    ];
    let mut plain = String::with_capacity(json.len() + json.len() / 8);
    let (mut rest, mut quoted) = (json, false);
    while let Some(offset) = rest.find(['"', '\\', '\n', 'N', 'I', '-']) {
        let (before, tail) = rest.split_at(offset);
        plain.push_str(before);
        let replaced = TEXTS
            .iter()
            .find(|(name, _)| !quoted && tail.starts_with(name));
        let step = match (replaced, tail.as_bytes().first()) {
            (Some((name, text)), _) => {
                plain.push_str(text);
                rest = tail.get(name.len()..).unwrap_or_default();
                continue;
            }
            // The escaped character cannot end the string.
            (None, Some(b'\\')) => 1 + tail.chars().nth(1).map_or(0, char::len_utf8),
            (None, Some(b'"')) => {
                quoted = !quoted;
                1
            }
            // No string contains a bare line end, so a fault of a line does not affect the next.
            (None, Some(b'\n')) => {
                quoted = false;
                1
            }
            _ => 1,
        };
        let (passed, after) = tail.split_at(step);
        plain.push_str(passed);
        rest = after;
    }
    Cow::Owned(plain + rest)
}
