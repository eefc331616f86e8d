//! `merge`: shards of a run become the run that was never cut, or are refused in a line.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use chartbench::run::store::{Manifest, PredictionRecord, RunReader};
use chartbench_core::files::FileLock;
use chartbench_core::shard::Shard;
use chartbench_nn::KERNELS_VERSION;
use serde_json::Value;
use tempfile::TempDir;

/// The models that are asked; blind rows stand beside them.
const MODELS: &str = "matcha-tiny,unichart-tiny";
/// The rows that look at the chart, in the manifest's order.
const SHARDED: &str = "matcha-tiny, unichart-tiny, blank+matcha-tiny, blank+unichart-tiny";
const LIMIT: &str = "24";

fn chartbench(dir: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_chartbench"))
        .args(arguments)
        .current_dir(dir)
        .output()
        .unwrap()
}

/// Standard output and standard error of a command that succeeds.
#[track_caller]
fn done(dir: &Path, arguments: &[&str]) -> (String, String) {
    let output = chartbench(dir, arguments);
    let [stdout, stderr] =
        [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {stderr}");
    (stdout, stderr)
}

/// The one line of a command that ends with exit code 2, as from `results/own` in `dir`.
#[track_caller]
fn refused(dir: &Path, arguments: &[&str]) -> String {
    let output = chartbench(dir, arguments);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {stderr}");
    let [line] = stderr.lines().collect::<Vec<_>>()[..] else {
        panic!("{arguments:?} told more than one line: {stderr}")
    };
    line.strip_prefix("error: ").unwrap().to_owned()
}

/// Runs that are made once: `uncut/r` was never cut, `own` has a run of each shard, `s1` to `s3`,
/// `shared/r` all three shards, and in `mixed/r` a third was asked first and then two halves.
fn runs() -> &'static Path {
    static RUNS: OnceLock<TempDir> = OnceLock::new();
    let runs = RUNS.get_or_init(|| {
        // A static is never dropped: the folder stays, where `cargo clean` finds it.
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let run = |results: &str, name: &str, more: &[&str]| ask(dir.path(), results, name, more);
        run("uncut", "r", &[]);
        for shard in ["3/3", "1/3", "2/3"] {
            run("own", &format!("s{}", &shard[..1]), &["--shard", shard]);
            run("shared", "r", &["--shard", shard]);
        }
        for shard in ["1/3", "1/2", "2/2"] {
            run("mixed", "r", &["--shard", shard]);
        }
        dir
    });
    runs.path()
}

