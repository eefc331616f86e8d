//! Reads one JSON object as one row; values that are not needed are not parsed.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fmt;

use anyhow::{Context, Result, anyhow};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::columns::{Columns, ColumnsRead, FILTERED_RESPONSES, Need, Scope};
use super::problem::{OneLine, Unit};
use super::table::{AnswerRow, AnswerTable};
use super::{conversation, json_value};
use chartbench_core::question::{
    Gold, IS_CLEAR, Prediction, QA_TYPE, QUESTION_TYPE, QuestionKind, YEAR, YearFlags,
};
use chartbench_core::{parse_field, read_file};

/// What an object is part of.
#[derive(Clone, Copy)]
pub(super) enum Parent<'a> {
    /// A list or a file.
    List,
    /// RealCQA's list of a chart's records: the chart precedes the id.
    Chart(&'a str),
    /// An object of records by id: the key is the id of a record without one.
    Key(&'a str),
}

/// The keys of a file's objects and their roles, recognised by the first object.
pub(super) struct RecordKeys {
    keys: Vec<(KeyRole, String)>,
    need: Need,
    /// Whether the objects are samples logged by lmms-eval or lm-eval.
    samples: bool,
    /// Whether the objects are ChartBench's records.
    conversations: bool,
    columns: ColumnsRead,
}

/// The role of a key.
#[derive(Clone, Copy, PartialEq, Eq)]
enum KeyRole {
    Id,
    Prediction,
    Gold,
    Question,
    AnswerType,
    Chart,
    /// The reason for a missing prediction (chartbench's own files).
    Error,
    /// The filter that made the responses (lm-eval).
    Filter,
    /// The data set's own record, which contains the question.
    Doc,
    /// What the model was asked (lmms-eval).
    Input,
    /// The arguments of the call of the model (lm-eval).
    Arguments,
    Year,
    QuestionType,
    /// The type of the question in VLMEvalKit's ChartBench.
    Kind,
    IsClear,
    /// Further slice values by name (chartbench's own files).
    Slices,
}

const KEY_ROLES: usize = KeyRole::Slices as usize + 1;

impl RecordKeys {
    /// The keys of a file whose first object is `json`.
    ///
    /// # Errors
    /// Returns an error if it is not an object, or its keys cannot be recognised.
    pub(super) fn find(json: &str, scope: Scope<'_>) -> Result<Self> {
        let entries = key_values(json).map_err(|_| {
            anyhow!("it must be an object with a prediction, such as {{\"id\": ..., \"prediction\": ...}}")
        })?;
        if scope.names.prediction.is_none() && conversation::is_record(&entries) {
            return Ok(Self {
                keys: Vec::new(),
                need: scope.need,
                samples: false,
                conversations: true,
                columns: ColumnsRead::default(),
            });
        }
        let mut seen = HashSet::new();
        let keys = entries.into_iter().map(|(key, _)| key);
        // A duplicate key is refused when its value is read.
        let header: Vec<Cow<'_, str>> = keys.filter(|key| seen.insert(key.clone())).collect();
        let columns = Columns::find(&header, scope)?;
        let named = |index: Option<usize>| {
            index
                .and_then(|index| header.get(index))
                .map(|key| key.clone().into_owned())
        };
        let prediction = named(columns.prediction);
        let samples = prediction.as_deref() == Some(FILTERED_RESPONSES);
        let slots = [
            (KeyRole::Id, named(columns.id)),
            (KeyRole::Prediction, prediction),
            (KeyRole::Gold, named(columns.gold)),
            // Objects may lack these keys.
            (
                KeyRole::Question,
                named(columns.question).or(Some("question".to_owned())),
            ),
            (
                KeyRole::AnswerType,
                named(columns.answer_type).or(Some("answer_type".to_owned())),
            ),
            (KeyRole::Chart, named(columns.chart)),
            (KeyRole::Error, Some("error".to_owned())),
            (KeyRole::Filter, samples.then(|| "filter".to_owned())),
            (KeyRole::Doc, samples.then(|| "doc".to_owned())),
            (KeyRole::Input, samples.then(|| "input".to_owned())),
            (KeyRole::Arguments, samples.then(|| "arguments".to_owned())),
            (KeyRole::Year, named(columns.year).or(Some(YEAR.to_owned()))),
            (
                KeyRole::QuestionType,
                named(columns.question_type).or(Some(QUESTION_TYPE.to_owned())),
            ),
            (
                KeyRole::Kind,
                named(columns.kind).or(Some(QA_TYPE.to_owned())),
            ),
            (
                KeyRole::IsClear,
                named(columns.is_clear).or(Some(IS_CLEAR.to_owned())),
            ),
            (KeyRole::Slices, Some("slices".to_owned())),
        ];
        let keys = slots
            .into_iter()
            .filter_map(|(slot, key)| Some((slot, key?)))
            .collect();
        Ok(Self {
            keys,
            need: scope.need,
            samples,
            conversations: false,
            columns: columns.describe(&header),
        })
    }

    /// The harness whose samples the objects are, if they are some.
    pub(super) fn harness(&self, table: &AnswerTable) -> Option<String> {
        let harness = match table.filter() {
            // lm-eval names the filter in each sample.
            Some(_) => "lm-eval",
            None => "lmms-eval",
        };
        self.samples.then(|| harness.to_owned())
    }

    /// Whether the objects have ids.
    pub(super) fn have_ids(&self) -> bool {
        self.keys.iter().any(|(slot, _)| *slot == KeyRole::Id)
    }

    /// Adds the object `json` with the number `number` to the table.
    ///
    /// # Errors
    /// Returns an error if the object is malformed; the error names location and key.
    pub(super) fn add(
        &self,
        table: &mut AnswerTable,
        number: usize,
        parent: Parent<'_>,
        json: &str,
    ) -> Result<()> {
        if self.conversations {
            return conversation::add(table, number, json, self.need)
                .with_context(|| format!("{} {number}", table.unit));
        }
        if table.columns.is_none() {
            table.columns = Some(self.columns.clone());
        }
        let plain;
        let values = match self.values(json) {
            Err(error) if error.is_syntax() => {
                plain = json_value::without_nan(json);
                self.values(&plain)
            }
            values => values,
        };
        let values = values.map_err(|error| fault(&error, table.unit, number))?;
        let unit = table.unit;
        self.add_values(table, number, parent, &values)
            .with_context(|| format!("{unit} {number}"))
    }

    fn values<'de>(&self, json: &'de str) -> serde_json::Result<Values<'de>> {
        let mut parser = serde_json::Deserializer::from_str(json);
        let values = self.deserialize(&mut parser)?;
        parser.end()?;
        Ok(values)
    }

    fn add_values(
        &self,
        table: &mut AnswerTable,
        number: usize,
        parent: Parent<'_>,
        values: &Values<'_>,
    ) -> Result<()> {
        let value = |slot: KeyRole| values.get(slot as usize).copied().flatten();
        if let Some(filter) = value(KeyRole::Filter).and_then(json_value::text)
            && !table.takes_filter(number, &filter)
        {
            return Ok(());
        }
        let id = self
            .required(KeyRole::Id, value(KeyRole::Id))?
            .map(json_value::id)
            .transpose();
        let id = id.with_context(|| self.name(KeyRole::Id))?;
        let id = match (id, parent) {
            (Some(id), Parent::Chart(chart)) => Some(format!("{chart}/{id}")),
            (None, Parent::Key(key)) => Some(key.to_owned()),
            (id, _) => id,
        };
        let prediction = self.prediction(table, number, value(KeyRole::Prediction))?;
        let answer_type = value(KeyRole::AnswerType).and_then(json_value::text);
        let doc = Doc::read(value(KeyRole::Doc));
        let slices = value(KeyRole::Slices).map(Sliced::read).unwrap_or_default();
        let row = AnswerRow {
            gold: self.gold(value(KeyRole::Gold))?.map(|gold| doc.gold(gold)),
            question: value(KeyRole::Question)
                .and_then(json_value::last_text)
                .or_else(|| doc.question()),
            answer_type: answer_type.and_then(|text| table.answer_type(number, &text)),
            prediction: prediction.map(Prediction),
            only_item: value(KeyRole::Prediction)
                .and_then(json_value::only_item)
                .map(Prediction),
            year: value(KeyRole::Year)
                .and_then(json_value::listed_text)
                .or(slices.year),
            question_type: value(KeyRole::QuestionType).and_then(json_value::text),
            kind: value(KeyRole::Kind)
                .and_then(json_value::text)
                .or(slices.kind),
            is_clear: value(KeyRole::IsClear)
                .and_then(|raw| QuestionKind::parse_is_clear(raw.get().trim_matches('"')))
                .or(slices.is_clear),
            chart: value(KeyRole::Chart)
                .and_then(json_value::text)
                .or_else(|| match parent {
                    Parent::Chart(chart) => Some(chart.to_owned()),
                    Parent::List | Parent::Key(_) => None,
                }),
            ..AnswerRow::default()
        };
        if self.samples {
            let prompt = value(KeyRole::Input)
                .and_then(json_value::text)
                .or_else(|| json_value::first_text(value(KeyRole::Arguments)?));
            table.prompt.add(prompt.as_deref(), row.question.as_deref());
        }
        let failed = self.need != Need::Golds && row.prediction.is_none();
        table.push(number, id, row);
        if failed {
            table.last_failed(value(KeyRole::Error).and_then(json_value::text));
        }
        Ok(())
    }

    /// With separate golds a file's own are only compared with them: they may be missing, and
    /// unreadable ones are ignored.
    fn gold(&self, raw: Option<&RawValue>) -> Result<Option<Gold>> {
        if self.need == Need::Predictions {
            return Ok(raw.and_then(|raw| parse_field::gold(raw).ok()));
        }
        let raw = self.required(KeyRole::Gold, raw)?;
        raw.map(parse_field::gold)
            .transpose()
            .with_context(|| self.name(KeyRole::Gold))
    }

    fn prediction(
        &self,
        table: &mut AnswerTable,
        number: usize,
        raw: Option<&RawValue>,
    ) -> Result<Option<String>> {
        let Some(raw) = self.required(KeyRole::Prediction, raw)? else {
            return Ok(None);
        };
        let read = if self.samples {
            json_value::response(raw)
        } else {
            json_value::prediction(raw).map(|text| (text, false))
        };
        let (text, several) = read.with_context(|| self.name(KeyRole::Prediction))?;
        if several {
            table.several_responses(number);
        }
        Ok(text)
    }

    /// The value of a key that the first object has.
    fn required<'a>(
        &self,
        slot: KeyRole,
        raw: Option<&'a RawValue>,
    ) -> Result<Option<&'a RawValue>> {
        let is_complete = raw.is_some() || !self.keys.iter().any(|(role, _)| *role == slot);
        is_complete
            .then_some(raw)
            .with_context(|| format!("no key `{}`, which the first record has", self.name(slot)))
    }

    fn name(&self, slot: KeyRole) -> String {
        let key = self.keys.iter().find(|(role, _)| *role == slot);
        key.map(|(_, key)| OneLine(key).to_string())
            .unwrap_or_default()
    }
}

