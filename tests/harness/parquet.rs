//! Data sets as parquet in Hugging Face's layout, and VLMEvalKit's TSV: what pyarrow wrote is read,
//! images on demand, and damaged files give one line.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use chartbench::config::Benchmark;
use chartbench_core::question::{Gold, ImageRef, Question, QuestionSet, QuestionSource, YearFlags};
use chartbench_data::lint::DataSet;
use chartbench_data::{Format, QuestionSetSpec, QuestionStream, Split};
use tempfile::TempDir;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures/parquet")
        .join(name)
}

/// A benchmark of this format with these tables.
fn benchmark(format: &str, tables: &str) -> QuestionSetSpec {
    let text = format!("title = \"T\"\ndescription = \"D\"\nformat = \"{format}\"\n{tables}");
    Benchmark::parse(&text, "mine.toml").unwrap().data
}

const LMMS_LAB: &str = r#"
[columns]
image = "image"
question = "question"
answer = "answer"
source = "type"
[columns.names]
type = { human_test = "human", augmented_test = "augmented" }
"#;
const HUGGING_FACE_M4: &str = r#"
[columns]
image = "image"
question = "query"
answer = "label"
answers = "first"
source = "human_or_machine"
[columns.names]
human_or_machine = { machine = "augmented" }
[files]
test = ["data/test-*.parquet"]
train = ["data/train-*.parquet"]
"#;
const AHMED_MASRY: &str = r#"
[columns]
image = "image"
question = "query"
answer = "label"
chart = "imgname"
source = "type"
"#;
const CHARTQAPRO: &str = r#"
[columns]
image = "image"
question = "Question"
answer = "Answer"
paragraph = "Paragraph"
slices = ["Question Type", "Year"]
"#;

fn load(spec: &QuestionSetSpec, path: &Path, split: Split) -> (QuestionSet, Vec<String>) {
    chartbench_data::load_with_notes(spec, Some(path), split).unwrap()
}

/// The error of loading, with `folder` called DIR.
fn fault(spec: &QuestionSetSpec, path: &Path, folder: &Path) -> String {
    let error = chartbench_data::load(spec, Some(path), Split::Test).unwrap_err();
    let line = format!("{error:#}").replace(folder.to_str().unwrap(), "DIR");
    assert!(!line.contains('\n') && line.len() < 1000, "{line}");
    line
}

/// Each question with its gold, its source and its image, sorted.
fn contents(set: &QuestionSet) -> BTreeSet<(String, String, Option<String>, Vec<u8>)> {
    let entries = set.iter().map(|(chart, question)| {
        let image = chart.image.bytes().unwrap();
        let gold = question.gold.text().into_owned();
        (question.text.clone(), gold, question.source.clone(), image)
    });
    entries.collect()
}

fn all(set: &QuestionSet) -> Vec<&Question> {
    set.iter().map(|(_, question)| question).collect()
}

#[test]
fn three_copies_of_chartqa_hold_the_same_questions() {
    let copies = [
        ("lmms-lab", LMMS_LAB),
        ("HuggingFaceM4", HUGGING_FACE_M4),
        ("ahmed-masry", AHMED_MASRY),
    ];
    let sets = copies.map(|(name, columns)| {
        let (set, notes) = load(&benchmark("parquet", columns), &fixture(name), Split::Test);
        assert_eq!(notes, [""; 0], "{name}");
        assert_eq!((set.charts.len(), set.len()), (3, 8), "{name}");
        set
    });
    let [first, second, third] = &sets;
    assert_eq!(contents(first).len(), 8);
    assert_eq!(contents(first), contents(second));
    assert_eq!(contents(first), contents(third));
    assert!(
        all(first).iter().all(|question| matches!(
            (question.source.as_deref(), &question.gold),
            (Some("human" | "augmented"), Gold::Text(_))
        )),
        "{first:?}"
    );
    // Charts without a name are called by their images, the same in every copy.
    let charts = |set: &QuestionSet| -> Vec<String> {
        set.charts
            .iter()
            .map(|chart| chart.chart.id.clone())
            .collect()
    };
    assert_eq!(charts(first), charts(second));
    assert!(charts(first).iter().all(|id| id.len() == 32), "{first:?}");
    assert_eq!(charts(third), ["bars_1.png", "bars_2.png", "bars_3.png"]);
    assert_eq!(all(third)[0].id, "bars_1.png-0");
    assert_eq!(all(third)[1].id, "bars_1.png-2");
    let ids: BTreeSet<&str> = all(second)
        .iter()
        .map(|question| question.id.as_str())
        .collect();
    assert_eq!(ids.len(), 8, "rows are numbered through both files");

    let train = load(
        &benchmark("parquet", HUGGING_FACE_M4),
        &fixture("HuggingFaceM4"),
        Split::Train,
    );
    assert_eq!(train.0.len(), 1);
}

