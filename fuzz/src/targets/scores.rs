//! Answers as models write them, under every convention.

use chartbench_core::question::{AnswerType, Gold, Prediction};
use chartbench_score::metric::chartbench::{list, number::Number, text};
use chartbench_score::metric::{CONVENTIONS, Metric, Pair, Score, python};

use crate::fixtures;

/// Numbers, and every convention on the text: scores lie in 0..=1, and a gold answer matches
/// itself.
pub fn numbers(input: &[u8]) {
    let Ok(input) = std::str::from_utf8(input) else {
        return;
    };
    let plain = text::plain(input);
    assert!(
        text::plain(&plain).len() <= plain.len(),
        "normalising twice adds nothing"
    );
    if let Some(number) = Number::read(&plain) {
        assert!(number.value.is_finite());
        assert!(number.comparable(&number));
    }
    if let Some(value) = python::float(input) {
        assert_eq!(
            python::float(&format!(" {input}\n")).map(f64::to_bits),
            Some(value.to_bits())
        );
    }
    let (gold, prediction) = input.split_once('\0').unwrap_or((input, input));
    let (gold, prediction) = (Gold::from(gold), Prediction(prediction.to_owned()));
    for convention in CONVENTIONS {
        for (metric, score) in convention.score(&Pair::new(&gold, &prediction)).iter() {
            let Score::Value(value) = score else { continue };
            assert!(
                (0.0..=1.0).contains(&value),
                "{} {metric:?}",
                convention.name
            );
            if convention.name == "chartbench" && gold.text() == prediction.0 {
                assert_eq!(value, 1.0, "{metric:?}: a gold answer matches itself");
            }
            assert!(metric != Metric::Strict || value == 0.0 || value == 1.0);
        }
    }
}

pub fn number_seeds() -> Vec<Vec<u8>> {
    fixtures::texts(&[
        "3.50\u{0}3.5",
        "1,234 %",
        "-2e-3\u{0}(2)",
        "$1.2 million",
        "\u{ff11}\u{2212}5",
        "Yes\u{0}no.",
        "inf",
        "nan",
    ])
}

/// Lists, by every convention that knows lists.
pub fn lists(input: &[u8]) {
    let Ok(input) = std::str::from_utf8(input) else {
        return;
    };
    let items = list::prediction_items(input);
    let sorted = list::sorted(items.clone());
    assert_eq!(sorted.len(), items.len());
    assert_eq!(
        list::sorted(sorted.clone()),
        sorted,
        "sorting twice changes nothing"
    );
    if let Some(listed) = python::literal::list(input) {
        assert_eq!(python::literal::items(input), Some(listed));
    }
    let prediction = Prediction(input.to_owned());
    let golds = [
        Gold::from(input),
        Gold::List(items.iter().map(|item| Gold::from(item.as_str())).collect()),
    ];
    for gold in &golds {
        for answer_type in [
            None,
            Some(AnswerType::RankedList),
            Some(AnswerType::UnrankedList),
        ] {
            for convention in CONVENTIONS {
                let scores = convention.score(&Pair {
                    answer_type,
                    ..Pair::new(gold, &prediction)
                });
                for (metric, score) in scores.iter() {
                    let Score::Value(value) = score else { continue };
                    // RealCQA's F1 counts repeated items again and may exceed 1.
                    assert!(
                        value >= 0.0 && (value <= 1.0 || convention.name == "realcqa"),
                        "{} {metric:?}",
                        convention.name
                    );
                }
            }
        }
    }
}

pub fn list_seeds() -> Vec<Vec<u8>> {
    fixtures::texts(&[
        "['a', 'b']",
        "(1, 2.5)",
        "a, b and c",
        "[[1], {'x': [2]}]",
        "1;2;3",
        "[2013, 2016]",
        "{'a', \"b\"}",
    ])
}
