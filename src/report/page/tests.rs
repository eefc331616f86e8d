//! The page's model, of a tiny run made by hand.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::json;

use super::*;
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
        svg: "<svg/>".to_owned(),
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
