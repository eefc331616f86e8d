//! Files that an earlier version stored: read, gone on with, and written again, byte for byte.
//! `fixtures/stored/record.sh` made them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

const CHARTBENCH: &str = env!("CARGO_BIN_EXE_chartbench");

fn fixture(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures/stored")
        .join(path)
}

/// Every file below `folder` by its path. Wall times are taken out of JSON lines.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let mut bytes = fs::read(&path).unwrap();
            if path
                .extension()
                .is_some_and(|extension| extension == "jsonl")
            {
                bytes = without_times(&String::from_utf8(bytes).unwrap()).into_bytes();
            }
            files.insert(path.strip_prefix(folder).unwrap().to_owned(), bytes);
        }
    }
    files
}

fn without_times(lines: &str) -> String {
    let without = |line: &str| {
        let mut record: Value = serde_json::from_str(line).unwrap();
        let fields = record.as_object_mut().unwrap();
        // `shift_remove` keeps the order of the others, which is part of the format.
        assert!(
            fields
                .shift_remove("latency_ms")
                .or_else(|| fields.shift_remove("seconds"))
                .is_some(),
            "{line}"
        );
        format!("{record}\n")
    };
    lines.lines().map(without).collect()
}

fn is_tokenizer(path: &Path) -> bool {
    path.file_name()
        .is_some_and(|name| name.to_string_lossy().starts_with("tokenizer"))
}

#[track_caller]
fn assert_same(stored: &BTreeMap<PathBuf, Vec<u8>>, made: &BTreeMap<PathBuf, Vec<u8>>) {
    let names = |files: &BTreeMap<PathBuf, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(stored), names(made));
    for (path, bytes) in stored {
        let made = &made[path];
        if bytes != made {
            let [stored, made] = [bytes, made].map(|bytes| String::from_utf8_lossy(bytes));
            let differing = stored
                .lines()
                .zip(made.lines())
                .find(|(stored, made)| stored != made);
            panic!("{} differs: {differing:?}", path.display());
        }
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, target).unwrap();
        }
    }
}