#[test]
fn a_benchmark_of_another_layout_reads_its_copy_as_parquet() {
    let spec = benchmark("chartqa", AHMED_MASRY);
    let parquet = fixture("ahmed-masry");
    assert_eq!(spec.format_at(Some(&parquet)), Format::Parquet);
    assert_eq!(load(&spec, &parquet, Split::Test).0.len(), 8);
    let one = fixture("ahmed-masry/data/test-00000-of-00001.parquet");
    assert_eq!(
        load(&spec, &one, Split::Test).0.hash().unwrap(),
        load(&spec, &parquet, Split::Test).0.hash().unwrap()
    );

    let own = TempDir::new().unwrap();
    fs::create_dir(own.path().join("png")).unwrap();
    fs::write(own.path().join("png/a.png"), "").unwrap();
    let records = r#"[{"imgname": "a.png", "query": "A?", "label": "1"}]"#;
    fs::write(own.path().join("test_human.json"), records).unwrap();
    assert_eq!(spec.format_at(Some(own.path())), Format::ChartQa);
    let (set, notes) = load(&spec, own.path(), Split::Test);
    assert_eq!(all(&set)[0].id, "human/0");
    assert!(
        notes[0].contains("test_augmented.json is not there"),
        "{notes:?}"
    );
    // Without [columns] the benchmark reads its own layout only.
    let plain = benchmark("chartqa", "");
    assert_eq!(plain.format_at(Some(&parquet)), Format::ChartQa);
}

#[test]
fn chartqapro_comes_with_its_turns_and_flags() {
    let spec = benchmark("parquet", CHARTQAPRO);
    let (set, notes) = load(&spec, &fixture("ChartQAPro"), Split::Test);
    assert_eq!(notes, [""; 0]);
    let conversation = all(&set)
        .into_iter()
        .find(|question| question.text == "In which year?")
        .unwrap();
    assert_eq!(conversation.gold, Gold::from("2019"));
    let flags = |question: &Question| {
        let flags = YearFlags::from_slices(|name| question.slices.get(name).map(String::as_str));
        [0, 1].map(|element| flags.is_year(element))
    };
    assert_eq!(flags(conversation), [true; 2], "the flag of the last turn");
    let history = &conversation.context.as_ref().unwrap().history;
    let turns: Vec<_> = history
        .iter()
        .map(|turn| (turn.question.as_str(), turn.answer.clone()))
        .collect();
    assert_eq!(
        turns,
        [
            ("How many bars are there?", Some("2".into())),
            ("Which is taller?", Some("the second".into()))
        ]
    );
    let single = |kind: &str| {
        all(&set)
            .into_iter()
            .find(|question| question.slices["Question Type"] == kind)
            .unwrap()
    };
    assert!(single("Factoid").context.is_none());
    let choice = single("Multi Choice").context.as_ref().unwrap();
    assert_eq!(choice.paragraph, "A paragraph.");
    assert_eq!(single("Hypothetical").gold, Gold::from("[12, 16]"));
    assert_eq!(single("Hypothetical").slices["Year"], "NO, NO");

    // The context can change an answer: it is part of the hash. Without one the hash is as before.
    let without = |remove: fn(&mut Question)| {
        let mut other = set.clone();
        let questions = other
            .charts
            .iter_mut()
            .flat_map(|chart| &mut chart.questions);
        questions.for_each(remove);
        other.hash().unwrap()
    };
    assert_eq!(without(|_| {}), set.hash().unwrap());
    assert_ne!(
        without(|question| question.context = None),
        set.hash().unwrap()
    );
}

