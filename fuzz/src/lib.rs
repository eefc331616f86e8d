//! The parts of chartbench that read what others wrote, by path: fuzzing them needs none of the models' crates, which
//! take many minutes to build with instrumentation.

#[path = "../../src/import/mod.rs"]
pub mod import;
#[path = "../../src/metric/mod.rs"]
pub mod metric;
#[path = "../../src/sample.rs"]
pub mod sample;

#[path = "../../src/config"]
pub mod config {
    pub mod names;
}

#[path = "../../src/dataset"]
pub mod dataset {
    #[allow(dead_code)]
    pub mod fields;
    #[allow(dead_code)]
    pub mod text;
}

use import::{Golds, Layout, Options, parse};

/// Reads `input` as predictions with golds of their own, and as golds apart from themselves.
pub fn read_predictions(input: &[u8], layouts: &[Layout]) {
    for &layout in layouts {
        match parse(input, layout, &Options::default()) {
            Ok(imported) => {
                assert!(!imported.answers.is_empty());
                let failed = imported.answers.iter().filter(|answer| answer.prediction.is_none()).count();
                assert!(failed <= imported.problems.len(), "a missing prediction without a word");
            }
            Err(error) => assert!(!format!("{error:#}").is_empty()),
        }
        if let Ok(golds) = Golds::parse(input, &Options::default().columns, layout) {
            let _ = parse(input, layout, &Options { golds: Some(golds), ..Options::default() });
        }
    }
}
