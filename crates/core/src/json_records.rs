//! Reads a long JSON list record by record; the list is never in memory as a whole.

use std::fmt;
use std::io::{BufRead, BufReader};
use std::marker::PhantomData;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess,
    Visitor,
};

use crate::input;
use crate::read_file;

/// Calls `take` with the index and the value of each record of the list in `path`. The list is the
/// whole file, or the value of `key` in an object.
///
/// # Errors
/// Returns an error if the file cannot be read or parsed, or if `take` does; the error names the
/// file, the index of a broken record, line and column.
pub fn for_each_record<T: DeserializeOwned>(
    path: &Path,
    key: &str,
    take: impl FnMut(usize, T) -> Result<()>,
) -> Result<()> {
    let cannot_read = || format!("cannot read {}", path.display());
    let mut reader =
        BufReader::with_capacity(1 << 18, input::open(path).with_context(cannot_read)?);
    if reader
        .fill_buf()
        .with_context(cannot_read)?
        .starts_with("\u{feff}".as_bytes())
    {
        reader.consume("\u{feff}".len());
    }
    if reader.fill_buf().with_context(cannot_read)?.is_empty() {
        bail!("{}: the file is empty", path.display());
    }
    let mut list = List {
        key,
        take,
        index: 0,
        reading: false,
        refused: None,
        record: PhantomData,
    };
    let mut parser = serde_json::Deserializer::from_reader(reader);
    let parsed = (&mut list)
        .deserialize(&mut parser)
        .and_then(|()| parser.end());
    let Err(error) = parsed else { return Ok(()) };
    let fault = match list.refused {
        Some(refused) => refused,
        None if list.reading => {
            read_file::json_fault(&error, 1).context(format!("[{}]", list.index))
        }
        None => read_file::json_fault(&error, 1),
    };
    Err(fault).with_context(|| path.display().to_string())
}

struct List<'a, T, F> {
    key: &'a str,
    take: F,
    /// Index of the current or next record.
    index: usize,
    /// Whether a record is being read.
    reading: bool,
    /// The error that `take` returned.
    refused: Option<anyhow::Error>,
    record: PhantomData<T>,
}

impl<'de, T: DeserializeOwned, F: FnMut(usize, T) -> Result<()>> DeserializeSeed<'de>
    for &mut List<'_, T, F>
{
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: DeserializeOwned, F: FnMut(usize, T) -> Result<()>> Visitor<'de>
    for &mut List<'_, T, F>
{
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "a list of records, or an object with it as `{}`",
            self.key
        )
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        loop {
            self.reading = true;
            let Some(record) = list.next_element()? else {
                break;
            };
            if let Err(refused) = (self.take)(self.index, record) {
                self.refused = Some(refused);
                return Err(A::Error::custom("a record is refused"));
            }
            self.index += 1;
        }
        self.reading = false;
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut found = false;
        while let Some(key) = map.next_key::<String>()? {
            if key != self.key {
                map.next_value::<IgnoredAny>()?;
            } else if std::mem::replace(&mut found, true) {
                return Err(A::Error::custom(format_args!("`{key}` stands twice")));
            } else {
                map.next_value_seed(&mut *self)?;
            }
        }
        if found {
            Ok(())
        } else {
            Err(A::Error::custom(format_args!(
                "there is no `{}` in the object",
                self.key
            )))
        }
    }
}
