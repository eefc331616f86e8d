//! The page's model, of a tiny run made by hand.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::report::plot::Line;
use crate::run::store::{AdapterEntry, FORMAT_VERSION, Manifest, PredictionRecord};
use chartbench_core::question::{ImageProducer, ImageRef};

/// A picture of one grey pixel.
struct Grey;

impl ImageProducer for Grey {
    fn encoded(&self) -> Result<Vec<u8>> {
        let mut png = std::io::Cursor::new(Vec::new());
        image::GrayImage::new(1, 1).write_to(&mut png, image::ImageFormat::Png)?;
        Ok(png.into_inner())
    }
}

fn record(id: usize, answer: Option<&str>) -> PredictionRecord {
    let (chart, question, gold) = [
        ("c1", "Which is <b>highest</b>?", "A"),
        ("c1", "How many?", "12"),
        ("c2", "How \u{202e}many?", "3"),
    ][id];
    let error = answer.is_none().then_some("cannot read the chart image");
    serde_json::from_value(json!({
        "id": format!("q{id}"), "chart": chart, "question": question, "gold": gold, "answer_type": "string",
        "chart_type": if chart == "c1" { "line" } else { "bar" }, "prediction": answer, "error": error, "latency_ms": 250.0,
    }))
    .unwrap()
}

fn run(name: &str, hash: &str, adapters: &[(&str, [Option<&str>; 3])]) -> StoredRun {
    let entry = |id: &str| AdapterEntry {
        id: id.to_owned(),
        fingerprint: "f00d".to_owned(),
        folder: None,
        execution: toml::Table::from_iter([("device".to_owned(), "cpu".into())]),
        settings: toml::Table::from_iter([("prompt".to_owned(), "two\nlines".into())]),
        sources: Vec::new(),
        processors: Vec::new(),
    };
    let benchmark = BenchmarkEntry {
        name: "three".to_owned(),
        title: "Three questions made by hand".to_owned(),
        split: "test".to_owned(),
        charts: 2,
        questions: 3,
        questions_per_chart: "all".to_owned(),
        seed: 0,
        limit: 0,
        limit_rule: None,
        hash: hash.to_owned(),
    };
    let adapters_of = |&(id, answers): &(&str, [Option<&str>; 3])| {
        (
            id.to_owned(),
            answers
                .into_iter()
                .enumerate()
                .map(|(id, answer)| record(id, answer))
                .collect(),
        )
    };
    StoredRun {
        predictions: adapters.iter().map(adapters_of).collect(),
        manifest: Manifest {
            format: FORMAT_VERSION,
            name: name.to_owned(),
            program: "0.1.0".to_owned(),
            order: Vec::new(),
            left_out: Vec::new(),
            partial: false,
            benchmark,
            adapters: adapters.iter().map(|(id, _)| entry(id)).collect(),
        },
    }
}

fn runs() -> [StoredRun; 2] {
    [
        run(
            "before",
            "0123",
            &[
                ("model", [Some("A"), Some("11"), None]),
                ("majority", [Some("A"); 3]),
            ],
        ),
        run(
            "after",
            "0123",
            &[("model", [Some("</script>"), Some("12"), Some("3")])],
        ),
    ]
}

fn page<'a>(runs: &'a [StoredRun], pictures: &'a Pictures, curves: &'a [Curves]) -> Page<'a> {
    Page {
        title: None,
        runs,
        convention: Convention::by_name("chartbench").unwrap(),
        pictures,
        curves,
        selection: None,
    }
}

#[test]
fn the_model_of_two_runs() {
    let images = HashMap::from([("c1".to_owned(), ImageRef::Drawn(Arc::new(Grey)))]);
    let pictures = Pictures {
        images,
        folder: None,
        most: 1,
    };
    let curves = [Curves {
        run: "after".to_owned(),
        adapter: "model".to_owned(),
        panels: vec![Panel {
            x: "step".to_owned(),
            y: "validation score, %".to_owned(),
            lines: vec![Line::new("strict", vec![(10.0, 20.0), (20.0, 60.0)])],
            top: Some(100.0),
            ..Panel::default()
        }],
        kept: Some(20),
    }];
    let mut model = page(&runs(), &pictures, &curves).model().unwrap();
    model.view.version = "VERSION";
    insta::with_settings!({
        snapshot_path => concat!(env!("CARGO_MANIFEST_DIR"), "/snapshots"),
        prepend_module_to_snapshot => true,
        omit_expression => true,
    }, {
        insta::assert_json_snapshot!("the_model_of_two_runs", model);
    });
}

#[test]
fn the_page_is_the_same_each_time_and_escapes() {
    let runs = runs();
    let pictures = Pictures::default();
    let html = page(&runs, &pictures, &[]).render().unwrap();
    assert_eq!(html, page(&runs, &pictures, &[]).render().unwrap());
    assert!(
        !html.contains("<b>highest") && html.contains("\\u003cb\\u003ehighest"),
        "a question is markup"
    );
    assert!(
        !html.contains('\u{202e}'),
        "a mark that turns the text is hidden"
    );
    assert_eq!(html.matches("</script>").count(), 2);
}

