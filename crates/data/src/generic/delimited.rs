//! Question files with separated fields, CSV and TSV, read row by row: VLMEvalKit's have hundreds
//! of megabytes, most of them images in base64. An image stays in the file and is read when it is
//! asked for.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail, ensure};

use super::embedded_image;
use chartbench_core::input;
use chartbench_core::question::{ImageProducer, ImageRef};

/// Most bytes of a row. Base64 of the largest image that is read has 86 MiB.
const MAX_ROW_BYTES: u64 = 128 << 20;
/// Most lines of a row.
const MAX_ROW_LINES: usize = 1 << 20;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A file with separated fields.
pub(super) struct DelimitedFile {
    path: PathBuf,
    delimiter: u8,
    /// Where its text begins, behind a byte order mark.
    start: u64,
    bytes: u64,
}

/// Reads a [`DelimitedFile`] row by row.
pub(super) struct Rows {
    reader: csv::Reader<RowBytes>,
    record: csv::StringRecord,
    header_fields: Option<usize>,
    start: u64,
}

/// The place of a row in its file.
#[derive(Clone, Copy)]
pub(super) struct RowPlace {
    /// The number of its first line, from 1.
    pub(super) line: usize,
    /// The byte that it begins with.
    byte: u64,
}

impl DelimitedFile {
    /// The file at `path`, whose fields `delimiter` separates.
    ///
    /// # Errors
    /// Returns an error if it cannot be read, or is empty; the error names it.
    pub(super) fn open(path: &Path, delimiter: u8) -> Result<Self> {
        let cannot_read = || format!("cannot read {}", path.display());
        let mut file = input::open(path).with_context(cannot_read)?;
        let bytes = file.metadata().with_context(cannot_read)?.len();
        let mut head = Vec::new();
        file.by_ref()
            .take(BYTE_ORDER_MARK.len() as u64)
            .read_to_end(&mut head)
            .with_context(cannot_read)?;
        let start = if head == BYTE_ORDER_MARK {
            head.len() as u64
        } else {
            0
        };
        ensure!(bytes > start, "{}: the file is empty", path.display());
        Ok(Self {
            path: path.to_owned(),
            delimiter,
            start,
            bytes,
        })
    }

    /// The rows from the beginning, the header among them.
    ///
    /// # Errors
    /// Returns an error if the file cannot be opened.
    pub(super) fn rows(&self) -> Result<Rows> {
        self.rows_from(self.start)
    }

    fn rows_from(&self, byte: u64) -> Result<Rows> {
        let mut file = input::open(&self.path)?;
        ensure!(
            file.metadata()?.len() == self.bytes,
            "the file was changed since it was opened"
        );
        file.seek(SeekFrom::Start(byte))?;
        let bytes = RowBytes {
            file,
            position: 0,
            of_row: 0,
            line: 1,
            line_ends: VecDeque::new(),
        };
        Ok(Rows {
            reader: csv::ReaderBuilder::new()
                .delimiter(self.delimiter)
                .has_headers(false)
                .flexible(true)
                .from_reader(bytes),
            record: csv::StringRecord::new(),
            header_fields: None,
            start: byte,
        })
    }
}

impl Rows {
    /// Reads the next row; `None` at the end.
    ///
    /// # Errors
    /// Returns an error if it has too many bytes or not as many fields as the first, or is not
    /// UTF-8; the error names its line.
    pub(super) fn next(&mut self) -> Result<Option<(RowPlace, &csv::StringRecord)>> {
        if !self.reader.read_record(&mut self.record).map_err(fault)? {
            return Ok(None);
        }
        let position = self.record.position().map_or(0, csv::Position::byte);
        let bytes = self.reader.get_mut();
        bytes.of_row = 0;
        let place = RowPlace {
            line: bytes.line_of(position),
            byte: self.start + position,
        };
        let fields = *self.header_fields.get_or_insert(self.record.len());
        if self.record.len() != fields {
            bail!(
                "line {}: {} fields where the first row has {fields}",
                place.line,
                self.record.len()
            );
        }
        Ok(Some((place, &self.record)))
    }
}

fn fault(error: csv::Error) -> anyhow::Error {
    let line = error.position().map_or(0, csv::Position::line);
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error.into(),
        csv::ErrorKind::Utf8 { err, .. } => anyhow!("line {line}: not UTF-8 text: {err}"),
        _ => anyhow!("line {line}: no row of separated fields"),
    }
}