/// Asks the models and their blind rows, into `results/name` in `dir`.
#[track_caller]
fn ask(dir: &Path, results: &str, name: &str, more: &[&str]) {
    let small = [
        "--limit",
        LIMIT,
        "--max-patches",
        "64",
        "--max-new-tokens",
        "4",
    ];
    let place = ["--results", results, "--name", name];
    let run = ["run", "--adapters", MODELS];
    done(dir, &[&run[..], &small, &place, more].concat());
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_folder(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}

/// A folder with a copy of some of the runs.
fn copy_of(results: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    copy_folder(&runs().join(results), &dir.path().join(results));
    dir
}

/// Every file below a folder, predictions without their latency.
fn files(folder: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = PathBuf::from(path.file_name().unwrap());
        if path.is_dir() {
            found.extend(
                files(&path)
                    .into_iter()
                    .map(|(below, text)| (name.join(below), text)),
            );
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let is_log = path.extension().is_some_and(|end| end == "jsonl");
        let text = if is_log {
            text.lines().map(without_latency).collect()
        } else {
            text
        };
        found.insert(name, text);
    }
    found
}

fn without_latency(line: &str) -> String {
    let mut record: Value = serde_json::from_str(line).unwrap();
    record
        .as_object_mut()
        .unwrap()
        .remove("latency_ms")
        .unwrap();
    format!("{record}\n")
}

#[track_caller]
fn assert_uncut(merged: &Path) {
    let (merged, uncut) = (files(merged), files(&runs().join("uncut/r")));
    for (file, text) in &uncut {
        assert_eq!(merged.get(file), Some(text), "{}", file.display());
    }
    assert_eq!(
        merged.keys().collect::<Vec<_>>(),
        uncut.keys().collect::<Vec<_>>()
    );
}

fn edit(file: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(file).unwrap();
    assert!(text.contains(from), "{} lacks {from}", file.display());
    fs::write(file, text.replacen(from, to, 1)).unwrap();
}

/// The questions of a shard, in the order of the set.
fn questions_of(shard: &str) -> Vec<String> {
    let shard: Shard = shard.parse().unwrap();
    let log = runs().join("uncut/r/matcha-tiny/predictions.jsonl");
    let lines = fs::read_to_string(log).unwrap();
    let records = lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    records
        .filter(|record| shard.holds(record["chart"].as_str().unwrap()))
        .map(|record| record["id"].as_str().unwrap().to_owned())
        .collect()
}

/// `a, b, c, ...; shard 2/3: 8 questions`, in parentheses behind the number of them.
fn lack(shard: &str) -> String {
    let questions = questions_of(shard);
    let count = questions.len();
    assert!(count > 3, "{questions:?}");
    format!(
        "{count} of {LIMIT} questions ({}, ...; shard {shard}: {count} questions)",
        questions[..3].join(", ")
    )
}

#[test]
fn shards_of_one_folder_become_the_uncut_run() {
    let dir = copy_of("shared");
    let merge = ["merge", "r", "--results", "shared"];
    let (stdout, stderr) = done(dir.path(), &merge);
    assert_eq!(stderr, "r: 6 rows, 24 questions each, of 3 shards\n");
    assert!(
        stdout.starts_with("Mini (synthetic): 24 questions on ")
            && stdout.contains("\npage: chartbench report shared/r; "),
        "{stdout}"
    );
    assert_uncut(&dir.path().join("shared/r"));
    let (stdout, stderr) = done(dir.path(), &merge);
    assert_eq!(
        (stdout.as_str(), stderr.as_str()),
        ("", "r has nothing to merge: it has no log of a shard\n")
    );
    assert_uncut(&dir.path().join("shared/r"));
}

#[test]
fn shards_in_folders_of_their_own_become_the_uncut_run() {
    let dir = copy_of("own");
    let before = files(&dir.path().join("own"));
    let merge = ["merge", "r", "s3", "own/s1", "s2", "--results", "own"];
    let (_, stderr) = done(dir.path(), &merge);
    assert_eq!(stderr, "r: 6 rows, 24 questions each, of 3 shards\n");
    assert_uncut(&dir.path().join("own/r"));
    assert_eq!(
        refused(dir.path(), &merge),
        "own/r exists already: choose another NAME, or remove it"
    );
    fs::remove_dir_all(dir.path().join("own/r")).unwrap();
    assert_eq!(files(&dir.path().join("own")), before, "they stay");
    // One row of each.
    let rows = ["s1", "s2", "s3"].map(|run| format!("{run}/blank+matcha-tiny"));
    let rows = [&rows[0], &rows[1], &rows[2]].map(String::as_str);
    let (_, stderr) = done(
        dir.path(),
        &[&["merge", "one"][..], &rows, &["--results", "own"]].concat(),
    );
    assert_eq!(stderr, "one: 1 row, 24 questions each, of 3 shards\n");
}

#[test]
fn shards_of_several_numbers_become_the_uncut_run() {
    let dir = copy_of("mixed");
    let (_, stderr) = done(dir.path(), &["merge", "mixed/r", "--results", "none"]);
    assert_eq!(stderr, "r: 6 rows, 24 questions each, of 3 shards\n");
    assert_uncut(&dir.path().join("mixed/r"));
}

#[test]
fn missing_questions_are_named() {
    let dir = copy_of("own");
    let merge = ["merge", "r", "--results", "own"];
    let end = "ask what is missing, or merge without it by --partial";
    assert_eq!(
        refused(dir.path(), &[&merge[..], &["s1", "s3"]].concat()),
        format!(
            "own/s1, own/s3: no answer of {SHARDED} to {}: {end}",
            lack("2/3")
        )
    );
    assert_eq!(
        refused(dir.path(), &[&merge[..], &["s2", "s3"]].concat()),
        format!(
            "own/s2, own/s3: no answer of {SHARDED} to {}; of majority, question-prior to any (shard 1/3 asks them): {end}",
            lack("1/3")
        )
    );
    let log = dir.path().join("own/s1/majority/predictions.jsonl");
    let text = fs::read_to_string(&log).unwrap();
    // The last line is torn.
    fs::write(&log, text.trim_end()).unwrap();
    let line = refused(dir.path(), &[&merge[..], &["s1", "s2", "s3"]].concat());
    assert!(
        line.starts_with("own/s1, own/s2, own/s3: no answer of majority to 1 of 24 questions (")
            && line.ends_with(&format!("; shard 1/3 asks it): {end}")),
        "{line}"
    );
    assert!(!dir.path().join("own/r").exists());
}

#[test]
fn a_partial_merge_says_so_until_the_rest_is_there() {
    let dir = copy_of("own");
    let merge = ["merge", "r", "--partial", "--results", "own", "s1", "s3"];
    let (_, stderr) = done(dir.path(), &merge);
    let told = format!(
        "note: merged in part, own/s1, own/s3: no answer of {SHARDED} to {}\n",
        lack("2/3")
    );
    assert!(stderr.starts_with(&told), "{stderr}");
    let answered = 24 - questions_of("2/3").len();
    assert!(
        stderr.ends_with(&format!(
            "r: 6 rows, {answered} to 24 of 24 questions each, of 2 shards\n"
        )),
        "{stderr}"
    );
    let manifest = fs::read_to_string(dir.path().join("own/r/run.toml")).unwrap();
    assert!(manifest.contains("\npartial = true\n"), "{manifest}");
    // In place, and the rest later.
    let dir = copy_of("shared");
    let run = dir.path().join("shared/r");
    let late = "predictions.2-of-3.jsonl";
    for row in SHARDED.split(", ") {
        fs::rename(run.join(row).join(late), dir.path().join(row)).unwrap();
    }
    done(
        dir.path(),
        &["merge", "r", "--partial", "--results", "shared"],
    );
    let manifest = fs::read_to_string(run.join("run.toml")).unwrap();
    assert!(manifest.contains("\npartial = true\n"), "{manifest}");
    for row in SHARDED.split(", ") {
        fs::rename(dir.path().join(row), run.join(row).join(late)).unwrap();
    }
    done(dir.path(), &["merge", "r", "--results", "shared"]);
    assert_uncut(&run);
}

#[test]
fn a_run_that_asks_the_rest_is_no_longer_partial() {
    let dir = copy_of("shared");
    let run = dir.path().join("shared/r");
    for row in SHARDED.split(", ") {
        fs::remove_file(run.join(row).join("predictions.2-of-3.jsonl")).unwrap();
    }
    done(
        dir.path(),
        &["merge", "r", "--partial", "--results", "shared"],
    );
    let manifest = || Manifest::read(&run.join("run.toml")).unwrap();
    assert!(manifest().partial);
    ask(dir.path(), "shared", "r", &[]);
    assert!(!manifest().partial);
}

#[test]
fn a_merge_in_place_that_was_killed_is_finished() {
    let dir = copy_of("shared");
    let merge = ["merge", "r", "--results", "shared"];
    done(dir.path(), &merge);
    // Killed when the first row had its whole log and the second was removing the shards' logs.
    let run = dir.path().join("shared/r");
    let killed = dir.path().join("shared/k");
    copy_folder(&runs().join("shared/r"), &killed);
    for row in ["matcha-tiny", "unichart-tiny"] {
        let log = Path::new(row).join("predictions.jsonl");
        fs::copy(run.join(&log), killed.join(&log)).unwrap();
    }
    fs::remove_file(killed.join("unichart-tiny/predictions.1-of-3.jsonl")).unwrap();
    fs::write(killed.join(".writing-0123456789abcdef"), "half").unwrap();
    fs::remove_dir_all(&run).unwrap();
    fs::rename(&killed, &run).unwrap();
    // Readers see each question once meanwhile.
    let (listed, _) = done(dir.path(), &["runs", "--results", "shared"]);
    assert!(
        listed.contains(" yes ") && !listed.contains("no ("),
        "{listed}"
    );
    assert_eq!(tables(dir.path(), "shared"), tables(runs(), "uncut"),);
    copy_folder(&run, &dir.path().join("apart/k"));
    done(dir.path(), &["merge", "m", "k", "--results", "apart"]);
    assert_eq!(
        files(&dir.path().join("apart/m/matcha-tiny")),
        files(&runs().join("uncut/r/matcha-tiny"))
    );
    let left = run.join("matcha-tiny/predictions.2-of-3.jsonl");
    let text = fs::read_to_string(&left).unwrap();
    edit(&left, "\"latency_ms\":", "\"latency_ms\":1");
    let line = refused(dir.path(), &merge);
    assert!(
        line.starts_with("shared/r/matcha-tiny/predictions.2-of-3.jsonl, line 1: question `")
            && line.contains(
                "` is answered twice, first in shared/r/matcha-tiny/predictions.jsonl, line "
            ),
        "{line}"
    );
    fs::write(&left, text).unwrap();
    done(dir.path(), &merge);
    assert_uncut(&run);
    // Killed before the leaderboard was stored.
    fs::remove_file(run.join("leaderboard.md")).unwrap();
    done(dir.path(), &merge);
    assert_uncut(&run);
}

/// The tables over the run `r`.
#[track_caller]
fn tables(dir: &Path, results: &str) -> String {
    let leaderboard = ["leaderboard", "r", "--no-speed", "--format", "markdown"];
    done(dir, &[&leaderboard[..], &["--results", results]].concat()).0
}

#[test]
fn a_question_that_is_answered_twice_is_refused() {
    let dir = copy_of("own");
    let own = dir.path().join("own");
    copy_folder(&own.join("s2"), &own.join("s4"));
    let merge = ["merge", "r", "--results", "own", "s1", "s2", "s3"];
    assert_eq!(
        refused(dir.path(), &[&merge[..], &["s4"]].concat()),
        "matcha-tiny: shard 2/3 is in own/s2 and in own/s4 (own/s2/matcha-tiny/predictions.2-of-3.jsonl, line 1; \
         own/s4/matcha-tiny/predictions.2-of-3.jsonl, line 1): leave one of the two runs out"
    );
    assert_eq!(
        refused(dir.path(), &[&merge[..], &["./own/s2"]].concat()),
        "./own/s2 is named twice: name it once"
    );
    let log = own.join("s2/matcha-tiny/predictions.2-of-3.jsonl");
    let text = fs::read_to_string(&log).unwrap();
    let (first, lines) = (text.lines().next().unwrap(), text.lines().count());
    fs::write(&log, format!("{text}{first}\n")).unwrap();
    let file = "own/s2/matcha-tiny/predictions.2-of-3.jsonl";
    assert_eq!(
        refused(dir.path(), &merge),
        format!(
            "{file}, line {}: question `{}` is answered twice, first in {file}, line 1: remove one of the two lines",
            lines + 1,
            questions_of("2/3")[0]
        )
    );
}

#[test]
fn foreign_shards_are_refused() {
    let dir = copy_of("own");
    let own = dir.path().join("own");
    let merge = ["merge", "r", "--results", "own", "s1", "s2", "s3"];
    let refuse = |file: &str, from: &str, to: &str| {
        let file = own.join(file);
        let text = fs::read_to_string(&file).unwrap();
        edit(&file, from, to);
        let line = refused(dir.path(), &merge);
        fs::write(&file, text).unwrap();
        line
    };
    assert_eq!(
        refuse("s2/run.toml", "limit = 24", "limit = 12"),
        "own/s2 holds a run on other questions than own/s1 (limit was 24, is 12): leave it out"
    );
    assert_eq!(
        refuse("s2/run.toml", "format = 3", "format = 2"),
        "own/s2 has format 2 and own/s1 format 3: ask the questions of one again, by the version that began the other"
    );
    let log = "s2/matcha-tiny/predictions.2-of-3.jsonl";
    let id = &questions_of("2/3")[0];
    let at = format!("own/{log}, line 1");
    assert_eq!(
        refuse(log, "\"question\":\"", "\"question\":\"Not "),
        format!(
            "{at}: question `{id}` has another chart, text or gold answer in the set: leave this run out"
        )
    );
    assert_eq!(
        refuse(log, id, "another"),
        format!("{at}: question `another` is not in the set: leave this run out")
    );
    let line = refuse(log, "{", "");
    assert!(
        line.starts_with(&format!(
            "{at} is not a prediction: remove this line alone, and its question is asked again: "
        )),
        "{line}"
    );
    let row = own.join("s2/unknown");
    fs::create_dir(&row).unwrap();
    fs::write(row.join("predictions.1-of-3.jsonl"), "").unwrap();
    let line = refused(dir.path(), &merge);
    assert!(
        line.starts_with("own/s2/unknown has answers, but the run.toml beside it has no entry"),
        "{line}"
    );
    fs::remove_dir_all(row).unwrap();
    let lock = FileLock::acquire(&own.join(log)).unwrap();
    assert_eq!(
        refused(dir.path(), &merge),
        format!("own/{log} is in use by another chartbench run: merge when that has ended")
    );
    drop(lock);
    done(dir.path(), &merge);
    assert_uncut(&own.join("r"));
}

#[test]
fn a_row_with_other_settings_is_refused_and_another_processor_noted() {
    let dir = copy_of("own");
    let own = dir.path().join("own");
    let merge = ["merge", "r", "--results", "own", "s1", "s2", "s3"];
    let file = own.join("s2/matcha-tiny/fingerprint");
    let fingerprint = fs::read_to_string(&file).unwrap().trim().to_owned();
    let (other, manifest) = ("0".repeat(64), own.join("s2/run.toml"));
    let text = fs::read_to_string(&manifest).unwrap();
    edit(&manifest, &fingerprint, &other);
    edit(&manifest, "max_patches = \"64\"", "max_patches = \"32\"");
    fs::write(&file, format!("{other}\n")).unwrap();
    assert_eq!(
        refused(dir.path(), &merge),
        format!(
            "own/s2 holds another matcha-tiny than own/s1 (fingerprint 000000000000, there {}; max_patches was \"64\", is \"32\"): \
             leave it out, or ask it again with the same settings",
            &fingerprint[..12]
        )
    );
    fs::write(&file, format!("{fingerprint}\n")).unwrap();
    fs::write(&manifest, text).unwrap();
    let set = chartbench_core::isa::current().name;
    edit(
        &manifest,
        &format!("instruction_set = \"{set}\""),
        "instruction_set = \"other\"",
    );
    let (_, stderr) = done(dir.path(), &merge);
    assert_eq!(
        stderr.lines().next().unwrap(),
        format!(
            "note: matcha-tiny: answers were computed with {set}, kernels {KERNELS_VERSION} (shards 1/3, 3/3) and with other, kernels {KERNELS_VERSION} (shards \
             2/3); they are the same to the byte within one only"
        )
    );
}

#[test]
fn the_data_are_where_the_runs_had_them() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    for (data, seed) in [("data", "1"), ("others", "2")] {
        let count = ["--train", "0", "--test", "8", "--seed", seed];
        done(at, &[&["data", "synth", data][..], &count].concat());
    }
    let run = |results: &str, name: &str, more: &[&str]| {
        let row = ["run", "--adapters", "matcha-tiny", "--no-blind"];
        let data = ["--benchmark", "realcqa", "--data", "data"];
        let place = ["--limit", "12", "--max-patches", "64", "--results", results];
        done(
            at,
            &[&row[..], &data, &place, &["--name", name], more].concat(),
        );
    };
    run("uncut", "r", &[]);
    run("cut", "a", &["--shard", "1/2"]);
    run("cut", "b", &["--shard", "2/2"]);
    let merge = ["merge", "r", "a", "b", "--results", "cut"];
    done(at, &merge);
    assert!(at.join("cut/r/data.toml").exists());
    assert_eq!(files(&at.join("cut/r")), files(&at.join("uncut/r")));
    fs::remove_dir_all(at.join("cut/r")).unwrap();
    let line = refused(at, &[&merge[..], &["--data", "others"]].concat());
    assert!(
        line.starts_with("cut/a, cut/b: 12 questions were asked on ")
            && line.contains(", and others has 12 on ")
            && line.ends_with("name those that were asked on by --benchmark and --data"),
        "{line}"
    );
    fs::rename(at.join("data"), at.join("moved")).unwrap();
    assert_eq!(
        refused(at, &merge),
        format!(
            "the data of cut/a were in {}, which is not there: name them by --data",
            at.join("data").display()
        )
    );
    done(at, &[&merge[..], &["--data", "moved"]].concat());
    assert_eq!(files(&at.join("cut/r")), files(&at.join("uncut/r")));
}

