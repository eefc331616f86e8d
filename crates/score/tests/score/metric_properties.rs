//! Properties of every convention, whatever the texts.

use chartbench_core::question::{AnswerType, Gold, Prediction};
use chartbench_score::metric::{CONVENTIONS, Convention, Metric, Pair, Score, Scores, Summary};
use proptest::collection::vec;
use proptest::prelude::*;

/// Texts that stress the rules: numbers and near-numbers, percentages, lists, white space, any
/// Unicode.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[-+]?[0-9]{1,4}(\\.[0-9]{0,3})?(e-?[0-9]{1,3})?%{0,2}",
        "[0-9_, %$.\u{660}-\u{669}\u{1c}\u{a0}]{0,8}",
        "-?[$\u{20ac}]?[0-9]{1,3}(,[0-9]{3}){0,2}(\\.[0-9]{0,3})? ?(%|percent|million|km)?",
        "(?i)(nan|-?inf|infinity|yes|no|true)[.!]?",
        "[a-cA-C \u{130}\u{df}\u{3a3}\u{149}\n]{0,10}",
        "\\[('?[ab1-3 ]{0,3}'?,? ?){0,4}\\]?",
        any::<String>(),
    ]
}

fn gold() -> impl Strategy<Value = Gold> {
    prop_oneof![3 => text().prop_map(Gold::Text), 1 => vec(text().prop_map(Gold::Text), 0..5).prop_map(Gold::List)]
}

fn answer_type() -> impl Strategy<Value = Option<AnswerType>> {
    prop::option::of(prop_oneof![
        Just(AnswerType::String),
        Just(AnswerType::Numerical),
        Just(AnswerType::Binary),
        Just(AnswerType::RankedList),
        Just(AnswerType::UnrankedList),
    ])
}

fn question() -> impl Strategy<Value = Option<&'static str>> {
    prop_oneof![
        Just(None),
        Just(Some("In which year?")),
        Just(Some("How many?"))
    ]
}

fn default() -> &'static Convention {
    Convention::by_name("chartbench").unwrap()
}

fn lenient(pair: &Pair<'_>) -> bool {
    default().score(pair).get(Metric::Lenient) == Score::Value(1.0)
}

