//! One JSON object to one row, without reading the values nobody asks for.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fmt;

use anyhow::{Context, Result, anyhow};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::columns::{Columns, FILTERED_RESPONSES, Need, Scope};
use super::problem::{OneLine, Unit};
use super::table::{Row, Table};
use super::value;
use chartbench_core::question::{Gold, Prediction, QUESTION_TYPE, YEAR, YearFlags};
use chartbench_core::{parse_field, read_file};

/// The keys under which a file's objects have what. They are told by the first object.
pub(super) struct Keys {
    keys: Vec<(Slot, String)>,
    need: Need,
    /// The objects are samples logged by lmms-eval or lm-eval.
    samples: bool,
}

/// What a key's value is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Slot {
    Id,
    Prediction,
    Gold,
    Question,
    AnswerType,
    Chart,
    /// Why there is no prediction (chartbench's own files).
    Error,
    /// lm-eval: which filter made the responses.
    Filter,
    /// The data set's own record, with the question in it.
    Doc,
    Year,
    QuestionType,
    /// More that is known of a question, by name (chartbench's own files).
    Slices,
}

const SLOTS: usize = Slot::Slices as usize + 1;

impl Keys {
    /// The keys of a file whose first object is `json`.
    ///
    /// # Errors
    /// It is no object, or its keys do not tell.
    pub(super) fn find(json: &str, scope: Scope<'_>) -> Result<Self> {
        let entries = entries(json).map_err(|_| {
            anyhow!("it must be an object with a prediction, such as {{\"id\": ..., \"prediction\": ...}}")
        })?;
        let mut seen = HashSet::new();
        let keys = entries.into_iter().map(|(key, _)| key);
        // A key that stands twice is refused where its value is read.
        let header: Vec<Cow<'_, str>> = keys.filter(|key| seen.insert(key.clone())).collect();
        let columns = Columns::find(&header, scope)?;
        let named =
            |index: Option<usize>| index.and_then(|index| header.get(index)).map(|key| key.clone().into_owned());
        let prediction = named(columns.prediction);
        let samples = prediction.as_deref() == Some(FILTERED_RESPONSES);
        let slots = [
            (Slot::Id, named(columns.id)),
            (Slot::Prediction, prediction),
            (Slot::Gold, named(columns.gold)),
            // Not every object need have these.
            (Slot::Question, named(columns.question).or(Some("question".to_owned()))),
            (Slot::AnswerType, named(columns.answer_type).or(Some("answer_type".to_owned()))),
            (Slot::Chart, named(columns.chart)),
            (Slot::Error, Some("error".to_owned())),
            (Slot::Filter, samples.then(|| "filter".to_owned())),
            (Slot::Doc, samples.then(|| "doc".to_owned())),
            (Slot::Year, named(columns.year).or(Some(YEAR.to_owned()))),
            (Slot::QuestionType, named(columns.question_type).or(Some(QUESTION_TYPE.to_owned()))),
            (Slot::Slices, Some("slices".to_owned())),
        ];
        let keys = slots.into_iter().filter_map(|(slot, key)| Some((slot, key?))).collect();
        Ok(Self { keys, need: scope.need, samples })
    }

    /// Whether the objects have ids.
    pub(super) fn have_ids(&self) -> bool {
        self.keys.iter().any(|(slot, _)| *slot == Slot::Id)
    }

    /// Adds the object `json`, which stands at `number`, to the table, `chart` before its id.
    ///
    /// # Errors
    /// By place and key.
    pub(super) fn add(&self, table: &mut Table, number: usize, chart: Option<&str>, json: &str) -> Result<()> {
        let plain;
        let values = match self.values(json) {
            Err(error) if error.is_syntax() => {
                plain = value::without_nan(json);
                self.values(&plain)
            }
            values => values,
        };
        let values = values.map_err(|error| fault(&error, table.unit, number))?;
        let unit = table.unit;
        self.add_values(table, number, chart, &values).with_context(|| format!("{unit} {number}"))
    }

