//! PlotQA's layout: both forms of its question files, its splits, and every kind of bad input with
//! its one line.

use std::fs;
use std::path::Path;

use chartbench::config::Benchmark;
use chartbench_core::question::{Gold, ImageRef, QuestionSet};
use chartbench_data::{QuestionStream, Split};
use tempfile::TempDir;

const RECORDS: &str = r#"[
  {"image_index": 1, "qid": 9, "question_string": "What is the difference?", "answer": 12.50, "answer_bbox": {"x": 1}, "template": "compound", "type": "vbar_categorical", "question_id": 4},
  {"image_index": 0, "question_string": "How many lines?", "answer": "3", "answer_bbox": [], "template": "structural", "type": "line"},
  {"image_index": "1", "question_string": "Is it?", "answer": "Yes", "template": "structural", "type": "vbar_categorical", "question_id": 5}
]"#;
const ANNOTATIONS: &str = r#"[
  {"models": [{"name": "a", "x": [1, 2]}], "type": "dot_line", "general_figure_info": {"title": {}}, "image_index": 0},
  {"type": "hbar_categorical", "models": [], "image_index": 1}
]"#;

/// A folder of small files.
struct Tree(TempDir);

impl Tree {
    fn new(files: &[(&str, &str)]) -> Self {
        let tree = Self(TempDir::new().unwrap());
        files
            .iter()
            .for_each(|(path, content)| tree.write(path, content));
        tree
    }

    /// A test split alone, without annotations.
    fn flat(records: &str) -> Self {
        Self::new(&[
            ("qa_pairs.json", records),
            ("png/0.png", ""),
            ("png/1.png", ""),
        ])
    }

