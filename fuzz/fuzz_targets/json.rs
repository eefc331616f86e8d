//! Files of predictions as JSON and JSON lines: an error or answers, never a panic; what is read is all there.
#![no_main]

use chartbench::import::{Golds, Layout, Options, parse};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    for layout in [Layout::Json, Layout::Jsonl] {
        check(parse(input, layout, &Options::default()));
        // The same bytes as predictions and as golds apart.
        if let Ok(golds) = Golds::parse(input, &Options::default().columns, layout) {
            let options = Options { golds: Some(golds), ..Options::default() };
            let _ = parse(input, layout, &options);
        }
    }
});

fn check(imported: anyhow::Result<chartbench::import::Imported>) {
    match imported {
        Ok(imported) => {
            assert!(!imported.answers.is_empty());
            let failed = imported.answers.iter().filter(|answer| answer.prediction.is_none()).count();
            assert!(failed <= imported.problems.len(), "a missing prediction without a word");
        }
        Err(error) => assert!(!format!("{error:#}").is_empty()),
    }
}
