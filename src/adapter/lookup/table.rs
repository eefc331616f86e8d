//! A chart's table by its form.

use chartbench_core::data_table::DataTable;
use chartbench_core::names::nearest_first;

/// Some numbers of a series, one at each place of the axis; empty where the table has none.
pub(super) type Cells<'t> = Vec<&'t str>;

/// A table, by the three forms that tables of charts have.
pub(super) struct ChartTable<'t> {
    pub(super) title: &'t str,
    pub(super) x_title: &'t str,
    /// Names of the series; a box plot's only one has none.
    pub(super) series: Vec<&'t str>,
    pub(super) form: Form<'t>,
}

/// The form of a table.
pub(super) enum Form<'t> {
    /// A row a place on the axis, a column a series; the cells of each series.
    Values {
        places: Vec<&'t str>,
        values: Vec<Cells<'t>>,
    },
    /// A row a box; the boxes of each series.
    Boxes {
        places: Vec<&'t str>,
        boxes: Vec<BoxCells<'t>>,
    },
    /// A row a point: x and y of those that have both.
    Points(Vec<(f64, f64)>),
}

/// The boxes of a series.
#[derive(Clone, Debug, Default)]
pub(super) struct BoxCells<'t> {
    pub(super) minima: Cells<'t>,
    pub(super) medians: Cells<'t>,
    pub(super) first_quartiles: Cells<'t>,
    pub(super) third_quartiles: Cells<'t>,
}

impl<'t> ChartTable<'t> {
    /// Takes a table in.
    pub(super) fn new(table: &'t DataTable) -> Self {
        let name = |column: usize| table.header.get(column).map_or("", String::as_str);
        let is_named = |column: usize, text: &str| name(column).eq_ignore_ascii_case(text);
        let (series, form) = if is_named(0, "series") && is_named(1, "x") && is_named(2, "y") {
            points(table)
        } else if (1..table.header.len()).any(|column| is_named(column, "median")) {
            boxes(table)
        } else {
            let columns = 1..table.header.len();
            let series = columns.clone().map(name).collect();
            let values = columns.map(|column| cells(table, column)).collect();
            let places = cells(table, 0);
            (series, Form::Values { places, values })
        };
        // The column of names is called `x` where the axis has no title.
        let has_title = matches!(form, Form::Values { .. }) && !is_named(0, "x");
        Self {
            title: &table.title,
            x_title: if has_title { name(0) } else { "" },
            series,
            form,
        }
    }

    /// The names along the axis; none of a table of points.
    pub(super) fn places(&self) -> &[&'t str] {
        match &self.form {
            Form::Values { places, .. } | Form::Boxes { places, .. } => places,
            Form::Points(_) => &[],
        }
    }

    /// The index of the series that a question names; the first where it names none.
    pub(super) fn series_index(&self, name: Option<&str>) -> Option<usize> {
        match name {
            Some(name) if self.series.len() > 1 => nearest(name, &self.series),
            _ => (!self.series.is_empty()).then_some(0),
        }
    }

    /// Whether every place on the axis is a number.
    pub(super) fn has_numeric_places(&self) -> bool {
        !self.places().is_empty() && self.places().iter().all(|place| number(place).is_some())
    }
}

/// The number in a cell, as charts write numbers.
pub(super) fn number(cell: &str) -> Option<f64> {
    let plain = cell.trim().trim_end_matches('%').trim_end();
    let plain = plain.replace(',', "").replace('\u{2212}', "-");
    plain.parse().ok().filter(|number: &f64| number.is_finite())
}

/// The index of a name: its own, that of an equal number, or else that of the nearest name.
pub(super) fn nearest(name: &str, names: &[&str]) -> Option<usize> {
    let position =
        |is_equal: &dyn Fn(&str) -> bool| names.iter().position(|&other| is_equal(other));
    let value = number(name);
    position(&|other| other.eq_ignore_ascii_case(name))
        .or_else(|| position(&|other| value.is_some() && number(other) == value))
        .or_else(|| {
            let nearest = *nearest_first(name, names.iter().copied()).first()?;
            position(&|other| other == nearest)
        })
}

/// A column, `""` in rows that have no such cell.
fn cells(table: &DataTable, column: usize) -> Cells<'_> {
    let rows = table.rows.iter();
    rows.map(|row| row.get(column).map_or("", |cell| cell.trim()))
        .collect()
}

fn points(table: &DataTable) -> (Vec<&str>, Form<'_>) {
    let mut series = Vec::new();
    for name in cells(table, 0) {
        if !series.contains(&name) {
            series.push(name);
        }
    }
    let pairs = cells(table, 1).into_iter().zip(cells(table, 2));
    let points = pairs.filter_map(|(x, y)| Some((number(x)?, number(y)?)));
    (series, Form::Points(points.collect()))
}

fn boxes(table: &DataTable) -> (Vec<&str>, Form<'_>) {
    let keys = cells(table, 0);
    let (series, places) = split_keys(&keys).unwrap_or_else(|| (vec![""], keys));
    let column = |name: &str, index: usize| {
        let mut header = table.header.iter();
        let column = header.position(|header| header.eq_ignore_ascii_case(name));
        let cells = column.map_or_else(Vec::new, |column| cells(table, column));
        let own = cells.chunks(places.len().max(1)).nth(index);
        own.map_or_else(Vec::new, <[_]>::to_vec)
    };
    let boxes = (0..series.len()).map(|index| BoxCells {
        minima: column("min", index),
        first_quartiles: column("first quartile", index),
        medians: column("median", index),
        third_quartiles: column("third quartile", index),
    });
    let boxes = boxes.collect();
    (series, Form::Boxes { places, boxes })
}

/// Splits the keys of several series' boxes, `SERIES PLACE`, into series and places: every series
/// has all places, in one order. `None` for keys that are not so, those of one series.
fn split_keys<'t>(keys: &[&'t str]) -> Option<(Vec<&'t str>, Vec<&'t str>)> {
    // One place in each series is no sign of series: keys of one series share words, too.
    let counts = (2..=keys.len() / 2).filter(|count| keys.len().is_multiple_of(*count));
    counts.rev().find_map(|places| {
        let first = keys.get(..places)?;
        let mut name_ends = first.first()?.match_indices(' ').map(|(end, _)| end);
        name_ends.find_map(|end| {
            let name = first.first()?.get(..=end)?;
            let labels: Vec<&str> = first
                .iter()
                .map(|key| key.strip_prefix(name))
                .collect::<Option<_>>()?;
            let series: Vec<&str> = keys
                .chunks(places)
                .map(|keys| common_name(keys, &labels))
                .collect::<Option<_>>()?;
            Some((series, labels))
        })
    })
}

/// The name that all keys begin with when each ends with its label.
fn common_name<'t>(keys: &[&'t str], labels: &[&str]) -> Option<&'t str> {
    let mut names = keys
        .iter()
        .zip(labels)
        .map(|(key, label)| key.strip_suffix(label)?.strip_suffix(' '));
    let name = names.next()??;
    names.all(|other| other == Some(name)).then_some(name)
}
