//! The value of a cell, whatever its type: texts, numbers, truth values, lists and records.

use ::parquet::record::{Field, Row};
use anyhow::{Result, bail};

use chartbench_core::question::Gold;

/// A value of a column. Not-a-number is [`Value::Null`].
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Null,
    /// A text, a number as JSON writes it, or `True` and `False`, as Python prints them and
    /// RealCQA's evaluator compares them.
    Text(String),
    List(Vec<Value>),
    /// Named values, in the order of the file.
    Record(Vec<(String, Value)>),
}

impl Value {
    /// The record with the columns of a row.
    pub(super) fn from_columns(columns: &[(String, Field)]) -> Self {
        let values = columns
            .iter()
            .map(|(name, field)| (name.clone(), Self::from_field(field)));
        Self::Record(values.collect())
    }

    fn from_field(field: &Field) -> Self {
        match field {
            Field::Null => Self::Null,
            Field::Bool(true) => Self::Text("True".to_owned()),
            Field::Bool(false) => Self::Text("False".to_owned()),
            Field::Str(text) => Self::Text(text.clone()),
            Field::Bytes(bytes) => Self::Text(String::from_utf8_lossy(bytes.data()).into_owned()),
            Field::Float(number) if number.is_nan() => Self::Null,
            Field::Double(number) if number.is_nan() => Self::Null,
            Field::Float16(number) if number.is_nan() => Self::Null,
            // Debug writes `1.0` for a whole number.
            Field::Float(number) => Self::Text(format!("{number:?}")),
            Field::Double(number) => Self::Text(format!("{number:?}")),
            Field::Group(row) => Self::from_row(row),
            Field::ListInternal(list) => {
                Self::List(list.elements().iter().map(Self::from_field).collect())
            }
            other => Self::Text(other.to_string()),
        }
    }

    fn from_row(row: &Row) -> Self {
        let values = row
            .get_column_iter()
            .map(|(name, field)| (name.clone(), Self::from_field(field)));
        Self::Record(values.collect())
    }

    /// The value called `name` in a record; `A.B` is the value `B` in the record `A`.
    pub(super) fn get(&self, name: &str) -> &Self {
        let Self::Record(values) = self else {
            return &Self::Null;
        };
        let value = |name: &str| values.iter().find(|(own, _)| own == name);
        match (value(name), name.split_once('.')) {
            (Some((_, value)), _) => value,
            (None, Some((first, rest))) => {
                value(first).map_or(&Self::Null, |(_, value)| value.get(rest))
            }
            (None, None) => &Self::Null,
        }
    }

    /// As [`Self::get`], to change it; `None` if there is none.
    pub(super) fn get_mut(&mut self, name: &str) -> Option<&mut Self> {
        let Self::Record(values) = self else {
            return None;
        };
        let index = |name: &str| values.iter().position(|(own, _)| own == name);
        let (index, rest) = match (index(name), name.split_once('.')) {
            (Some(index), _) => (index, None),
            (None, Some((first, rest))) => (index(first)?, Some(rest)),
            (None, None) => return None,
        };
        let (_, value) = values.get_mut(index)?;
        match rest {
            Some(rest) => value.get_mut(rest),
            None => Some(value),
        }
    }

    /// The value as one text, the items of a list joined by `", "`; `None` if it has none.
    pub(super) fn text(&self) -> Option<String> {
        match self {
            Self::Null | Self::Record(_) => None,
            Self::Text(text) => Some(text.clone()),
            Self::List(items) => {
                let texts: Vec<String> = items.iter().filter_map(Self::text).collect();
                (!texts.is_empty()).then(|| texts.join(", "))
            }
        }
    }

    /// The value as an answer; `None` for null, not-a-number and a list without items.
    ///
    /// # Errors
    /// Returns an error if it is a record.
    pub(super) fn gold(&self) -> Result<Option<Gold>> {
        Ok(match self {
            Self::Null => None,
            Self::Text(text) => Some(Gold::Text(text.clone())),
            Self::List(items) => {
                let mut golds = Vec::with_capacity(items.len());
                for item in items {
                    golds.extend(item.gold()?);
                }
                (!golds.is_empty()).then_some(Gold::List(golds))
            }
            Self::Record(_) => {
                bail!("a record is no answer; it must be a text, a number, a truth value or a list")
            }
        })
    }

    /// Replaces every text in it for which `other` has one.
    pub(super) fn rename(&mut self, other: &dyn Fn(&str) -> Option<String>) {
        match self {
            Self::Null => {}
            Self::Text(text) => {
                if let Some(name) = other(text) {
                    *text = name;
                }
            }
            Self::List(items) => items.iter_mut().for_each(|item| item.rename(other)),
            Self::Record(values) => values.iter_mut().for_each(|(_, value)| value.rename(other)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_of_every_type_are_texts() {
        let text = |field: &Field| Value::from_field(field).text();
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(text(&Field::Str("a".to_owned())), some("a"));
        assert_eq!(text(&Field::Bool(true)), some("True"));
        assert_eq!(text(&Field::Long(-7)), some("-7"));
        assert_eq!(text(&Field::Double(2.0)), some("2.0"));
        assert_eq!(text(&Field::Float(0.1)), some("0.1"));
        assert_eq!(text(&Field::Double(f64::NAN)), None);
        assert_eq!(text(&Field::Bytes("é".into())), some("é"));
        let list = [Field::Int(1), Field::Null, Field::Str("b".to_owned())];
        let list = Value::List(list.iter().map(Value::from_field).collect());
        assert_eq!(list.text(), some("1, b"));
        let gold = Gold::List(vec!["1".into(), "b".into()]);
        assert_eq!(list.gold().unwrap(), Some(gold));
        assert_eq!(Value::List(Vec::new()).gold().unwrap(), None);
    }

    #[test]
    fn names_lead_into_records() {
        let inner = Value::Record(vec![("b".to_owned(), Value::Text("x".to_owned()))]);
        let mut row = Value::Record(vec![
            ("a".to_owned(), inner),
            ("c.d".to_owned(), Value::Null),
        ]);
        assert_eq!(row.get("a.b").text().as_deref(), Some("x"));
        assert_eq!(row.get("c.d"), &Value::Null);
        assert_eq!(row.get("a.b.c").text(), None);
        let value = row.get_mut("a.b").unwrap();
        value.rename(&|text| (text == "x").then(|| "y".to_owned()));
        assert_eq!(row.get("a.b").text().as_deref(), Some("y"));
        assert!(row.get_mut("a.d").is_none());
    }
}
