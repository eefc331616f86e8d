//! What holds for every convention, whatever the texts.

use chartbench::metric::{CONVENTIONS, Scores, Summary};
use chartbench::sample::{Gold, Prediction};
use proptest::collection::vec;
use proptest::prelude::*;

/// Texts that stress the rules: numbers and near-numbers, percentages, white space, any Unicode.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[-+]?[0-9]{1,4}(\\.[0-9]{0,3})?(e-?[0-9]{1,3})?%{0,2}",
        "[0-9_, %$.\u{660}-\u{669}\u{1c}\u{a0}]{0,8}",
        "(?i)(nan|-?inf|infinity|yes|no)",
        "[a-cA-C \u{130}\u{df}\u{3a3}\u{149}\n]{0,10}",
        any::<String>(),
    ]
}

/// Scores as a convention with partial credit may give them.
fn scores() -> impl Strategy<Value = Scores> {
    let value = || prop_oneof![Just(0.0), Just(1.0), 0.0..=1.0];
    (value(), value(), value()).prop_map(|(exact_match, relaxed, anls)| Scores {
        exact_match,
        relaxed,
        anls,
        raised: None,
    })
}

proptest! {
    #[test]
    fn every_score_is_between_0_and_1(gold in text(), prediction in text()) {
        for convention in CONVENTIONS {
            let scores = convention.score(&Gold::Text(gold.clone()), &Prediction(prediction.clone()));
            for value in [scores.exact_match, scores.relaxed, scores.anls] {
                prop_assert!((0.0..=1.0).contains(&value), "{} {scores:?}", convention.name);
            }
        }
    }

    #[test]
    fn a_gold_answer_matches_itself(gold in text()) {
        for convention in CONVENTIONS {
            let scores = convention.score(&Gold::Text(gold.clone()), &Prediction(gold.clone()));
            prop_assert_eq!(scores.exact_match, 1.0);
            prop_assert!(scores.anls == 1.0 || scores.raised.is_some());
            // A number may fail its own relaxed match: nan, an infinite one, a negative one in the study.
            if !gold.to_lowercase().contains("inf") && !gold.to_lowercase().contains("nan") {
                let fails = (convention.name == "study" && gold.contains('-')) || gold.contains('e');
                prop_assert!(scores.relaxed == 1.0 || fails, "{}", convention.name);
            }
        }
    }

    #[test]
    fn the_order_of_questions_changes_no_bit(mut scores in vec(scores(), 1..60), seed in any::<u64>()) {
        let summary = Summary::of(scores.clone());
        let mut state = seed;
        for last in (1..scores.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            scores.swap(last, (state >> 33) as usize % (last + 1));
        }
        prop_assert_eq!(summary, Summary::of(scores));
    }
}