#[test]
fn a_row_that_no_shard_has_begun_is_missing() {
    let dir = copy_of("shared");
    let manifest = dir.path().join("shared/r/run.toml");
    let text = fs::read_to_string(&manifest).unwrap();
    let with_late = text.replacen("order = [", "order = [\"late\", ", 1);
    assert_ne!(text, with_late);
    fs::write(&manifest, with_late).unwrap();
    let merge = ["merge", "r", "--results", "shared"];
    assert_eq!(
        refused(dir.path(), &merge),
        "shared/r: no answer of late to any: ask what is missing, or merge without it by --partial"
    );
    let (_, stderr) = done(dir.path(), &[&merge[..], &["--partial"]].concat());
    assert!(
        stderr.contains("note: merged in part, shared/r: no answer of late to any\n"),
        "{stderr}"
    );
    let merged = fs::read_to_string(&manifest).unwrap();
    assert!(merged.contains("partial = true"), "{merged}");
}

/// The rows that look at no chart.
const OF_FIRST: [&str; 2] = ["majority", "question-prior"];

#[test]
fn rows_that_the_first_shard_was_killed_before_are_missing() {
    let dir = copy_of("shared");
    let run = dir.path().join("shared/r");
    let file = run.join("run.toml");
    let mut manifest = Manifest::read(&file).unwrap();
    let is_asked = |name: &str| !OF_FIRST.contains(&name);
    manifest.adapters.retain(|entry| is_asked(&entry.id));
    manifest.write(&file).unwrap();
    for row in OF_FIRST {
        fs::remove_dir_all(run.join(row)).unwrap();
    }
    let merge = ["merge", "r", "--results", "shared"];
    let end = "ask what is missing, or merge without it by --partial";
    assert_eq!(
        refused(dir.path(), &merge),
        format!(
            "shared/r: no answer of majority, question-prior to any (shard 1/3 asks them): {end}"
        )
    );
    // In part, and then they are still missing.
    done(dir.path(), &[&merge[..], &["--partial"]].concat());
    let stored = Manifest::read(&file).unwrap();
    assert!(stored.partial && stored.order.len() == 6, "{stored:?}");
    assert_eq!(
        refused(dir.path(), &merge),
        format!(
            "shared/r: no answer of majority, question-prior to any (the first shard asks them): {end}"
        )
    );
    ask(dir.path(), "shared", "r", &["--shard", "1/3"]);
    done(dir.path(), &merge);
    assert_uncut(&run);
}

