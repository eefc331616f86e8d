//! Files of predictions made elsewhere: an error or answers; an answer that is missing is reported
//! as a problem.

use chartbench_score::import::{FileFormat, Golds, ImportOptions, parse};

use super::check_error;
use crate::fixtures;

pub fn csv(input: &[u8]) {
    read(input, &[FileFormat::Csv, FileFormat::Tsv]);
}

pub fn json(input: &[u8]) {
    read(input, &[FileFormat::Json, FileFormat::Jsonl]);
}

/// Reads `input` as predictions with golds of their own, and as golds for themselves.
fn read(input: &[u8], layouts: &[FileFormat]) {
    for &layout in layouts {
        match parse(input, layout, &ImportOptions::default()) {
            Ok(imported) => {
                assert!(!imported.answers.is_empty());
                let failed = imported
                    .answers
                    .iter()
                    .filter(|answer| answer.prediction.is_none())
                    .count();
                assert!(
                    failed <= imported.problems.len(),
                    "a missing prediction without a word"
                );
            }
            Err(error) => check_error(&error),
        }
        if let Ok(golds) = Golds::parse(input, &ImportOptions::default().columns, layout) {
            let _ = parse(
                input,
                layout,
                &ImportOptions {
                    golds: Some(golds),
                    ..ImportOptions::default()
                },
            );
        }
    }
}

pub fn csv_seeds() -> Vec<Vec<u8>> {
    fixtures::texts(&[
        "id,prediction,gold\n1,3.5,3.50\n2,\"a, b\",a\n",
        "question_id\tanswer\tprediction\nq1\tyes\tno\nq2\t\t\n",
        "index,question,answer,prediction\r\n0,\"x\ny\",\"[1, 2]\",1\r\n",
    ])
}

pub fn json_seeds() -> Vec<Vec<u8>> {
    fixtures::texts(&[
        r#"[{"id": "1", "prediction": "3", "gold": 3.0}, {"id": 2, "prediction": null, "gold": ["a", "b"]}]"#,
        "{\"id\": \"1\", \"prediction\": \"3\", \"answer\": \"x\"}\n{\"id\": \"2\", \"prediction\": [\"y\"], \"answer\": [\"y\"]}\n",
        r#"{"1": "yes", "2": 4}"#,
        r#"[{"Question": ["a", "b"], "Answer": ["1", "2"], "Year": ["NO", "YES"], "prediction": "2"}]"#,
    ])
}
