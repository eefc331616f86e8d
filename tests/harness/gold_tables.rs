//! The data behind the charts: what each layout's tables are, and what is told where there is none.

use std::fs;
use std::path::Path;

use chartbench::config::Benchmark;
use chartbench_core::data_table::DataTable;
use chartbench_core::question::{AnswerType, QuestionSet};
use chartbench_data::{MissingSplit, MissingTable, Split};
use tempfile::TempDir;

fn tree(files: &[(&str, &str)]) -> TempDir {
    let dir = TempDir::new().unwrap();
    for (path, content) in files {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    dir
}

fn load(benchmark: &str, dir: &Path) -> QuestionSet {
    chartbench_data::load(
        &Benchmark::find(benchmark).unwrap().data,
        Some(dir),
        Split::Test,
    )
    .unwrap()
}

/// A chart's table as DePlot would write it, or why there is none; the data folder is called DIR.
fn table(set: &QuestionSet, chart: usize, dir: &Path) -> String {
    let table = set.charts[chart]
        .chart
        .table
        .as_ref()
        .map(|table| table.0.table());
    match table {
        None => "no source".to_owned(),
        Some(Ok(table)) => table.linearized(),
        Some(Err(error)) => {
            let kind = if error.downcast_ref::<MissingTable>().is_some() {
                "none"
            } else {
                "error"
            };
            format!("{kind}: {error:#}").replace(dir.to_str().unwrap(), "DIR")
        }
    }
}

const QA: &str = r#"[{"question": "Q?", "answer": "a", "answer_type": "String", "qa_id": "q"}]"#;
const TITLED: &str = r#"{"task1": {"output": {"chart_type": "line"}},
    "task2": {"output": {"text_blocks": [{"id": 3, "text": "Growth\nby year"}, {"id": 4, "text": "Year"}]}},
    "task3": {"output": {"text_roles": [{"id": 4, "role": "axis_title"}, {"id": 3, "role": "chart_title"}]}},
    "task6": {"output": {"data series": [{"name": "A", "data": [{"x": "a|b", "y": 1.50}, {"x": 2, "y": 3.0}]}]}}}"#;

#[test]
fn realcqas_tables_are_its_data_series() {
    let charts = [
        ("a", Some(TITLED)),
        (
            "b",
            Some(r#"{"task1": null, "task2": null, "task6": null}"#),
        ),
        (
            "c",
            Some(
                r#"{"task1": null, "task6": {"output": {"data series": [{"name": "A", "data": []}]}}}"#,
            ),
        ),
        (
            "d",
            Some(
                "{\"task1\": null,\n \"task6\": {\"output\": {\"data series\": [{\"data\": [{\"x\": [1]}]}]}}}",
            ),
        ),
        ("e", None),
    ];
    let dir = tree(&[
        ("test_filenames.txt", "a\nb\nc\nd\ne\n"),
        ("images/a.jpg", ""),
    ]);
    for (id, annotation) in charts {
        fs::create_dir_all(dir.path().join("qa")).unwrap();
        fs::create_dir_all(dir.path().join("json")).unwrap();
        fs::write(dir.path().join(format!("qa/{id}.json")), QA).unwrap();
        if let Some(annotation) = annotation {
            fs::write(dir.path().join(format!("json/{id}.json")), annotation).unwrap();
        }
    }
    let set = load("realcqa", dir.path());
    let tables = [0, 1, 2, 3, 4].map(|chart| table(&set, chart, dir.path()));
    assert_eq!(
        tables,
        [
            "TITLE | Growth by year <0x0A> x | A <0x0A> a/b | 1.5 <0x0A> 2 | 3",
            "none: DIR/json/b.json: task6 has no data series",
            "none: DIR/json/c.json: task6 has no data series",
            "error: DIR/json/d.json: line 2 column 58: must be a number or a text",
            "no source",
        ]
    );
}

#[test]
fn chartqas_tables_are_its_csv_files() {
    let questions = r#"[{"imgname": "1.png", "query": "Q?", "label": "a"}, {"imgname": "2.png", "query": "Q?", "label": "b"},
                        {"imgname": "3.png", "query": "Q?", "label": "c"}]"#;
    let dir = tree(&[
        ("test/test_human.json", questions),
        ("test/test_augmented.json", "[]"),
        ("test/png/1.png", ""),
        (
            "test/tables/1.csv",
            "\u{feff}Year,\"Sold, total\"\r\n2019, 12 \r\n2020,13,14\r\n",
        ),
        ("test/tables/2.csv", "\n,\n"),
    ]);
    let set = load("chartqa", dir.path());
    let tables = [0, 1, 2].map(|chart| table(&set, chart, dir.path()));
    let first = "TITLE |  <0x0A> Year | Sold, total <0x0A> 2019 | 12 <0x0A> 2020 | 13 | 14";
    assert_eq!(
        tables,
        [
            first,
            "error: DIR/test/tables/2.csv: the table is empty",
            "no source"
        ]
    );
}