fn chartbench(results: &Path, arguments: &[&str]) -> Output {
    let output = Command::new(CHARTBENCH)
        .args(arguments)
        .args([
            "--header-font",
            "../../crates/fonts/fonts/DejaVuSans.ttf",
            "--max-patches",
            "64",
            "--max-new-tokens",
            "12",
        ])
        .args(["--threads", "2", "--results"])
        .arg(results)
        .current_dir(fixture(""))
        .env("CHARTBENCH_ISA", "avx2")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

const RUN: [&str; 13] = [
    "run",
    "--no-blind",
    "--adapters",
    "matcha-base,unichart,majority,question-prior,blank+matcha-base",
    "--weights",
    "matcha-base=models/pix2struct",
    "--weights",
    "unichart=models/donut",
    "--batch",
    "4",
    "--limit",
    "24",
    "--name",
];

/// Begins each stored run anew, without an adapter: a run keeps the format that it began with, and
/// with it the first questions as the limited ones.
fn begin_in_the_stored_format(results: &Path) {
    for entry in fs::read_dir(fixture("results")).unwrap() {
        let path = entry.unwrap().path();
        let Ok(manifest) = fs::read_to_string(path.join("run.toml")) else {
            continue;
        };
        assert!(manifest.starts_with("format = 1\n"), "{}", path.display());
        let run = results.join(path.file_name().unwrap());
        fs::create_dir_all(&run).unwrap();
        let head = manifest.split("[[adapters]]").next().unwrap();
        fs::write(run.join("run.toml"), head).unwrap();
    }
}

/// Whether sums of this machine are those of the machine that recorded: products of candle's own
/// crate take AVX-512 where they can.
fn rounds_as_recorded() -> bool {
    #[cfg(target_arch = "x86_64")]
    return is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("fma")
        && !is_x86_feature_detected!("avx512f");
    #[cfg(not(target_arch = "x86_64"))]
    return false;
}

#[test]
fn everything_is_written_as_it_was_stored() {
    if !rounds_as_recorded() {
        println!(
            "NOT COMPARED: this processor rounds otherwise than the one that recorded (AVX2 without AVX-512)"
        );
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let results = folder.path().join("results");
    begin_in_the_stored_format(&results);
    let output = Command::new(fixture("record.sh"))
        .args([Path::new(CHARTBENCH), &results])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_same(&files(&fixture("results")), &files(&results));
}

#[test]
fn tables_of_stored_runs_are_as_they_were() {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new(CHARTBENCH)
        .args(["leaderboard", "stored", "tuned", "--no-speed", "--write"])
        .arg(folder.path())
        .current_dir(fixture("results"))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_same(
        &files(&fixture("results/leaderboard")),
        &files(folder.path()),
    );
}

#[test]
fn a_stored_run_is_finished_already() {
    let folder = tempfile::tempdir().unwrap();
    copy(&fixture("results/stored"), &folder.path().join("stored"));
    let before = fs::read(folder.path().join("stored/unichart/predictions.jsonl")).unwrap();
    chartbench(folder.path(), &[&RUN[..], &["stored"]].concat());
    assert!(before == fs::read(folder.path().join("stored/unichart/predictions.jsonl")).unwrap());
    assert_same(
        &files(&fixture("results/stored")),
        &files(&folder.path().join("stored")),
    );
}

#[test]
fn a_torn_run_goes_on_to_the_stored_bytes() {
    if !rounds_as_recorded() {
        println!("NOT COMPARED: see everything_is_written_as_it_was_stored");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    copy(&fixture("results/stored"), &folder.path().join("stored"));
    for adapter in ["matcha-base", "unichart", "question-prior"] {
        let log = folder
            .path()
            .join("stored")
            .join(adapter)
            .join("predictions.jsonl");
        let bytes = fs::read(&log).unwrap();
        fs::write(&log, &bytes[..bytes.len() / 2]).unwrap();
    }
    chartbench(folder.path(), &[&RUN[..], &["stored"]].concat());
    assert_same(
        &files(&fixture("results/stored")),
        &files(&folder.path().join("stored")),
    );
}

#[test]
fn a_killed_training_goes_on_to_the_stored_bytes() {
    if !rounds_as_recorded() {
        println!("NOT COMPARED: see everything_is_written_as_it_was_stored");
        return;
    }
    for weights in ["matcha-base=models/pix2struct", "unichart=models/donut"] {
        let adapter = weights.split('=').next().unwrap();
        let name = format!("killed-{adapter}");
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("tuned");
        copy(&fixture("results").join(&name), &run);
        let manifest = fs::read_to_string(run.join("run.toml")).unwrap();
        fs::write(run.join("run.toml"), manifest.replace(&name, "tuned")).unwrap();
        #[rustfmt::skip]
        chartbench(folder.path(), &[
            "finetune", "--adapters", adapter, "--weights", weights, "--batch-size", "2", "--max-steps", "40",
            "--warmup-steps", "2", "--gradient-accumulation-steps", "2", "--eval-steps", "10", "--validation-questions", "4",
            "--lora-r", "2", "--limit", "6", "--name", "tuned", "--no-before",
        ]);
        let mut made = files(&run.join(adapter));
        made.retain(|path, _| {
            !path.starts_with("events.out.tfevents.chartbench") && !is_tokenizer(path)
        });
        let mut stored = files(&fixture("results/tuned").join(adapter));
        // The card has a row for each adapter that the run had by then.
        for files in [&mut stored, &mut made] {
            assert!(files.remove(Path::new("checkpoint/README.md")).is_some());
        }
        assert_same(&stored, &made);
    }
}

/// The first questions of format 1 are no draw that could grow.
#[test]
fn a_stored_run_does_not_grow() {
    let folder = tempfile::tempdir().unwrap();
    copy(&fixture("results/stored"), &folder.path().join("stored"));
    let output = Command::new(CHARTBENCH)
        .args([
            "run",
            "--adapters",
            "majority",
            "--limit",
            "30",
            "--name",
            "stored",
            "--results",
        ])
        .arg(folder.path())
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("limit was 24, is 30"), "{stderr}");
    assert_same(
        &files(&fixture("results/stored")),
        &files(&folder.path().join("stored")),
    );
}