/// The error of an object; a syntax error has its column.
fn fault(error: &serde_json::Error, unit: Unit, number: usize) -> anyhow::Error {
    if !error.is_data() {
        return read_file::json_fault(error, number);
    }
    let full = error.to_string();
    let what = full
        .rsplit_once(" at line ")
        .map_or(full.as_str(), |(what, _)| what);
    anyhow!("{unit} {number}: {what}")
}

/// What is read of an object of slices.
#[derive(Default)]
struct Sliced {
    /// ChartQAPro's flags.
    year: Option<String>,
    kind: Option<String>,
    is_clear: Option<bool>,
}

impl Sliced {
    /// Nothing where it is of another form.
    fn read(raw: &RawValue) -> Self {
        let slices: HashMap<Cow<'_, str>, &RawValue> =
            serde_json::from_str(raw.get()).unwrap_or_default();
        let slices: HashMap<Cow<'_, str>, String> = slices
            .into_iter()
            .filter_map(|(name, value)| Some((name, json_value::text(value)?)))
            .collect();
        let slice = |name: &str| slices.get(name).map(String::as_str);
        let kind = QuestionKind::from_slices(slice);
        Self {
            year: YearFlags::from_slices(slice).text().map(str::to_owned),
            kind: kind.question_type.map(str::to_owned),
            is_clear: kind.is_clear,
        }
    }
}

