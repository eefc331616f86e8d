//! The data behind a chart as a table: what DePlot and UniChart read off a picture, what data sets annotate.
//!
//! [`DataTable::linearized`] writes a table as DePlot does, [`DataTable::parse`] reads what models write, and
//! [`DataTable::from_csv`] what data sets and spreadsheets have.

mod csv;
mod parse;

use serde::Serialize;

/// A titled table of text cells. Rows may be ragged: models write what they write.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DataTable {
    /// Empty where there is none.
    pub title: String,
    /// The first row: the name of the row keys, then a name a column.
    pub header: Vec<String>,
    /// The rows below, each a row key and its values.
    pub rows: Vec<Vec<String>>,
}

impl DataTable {
    /// DePlot's text: `TITLE | title <0x0A> header cells <0x0A> a row of cells ...`, cells separated by ` | `.
    ///
    /// What would end a cell is written otherwise in it: a run of white space as one space, `|` as `/`.
    pub fn linearized(&self) -> String {
        let row = |row: &Vec<String>| row.iter().map(|text| cell(text)).collect::<Vec<_>>().join(" | ");
        let title = format!("TITLE | {}", cell(&self.title));
        let rows = std::iter::once(&self.header).chain(&self.rows).map(row);
        std::iter::once(title).chain(rows).collect::<Vec<_>>().join(" <0x0A> ")
    }

    /// The cells of the widest row, the header among them.
    pub fn width(&self) -> usize {
        self.rows.iter().map(Vec::len).fold(self.header.len(), usize::max)
    }

    /// How many data series there are: a column each behind the row keys, or the different names in a table of points
    /// (`series | x | y`). `None` for the boxes of a box plot, whose rows do not tell.
    pub fn series(&self) -> Option<usize> {
        let names: Vec<&str> = self.header.iter().map(String::as_str).collect();
        match names.as_slice() {
            ["series", "x", "y"] => {
                Some(self.rows.iter().filter_map(|row| row.first()).collect::<std::collections::HashSet<_>>().len())
            }
            [_, "min", "first quartile", "median", "third quartile", "max"] => None,
            _ => Some(self.width().saturating_sub(1)),
        }
    }

    /// Whether a value behind the row keys is a negative number.
    pub fn has_negative(&self) -> bool {
        let mut values = self.rows.iter().flat_map(|row| row.iter().skip(1));
        values.any(|value| value.trim_end_matches('%').trim().parse::<f64>().is_ok_and(|number| number < 0.0))
    }
}

fn cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "/")
}
