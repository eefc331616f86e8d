//! The metric conventions against Python: the goldens of fixtures/metrics/, and what each convention makes of them.

use std::path::{Path, PathBuf};

use chartbench::metric::{CONVENTIONS, Metric, Pair, Score};
use chartbench::sample::{AnswerType, Gold, Prediction};
use serde::Deserialize;
use serde_json::Value;

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

#[derive(Deserialize)]
struct Golden {
    gold: Gold,
    prediction: Prediction,
    answer_type: Option<AnswerType>,
    #[serde(flatten)]
    scores: serde_json::Map<String, Value>,
}

impl Golden {
    fn pair(&self) -> Pair<'_> {
        Pair { answer_type: self.answer_type, ..Pair::new(&self.gold, &self.prediction) }
    }
}

fn goldens() -> Vec<Golden> {
    let text = std::fs::read_to_string(root("fixtures/metrics/goldens.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A score as the goldens have it.
fn golden(text: &Value) -> Score {
    match text {
        Value::Null => Score::Inapplicable,
        Value::String(text) => text.parse().map_or_else(
            |_| Score::Raises(if text.ends_with("ZeroDivisionError") { "ZeroDivisionError" } else { "ValueError" }),
            Score::Value,
        ),
        other => panic!("{other}"),
    }
}

#[test]
fn scores_are_those_of_python_to_the_last_bit() {
    let goldens = goldens();
    assert!(goldens.len() > 1800);
    for line in &goldens {
        for convention in CONVENTIONS.iter().filter(|convention| line.scores.contains_key(convention.name)) {
            let scores = convention.score(&line.pair());
            let expected = line.scores[convention.name].as_object().unwrap();
            assert_eq!(expected.len(), convention.metrics.len());
            for (metric, score) in scores.iter() {
                let (golden, place) =
                    (golden(&expected[metric.key()]), (convention.name, &line.gold, &line.prediction));
                // The sums of nDCG are added in another order by some Python versions.
                let same = match (score, golden) {
                    (Score::Value(a), Score::Value(b)) if convention.name == "realcqa" => (a - b).abs() < 1e-12,
                    (a, b) => a == b,
                };
                assert!(same, "{metric:?} of {place:?} {:?}: {score:?}, not {golden:?}", line.answer_type);
            }
        }
    }
    let with_original = |name: &str| goldens.iter().any(|line| line.scores.contains_key(name));
    let without: Vec<&str> =
        CONVENTIONS.iter().map(|convention| convention.name).filter(|name| !with_original(name)).collect();
    assert_eq!(without, ["chartbench", "realcqa-corrected"], "our own have no original");
}

/// One table a convention: pairs that tell it from the others.
#[test]
fn tables_of_pairs_read_as_expected() {
    let goldens = goldens();
    let mut pairs: Vec<(&Gold, &Prediction)> = Vec::new();
    for line in goldens.iter().filter(|line| line.answer_type.is_none()).take(175) {
        pairs.push((&line.gold, &line.prediction));
    }
    for convention in CONVENTIONS {
        let by_type = convention.metrics == [Metric::Accuracy];
        let mut table = format!("{}\n{:<34} {:<34}", convention.about, "gold", "prediction");
        let heads = |gold: &Gold| match (by_type, gold) {
            (false, _) => vec![None],
            (true, Gold::Text(_)) => {
                vec![Some(AnswerType::String), Some(AnswerType::Numerical), Some(AnswerType::Binary)]
            }
            (true, Gold::List(_)) => vec![Some(AnswerType::UnrankedList), Some(AnswerType::RankedList)],
        };
        let metrics = convention.metrics.iter().map(|metric| format!(" {:>10}", metric.key()));
        table += &if by_type { " string numerical binary / unranked ranked".to_owned() } else { metrics.collect() };
        for (gold, prediction) in &pairs {
            table += &format!("\n{:<34} {:<34}", format!("{:?}", gold.text()), format!("{:?}", prediction.0));
            for answer_type in heads(gold) {
                let scores = convention.score(&Pair { answer_type, ..Pair::new(gold, prediction) });
                for (_, score) in scores.iter() {
                    table += &match score {
                        Score::Value(value) => format!(" {:>10}", (value * 1e4).round() / 1e4),
                        Score::Raises(_) => format!(" {:>10}", "raises"),
                        Score::Inapplicable => format!(" {:>10}", "-"),
                    };
                }
            }
        }
        insta::with_settings!({snapshot_path => root("snapshots"), prepend_module_to_snapshot => true}, {
            insta::assert_snapshot!(format!("pairs_{}", convention.name), table);
        });
    }
}
