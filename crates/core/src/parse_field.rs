//! Parses the fields that file formats share: gold answers, answer types, taxonomies, chart types,
//! ids.

use anyhow::{Context, Result, bail};
use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde_json::value::RawValue;

use crate::question::{AnswerType, Gold, Taxonomy};

/// Deepest nesting of lists in an answer; RealCQA's are one or two deep.
const MAX_DEPTH: usize = 8;

/// Parses a gold answer in JSON: a string is its text, a number keeps its JSON text (`1.0` stays
/// `1.0`), a list is a list. `true` and `false` become `True` and `False`, as Python prints them
/// and RealCQA's evaluator compares them.
///
/// # Errors
/// Returns an error for `null`, an object, and lists nested deeper than 8.
pub fn gold(raw: &RawValue) -> Result<Gold> {
    nested_gold(raw, 0)
}

/// As [`gold`], but `None` for `null`: the data set has no answer to the question.
///
/// # Errors
/// As [`gold`], except for `null`.
pub fn optional_gold(raw: &RawValue) -> Result<Option<Gold>> {
    (raw.get() != "null").then(|| gold(raw)).transpose()
}

fn nested_gold(raw: &RawValue, depth: usize) -> Result<Gold> {
    let text = raw.get();
    Ok(match text.as_bytes().first() {
        Some(b'"') => Gold::Text(serde_json::from_str(text).context("not a proper string")?),
        Some(b'[') if depth == MAX_DEPTH => bail!("lists nested deeper than {MAX_DEPTH}"),
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(text).context("not a proper list")?;
            Gold::List(
                items
                    .into_iter()
                    .map(|item| nested_gold(item, depth + 1))
                    .collect::<Result<_>>()?,
            )
        }
        Some(b'{') => {
            bail!("an object is no answer; it must be a string, a number, true, false or a list")
        }
        Some(b'n') => {
            bail!("null is no answer; it must be a string, a number, true, false or a list")
        }
        Some(b't') => Gold::from("True"),
        Some(b'f') => Gold::from("False"),
        _ => Gold::from(text),
    })
}

/// Parses an answer type in RealCQA's spelling (`Unranked List`) or in chartbench's
/// (`unranked_list`).
///
/// # Errors
/// Returns an error if the answer type is unknown.
pub fn answer_type(text: &str) -> Result<AnswerType> {
    let plain = text.trim().to_ascii_lowercase().replace('_', " ");
    Ok(match plain.as_str() {
        "string" => AnswerType::String,
        "numerical" => AnswerType::Numerical,
        "binary" => AnswerType::Binary,
        "ranked list" => AnswerType::RankedList,
        "unranked list" => AnswerType::UnrankedList,
        "table" => AnswerType::Table,
        _ => bail!(
            "unknown answer type `{text}`; it must be String, Numerical, Binary, Ranked List, Unranked List or Table"
        ),
    })
}

/// Parses a taxonomy: the first digit of RealCQA's `taxonomy id` (`2e`), or its name.
///
/// # Errors
/// Returns an error if the taxonomy is unknown.
pub fn taxonomy(text: &str) -> Result<Taxonomy> {
    Ok(match (text, text.as_bytes().first()) {
        ("root", _) | (_, Some(b'1')) => Taxonomy::Root,
        ("structural", _) | (_, Some(b'2')) => Taxonomy::Structural,
        ("retrieval", _) | (_, Some(b'3')) => Taxonomy::Retrieval,
        ("reasoning", _) | (_, Some(b'4')) => Taxonomy::Reasoning,
        _ => bail!(
            "unknown taxonomy `{text}`; it must begin with 1 to 4, or be root, structural, retrieval or reasoning"
        ),
    })
}

/// Normalises a chart type to lower case and single spaces: `Vertical_Bar ` and `vertical bar` are
/// one type.
pub fn chart_type(text: &str) -> Option<String> {
    let words = text.to_lowercase().replace('_', " ");
    let words: Vec<&str> = words.split_whitespace().collect();
    (!words.is_empty()).then(|| words.join(" "))
}

/// A text that some files write as a number, such as an id or a taxonomy id.
pub struct Label(pub String);

impl<'de> Deserialize<'de> for Label {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LabelVisitor)
    }
}

struct LabelVisitor;

impl Visitor<'_> for LabelVisitor {
    type Value = Label;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a string or a whole number")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Label, E> {
        Ok(Label(text.to_owned()))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Label, E> {
        Ok(Label(number.to_string()))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Label, E> {
        Ok(Label(number.to_string()))
    }
}