#[test]
fn images_may_be_files_beside_the_table() {
    let tables = r#"
[columns]
image = "image"
question = "question"
answer = "answer"
slices = ["reasoning_type"]
"#;
    let spec = benchmark("parquet", tables);
    let (set, _) = load(&spec, &fixture("ChartMuseum"), Split::Test);
    assert_eq!((set.charts.len(), set.len()), (3, 6));
    let chart = &set.charts[0].chart;
    assert_eq!(chart.id, "images/bars_1.png");
    assert!(matches!(&chart.image, ImageRef::File(file) if file.ends_with("images/bars_1.png")));
    assert_eq!(all(&set)[0].slices["reasoning_type"], "text");
    let bytes = fs::read(fixture("ChartMuseum/images/bars_1.png")).unwrap();
    assert_eq!(chart.image.bytes().unwrap(), bytes);
    // From the file itself the images are found beside its folder.
    let one = fixture("ChartMuseum/data/test-00000-of-00001.parquet");
    let (set, _) = load(&spec, &one, Split::Test);
    assert_eq!(set.charts[0].chart.image.bytes().unwrap(), bytes);

    let moved = TempDir::new().unwrap();
    fs::copy(one, moved.path().join("test.parquet")).unwrap();
    let line = fault(&spec, moved.path(), moved.path());
    assert_eq!(
        line,
        "none of the chart images is there; the first should be DIR/images/bars_1.png"
    );
}