/// With `ask = "tables"` a chart's one question is its table; charts without one are not asked,
/// broken ones are told.
#[test]
fn tables_are_asked_for() {
    let dir = tree(&[
        ("test_filenames.txt", "a\nb\nc\n"),
        ("images/a.jpg", ""),
        ("qa/a.json", QA),
        ("qa/b.json", QA),
        ("qa/c.json", QA),
        ("json/a.json", TITLED),
        ("json/b.json", r#"{"task6": null}"#),
    ]);
    let toml = "title = \"T\"\ndescription = \"D\"\nformat = \"realcqa\"\nask = \"tables\"\n";
    let benchmark = Benchmark::parse(toml, "t.toml").unwrap().data;
    let load = || chartbench_data::load(&benchmark, Some(dir.path()), Split::Test);
    let set = load().unwrap();
    let [(chart, question)] = set.iter().collect::<Vec<_>>()[..] else {
        panic!("{} questions", set.len())
    };
    assert_eq!((chart.id.as_str(), question.id.as_str()), ("a", "a/table"));
    assert_eq!(question.text, chartbench_data::TABLE_QUESTION);
    assert_eq!(question.answer_type, Some(AnswerType::Table));
    assert_eq!(
        question.gold.text(),
        "TITLE | Growth by year <0x0A> x | A <0x0A> a/b | 1.5 <0x0A> 2 | 3"
    );
    fs::write(
        dir.path().join("json/c.json"),
        r#"{"task6": {"output": {"data series": 3}}}"#,
    )
    .unwrap();
    let error = format!("{:#}", load().unwrap_err()).replace(dir.path().to_str().unwrap(), "DIR");
    assert!(
        error.starts_with("the table of chart `c`: DIR/json/c.json: line 1 column "),
        "{error}"
    );
    fs::write(dir.path().join("json/a.json"), "{}").unwrap();
    fs::remove_file(dir.path().join("json/c.json")).unwrap();
    let error = load().unwrap_err();
    assert!(
        error.downcast_ref::<MissingSplit>().is_some()
            && error.to_string().contains("has a data table"),
        "{error}"
    );
}

#[test]
#[ignore = "needs charts of papers with their annotations: CHARTBENCH_TEST_DATA/chartinfo-pmc"]
fn outside_data_real_annotations_give_tables() {
    let samples = crate::outside_data::path("chartinfo-pmc");
    let dir = tree(&[]);
    let mut names = String::new();
    for folder in ["qa", "json", "images"] {
        fs::create_dir(dir.path().join(folder)).unwrap();
    }
    for entry in fs::read_dir(&samples).unwrap() {
        let path = entry.unwrap().path();
        let (stem, extension) = (
            path.file_stem().unwrap().to_str().unwrap(),
            path.extension().unwrap(),
        );
        if extension == "json" {
            fs::copy(&path, dir.path().join(format!("json/{stem}.json"))).unwrap();
            fs::write(dir.path().join(format!("qa/{stem}.json")), QA).unwrap();
            fs::write(dir.path().join(format!("images/{stem}.jpg")), "").unwrap();
            names += &format!("{stem}\n");
        }
    }
    fs::write(dir.path().join("test_filenames.txt"), names).unwrap();
    let set = load("realcqa", dir.path());
    assert_eq!(set.charts.len(), 5);
    for chart in set.charts.iter().map(|entry| &entry.chart) {
        let table = chart.table.as_ref().unwrap().0.table().unwrap();
        let kind = chart.chart_type.as_deref().unwrap();
        let header = match kind {
            "vertical box" => "min | first quartile | median | third quartile | max".to_owned(),
            "scatter" => "series | x | y".to_owned(),
            _ => format!("x | {}", table.header[1]),
        };
        assert!(
            table.linearized().contains(&header),
            "{kind}: {}",
            table.linearized()
        );
        assert!(
            table.rows.len() > 2 && table.rows.iter().all(|row| row.len() == table.header.len())
        );
        let read = DataTable::parse(&table.linearized()).unwrap();
        assert_eq!(
            (read.header.len(), read.rows.len()),
            (table.header.len(), table.rows.len())
        );
    }
}
