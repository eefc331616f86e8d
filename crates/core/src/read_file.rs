//! Reads text and JSON files; an error names the file, the line and the fault in one line.

use std::borrow::Cow;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};

use crate::input::Boundary;

/// Reads a whole UTF-8 file without its byte order mark.
///
/// # Errors
/// Returns an error if the file cannot be read, is not UTF-8, or is empty; the error names it.
pub fn read(path: &Path) -> Result<String> {
    read_within(path, &Boundary::default())
}

/// Reads a file that a data set names, which must lie inside `boundary`, as [`read`] does.
///
/// # Errors
/// Returns an error if [`read`] would, or if the file lies outside.
pub fn read_within(path: &Path, boundary: &Boundary) -> Result<String> {
    let cannot_read = || format!("cannot read {}", path.display());
    let mut bytes = Vec::new();
    boundary
        .open(path)
        .with_context(cannot_read)?
        .read_to_end(&mut bytes)
        .with_context(cannot_read)?;
    let mut text = String::from_utf8(bytes).map_err(|error| {
        anyhow!(
            "{}: not UTF-8 text (at byte {})",
            path.display(),
            error.utf8_error().valid_up_to()
        )
    })?;
    if text.starts_with('\u{feff}') {
        text.drain(..'\u{feff}'.len_utf8());
    }
    if text.trim_start().is_empty() {
        bail!("{}: the file is empty", path.display());
    }
    Ok(text)
}

/// The sorted names in `folder` without the hidden ones; empty when no such folder exists.
///
/// # Errors
/// Returns an error if `folder` cannot be listed, or if a name in it is not UTF-8.
pub fn list_folder(folder: &Path) -> Result<Vec<String>> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::NotFound
                    | ErrorKind::NotADirectory
                    | ErrorKind::InvalidInput
                    | ErrorKind::InvalidFilename
            ) =>
        {
            return Ok(Vec::new());
        }
        Err(error) => {
            return Err(error).with_context(|| format!("cannot list {}", folder.display()));
        }
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.with_context(|| format!("cannot list {}", folder.display()))?;
        let name = entry.file_name().into_string();
        let name = name
            .map_err(|name| anyhow!("{}: the file name {name:?} is not UTF-8", folder.display()))?;
        if !name.starts_with('.') {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// The name of a file without its folder, for messages.
pub fn name(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}

/// The path of `name` in `folder`, in the case in which it is written there; `folder/name` if no
/// such file or folder exists.
///
/// # Errors
/// Returns an error if `folder` cannot be listed.
pub fn in_any_case(folder: &Path, name: &str) -> Result<PathBuf> {
    let path = folder.join(name);
    if path.exists() {
        return Ok(path);
    }
    let found = list_folder(folder)?
        .into_iter()
        .find(|listed| listed.eq_ignore_ascii_case(name));
    Ok(found.map_or(path, |listed| folder.join(listed)))
}

/// A JSON text whose `NaN`, `Infinity` and `-Infinity`, which Python writes and JSON does not have,
/// are `null`.
pub fn without_nan(json: &str) -> Cow<'_, str> {
    if !json.contains("NaN") && !json.contains("Infinity") {
        return Cow::Borrowed(json);
    }
    let mut cleaned = String::with_capacity(json.len());
    let (mut rest, mut in_string) = (json, false);
    while let Some(at) = rest.find(['"', '\\', 'N', 'I', '-']) {
        let (before, from) = rest.split_at(at);
        cleaned.push_str(before);
        let token = ["NaN", "Infinity", "-Infinity"]
            .into_iter()
            .find(|token| !in_string && from.starts_with(token));
        let (written, taken) = match (token, from.chars().next()) {
            (Some(token), _) => ("null", token.len()),
            // An escaped character ends no string.
            (None, Some('\\')) => {
                let escape: usize = from.chars().take(2).map(char::len_utf8).sum();
                (from.get(..escape).unwrap_or(from), escape)
            }
            (None, first) => {
                in_string ^= first == Some('"');
                (from.get(..1).unwrap_or(from), 1)
            }
        };
        cleaned.push_str(written);
        rest = from.get(taken..).unwrap_or_default();
    }
    cleaned.push_str(rest);
    Cow::Owned(cleaned)
}

/// Checks that a data path is a folder.
///
/// # Errors
/// Returns an error if it does not exist or is not a folder.
pub fn require_folder(path: &Path) -> Result<()> {
    let meta =
        std::fs::metadata(path).with_context(|| format!("cannot open {}", path.display()))?;
    if !meta.is_dir() {
        bail!("{} is not a directory", path.display());
    }
    Ok(())
}

/// The error of a JSON text with its line, where the text begins on line `first_line` of its file.
pub fn json_fault(error: &serde_json::Error, first_line: usize) -> anyhow::Error {
    let full = error.to_string();
    let position = format!(" at line {} column {}", error.line(), error.column());
    let what = full.strip_suffix(&position).unwrap_or(&full);
    let line = first_line.saturating_add(error.line()).saturating_sub(1);
    // A fault of a whole value has no column.
    let column = if error.column() == 0 {
        String::new()
    } else {
        format!(" column {}", error.column())
    };
    if error.is_eof() {
        anyhow!("line {line}{column}: the JSON ends in the middle ({what}); is the file cut short?")
    } else if what == "expected value" {
        anyhow!("line {line}{column}: expected a JSON value (NaN and Infinity are none)")
    } else {
        anyhow!("line {line}{column}: {what}")
    }
}

/// Counts the lines of a CSV text by its bytes: the count of the `csv` reader lags behind after
/// `\r\n` and empty lines.
pub struct CsvLines<'a> {
    content: &'a str,
    byte: usize,
    line: usize,
}

impl<'a> CsvLines<'a> {
    /// A counter at the first line of `content`.
    pub fn new(content: &'a str) -> Self {
        Self {
            content,
            byte: 0,
            line: 1,
        }
    }

    /// The line of the record at `position`; positions must not decrease.
    pub fn line_of(&mut self, position: &csv::Position) -> usize {
        let rest = self.content.as_bytes().get(self.byte..).unwrap_or_default();
        let before = (position.byte() as usize).saturating_sub(self.byte);
        let ends = rest
            .iter()
            .skip(before)
            .take_while(|&&byte| matches!(byte, b'\r' | b'\n'))
            .count();
        let passed = before + ends;
        self.line += rest
            .iter()
            .take(passed)
            .filter(|&&byte| byte == b'\n')
            .count();
        self.byte += passed;
        self.line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nan_is_null_outside_strings() {
        let cases = [
            ("[1, NaN]", "[1, null]"),
            ("[-Infinity,Infinity, -1]", "[null,null, -1]"),
            (
                r#"{"NaN": "a \"NaN", "é": NaN}"#,
                r#"{"NaN": "a \"NaN", "é": null}"#,
            ),
            (r#"["\\", NaN, "Infinity"]"#, r#"["\\", null, "Infinity"]"#),
            ("[NaN", "[null"),
            ("NaN\\", "null\\"),
        ];
        for (json, cleaned) in cases {
            assert_eq!(without_nan(json), cleaned);
        }
        assert!(matches!(without_nan("[1]"), Cow::Borrowed("[1]")));
    }
}