#[test]
fn rows_that_are_left_out_for_good_are_not_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    done(
        at,
        &["data", "synth", "data", "--train", "0", "--test", "8"],
    );
    let run = |results: &str, name: &str, more: &[&str]| {
        let row = ["run", "--adapters", "matcha-tiny", "--limit", "12"];
        let data = ["--benchmark", "realcqa", "--data", "data"];
        let place = ["--max-patches", "64", "--results", results, "--name", name];
        done(at, &[&row[..], &data, &place, more].concat());
    };
    run("uncut", "r", &[]);
    for shard in ["2/2", "1/2", "2/2"] {
        run("shared", "r", &["--shard", shard]);
    }
    let manifest = Manifest::read(&at.join("shared/r/run.toml")).unwrap();
    assert_eq!(manifest.order, ["matcha-tiny", "blank+matcha-tiny"]);
    assert_eq!(manifest.left_out, OF_FIRST);
    // In part first: what is left out stays known to the shard that comes late.
    copy_folder(&at.join("shared/r"), &at.join("late/r"));
    let late = "predictions.2-of-2.jsonl";
    for row in &manifest.order {
        fs::remove_file(at.join("late/r").join(row).join(late)).unwrap();
    }
    done(at, &["merge", "r", "--partial", "--results", "late"]);
    run("late", "r", &["--shard", "2/2"]);
    for (name, shard) in [("a", "1/2"), ("b", "2/2")] {
        run("own", name, &["--shard", shard]);
    }
    for (results, runs) in [("shared", &[][..]), ("late", &[]), ("own", &["b", "a"])] {
        done(
            at,
            &[&["merge", "r", "--results", results][..], runs].concat(),
        );
        assert_eq!(
            files(&at.join(results).join("r")),
            files(&at.join("uncut/r")),
            "{results}"
        );
    }
}

