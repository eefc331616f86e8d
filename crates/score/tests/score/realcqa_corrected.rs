//! RealCQA's evaluator with its faults corrected.

use chartbench_core::question::{AnswerType, Gold, Prediction};
use chartbench_score::metric::{Convention, Metric, Pair, Score};

/// The corrected RealCQA convention: answer type, gold, prediction, accuracy.
#[test]
fn realcqas_faults_are_mended() {
    let list = |items: &[&str]| Gold::List(items.iter().map(|item| Gold::from(*item)).collect());
    let ndcg_of_swap = (1.0 + 2.0 / 3.0_f64.log2()) / (2.0 + 1.0 / 3.0_f64.log2());
    let cases = [
        (
            AnswerType::String,
            "Line chart".into(),
            " line CHART\n",
            1.0,
        ),
        (AnswerType::String, "Line chart".into(), "line", 0.0),
        (AnswerType::Numerical, "-10".into(), "1000", 0.0),
        (AnswerType::Numerical, "-10".into(), "-10.5", 1.0),
        (AnswerType::Numerical, "100".into(), "106", 0.0),
        (AnswerType::Numerical, "0".into(), "0.0", 1.0),
        (AnswerType::Numerical, "0".into(), "0.1", 0.0),
        (AnswerType::Numerical, "5".into(), "five", 0.0),
        (AnswerType::Binary, "YES".into(), "true", 1.0),
        (AnswerType::Binary, "no".into(), "False", 1.0),
        (AnswerType::Binary, "no".into(), "yes", 0.0),
        (AnswerType::Binary, "no".into(), "perhaps", 0.0),
        (AnswerType::Binary, "perhaps".into(), "Perhaps", 1.0),
        (AnswerType::Binary, "perhaps".into(), "no", 0.0),
        (AnswerType::UnrankedList, list(&["a", "b"]), "B, a", 1.0),
        (
            AnswerType::UnrankedList,
            list(&["a", "a"]),
            "['a', 'a']",
            1.0,
        ),
        (
            AnswerType::UnrankedList,
            list(&["a", "b"]),
            "['a', 'a']",
            0.5,
        ),
        (AnswerType::UnrankedList, list(&["a", "b"]), "a", 2.0 / 3.0),
        (AnswerType::UnrankedList, list(&[]), " ", 1.0),
        (AnswerType::UnrankedList, list(&[]), "a", 0.0),
        (AnswerType::UnrankedList, "a, b".into(), "b, a", 1.0),
        (AnswerType::RankedList, list(&["a", "b"]), "A, b", 1.0),
        (
            AnswerType::RankedList,
            list(&["a", "b"]),
            "b, a",
            ndcg_of_swap,
        ),
        (
            AnswerType::RankedList,
            list(&["a", "b"]),
            "b, b, a",
            ndcg_of_swap,
        ),
        (AnswerType::RankedList, list(&["a", "b"]), "a, b, c", 1.0),
        (AnswerType::RankedList, list(&["a"]), "b", 0.0),
        (AnswerType::RankedList, list(&[]), "", 1.0),
        (AnswerType::RankedList, list(&[]), "a", 0.0),
    ];
    let convention = Convention::by_name("realcqa-corrected").unwrap();
    for (answer_type, gold, prediction, expected) in cases {
        let prediction = Prediction(prediction.to_owned());
        let pair = Pair {
            answer_type: Some(answer_type),
            ..Pair::new(&gold, &prediction)
        };
        let Score::Value(value) = convention.score(&pair).get(Metric::Accuracy) else {
            panic!("{gold:?}")
        };
        assert!(
            (value - expected).abs() < 1e-12,
            "{answer_type:?} {gold:?} {prediction:?}: {value}, not {expected}"
        );
    }
}
