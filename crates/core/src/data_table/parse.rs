//! Reading the tables that models write.
//!
//! - **Rows** are separated by line breaks or by DePlot's literal `<0x0A>` (a line break as the
//!   Hugging Face tokenizer writes it). A text with neither may be UniChart's: its rows are
//!   separated by `&&`, or else by `&` between blanks. A part between two such `&` without a `|` is
//!   not a row but part of a name (`Research & Development | 5`): it belongs to the part behind it,
//!   or, at the end of the text, to the one before it. Rows without any text are skipped.
//! - **Cells** are separated by `|`, with or without blanks around. A rule of dashes under the
//!   header marks a Markdown table: the rule, the bars around each row and lines without bars
//!   (words before and after) are left out.
//! - **The title** is a first row that begins with the cell `title` in any case, as DePlot's always
//!   does. A table without a title whose first column is called `title` loses its header to this
//!   rule.
//! - The first row after it is **the header**.
//!
//! A text without a header of two cells is not a table.

use anyhow::{Result, ensure};

use super::DataTable;

impl DataTable {
    /// Reads a table as DePlot, UniChart or a chat model writes it; the module's page has the
    /// rules.
    ///
    /// # Errors
    /// Returns an error if the text is not a table: if it is empty, or has no `|`.
    ///
    /// ```
    /// use chartbench_core::data_table::DataTable;
    /// let table = DataTable::parse("TITLE | Sales <0x0A> Year | Sold <0x0A> 2019 | 12").unwrap();
    /// assert_eq!((table.title.as_str(), table.rows), ("Sales", vec![vec!["2019".to_owned(), "12".to_owned()]]));
    /// assert_eq!(DataTable::parse("Year | Sold & 2019 | 12").unwrap().rows.len(), 1);
    /// assert!(DataTable::parse("a bar chart").is_err());
    /// ```
    pub fn parse(text: &str) -> Result<Self> {
        let mut rows: Vec<Vec<String>> = row_texts(text).iter().map(|row| cells(row)).collect();
        if let Some(rule) = rows.iter().position(|row| is_rule(row)) {
            rows.remove(rule);
            rows.retain(|row| row.len() > 1);
            rows.iter_mut().for_each(strip_bars);
        }
        let titled = rows
            .first()
            .and_then(|row| row.first())
            .is_some_and(|cell| cell.eq_ignore_ascii_case("title"));
        let title = if titled {
            rows.remove(0).split_off(1).join(" | ")
        } else {
            String::new()
        };
        ensure!(!rows.is_empty(), "not a table: there is no row of cells");
        let header = rows.remove(0);
        ensure!(
            header.len() > 1,
            "not a table: there is no ` | ` between cells in the first row"
        );
        Ok(Self {
            title,
            header,
            rows,
        })
    }

    /// Whether any text is meant as a table: a header and rows below, all of two cells or more.
    pub fn is_written_in(text: &str) -> bool {
        text.contains('|')
            && Self::parse(text).is_ok_and(|table| {
                !table.rows.is_empty() && table.rows.iter().all(|row| row.len() > 1)
            })
    }
}

/// The rows as they are written, without the empty ones.
fn row_texts(text: &str) -> Vec<String> {
    let text = text.replace("<0x0A>", "\n").replace('\r', "\n");
    let text = text.trim();
    let rows: Vec<String> = if text.contains('\n') {
        text.split('\n').map(str::to_owned).collect()
    } else if text.contains("&&") {
        text.split("&&").map(str::to_owned).collect()
    } else {
        between_ampersands(text)
    };
    rows.into_iter()
        .filter(|row| !row.trim().is_empty())
        .collect()
}

fn between_ampersands(text: &str) -> Vec<String> {
    let mut rows: Vec<String> = Vec::new();
    let mut before: Vec<&str> = Vec::new();
    // Blanks at the ends, so that an `&` there is between blanks as well.
    let spaced = format!(" {text} ");
    for part in spaced.split(" & ") {
        before.push(part);
        if part.contains('|') {
            rows.push(before.join(" & "));
            before.clear();
        }
    }
    let rest = before.join(" & ");
    match rows.last_mut() {
        Some(last) if !rest.trim().is_empty() => *last = format!("{last} & {rest}"),
        Some(_) => {}
        None => rows.push(rest),
    }
    rows
}

fn cells(row: &str) -> Vec<String> {
    row.split('|').map(|cell| cell.trim().to_owned()).collect()
}

/// Whether a row is the line of dashes under a Markdown table's header.
fn is_rule(row: &[String]) -> bool {
    let dashes =
        |cell: &String| cell.contains("--") && cell.chars().all(|c| matches!(c, '-' | ':'));
    row.iter().any(dashes) && row.iter().all(|cell| cell.is_empty() || dashes(cell))
}

