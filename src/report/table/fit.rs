//! Fits a table into a terminal. In this order: columns are left out by their turns, texts are
//! wrapped, intervals are left out, and at last each row becomes a block of `key: value` lines.

use tabled::builder::Builder;
use tabled::grid::util::string::{get_char_width, get_string_width};
use tabled::settings::object::Columns;
use tabled::settings::width::Wrap;
use tabled::settings::{Alignment, Style};

use super::{Align, Cell, Column, MISSING, Table};

/// The narrowest terminal that tables are fitted to.
const MIN_WIDTH: usize = 20;
/// Widest text of a cell; a longer one is cut.
const MAX_TEXT: usize = 240;
/// A column of words is at least this wide as long as other columns can be left out.
const GOOD_TEXT: usize = 20;
/// A column of words is at least this wide, unless its texts are shorter.
const MIN_TEXT: usize = 8;
/// A column of words is at least as wide as its longest word up to this width, as long as there is
/// room.
const MAX_WORD: usize = 24;
/// The heading of a column of numbers is wrapped beyond this width.
const MAX_HEADING: usize = 16;

/// The table for a terminal of `width` columns; no line is wider.
pub(super) fn fitted(table: &Table, width: usize) -> String {
    let width = width.max(MIN_WIDTH);
    let grids = [true, false].map(|intervals| Grid::new(table, intervals));
    let title = wrap(&table.title_line("\n"), width);
    for grid in &grids {
        if let Some(layout) = grid.layout(width) {
            let note = wrap(&grid.note(&layout), width);
            return format!("{title}{}{note}", grid.ruled(&layout));
        }
    }
    let [grid, _] = &grids;
    format!(
        "{title}{}{}",
        grid.records(width),
        wrap(&grid.note_of(Vec::new()), width)
    )
}

/// Breaks the lines of `text` that are wider than `width` between words; each part is indented as
/// its line.
pub fn wrap(text: &str, width: usize) -> String {
    let width = width.max(MIN_WIDTH);
    let mut wrapped = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let (line, end) = line
            .strip_suffix('\n')
            .map_or((line, ""), |line| (line, "\n"));
        if get_string_width(line) <= width {
            wrapped += line;
        } else {
            let words = line.trim_start();
            let indent = (line.len() - words.len()).min(width / 2);
            let parts = Wrap::wrap(words, width - indent, true);
            let parts: Vec<String> = parts
                .lines()
                .map(|part| format!("{:indent$}{}", "", part.trim()))
                .collect();
            wrapped += &parts.join("\n");
        }
        wrapped += end;
    }
    wrapped
}

/// A table's columns as they are shown.
struct Grid<'t> {
    columns: Vec<Shown<'t>>,
    /// Whether estimates are without their intervals.
    without_intervals: bool,
    /// Whether a text was cut.
    cut: bool,
}

/// A column with its texts.
struct Shown<'t> {
    column: &'t Column,
    heading: String,
    cells: Vec<String>,
    /// The width of the widest text, the heading included.
    natural: usize,
    /// The width that a column of numbers needs.
    least: usize,
    /// The width of the longest word.
    word: usize,
}

/// The columns that are shown with their widths, and those that are left out.
struct Layout<'g> {
    shown: Vec<(&'g Shown<'g>, usize)>,
    left_out: Vec<&'g Shown<'g>>,
}

/// What a column of words is at least as wide as.
#[derive(Clone, Copy)]
enum TextWidth {
    /// A few words, as long as other columns can be left out.
    Good,
    /// Its longest word.
    Word,
    /// A part of a word.
    Min,
}

impl<'t> Grid<'t> {
    fn new(table: &'t Table, intervals: bool) -> Self {
        let mut cut = false;
        let mut text = |cell: &Cell| {
            let text = match cell {
                Cell::Estimate(value, _, digits) if !intervals => {
                    Cell::Decimal(*value, *digits).format_display()
                }
                cell => cell.format_display(),
            };
            match shortened(&text) {
                Some(short) => {
                    cut = true;
                    short
                }
                None => text,
            }
        };
        let mut columns: Vec<Shown<'t>> = table.columns.iter().map(Shown::new).collect();
        for row in &table.rows {
            for (column, cell) in columns.iter_mut().zip(table.cells(row)) {
                column.push(text(cell));
            }
        }
        let has_intervals = table.columns.iter().any(|column| column.estimates);
        Self {
            columns,
            without_intervals: has_intervals && !intervals,
            cut,
        }
    }

