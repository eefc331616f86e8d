//! Lists as predictions write them, by every convention that knows lists: no panic, no endless nesting, 0..=1.
#![no_main]

use chartbench::metric::chartbench::list;
use chartbench::metric::{CONVENTIONS, Pair, Score, python};
use chartbench::sample::{AnswerType, Gold, Prediction};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &str| {
    let items = list::of_prediction(input);
    let mut sorted = list::sorted(items.clone());
    assert_eq!(sorted.len(), items.len());
    sorted = list::sorted(sorted.clone());
    assert_eq!(sorted, list::sorted(items.clone()), "sorting twice changes nothing");
    if let Some(listed) = python::literal::list(input) {
        assert_eq!(python::literal::items(input), Some(listed));
    }
    let prediction = Prediction(input.to_owned());
    let golds = [Gold::from(input), Gold::List(items.iter().map(|item| Gold::from(item.as_str())).collect())];
    for gold in &golds {
        for answer_type in [None, Some(AnswerType::RankedList), Some(AnswerType::UnrankedList)] {
            for convention in CONVENTIONS {
                let scores = convention.score(&Pair { answer_type, ..Pair::new(gold, &prediction) });
                for (metric, score) in scores.iter() {
                    let Score::Value(value) = score else { continue };
                    // RealCQA's F1 counts repeated items over again: its page says so.
                    assert!(value >= 0.0 && (value <= 1.0 || convention.name == "realcqa"), "{} {metric:?}", convention.name);
                }
            }
        }
    }
});
