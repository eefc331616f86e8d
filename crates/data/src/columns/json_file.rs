//! Question files of JSON: a list of records, or a record on each line.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde_json::value::RawValue;

use super::value::Value;
use chartbench_core::read_file;
use chartbench_core::terminal::shorten;

/// Deepest lists and records in a record; those of a conversation are two deep.
const MAX_DEPTH: usize = 8;
/// Most fields that an error names.
const MAX_NAMED: usize = 30;

/// Reads the fields `columns` of each record of `json`, in order, and returns how many there are.
/// `A.B` is read with all of `A`.
///
/// # Errors
/// Returns an error if the text is malformed, a field is in no record, or `visit` fails; the error
/// names the line or the record.
pub(super) fn for_each_record(
    json: &str,
    columns: &[&str],
    visit: &mut dyn FnMut(Value) -> Result<()>,
) -> Result<usize> {
    let mut reader = RecordReader::new(columns);
    let mut count = 0;
    if json.trim_start().starts_with('[') {
        let records: Vec<&RawValue> =
            serde_json::from_str(json).map_err(|error| read_file::json_fault(&error, 1))?;
        for record in records {
            count += 1;
            let record = reader
                .read(record.get())
                .map_err(|_| anyhow!("record {count}: it is no object"))?;
            visit(record.with_context(|| format!("record {count}"))?)?;
        }
    } else {
        let lines = (1..).zip(json.lines());
        for (line, text) in lines.filter(|(_, text)| !text.trim().is_empty()) {
            count += 1;
            let record = reader
                .read(text)
                .map_err(|error| read_file::json_fault(&error, line))?;
            visit(record.with_context(|| format!("line {line}"))?)?;
        }
    }
    if count > 0 {
        reader.check_columns()?;
    }
    Ok(count)
}

/// Reads some fields of each record.
struct RecordReader<'a> {
    columns: &'a [&'a str],
    /// The columns, and the fields that they begin in.
    wanted: BTreeSet<&'a str>,
    /// The fields of all records.
    seen: BTreeSet<String>,
}

impl<'a> RecordReader<'a> {
    fn new(columns: &'a [&'a str]) -> Self {
        let firsts = columns.iter().map(|column| first(column));
        Self {
            columns,
            wanted: columns.iter().copied().chain(firsts).collect(),
            seen: BTreeSet::new(),
        }
    }

    /// Reads a record, whose values may be nested too deep.
    fn read(&mut self, json: &str) -> serde_json::Result<Result<Value>> {
        let fields: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_str(json)?;
        let mut values = Vec::with_capacity(self.wanted.len());
        for (name, field) in fields {
            if !self.seen.contains(name.as_ref()) {
                self.seen.insert(name.clone().into_owned());
            }
            if !self.wanted.contains(name.as_ref()) {
                continue;
            }
            match from_json(field, 0) {
                Ok(value) => values.push((name.into_owned(), value)),
                Err(error) => return Ok(Err(error.context(shorten(&name)))),
            }
        }
        Ok(Ok(Value::Record(values)))
    }

    /// Checks that every column is in some record.
    fn check_columns(&self) -> Result<()> {
        let is_there = |name: &str| self.seen.contains(name) || self.seen.contains(first(name));
        let Some(missing) = self.columns.iter().find(|name| !is_there(name)) else {
            return Ok(());
        };
        let seen: Vec<String> = self
            .seen
            .iter()
            .take(MAX_NAMED)
            .map(|name| shorten(name))
            .collect();
        bail!(
            "no record has the field `{}`; fields are {}",
            shorten(missing),
            seen.join(", ")
        )
    }
}

/// The field that a column begins in.
fn first(column: &str) -> &str {
    column.split_once('.').map_or(column, |(first, _)| first)
}

/// The value of a JSON text. A number keeps its text.
fn from_json(raw: &RawValue, depth: usize) -> Result<Value> {
    let text = raw.get();
    let is_nested = text.starts_with(['[', '{']);
    ensure!(
        !is_nested || depth < MAX_DEPTH,
        "lists and records are nested deeper than {MAX_DEPTH}"
    );
    Ok(match text.as_bytes().first() {
        Some(b'"') => Value::Text(serde_json::from_str(text).context("not a proper string")?),
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(text).context("not a proper list")?;
            let items = items.into_iter().map(|item| from_json(item, depth + 1));
            Value::List(items.collect::<Result<_>>()?)
        }
        Some(b'{') => {
            let fields: BTreeMap<String, &RawValue> =
                serde_json::from_str(text).context("not a proper record")?;
            let fields = fields
                .into_iter()
                .map(|(name, field)| Ok((name, from_json(field, depth + 1)?)));
            Value::Record(fields.collect::<Result<_>>()?)
        }
        Some(b'n') => Value::Null,
        Some(b't') => Value::Text("True".to_owned()),
        Some(b'f') => Value::Text("False".to_owned()),
        _ => Value::Text(text.to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str, columns: &[&str]) -> Result<Vec<Value>> {
        let mut values = Vec::new();
        for_each_record(json, columns, &mut |value| {
            values.push(value);
            Ok(())
        })?;
        Ok(values)
    }

    fn text(value: &Value) -> String {
        value.text().unwrap()
    }

    #[test]
    fn a_list_and_lines_hold_the_same_records() {
        let records = [
            r#"{"id": 7, "type": {"task": "VE", "QA": "Acc+"}, "box": [[1]], "n": 1.50, "t": true}"#,
            r#"{"id": 8, "type": {"task": "NQA"}, "n": null, "t": false}"#,
        ];
        let columns = ["id", "type.task", "n", "t"];
        let lines = read(&format!("{}\n\n{}\r\n", records[0], records[1]), &columns).unwrap();
        let list = read(&format!(" [{},\n{}]", records[0], records[1]), &columns).unwrap();
        assert_eq!(lines, list);
        let [first, second] = lines.as_slice() else {
            panic!("two records")
        };
        assert_eq!(text(first.get("id")), "7");
        assert_eq!(text(first.get("type.QA")), "Acc+");
        assert_eq!(text(first.get("n")), "1.50", "a number keeps its text");
        assert_eq!(text(first.get("t")), "True");
        assert_eq!(first.get("box"), &Value::Null, "other fields are not read");
        assert_eq!(text(second.get("type.task")), "NQA");
        assert_eq!(second.get("n"), &Value::Null);
    }

    #[test]
    fn faults_name_their_place() {
        let fault = |json: &str| format!("{:#}", read(json, &["a"]).unwrap_err());
        assert_eq!(
            fault("{\"b\": 1}\n{\"c\": 2}"),
            "no record has the field `a`; fields are b, c"
        );
        assert_eq!(fault("[{\"a\": 1}, 3]"), "record 2: it is no object");
        assert!(fault("{\"a\": 1}\n{\"a\": ").starts_with("line 2 column "));
        assert!(fault("[{\"a\": 1}").contains("the JSON ends in the middle"));
        let deep = format!("{{\"a\": {}1{}}}", "[".repeat(9), "]".repeat(9));
        assert_eq!(
            fault(&deep),
            "line 1: a: lists and records are nested deeper than 8"
        );
        let deepest = format!("{{\"a\": {}1{}}}", "[".repeat(8), "]".repeat(8));
        assert_eq!(read(&deepest, &["a"]).unwrap().len(), 1);
        assert_eq!(read("[]", &["a"]).unwrap(), []);
    }
}