    /// The columns that fit; `None` where too few do.
    fn layout(&self, width: usize) -> Option<Layout<'_>> {
        let mut shown: Vec<&Shown<'_>> = self.columns.iter().collect();
        let mut left_out = Vec::new();
        loop {
            let layout = |widths: Vec<usize>, left_out| Layout {
                shown: shown.iter().copied().zip(widths).collect(),
                left_out,
            };
            if let Some(widths) = widths(&shown, width, TextWidth::Good) {
                return Some(layout(widths, left_out));
            }
            let turn = |column: &&Shown<'_>| column.column.turn;
            let Some(next) = shown.iter().filter_map(turn).min() else {
                return [TextWidth::Word, TextWidth::Min]
                    .into_iter()
                    .find_map(|demand| widths(&shown, width, demand))
                    .map(|widths| layout(widths, left_out));
            };
            left_out.extend(shown.extract_if(.., |column| column.column.turn == Some(next)));
        }
    }

    fn ruled(&self, layout: &Layout<'_>) -> String {
        let mut builder = Builder::default();
        builder.push_record(
            layout
                .shown
                .iter()
                .map(|(column, width)| wrap_cell(&column.heading, *width)),
        );
        let rows = self.columns.first().map_or(0, |column| column.cells.len());
        for row in 0..rows {
            let cells = layout.shown.iter().map(|(column, width)| {
                let text = column.cells.get(row).map_or("", String::as_str);
                wrap_cell(text, *width)
            });
            builder.push_record(cells);
        }
        let mut table = builder.build();
        table.with(Style::sharp());
        for (index, (column, _)) in layout.shown.iter().enumerate() {
            table.modify(Columns::one(index), column.column.alignment());
        }
        format!("{table}\n")
    }

    /// Each row as lines of `key: value` without missing values, with a blank line between rows.
    fn records(&self, width: usize) -> String {
        let rows = self.columns.first().map_or(0, |column| column.cells.len());
        let keys = self
            .columns
            .iter()
            .map(|column| get_string_width(&column.heading) + 1);
        let indent = keys.max().unwrap_or(0).min(width / 2) + 1;
        let record = |row: usize| -> String {
            let values = self.columns.iter().filter_map(|column| {
                let value = column.cells.get(row).map_or("", String::as_str);
                (value != MISSING).then(|| key_value(&column.heading, value, indent, width))
            });
            values.collect()
        };
        (0..rows).map(record).collect::<Vec<_>>().join("\n")
    }

    fn note(&self, layout: &Layout<'_>) -> String {
        let columns = layout.left_out.iter().map(|column| column.heading.as_str());
        let intervals = self.without_intervals.then_some("intervals");
        self.note_of(columns.chain(intervals).collect())
    }

    /// What a narrow terminal does not show.
    fn note_of(&self, left_out: Vec<&str>) -> String {
        let cut = self
            .cut
            .then(|| format!("texts are cut after {MAX_TEXT} characters"));
        let left_out = (!left_out.is_empty())
            .then(|| format!("left out in this width: {}", left_out.join(", ")));
        let parts: Vec<String> = left_out.into_iter().chain(cut).collect();
        if parts.is_empty() {
            String::new()
        } else {
            format!("({}; piped output has everything)\n", parts.join("; "))
        }
    }
}

impl<'t> Shown<'t> {
    fn new(column: &'t Column) -> Self {
        let heading = column.format_display();
        let natural = get_string_width(&heading);
        Self {
            column,
            heading,
            cells: Vec::new(),
            natural,
            least: natural.min(MAX_HEADING),
            word: 0,
        }
    }

    fn push(&mut self, text: String) {
        let width = get_string_width(&text);
        self.natural = self.natural.max(width);
        self.least = self.least.max(width);
        let words = text.split_whitespace().map(get_string_width);
        self.word = self.word.max(words.max().unwrap_or(0));
        self.cells.push(text);
    }

    /// The least width of a column of words.
    fn text_width(&self, demand: TextWidth) -> usize {
        let least = match demand {
            TextWidth::Good => GOOD_TEXT.max(self.word.min(MAX_WORD)),
            TextWidth::Word => MIN_TEXT.max(self.word.min(MAX_WORD)),
            TextWidth::Min => MIN_TEXT,
        };
        self.natural.min(least)
    }

    fn is_text(&self) -> bool {
        self.column.align == Align::Left
    }
}

impl Column {
    pub(super) fn alignment(&self) -> Alignment {
        match self.align {
            Align::Left => Alignment::left(),
            Align::Right => Alignment::right(),
        }
    }
}

