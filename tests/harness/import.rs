//! `chartbench import`: predictions made elsewhere as runs like any other.

use std::fs;
use std::io::{Cursor, Write};
use std::path::Path;
use std::process::{Command, Output};

use chartbench::run::store::StoredRun;
use tempfile::TempDir;

/// A folder with a data set of four questions on two charts, `q.csv`; the second chart's first
/// question stands between those of the first.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let questions = "id,image,question,answer,slices.part\n\
        a/1,a.png,How many bars?,4,easy\n\
        b/1,b.png,How many bars?,7,easy\n\
        a/2,a.png,Which is largest?,Oats,hard\n\
        b/2,b.png,In which year?,2010,hard\n";
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in [("q.csv", questions), ("a.png", ""), ("b.png", "")]
        .iter()
        .chain(files)
    {
        fs::write(folder.path().join(name), content).unwrap();
    }
    folder
}

fn chartbench(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_chartbench"))
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Imports a file as the run `theirs`; its exit code and what it says on stderr.
fn import(folder: &Path, arguments: &[&str]) -> (i32, String) {
    let output = chartbench(
        folder,
        &[&["import"], arguments, &["--as", "theirs"]].concat(),
    );
    (output.status.code().unwrap(), text(&output.stderr))
}

/// The rows of the only adapter of the run `theirs`: its name, and a line a question.
fn stored(folder: &Path) -> (String, Vec<String>) {
    let run = StoredRun::read(&folder.join("results/theirs")).unwrap();
    let [(adapter, records)] = run.predictions.as_slice() else {
        panic!("one adapter was imported")
    };
    let line = |record: &chartbench::run::store::PredictionRecord| {
        let answer = match (&record.prediction, &record.error) {
            (Some(prediction), None) => prediction.0.clone(),
            (None, Some(error)) => format!("({error})"),
            both => panic!("{both:?}"),
        };
        format!("{}: {answer}", record.id)
    };
    (adapter.clone(), records.iter().map(line).collect())
}

/// The value of a setting of the only adapter of the run `theirs`.
fn setting(folder: &Path, key: &str) -> Option<String> {
    let run = StoredRun::read(&folder.join("results/theirs")).unwrap();
    let value = run.manifest.adapters[0].settings.get(key)?;
    Some(value.as_str().unwrap().to_owned())
}

#[test]
fn predictions_by_id_are_a_run_that_is_compared_and_sliced() {
    let folder = folder(&[("p.csv", "id;model_output\nb/2;2011\na/1;4\na/2;Rye\nz;1\n")]);
    let path = folder.path();
    let (code, stderr) = import(path, &["p.csv", "--data", "q.csv"]);
    assert_eq!(code, 1, "{stderr}");
    assert_eq!(
        stderr,
        "p.csv: reads `model_output` as the prediction, `id` as the id (fields separated by `;`)\n\
         p.csv: prediction `z` (line 5) has no gold answer\n\
         p.csv: gold `b/1` has no prediction\n\
         results/theirs/theirs: 3 of 4 questions have a prediction (matched by id)\n"
    );
    let expected = [
        "a/1: 4",
        "a/2: Rye",
        "b/1: (p.csv has no prediction of it)",
        "b/2: 2011",
    ];
    assert_eq!(
        stored(path),
        ("theirs".to_owned(), expected.map(str::to_owned).to_vec())
    );
    assert_eq!(setting(path, "family").as_deref(), Some("imported"));
    assert!(path.join("results/theirs/leaderboard.md").is_file());

    // Once more it is the same run; other predictions are refused under its name.
    let before = fs::read(path.join("results/theirs/theirs/predictions.jsonl")).unwrap();
    assert_eq!(import(path, &["p.csv", "--data", "q.csv"]).0, 1);
    let after = fs::read(path.join("results/theirs/theirs/predictions.jsonl")).unwrap();
    assert!(before == after);
    fs::write(path.join("p.csv"), "id,prediction\na/1,5\n").unwrap();
    let (code, stderr) = import(path, &["p.csv", "--data", "q.csv"]);
    assert!(
        code == 2 && stderr.contains("holds predictions of another theirs"),
        "{stderr}"
    );
    assert_eq!(
        import(path, &["p.csv", "--data", "q.csv", "--adapter", "ours"]).0,
        1
    );

    let arguments = [
        "compare",
        "theirs/theirs",
        "theirs/ours",
        "--format",
        "json",
    ];
    let output = chartbench(path, &[&arguments[..], &["--slice-by", "part"]].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
    let compared: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(compared["slices"].as_array().unwrap().len(), 1);
}

/// lmms-eval's ids are places in its own order, which is not the benchmark's.
#[test]
fn samples_find_their_questions_and_say_how_they_were_asked() {
    let sample = |id: usize, question: &str, target: &str, answer: &str| {
        serde_json::json!({
            "doc_id": id, "doc": {"question": question, "answer": target}, "target": target,
            "input": format!("{question}\nBe brief."), "filtered_resps": [answer],
        })
        .to_string()
    };
    let samples = [
        sample(0, "How many bars?", "4", "four"),
        sample(1, "How many bars?", "7", "seven"),
        sample(2, "Which is  largest?", "Oats", "oats"),
        sample(3, "In which year?", "2010", "2011"),
    ];
    let folder = folder(&[("x_samples_chartqa.jsonl", &samples.join("\n"))]);
    let path = folder.path();
    let (code, stderr) = import(path, &["x_samples_chartqa.jsonl", "--data", "q.csv"]);
    assert_eq!(code, 0, "{stderr}");
    assert!(
        stderr.ends_with("4 of 4 questions have a prediction (matched by question)\n"),
        "{stderr}"
    );
    let expected = ["a/1: four", "a/2: oats", "b/1: seven", "b/2: 2011"];
    assert_eq!(stored(path).1, expected);
    assert_eq!(setting(path, "harness").as_deref(), Some("lmms-eval"));
    assert_eq!(
        setting(path, "prompt").as_deref(),
        Some("{question}\nBe brief.")
    );
}

#[test]
fn a_match_by_order_needs_the_same_order_and_count() {
    let folder = folder(&[
        ("p.csv", "prediction\n4\nOats\n7\n2010\n"),
        ("few.csv", "prediction\n4\n7\n"),
        (
            "other.csv",
            "question,prediction\nHow many bars?,4\nHow many bars?,7\nWhich is largest?,Oats\nIn which year?,2010\n",
        ),
    ]);
    let path = folder.path();
    let by_order = |file: &str| import(path, &[file, "--data", "q.csv", "--match", "order"]);
    let (code, stderr) = by_order("few.csv");
    assert!(
        code == 2
            && stderr.contains("2 predictions and 4 questions; a match by order needs as many"),
        "{stderr}"
    );
    let (code, stderr) = by_order("other.csv");
    assert!(
        code == 2
            && stderr.contains(
                "line 3 asks `How many bars?`, where the question is `Which is largest?`"
            ),
        "{stderr}"
    );
    assert!(!path.join("results").exists());
    let (code, stderr) = import(path, &["p.csv", "--data", "q.csv"]);
    assert!(
        code == 0 && stderr.ends_with("(matched by order)\n"),
        "{stderr}"
    );
    assert_eq!(
        stored(path).1,
        ["a/1: 4", "a/2: Oats", "b/1: 7", "b/2: 2010"]
    );
}

/// One of inspect's samples, with a message of several parts.
fn inspect_sample(id: u32, epoch: u32, answer: serde_json::Value) -> String {
    let questions = [
        "How many bars?",
        "How many bars?",
        "Which is largest?",
        "In which year?",
    ];
    let targets = ["4", "7", "Oats", "2010"];
    let at = id as usize - 1;
    let input = serde_json::json!([
        {"role": "system", "content": "x"},
        {"role": "user", "content": [{"type": "text", "text": questions[at]}, {"type": "image", "image": "y"}]},
    ]);
    serde_json::json!({
        "id": id, "epoch": epoch, "input": input, "target": [targets[at]],
        "output": {"model": "m", "choices": [{"message": {"role": "assistant", "content": answer}, "stop_reason": "stop"}]},
        "scores": {"match": {"value": "C"}},
    })
    .to_string()
}

fn inspect_log() -> Vec<(String, String)> {
    let header = serde_json::json!({
        "version": 2, "status": "success",
        "eval": {
            "task": "chartqa", "model": "vllm/org/tiny-vlm", "packages": {"inspect_ai": "0.3.99"},
            "dataset": {"sample_ids": [1, 2, 3, 4]},
        },
        "plan": {
            "steps": [{"solver": "prompt_template", "params": {"template": "{prompt} Be brief."}}],
            "config": {"temperature": 0.0},
        },
    });
    let failed = serde_json::json!({
        "id": 3, "epoch": 1, "input": "Which is largest?", "target": "Oats", "error": {"message": "out of memory"},
    });
    let sample = |id, epoch, answer: &str| {
        let name = format!("samples/{id}_epoch_{epoch}.json");
        (name, inspect_sample(id, epoch, answer.into()))
    };
    vec![
        ("_journal/start.json".to_owned(), "{}".to_owned()),
        sample(4, 1, "2010"),
        sample(1, 2, "not this one"),
        ("samples/3_epoch_1.json".to_owned(), failed.to_string()),
        sample(1, 1, "4"),
        (
            "samples/2_epoch_1.json".to_owned(),
            inspect_sample(
                2,
                1,
                serde_json::json!([{"type": "reasoning", "reasoning": "hm"}, {"type": "text", "text": "8"}]),
            ),
        ),
        ("header.json".to_owned(), header.to_string()),
    ]
}

#[test]
fn logs_of_inspect_are_read_from_the_archive_and_from_json() {
    let folder = folder(&[]);
    let path = folder.path();
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let stored_file =
        zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, content) in inspect_log() {
        archive.start_file(name, stored_file).unwrap();
        archive.write_all(content.as_bytes()).unwrap();
    }
    fs::write(path.join("log"), archive.finish().unwrap().into_inner()).unwrap();
    let (code, stderr) = import(path, &["log", "--data", "q.csv"]);
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.contains("is null: out of memory"), "{stderr}");
    assert!(
        stderr.contains("1 row of other filters left out (the first, of `epoch 2`"),
        "{stderr}"
    );
    let expected = ["a/1: 4", "a/2: (out of memory)", "b/1: 8", "b/2: 2010"].map(str::to_owned);
    assert_eq!(stored(path), ("tiny-vlm".to_owned(), expected.to_vec()));
    for (key, value) in [
        ("harness", "inspect"),
        ("harness_version", "0.3.99"),
        ("model", "vllm/org/tiny-vlm"),
        ("task", "chartqa"),
        ("prompt", "prompt_template: {prompt} Be brief."),
        ("generation", "{\"temperature\":0.0}"),
    ] {
        assert_eq!(setting(path, key).as_deref(), Some(value), "{key}");
    }

    let log = inspect_log();
    let samples: Vec<&str> = log
        .iter()
        .filter(|(name, _)| name.starts_with("samples/"))
        .map(|(_, sample)| sample.as_str())
        .collect();
    let header = &log.last().unwrap().1;
    let json = format!(
        "{},\"samples\":[{}]}}",
        header.strip_suffix('}').unwrap(),
        samples.join(",")
    );
    fs::write(path.join("log.json"), json).unwrap();
    fs::remove_dir_all(path.join("results")).unwrap();
    assert_eq!(import(path, &["log.json", "--data", "q.csv"]).0, 1);
    assert_eq!(stored(path), ("tiny-vlm".to_owned(), expected.to_vec()));
}

