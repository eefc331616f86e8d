//! Reads the first sheet of an Excel workbook, as VLMEvalKit writes its results.

use std::io::{Cursor, Read, sink};

use anyhow::{Context, Result, anyhow, ensure};
use calamine::{DataRef, Reader, Xlsx, XlsxError};
use flate2::read::DeflateDecoder;
use zip::{CompressionMethod, ZipArchive};

use super::columns::{Columns, Scope};
use super::problem::Unit;
use super::table::{AnswerRow, AnswerTable};
use chartbench_core::catch_panic;
use chartbench_core::question::{Prediction, QuestionKind};

/// Most bytes of all parts of a workbook after decompression.
const MAX_INFLATED: u64 = 1 << 29;

/// Reads the rows below the first non-empty one, which is the header. Cells are read one by one,
/// because a sheet may contain a cell in the last possible row and column.
///
/// # Errors
/// Returns an error if the file is not a workbook, its columns cannot be recognised, or it has no
/// rows.
pub(super) fn read(bytes: &[u8], scope: Scope<'_>) -> Result<AnswerTable> {
    // The reader's arithmetic overflows at a cell reference that is too long.
    catch_panic("the Excel reader", || {
        check_inflated(bytes, MAX_INFLATED)?;
        first_sheet(bytes, scope)
    })
}

fn first_sheet(bytes: &[u8], scope: Scope<'_>) -> Result<AnswerTable> {
    let mut workbook: Xlsx<_> = Xlsx::new(Cursor::new(bytes)).map_err(|error| fault(&error))?;
    let sheet = workbook
        .sheet_names()
        .into_iter()
        .next()
        .context("the workbook has no sheet")?;
    let mut cells = workbook
        .worksheet_cells_reader(&sheet)
        .map_err(|error| fault(&error))?;
    let mut sheet = Sheet {
        scope,
        columns: None,
        table: AnswerTable::new(Unit::Row),
    };
    let mut row: Vec<(u32, String)> = Vec::new();
    let mut number = 0;
    while let Some(cell) = cells.next_cell().map_err(|error| fault(&error))? {
        let (row_index, column) = cell.get_position();
        if row_index != number {
            sheet.add(number, &row)?;
            row.clear();
            number = row_index;
        }
        if *cell.get_value() != DataRef::Empty {
            row.push((column, cell_text(cell.get_value())));
        }
    }
    sheet.add(number, &row)?;
    sheet.table.finish("no rows below the header")
}

/// Checks that the parts of a workbook inflate to at most `max` bytes, whatever sizes it declares.
fn check_inflated(bytes: &[u8], max: u64) -> Result<()> {
    /// Largest expansion ratio of deflate.
    const MAX_RATIO: u64 = 1032;
    if (bytes.len() as u64).saturating_mul(MAX_RATIO) <= max {
        return Ok(());
    }
    // The Excel reader reports faults of the archive itself.
    let Ok(mut archive) = ZipArchive::new(Cursor::new(bytes)) else {
        return Ok(());
    };
    let mut total = 0u64;
    for index in 0..archive.len() {
        let Ok(part) = archive.by_index_raw(index) else {
            return Ok(());
        };
        let inflated = match part.compression() {
            CompressionMethod::Stored => Ok(part.compressed_size()),
            _ => std::io::copy(&mut DeflateDecoder::new(part).take(max + 1), &mut sink()),
        };
        total = total.saturating_add(inflated.unwrap_or(0));
        ensure!(
            total <= max,
            "the workbook inflates to more than the {max} bytes allowed"
        );
    }
    Ok(())
}

struct Sheet<'a> {
    scope: Scope<'a>,
    /// The recognised columns and the sheet's column of each header cell, once the header was read.
    columns: Option<(Columns, Vec<u32>)>,
    table: AnswerTable,
}