/// The widths with which the columns fit, those of words as `demand` asks; `None` where they do not.
fn widths(columns: &[&Shown<'_>], width: usize, demand: TextWidth) -> Option<Vec<usize>> {
    let borders = 3 * columns.len() + 1;
    let natural: usize = columns.iter().map(|column| column.natural).sum();
    if natural + borders <= width {
        return Some(columns.iter().map(|column| column.natural).collect());
    }
    let mut widths: Vec<usize> = columns
        .iter()
        .map(|column| {
            if column.is_text() {
                column.text_width(demand)
            } else {
                column.least
            }
        })
        .collect();
    let mut free = width.checked_sub(borders + widths.iter().sum::<usize>())?;
    // The narrowest column of words that could be wider gets each further place.
    while free > 0 {
        let growing = widths
            .iter_mut()
            .zip(columns)
            .filter(|(width, column)| column.is_text() && **width < column.natural)
            .map(|(width, _)| width);
        let Some(narrowest) = growing.min_by_key(|width| **width) else {
            break;
        };
        *narrowest += 1;
        free -= 1;
    }
    Some(widths)
}

/// A cell's text in lines of at most `width`, broken between words; no line begins with a blank.
fn wrap_cell(text: &str, width: usize) -> String {
    if get_string_width(text) <= width {
        return text.to_owned();
    }
    let wrapped = Wrap::wrap(text, width, true);
    wrapped
        .lines()
        .map(str::trim)
        .collect::<Vec<_>>()
        .join("\n")
}

/// `key: value`, the value's further lines below its first one.
fn key_value(key: &str, value: &str, indent: usize, width: usize) -> String {
    let key = format!("{key}:");
    let value = Wrap::wrap(value, width - indent, true);
    let mut lines = value.lines().map(str::trim);
    let mut text = if get_string_width(&key) < indent {
        let gap = indent - get_string_width(&key);
        format!("{key}{:gap$}{}\n", "", lines.next().unwrap_or_default())
    } else {
        wrap(&key, width) + "\n"
    };
    for line in lines {
        text += &format!("{:indent$}{line}\n", "");
    }
    text
}

/// A text wider than [`MAX_TEXT`], cut to that.
fn shortened(text: &str) -> Option<String> {
    if get_string_width(text) <= MAX_TEXT {
        return None;
    }
    let mut width = 1;
    let fits = |c: &char| {
        width += get_char_width(*c).max(1);
        width <= MAX_TEXT
    };
    Some(text.chars().take_while(fits).chain(['\u{2026}']).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wide(text: &str) -> Table {
        Table {
            title: "A title of some words".to_owned(),
            columns: vec![
                Column::left("name"),
                Column::right("count").optional(2),
                Column::right("rate").optional(1),
                Column::left("what it is"),
            ],
            rows: vec![
                vec![
                    Cell::text("a"),
                    Cell::count(12),
                    Cell::Decimal(0.5, 2),
                    Cell::text(text),
                ],
                vec![Cell::text("b"), Cell::count(7)],
            ],
        }
    }

    fn widest(text: &str) -> usize {
        text.lines().map(get_string_width).max().unwrap_or(0)
    }

    #[test]
    fn a_table_that_fits_is_as_it_was() {
        let table = wide("few words");
        assert_eq!(table.to_terminal_within(Some(80)), table.to_terminal());
    }

    #[test]
    fn columns_are_left_out_in_their_order_and_named() {
        let table = wide("a text of many words that is wider than most terminals are");
        let at = |width| table.to_terminal_within(Some(width));
        assert!(!at(60).contains("left out"), "{}", at(60));
        assert!(
            at(42).contains("(left out in this width: rate;"),
            "{}",
            at(42)
        );
        assert!(at(42).contains("count"));
        let note = at(35).replace('\n', " ");
        assert!(
            note.contains("left out in this width: rate, count;"),
            "{note}"
        );
        assert!(at(35).contains("a text of many words"), "{}", at(35));
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        let texts = [
            "short",
            "a text of many words that is wider than most terminals are",
            &"unbroken".repeat(60),
            &"\u{56f3}\u{8868} ".repeat(200),
            "\u{1f469}\u{200d}\u{1f469}\u{200d}\u{1f467}\u{200d}\u{1f466}",
            "two\nlines\u{1b}[31m",
        ];
        for text in texts {
            for width in (0..200).chain([usize::MAX]) {
                let shown = wide(text).to_terminal_within(Some(width));
                assert!(widest(&shown) <= width.max(MIN_WIDTH), "{width}:\n{shown}");
            }
        }
    }

    #[test]
    fn many_columns_of_numbers_become_records() {
        let table = Table {
            title: String::new(),
            columns: (0..40)
                .map(|n| Column::right(format!("convention.{n}")))
                .collect(),
            rows: vec![(0..40).map(Cell::count).collect(); 2],
        };
        let shown = table.to_terminal_within(Some(80));
        assert!(
            shown.starts_with("convention.0:  0\nconvention.1:  1\n"),
            "{shown}"
        );
        assert_eq!(shown.lines().count(), 81);
    }

    #[test]
    fn intervals_are_left_out_before_the_table_becomes_records() {
        let interval = chartbench_score::stats::Interval {
            low: 1.0,
            high: 2.0,
        };
        let table = Table {
            title: String::new(),
            columns: ["x", "y", "z"].map(Column::estimates).into(),
            rows: vec![vec![Cell::Estimate(1.5, Some(interval), 2); 3]],
        };
        assert!(
            table
                .to_terminal_within(Some(80))
                .contains("1.50 (1.00 to 2.00)")
        );
        let shown = table.to_terminal_within(Some(40));
        assert!(shown.contains("│ 1.50 │ 1.50 │ 1.50 │"), "{shown}");
        assert!(
            shown.contains("(left out in this width: intervals;"),
            "{shown}"
        );
    }
}
