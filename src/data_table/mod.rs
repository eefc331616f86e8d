//! The data behind a chart as a table: what DePlot and UniChart read off a picture, what data sets annotate.

/// A titled table of text cells. Rows may be ragged: models write what they write.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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
    pub fn linearized(&self) -> String {
        let title = format!("TITLE | {}", self.title);
        let rows = std::iter::once(&self.header).chain(&self.rows).map(|row| row.join(" | "));
        std::iter::once(title).chain(rows).collect::<Vec<_>>().join(" <0x0A> ")
    }
}