impl Sheet<'_> {
    /// Adds the row with the index `index`, from 0.
    fn add(&mut self, index: u32, row: &[(u32, String)]) -> Result<()> {
        if row.is_empty() {
            return Ok(());
        }
        let Some((columns, sheet_columns)) = &self.columns else {
            let header: Vec<&str> = row.iter().map(|(_, name)| name.as_str()).collect();
            let columns = Columns::find(&header, self.scope)?;
            self.table.columns = Some(columns.describe(&header));
            self.columns = Some((columns, row.iter().map(|(column, _)| *column).collect()));
            return Ok(());
        };
        // An empty cell is not stored.
        let cell = |header_index: Option<usize>| {
            let column = header_index.and_then(|header_index| sheet_columns.get(header_index))?;
            let found = row.iter().find(|(cell_column, _)| cell_column == column);
            Some(found.map(|(_, text)| text.clone()).unwrap_or_default())
        };
        let number = index as usize + 1;
        let mut filled = AnswerRow {
            prediction: cell(columns.prediction).map(Prediction),
            question: cell(columns.question),
            answer_type: cell(columns.answer_type)
                .and_then(|text| self.table.answer_type(number, &text)),
            chart: cell(columns.chart),
            year: cell(columns.year),
            question_type: cell(columns.question_type),
            kind: cell(columns.kind),
            is_clear: cell(columns.is_clear)
                .as_deref()
                .and_then(QuestionKind::parse_is_clear),
            ..AnswerRow::default()
        };
        if let Some(gold) = cell(columns.gold) {
            filled.set_gold(gold);
        }
        let id = cell(columns.id);
        self.table.push(number, id, filled);
        Ok(())
    }
}

/// A cell as people see it: 5 for a whole number, though a workbook stores all numbers as floats.
fn cell_text(cell: &DataRef<'_>) -> String {
    match cell {
        DataRef::Int(number) => number.to_string(),
        // From 2^53 on floats skip whole numbers, and the last digits would be arbitrary.
        DataRef::Float(number) if number.abs() >= 9_007_199_254_740_992.0 => format!("{number:e}"),
        DataRef::Float(number) => number.to_string(),
        DataRef::String(text) | DataRef::DateTimeIso(text) | DataRef::DurationIso(text) => {
            text.clone()
        }
        DataRef::SharedString(text) => (*text).to_owned(),
        DataRef::Bool(true) => "True".to_owned(),
        DataRef::Bool(false) => "False".to_owned(),
        DataRef::DateTime(date) => {
            let (year, month, day, hour, minute, second, _) = date.to_ymd_hms_milli();
            match (hour, minute, second) {
                (0, 0, 0) => format!("{year:04}-{month:02}-{day:02}"),
                _ => format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}"),
            }
        }
        DataRef::Error(error) => error.to_string(),
        DataRef::Empty => String::new(),
    }
}

fn fault(error: &XlsxError) -> anyhow::Error {
    anyhow!("cannot read the file as an Excel workbook (.xlsx): {error}")
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::DeflateEncoder;

    use super::*;

    /// A zip of one deflated file that declares to be empty.
    fn zip_of(content: &[u8]) -> Vec<u8> {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(content).unwrap();
        let packed = encoder.finish().unwrap();
        let packed_size = u32::try_from(packed.len()).unwrap();
        // Version, flags, method, time, date, CRC, sizes, the lengths of the name and of nothing.
        let mut fields = [20u16, 0, 8, 0, 0].map(u16::to_le_bytes).concat();
        fields.extend([0, packed_size, 0].map(u32::to_le_bytes).concat());
        fields.extend([1u16, 0].map(u16::to_le_bytes).concat());
        let local = [b"PK\x03\x04".as_slice(), &fields, b"a", &packed].concat();
        let central = [b"PK\x01\x02\x14\0".as_slice(), &fields, &[0; 14], b"a"].concat();
        let mut end = b"PK\x05\x06\0\0\0\0\x01\0\x01\0".to_vec();
        end.extend(
            [central.len() as u32, local.len() as u32]
                .map(u32::to_le_bytes)
                .concat(),
        );
        end.extend([0, 0]);
        [local, central, end].concat()
    }

    #[test]
    fn a_workbook_that_inflates_to_too_much_is_refused() {
        let bomb = zip_of(&[b'x'; 300_000]);
        assert!(bomb.len() < 1000);
        check_inflated(&bomb, 300_000).unwrap();
        let line = check_inflated(&bomb, 299_999).unwrap_err().to_string();
        assert_eq!(
            line,
            "the workbook inflates to more than the 299999 bytes allowed"
        );
    }
}
