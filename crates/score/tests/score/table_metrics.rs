//! The conventions for tables against Python: the goldens of fixtures/metrics/, and what the
//! corrected one makes of the published one's faults.

use std::path::{Path, PathBuf};

use chartbench_core::data_table::DataTable;
use chartbench_core::question::{AnswerType, Gold, Prediction};
use chartbench_score::metric::{
    CONVENTIONS, Convention, Metric, Pair, Score, Scores, StepTrace, asks_for_table,
};
use proptest::collection::vec;
use proptest::prelude::*;
use serde::Deserialize;

const METRICS: [Metric; 4] = [
    Metric::RmsF1,
    Metric::RmsPrecision,
    Metric::RmsRecall,
    Metric::Rnss,
];

fn root(path: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join(path)
}

fn score(convention: &str, gold: &str, prediction: &str) -> Scores {
    let (gold, prediction) = (Gold::from(gold), Prediction(prediction.to_owned()));
    let pair = Pair {
        answer_type: Some(AnswerType::Table),
        ..Pair::new(&gold, &prediction)
    };
    Convention::by_name(convention).unwrap().score(&pair)
}

/// The values in the order of [`METRICS`].
fn values(convention: &str, gold: &str, prediction: &str) -> [f64; 4] {
    let scores = score(convention, gold, prediction);
    METRICS.map(|metric| match scores.get(metric) {
        Score::Value(value) => value,
        other => panic!("{convention} {gold:?} {prediction:?}: {other:?}"),
    })
}

#[derive(Deserialize)]
struct Golden {
    name: Option<String>,
    gold: String,
    prediction: String,
    deplot: std::collections::HashMap<String, String>,
}

