//! Each format, read as it is meant.

use std::path::{Path, PathBuf};

use chartbench::import::{ColumnNames, Options, read};
use chartbench::sample::Gold;

use super::{lines, shown, shown_with};

fn shared(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data").join(name);
    if !path.exists() {
        println!("skipped: {} is not here", path.display());
    }
    path.exists().then_some(path)
}

#[test]
fn the_studys_file_is_read_byte_for_byte() {
    let Some(path) = shared("seed-results/matcha-base-after.csv") else { return };
    let imported = read(&path, &Options::default()).unwrap();
    assert_eq!((imported.answers.len(), imported.problems.len()), (4240, 0));
    let mut reader = csv::Reader::from_path(&path).unwrap();
    for (answered, record) in imported.answers.iter().zip(reader.records()) {
        let record = record.unwrap();
        assert_eq!(answered.prediction.as_ref().unwrap().0, record[0]);
        assert_eq!(answered.gold, Gold::from(&record[1]));
    }
    assert_eq!(imported.answers[4239].id, "4240");
}

#[test]
fn pairs_with_other_keys_beside_them_are_read() {
    let Some(path) = shared("metric-goldens/pairs.jsonl") else { return };
    let imported = read(&path, &Options::default()).unwrap();
    assert_eq!((imported.answers.len(), imported.problems.len()), (70, 0));
    assert_eq!(lines(&imported)[1], "2: 50 | 50%");
}

#[test]
fn csv_and_tsv_fields_are_taken_as_they_stand() {
    let csv = "\u{feff}predictions,labels\r\n\" a, \"\"b\"\"\",<0x0A>\r\n\r\n,\"two\nlines\"\r\n";
    let expected = ["1:  a, \"b\" | <0x0A>", "2:  | two\nlines"];
    assert_eq!(shown("a.csv", csv), expected);
    assert_eq!(shown("a.txt", csv), expected);
    let tsv =
        "index\tquestion\tanswer\tprediction\tanswer_type\n7\tHow many?\t5\t5.0\tNumerical\n8\tWhich?\ta\tb,c\t\n";
    let expected = ["7: 5.0 | 5 | How many? | Numerical", "8: b,c | a | Which?"];
    assert_eq!(shown("a.tsv", tsv), expected);
    assert_eq!(shown("a", tsv), expected);
}

#[test]
fn json_values_become_the_texts_python_would_print() {
    let json = r#"{"id": 1, "gold": 1.0, "prediction": 1e3}
        {"id": "b", "gold": true, "prediction": false}

        {"id": "c", "gold": ["A", ["B", 2]], "prediction": ["A", ["\u00e9\/", 2.50, null, true]], "more": {"x": [1]}}
        {"id": "d", "gold": "\"", "prediction": "\ud83d\ude00", "question": "Q?", "answer_type": "unranked_list"}"#;
    let expected = [
        "1: 1e3 | 1.0",
        "b: False | True",
        r#"c: ["A", ["é/", 2.50, None, True]] | list of A; B, 2"#,
        "d: 😀 | \" | Q? | UnrankedList",
    ];
    assert_eq!(shown("a.jsonl", json), expected);
    assert_eq!(shown("a.json", json), expected);
    let list = format!("[{}]", json.trim().replace("}\n", "},\n").replace(",\n\n", ",\n"));
    assert_eq!(shown("a.json", &list), expected);
    assert_eq!(shown("a.jsonl", &list), expected);
}

#[test]
fn a_single_object_is_a_record() {
    let record = r#"{"id": "x", "gold": 1, "prediction": 2}"#;
    assert_eq!(shown("a.json", record), ["x: 2 | 1"]);
    assert_eq!(shown("a.jsonl", record), ["x: 2 | 1"]);
}

#[test]
fn not_a_number_is_read_as_python_writes_it() {
    let json = r#"[{"gold": "NaN \" NaN", "prediction": NaN, "x": [-Infinity]},
                   {"gold": Infinity, "prediction": -Infinity}]"#;
    assert_eq!(shown("a.json", json), [r#"1: nan | NaN " NaN"#, "2: -inf | inf"]);
    let lines = "{\"gold\": 1, \"prediction\": NaN}\n{\"gold\": \"NaN\", \"prediction\": -Infinity}\n";
    assert_eq!(shown("a.jsonl", lines), ["1: nan | 1", "2: -inf | NaN"]);
}

#[test]
fn chartbenchs_own_predictions_keep_their_failures() {
    let json = r#"{"id":"c/1","chart":"c","question":"How?","gold":["a"],"answer_type":"ranked_list","prediction":"x","token_ids":[1],"error":null,"latency_ms":1.5}
{"id":"c/2","chart":"c","question":"Why?","gold":"b","prediction":null,"error":"broken image","latency_ms":0.1}
"#;
    let expected = [
        "c/1: x | list of a | How? | RankedList",
        "c/2: NONE | b | Why?",
        "prediction `c/2` (line 2) is null: broken image",
    ];
    assert_eq!(shown("predictions.jsonl", json), expected);
}

#[test]
fn the_samples_of_lmms_eval_are_read() {
    let json = r#"{"doc_id": 0, "doc": {"question": "How many?"}, "input": "<image>How many? Be brief.", "target": "14", "filtered_resps": "14", "relaxed_overall": 1.0}
{"doc_id": 1, "input": "x", "target": "['a', 'b']", "filtered_resps": ["a"], "resps": [["a "]], "doc_hash": "f"}
{"doc_id": 2, "target": "Yes", "filtered_resps": [["No", "Yes"]]}
"#;
    let expected = [
        "0: 14 | 14 | How many?",
        "1: a | ['a', 'b']",
        "2: No | Yes",
        "1 row with several responses (the first at line 3): the first of each counts",
    ];
    assert_eq!(shown("20251124_samples_chartqa.jsonl", json), expected);
}

#[test]
fn of_lm_evals_filters_the_first_counts() {
    let json = r#"{"doc_id": 0, "doc": {"query": "How many?", "label": ["14"]}, "target": "14", "filtered_resps": ["14"], "filter": "strict"}
{"doc_id": 0, "doc": {"query": "How many?", "label": ["14"]}, "target": "14", "filtered_resps": ["FINAL 14"], "filter": "none"}
{"doc_id": 1, "doc": {"query": "Which?"}, "target": 3, "filtered_resps": [null], "filter": "strict"}
"#;
    let expected = [
        "0: 14 | 14 | How many?",
        "1: NONE | 3 | Which?",
        "prediction `1` (line 3) is null",
        "1 row of other filters left out (the first, of `none`, at line 2): the file's first filter, `strict`, counts",
    ];
    assert_eq!(shown("samples_chartqa_2025.jsonl", json), expected);
}

#[test]
fn columns_can_be_named() {
    let named = |name: &str| Some(name.to_owned());
    let columns = ColumnNames {
        id: named("nr"),
        prediction: named("mine"),
        gold: named("truth"),
        question: named("asked"),
        chart: None,
        answer_type: named("kind"),
    };
    let options = Options { columns, ..Options::default() };
    let csv = "nr,id,prediction,mine,truth,asked,kind\n7,8,no,yes,Yes,Q?,binary\n";
    assert_eq!(shown_with("p.csv", csv, &options), ["7: yes | Yes | Q? | Binary"]);
    let json = r#"{"nr": 7, "prediction": "no", "mine": "yes", "truth": "Yes", "asked": "Q?", "kind": "binary"}"#;
    assert_eq!(shown_with("p.jsonl", json, &options), ["7: yes | Yes | Q? | Binary"]);
}