/// The keys that are read of a sample's `doc`, the data set's own record.
#[derive(Default, Deserialize)]
struct Doc<'a> {
    #[serde(borrow)]
    question: Option<&'a RawValue>,
    #[serde(borrow)]
    query: Option<&'a RawValue>,
    #[serde(borrow)]
    answer: Option<&'a RawValue>,
}

impl<'a> Doc<'a> {
    /// The record; an empty one where it is missing or of another form.
    fn read(raw: Option<&'a RawValue>) -> Self {
        raw.and_then(|raw| serde_json::from_str(raw.get()).ok())
            .unwrap_or_default()
    }

    fn question(&self) -> Option<String> {
        self.question.or(self.query).and_then(json_value::text)
    }

    /// The gold of a sample, whose `target` is one text even where the data set's answer is a list:
    /// the list that the text writes down, else `target`.
    fn gold(&self, target: Gold) -> Gold {
        let answer = self.answer.and_then(|raw| parse_field::gold(raw).ok());
        answer
            .filter(|answer| matches!(answer, Gold::List(items) if items.len() > 1))
            .filter(|answer| answer.text() == target.text())
            .unwrap_or(target)
    }
}

type Values<'de> = [Option<&'de RawValue>; KEY_ROLES];

impl<'de> DeserializeSeed<'de> for &RecordKeys {
    type Value = Values<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for &RecordKeys {
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

/// Reads a key as its role, without storing the key.
struct Key<'k>(&'k RecordKeys);

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = Option<KeyRole>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = Option<KeyRole>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Self::Value, E> {
        Ok(self
            .0
            .keys
            .iter()
            .find(|(_, name)| name == key)
            .map(|(slot, _)| *slot))
    }
}

/// An object's keys and unparsed values, in order.
///
/// # Errors
/// Returns an error if the text is not an object.
pub(super) fn key_values(json: &str) -> serde_json::Result<Vec<(Cow<'_, str>, &RawValue)>> {
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