fn goldens() -> Vec<Golden> {
    let text = std::fs::read_to_string(root("fixtures/metrics/tables.jsonl")).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn published_scores_are_those_of_python() {
    let goldens = goldens();
    assert!(goldens.len() > 100);
    for Golden {
        name,
        gold,
        prediction,
        deplot,
    } in &goldens
    {
        let ours = values("deplot", gold, prediction);
        for (metric, value) in METRICS.into_iter().zip(ours) {
            let theirs: f64 = deplot[metric.key()].parse().unwrap();
            assert!(
                (value - theirs).abs() < 1e-9,
                "{name:?} {metric:?} {gold:?} {prediction:?}: {value}, not {theirs}"
            );
        }
    }
}

/// Pairs under both conventions, side by side.
#[test]
fn both_conventions_side_by_side() {
    let mut table = format!("{:<38}{:^33}   {}\n", "", "deplot", "deplot-corrected");
    table += &format!("{:<38}", "pair");
    table += &format!(
        "{0:>8}{1:>11}{2:>8}{3:>6}   {0:>8}{1:>11}{2:>8}{3:>6}",
        "F1", "precision", "recall", "RNSS"
    );
    for Golden {
        name,
        gold,
        prediction,
        ..
    } in goldens()
    {
        let Some(name) = name else { continue };
        table += &format!("\n{name:<38}");
        for convention in ["deplot", "deplot-corrected"] {
            let scores = score(convention, &gold, &prediction);
            for (metric, width) in METRICS.into_iter().zip([8, 11, 8, 6]) {
                table += &match scores.get(metric) {
                    Score::Value(value) => format!("{value:>width$.3}"),
                    _ => format!("{:>width$}", "-"),
                };
            }
            table += "   ";
        }
        table.truncate(table.trim_end().len());
    }
    insta::with_settings!({snapshot_path => root("snapshots"), prepend_module_to_snapshot => true}, {
        insta::assert_snapshot!("both_conventions", table);
    });
}

/// Each fault of the published metric and what has become of it: gold, prediction, F1, precision,
/// recall, RNSS.
#[test]
fn each_fault_is_mended() {
    let (table, half) = ("x | a\n1 | 10\n2 | 20", 2.0 / 3.0);
    let cases = [
        (
            "harmonic mean",
            table,
            "x | a\n1 | 10",
            [half, 1.0, 0.5, 0.5],
        ),
        ("0 is 0", "x | a\ny | 0", "x | a\ny | 0.0", [1.0; 4]),
        ("0 is not 5", "x | a\ny | 0", "x | a\ny | 5", [0.0; 4]),
        (
            "0.0 is not 0.1",
            "x | a\ny | 0.0",
            "x | a\ny | 0.1",
            [0.0; 4],
        ),
        ("0% is 0", "x | a\ny | 0%", "x | a\ny | 0", [1.0; 4]),
        (
            "nan is itself",
            "x | a\ny | nan",
            "x | a\ny | NaN",
            [1.0; 4],
        ),
        (
            "a literal line break",
            table,
            "TITLE | <0x0A> x | a <0x0A> 1 | 10 <0x0A> 2 | 20",
            [1.0; 4],
        ),
        (
            "UniChart's rows",
            table,
            "x | a & 1 | 10 & 2 | 20",
            [1.0; 4],
        ),
        ("bars without blanks", table, "x|a\n1|10\n2|20", [1.0; 4]),
        ("no table", table, "sales were high in 1 and 2", [0.0; 4]),
        ("nothing", table, "", [0.0; 4]),
        ("percent", "x | a\ny | 5%", "x | a\ny | 0.05", [1.0; 4]),
        (
            "percent is a number",
            "x | a\ny | 50%",
            "x | a\ny | 51%",
            [0.98; 4],
        ),
        (
            "numbers left over",
            table,
            "x | b\nz | 20",
            [0.0, 0.0, 0.0, 0.25],
        ),
        (
            "rows under one key",
            "s | x\nA | 1\nA | 2",
            "s | x\nA | 2\nA | 1",
            [1.0; 4],
        ),
        (
            "a row under one key is missing",
            "s | x\nA | 1\nA | 2",
            "s | x\nA | 2",
            [half, 1.0, 0.5, 0.5],
        ),
        (
            "no gold title",
            table,
            "title | read off\nx | a\n1 | 10\n2 | 20",
            [1.0; 4],
        ),
        (
            "title not read",
            "title | T\nx | a\n1 | 10\n2 | 20",
            table,
            [0.8, 1.0, half, 1.0],
        ),
        (
            "title read",
            "title | T\nx | a\n1 | 10\n2 | 20",
            "title | t\nx | a\n1 | 10\n2 | 20",
            [1.0; 4],
        ),
        ("transposed", table, "x | 1 | 2\na | 10 | 20", [1.0; 4]),
        (
            "keys before values",
            "x | aaaa\nb | 1\nc | 2",
            "x | aaaa\nb | 2\nc | 1",
            [0.0, 0.0, 0.0, 1.0],
        ),
    ];
    for (name, gold, prediction, expected) in cases {
        let values = values("deplot-corrected", gold, prediction);
        let near = values
            .iter()
            .zip(expected)
            .all(|(value, expected)| (value - expected).abs() < 1e-9);
        assert!(near, "{name}: {values:?}, not {expected:?}");
    }
    let no_table = score("deplot-corrected", "not a table", "x | a\n1 | 10");
    assert!(
        METRICS
            .into_iter()
            .all(|metric| no_table.get(metric) == Score::Inapplicable)
    );
}

#[test]
fn only_tables_are_scored() {
    let table = "x | a <0x0A> 1 | 10";
    let cases = [
        (None, table, true),
        (Some(AnswerType::Table), "no table", true),
        (None, "10", false),
        (None, "a | b", false),
        (Some(AnswerType::String), table, false),
    ];
    for (answer_type, text, applies) in cases {
        let (gold, prediction) = (Gold::from(text), Prediction(text.to_owned()));
        let pair = Pair {
            answer_type,
            ..Pair::new(&gold, &prediction)
        };
        assert_eq!(asks_for_table(&pair), applies, "{text}");
        for convention in CONVENTIONS
            .iter()
            .filter(|convention| convention.tables_only)
        {
            let mut steps = StepTrace::default();
            let scores = convention.explain(&pair, &mut steps);
            assert!(
                applies
                    || METRICS
                        .iter()
                        .all(|metric| scores.get(*metric) == Score::Inapplicable)
            );
            assert!(
                METRICS
                    .iter()
                    .all(|metric| steps.deciding(*metric).is_some())
            );
        }
    }
    let list = Gold::List(vec![Gold::from(table)]);
    assert!(!asks_for_table(&Pair::new(
        &list,
        &Prediction(String::new())
    )));
    assert_eq!(
        CONVENTIONS
            .iter()
            .filter(|convention| convention.tables_only)
            .count(),
        2
    );
}

/// A few hundred numbers on both sides take no time to speak of.
#[test]
fn large_tables_are_matched_quickly() {
    let table = |shift: usize| {
        let row = |row: usize| format!("row {row} | {} | {}", row * 7 + shift, row * 13 + shift);
        format!(
            "x | first series | second series\n{}",
            (1..200).map(row).collect::<Vec<_>>().join("\n")
        )
    };
    let started = std::time::Instant::now();
    for convention in ["deplot", "deplot-corrected"] {
        let values = values(convention, &table(0), &table(1));
        assert!(
            values[0] > 0.9 && values[0] < 1.0,
            "{convention}: {values:?}"
        );
    }
    assert!(started.elapsed().as_secs() < 10, "{:?}", started.elapsed());
}

fn cell() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-cA-C \u{130}\u{df}]{0,4}",
        "-?[0-9]{1,3}(\\.[0-9]{1,2})?%?",
        "(0|0\\.0|-0|0%|nan|inf|1e999|5e-324|1e308|-1e308)",
    ]
}