fn strict(pair: &Pair<'_>) -> bool {
    default().score(pair).get(Metric::Strict) == Score::Value(1.0)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn every_score_is_between_0_and_1(gold in gold(), prediction in text(), answer_type in answer_type(), question in question()) {
        let prediction = Prediction(prediction);
        for convention in CONVENTIONS {
            let scores = convention.score(&Pair { question, answer_type, ..Pair::new(&gold, &prediction) });
            prop_assert_eq!(scores.metrics(), convention.metrics);
            for (metric, score) in scores.iter() {
                // RealCQA's F1 counts repeated items over again: its page says so.
                let most = if convention.name == "realcqa" && answer_type == Some(AnswerType::UnrankedList) { 5.0 } else { 1.0 };
                let fine = match score {
                    Score::Value(value) => (0.0..=most).contains(&value),
                    Score::Raises(_) => convention.name != "chartbench",
                    Score::Inapplicable => {
                        convention.tables_only || (convention.name.starts_with("realcqa") && answer_type.is_none())
                            || ["evochart-qa", "figureqa", "idea-finai-chartbench"].contains(&convention.name)
                    }
                };
                prop_assert!(fine, "{} {metric:?} {score:?}", convention.name);
                prop_assert!(convention.name != "chartbench" || matches!(score, Score::Value(0.0 | 1.0)), "partial credit");
            }
        }
    }

    #[test]
    fn a_gold_answer_matches_itself(gold in gold(), answer_type in answer_type(), question in question()) {
        let prediction = Prediction(gold.text().into_owned());
        let pair = Pair { question, answer_type, ..Pair::new(&gold, &prediction) };
        prop_assert!(strict(&pair) && lenient(&pair), "under the default");
        let exact = CONVENTIONS.iter().filter(|convention| ["pix2struct", "study"].contains(&convention.name));
        for convention in exact {
            prop_assert_eq!(convention.score(&pair).get(Metric::ExactMatch), Score::Value(1.0));
        }
    }

    #[test]
    fn what_is_right_as_written_is_right_normalised(gold in gold(), prediction in text(), answer_type in answer_type()) {
        let prediction = Prediction(prediction);
        let pair = Pair { answer_type, ..Pair::new(&gold, &prediction) };
        prop_assert!(!strict(&pair) || lenient(&pair));
    }

    #[test]
    fn a_gold_answer_matches_itself_in_other_notation(gold in "[ -Z^-~]{0,6}[a-zA-Z0-9][ -Z^-~]{0,6}", marks in "[ .\"]{0,3}") {
        let prediction = Prediction(format!("{}{marks}", gold.to_uppercase()));
        prop_assert!(lenient(&Pair::new(&Gold::Text(gold), &prediction)));
    }

    #[test]
    fn numbers_are_scale_free(t in -10_000_i32..10_000, p in -11_000_i32..11_000, power in 0_usize..12) {
        let verdict = |shift: usize| {
            let (gold, prediction) = (Gold::from(format!("{t}e{shift}").as_str()), Prediction(format!("{p}e{shift}")));
            (strict(&Pair::new(&gold, &prediction)), lenient(&Pair::new(&gold, &prediction)))
        };
        // In whole numbers, without floats.
        let right = 20 * (i64::from(p) - i64::from(t)).abs() <= i64::from(t).abs();
        prop_assert_eq!(verdict(0), (right, right));
        prop_assert_eq!(verdict(power), (right, right));
        let small = |value: i32| format!("{value}e-{power}");
        let (gold, prediction) = (Gold::from(small(t).as_str()), Prediction(small(p)));
        prop_assert_eq!(strict(&Pair::new(&gold, &prediction)), right);
    }

    #[test]
    fn lists_match_in_any_order_unless_they_are_ranked(items in vec(-50_i32..50, 1..8), seed in any::<u64>()) {
        let gold = Gold::List(items.iter().map(|item| Gold::Text(item.to_string())).collect());
        let mut other = items.clone();
        shuffle(&mut other, seed);
        let prediction = Prediction(format!("{other:?}"));
        prop_assert!(strict(&Pair::new(&gold, &prediction)));
        let ranked = Pair { answer_type: Some(AnswerType::RankedList), ..Pair::new(&gold, &prediction) };
        let in_place = items.iter().zip(&other).all(|(t, p)| 20 * (p - t).abs() <= t.abs());
        prop_assert_eq!(strict(&ranked), in_place);
        let short = Prediction(format!("{:?}", &other[1..]));
        prop_assert!(!lenient(&Pair::new(&gold, &short)), "an item is missing");
    }

    #[test]
    fn the_order_and_grouping_of_questions_changes_no_bit(
        pairs in vec((text(), text()), 1..40), seed in any::<u64>(), cut in 0_usize..40,
    ) {
        for convention in CONVENTIONS {
            let score = |(gold, prediction): &(String, String)| {
                convention.score(&Pair::new(&Gold::Text(gold.clone()), &Prediction(prediction.clone())))
            };
            let mut scores: Vec<Scores> = pairs.iter().map(score).collect();
            let summary = Summary::from_scores(scores.clone()).unwrap();
            shuffle(&mut scores, seed);
            prop_assert_eq!(&summary, &Summary::from_scores(scores.clone()).unwrap());
            let (a, b) = scores.split_at(cut.min(scores.len()));
            let mut merged = Summary::new(convention.metrics);
            [a, b].into_iter().filter_map(|part| Summary::from_scores(part.iter().copied())).for_each(|part| merged.merge(&part));
            prop_assert_eq!(&summary, &merged);
        }
    }
}

fn shuffle<T>(items: &mut [T], seed: u64) {
    let mut state = seed;
    for last in (1..items.len()).rev() {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        items.swap(last, (state >> 33) as usize % (last + 1));
    }
}