#[test]
fn a_reader_has_all_rows_while_shards_are_merged() {
    let dir = copy_of("shared");
    let run = RunReader::open(&dir.path().join("shared/r")).unwrap();
    let mut readers: Vec<_> = run.predictions().collect();
    let mut read: Vec<Vec<PredictionRecord>> = readers
        .iter_mut()
        .map(|(_, predictions)| predictions.next().unwrap().unwrap())
        .collect();
    assert!(read.iter().any(|records| records.len() < 24));
    done(dir.path(), &["merge", "r", "--results", "shared"]);
    for ((row, predictions), records) in readers.into_iter().zip(&mut read) {
        records.extend(predictions.read().unwrap());
        let mut ids: Vec<&str> = records.iter().map(|record| record.id.as_str()).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!((ids.len(), records.len()), (24, 24), "{row}");
    }
}

#[cfg(unix)]
#[test]
fn a_log_that_is_a_link_to_nowhere_is_named() {
    let dir = copy_of("shared");
    let log = "shared/r/matcha-tiny/predictions.2-of-3.jsonl";
    let place = dir.path().join(log);
    fs::rename(&place, dir.path().join("elsewhere")).unwrap();
    std::os::unix::fs::symlink("/nowhere/2.jsonl", &place).unwrap();
    let error =
        format!("{log} is a link that leads nowhere: restore its target, or remove the link");
    for command in [
        &["leaderboard", "r"][..],
        &["failures", "r/matcha-tiny"],
        &["compare", "r/matcha-tiny", "r/majority"],
        &["runs", "show", "r"],
        &["merge", "r"],
        &["merge", "new", "r"],
    ] {
        let line = refused(dir.path(), &[command, &["--results", "shared"]].concat());
        assert!(line.ends_with(&error), "{command:?}: {line}");
    }
    for (command, code) in [
        (&["runs"][..], 1),
        (
            &["run", "--adapters", "matcha-tiny", "--no-blind", "--name"],
            2,
        ),
    ] {
        let run = ["r", "--limit", LIMIT, "--max-patches", "64"];
        let run = [&run[..], &["--max-new-tokens", "4"]].concat();
        let more = if code == 2 { &run[..] } else { &[] };
        let arguments = [command, more, &["--results", "shared"]].concat();
        let output = chartbench(dir.path(), &arguments);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{stderr}");
        assert!(stderr.contains(&error), "{stderr}");
    }
    // A link that leads somewhere is a log like any other.
    fs::remove_file(&place).unwrap();
    std::os::unix::fs::symlink(dir.path().join("elsewhere"), &place).unwrap();
    done(dir.path(), &["merge", "r", "--results", "shared"]);
    assert_uncut(&dir.path().join("shared/r"));
}