#[test]
fn a_row_may_hold_a_list_of_questions() {
    let tables = "
[columns]
image = \"image\"
question = \"qa\"
[files]
test = [\"data/train-*.parquet\"]
";
    let (set, _) = load(
        &benchmark("parquet", tables),
        &fixture("FigureQA"),
        Split::Test,
    );
    assert_eq!((set.charts.len(), set.len()), (3, 5));
    let second = &set.charts[0].questions[1];
    assert_eq!(second.text, "Is the second bar the tallest?");
    assert_eq!(second.gold, Gold::from("Yes"));
    let chart = &set.charts[0].chart.id;
    assert_eq!(second.id, format!("{chart}-0/1"));
}

#[test]
fn columns_are_guessed_without_a_benchmark() {
    let custom = Benchmark::find("custom").unwrap().data;
    for (name, charts, questions, guessed) in [
        (
            "lmms-lab",
            3,
            8,
            "image = image, question = question, answer = answer;",
        ),
        (
            "HuggingFaceM4",
            3,
            8,
            "image = image, question = query, answer = label;",
        ),
        ("ahmed-masry", 3, 8, "answer = label, chart = imgname"),
        (
            "ChartQAPro",
            3,
            5,
            "question = Question, answer = Answer, paragraph = Paragraph;",
        ),
        ("ChartMuseum", 3, 6, "source = source"),
    ] {
        let (set, notes) = load(&custom, &fixture(name), Split::Test);
        assert_eq!((set.charts.len(), set.len()), (charts, questions), "{name}");
        assert!(
            notes[0].starts_with("columns guessed by their names"),
            "{notes:?}"
        );
        assert!(notes[0].contains(guessed), "{notes:?}");
    }
    let (set, _) = load(&custom, &fixture("HuggingFaceM4"), Split::Test);
    assert_eq!(
        all(&set)[0].slices["human_or_machine"],
        "human",
        "a class label's name"
    );
    assert_eq!(all(&set)[0].gold, Gold::List(vec!["3".into()]));

    let one = fixture("FigureQA/data/train-00000-of-00001.parquet");
    assert_eq!(
        load(&custom, &one, Split::Test).0.len(),
        5,
        "a file is the test split"
    );
}

#[test]
fn what_real_copies_get_wrong_is_counted() {
    let tables = "[columns]\nimage = \"image\"\nquestion = \"question\"\nanswer = \"answer\"\n";
    let spec = benchmark("parquet", tables);
    let stream = QuestionStream::open(&spec, Some(&fixture("faults")), Split::Test).unwrap();
    let notes = stream.notes();
    let line = |what: &str| notes.iter().find(|line| line.starts_with(what)).unwrap();
    assert_eq!(notes.len(), 3, "{notes:?}");
    assert!(
        line("files without any record, passed over: 2, first ")
            .ends_with("00001-of-00003.parquet")
    );
    assert!(line("questions without an answer").ends_with(": 2, first row 2"));
    assert!(line("records without a question").ends_with(": 1, first row 4"));
    let charts: Vec<_> = stream.chunks().flat_map(Result::unwrap).collect();
    let golds: Vec<_> = charts
        .iter()
        .flat_map(|chart| &chart.questions)
        .map(|question| question.gold.text().into_owned())
        .collect();
    assert_eq!(golds, ["1.0", "2.5", "1000.0"]);
    // A row without an image fails when it is asked, and only then.
    let error = charts[1].chart.image.bytes().unwrap_err();
    assert!(
        format!("{error:#}").ends_with("the row has no image"),
        "{error:#}"
    );
}

#[test]
fn images_are_those_of_their_rows_in_any_order() {
    let custom = Benchmark::find("custom").unwrap().data;
    let (set, _) = load(&custom, &fixture("many"), Split::Test);
    assert_eq!((set.charts.len(), set.len()), (150, 150));
    assert_eq!(set.charts[1].questions[0].gold, Gold::from("False"));
    let order = (0..150)
        .chain((0..150).rev())
        .chain((0..150).map(|row| row * 67 % 150));
    for row in order {
        let chart = &set.charts[row];
        assert!(chart.questions[0].id.ends_with(&format!("-{row}")));
        let bytes = chart.chart.image.bytes().unwrap();
        assert_eq!(String::from_utf8(bytes).unwrap(), format!("image {row:03}"));
    }
    assert_eq!(
        set.charts[149].chart.id, "beside.png",
        "a row may name a file"
    );
}

#[test]
fn rows_with_an_id_that_another_has_get_one_of_their_own() {
    let tables = "[columns]\nimage = \"image\"\nquestion = \"query\"\nanswer = \"label\"\nid = \"imgname\"\n";
    let (set, notes) = load(
        &benchmark("parquet", tables),
        &fixture("ahmed-masry"),
        Split::Test,
    );
    let ids: BTreeSet<&str> = all(&set)
        .iter()
        .map(|question| question.id.as_str())
        .collect();
    assert_eq!(ids.len(), 8);
    assert!(
        ids.contains("bars_1.png") && ids.contains("bars_1.png-2"),
        "{ids:?}"
    );
    assert_eq!(notes.len(), 1);
    assert!(
        notes[0].contains(": 5, first `bars_1.png` in row 2"),
        "{notes:?}"
    );
}

#[test]
fn faults_of_parquet_files_are_one_line() {
    let folder = TempDir::new().unwrap();
    let put = |content: &[u8]| {
        fs::write(folder.path().join("test.parquet"), content).unwrap();
        fault(
            &benchmark("parquet", LMMS_LAB),
            folder.path(),
            folder.path(),
        )
    };
    let whole = fs::read(fixture("lmms-lab/data/test-00000-of-00001.parquet")).unwrap();
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 72600000\n";
    assert!(put(pointer).contains("DIR/test.parquet: it is a Git LFS pointer"));
    assert!(put(b"question,answer\n").contains("DIR/test.parquet: it is not a parquet file"));
    assert!(put(&whole[..whole.len() - 5]).contains("is it cut short?"));
    let mut long = whole.clone();
    let length = long.len();
    long[length - 8..length - 4].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(put(&long).contains("its footer of 4294967295 bytes is too long"));
    assert_eq!(
        fault(
            &benchmark("parquet", AHMED_MASRY),
            &fixture("lmms-lab"),
            &fixture("")
        ),
        "DIRlmms-lab/data/test-00000-of-00001.parquet: no column is called `query`; columns are type, question, answer, image"
    );
    let gzip = fault(
        &benchmark(
            "parquet",
            "[columns]\nimage = \"image\"\nquestion = \"question\"\nanswer = \"answer\"\n",
        ),
        &fixture("faults/gzip.parquet"),
        &fixture(""),
    );
    assert!(
        gzip.contains("is compressed by GZIP") && gzip.contains("snappy or zstd"),
        "{gzip}"
    );
    let nothing = TempDir::new().unwrap();
    let line = fault(
        &benchmark("parquet", LMMS_LAB),
        nothing.path(),
        nothing.path(),
    );
    assert!(
        line.starts_with("DIR: no parquet files of the test split are there"),
        "{line}"
    );
}

/// Damaged files are read or refused in one line, never with a panic.
#[test]
fn damaged_parquet_files_do_no_harm() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("test.parquet");
    let custom = Benchmark::find("custom").unwrap().data;
    for name in [
        "ahmed-masry/data/test-00000-of-00001.parquet",
        "ChartQAPro/data/test-00000-of-00001.parquet",
        "HuggingFaceM4/data/test-00000-of-00002-e2cd0b7a0f9eb20d.parquet",
    ] {
        let whole = fs::read(fixture(name)).unwrap();
        for place in (0..whole.len()).step_by(whole.len() / 300 + 1) {
            for flip in [0x01, 0x80, 0xff] {
                let mut damaged = whole.clone();
                damaged[place] ^= flip;
                fs::write(&path, &damaged).unwrap();
                match chartbench_data::load(&custom, Some(&path), Split::Test) {
                    Ok(set) => set.charts.iter().for_each(|chart| {
                        let _ = chart.chart.image.bytes();
                    }),
                    Err(error) => {
                        let line = format!("{error:#}");
                        assert!(!line.contains('\n') && line.len() < 2000, "{line}");
                    }
                }
            }
        }
    }
}