/// Leaves out the empty cells that the bars around a Markdown row make.
fn strip_bars(row: &mut Vec<String>) {
    if row.len() > 2
        && row.first().is_some_and(String::is_empty)
        && row.last().is_some_and(String::is_empty)
    {
        row.remove(0);
        row.pop();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(text: &str) -> String {
        DataTable::parse(text).map_or_else(
            |error| error.to_string(),
            |DataTable {
                 title,
                 header,
                 rows,
             }| {
                let rows: Vec<String> = std::iter::once(header)
                    .chain(rows)
                    .map(|row| row.join(";"))
                    .collect();
                format!("{title}: {}", rows.join(" / "))
            },
        )
    }

    #[test]
    fn what_models_write_is_read() {
        let cases = [
            (
                "TITLE | Sales <0x0A> Year | A | B <0x0A> 2019 | 1 | 2",
                "Sales: Year;A;B / 2019;1;2",
            ),
            (
                "TITLE | <0x0A> Year | A<0x0A>2019 | 1 <0x0A>",
                ": Year;A / 2019;1",
            ),
            (
                "TITLE | a | b\nYear | A\r\n2019 | 1\n\n",
                "a | b: Year;A / 2019;1",
            ),
            ("Year|A\n2019|1", ": Year;A / 2019;1"),
            (
                "title |\n | A | B\na |  | 2\nb | 1 | ",
                ": ;A;B / a;;2 / b;1;",
            ),
            (
                "Title | T <0x0A> Year | A | B <0x0A> 2019 | 1 <0x0A> 2020 | 1 | 2 | 3",
                "T: Year;A;B / 2019;1 / 2020;1;2;3",
            ),
            (
                "Year | A & 2019 | 1 & 2020 | 2 &",
                ": Year;A / 2019;1 / 2020;2",
            ),
            (
                "Year | A && 2019 | 1&&2020 | R & D",
                ": Year;A / 2019;1 / 2020;R & D",
            ),
            (
                "Field | A & Research & Development | 5 & R&D | 6",
                ": Field;A / Research & Development;5 / R&D;6",
            ),
            ("Field | Who & a | Tom & Ann", ": Field;Who / a;Tom & Ann"),
            ("a & b | c\n1 | 2", ": a & b;c / 1;2"),
            (
                "| Year | A |\n| :-- | --: |\n| 2019 | 1 |",
                ": Year;A / 2019;1",
            ),
            ("| Year | A |\n|---|---|\n| 2019 | |", ": Year;A / 2019;"),
            (
                "The table:\n```\n| Year | A |\n|---|---|\n| 2019 | 1 |\n```\nDone.",
                ": Year;A / 2019;1",
            ),
            ("Year | A", ": Year;A"),
            ("", "not a table: there is no row of cells"),
            (" \n<0x0A>", "not a table: there is no row of cells"),
            ("TITLE | Sales", "not a table: there is no row of cells"),
            (
                "A bar chart.",
                "not a table: there is no ` | ` between cells in the first row",
            ),
            (
                "A bar chart:\nYear | A",
                "not a table: there is no ` | ` between cells in the first row",
            ),
            (
                "&",
                "not a table: there is no ` | ` between cells in the first row",
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(parsed(text), expected, "{text:?}");
        }
    }

    #[test]
    fn texts_and_tables_are_distinguished() {
        let tables = [
            "a | b\n1 | 2",
            "TITLE | <0x0A> a | b <0x0A> 1 | 2",
            "a | b & 1 | 2",
        ];
        let texts = [
            "a | b", "Yes", "a & b", "", "P(a|b)", "a | b\n1", "12", "[1 | 2]",
        ];
        assert!(tables.iter().all(|text| DataTable::is_written_in(text)));
        assert!(!texts.iter().any(|text| DataTable::is_written_in(text)));
    }

    fn table() -> impl Strategy<Value = DataTable> {
        let cell = "[a-zA-Z0-9%.,&| \n\u{e9}-]{0,8}";
        let row = proptest::collection::vec(cell, 1..5);
        let header = proptest::collection::vec(cell, 2..5);
        ("[a-z |]{0,9}", header, proptest::collection::vec(row, 0..5)).prop_map(
            |(title, header, rows)| DataTable {
                title,
                header,
                rows,
            },
        )
    }

    proptest! {
        #[test]
        fn nothing_panics(text in any::<String>(), near in "[a |&\n<0xA>-]{0,40}") {
            for text in [text, near] {
                let _ = DataTable::from_csv(&text);
                if let Ok(table) = DataTable::parse(&text) {
                    prop_assert!(table.header.len() > 1 && table.width() >= table.header.len());
                }
            }
        }

        /// Written tables are read back; only rows that look like a Markdown rule or an empty row
        /// are lost.
        #[test]
        fn linearized_tables_are_read_back(table in table()) {
            let clean = |row: &Vec<String>| -> Vec<String> { row.iter().map(|text| super::super::cell(text)).collect() };
            let rows: Vec<Vec<String>> = table.rows.iter().map(clean).collect();
            prop_assume!(rows.iter().all(|row| row.len() > 1 || row.iter().any(|cell| !cell.is_empty())));
            prop_assume!(!rows.iter().chain([&clean(&table.header)]).any(|row| is_rule(row)));
            let read = DataTable::parse(&table.linearized()).unwrap();
            prop_assert_eq!(read, DataTable { title: super::super::cell(&table.title), header: clean(&table.header), rows });
        }
    }
}
