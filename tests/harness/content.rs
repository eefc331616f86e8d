//! The content hash, and `compare` of runs on one data set from two sources: other ids, another
//! order, other encodings of the same pixels.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use chartbench::config::Benchmark;
use chartbench_data::Split;
use chartbench_data::lint::DataSet;
use image::{ImageFormat, Rgb, RgbImage};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Test charts; as many more are for training.
const CHARTS: u8 = 12;

/// Blocks of colours that no other chart has: near copies would be found.
fn picture(chart: u8) -> RgbImage {
    let block = |x: u32, y: u32| {
        let mut bits = (u32::from(chart) + 1).wrapping_mul(0x9E37_79B1)
            ^ (x / 8 + 1).wrapping_mul(0x85EB_CA77)
            ^ (y / 6 + 1).wrapping_mul(0xC2B2_AE3D);
        bits = (bits ^ (bits >> 15)).wrapping_mul(0x2C1B_3C6D);
        bits ^ (bits >> 12)
    };
    RgbImage::from_fn(40, 30, |x, y| {
        let [red, green, blue, _] = block(x, y).to_le_bytes();
        Rgb([red, green, blue])
    })
}

/// The questions about a chart and their answers; the second is asked twice.
fn questions(chart: u8) -> [(String, String); 4] {
    let text = |text: &str| text.to_owned();
    let high = if chart.is_multiple_of(4) { "no" } else { "yes" };
    [
        (text("Is it high?"), text(high)),
        (text("How many bars?"), text("3")),
        (text("How many bars?"), text("3")),
        (text("Which one?"), format!("bar {chart}")),
    ]
}

/// A source of the same data set.
struct Source {
    /// What ids and names of pictures begin with.
    prefix: &'static str,
    format: ImageFormat,
    /// The pictures' extension, which need not be that of their format.
    extension: &'static str,
    reversed: bool,
    /// Answers as lists of one item, as some sources have them.
    lists: bool,
    /// A column more, which is no content.
    department: bool,
}

const FIRST: Source = Source {
    prefix: "a",
    format: ImageFormat::Png,
    extension: "png",
    reversed: false,
    lists: false,
    department: false,
};

const SECOND: Source = Source {
    prefix: "other-",
    format: ImageFormat::Bmp,
    extension: "bmp",
    reversed: true,
    lists: true,
    department: true,
};

impl Source {
    /// The rows of the question file, the test questions first.
    fn rows(&self) -> Vec<Value> {
        let mut rows = Vec::new();
        for (split, charts) in [("test", 0..CHARTS), ("train", CHARTS..2 * CHARTS)] {
            for chart in charts {
                let mut asked: Vec<_> = questions(chart).into_iter().enumerate().collect();
                if self.reversed {
                    asked.reverse();
                }
                for (number, (question, answer)) in asked {
                    let answer = if self.lists {
                        json!([answer])
                    } else {
                        json!(answer)
                    };
                    let mut row = json!({
                        "id": format!("{}{chart}-{number}", self.prefix),
                        "image": format!("{}{chart}.{}", self.prefix, self.extension),
                        "question": question, "answer": answer, "split": split,
                    });
                    if self.department {
                        row["department"] = json!(format!("d{}", chart % 2));
                    }
                    rows.push(row);
                }
            }
        }
        if self.reversed {
            rows.reverse();
        }
        rows
    }

    /// Writes the data set into `dir`, after `change` of its rows and pictures.
    fn write(&self, dir: &Path, change: impl Fn(&mut Value), pixel: impl Fn(u8, &mut RgbImage)) {
        fs::create_dir_all(dir).unwrap();
        let mut rows = self.rows();
        rows.iter_mut().for_each(change);
        let lines: Vec<String> = rows.iter().map(Value::to_string).collect();
        fs::write(dir.join("questions.jsonl"), lines.join("\n")).unwrap();
        for chart in 0..2 * CHARTS {
            let mut image = picture(chart);
            pixel(chart, &mut image);
            let name = format!("{}{chart}.{}", self.prefix, self.extension);
            image.save_with_format(dir.join(name), self.format).unwrap();
        }
    }
}

/// A folder of data sets and runs.
struct Scratch(TempDir);

impl Scratch {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a source as it is.
    fn data(&self, name: &str, source: &Source) {
        source.write(&self.path(name), |_| (), |_, _| ());
    }

