//! The metric conventions against Python: the project's own goldens and, where they lie beside the project, the
//! scores of the original implementations.

use std::path::{Path, PathBuf};

use chartbench::metric::{CONVENTIONS, Convention, Scores};
use chartbench::sample::{Gold, Prediction};
use serde::Deserialize;
use serde_json::Value;

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

#[derive(Deserialize)]
struct Golden {
    gold: Gold,
    prediction: Prediction,
    #[serde(flatten)]
    scores: serde_json::Map<String, Value>,
}

fn goldens() -> Vec<Golden> {
    let text = std::fs::read_to_string(root("fixtures/metrics/goldens.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A metric's value, `None` where the original raises.
fn value(scores: &Scores, metric: &str) -> Option<f64> {
    if scores.raised.is_some_and(|raised| raised.metric == metric) {
        return None;
    }
    Some(match metric {
        "exact_match" => scores.exact_match,
        "relaxed" => scores.relaxed,
        "anls" => scores.anls,
        _ => panic!("no metric {metric}"),
    })
}

#[test]
fn scores_are_those_of_python_to_the_last_bit() {
    let goldens = goldens();
    assert!(goldens.len() > 350);
    for golden in goldens {
        for convention in CONVENTIONS {
            let scores = convention.score(&golden.gold, &golden.prediction);
            for (metric, expected) in golden.scores[convention.name].as_object().unwrap() {
                let (actual, place) = (value(&scores, metric), (convention.name, &golden.gold, &golden.prediction));
                let expected = expected.as_str().map(|number| number.parse().unwrap());
                assert_eq!(actual, expected, "{metric} of {place:?}");
            }
        }
    }
}

#[test]
fn table_of_pairs_reads_as_expected() {
    let mut table = format!("{:<18} {:<18}", "gold", "prediction");
    for convention in CONVENTIONS {
        table += &format!(" {:>10}: EM relaxed  ANLS", convention.name);
    }
    for golden in goldens().iter().take(90) {
        let shown = (format!("{:?}", golden.gold.text()), format!("{:?}", golden.prediction.0));
        table += &format!("\n{:<18} {:<18}", shown.0, shown.1);
        for convention in CONVENTIONS {
            let scores = convention.score(&golden.gold, &golden.prediction);
            let anls = value(&scores, "anls").map_or("raises".to_owned(), |anls| format!("{anls:.4}"));
            table += &format!(" {:>14} {:>7} {anls:>6}", scores.exact_match, scores.relaxed);
        }
    }
    insta::with_settings!({snapshot_path => root("snapshots"), prepend_module_to_snapshot => true}, {
        insta::assert_snapshot!("table_of_pairs", table);
    });
}

/// The keys of the shared pairs that concern our conventions: convention, metric, key.
const SHARED: [(&str, &str, &str); 6] = [
    ("pix2struct", "exact_match", "em_raw"),
    ("pix2struct", "relaxed", "p2s"),
    ("pix2struct", "anls", "anls_pix2struct"),
    ("study", "exact_match", "em_seed"),
    ("study", "relaxed", "seed"),
    ("study", "anls", "anls_pypi_0.0.2"),
];

#[test]
fn scores_are_those_of_the_original_implementations() {
    let path = root("../shared/data/metric-goldens/pairs.jsonl");
    let Ok(text) = std::fs::read_to_string(&path) else {
        println!("skipped: {} is not here (scores made by running the originals)", path.display());
        return;
    };
    let mut pairs = 0;
    for line in text.lines() {
        let pair: Value = serde_json::from_str(line).unwrap();
        let text = |key: &str| pair[key].as_str().unwrap();
        let (gold, prediction) = (Gold::from(text("target")), Prediction(text("prediction").to_owned()));
        for (convention, metric, key) in SHARED {
            let scores = Convention::named(convention).unwrap().score(&gold, &prediction);
            let (actual, expected) = (value(&scores, metric), pair["scores"][key].as_f64());
            // The shared scores are rounded to 4 digits; where the original raised they are a text.
            let same = match (actual, expected) {
                (Some(actual), Some(expected)) => (actual - expected).abs() <= 0.5e-4 + 1e-12,
                (actual, expected) => actual == expected,
            };
            assert!(same, "{key} of {gold:?} and {prediction:?}: {actual:?}, not {expected:?}");
        }
        pairs += 1;
    }
    assert_eq!(pairs, 70);
}
