//! Loading data sets: each layout, and every kind of bad input with its one line.

use std::fs;
use std::path::Path;

use chartbench::config::Benchmark;
use chartbench_core::question::{
    AnswerType, Gold, ImageRef, QuestionSet, QuestionSource, Taxonomy,
};
use chartbench_data::{Ask, QuestionSetSpec, Questions};
use chartbench_data::{QuestionStream, Split};
use tempfile::TempDir;

/// A folder of small files.
struct Tree(TempDir);

impl Tree {
    fn new(files: &[(&str, &str)]) -> Self {
        let tree = Self(TempDir::new().unwrap());
        for (path, content) in files {
            tree.write(path, content.as_bytes());
        }
        tree
    }

    fn write(&self, path: &str, content: &[u8]) {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn load(&self, benchmark: &str, split: Split) -> QuestionSet {
        chartbench_data::load(
            &Benchmark::find(benchmark).unwrap().data,
            Some(self.path()),
            split,
        )
        .unwrap()
    }

    /// The error of loading `path` in the tree, the tree called DIR.
    fn fault(&self, benchmark: &str, path: &str, split: Split) -> String {
        let data = if path.is_empty() {
            self.path().to_owned()
        } else {
            self.path().join(path)
        };
        let error = chartbench_data::load(
            &Benchmark::find(benchmark).unwrap().data,
            Some(&data),
            split,
        )
        .unwrap_err();
        let line = format!("{error:#}").replace(self.path().to_str().unwrap(), "DIR");
        assert!(!line.contains('\n'), "{line}");
        line
    }
}

fn snapshot(name: &str, lines: &[(&str, String)]) {
    let text: Vec<String> = lines
        .iter()
        .map(|(case, line)| format!("{case}\n    {line}"))
        .collect();
    let settings = [concat!(env!("CARGO_MANIFEST_DIR"), "/snapshots")];
    insta::with_settings!({snapshot_path => settings[0], prepend_module_to_snapshot => true, omit_expression => true}, {
        insta::assert_snapshot!(name, text.join("\n"));
    });
}

fn ids(set: &QuestionSet) -> Vec<&str> {
    set.iter()
        .map(|(_, question)| question.id.as_str())
        .collect()
}

fn image(set: &QuestionSet, chart: usize) -> String {
    match &set.charts[chart].chart.image {
        ImageRef::File(path) => path.file_name().unwrap().to_str().unwrap().to_owned(),
        ImageRef::Drawn(_) => unreachable!(),
    }
}

const QA_B: &str = r#"[
  {"taxonomy id": "1a", "QID": "3", "question": "What type?", "answer": "Line chart", "answer_type": "String", "qa_id": "q1", "PMC_ID": "PMC2_b.v1"},
  {"taxonomy id": "2e", "QID": 7, "question": "How many?", "answer": 1.50, "answer_type": "Numerical", "qa_id": "q2", "PMC_ID": "PMC2_b.v1"},
  {"taxonomy id": "3b", "QID": "9", "question": "Is it?", "answer": true, "answer_type": "Binary", "qa_id": 3, "PMC_ID": "PMC2_b.v1"},
  {"taxonomy id": "4c", "QID": "9", "question": "Which?", "answer": [["a", 1], "b"], "answer_type": "Unranked List", "qa_id": "q4", "PMC_ID": "PMC2_b.v1"}
]"#;
const QA_A: &str =
    r#"[{"question": "A?", "answer": "x, y", "answer_type": "Ranked List", "qa_id": "q1"}]"#;
const QA_T: &str = r#"[{"question": "T?", "answer": "t", "answer_type": "String", "qa_id": "q1"}]"#;
const TASK: &str = r#"{"task1": {"output": {"chart_type": "Vertical  Bar"}}, "task2": {"#;