    fn values<'de>(&self, json: &'de str) -> serde_json::Result<Values<'de>> {
        let mut parser = serde_json::Deserializer::from_str(json);
        let values = self.deserialize(&mut parser)?;
        parser.end()?;
        Ok(values)
    }

    fn add_values(&self, table: &mut Table, number: usize, chart: Option<&str>, values: &Values<'_>) -> Result<()> {
        let value = |slot: Slot| values.get(slot as usize).copied().flatten();
        if let Some(filter) = value(Slot::Filter).and_then(value::text)
            && !table.takes_filter(number, &filter)
        {
            return Ok(());
        }
        let id = self.required(Slot::Id, value(Slot::Id))?.map(value::id).transpose();
        let id = id.with_context(|| self.name(Slot::Id))?.map(|id| match chart {
            Some(chart) => format!("{chart}/{id}"),
            None => id,
        });
        let prediction = self.prediction(table, number, value(Slot::Prediction))?;
        let answer_type = value(Slot::AnswerType).and_then(value::text);
        let row = Row {
            gold: self.gold(value(Slot::Gold))?,
            question: value(Slot::Question).and_then(value::last_text).or_else(|| value(Slot::Doc).and_then(question)),
            answer_type: answer_type.and_then(|text| table.answer_type(number, &text)),
            prediction: prediction.map(Prediction),
            only_item: value(Slot::Prediction).and_then(value::only_item).map(Prediction),
            year: value(Slot::Year).and_then(value::listed_text).or_else(|| value(Slot::Slices).and_then(sliced_flags)),
            question_type: value(Slot::QuestionType).and_then(value::text),
            chart: value(Slot::Chart).and_then(value::text).or_else(|| chart.map(str::to_owned)),
            ..Row::default()
        };
        let failed = self.need != Need::Golds && row.prediction.is_none();
        table.push(number, id, row);
        if failed {
            table.last_failed(value(Slot::Error).and_then(value::text));
        }
        Ok(())
    }

    /// Beside separate golds a file's own are only compared with them: none is needed, and one of no use is as none.
    fn gold(&self, raw: Option<&RawValue>) -> Result<Option<Gold>> {
        if self.need == Need::Predictions {
            return Ok(raw.and_then(|raw| parse_field::gold(raw).ok()));
        }
        let raw = self.required(Slot::Gold, raw)?;
        raw.map(parse_field::gold).transpose().with_context(|| self.name(Slot::Gold))
    }

    fn prediction(&self, table: &mut Table, number: usize, raw: Option<&RawValue>) -> Result<Option<String>> {
        let Some(raw) = self.required(Slot::Prediction, raw)? else { return Ok(None) };
        let read = if self.samples { value::response(raw) } else { value::prediction(raw).map(|text| (text, false)) };
        let (text, several) = read.with_context(|| self.name(Slot::Prediction))?;
        if several {
            table.several_responses(number);
        }
        Ok(text)
    }

    /// The value of a key that the first object has.
    fn required<'a>(&self, slot: Slot, raw: Option<&'a RawValue>) -> Result<Option<&'a RawValue>> {
        let is_there = raw.is_some() || !self.keys.iter().any(|(known, _)| *known == slot);
        is_there.then_some(raw).with_context(|| format!("no key `{}`, which the first record has", self.name(slot)))
    }

    fn name(&self, slot: Slot) -> String {
        let key = self.keys.iter().find(|(known, _)| *known == slot);
        key.map(|(_, key)| OneLine(key).to_string()).unwrap_or_default()
    }
}

/// What is wrong with an object; a fault of the JSON itself has its column.
fn fault(error: &serde_json::Error, unit: Unit, number: usize) -> anyhow::Error {
    if !error.is_data() {
        return read_file::json_fault(error, number);
    }
    let full = error.to_string();
    let what = full.rsplit_once(" at line ").map_or(full.as_str(), |(what, _)| what);
    anyhow!("{unit} {number}: {what}")
}

/// ChartQAPro's flags in an object of slices.
fn sliced_flags(raw: &RawValue) -> Option<String> {
    let slices: HashMap<Cow<'_, str>, &RawValue> = serde_json::from_str(raw.get()).ok()?;
    let slices: HashMap<Cow<'_, str>, String> =
        slices.into_iter().filter_map(|(name, value)| Some((name, value::text(value)?))).collect();
    YearFlags::from_slices(|name| slices.get(name).map(String::as_str)).text().map(str::to_owned)
}

/// The question in a sample's `doc`.
fn question(doc: &RawValue) -> Option<String> {
    #[derive(Deserialize)]
    struct Doc<'a> {
        #[serde(borrow)]
        question: Option<&'a RawValue>,
        #[serde(borrow)]
        query: Option<&'a RawValue>,
    }
    let doc: Doc<'_> = serde_json::from_str(doc.get()).ok()?;
    doc.question.or(doc.query).and_then(value::text)
}

type Values<'de> = [Option<&'de RawValue>; SLOTS];

impl<'de> DeserializeSeed<'de> for &Keys {
    type Value = Values<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for &Keys {
    type Value = Values<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut values = Values::default();
        while let Some(slot) = map.next_key_seed(Key(self))? {
            let Some(value) = slot.and_then(|slot| values.get_mut(slot as usize)) else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            if value.replace(map.next_value()?).is_some() {
                let name = slot.map(|slot| self.name(slot)).unwrap_or_default();
                return Err(A::Error::custom(format!("the key `{name}` stands twice")));
            }
        }
        Ok(values)
    }
}

/// Reads a key as the slot it is for, without keeping it.
struct Key<'k>(&'k Keys);

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = Option<Slot>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = Option<Slot>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self.0.keys.iter().find(|(_, known)| known == key).map(|(slot, _)| *slot))
    }
}

/// An object's entries in their order, the values unread.
///
/// # Errors
/// Not an object, or broken.
pub(super) fn entries(json: &str) -> serde_json::Result<Vec<(Cow<'_, str>, &RawValue)>> {
    struct Entries;

    impl<'de> Visitor<'de> for Entries {
        type Value = Vec<(Cow<'de, str>, &'de RawValue)>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut entries = Vec::new();
            while let Some((key, value)) = map.next_entry::<Cow<'de, str>, &'de RawValue>()? {
                entries.push((key, value));
            }
            Ok(entries)
        }
    }

    let mut parser = serde_json::Deserializer::from_str(json);
    let entries = parser.deserialize_map(Entries)?;
    parser.end()?;
    Ok(entries)
}
