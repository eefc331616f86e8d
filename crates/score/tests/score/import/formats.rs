//! Each format, read as it is meant.

use std::path::Path;

use chartbench_core::question::{Gold, YearFlags};
use chartbench_score::import::{ColumnNames, Golds, ImportOptions, read};
use chartbench_score::metric::{Convention, Metric, Pair, Score};

use super::workbook::{text_cell, workbook};
use super::{folder, golds, lines, shown, shown_with};

#[test]
#[ignore = "needs the study's published predictions: CHARTBENCH_TEST_DATA/seed-results"]
fn outside_data_the_studys_file_is_read_byte_for_byte() {
    let path = crate::outside_data::path("seed-results/matcha-base-after.csv");
    let imported = read(&path, &ImportOptions::default()).unwrap();
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
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
        .join("fixtures/metrics/recorded.jsonl");
    let imported = read(&path, &ImportOptions::default()).unwrap();
    assert_eq!((imported.answers.len(), imported.problems.len()), (2160, 0));
    assert_eq!(lines(&imported)[8], "9: line chart | Line chart");
}

#[test]
fn csv_and_tsv_fields_are_taken_as_they_stand() {
    let csv = "\u{feff}predictions,labels\r\n\" a, \"\"b\"\"\",<0x0A>\r\n\r\n,\"two\nlines\"\r\n";
    let expected = ["1:  a, \"b\" | <0x0A>", "2:  | two\nlines"];
    assert_eq!(shown("a.csv", csv), expected);
    assert_eq!(shown("a.txt", csv), expected);
    let tsv = "index\tquestion\tanswer\tprediction\tanswer_type\n7\tHow many?\t5\t5.0\tNumerical\n8\tWhich?\ta\tb,c\t\n";
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
    let list = format!(
        "[{}]",
        json.trim().replace("}\n", "},\n").replace(",\n\n", ",\n")
    );
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
    assert_eq!(
        shown("a.json", json),
        [r#"1: nan | NaN " NaN"#, "2: -inf | inf"]
    );
    let lines =
        "{\"gold\": 1, \"prediction\": NaN}\n{\"gold\": \"NaN\", \"prediction\": -Infinity}\n";
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

/// `target` is one text: the data set's own list is the gold where it says the same.
#[test]
fn a_list_in_a_samples_doc_is_its_gold() {
    let json = r#"{"doc_id": 0, "doc": {"answer": ["a", "b"]}, "target": "a, b", "filtered_resps": ["a"]}
{"doc_id": 1, "doc": {"answer": ["a", "c"]}, "target": "a, b", "filtered_resps": ["a"]}
{"doc_id": 2, "doc": {"answer": ["a"]}, "target": "a", "filtered_resps": ["a"]}
{"doc_id": 3, "doc": {"answer": {"of": 1}}, "target": "a", "filtered_resps": ["a"]}
"#;
    let expected = ["0: a | list of a; b", "1: a | a, b", "2: a | a", "3: a | a"];
    assert_eq!(shown("samples.jsonl", json), expected);
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
    let options = ImportOptions {
        columns,
        ..ImportOptions::default()
    };
    let csv = "nr,id,prediction,mine,truth,asked,kind\n7,8,no,yes,Yes,Q?,binary\n";
    assert_eq!(
        shown_with("p.csv", csv, &options),
        ["7: yes | Yes | Q? | Binary"]
    );
    let json = r#"{"nr": 7, "prediction": "no", "mine": "yes", "truth": "Yes", "asked": "Q?", "kind": "binary"}"#;
    assert_eq!(
        shown_with("p.jsonl", json, &options),
        ["7: yes | Yes | Q? | Binary"]
    );
}

#[test]
fn a_prediction_that_is_a_list_of_one_item_is_that_item_as_the_gold_is() {
    let json = r#"{"query": "q", "label": ["7"], "prediction": ["7"]}
        {"query": "q", "label": "7", "prediction": [7.0]}
        {"query": "q", "label": ["a", "b"], "prediction": ["a"]}
        {"query": "q", "label": ["a"], "prediction": ["a", "b"]}
        {"query": "q", "label": ["a"], "prediction": [["a"]]}
        {"query": "q", "label": ["a"], "prediction": ["a"], "answer_type": "ranked_list"}"#;
    let expected = [
        "1: 7 | list of 7 | q",
        "2: 7.0 | 7 | q",
        "3: [\"a\"] | list of a; b | q",
        "4: [\"a\", \"b\"] | list of a | q",
        "5: [[\"a\"]] | list of a | q",
        "6: [\"a\"] | list of a | q | RankedList",
    ];
    assert_eq!(shown("a.jsonl", json), expected);
    let apart = golds("id,gold,answer_type\nx,7,\ny,7,unranked_list\n");
    let expected = ["x: 7 | 7", "y: [\"7\"] | 7 | UnrankedList"];
    assert_eq!(
        shown_with("a.json", r#"{"x": ["7"], "y": ["7"]}"#, &apart),
        expected
    );
}

/// Id, relaxed accuracy under `convention`, answer by answer.
fn relaxed(path: &Path, options: &ImportOptions, convention: &str) -> Vec<(String, f64)> {
    let imported = read(path, options).unwrap();
    assert!(imported.problems.is_empty(), "{:?}", imported.problems);
    let convention = Convention::by_name(convention).unwrap();
    let score = |answered: &chartbench_score::import::ImportedAnswer| {
        let year_flags = answered
            .year_flags
            .as_deref()
            .map(|flags| YearFlags::new(flags, None))
            .unwrap_or_default();
        let pair = Pair {
            year_flags,
            ..Pair::new(&answered.gold, answered.prediction.as_ref().unwrap())
        };
        let Score::Value(value) = convention.score(&pair).get(Metric::RelaxedAccuracy) else {
            panic!("{answered:?}")
        };
        (answered.id.clone(), value)
    };
    imported.answers.iter().map(score).collect()
}

/// The same table as CSV, TSV and a workbook.
fn as_tables(rows: &[Vec<&str>]) -> [(&'static str, Vec<u8>); 3] {
    let delimited = |delimiter| {
        let mut writer = csv::WriterBuilder::new()
            .delimiter(delimiter)
            .from_writer(Vec::new());
        rows.iter()
            .for_each(|row| writer.write_record(row).unwrap());
        writer.into_inner().unwrap()
    };
    let cells = |(number, row): (usize, &Vec<&str>)| {
        let cells = row
            .iter()
            .zip('A'..)
            .map(|(text, column)| text_cell(&format!("{column}{}", number + 1), text));
        format!("<row>{}</row>", cells.collect::<String>())
    };
    let sheet: String = rows.iter().enumerate().map(cells).collect();
    [
        ("a.csv", delimited(b',')),
        ("a.tsv", delimited(b'\t')),
        ("a.xlsx", workbook(&sheet)),
    ]
}

fn written(files: &[(&str, Vec<u8>)]) -> tempfile::TempDir {
    let folder = folder(&[]);
    files
        .iter()
        .for_each(|(name, bytes)| std::fs::write(folder.path().join(name), bytes).unwrap());
    folder
}

/// Golds that VLMEvalKit evaluates, in files of every form: a list is alternatives, a tuple is a
/// text.
#[test]
fn vlmevalkits_lists_are_alternatives_from_every_form() {
    let cases = [
        ("a", "[2013, 2016]", "2013", 1.0),
        ("b", "[2013, 2016]", "[2013, 2016]", 0.0),
        ("c", "[42.47, 54.91]", "54.9", 1.0),
        ("d", "['Gambia', 'Niger']", "Niger", 1.0),
        ("e", "[Gambia, Niger]", "Niger", 0.0),
        ("f", "(2013, 2016)", "2013", 0.0),
        ("g", "(2013, 2016)", "(2013, 2016)", 1.0),
        ("h", "[['a', 'b'], 'c']", "['a', 'b']", 1.0),
        ("i", "[['a', 'b'], 'c']", "a", 0.0),
    ];
    let mut rows = vec![vec!["id", "gold", "prediction"]];
    rows.extend(
        cases
            .iter()
            .map(|(id, gold, prediction, _)| vec![*id, *gold, *prediction]),
    );
    let object = |(id, gold, prediction, _): &(&str, &str, &str, f64)| {
        serde_json::json!({"id": id, "gold": gold, "prediction": prediction}).to_string()
    };
    let objects: Vec<String> = cases.iter().map(object).collect();
    let mut files = as_tables(&rows).to_vec();
    files.push(("a.jsonl", objects.join("\n").into_bytes()));
    files.push(("a.json", format!("[{}]", objects.join(",")).into_bytes()));
    let folder = written(&files);
    let expected: Vec<(String, f64)> = cases
        .iter()
        .map(|(id, .., score)| ((*id).to_owned(), *score))
        .collect();
    for (name, _) in &files {
        assert_eq!(
            relaxed(
                &folder.path().join(name),
                &ImportOptions::default(),
                "vlmevalkit"
            ),
            expected,
            "{name}"
        );
    }
    // Lists that JSON itself holds.
    let json = r#"[{"id": "a", "gold": [2013, 2016], "prediction": "2013"}, {"id": "b", "gold": [2013, 2016], "prediction": "[2013, 2016]"},
                   {"id": "h", "gold": [["a", "b"], "c"], "prediction": "['a', 'b']"}, {"id": "i", "gold": [["a", "b"], "c"], "prediction": "a, b"}]"#;
    std::fs::write(folder.path().join("lists.json"), json).unwrap();
    let expected =
        [("a", 1.0), ("b", 0.0), ("h", 1.0), ("i", 0.0)].map(|(id, score)| (id.to_owned(), score));
    assert_eq!(
        relaxed(
            &folder.path().join("lists.json"),
            &ImportOptions::default(),
            "vlmevalkit"
        ),
        expected
    );
}

/// ChartQAPro's own predictions with the scores of its own script, as its JSON and as the tables
/// that are made of it.
#[test]
fn chartqapros_turns_and_flags_are_read_from_every_form() {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
        .join("fixtures/metrics/chartqapro.json");
    let rows: Vec<serde_json::Value> =
        serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let number = |row: &serde_json::Value| row["score"].as_f64().unwrap();
    let expected: Vec<(String, f64)> = (1..)
        .zip(&rows)
        .map(|(id, row)| (format!("{id}"), number(row)))
        .collect();
    assert_eq!(
        relaxed(&path, &ImportOptions::default(), "chartqapro"),
        expected
    );

    let python = |list: &serde_json::Value| {
        let quoted = |text: &str| {
            if text.contains('\'') {
                format!("\"{text}\"")
            } else {
                format!("'{text}'")
            }
        };
        let items: Vec<String> = list
            .as_array()
            .unwrap()
            .iter()
            .map(|item| quoted(item.as_str().unwrap()))
            .collect();
        format!("[{}]", items.join(", "))
    };
    let texts: Vec<[String; 4]> = rows
        .iter()
        .map(|row| {
            let text = |key: &str| row[key].as_str().unwrap().to_owned();
            [
                python(&row["Answer"]),
                text("Question Type"),
                python(&row["Year"]),
                text("prediction"),
            ]
        })
        .collect();
    for header in [
        ["Answer", "Question Type", "Year", "prediction"],
        ["answer", "question_type", "year", "prediction"],
    ] {
        let mut table = vec![header.to_vec()];
        table.extend(
            texts
                .iter()
                .map(|row| row.iter().map(String::as_str).collect()),
        );
        let files = as_tables(&table);
        let folder = written(&files);
        for (name, _) in &files {
            assert_eq!(
                relaxed(
                    &folder.path().join(name),
                    &ImportOptions::default(),
                    "chartqapro"
                ),
                expected,
                "{name}"
            );
        }
        // The golds apart from the predictions.
        let apart =
            Golds::read(&folder.path().join("a.csv"), &ColumnNames::default(), None).unwrap();
        let options = ImportOptions {
            golds: Some(apart),
            ..ImportOptions::default()
        };
        std::fs::write(folder.path().join("p.csv"), predictions(&texts)).unwrap();
        assert_eq!(
            relaxed(&folder.path().join("p.csv"), &options, "chartqapro"),
            expected
        );
    }
}

fn predictions(rows: &[[String; 4]]) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(["prediction"]).unwrap();
    rows.iter()
        .for_each(|row| writer.write_record([&row[3]]).unwrap());
    writer.into_inner().unwrap()
}

#[test]
fn a_year_that_is_no_flag_changes_nothing() {
    let csv = "gold,prediction,year,question type\n\"['a', 'b']\",b,2019,Factoid\n";
    assert_eq!(shown("a.csv", csv), ["1: b | ['a', 'b']"]);
    let json =
        r#"{"gold": ["a", "b"], "prediction": "b", "Year": [2019], "Question Type": "Factoid"}"#;
    assert_eq!(shown("a.jsonl", json), ["1: b | list of a; b"]);
    let json = r#"{"gold": ["a", "b"], "prediction": "b", "Year": ["NO"], "Question Type": "Factoid", "Question": ["x", "y"]}"#;
    assert_eq!(
        shown("a.jsonl", json),
        ["1: b | b | y"],
        "ChartQAPro's fields, all of them"
    );
}

#[test]
fn names_that_suggest_a_column_are_guessed_and_told() {
    let folder = folder(&[
        ("a.csv", "Model Output;Truth\n\"x;\";y\n"),
        ("b.csv", "output,ref,answer\n1,2,3\n"),
    ]);
    let columns = |name: &str| {
        let imported = read(&folder.path().join(name), &ImportOptions::default()).unwrap();
        (lines(&imported), imported.columns.unwrap())
    };
    let (answers, read) = columns("a.csv");
    assert_eq!(answers, ["1: x; | y"]);
    assert!(read.guessed);
    assert_eq!(
        read.to_string(),
        "reads `Model Output` as the prediction, `Truth` as the gold answer (fields separated by `;`)"
    );
    let (answers, read) = columns("b.csv");
    assert_eq!(
        (answers.as_slice(), read.guessed),
        (&["1: 1 | 2".to_owned()][..], true)
    );
}

#[test]
fn records_may_be_values_of_their_ids() {
    let json = r#"{"x": {"gold": 1, "prediction": 2}, "y": {"gold": "a", "prediction": null}}"#;
    assert_eq!(
        shown("a.json", json),
        [
            "x: 2 | 1",
            "y: NONE | a",
            "prediction `y` (record 2) is null"
        ]
    );
    let own = r#"{"0": {"id": "x", "gold": 1, "prediction": 2}}"#;
    assert_eq!(shown("a.json", own), ["x: 2 | 1"]);
}