#[test]
fn runs_on_different_questions_are_refused() {
    let [before, _] = runs();
    let runs = [before, run("other", "4567", &[("model", [None; 3])])];
    let error = page(&runs, &Pictures::default(), &[])
        .render()
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "before and other were asked different questions (3 of three, 3 of three): run both on the same benchmark, seed and limit"
    );
}

#[test]
fn a_blind_row_that_two_runs_share_is_one_row() {
    let blind = ("majority", [Some("A"); 3]);
    let other = ("question-prior", [Some("A"), Some("12"), None]);
    let runs = [
        run("before", "0123", &[blind, other]),
        run(
            "after",
            "0123",
            &[blind, ("question-prior", [Some("B"); 3])],
        ),
    ];
    let rows = Row::all(&runs, Convention::by_name("chartbench").unwrap());
    let mut labels: Vec<&str> = rows.iter().map(|row| row.label.as_str()).collect();
    labels.sort_unstable();
    assert_eq!(
        labels,
        [
            "majority",
            "question-prior (after)",
            "question-prior (before)"
        ]
    );
}

#[test]
fn the_verdict_is_of_the_same_questions_pairwise() {
    let runs = runs();
    let html = page(&runs, &Pictures::default(), &[]).render().unwrap();
    let verdict = html.split_once("<div class=\"verdict\">").unwrap().1;
    let verdict = verdict.split_once("</section>").unwrap().0;
    let says: Vec<&str> = verdict.split(['<', '>']).step_by(2).collect();
    let says = says
        .concat()
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    assert_eq!(
        says,
        "model: after against before: +33.3 points, on too few questions to conclude anything. \
         Against the best blind row, majority (before): +33.3 points, on too few questions to \
         conclude anything. 2 fixed, 1 broken of 3 questions on 2 charts; p 1.0000"
    );
}

/// Which questions are answered right.
type IsRight = fn(usize) -> bool;

/// 60 questions on as many charts.
fn many(name: &str, adapters: &[(&str, IsRight)]) -> StoredRun {
    let record = |id: usize, right: bool| -> PredictionRecord {
        let prediction = if right { "5" } else { "9" };
        serde_json::from_value(json!({
            "id": format!("q{id}"), "chart": format!("c{id}"), "question": "?", "gold": "5", "prediction": prediction,
            "error": null, "latency_ms": 1.0,
        }))
        .unwrap()
    };
    let ids: Vec<_> = adapters.iter().map(|(id, _)| (*id, [None; 3])).collect();
    let mut run = run(name, "89ab", &ids);
    run.manifest.benchmark.questions = 60;
    run.manifest.benchmark.charts = 60;
    run.predictions = adapters
        .iter()
        .map(|(id, right)| {
            let records = (0..60).map(|id| record(id, right(id)));
            ((*id).to_owned(), records.collect())
        })
        .collect();
    run
}

#[test]
fn the_verdict_says_better_worse_or_that_nothing_can_be_concluded() {
    let says = |runs: &[StoredRun]| -> Vec<serde_json::Value> {
        let model = page(runs, &Pictures::default(), &[]).model().unwrap();
        let view = serde_json::to_value(&model.view.differences).unwrap();
        let told = view["verdict"].as_array().unwrap().iter().map(|statement| {
            let outcome = |place: &serde_json::Value| {
                let place = place.as_u64().map(|place| place as usize);
                place.map(|place| view["rows"][place]["outcome"].clone())
            };
            json!([
                statement["label"],
                outcome(&statement["difference"]),
                outcome(&statement["blind"])
            ])
        });
        told.collect()
    };
    let before = || {
        many(
            "before",
            &[("model", |id| id < 10), ("majority", |id| id < 12)],
        )
    };
    let better = many("after", &[("model", |id| id < 40)]);
    assert_eq!(
        says(&[before(), better]),
        [json!(["model (after)", "better", "better"])]
    );
    let worse = many("after", &[("model", |_| false)]);
    assert_eq!(
        says(&[before(), worse]),
        [json!(["model (after)", "worse", "worse"])]
    );
    let same = many("after", &[("model", |id| (1..11).contains(&id))]);
    assert_eq!(
        says(&[before(), same]),
        [json!(["model (after)", "no_difference", "no_difference"])]
    );
    // Of two models in one run the best is told, against the other and against the blind row.
    let two = many(
        "r",
        &[
            ("one", |id| id < 45),
            ("two", |id| id < 20),
            ("majority", |id| id < 5),
        ],
    );
    assert_eq!(says(&[two]), [json!(["one", "better", "better"])]);
    let alone = many("r", &[("one", |id| id < 45)]);
    assert_eq!(says(&[alone]), [json!(["one", null, null])]);
}