fn realcqa() -> Tree {
    Tree::new(&[
        ("qa/PMC2_b.v1.json", QA_B),
        ("qa/PMC1-a.json", QA_A),
        ("qa/PMC1.json", QA_T),
        ("images/PMC2_b.v1.PNG", ""),
        ("images/PMC1-a.jpg", ""),
        ("json/PMC2_b.v1.json", TASK),
        ("json/PMC1-a.json", r#"{"task2": null, "task1": null}"#),
        ("test_filenames.txt", "PMC2_b.v1.jpg\r\nPMC1-a\n\n"),
    ])
}

#[test]
fn realcqa_loads_both_splits() {
    let tree = realcqa();
    let set = tree.load("realcqa", Split::Test);
    assert_eq!(
        ids(&set),
        [
            "PMC1-a/q1",
            "PMC2_b.v1/q1",
            "PMC2_b.v1/q2",
            "PMC2_b.v1/3",
            "PMC2_b.v1/q4"
        ]
    );
    assert_eq!(
        (image(&set, 0), image(&set, 1)),
        ("PMC1-a.jpg".into(), "PMC2_b.v1.PNG".into())
    );
    assert_eq!(set.charts[0].chart.chart_type, None);
    assert_eq!(
        set.charts[1].chart.chart_type.as_deref(),
        Some("vertical bar")
    );
    let questions = &set.charts[1].questions;
    assert_eq!(questions[0].taxonomy, Some(Taxonomy::Root));
    assert_eq!(questions[1].template.as_deref(), Some("7"));
    assert_eq!(questions[1].gold, Gold::from("1.50"));
    assert_eq!(questions[2].gold, Gold::from("True"));
    assert_eq!(questions[3].answer_type, Some(AnswerType::UnrankedList));
    let inner = Gold::List(vec![Gold::from("a"), Gold::from("1")]);
    assert_eq!(questions[3].gold, Gold::List(vec![inner, Gold::from("b")]));

    tree.write("images/PMC1.jpeg", b"");
    let train = tree.load("realcqa", Split::Train);
    assert_eq!(ids(&train), ["PMC1/q1"]);
    assert_eq!(image(&train, 0), "PMC1.jpeg");
}

#[test]
fn realcqa_merged_file_gives_the_same_set() {
    let tree = realcqa();
    let hash = tree.load("realcqa", Split::Test).hash().unwrap();
    let merged =
        format!("\u{feff}{{\"PMC2_b.v1\": {QA_B},\n \"PMC1\": {QA_T},\n \"PMC1-a\": {QA_A}}}");
    tree.write("merged_qa.json", merged.as_bytes());
    fs::remove_dir_all(tree.path().join("qa")).unwrap();
    assert_eq!(tree.load("realcqa", Split::Test).hash().unwrap(), hash);
}

/// The files of [`realcqa`], as the hub has them: in numbered folders.
fn realcqa_on_the_hub() -> Tree {
    Tree::new(&[
        ("qa/PMC1.json", QA_T),
        ("qa2/PMC1-a.json", QA_A),
        ("qa3/PMC2_b.v1.json", QA_B),
        ("images/PMC1.jpg", ""),
        ("images2/PMC1-a.jpg", ""),
        ("images3/PMC2_b.v1.jpg", ""),
        ("jsons2/PMC1-a.json", r#"{"task2": null, "task1": null}"#),
        ("jsons3/PMC2_b.v1.json", TASK),
        ("README.md", ""),
        ("test_filenames.txt", "PMC2_b.v1\nPMC1-a\n"),
    ])
}

#[test]
fn realcqa_in_numbered_folders_is_the_same_set() {
    let one = realcqa();
    one.write("images/PMC1.jpg", b"");
    let hub = realcqa_on_the_hub();
    for split in [Split::Test, Split::Train] {
        let [set, other] = [&one, &hub].map(|tree| tree.load("realcqa", split));
        assert_eq!(set.hash().unwrap(), other.hash().unwrap(), "{split}");
    }
    let set = hub.load("realcqa", Split::Test);
    let paths: Vec<_> = set
        .charts
        .iter()
        .map(|chart| chart.chart.image_name().into_owned())
        .collect();
    assert!(paths[0].ends_with("images2/PMC1-a.jpg"), "{paths:?}");
    assert!(paths[1].ends_with("images3/PMC2_b.v1.jpg"), "{paths:?}");
    // An image in another folder than its questions; one that is nowhere.
    fs::rename(
        hub.path().join("images3/PMC2_b.v1.jpg"),
        hub.path().join("images/PMC2_b.v1.jpg"),
    )
    .unwrap();
    fs::remove_file(hub.path().join("images2/PMC1-a.jpg")).unwrap();
    let set = hub.load("realcqa", Split::Test);
    let paths: Vec<_> = set
        .charts
        .iter()
        .map(|chart| chart.chart.image_name().into_owned())
        .collect();
    assert!(paths[0].ends_with("images2/PMC1-a.jpg"), "{paths:?}");
    assert!(paths[1].ends_with("images/PMC2_b.v1.jpg"), "{paths:?}");

    hub.write("qa/PMC1-a.json", QA_A.as_bytes());
    assert_eq!(
        hub.fault("realcqa", "", Split::Test),
        "DIR/qa2/PMC1-a.json: the questions of chart `PMC1-a` are in DIR/qa already; leave one of the two files"
    );
}

#[test]
fn realcqas_test_list_may_lie_beside_and_an_archive_may_have_a_folder() {
    let hash = realcqa().load("realcqa", Split::Test).hash().unwrap();
    let wrapped = |list: &str| {
        let tree = realcqa();
        let inner = tree.path().join("RQA_V0");
        fs::create_dir(&inner).unwrap();
        for name in ["qa", "images", "json", "test_filenames.txt"] {
            fs::rename(tree.path().join(name), inner.join(name)).unwrap();
        }
        fs::rename(inner.join("test_filenames.txt"), tree.path().join(list)).unwrap();
        tree
    };
    for list in ["RQA_V0/test_filenames.txt", "test_filenames.txt"] {
        let tree = wrapped(list);
        fs::create_dir(tree.path().join("__MACOSX")).unwrap();
        tree.write("s2.npy", b"");
        let format = chartbench_data::detect(tree.path()).unwrap();
        assert_eq!(format, chartbench_data::Format::RealCqa, "{list}");
        for data in ["", "RQA_V0"] {
            let data = tree.path().join(data);
            let spec = Benchmark::find("realcqa").unwrap().data;
            let set = chartbench_data::load(&spec, Some(&data), Split::Test).unwrap();
            assert_eq!(set.hash().unwrap(), hash, "{list} {}", data.display());
        }
    }
    // Of two folders none is the one.
    let tree = wrapped("test_filenames.txt");
    fs::create_dir(tree.path().join("other")).unwrap();
    let line = tree.fault("realcqa", "", Split::Test);
    assert!(
        line.contains("neither qa/ nor merged_qa.json is there"),
        "{line}"
    );
}

/// A benchmark file with these `questions`, in `tree`.
fn listing(tree: &Tree, questions: &str) -> String {
    let text = format!(
        "title = \"T\"\ndescription = \"D\"\nformat = \"realcqa\"\nquestions = {questions}\n"
    );
    tree.write("listed.toml", text.as_bytes());
    tree.path().join("listed.toml").to_str().unwrap().to_owned()
}

#[test]
fn a_list_of_ids_chooses_the_test_questions() {
    let tree = realcqa();
    let arrays = [
        (
            "texts.npy",
            &include_bytes!("../../fixtures/id-lists/texts.npy")[..],
        ),
        (
            "bytes.npy",
            include_bytes!("../../fixtures/id-lists/bytes.npy"),
        ),
        (
            "integers.npy",
            include_bytes!("../../fixtures/id-lists/integers.npy"),
        ),
        (
            "objects.npy",
            include_bytes!("../../fixtures/id-lists/objects.npy"),
        ),
    ];
    for (name, bytes) in arrays {
        tree.write(name, bytes);
    }
    tree.write("bare.txt", b"q1\n\n3\r\n");
    tree.write("whole.txt", b"PMC2_b.v1/q1\nPMC1/q1\n");
    let chosen = |questions: &str| {
        let benchmark = listing(&tree, questions);
        let loaded = tree.load(&benchmark, Split::Test);
        // Streamed chunk by chunk it is the same, whatever the limit.
        let spec = Benchmark::find(&benchmark).unwrap().data;
        let open = || QuestionStream::open(&spec, Some(tree.path()), Split::Test).unwrap();
        assert_eq!(open().summarize().unwrap().hash, loaded.hash().unwrap());
        let limited = open().limit(1).summarize().unwrap();
        assert_eq!(limited.questions, 1, "{questions}");
        loaded
    };
    let two = ["PMC2_b.v1/3", "PMC2_b.v1/q4"];
    assert_eq!(ids(&chosen("{ ids = \"texts.npy\" }")), two);
    assert_eq!(ids(&chosen("{ ids = \"bytes.npy\", count = 2 }")), two);
    assert_eq!(
        ids(&chosen("{ ids = \"integers.npy\", count = 1 }")),
        two[..1]
    );
    assert_eq!(
        ids(&chosen("{ ids = \"bare.txt\", count = 3 }")),
        ["PMC1-a/q1", "PMC2_b.v1/q1", "PMC2_b.v1/3"]
    );
    assert_eq!(
        ids(&chosen("{ ids = \"whole.txt\", count = 1 }")),
        ["PMC2_b.v1/q1"]
    );
    // The train split is read whole.
    tree.write("images/PMC1.jpg", b"");
    let train = tree.load(&listing(&tree, "{ ids = \"texts.npy\" }"), Split::Train);
    assert_eq!(ids(&train), ["PMC1/q1"]);

    let fault = |questions: &str| tree.fault(&listing(&tree, questions), "", Split::Test);
    assert_eq!(
        fault("{ ids = \"texts.npy\", count = 3 }"),
        "benchmark `listed`: DIR/texts.npy lists 3 ids, and 2 test questions have one of them where `count` is 3; the list \
         or the data set is another version (a benchmark file without `count` asks what is there)"
    );
    assert!(
        fault("{ ids = \"objects.npy\" }")
            .starts_with("DIR/objects.npy: an array of Python objects"),
    );
    assert!(fault("{ ids = \"s2.npy\" }").starts_with(
        "cannot read DIR/s2.npy, which lists the ids of the questions to ask: put it there: "
    ));
    tree.write("strangers.txt", b"zz\n");
    assert_eq!(
        fault("{ ids = \"strangers.txt\" }"),
        "no question of the test split of DIR is listed in DIR/strangers.txt"
    );
    let outside = TempDir::new().unwrap();
    let path = outside.path().join("ids.txt");
    fs::write(&path, "q1\n").unwrap();
    let line = fault(&format!("{{ ids = {:?} }}", path.to_str().unwrap()));
    assert!(
        line.contains("lies outside the data set's folder"),
        "{line}"
    );
}

#[test]
fn a_long_annotation_is_read_to_its_task1() {
    let tree = realcqa();
    let long = format!(
        r#"{{"task6": "{}", "task1": {{"output": {{"chart_type": "scatter"}}}}}}"#,
        "é".repeat(5000)
    );
    tree.write("json/PMC1-a.json", long.as_bytes());
    assert_eq!(
        tree.load("realcqa", Split::Test).charts[0]
            .chart
            .chart_type
            .as_deref(),
        Some("scatter")
    );
}

#[test]
fn a_missing_image_keeps_its_expected_path() {
    let tree = realcqa();
    fs::remove_file(tree.path().join("images/PMC2_b.v1.PNG")).unwrap();
    let set = tree.load("realcqa", Split::Test);
    assert_eq!((set.len(), image(&set, 1)), (5, "PMC2_b.v1.jpg".into()));
}

#[test]
fn realcqa_faults() {
    let broken = |path: &str, content: &str| {
        let tree = realcqa();
        tree.write(path, content.as_bytes());
        tree.fault("realcqa", "", Split::Test)
    };
    let without = |path: &str| {
        let tree = realcqa();
        let path = tree.path().join(path);
        if path.is_dir() {
            fs::remove_dir_all(path).unwrap()
        } else {
            fs::remove_file(path).unwrap()
        }
        tree.fault("realcqa", "", Split::Test)
    };
    let qa = |from: &str, to: &str| broken("qa/PMC2_b.v1.json", &QA_B.replace(from, to));
    let merged = |content: &str| {
        let tree = realcqa();
        fs::remove_dir_all(tree.path().join("qa")).unwrap();
        tree.write("merged_qa.json", content.as_bytes());
        tree.fault("realcqa", "", Split::Test)
    };
    let tree = realcqa();
    tree.write("qa/PMC1-a.json", b"[{\"question\": \"\xff\"}]");
    let lines = [
        ("not UTF-8", tree.fault("realcqa", "", Split::Test)),
        ("no folder", tree.fault("realcqa", "nowhere", Split::Test)),
        (
            "a file",
            tree.fault("realcqa", "test_filenames.txt", Split::Test),
        ),
        (
            "no data",
            format!(
                "{:#}",
                chartbench_data::load(&Benchmark::find("realcqa").unwrap().data, None, Split::Test)
                    .unwrap_err()
            ),
        ),
        ("no test list", without("test_filenames.txt")),
        ("empty test list", broken("test_filenames.txt", "")),
        (
            "a test chart twice",
            broken("test_filenames.txt", "PMC1-a\nPMC2_b.v1\nPMC1-a.jpg\n"),
        ),
        (
            "no test chart with questions",
            broken("test_filenames.txt", "PMC9\nPMC8\n"),
        ),
        ("no questions at all", without("qa")),
        ("no images", without("images")),
        ("no train charts", {
            fs::remove_file(tree.path().join("qa/PMC1.json")).unwrap();
            tree.fault("realcqa", "", Split::Train)
        }),
        ("empty qa file", broken("qa/PMC1-a.json", " \n")),
        (
            "cut in the middle",
            broken("qa/PMC2_b.v1.json", &QA_B[..300]),
        ),
        ("cut in a string", broken("qa/PMC2_b.v1.json", &QA_B[..50])),
        (
            "something after the end",
            broken("qa/PMC1-a.json", &format!("{QA_A} x")),
        ),
        ("an object for a list", broken("qa/PMC1-a.json", "{}")),
        ("a missing key", qa(r#""question": "How many?", "#, "")),
        ("a wrong type", qa(r#""How many?""#, "12")),
        ("an object in an answer", qa(r#""b"]"#, "{}]")),
        (
            "a deep answer",
            qa(r#""b"]"#, &format!("{}{}]", "[".repeat(99), "]".repeat(99))),
        ),
        ("an unknown answer type", qa("Unranked List", "Set")),
        ("an unknown taxonomy", qa("2e", "5e")),
        ("an id twice", qa(r#""q4""#, r#""q2""#)),
        (
            "another chart's record",
            qa(
                r#""q2", "PMC_ID": "PMC2_b.v1""#,
                r#""q2", "PMC_ID": "PMC1-a""#,
            ),
        ),
        ("an empty annotation", broken("json/PMC1-a.json", "")),
        (
            "an annotation cut short",
            broken("json/PMC1-a.json", &TASK[..30]),
        ),
        (
            "an annotation that is a list",
            broken("json/PMC1-a.json", "[]"),
        ),
        (
            "a chart type that is a number",
            broken(
                "json/PMC1-a.json",
                r#"{"task1": {"output": {"chart_type": 3}}}"#,
            ),
        ),
        (
            "merged: cut",
            merged(&format!(
                "{{\"PMC1-a\": {QA_A},\n\"PMC2_b.v1\": {}",
                &QA_B[..300]
            )),
        ),
        (
            "merged: a chart twice",
            merged(&format!("{{\"PMC1-a\": {QA_A},\n\"PMC1-a\": {QA_A}}}")),
        ),
        (
            "merged: a missing key",
            merged(&format!(
                "{{\"PMC1-a\": {QA_A},\n\"PMC2_b.v1\":\n{}}}",
                QA_B.replace(r#""qa_id": 3, "#, "")
            )),
        ),
        ("merged: a list", merged("[]")),
    ];
    snapshot("realcqa_faults", &lines);
}

const HUMAN: &str = r#"[{"imgname": "b.png", "query": "B?", "label": "[2013, 2016]"}, {"imgname": "a.png", "query": "A?", "label": "1,200"}]"#;
const AUGMENTED: &str = r#"[{"imgname": "c.png", "query": "C?", "label": "3"}, {"imgname": "b.png", "query": "B2?", "label": "4"}]"#;

#[test]
fn chartqa_loads_flat_and_nested() {
    let flat = Tree::new(&[
        ("test_human.json", HUMAN),
        ("test_augmented.json", AUGMENTED),
        ("png/a.png", ""),
        ("png/b.png", ""),
        ("png/c.png", ""),
    ]);
    let set = flat.load("chartqa", Split::Test);
    assert_eq!(
        ids(&set),
        ["human/0", "augmented/1", "human/1", "augmented/0"]
    );
    let (chart, question) = set.iter().next().unwrap();
    assert_eq!(
        (chart.id.as_str(), &question.gold),
        ("b", &Gold::from("[2013, 2016]"))
    );
    assert_eq!(question.source.as_deref(), Some("human"));

    let nested = Tree::new(&[("ChartQA Dataset/test/png/b.png", "")]);
    for part in ["test", "train", "val"] {
        nested.write(
            &format!("ChartQA Dataset/{part}/{part}_human.json"),
            HUMAN.as_bytes(),
        );
        nested.write(
            &format!("ChartQA Dataset/{part}/{part}_augmented.json"),
            AUGMENTED.as_bytes(),
        );
    }
    assert_eq!(
        nested.load("chartqa", Split::Test).hash().unwrap(),
        set.hash().unwrap()
    );
    nested.write("ChartQA Dataset/val/png/b.png", b"");
    let train = nested.load("chartqa", Split::Train);
    assert_eq!(
        (
            ids(&train)[..2].to_vec(),
            ids(&train)[7],
            train.charts[0].chart.id.as_str()
        ),
        (
            vec!["train/human/0", "train/augmented/1"],
            "val/augmented/0",
            "train/b"
        )
    );
}

#[test]
fn chartqa_faults() {
    let with = |human: &str, augmented: Option<&str>| {
        let tree = Tree::new(&[
            ("test_human.json", human),
            ("png/a.png", ""),
            ("png/a.jpg", ""),
            ("png/b.png", ""),
        ]);
        augmented
            .into_iter()
            .for_each(|content| tree.write("test_augmented.json", content.as_bytes()));
        tree
    };
    let broken = |human: &str| with(human, Some(AUGMENTED)).fault("chartqa", "", Split::Test);
    let no_images = Tree::new(&[
        ("test_human.json", HUMAN),
        ("test_augmented.json", AUGMENTED),
    ]);
    let lines = [
        (
            "an empty folder",
            Tree::new(&[]).fault("chartqa", "", Split::Test),
        ),
        (
            "no train files",
            with(HUMAN, Some(AUGMENTED)).fault("chartqa", "", Split::Train),
        ),
        ("no images", no_images.fault("chartqa", "", Split::Test)),
        ("cut in the middle", broken(&HUMAN[..100])),
        (
            "a missing key",
            broken(&HUMAN.replace(r#", "label": "1,200""#, "")),
        ),
        (
            "a label that is an object",
            broken(&HUMAN.replace(r#""1,200""#, "{}")),
        ),
        (
            "two images, one name",
            broken(&HUMAN.replace("b.png", "a.jpg")),
        ),
        (
            "no questions",
            with("[]", Some("[]")).fault("chartqa", "", Split::Test),
        ),
        (
            "no data",
            format!(
                "{:#}",
                chartbench_data::load(&Benchmark::find("chartqa").unwrap().data, None, Split::Test)
                    .unwrap_err()
            ),
        ),
    ];
    snapshot("chartqa_faults", &lines);
}

/// The notes on the test split of a data set, the tree called DIR.
fn notes(tree: &Tree, benchmark: &str, path: &str) -> Vec<String> {
    let spec = Benchmark::find(benchmark).unwrap().data;
    let stream = QuestionStream::open(&spec, Some(&tree.path().join(path)), Split::Test).unwrap();
    stream.summarize().unwrap();
    let folder = tree.path().to_str().unwrap();
    let lines = stream.notes().into_iter();
    lines.map(|line| line.replace(folder, "DIR")).collect()
}

#[test]
fn copies_of_chartqa_may_lack_a_half_and_labels_may_have_any_type() {
    let human = r#"[{"imgname": "b.png", "query": "B?", "label": ["x"]}, {"imgname": "A.png", "query": "A?", "label": 1200},
        {"imgname": "b.png", "query": "B2?", "label": ["x", 2]}, {"imgname": "b.png", "query": "B3?", "label": true},
        {"imgname": "b.png", "query": "B4?", "label": null}, {"imgname": "b.png", "query": "B5?", "label": NaN}]"#;
    let tree = Tree::new(&[
        ("Test/test_human.json", human),
        ("Test/PNG/a.png", ""),
        ("Test/PNG/b.png", ""),
        ("Test/Tables/b.csv", "x,y\n1,2\n"),
    ]);
    let set = tree.load("chartqa", Split::Test);
    assert_eq!(ids(&set), ["human/0", "human/2", "human/3", "human/1"]);
    let golds: Vec<_> = set.iter().map(|(_, question)| &question.gold).collect();
    let list = Gold::List(vec!["x".into(), "2".into()]);
    assert_eq!(golds, [&"x".into(), &list, &"True".into(), &"1200".into()]);
    assert_eq!(image(&set, 1), "a.png");
    assert!(set.charts[0].chart.table.is_some());
    assert_eq!(
        notes(&tree, "chartqa", ""),
        [
            "DIR/Test/test_augmented.json is not there: no question of the test split is augmented",
            "images found under their name in another case: 1, first `A.png`",
            "questions without an answer (null or NaN), left out: 2, first test_human.json: [4]",
        ]
    );

    // Question files beside the folder of the images, one of them without any record.
    let tree = Tree::new(&[
        ("test_human.json", HUMAN),
        ("test_augmented.json", ""),
        ("test/png/b.png", ""),
    ]);
    assert_eq!(
        ids(&tree.load("chartqa", Split::Test)),
        ["human/0", "human/1"]
    );
    assert_eq!(
        notes(&tree, "chartqa", ""),
        ["files without any record, passed over: 1, first test_augmented.json"]
    );
}

#[test]
fn copies_of_realcqa_may_lack_charts_and_answers() {
    let tree = realcqa();
    tree.write("test_filenames.txt", b"PMC1-a\nPMC2_b.v1\nPMC9\nPMC8\n");
    let qa = QA_B.replace("1.50", "NaN").replace("true", "null");
    tree.write("qa/PMC2_b.v1.json", qa.as_bytes());
    let expected = [
        "DIR/test_filenames.txt: line 3: `PMC9` has no questions in DIR/qa (2 of 4 test charts lack them)",
        "questions without an answer (null or NaN), left out: 2, first `PMC2_b.v1/q2`",
    ];
    assert_eq!(notes(&tree, "realcqa", ""), expected);
    let set = tree.load("realcqa", Split::Test);
    assert_eq!(ids(&set), ["PMC1-a/q1", "PMC2_b.v1/q1", "PMC2_b.v1/q4"]);
    let hash = set.hash().unwrap();

    let merged = format!("{{\"PMC2_b.v1\": {qa}, \"PMC1\": {QA_T}, \"PMC1-a\": {QA_A}}}");
    tree.write("merged_qa.json", merged.as_bytes());
    fs::remove_dir_all(tree.path().join("qa")).unwrap();
    assert_eq!(tree.load("realcqa", Split::Test).hash().unwrap(), hash);
    let lines = notes(&tree, "realcqa", "");
    assert_eq!(lines[1], expected[1]);
    assert!(
        lines[0].contains("has no questions in DIR/merged_qa.json"),
        "{lines:?}"
    );
}

#[test]
fn own_questions_may_lack_an_answer_and_name_a_part_of_the_split() {
    let jsonl = "{\"image\": \"a.png\", \"question\": \"A?\", \"answer\": NaN}\n\
        {\"image\": \"a.png\", \"question\": \"B?\", \"answer\": 2, \"split\": \"test_human\"}\n";
    let tree = Tree::new(&[("questions.jsonl", jsonl), ("a.png", "")]);
    let set = tree.load("custom", Split::Test);
    assert_eq!(ids(&set), ["2"]);
    assert_eq!(set.charts[0].questions[0].source.as_deref(), Some("human"));
    assert_eq!(
        notes(&tree, "custom", ""),
        ["questions without an answer (null or NaN), left out: 1, first line 1"]
    );
}

const CSV: &str = "image,question,answer,chart_type,answer_type,split\n\
    img/a.png,\"How, many?\",\"1,200\",Line,numerical,\n\
    b.jpg,B?,\"x\ny\",,,test\n\
    img/a.png,A2?,,line,,test\n\
    c.png,C?,3,,,train\n";

#[test]
fn generic_loads_csv_and_jsonl() {
    let tree = Tree::new(&[
        ("questions.csv", CSV),
        ("img/a.jpg", ""),
        ("b.jpg", ""),
        ("c.png", ""),
    ]);
    let set = tree.load("custom", Split::Test);
    assert_eq!(ids(&set), ["1", "3", "2"]);
    assert_eq!(
        (set.charts[0].chart.id.as_str(), image(&set, 0)),
        ("img/a.png", "a.jpg".into())
    );
    assert_eq!(set.charts[0].chart.chart_type.as_deref(), Some("line"));
    assert_eq!(
        set.charts[0].questions[0].answer_type,
        Some(AnswerType::Numerical)
    );
    assert_eq!(set.charts[1].questions[0].gold, Gold::from("x\ny"));
    assert_eq!(ids(&tree.load("custom", Split::Train)), ["4"]);

    let jsonl = "\u{feff}{\"image\": \"b.jpg\", \"question\": \"B?\", \"answer\": [1, 2.0], \"id\": \"x\", \"taxonomy\": \"3a\"}\n\n\
        {\"image\": \"c.png\", \"question\": \"C?\", \"answer\": false, \"source\": \"me\", \"template\": 5}\n";
    tree.write("mine.jsonl", jsonl.as_bytes());
    let set = chartbench_data::load(
        &Benchmark::find("custom").unwrap().data,
        Some(&tree.path().join("mine.jsonl")),
        Split::Test,
    )
    .unwrap();
    assert_eq!(ids(&set), ["x", "2"]);
    let (first, second) = (&set.charts[0].questions[0], &set.charts[1].questions[0]);
    assert_eq!(
        first.gold,
        Gold::List(vec![Gold::from("1"), Gold::from("2.0")])
    );
    assert_eq!(first.taxonomy, Some(Taxonomy::Retrieval));
    assert_eq!(
        (&second.gold, second.template.as_deref()),
        (&Gold::from("False"), Some("5"))
    );
}

#[test]
fn own_data_may_be_a_list_or_tsv_and_hold_its_images() {
    // A picture of one pixel, 70 bytes.
    let base64 = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==";
    let json = format!(
        r#"[{{"image": "data:image/png;base64,{base64}", "question": "A?", "answer": 1, "hard": true, "steps": [1, 2]}},
            {{"image": "a.png", "question": "B?", "answer": "x", "hard": null}}]"#
    );
    let tsv = format!("index\timage\tquestion\tanswer\n7\t{base64}\tA?\t1\n9\t{base64}\tB?\tx\n");
    let tree = Tree::new(&[
        ("q/questions.json", &json),
        ("q/a.png", ""),
        ("q.tsv", &tsv),
    ]);
    let load = |path: &str| {
        let spec = Benchmark::find("custom").unwrap().data;
        chartbench_data::load(&spec, Some(&tree.path().join(path)), Split::Test).unwrap()
    };

    let is_picture = |set: &QuestionSet| {
        let bytes = set.charts[0].chart.image.bytes().unwrap();
        bytes.len() == 70 && bytes.starts_with(b"\x89PNG") && bytes.ends_with(b"\xaeB`\x82")
    };

    let list = load("q");
    assert_eq!(ids(&list), ["1", "2"]);
    assert!(is_picture(&list));
    let slices = &list.charts[0].questions[0].slices;
    assert_eq!(
        (slices["hard"].as_str(), slices["steps"].as_str()),
        ("true", "[1, 2]")
    );
    assert!(
        list.charts[1].questions[0].slices.is_empty(),
        "null is none"
    );

    let tsv = load("q.tsv");
    assert_eq!(ids(&tsv), ["7", "9"], "`index` is the id");
    assert_eq!(tsv.charts.len(), 1, "one image is one chart");
    let id = &tsv.charts[0].chart.id;
    assert!(id.starts_with("embedded-") && id.len() == 25, "{id}");
    assert_eq!(*id, list.charts[0].chart.id);
    assert!(is_picture(&tsv));
}

#[test]
fn other_columns_are_slices_unless_they_have_many_values() {
    let rows: String = (0..102)
        .map(|row| format!("a.png,Q?,1,{},note {row},{row}\n", row % 3))
        .collect();
    let tree = Tree::new(&[
        (
            "q.csv",
            &format!("image,question,answer,group,note,slices.note number\n{rows}"),
        ),
        ("a.png", ""),
    ]);
    let set = chartbench_data::load(
        &Benchmark::find("custom").unwrap().data,
        Some(&tree.path().join("q.csv")),
        Split::Test,
    )
    .unwrap();
    let slices: Vec<_> = set.charts[0].questions[101]
        .slices
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    assert_eq!(slices, ["group=2", "note number=101"]);
}

#[test]
fn more_columns_are_for_slices_and_part_of_the_hash() {
    let load = |name: &str, content: &str| {
        let tree = Tree::new(&[(name, content), ("a.png", "")]);
        chartbench_data::load(
            &Benchmark::find("custom").unwrap().data,
            Some(&tree.path().join(name)),
            Split::Test,
        )
        .unwrap()
    };
    let csv = load(
        "q.csv",
        "image,question,answer,slices.journal,slices.year\na.png,Q?,1,PLOS ONE,\n",
    );
    let jsonl =
        r#"{"image": "a.png", "question": "Q?", "answer": "1", "slices": {"journal": "PLOS ONE"}}"#;
    let jsonl = load("q.jsonl", jsonl);
    let plain = load("q.csv", "image,question,answer\na.png,Q?,1\n");
    let slices = |set: &QuestionSet| {
        set.charts[0].questions[0]
            .slices
            .clone()
            .into_iter()
            .collect::<Vec<_>>()
    };
    assert_eq!(
        slices(&csv),
        [("journal".to_owned(), "PLOS ONE".to_owned())]
    );
    assert_eq!(
        (slices(&jsonl), jsonl.hash().unwrap()),
        (slices(&csv), csv.hash().unwrap())
    );
    assert_ne!(plain.hash().unwrap(), csv.hash().unwrap());
}

#[test]
fn questions_can_be_asked_for_with_their_answers() {
    let text = "title = \"T\"\ndescription = \"D\"\nformat = \"synth\"\nseed = 7\ntrain = 2\ntest = 3\n\
                questions_per_chart = 2\n";
    let asked = Benchmark::parse(text, "plain.toml").unwrap().data;
    let told = Benchmark::parse(
        &format!("{text}ask = \"questions-and-answers\"\n"),
        "told.toml",
    )
    .unwrap()
    .data;
    let both = Benchmark::parse(
        &format!("{text}ask = \"tables-and-questions\"\n"),
        "both.toml",
    )
    .unwrap()
    .data;
    let load = |spec: &QuestionSetSpec| chartbench_data::load(spec, None, Split::Test).unwrap();
    let (asked, both) = (load(&asked), load(&both));
    for (plain, both) in asked.charts.iter().zip(&both.charts) {
        let (told, table) = both.questions.split_at(2);
        for (plain, told) in plain.questions.iter().zip(told) {
            let expected = format!("{} {}", plain.text, plain.gold.text());
            assert_eq!(
                (&told.text, &told.gold),
                (&plain.text, &Gold::Text(expected))
            );
        }
        let [table] = table else {
            panic!("one table a chart")
        };
        assert!(table.gold.text().starts_with("TITLE | "));
    }
    for (plain, told) in asked.charts.iter().zip(&load(&told).charts) {
        let [first, second] = plain.questions.as_slice() else {
            panic!("two questions were asked for")
        };
        let [all] = told.questions.as_slice() else {
            panic!("one text a chart")
        };
        let expected = format!(
            "{} {} | {} {}",
            first.text,
            first.gold.text(),
            second.text,
            second.gold.text()
        );
        assert_eq!(all.gold, Gold::Text(expected));
        // The data behind a chart tell its slices.
        let slices = plain.chart.slices();
        assert!(
            ["yes", "no"].contains(&slices["negative values"].as_str()),
            "{slices:?}"
        );
    }
}

#[test]
fn generic_faults() {
    let load = |name: &str, content: &str| {
        let tree = Tree::new(&[(name, content), ("a.png", "")]);
        tree.fault("custom", name, Split::Test)
    };
    let csv = |content: &str| load("q.csv", content);
    let jsonl = |content: &str| load("q.jsonl", content);
    let row = r#"{"image": "a.png", "question": "Q?", "answer": "1", "id": 1}"#;
    let both = Tree::new(&[("questions.csv", CSV), ("questions.jsonl", row)]);
    let lines = [
        (
            "an empty folder",
            Tree::new(&[]).fault("custom", "", Split::Test),
        ),
        ("both files", both.fault("custom", "", Split::Test)),
        ("another extension", load("q.txt", row)),
        ("no such file", both.fault("custom", "q.csv", Split::Test)),
        (
            "no train questions",
            both.fault("custom", "questions.jsonl", Split::Train),
        ),
        ("csv: empty", csv("")),
        ("csv: header only", csv("image,question,answer\n")),
        ("csv: no answer column", csv("image,question\na.png,Q?\n")),
        (
            "csv: a misspelt column",
            csv("image,question,awnser\na.png,Q?,1\n"),
        ),
        (
            "csv: another spelling",
            csv("image,question,answer,Answer Type\na.png,Q?,1,string\n"),
        ),
        (
            "csv: one slice twice",
            csv("image,question,answer,a,slices.a\na.png,Q?,1,x,y\n"),
        ),
        (
            "csv: a column without a name",
            csv("image,question,answer,\na.png,Q?,1,0\n"),
        ),
        (
            "csv: a column twice",
            csv("image,question,answer,answer\na.png,Q?,1,2\n"),
        ),
        (
            "csv: a short row",
            csv("image,question,answer\na.png,\"Q\n?\",1\na.png,Q?\n"),
        ),
        (
            "csv: an id twice",
            csv("image,question,answer,id\na.png,Q?,1,x\na.png,Q?,1,y\na.png,Q?,1,x\n"),
        ),
        (
            "csv: an unknown split",
            csv("image,question,answer,split\na.png,Q?,1,dev\n"),
        ),
        (
            "csv: an unknown answer type",
            csv("image,question,answer,answer_type\na.png,Q?,1,text\n"),
        ),
        (
            "csv: two chart types",
            csv("image,question,answer,chart_type\na.png,Q?,1,line\na.png,Q?,1,\n"),
        ),
        ("csv: no image", csv("image,question,answer\nx.png,Q?,1\n")),
        (
            "csv: an empty image",
            csv("image,question,answer\r\n,Q?,1\r\n"),
        ),
        (
            "csv: no file's path",
            csv("image,question,answer\na.png,Q?,1\n..,Q?,1\n"),
        ),
        (
            "csv: an empty question",
            csv("image,question,answer\r\na.png,Q?,1\r\n\r\na.png,,1\r\n"),
        ),
        ("jsonl: cut", jsonl(&format!("{row}\n{}", &row[..30]))),
        (
            "jsonl: a missing key",
            jsonl(&format!(
                "{row}\n{}",
                row.replace(r#""question": "Q?", "#, "")
            )),
        ),
        ("jsonl: a wrong type", jsonl(&row.replace(r#""Q?""#, "[]"))),
        (
            "jsonl: another spelling",
            jsonl(&row.replace("\"id\"", "\"ID\"")),
        ),
        (
            "json: a wrong type",
            load(
                "q.json",
                &format!("[{row},\n{}]", row.replace(r#""Q?""#, "[]")),
            ),
        ),
        (
            "json: an id twice",
            load("q.json", &format!("[{row}, {row}]")),
        ),
        (
            "tsv: a short row",
            load("q.tsv", "image\tquestion\tanswer\na.png\tQ?\n"),
        ),
        (
            "csv: a data URL of text",
            csv("image,question,answer\n\"data:image/svg+xml,<svg/>\",Q?,1\n"),
        ),
        (
            "csv: broken base64",
            csv("image,question,answer\n\"data:image/png;base64,iVB!\",Q?,1\n"),
        ),
        ("jsonl: null", jsonl(&row.replace(r#""1""#, "null"))),
        ("jsonl: an id twice", jsonl(&format!("{row}\n\n{row}"))),
        (
            "no data",
            format!(
                "{:#}",
                chartbench_data::load(&Benchmark::find("custom").unwrap().data, None, Split::Test)
                    .unwrap_err()
            ),
        ),
    ];
    snapshot("generic_faults", &lines);
}

#[test]
fn the_draw_depends_on_the_chart_alone() {
    let tree = realcqa();
    let whole = tree.load("realcqa", Split::Test);
    let drawn = whole.clone().sample(2, 7);
    assert_eq!(drawn.len(), 3);
    let order = ids(&whole);
    let places: Vec<_> = ids(&drawn)
        .iter()
        .map(|id| order.iter().position(|other| other == id).unwrap())
        .collect();
    assert!(places.is_sorted());

    let mut alone = whole.clone();
    alone.charts.remove(0);
    alone.charts[0].questions.reverse();
    let mut alone = ids(&alone.sample(2, 7))
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>();
    alone.reverse();
    assert_eq!(alone, ids(&drawn)[1..]);
    let draws: std::collections::HashSet<_> = (0..20)
        .map(|seed| format!("{:?}", ids(&whole.clone().sample(2, seed))))
        .collect();
    assert!(draws.len() > 3, "{draws:?}");
    assert_eq!(ids(&whole.clone().sample(9, 7)), order);
    assert!(whole.sample(0, 7).is_empty());
}

#[test]
fn limit_takes_the_first_and_the_hash_tells_sets_apart() {
    let whole = realcqa().load("realcqa", Split::Test);
    let first = whole.clone().limit(3);
    assert_eq!(ids(&first), ids(&whole)[..3]);
    assert_eq!(
        (
            whole.clone().limit(1).charts.len(),
            whole.clone().limit(99).len()
        ),
        (1, 5)
    );
    let mut other = first.clone();
    assert_eq!(other.hash().unwrap(), first.hash().unwrap());
    other.charts[0].questions[0].gold = Gold::List(vec![Gold::from("x, y")]);
    assert_ne!(other.hash().unwrap(), first.hash().unwrap());
    assert_ne!(whole.hash().unwrap(), first.hash().unwrap());
}

/// More charts than a piece has, a question each; every seventh has two.
fn many() -> Tree {
    let tree = Tree::new(&[]);
    let names: Vec<String> = (0..150).map(|chart| format!("PMC{chart:03}")).collect();
    for (place, name) in names.iter().enumerate() {
        let record = |id: usize| {
            format!(
                r#"{{"taxonomy id": "1.1", "QID": "1", "question": "{name} {id}?", "answer": "{place}",
                "answer_type": "String", "qa_id": "{id}", "PMC_ID": "{name}"}}"#
            )
        };
        let records: Vec<String> = (0..1 + usize::from(place % 7 == 0)).map(record).collect();
        tree.write(
            &format!("qa/{name}.json"),
            format!("[{}]", records.join(",")).as_bytes(),
        );
    }
    tree.write("images/PMC000.jpg", b"");
    tree.write("test_filenames.txt", names.join("\n").as_bytes());
    tree
}

#[test]
fn a_stream_gives_what_is_loaded_each_time() {
    let tree = many();
    let realcqa = Benchmark::find("realcqa").unwrap().data;
    let [mini, tables] = ["mini", "mini-tables"].map(|name| Benchmark::find(name).unwrap().data);
    let draw = |spec: &QuestionSetSpec| QuestionSetSpec {
        questions: Questions::PerChart { count: 1, seed: 3 },
        hash: None,
        ..spec.clone()
    };
    let recited = QuestionSetSpec {
        ask: Ask::QuestionsAndAnswers,
        ..realcqa.clone()
    };
    for (benchmark, data) in [(&realcqa, Some(tree.path())), (&mini, None)] {
        let drawn = chartbench_data::load(&draw(benchmark), data, Split::Test).unwrap();
        let sampled = chartbench_data::load(benchmark, data, Split::Test)
            .unwrap()
            .sample(1, 3);
        assert_eq!(drawn.hash().unwrap(), sampled.hash().unwrap());
        assert!(
            drawn.len()
                < chartbench_data::load(benchmark, data, Split::Test)
                    .unwrap()
                    .len()
        );
    }
    let folder = Some(tree.path());
    let all = [
        (&realcqa, folder),
        (&draw(&realcqa), folder),
        (&recited, folder),
        (&draw(&mini), None),
        (&tables, None),
    ];
    for (benchmark, data) in all {
        let open = || QuestionStream::open(benchmark, data, Split::Test).unwrap();
        let whole = chartbench_data::load(benchmark, data, Split::Test).unwrap();
        for limit in [1, 64, 65, 100, whole.len(), whole.len() + 1] {
            let (limited, stream) = (whole.clone().limit(limit), open().limit(limit));
            for _ in 0..2 {
                let charts: Vec<_> = stream.chunks().flat_map(Result::unwrap).collect();
                assert!(charts.iter().all(|entry| !entry.questions.is_empty()));
                let streamed = QuestionSet {
                    benchmark: whole.benchmark.clone(),
                    charts,
                };
                assert_eq!(
                    streamed.hash().unwrap(),
                    limited.hash().unwrap(),
                    "{limit} of {}",
                    benchmark.name
                );
            }
            let survey = stream.summarize().unwrap();
            let told = (limited.charts.len(), limited.len(), limited.hash().unwrap());
            assert_eq!((survey.charts, survey.questions, survey.hash), told);
            assert_eq!(survey.only_tables, benchmark.name == "mini-tables");
        }
    }
}

#[test]
fn a_stream_that_breaks_names_the_file_where_it_does() {
    let tree = many();
    let stream = QuestionStream::open(
        &Benchmark::find("realcqa").unwrap().data,
        Some(tree.path()),
        Split::Test,
    )
    .unwrap();
    tree.write("qa/PMC100.json", b"[{}]");
    let pieces: Vec<_> = stream.chunks().collect();
    assert_eq!(
        pieces.iter().map(Result::is_ok).collect::<Vec<_>>(),
        [true, false, true]
    );
    let error = format!("{:#}", pieces[1].as_ref().unwrap_err());
    assert!(error.contains("PMC100.json"), "{error}");
    assert!(stream.summarize().is_err());
}

#[test]
fn what_is_asked_is_what_was_surveyed() {
    let tree = many();
    let stream = QuestionStream::open(
        &Benchmark::find("realcqa").unwrap().data,
        Some(tree.path()),
        Split::Test,
    )
    .unwrap();
    stream.summarize().unwrap();
    assert!(stream.chunks().all(|piece| piece.is_ok()));
    let path = tree.path().join("qa/PMC100.json");
    let text = fs::read_to_string(&path).unwrap();
    fs::write(
        &path,
        text.replace("\"answer\": \"100\"", "\"answer\": \"101\""),
    )
    .unwrap();
    let pieces: Vec<_> = stream.chunks().collect();
    assert_eq!(
        pieces.iter().map(Result::is_ok).collect::<Vec<_>>(),
        [true, false, true]
    );
    let error = pieces[1].as_ref().unwrap_err().to_string();
    assert!(
        error.contains("on charts 65 to 128 are no longer those"),
        "{error}"
    );
}

#[test]
fn a_pinned_set_is_checked() {
    let tree = realcqa();
    let text = "title = \"T\"\ndescription = \"D\"\nformat = \"realcqa\"\nquestions = { per_chart = 1, seed = 3 }\n";
    let benchmark = Benchmark::parse(text, "mine.toml").unwrap().data;
    let set = chartbench_data::load(&benchmark, Some(tree.path()), Split::Test).unwrap();
    assert_eq!((set.len(), set.benchmark.as_str()), (2, "mine"));
    let hash = set.hash().unwrap();
    let pinned = Benchmark::parse(&format!("{text}hash = \"{hash}\""), "mine.toml")
        .unwrap()
        .data;
    assert_eq!(
        chartbench_data::load(&pinned, Some(tree.path()), Split::Test)
            .unwrap()
            .len(),
        2
    );
    tree.write("qa/PMC1-a.json", QA_A.replace("A?", "B?").as_bytes());
    let error = chartbench_data::load(&pinned, Some(tree.path()), Split::Test)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains(&hash) && error.contains("2 questions"),
        "{error}"
    );
    // Though only the first question is asked, which is the same.
    let stream = QuestionStream::open(&pinned, Some(tree.path()), Split::Test)
        .unwrap()
        .limit(1);
    assert_eq!(stream.summarize().unwrap_err().to_string(), error);
}