#[test]
fn vlmevalkits_tsv_is_read_and_its_images_stay_in_the_file() {
    let path = fixture("VLMEvalKit/ChartQA_TEST.tsv");
    let custom = Benchmark::find("custom").unwrap().data;
    let (set, _) = load(&custom, &path, Split::Test);
    assert_eq!(
        (set.charts.len(), set.len()),
        (3, 8),
        "a row may name the row that has its image"
    );
    let (parquet, _) = load(
        &benchmark("parquet", LMMS_LAB),
        &fixture("lmms-lab"),
        Split::Test,
    );
    let images = |set: &QuestionSet| -> BTreeSet<Vec<u8>> {
        set.charts
            .iter()
            .map(|chart| chart.chart.image.bytes().unwrap())
            .collect()
    };
    assert_eq!(images(&set), images(&parquet));
    let by_id = |id: &str| {
        all(&set)
            .into_iter()
            .find(|question| question.id == id)
            .unwrap()
    };
    assert_eq!(
        by_id("2").gold,
        Gold::List(vec!["the second".into(), "7".into()])
    );
    assert_eq!(by_id("3").gold, Gold::from("19"));
    assert_eq!(by_id("7").source.as_deref(), Some("augmented"));
    assert_eq!(by_id("7").slices["category"], "bars");

    // An image is read when it is asked for: by then the file must be the same.
    let folder = TempDir::new().unwrap();
    let copy = folder.path().join("q.tsv");
    fs::copy(&path, &copy).unwrap();
    let (set, _) = load(&custom, &copy, Split::Test);
    let text = fs::read_to_string(&copy).unwrap();
    fs::write(
        &copy,
        text.replace(
            "iVBORw0KGgoAAAANSUhEUgAAAGAAAABAC",
            "iVBORw0KGgoAAAANSUhEUgAAAGAAAABBC",
        ),
    )
    .unwrap();
    let error = set.charts[0].chart.image.bytes().unwrap_err();
    assert!(
        format!("{error:#}").contains("was changed since it was opened"),
        "{error:#}"
    );
}

