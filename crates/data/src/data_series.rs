//! Data series as CHART-Info annotates them (`task6`), and the table of a chart's series.
//!
//! - **Box plots** (a point has a `min`, `first_quartile`, `median`, `third_quartile` or `max`):
//!   one row for each box, `x | min | first quartile | median | third quartile | max`; with several
//!   series the cell of x begins with the series' name.
//! - **One value for each series and x**: one row for each x in the order of first occurrence, `x`
//!   and one column for each series; the cell is empty where a series has no value.
//! - **Anything else**, mainly scatter plots: one row for each point, `series | x | y`.
//!
//! Numbers are written in the fewest digits that read back the same (`12`, `0.5`), never with an
//! exponent.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};

use chartbench_core::data_table::DataTable;

/// One series.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct DataSeries {
    pub data: Vec<Point>,
    pub name: Option<Value>,
}

/// One point or one box of a series.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Point {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub x: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub y: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_quartile: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub median: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub third_quartile: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<Value>,
}

/// A name or a number.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(untagged, expecting = "must be a number or a text")]
pub(super) enum Value {
    Number(f64),
    Text(String),
}

impl Value {
    fn text(&self) -> String {
        match self {
            // Without the sign of a negative zero.
            Self::Number(number) => (number + 0.0).to_string(),
            Self::Text(text) => text.split_whitespace().collect::<Vec<_>>().join(" "),
        }
    }
}

fn cell(value: Option<&Value>) -> String {
    value.map(Value::text).unwrap_or_default()
}

impl DataSeries {
    fn name(&self) -> String {
        cell(self.name.as_ref())
    }
}

impl Point {
    fn x(&self) -> String {
        cell(self.x.as_ref())
    }

    fn summary(&self) -> [Option<&Value>; 5] {
        [
            &self.min,
            &self.first_quartile,
            &self.median,
            &self.third_quartile,
            &self.max,
        ]
        .map(Option::as_ref)
    }
}

/// The table of a chart's series, by the rules on the module's page.
pub(super) fn to_table(
    title: String,
    chart_type: Option<&str>,
    series: &[DataSeries],
) -> DataTable {
    let points = || series.iter().flat_map(|series| &series.data);
    let Rows { header, rows } = if points().any(|point| point.summary().iter().any(Option::is_some))
    {
        box_rows(series)
    } else if chart_type != Some("scatter")
        && points().all(|point| point.x.is_some() && point.y.is_some())
    {
        rows_by_x(series).unwrap_or_else(|| rows_by_point(series))
    } else {
        rows_by_point(series)
    };
    DataTable {
        title,
        header,
        rows,
    }
}

struct Rows {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

fn box_rows(series: &[DataSeries]) -> Rows {
    let mut rows = Vec::new();
    for data_series in series {
        for point in &data_series.data {
            let key = if series.len() > 1 {
                format!("{} {}", data_series.name(), point.x())
            } else {
                point.x()
            };
            rows.push(
                std::iter::once(key.trim().to_owned())
                    .chain(point.summary().map(cell))
                    .collect(),
            );
        }
    }
    let header = [
        "x",
        "min",
        "first quartile",
        "median",
        "third quartile",
        "max",
    ]
    .map(str::to_owned)
    .into();
    Rows { header, rows }
}

/// One row for each x; `None` where a series has an x twice.
fn rows_by_x(series: &[DataSeries]) -> Option<Rows> {
    let (mut order, mut seen) = (Vec::new(), HashSet::new());
    let mut columns = Vec::new();
    for data_series in series {
        let mut column = HashMap::new();
        for point in &data_series.data {
            let x = point.x();
            if column.insert(x.clone(), cell(point.y.as_ref())).is_some() {
                return None;
            }
            if seen.insert(x.clone()) {
                order.push(x);
            }
        }
        columns.push(column);
    }
    let row = |x: String| {
        let values: Vec<String> = columns
            .iter()
            .map(|column| column.get(&x).cloned().unwrap_or_default())
            .collect();
        std::iter::once(x).chain(values).collect()
    };
    let header = std::iter::once("x".to_owned())
        .chain(series.iter().map(DataSeries::name))
        .collect();
    Some(Rows {
        header,
        rows: order.into_iter().map(row).collect(),
    })
}

fn rows_by_point(series: &[DataSeries]) -> Rows {
    let mut rows = Vec::new();
    for data_series in series {
        let points = data_series.data.iter();
        rows.extend(
            points.map(|point| vec![data_series.name(), point.x(), cell(point.y.as_ref())]),
        );
    }
    Rows {
        header: ["series", "x", "y"].map(str::to_owned).into(),
        rows,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn linearized(chart_type: &str, series: &str) -> String {
        let series: Vec<DataSeries> = serde_json::from_str(series).unwrap();
        to_table(String::new(), Some(chart_type), &series).linearized()
    }

    #[test]
    fn each_kind_of_chart_has_its_table() {
        let bars = r#"[{"name": "A", "data": [{"x": "Jan\n2019", "y": 12.0}, {"x": "Feb", "y": 0.5}]},
                       {"name": 2020, "data": [{"x": "Mar", "y": -0.0}, {"x": "Feb", "y": 1e21}]}]"#;
        let wide = "TITLE |  <0x0A> x | A | 2020 <0x0A> Jan 2019 | 12 |  <0x0A> Feb | 0.5 | 1000000000000000000000 <0x0A> Mar |  | 0";
        assert_eq!(linearized("vertical bar", bars), wide);
        let points = r#"[{"name": "A", "data": [{"x": 1, "y": 2}, {"x": 1, "y": 3}]}, {"data": [{"x": 0.1, "y": null}]}]"#;
        let long =
            "TITLE |  <0x0A> series | x | y <0x0A> A | 1 | 2 <0x0A> A | 1 | 3 <0x0A>  | 0.1 | ";
        assert_eq!(linearized("line", points), long);
        let two = r#"[{"name": "A", "data": [{"x": 1, "y": 2}, {"x": 2, "y": 3}]}]"#;
        assert_eq!(
            linearized("line", two),
            "TITLE |  <0x0A> x | A <0x0A> 1 | 2 <0x0A> 2 | 3"
        );
        assert_eq!(
            linearized("scatter", two),
            "TITLE |  <0x0A> series | x | y <0x0A> A | 1 | 2 <0x0A> A | 2 | 3"
        );
        let boxes = r#"[{"name": "A", "data": [{"x": "a", "min": 1, "first_quartile": 2, "median": 3, "third_quartile": 4}]}]"#;
        let header = "TITLE |  <0x0A> x | min | first quartile | median | third quartile | max";
        assert_eq!(
            linearized("vertical box", boxes),
            format!("{header} <0x0A> a | 1 | 2 | 3 | 4 | ")
        );
        let several = boxes.replace(
            "}]}]",
            r#"}]}, {"name": "B", "data": [{"x": "a", "max": 5}]}]"#,
        );
        assert_eq!(
            linearized("vertical box", &several),
            format!("{header} <0x0A> A a | 1 | 2 | 3 | 4 |  <0x0A> B a |  |  |  |  | 5")
        );
        assert_eq!(linearized("line", "[]"), "TITLE |  <0x0A> x");
    }
}