#[test]
fn a_missing_shard_is_named_beside_a_whole_log() {
    let dir = copy_of("shared");
    let row = dir.path().join("shared/r/matcha-tiny");
    let log = |shard: usize| row.join(format!("predictions.{shard}-of-3.jsonl"));
    fs::rename(log(1), row.join("predictions.jsonl")).unwrap();
    fs::remove_file(log(2)).unwrap();
    assert_eq!(
        refused(dir.path(), &["merge", "r", "--results", "shared"]),
        format!(
            "shared/r: no answer of matcha-tiny to {}: ask what is missing, or merge without it by --partial",
            lack("2/3")
        )
    );
}

#[test]
fn a_run_and_a_row_of_it_are_not_merged() {
    let dir = copy_of("own");
    let merge = ["merge", "r", "--results", "own", "s2"];
    for runs in [["s1", "s1/matcha-tiny"], ["s1/matcha-tiny", "own/s1"]] {
        assert_eq!(
            refused(dir.path(), &[&merge[..], &runs].concat()),
            "own/s1/matcha-tiny is a row of own/s1, which is named, too: leave one of the two out"
        );
    }
    let twice = ["s1/matcha-tiny", "own/s1/matcha-tiny"];
    assert_eq!(
        refused(dir.path(), &[&merge[..], &twice].concat()),
        "own/s1/matcha-tiny is named twice: name it once"
    );
}