#[test]
fn without_a_benchmark_the_questions_are_the_files_own() {
    let folder = folder(&[
        (
            "p.json",
            r#"{"x": {"query": "How many?", "truth": ["4"], "generation": "4", "img": "a.png"},
                "y": {"query": "Which?", "truth": "Rye", "generation": "Oats", "img": "b.png"},
                "z": {"query": "Why?", "truth": "so", "generation": null, "img": "a.png"}}"#,
        ),
        ("bare.csv", "prediction,label\n1,1\n"),
        ("none.csv", "question,said\nQ?,1\n"),
    ]);
    let path = folder.path();
    let (code, stderr) = import(path, &["p.json"]);
    assert_eq!(code, 1, "{stderr}");
    assert!(
        stderr.starts_with(
            "p.json: reads `generation` as the prediction, `truth` as the gold answer, `query` as the question, \
             `img` as the chart\n"
        ),
        "{stderr}"
    );
    assert_eq!(
        stored(path).1,
        ["x: 4", "z: (p.json has no prediction of it)", "y: Oats"]
    );
    let run = StoredRun::read(&path.join("results/theirs")).unwrap();
    let benchmark = &run.manifest.benchmark;
    assert_eq!(
        (
            benchmark.name.as_str(),
            benchmark.charts,
            benchmark.questions
        ),
        ("custom", 2, 3)
    );
    for (file, advice) in [
        (
            "bare.csv",
            "has no question: name the column with --question-column, or the benchmark",
        ),
        ("none.csv", "columns are question, said"),
    ] {
        let (code, stderr) = import(path, &[file]);
        assert_eq!((code, stderr.lines().count()), (2, 1), "{stderr}");
        assert!(stderr.contains(advice), "{stderr}");
    }
    let (code, stderr) = import(path, &["p.json", "--adapter", "../x"]);
    assert!(
        code == 2 && stderr.contains("--adapter `../x` is not a plain folder name"),
        "{stderr}"
    );
}

#[test]
fn what_score_guesses_it_says() {
    let folder = folder(&[("p.csv", "completion,ref\nx,x\n")]);
    let output = chartbench(
        folder.path(),
        &["score", "p.csv", "--convention", "pix2struct"],
    );
    assert!(output.status.success());
    assert_eq!(
        text(&output.stderr),
        "p.csv: reads `completion` as the prediction, `ref` as the gold answer\n"
    );
}
