//! Numbers as predictions write them, and every convention on the text: no panic, and what must hold of them.
#![no_main]

use chartbench::metric::chartbench::{number::Number, text};
use chartbench::metric::{CONVENTIONS, Metric, Pair, Score, python};
use chartbench::sample::{Gold, Prediction};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &str| {
    let plain = text::plain(input);
    assert!(text::plain(&plain).len() <= plain.len(), "normalising twice adds nothing");
    if let Some(number) = Number::read(&plain) {
        assert!(number.value.is_finite());
        assert!(number.comparable(&number));
    }
    if let Some(value) = python::float(input) {
        assert_eq!(python::float(&format!(" {input}\n")).map(f64::to_bits), Some(value.to_bits()));
    }
    let (gold, prediction) = input.split_once('\0').unwrap_or((input, input));
    let (gold, prediction) = (Gold::from(gold), Prediction(prediction.to_owned()));
    for convention in CONVENTIONS {
        for (metric, score) in convention.score(&Pair::new(&gold, &prediction)).iter() {
            let Score::Value(value) = score else { continue };
            assert!((0.0..=1.0).contains(&value), "{} {metric:?}", convention.name);
            if convention.name == "chartbench" && gold.text() == prediction.0 {
                assert_eq!(value, 1.0, "{metric:?}: a gold answer matches itself");
            }
            assert!(metric != Metric::Strict || value == 0.0 || value == 1.0);
        }
    }
});