/// The bytes of a file, with the line that each row begins on, and a limit on each row.
struct RowBytes {
    file: File,
    /// The byte that is read next.
    position: u64,
    /// Bytes read since the last row was whole.
    of_row: u64,
    /// The line of the first of `line_ends`.
    line: usize,
    /// The bytes `\r` (false) and `\n` (true) behind the row that was read last.
    line_ends: VecDeque<(u64, bool)>,
}

impl RowBytes {
    /// The line of the row at `byte`; rows must come in their order. The count of the `csv` reader
    /// lags behind after `\r\n` and empty lines.
    fn line_of(&mut self, byte: u64) -> usize {
        let mut byte = byte;
        while let Some(&(end, is_line_feed)) = self.line_ends.front() {
            if end > byte {
                break;
            }
            // A row's position may be that of the end of the line before it.
            if end == byte {
                byte += 1;
            }
            self.line += usize::from(is_line_feed);
            self.line_ends.pop_front();
        }
        self.line
    }
}

impl Read for RowBytes {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.of_row += count as u64;
        if self.of_row > MAX_ROW_BYTES || self.line_ends.len() > MAX_ROW_LINES {
            let text = format!(
                "the row after line {} has more than {} MiB or {MAX_ROW_LINES} lines; is a quotation mark missing?",
                self.line,
                MAX_ROW_BYTES >> 20
            );
            return Err(io::Error::new(ErrorKind::InvalidData, text));
        }
        let read = buffer.iter().take(count).zip(self.position..);
        self.line_ends.extend(
            read.filter(|(byte, _)| matches!(byte, b'\r' | b'\n'))
                .map(|(byte, position)| (position, *byte == b'\n')),
        );
        self.position += count as u64;
        Ok(count)
    }
}

/// An image in a field of a [`DelimitedFile`].
struct FieldImage {
    file: Arc<DelimitedFile>,
    byte: u64,
    column: usize,
    /// The id that its hash makes.
    id: String,
}

/// The image in base64 that is in a row's column, with the id that its hash makes.
///
/// # Errors
/// Returns an error if the text is not base64, or the image is too large.
pub(super) fn field_image(
    file: &Arc<DelimitedFile>,
    place: RowPlace,
    column: usize,
    base64: &str,
) -> Result<(String, ImageRef)> {
    let id = embedded_image::id(&embedded_image::bytes(base64)?);
    let image = FieldImage {
        file: Arc::clone(file),
        byte: place.byte,
        column,
        id: id.clone(),
    };
    Ok((id, ImageRef::Drawn(Arc::new(image))))
}

impl FieldImage {
    fn read(&self) -> Result<Vec<u8>> {
        let mut rows = self.file.rows_from(self.byte)?;
        let row = rows.next()?;
        let field = row.and_then(|(_, record)| record.get(self.column));
        let base64 = field.and_then(embedded_image::base64);
        let bytes = embedded_image::bytes(base64.context("the image is no longer there")??)?;
        ensure!(
            embedded_image::id(&bytes) == self.id,
            "the file was changed since it was opened"
        );
        Ok(bytes)
    }
}

impl ImageProducer for FieldImage {
    fn encoded(&self) -> Result<Vec<u8>> {
        self.read().with_context(|| {
            format!(
                "cannot read the image {} in {}",
                self.id,
                self.file.path.display()
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_know_their_lines() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("q.csv");
        let text = "\u{feff}a,b\r\n1,\"x\r\ny\"\r\n\r\n\n2,z\n3,\"\n\"\n4,w";
        std::fs::write(&path, text).expect("written");
        let file = DelimitedFile::open(&path, b',').expect("opens");
        let mut rows = file.rows().expect("opens");
        let mut found = Vec::new();
        while let Some((place, record)) = rows.next().expect("reads") {
            found.push((place, record.get(0).expect("a field").to_owned()));
        }
        let lines: Vec<_> = found
            .iter()
            .map(|(place, first)| (place.line, first.as_str()))
            .collect();
        assert_eq!(lines, [(1, "a"), (2, "1"), (6, "2"), (7, "3"), (9, "4")]);
        for (place, first) in found {
            let mut rows = file.rows_from(place.byte).expect("opens");
            let (_, record) = rows.next().expect("reads").expect("a row");
            assert_eq!(record.get(0), Some(first.as_str()));
        }
    }
}