#[test]
fn a_tsv_may_name_its_images_by_path() {
    let folder = TempDir::new().unwrap();
    let text =
        "index\timage_path\tquestion\tanswer\n0\ta.png\tA?\t1\n1\t['a.png', 'b.png']\tB?\t2\n";
    fs::write(folder.path().join("questions.tsv"), text).unwrap();
    fs::write(folder.path().join("A.PNG"), "").unwrap();
    let custom = Benchmark::find("custom").unwrap().data;
    let (set, notes) = load(&custom, folder.path(), Split::Test);
    assert_eq!((set.charts.len(), set.len()), (1, 2));
    assert!(all(&set)[0].slices.is_empty(), "a path is no slice");
    assert_eq!(notes.len(), 2, "{notes:?}");
    assert!(
        notes
            .iter()
            .any(|line| line.starts_with("images found under their name in another case: 1"))
    );
    assert!(
        notes
            .iter()
            .any(|line| line.contains("several images") && line.ends_with(": 1, first line 3"))
    );
}

fn chartbench(arguments: &[&str], folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_chartbench"))
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap()
}

#[test]
fn commands_take_every_form_and_say_what_they_left_out() {
    let folder = TempDir::new().unwrap();
    for name in [
        "lmms-lab",
        "HuggingFaceM4",
        "ahmed-masry",
        "ChartQAPro",
        "ChartMuseum",
    ] {
        let report = DataSet::load(&fixture(name), None, false)
            .unwrap()
            .check(Some(&|| {}));
        assert_eq!(report.layout, Some("parquet"), "{name}");
        assert!(report.usable, "{name}: {:?}", report.findings);
    }
    let faults = fixture("faults");
    let output = chartbench(&["data", "check", faults.to_str().unwrap()], folder.path());
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        output.status.code(),
        Some(1),
        "a row has no image: {stderr}"
    );
    assert!(
        stderr
            .contains("note: questions without an answer (null or NaN), left out: 2, first row 2"),
        "{stderr}"
    );

    let benchmark = folder.path().join("mine.toml");
    let text =
        format!("title = \"T\"\ndescription = \"D\"\nformat = \"parquet\"\n{HUGGING_FACE_M4}");
    fs::write(&benchmark, text).unwrap();
    let data = fixture("HuggingFaceM4");
    let arguments = [
        "run",
        "--adapters",
        "majority",
        "--benchmark",
        "mine.toml",
        "--data",
        data.to_str().unwrap(),
        "--name",
        "m",
    ];
    let output = chartbench(&arguments, folder.path());
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    let stored =
        fs::read_to_string(folder.path().join("results/m/majority/predictions.jsonl")).unwrap();
    assert_eq!(stored.lines().count(), 8);

    let one = fixture("faults/test-00000-of-00003.parquet");
    let arguments = [
        "run",
        "--adapters",
        "majority",
        "--dry-run",
        "--data",
        one.to_str().unwrap(),
    ];
    let output = chartbench(&arguments, folder.path());
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        stderr.contains("note: columns guessed by their names: image = image"),
        "{stderr}"
    );
}
