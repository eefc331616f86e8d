//! The fields the formats share, from their text to their types.

use anyhow::{Context, Result, bail};
use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde_json::value::RawValue;

use crate::question::{AnswerType, Gold, Taxonomy};

/// How deep lists may lie in a list answer; RealCQA's lie one or two deep.
const DEPTH: usize = 8;

/// A gold answer from JSON: a string is its text, a number keeps its JSON text (`1.0` stays `1.0`), a list is a list.
/// `true` and `false` become `True` and `False`, which is what Python prints and RealCQA's evaluator compares with.
///
/// # Errors
/// `null`, an object, lists nested deeper than [`DEPTH`].
pub fn gold(raw: &RawValue) -> Result<Gold> {
    gold_at(raw, 0)
}

fn gold_at(raw: &RawValue, depth: usize) -> Result<Gold> {
    let text = raw.get();
    Ok(match text.as_bytes().first() {
        Some(b'"') => Gold::Text(serde_json::from_str(text).context("not a proper string")?),
        Some(b'[') if depth == DEPTH => bail!("lists nested deeper than {DEPTH}"),
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(text).context("not a proper list")?;
            Gold::List(items.into_iter().map(|item| gold_at(item, depth + 1)).collect::<Result<_>>()?)
        }
        Some(b'{') => bail!("an object is no answer; it must be a string, a number, true, false or a list"),
        Some(b'n') => bail!("null is no answer; it must be a string, a number, true, false or a list"),
        Some(b't') => Gold::from("True"),
        Some(b'f') => Gold::from("False"),
        _ => Gold::from(text),
    })
}

/// An answer type as RealCQA spells it (`Unranked List`) or as chartbench does (`unranked_list`).
pub fn answer_type(text: &str) -> Result<AnswerType> {
    let plain = text.trim().to_ascii_lowercase().replace('_', " ");
    Ok(match plain.as_str() {
        "string" => AnswerType::String,
        "numerical" => AnswerType::Numerical,
        "binary" => AnswerType::Binary,
        "ranked list" => AnswerType::RankedList,
        "unranked list" => AnswerType::UnrankedList,
        "table" => AnswerType::Table,
        _ => bail!("unknown answer type `{text}`; it must be String, Numerical, Binary, Ranked List or Unranked List"),
    })
}

/// A taxonomy by RealCQA's `taxonomy id`, whose first digit tells it (`2e`), or by its name.
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

/// A chart type in lower case with single spaces: `Vertical_Bar ` and `vertical bar` are one type.
pub fn chart_type(text: &str) -> Option<String> {
    let words = text.to_lowercase().replace('_', " ");
    let words: Vec<&str> = words.split_whitespace().collect();
    (!words.is_empty()).then(|| words.join(" "))
}

/// A text that some files write as a number: an id, a taxonomy id.
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