    fn write(&self, path: &str, content: &str) {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn load(&self, path: &str, split: Split) -> anyhow::Result<QuestionSet> {
        let data = if path.is_empty() {
            self.0.path().to_owned()
        } else {
            self.0.path().join(path)
        };
        chartbench_data::load(&Benchmark::find("plotqa").unwrap().data, Some(&data), split)
    }

    fn fault(&self, path: &str, split: Split) -> String {
        let error = self.load(path, split).unwrap_err();
        let line = format!("{error:#}").replace(self.0.path().to_str().unwrap(), "DIR");
        assert!(!line.contains('\n'), "{line}");
        line
    }
}

fn ids(set: &QuestionSet) -> Vec<&str> {
    set.iter()
        .map(|(_, question)| question.id.as_str())
        .collect()
}

fn types(set: &QuestionSet) -> Vec<Option<&str>> {
    set.charts
        .iter()
        .map(|entry| entry.chart.chart_type.as_deref())
        .collect()
}

#[test]
fn the_test_split_alone_loads() {
    let tree = Tree::flat(RECORDS);
    let set = tree.load("", Split::Test).unwrap();
    assert_eq!(ids(&set), ["1/4", "1/5", "0/1"]);
    assert_eq!(types(&set), [Some("vertical bar"), Some("line")]);
    let question = &set.charts[0].questions[0];
    assert_eq!(
        (&question.gold, question.template.as_deref()),
        (&Gold::from("12.50"), Some("compound"))
    );
    let ImageRef::File(path) = &set.charts[0].chart.image else {
        unreachable!()
    };
    assert!(path.ends_with("png/1.png"), "{path:?}");

    tree.write("annotations.json", ANNOTATIONS);
    assert_eq!(
        types(&tree.load("", Split::Test).unwrap()),
        [Some("horizontal bar"), Some("dot line")]
    );
}

#[test]
fn an_object_and_a_byte_order_mark_give_the_same_set() {
    let hash = Tree::flat(RECORDS)
        .load("", Split::Test)
        .unwrap()
        .hash()
        .unwrap();
    let object = format!("\u{feff}{{\"version\": {{\"n\": [1]}}, \"qa_pairs\": {RECORDS}}}");
    assert_eq!(
        Tree::flat(&object)
            .load("", Split::Test)
            .unwrap()
            .hash()
            .unwrap(),
        hash
    );
}

#[test]
fn splits_and_versions() {
    let tree = Tree::new(&[]);
    for part in ["train", "validation", "test"] {
        tree.write(&format!("{part}/qa_pairs_V1.json"), RECORDS);
        tree.write(&format!("{part}/annotations.json"), ANNOTATIONS);
        tree.write(&format!("{part}/png/1.png"), "");
    }
    assert_eq!(
        ids(&tree.load("", Split::Test).unwrap()),
        ["1/4", "1/5", "0/1"]
    );
    let train = tree.load("", Split::Train).unwrap();
    assert_eq!(ids(&train)[2..4], ["train/0/1", "val/1/4"]);

    let first = RECORDS.split(",\n").next().unwrap();
    for part in ["train", "validation", "test"] {
        tree.write(&format!("{part}/QA_pairs_v2.json"), &format!("{first}]"));
    }
    assert_eq!(
        ids(&tree.load("test/QA_pairs_v2.json", Split::Test).unwrap()),
        ["1/4"]
    );
    assert_eq!(
        ids(&tree.load("test/QA_pairs_v2.json", Split::Train).unwrap()),
        ["train/1/4", "val/1/4"]
    );
    assert_eq!(
        tree.load("test/qa_pairs_V1.json", Split::Test)
            .unwrap()
            .len(),
        3
    );
    let fault = tree.fault("", Split::Test);
    assert!(
        fault.contains("both QA_pairs_v2.json and qa_pairs_V1.json"),
        "{fault}"
    );
}

#[test]
fn folders_may_be_written_in_another_case_and_answers_may_lack() {
    let tree = Tree::new(&[
        ("Test/QA_pairs.json", &RECORDS.replacen("12.50", "null", 1)),
        ("Test/PNG/0.PNG", ""),
        ("Test/Annotations.json", ANNOTATIONS),
    ]);
    let spec = Benchmark::find("plotqa").unwrap().data;
    let stream = QuestionStream::open(&spec, Some(tree.0.path()), Split::Test).unwrap();
    assert_eq!(
        stream.notes(),
        ["questions without an answer (null or NaN), left out: 1, first [0], image_index 1"]
    );
    let set = tree.load("", Split::Test).unwrap();
    assert_eq!(ids(&set), ["0/1", "1/5"]);
    assert_eq!(set.charts[0].chart.chart_type.as_deref(), Some("dot line"));
}

#[test]
fn plotqa_faults() {
    let broken = |records: &str| Tree::flat(records).fault("", Split::Test);
    let with = |from: &str, to: &str| {
        assert!(RECORDS.contains(from), "{from}");
        broken(&RECORDS.replacen(from, to, 1))
    };
    let annotated = |annotations: &str| {
        let tree = Tree::flat(RECORDS);
        tree.write("annotations.json", annotations);
        tree.fault("", Split::Test)
    };
    let tree = Tree::flat(RECORDS);
    let path = |path: &str, split| tree.fault(path, split);
    let lines = [
        ("an empty folder", Tree::new(&[]).fault("", Split::Test)),
        ("no such path", path("nowhere", Split::Test)),
        ("an image for the data", path("png/0.png", Split::Test)),
        ("no train split", path("", Split::Train)),
        (
            "no images",
            Tree::new(&[("qa_pairs.json", RECORDS)]).fault("", Split::Test),
        ),
        ("no questions", broken("[]")),
        ("an empty file", broken("")),
        ("blank", broken(" \n")),
        ("an object without the list", broken(r#"{"pairs": []}"#)),
        (
            "the list twice",
            broken(r#"{"qa_pairs": [], "qa_pairs": []}"#),
        ),
        ("a number for the list", broken("3")),
        ("cut in a record", broken(&RECORDS[..300])),
        (
            "cut between records",
            broken(
                RECORDS
                    .rsplit_once(',')
                    .unwrap()
                    .0
                    .split(",\n")
                    .next()
                    .unwrap(),
            ),
        ),
        ("something after the end", broken(&format!("{RECORDS} x"))),
        (
            "a missing key",
            with(r#""question_string": "How many lines?", "#, ""),
        ),
        ("a wrong type", with(r#""How many lines?""#, "12")),
        (
            "an image_index that is a list",
            with(r#""image_index": 0"#, r#""image_index": []"#),
        ),
        ("an object for an answer", with("\"3\"", "{}")),
        ("NaN", with("12.50", "NaN")),
        (
            "an id twice",
            with(r#""question_id": 5"#, r#""question_id": 4"#),
        ),
        (
            "two types of one chart",
            with(
                r#""type": "vbar_categorical", "question_id": 5"#,
                r#""type": "line", "question_id": 5"#,
            ),
        ),
        ("annotations: empty", annotated("")),
        ("annotations: cut", annotated(&ANNOTATIONS[..150])),
        (
            "annotations: no image_index",
            annotated(r#"[{"type": "line"}]"#),
        ),
        (
            "annotations: two types",
            annotated(&ANNOTATIONS.replace("\"image_index\": 1", "\"image_index\": 0")),
        ),
        ("no data", {
            let error = chartbench_data::load(
                &Benchmark::find("plotqa").unwrap().data,
                None::<&Path>,
                Split::Test,
            )
            .unwrap_err();
            format!("{error:#}")
        }),
    ];
    let text: Vec<String> = lines
        .iter()
        .map(|(case, line)| format!("{case}\n    {line}"))
        .collect();
    insta::with_settings!({
        snapshot_path => concat!(env!("CARGO_MANIFEST_DIR"), "/snapshots"),
        prepend_module_to_snapshot => true,
        omit_expression => true,
    }, {
        insta::assert_snapshot!("plotqa_faults", text.join("\n"));
    });
}