fn table() -> impl Strategy<Value = DataTable> {
    let rows = vec(vec(cell(), 1..5), 0..6);
    ("[a-c ]{0,4}", vec(cell(), 2..5), rows).prop_map(|(title, header, rows)| DataTable {
        title,
        header,
        rows,
    })
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => table().prop_map(|table| table.linearized()),
        1 => "[a-c0-9|&%. \n<0xA>-]{0,40}",
        1 => any::<String>(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn every_score_is_between_0_and_1(gold in text(), prediction in text()) {
        for convention in ["deplot", "deplot-corrected"] {
            for (metric, score) in score(convention, &gold, &prediction).iter() {
                let fine = match score {
                    Score::Value(value) => (0.0..=1.0 + 1e-9).contains(&value),
                    Score::Inapplicable => convention == "deplot-corrected" && DataTable::parse(&gold).is_err(),
                    Score::Raises(_) => false,
                };
                prop_assert!(fine, "{convention} {metric:?} {score:?}");
            }
        }
    }

    #[test]
    fn a_table_agrees_with_itself_in_any_order(table in table(), seed in any::<u64>()) {
        let gold = table.linearized();
        prop_assume!(DataTable::parse(&gold).is_ok());
        let mut other = DataTable::parse(&gold).unwrap();
        let mut state = seed;
        for last in (1..other.rows.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            other.rows.swap(last, (state >> 33) as usize % (last + 1));
        }
        for prediction in [gold.clone(), gold.replace(" <0x0A> ", "\n"), other.linearized()] {
            let values = values("deplot-corrected", &gold, &prediction);
            prop_assert!(values.iter().all(|value| (value - 1.0).abs() < 1e-9), "{values:?} {prediction:?}");
        }
    }

    #[test]
    fn what_is_no_table_scores_nothing(table in table(), prediction in "[^|]{0,60}") {
        let gold = table.linearized();
        prop_assume!(DataTable::parse(&gold).is_ok());
        prop_assert_eq!(values("deplot-corrected", &gold, &prediction), [0.0; 4]);
    }
}
