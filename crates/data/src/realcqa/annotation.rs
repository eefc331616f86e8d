//! The chart type out of a CHART-Info annotation (`task1.output.chart_type`).
//!
//! The annotations are 60 to 110 KB each and `task1` comes first in them, so a file's beginning is read, and the rest
//! only when `task1` is not in it. What follows `task1` is never looked at.

use std::io::{ErrorKind, Read};
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};

use chartbench_core::input::Boundary;
use chartbench_core::{parse_field, read_file};

/// How much of a file is read at first, in bytes.
const BEGINNING: u64 = 2048;

#[derive(serde::Deserialize)]
struct Task1 {
    output: Option<Output>,
}

#[derive(serde::Deserialize)]
struct Output {
    chart_type: Option<String>,
}

/// The chart type in lower case; `None` when the file does not exist or does not tell it.
///
/// # Errors
/// Names the file when it cannot be read or is not such an annotation.
pub(super) fn chart_type(path: &Path, boundary: &Boundary) -> Result<Option<String>> {
    let mut file = match boundary.open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    let mut bytes = Vec::with_capacity(BEGINNING as usize);
    let cannot_read = || format!("cannot read {}", path.display());
    file.by_ref().take(BEGINNING).read_to_end(&mut bytes).with_context(cannot_read)?;
    let found = match find(&bytes) {
        Ok(found) => found,
        Err(_) => {
            file.read_to_end(&mut bytes).with_context(cannot_read)?;
            find(&bytes).with_context(|| path.display().to_string())?
        }
    };
    Ok(found.as_deref().and_then(parse_field::chart_type))
}

/// Parses up to the end of `task1`, or of the whole when there is no `task1`.
fn find(bytes: &[u8]) -> Result<Option<String>> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if bytes.trim_ascii().is_empty() {
        return Err(anyhow!("the file is empty"));
    }
    let mut found = None;
    let parsed = serde_json::Deserializer::from_slice(bytes).deserialize_map(Search { found: &mut found });
    match (found, parsed) {
        // The parser complains that the map was left in its middle: that is what was wanted.
        (Some(task1), _) => Ok(task1.and_then(|task| task.output).and_then(|output| output.chart_type)),
        (None, Ok(())) => Ok(None),
        (None, Err(error)) => Err(read_file::json_fault(&error, 1)),
    }
}

/// Walks the top-level keys and stops after `task1`.
struct Search<'a> {
    found: &'a mut Option<Option<Task1>>,
}

impl<'de> Visitor<'de> for Search<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a CHART-Info annotation (an object with task1)")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<Key>()? {
            if key.0 {
                *self.found = Some(map.next_value()?);
                return Ok(());
            }
            map.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }
}

/// Whether a key is `task1`, without keeping its text.
struct Key(bool);

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        Ok(Self(text == "task1"))
    }
}