#[test]
fn a_leaderboard_stays_until_the_next_and_is_never_outdated() {
    let dir = copy_of("shared");
    let run = dir.path().join("shared/r");
    let late = "predictions.2-of-3.jsonl";
    for row in SHARDED.split(", ") {
        fs::remove_file(run.join(row).join(late)).unwrap();
    }
    let merge = ["merge", "r", "--results", "shared"];
    done(dir.path(), &[&merge[..], &["--partial"]].concat());
    let file = run.join("leaderboard.md");
    let in_part = fs::read_to_string(&file).unwrap();
    // The run grows by a shard.
    ask(dir.path(), "shared", "r", &["--shard", "2/3"]);
    assert!(!file.exists());
    // The next merge replaces what is there in one step.
    fs::write(&file, &in_part).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_chartbench"));
    let mut child = command
        .args(merge)
        .current_dir(dir.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let status = loop {
        assert!(file.exists(), "the merge took the old one away first");
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
    };
    assert!(status.success());
    assert_uncut(&run);
    // A shard that has nothing to ask takes nothing away.
    ask(dir.path(), "shared", "r", &["--shard", "2/3"]);
    assert_eq!(
        fs::read_to_string(&file).unwrap(),
        fs::read_to_string(runs().join("uncut/r/leaderboard.md")).unwrap()
    );
}
