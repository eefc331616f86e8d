//! The formats of files of predictions, and their detection.

use std::path::Path;

use serde::de::IgnoredAny;

use super::inspect;

/// The formats of files of predictions or golds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum FileFormat {
    /// A header line, fields separated by commas, or all by semicolons.
    Csv,
    /// A header line, fields separated by tabs.
    Tsv,
    /// One object a line; the samples of lmms-eval and lm-eval are such files.
    Jsonl,
    /// A list of objects, an object of answers or records by id, one of RealCQA's records by chart,
    /// or inspect's log.
    Json,
    /// The first sheet of an Excel workbook.
    Xlsx,
    /// inspect's log: a zip archive of JSON files.
    Eval,
}

/// A zip archive's first bytes.
const ZIP: &[u8] = b"PK\x03\x04";

impl FileFormat {
    /// Detects the format of a file by its content, of which the beginning suffices, and by its
    /// name where the content fits several formats.
    pub fn detect(path: &Path, content: &[u8]) -> Self {
        let extension = path
            .extension()
            .unwrap_or_default()
            .to_string_lossy()
            .to_lowercase();
        let text = content
            .strip_prefix("\u{feff}".as_bytes())
            .unwrap_or(content)
            .trim_ascii_start();
        match (extension.as_str(), text.first()) {
            ("eval", _) => Self::Eval,
            _ if content.starts_with(ZIP) && inspect::begins_archive(content) => Self::Eval,
            _ if content.starts_with(ZIP) => Self::Xlsx,
            ("xlsx" | "xlsm", _) => Self::Xlsx,
            ("csv", _) => Self::Csv,
            ("tsv", _) => Self::Tsv,
            (_, Some(b'[')) => Self::Json,
            ("jsonl" | "ndjson", _) => Self::Jsonl,
            (_, Some(b'{')) if has_several_values(text) => Self::Jsonl,
            (_, Some(b'{')) | ("json", _) => Self::Json,
            _ if text
                .split(|byte| *byte == b'\n')
                .next()
                .unwrap_or_default()
                .contains(&b'\t') =>
            {
                Self::Tsv
            }
            _ => Self::Csv,
        }
    }
}

/// Whether one JSON value follows another, as in JSONL.
fn has_several_values(text: &[u8]) -> bool {
    let mut values = serde_json::Deserializer::from_slice(text).into_iter::<IgnoredAny>();
    let first = values.next();
    let rest = text.get(values.byte_offset()..).unwrap_or_default();
    matches!(first, Some(Ok(_))) && !rest.trim_ascii().is_empty()
}