    fn chartbench(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_chartbench"))
            .args(arguments)
            .current_dir(self.0.path())
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    #[track_caller]
    fn done(&self, arguments: &[&str]) -> String {
        let output = self.chartbench(arguments);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {stderr}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// The one line of a command that ends with exit code 2.
    #[track_caller]
    fn refused(&self, arguments: &[&str]) -> String {
        let output = self.chartbench(arguments);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {stderr}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
        let line = stderr.trim_end();
        assert_eq!(line.lines().count(), 1, "{stderr}");
        line.strip_prefix("error: ").unwrap().to_owned()
    }

    /// Asks both blind rows the questions of a data set.
    fn run(&self, data: &str, name: &str, more: &[&str]) {
        let arguments = [
            "run",
            "--adapters",
            "majority,question-prior",
            "--data",
            data,
        ];
        self.done(&[&arguments[..], &["--name", name], more].concat());
    }

    /// The JSON of a comparison.
    #[track_caller]
    fn compared(&self, before: &str, after: &str) -> Value {
        let text = self.done(&["compare", before, after, "--format", "json"]);
        serde_json::from_str(&text).unwrap()
    }

    /// The content hash that `data check` reports.
    #[track_caller]
    fn content_hash(&self, data: &str) -> String {
        let report = DataSet::load(&self.path(data), None, false)
            .unwrap()
            .check(Some(&|| {}));
        let content = report.content.unwrap();
        assert_eq!(
            (content.questions, content.undecoded),
            (4 * usize::from(CHARTS), 0)
        );
        content.content_hash.unwrap()
    }
}

/// The frozen hash of the test questions.
fn question_hash(data: &Path) -> String {
    let spec = Benchmark::find("custom").unwrap().data;
    let set = chartbench_data::load(&spec, Some(data), Split::Test).unwrap();
    set.hash().unwrap()
}

#[test]
fn one_data_set_from_two_sources_has_one_content_hash() {
    let scratch = Scratch::new();
    scratch.data("first", &FIRST);
    scratch.data("second", &SECOND);
    let hash = scratch.content_hash("first");
    assert_eq!(scratch.content_hash("second"), hash);
    assert_ne!(
        question_hash(&scratch.path("first")),
        question_hash(&scratch.path("second")),
        "the hash of the question set is of ids and order, too"
    );

    let text = scratch.done(&["data", "check", "first"]);
    let line = format!("content_hash of the test questions (text, gold, pixels):\n  {hash}\n");
    assert!(text.contains(&line), "{text}");
    let json = scratch.done(&["data", "check", "second", "--format", "json"]);
    let report: Value = serde_json::from_str(&json).unwrap();
    let questions = 4 * u32::from(CHARTS);
    let content = json!({"questions": questions, "undecoded": 0, "content_hash": hash});
    assert_eq!(report["content"], content);
    let json = scratch.done(&["data", "check", "second", "--format", "json", "--no-images"]);
    let report: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(report["content"], Value::Null);
}

/// The benchmarks of ChartQA's three copies on the hub, on small files in the layout of each.
#[test]
fn three_copies_of_chartqa_have_one_content_hash() {
    let hashes: Vec<String> = [
        ("chartqa", "ahmed-masry"),
        ("chartqa-lmms-lab", "lmms-lab"),
        ("chartqa-m4", "HuggingFaceM4"),
    ]
    .map(|(benchmark, copy)| {
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/parquet");
        let spec = Benchmark::find(benchmark).unwrap().data;
        let data = DataSet::load_as(&fixtures.join(copy), spec).unwrap();
        let content = data.check(Some(&|| {})).content.unwrap();
        assert_eq!((content.questions, content.undecoded), (8, 0), "{copy}");
        content.content_hash.unwrap()
    })
    .into();
    assert!(
        hashes.windows(2).all(|pair| pair[0] == pair[1]),
        "{hashes:?}"
    );
}

#[test]
fn another_pixel_gold_or_text_is_another_content() {
    let scratch = Scratch::new();
    scratch.data("first", &FIRST);
    let hash = scratch.content_hash("first");
    let id = |row: &Value, id: &str| row["id"] == format!("{}{id}", SECOND.prefix);
    let nothing = |_: u8, _: &mut RgbImage| ();
    SECOND.write(
        &scratch.path("gold"),
        |row| {
            if id(row, "3-3") {
                row["answer"] = json!("bar 3.");
            }
        },
        nothing,
    );
    SECOND.write(
        &scratch.path("text"),
        |row| {
            if id(row, "3-3") {
                row["question"] = json!("Which one ?");
            }
        },
        nothing,
    );
    SECOND.write(
        &scratch.path("pixel"),
        |_| (),
        |chart, image| {
            if chart == 3 {
                image.put_pixel(39, 29, Rgb([3, 3, 3]));
            }
        },
    );
    // The train split is no part of the test questions.
    SECOND.write(
        &scratch.path("train"),
        |row| {
            if row["split"] == "train" {
                row["answer"] = json!("yes");
            }
        },
        nothing,
    );
    for changed in ["gold", "text", "pixel"] {
        assert_ne!(scratch.content_hash(changed), hash, "{changed}");
    }
    assert_eq!(scratch.content_hash("train"), hash);
}

#[test]
fn runs_on_two_sources_are_compared_as_if_on_one() {
    let scratch = Scratch::new();
    scratch.data("first", &FIRST);
    scratch.data("second", &SECOND);
    scratch.run("first/questions.jsonl", "one", &[]);
    scratch.run("first/questions.jsonl", "two", &[]);
    scratch.run("second/questions.jsonl", "three", &[]);
    let equal_ids = scratch.compared("one/majority", "two/question-prior");
    let other_ids = scratch.compared("one/majority", "three/question-prior");
    // Columns are named for the runs.
    let renamed = |value: &Value| value.to_string().replace("three", "two");
    assert_eq!(renamed(&other_ids["rows"]), equal_ids["rows"].to_string());
    assert_eq!(
        renamed(&other_ids["conclusions"]),
        equal_ids["conclusions"].to_string()
    );
    let conclusion = other_ids["conclusions"][0].as_str().unwrap();
    assert!(conclusion.contains("better than"), "{conclusion}");
    let remark = "one and three are on two forms of one question set: all 48 questions pair by text, gold and pixels";
    assert_eq!(other_ids["settings"][0], remark);
    assert!(
        !equal_ids["settings"].to_string().contains("pair by"),
        "{equal_ids}"
    );
    // The other way round, and as a table.
    let table = scratch.done(&["compare", "three/majority", "one/question-prior"]);
    assert!(table.contains("pair by text, gold and pixels"), "{table}");
}

#[test]
fn questions_of_limited_runs_are_paired() {
    let scratch = Scratch::new();
    scratch.data("first", &FIRST);
    // The same ids: the same questions are drawn. The column is what makes it another question set.
    let second = Source {
        department: true,
        format: ImageFormat::Bmp,
        ..FIRST
    };
    scratch.data("second", &second);
    for (data, name) in [("first", "one"), ("second", "two")] {
        let data = format!("{data}/questions.jsonl");
        scratch.run(&data, name, &["--limit", "20"]);
    }
    let compared = scratch.compared("one/majority", "two/question-prior");
    let remark = "one and two are on two forms of one question set: all 20 questions pair by text, gold and pixels";
    assert_eq!(compared["settings"][0], remark);
}

#[test]
fn a_run_on_some_of_the_questions_is_compared_on_those() {
    let scratch = Scratch::new();
    scratch.data("first", &FIRST);
    scratch.run("first/questions.jsonl", "whole", &[]);
    scratch.run("first/questions.jsonl", "part", &["--limit", "20"]);
    scratch.run("first/questions.jsonl", "same", &["--limit", "20"]);
    for [before, after] in [["whole", "part"], ["part", "whole"]] {
        let compared = scratch.compared(before, after);
        assert_eq!(
            compared["settings"][0],
            "on the 20 questions of part, which are among the 48 of whole"
        );
        let rows = |compared: &Value| compared["rows"][0]["difference"].clone();
        assert_eq!(rows(&compared), rows(&scratch.compared("same", "part")));
    }
}

#[test]
fn runs_that_do_not_pair_are_refused_with_the_number() {
    let scratch = Scratch::new();
    scratch.data("first", &FIRST);
    SECOND.write(
        &scratch.path("gold"),
        |row| {
            if row["id"] == "other-3-3" {
                row["answer"] = json!("bar 33");
            }
        },
        |_, _| (),
    );
    SECOND.write(
        &scratch.path("pixel"),
        |_| (),
        |chart, image| {
            if chart == 3 {
                image.put_pixel(0, 0, Rgb([9, 9, 9]));
            }
        },
    );
    scratch.data("gone", &SECOND);
    for data in ["first", "gold", "pixel", "gone"] {
        scratch.run(&format!("{data}/questions.jsonl"), data, &[]);
    }
    for (run, count, content) in [
        ("gold", 1, "text and gold"),
        ("pixel", 4, "text, gold and pixels"),
    ] {
        let line = scratch.refused(&["compare", "first", run]);
        assert_eq!(
            line,
            format!(
                "first and {run} were asked different questions (48 of custom, 48 of custom): run both on the same \
                 benchmark, seed and limit; by content {count} of the 48 have no partner of the same {content}"
            )
        );
    }
    fs::rename(scratch.path("gone"), scratch.path("elsewhere")).unwrap();
    let line = scratch.refused(&["compare", "first", "gone"]);
    assert!(
        line.starts_with("gone is on another form of the question set")
            && line.contains("which is not there: put them back"),
        "{line}"
    );
    // As the line says.
    let known = scratch.path("results/gone/data.toml");
    let text = fs::read_to_string(&known).unwrap();
    fs::write(&known, text.replace("/gone/", "/elsewhere/")).unwrap();
    scratch.done(&["compare", "first", "gone"]);
    fs::remove_file(&known).unwrap();
    let line = scratch.refused(&["compare", "first", "gone"]);
    assert!(line.contains("does not say where its data are"), "{line}");
}
