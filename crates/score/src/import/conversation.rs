//! ChartBench's records: an object for each pair of assertions or number question, whose
//! `conversation` is a list of turns with question, gold answer and reply.

use std::borrow::Cow;

use anyhow::{Context, Result};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::columns::Need;
use super::json_object::key_values;
use super::json_value;
use super::table::{AnswerRow, AnswerTable};
use chartbench_core::question::{Gold, Prediction};
use chartbench_core::{parse_field, read_file};

const CONVERSATION: &str = "conversation";

/// One record, as `test.jsonl` and `Result/raw/*.jsonl` have it.
#[derive(Deserialize)]
struct Record<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    image: Option<&'a RawValue>,
    #[serde(borrow, rename = "type")]
    kind: Option<Kind<'a>>,
    #[serde(borrow)]
    conversation: Vec<Turn<'a>>,
}

#[derive(Deserialize)]
struct Kind<'a> {
    #[serde(borrow, rename = "QA")]
    qa: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Turn<'a> {
    #[serde(borrow)]
    query: Option<&'a RawValue>,
    #[serde(borrow)]
    label: Option<&'a RawValue>,
    /// `null` where the question failed.
    #[serde(borrow, default, deserialize_with = "present")]
    answer: Option<&'a RawValue>,
    /// The number that a language model found in the reply; the original scores it instead.
    #[serde(borrow)]
    gpt_filter: Option<&'a RawValue>,
}

/// A value that is there, `null` too.
fn present<'de, D: Deserializer<'de>>(value: D) -> Result<Option<&'de RawValue>, D::Error> {
    Deserialize::deserialize(value).map(Some)
}

/// Whether an object with these keys and values is such a record.
pub(super) fn is_record(entries: &[(Cow<'_, str>, &RawValue)]) -> bool {
    let turns = entries.iter().find(|(key, _)| key == CONVERSATION);
    let turns =
        turns.and_then(|(_, turns)| serde_json::from_str::<Vec<&RawValue>>(turns.get()).ok());
    let first = turns.and_then(|turns| key_values(turns.first()?.get()).ok());
    first.is_some_and(|turn| {
        ["query", "label"]
            .iter()
            .all(|name| turn.iter().any(|(key, _)| key == name))
    })
}

/// Adds a row for each turn of the record `json`, with the ids `RECORD/0`, `RECORD/1`.
///
/// # Errors
/// Returns an error if the record is malformed, or lacks what `need` asks for.
pub(super) fn add(table: &mut AnswerTable, number: usize, json: &str, need: Need) -> Result<()> {
    let record: Record<'_> =
        serde_json::from_str(json).map_err(|error| read_file::json_fault(&error, 1))?;
    let text = |raw: Option<&RawValue>| raw.and_then(json_value::text);
    let id = record.id.context("no key `id`")?;
    let id = json_value::id(id).context("id")?;
    for (index, turn) in record.conversation.iter().enumerate() {
        let place = || format!("{CONVERSATION}: turn {}", index + 1);
        let row = AnswerRow {
            prediction: turn.prediction(need).with_context(place)?,
            gold: turn.gold(need).with_context(place)?,
            question: text(turn.query),
            chart: text(record.image),
            kind: record.kind.as_ref().and_then(|kind| text(kind.qa)),
            ..AnswerRow::default()
        };
        let failed = need != Need::Golds && row.prediction.is_none();
        table.push(number, Some(format!("{id}/{index}")), row);
        if failed {
            table.last_failed(None);
        }
    }
    Ok(())
}

impl Turn<'_> {
    fn prediction(&self, need: Need) -> Result<Option<Prediction>> {
        if need == Need::Golds {
            return Ok(None);
        }
        let reply = self.gpt_filter.or(self.answer);
        let reply = reply.context("no key `answer`: this is no file of results")?;
        let reply = json_value::prediction(reply).context("answer")?;
        Ok(reply.map(Prediction))
    }

    /// With separate golds the record's own are only compared with them.
    fn gold(&self, need: Need) -> Result<Option<Gold>> {
        if need == Need::Predictions {
            return Ok(self.label.and_then(|label| parse_field::gold(label).ok()));
        }
        let label = self.label.context("no key `label`")?;
        parse_field::gold(label).map(Some).context("label")
    }
}
