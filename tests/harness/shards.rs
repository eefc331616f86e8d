//! `run --shard`: what shards ask, where they store it, how a run goes on in other parts, and what
//! is noticed where locks do not hold.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use chartbench::adapter::{Adapter, Answer, Identity, ReportAnswer, questions};
use chartbench::jobs::run::{RunReport, RunRequest, run_with};
use chartbench::run::store::{Manifest, RunReader};
use chartbench_core::files::FileLock;
use chartbench_core::isa;
use chartbench_core::question::ChartQuestions;
use chartbench_core::shard::Shard;
use chartbench_nn::KERNELS_VERSION;
use serde_json::Value;
use tempfile::TempDir;

/// A folder of results.
struct Scratch(TempDir);

impl Scratch {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_chartbench"));
        command.args(arguments).current_dir(self.0.path());
        for variable in ["SLURM_ARRAY_TASK_ID", "SLURM_PROCID", "CI_NODE_INDEX"] {
            command.env_remove(variable);
        }
        command
    }

    /// `run` with these arguments, into `results/NAME`.
    fn run(&self, name: &str, more: &[&str]) -> Output {
        let own = ["run", "--limit", "30", "--max-new-tokens", "4", "--name"];
        let arguments = [&own[..], &[name], more].concat();
        self.command(&arguments).output().unwrap()
    }

    #[track_caller]
    fn run_well(&self, name: &str, more: &[&str]) -> Output {
        let output = self.run(name, more);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        output
    }

    /// `run` of one model alone.
    #[track_caller]
    fn ask(&self, name: &str, more: &[&str]) -> Output {
        self.run_well(name, &[&MODEL[..], more].concat())
    }

    fn manifest(&self, name: &str) -> Manifest {
        Manifest::read(&self.path(&format!("results/{name}/run.toml"))).unwrap()
    }

    /// The lines of a log without their latencies.
    fn lines(&self, log: &str) -> Vec<String> {
        let text = fs::read_to_string(self.path("results").join(log)).unwrap();
        text.lines().map(without_latency).collect()
    }

    fn logs(&self, row: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path("results").join(row)).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut logs: Vec<String> = names.filter(|name| name.ends_with(".jsonl")).collect();
        logs.sort();
        logs
    }

    /// Every answer of a run without its latency, by row and question.
    fn answers(&self, name: &str) -> BTreeMap<(String, String), String> {
        let run = RunReader::open(&self.path("results").join(name)).unwrap();
        let mut answers = BTreeMap::new();
        for (row, predictions) in run.predictions() {
            for record in predictions.read().unwrap() {
                let line = without_latency(&serde_json::to_string(&record).unwrap());
                let new = answers.insert((row.to_owned(), record.id.clone()), line);
                assert!(new.is_none(), "{row} answers {} twice", record.id);
            }
        }
        answers
    }

    /// The tables over a run, but for its name.
    fn tables(&self, name: &str) -> String {
        let arguments = ["leaderboard", name, "--no-speed", "--format", "markdown"];
        let output = self.command(&arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        stdout(&output).replace(name, "RUN")
    }
}

const MODEL: [&str; 3] = ["--no-blind", "--adapters", "matcha-tiny-mini"];

fn without_latency(line: &str) -> String {
    let mut record: Value = serde_json::from_str(line).unwrap();
    assert!(
        record
            .as_object_mut()
            .unwrap()
            .shift_remove("latency_ms")
            .is_some()
    );
    record.to_string()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn shards_in_one_folder_are_the_uncut_run() {
    let scratch = Scratch::new();
    let models = ["--adapters", "matcha-tiny-mini,unichart-tiny-mini"];
    scratch.run_well("wholerun", &models);
    // They arrive in any order.
    for shard in ["3/3", "1/3", "2/3"] {
        let output = scratch.run_well("cutinto3", &[&models[..], &["--shard", shard]].concat());
        let (line, notes) = (stdout(&output), stderr(&output));
        assert!(
            line.starts_with(&format!("shard {shard}: "))
                && line.contains("answered by each of 4 rows")
                && line.ends_with("; when all shards are done: chartbench merge cutinto3\n")
                && line.lines().count() == 1,
            "{line}"
        );
        assert!(
            notes.starts_with("30 questions on ")
                && notes
                    .lines()
                    .next()
                    .unwrap()
                    .contains(&format!("(shard {shard}: ")),
            "{notes}"
        );
        let is_first = shard == "1/3";
        assert_eq!(
            line.contains("majority answered 30 of 30; question-prior answered 30 of 30"),
            is_first,
            "{line}"
        );
        assert_eq!(
            notes.contains("note: majority, question-prior: the first shard asks them"),
            !is_first,
            "{notes}"
        );
        if shard == "3/3" {
            assert!(!scratch.path("results/cutinto3/majority").exists());
        }
    }
    assert!(!scratch.path("results/cutinto3/leaderboard.md").exists());
    assert_eq!(scratch.logs("cutinto3/majority"), ["predictions.jsonl"]);
    assert_eq!(
        scratch.logs("cutinto3/blank+matcha-tiny-mini"),
        ["1", "2", "3"].map(|index| format!("predictions.{index}-of-3.jsonl"))
    );
    assert_eq!(scratch.answers("cutinto3"), scratch.answers("wholerun"));
    assert_eq!(scratch.answers("cutinto3").len(), 6 * 30);
    assert_eq!(scratch.tables("cutinto3"), scratch.tables("wholerun"));
    // Each log has the charts of its shard, in the order of the uncut run.
    let whole = scratch.lines("wholerun/matcha-tiny-mini/predictions.jsonl");
    for index in 1..=3 {
        let shard = Shard::new(index, 3).unwrap();
        let mut expected = whole.clone();
        expected.retain(|line| {
            let record: Value = serde_json::from_str(line).unwrap();
            shard.holds(record["chart"].as_str().unwrap())
        });
        let log = format!("cutinto3/matcha-tiny-mini/predictions.{index}-of-3.jsonl");
        assert!(!expected.is_empty());
        assert_eq!(scratch.lines(&log), expected);
    }

    let (whole, cut) = (scratch.manifest("wholerun"), scratch.manifest("cutinto3"));
    let ids = |run: &Manifest| -> Vec<String> {
        let ids = run.adapters.iter().map(|entry| entry.id.clone());
        ids.collect()
    };
    assert_eq!((whole.format, cut.format), (3, 3));
    assert_eq!(cut.benchmark, whole.benchmark);
    assert_eq!((whole.order.len(), &cut.order), (0, &ids(&whole)));
    let mut sorted = cut.clone();
    sorted.sort_adapters();
    assert_eq!(ids(&sorted), ids(&whole));
    assert_ne!(ids(&cut), ids(&whole), "rows came in another order");
    for (entry, uncut) in sorted.adapters.iter().zip(&whole.adapters) {
        assert_eq!(entry.fingerprint, uncut.fingerprint);
        let [processor] = &entry.processors[..] else {
            panic!("{:?}", entry.processors)
        };
        assert_eq!(processor.instruction_set, isa::current().name);
        assert_eq!(uncut.processors.len(), 1);
        assert!(uncut.processors[0].shards.is_empty());
        assert!(processor.is_equal_to(&uncut.processors[0]));
        let shards: &[&str] = match entry.id.as_str() {
            "majority" | "question-prior" => &[],
            _ => &["3/3", "1/3", "2/3"],
        };
        assert_eq!(processor.shards, shards, "{}", entry.id);
    }
    // Asked again, nothing is asked and nothing changes.
    let before = fs::read(scratch.path("results/cutinto3/run.toml")).unwrap();
    scratch.run_well("cutinto3", &[&models[..], &["--shard", "1/3"]].concat());
    assert_eq!(
        fs::read(scratch.path("results/cutinto3/run.toml")).unwrap(),
        before
    );
    let arguments = ["runs", "remove", "cutinto3", "--yes"];
    assert!(scratch.command(&arguments).status().unwrap().success());
    assert!(!scratch.path("results/cutinto3").exists());
}

#[test]
fn a_run_goes_on_in_other_parts_and_asks_nothing_twice() {
    let scratch = Scratch::new();
    scratch.ask("whole", &[]);
    scratch.ask("r", &["--shard", "1/3"]);
    let third = scratch.lines("r/matcha-tiny-mini/predictions.1-of-3.jsonl");
    let output = scratch.ask("r", &["--shard", "2/2"]);
    assert!(
        stderr(&output).contains("questions are answered already"),
        "{}",
        stderr(&output)
    );
    let half = scratch.lines("r/matcha-tiny-mini/predictions.2-of-2.jsonl");
    assert_eq!(scratch.answers("r").len(), third.len() + half.len());
    let dry = scratch.ask("r", &["--shard", "2/2", "--dry-run"]);
    let row = stdout(&dry);
    let row = row.lines().find(|line| line.contains("matcha-tiny-mini"));
    assert!(
        row.unwrap().trim_end_matches(['│', ' ']).ends_with(" 0"),
        "{row:?}"
    );
    // At last the run is not cut.
    scratch.ask("r", &[]);
    assert_eq!(
        scratch.logs("r/matcha-tiny-mini"),
        [
            "predictions.1-of-3.jsonl",
            "predictions.2-of-2.jsonl",
            "predictions.jsonl"
        ]
    );
    assert_eq!(scratch.answers("r"), scratch.answers("whole"));
    let rest = scratch.lines("r/matcha-tiny-mini/predictions.jsonl");
    assert_eq!(third.len() + half.len() + rest.len(), 30);
    for shard in ["1/1", "3/5"] {
        scratch.ask("r", &["--shard", shard]);
    }
    assert_eq!(scratch.answers("r"), scratch.answers("whole"));
    let listed = scratch.command(&["runs"]).output().unwrap();
    assert!(!stdout(&listed).contains("no ("), "{}", stdout(&listed));
}

#[test]
fn a_dry_run_knows_the_shard() {
    let scratch = Scratch::new();
    let models = ["--adapters", "matcha-tiny-mini", "--dry-run", "--shard"];
    let left = |output: &Output, row: &str| -> Option<usize> {
        let text = stdout(output);
        let line = text
            .lines()
            .find(|line| line.contains(&format!("│ {row} ")))?;
        line.trim_end_matches(['│', ' '])
            .rsplit(' ')
            .next()?
            .parse()
            .ok()
    };
    let mut all = 0;
    for shard in ["1/2", "2/2"] {
        let output = scratch.run_well("r", &[&models[..], &[shard]].concat());
        let questions = left(&output, "matcha-tiny-mini").unwrap();
        assert!((1..30).contains(&questions), "{}", stdout(&output));
        assert_eq!(left(&output, "blank+matcha-tiny-mini"), Some(questions));
        all += questions;
        let prior = left(&output, "majority");
        assert_eq!(prior, (shard == "1/2").then_some(30), "{}", stdout(&output));
    }
    assert_eq!(all, 30);
    assert!(!scratch.path("results").exists());
}

#[test]
fn a_shard_without_a_chart_has_nothing_to_ask() {
    let scratch = Scratch::new();
    let output = scratch.ask("r", &["--shard", "9999/10000"]);
    assert_eq!(
        stdout(&output),
        "shard 9999/10000: no chart falls into it; when all shards are done: chartbench merge r\n"
    );
    let manifest = scratch.manifest("r");
    assert_eq!(manifest.order, ["matcha-tiny-mini"]);
    assert!(manifest.adapters.is_empty() && manifest.benchmark.questions == 30);
}

#[test]
fn the_environment_names_the_shard() {
    let scratch = Scratch::new();
    let run = ["run", "--limit", "30", "--name", "r", "--shard"];
    let auto = |shard: &str| scratch.command(&[&run[..], &[shard], &MODEL].concat());
    let output = auto("auto/10000")
        .env("JOB_COMPLETION_INDEX", "9998")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("note: shard 9999/10000, from JOB_COMPLETION_INDEX=9998\n"),
        "{}",
        stderr(&output)
    );
    let output = auto("auto").env("JOB_COMPLETION_INDEX", "9998").output();
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        stderr(&output),
        "error: --shard auto: JOB_COMPLETION_INDEX=9998 does not say how many tasks there are: write --shard auto/N, N being \
         their number\n"
    );
}

#[test]
fn a_log_that_another_process_writes_is_named() {
    let scratch = Scratch::new();
    scratch.ask("r", &["--shard", "1/2"]);
    let log = scratch.path("results/r/matcha-tiny-mini/predictions.1-of-2.jsonl");
    let before = fs::read(scratch.path("results/r/run.toml")).unwrap();
    let lock = FileLock::acquire(&log).unwrap();
    let refused = |shard: &[&str]| {
        let output = scratch.run("r", &[&MODEL[..], shard].concat());
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{text}");
        let line = text.lines().last().unwrap();
        assert!(
            line.contains("predictions.1-of-2.jsonl is in use by another chartbench run"),
            "{line}"
        );
    };
    // Shards that have some of its charts, and the whole run.
    for shard in ["1/2", "1/4", "3/4", "2/3"] {
        refused(&["--shard", shard]);
    }
    refused(&[]);
    assert_eq!(
        fs::read(scratch.path("results/r/run.toml")).unwrap(),
        before
    );
    for shard in ["2/2", "4/4"] {
        scratch.ask("r", &["--shard", shard]);
    }
    drop(lock);
    scratch.ask("r", &["--shard", "1/4"]);
}

#[test]
fn failed_rows_are_asked_again_in_their_own_log() {
    let scratch = Scratch::new();
    scratch.ask("r", &["--shard", "1/2"]);
    let log = scratch.path("results/r/matcha-tiny-mini/predictions.1-of-2.jsonl");
    let whole = fs::read_to_string(&log).unwrap();
    let mut record: Value = serde_json::from_str(whole.lines().next().unwrap()).unwrap();
    let chart = record["chart"].as_str().unwrap().to_owned();
    record["prediction"] = Value::Null;
    record["error"] = "broken".into();
    let rest: String = whole.split_inclusive('\n').skip(1).collect();
    fs::write(&log, format!("{record}\n{rest}")).unwrap();
    let shard = (1..=4)
        .map(|index| Shard::new(index, 4).unwrap())
        .find(|shard| shard.holds(&chart));
    let shard = shard.unwrap().to_string();
    let again = ["--retry-failed", "--shard"];
    let output = scratch.run("r", &[&MODEL[..], &again, &[&shard]].concat());
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("note: 1 failed rows are in other logs than ")
            && stderr(&output).contains(
                " are not asked again: when every question has a row, merge the run (chartbench merge), then the same \
                 command without --shard asks them\n"
            ),
        "{}",
        stderr(&output)
    );
    scratch.ask("r", &["--retry-failed", "--shard", "1/2"]);
    let text = fs::read_to_string(&log).unwrap();
    assert!(text.starts_with(&rest) && text.lines().count() == whole.lines().count());
    assert!(!text.contains("broken"));
}

#[test]
fn failed_rows_of_a_merged_run_are_asked_again_by_the_command_that_is_named() {
    let scratch = Scratch::new();
    for shard in ["1/2", "2/2"] {
        scratch.ask("r", &["--shard", shard]);
    }
    let merge = ["merge", "r"];
    assert!(scratch.command(&merge).output().unwrap().status.success());
    let whole = scratch.answers("r");
    let log = scratch.path("results/r/matcha-tiny-mini/predictions.jsonl");
    let text = fs::read_to_string(&log).unwrap();
    let (first, rest) = text.split_once('\n').unwrap();
    let mut record: Value = serde_json::from_str(first).unwrap();
    let chart = record["chart"].as_str().unwrap().to_owned();
    record["prediction"] = Value::Null;
    record["error"] = "broken".into();
    fs::write(&log, format!("{record}\n{rest}")).unwrap();
    let shard = Shard::new(1, 2).unwrap().with_chart(&chart).to_string();
    let command = [&MODEL[..], &["--retry-failed"]].concat();
    let output = scratch.run("r", &[&command[..], &["--shard", &shard]].concat());
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let notes = stderr(&output);
    let note = notes
        .lines()
        .find(|line| line.starts_with("note: 1 failed rows"));
    assert!(
        note.unwrap()
            .ends_with("and are not asked again: the same command without --shard asks them"),
        "{notes}"
    );
    scratch.run_well("r", &command);
    assert_eq!(scratch.answers("r"), whole);
    assert!(scratch.command(&merge).output().unwrap().status.success());
    assert_eq!(fs::read_to_string(&log).unwrap().lines().count(), 30);
    assert_eq!(scratch.answers("r"), whole);
}

#[test]
fn another_instruction_set_is_stored_and_noted() {
    if isa::supported().len() < 2 {
        println!("NOT TESTED: this processor has one instruction set");
        return;
    }
    let scratch = Scratch::new();
    let names = ["majority", "matcha-tiny-mini"];
    let adapters = ["--no-blind", "--adapters", "majority,matcha-tiny-mini"];
    let scalar = |shard: &str| {
        let own = ["run", "--limit", "30", "--max-new-tokens", "4", "--name"];
        let arguments = [&own[..], &["r", "--shard", shard], &adapters].concat();
        let output = scratch
            .command(&arguments)
            .env(isa::VARIABLE, "scalar")
            .output();
        let output = output.unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        stderr(&output)
    };
    scratch.run_well("r", &[&adapters[..], &["--shard", "1/2"]].concat());
    let before = scratch.manifest("r");
    // A row without questions left computes nothing.
    assert!(!scalar("1/2").contains("stored answers were computed"));
    assert_eq!(scratch.manifest("r"), before);
    let notes = scalar("2/2");
    let name = isa::supported().last().unwrap().name;
    let note = format!(
        "note: matcha-tiny-mini: stored answers were computed with {name}, kernels {KERNELS_VERSION}, now scalar, kernels {KERNELS_VERSION} computes; answers \
         are the same to the byte within one only"
    );
    assert_eq!(notes.matches("stored answers were").count(), 1, "{notes}");
    assert!(notes.contains(&note), "{notes}");
    let manifest = scratch.manifest("r");
    let computed: Vec<(&str, Vec<String>)> = manifest
        .adapters
        .iter()
        .map(|entry| {
            let shown = entry.processors.iter();
            let shown = shown.map(|processor| format!("{processor} {:?}", processor.shards));
            (entry.id.as_str(), shown.collect())
        })
        .collect();
    let first = format!("{name}, kernels {KERNELS_VERSION}");
    assert_eq!(
        computed,
        [
            (names[0], vec![format!("{first} []")]),
            (
                names[1],
                vec![
                    format!("{first} [\"1/2\"]"),
                    format!("scalar, kernels {KERNELS_VERSION} [\"2/2\"]")
                ]
            )
        ]
    );
}

#[test]
fn a_run_of_an_earlier_format_keeps_it() {
    let scratch = Scratch::new();
    scratch.ask("r", &["--shard", "1/2"]);
    let file = scratch.path("results/r/run.toml");
    let mut manifest = scratch.manifest("r");
    manifest.format = 2;
    manifest.order.clear();
    manifest.adapters[0].processors.clear();
    manifest.write(&file).unwrap();
    let before = fs::read(&file).unwrap();
    scratch.ask("r", &["--shard", "2/2"]);
    scratch.ask("r", &[]);
    assert_eq!(fs::read(&file).unwrap(), before);
    assert_eq!(scratch.answers("r").len(), 30);
}

/// An adapter whose first call does something to the run's folder.
struct Meddling {
    identity: Identity,
    meddle: Option<Box<dyn FnOnce()>>,
}

impl Adapter for Meddling {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn answer(
        &mut self,
        charts: &[ChartQuestions],
        report: &mut ReportAnswer<'_>,
    ) -> anyhow::Result<()> {
        for (index, (_, question)) in questions(charts).enumerate() {
            report(index, Ok(Answer::from_text(question.text.clone())));
        }
        if let Some(meddle) = self.meddle.take() {
            meddle();
        }
        Ok(())
    }
}

/// An adapter that meddles with the folder of its run.
fn meddling(id: &str, meddle: Option<Box<dyn FnOnce()>>) -> Box<dyn Adapter> {
    Box::new(Meddling {
        identity: Identity {
            id: id.to_owned(),
            settings: vec![("version".to_owned(), "1".to_owned())],
        },
        meddle,
    })
}

/// Asks shard 1/2 of an adapter that meddles with the folder of the run, `r` in `results`.
fn run_meddling(results: &Path, meddle: impl FnOnce() + 'static) -> anyhow::Result<RunReport> {
    run_adapters(results, &mut [meddling("mine", Some(Box::new(meddle)))])
}

/// Asks shard 1/2 of adapters, in the run `r` in `results`.
fn run_adapters(results: &Path, adapters: &mut [Box<dyn Adapter>]) -> anyhow::Result<RunReport> {
    let request = RunRequest {
        name: Some("r".to_owned()),
        results: results.to_owned(),
        limit: Some(30),
        shard: Some(Shard::new(1, 2)?),
        ..RunRequest::new(Vec::new())
    };
    run_with(&request, adapters, &mut |_| {})
}

#[test]
fn answers_of_another_process_are_not_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("r/mine/predictions.1-of-2.jsonl");
    let path = log.clone();
    let error = run_meddling(dir.path(), move || {
        let mut log = OpenOptions::new().append(true).open(path).unwrap();
        log.write_all(b"{\"of\":\"another\"}\n").unwrap();
    });
    let error = format!("{:#}", error.err().unwrap());
    assert!(
        error.starts_with(&format!(
            "another process writes to {} (17 bytes long, left at 0)",
            log.display()
        )),
        "{error}"
    );
    assert_eq!(fs::read_to_string(&log).unwrap(), "{\"of\":\"another\"}\n");
}

#[test]
fn an_entry_that_another_process_overwrote_is_added_again() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("r/run.toml");
    let path = file.clone();
    let report = run_meddling(dir.path(), move || {
        let mut manifest = Manifest::read(&path).unwrap();
        manifest.adapters.clear();
        manifest.write(&path).unwrap();
    });
    assert!(report.unwrap().is_complete());
    let manifest = Manifest::read(&file).unwrap();
    let [entry] = &manifest.adapters[..] else {
        panic!("{manifest:?}")
    };
    assert_eq!(
        (entry.id.as_str(), &entry.processors[0].shards[..]),
        ("mine", &["1/2".to_owned()][..])
    );
    let read = RunReader::open(&dir.path().join("r")).unwrap();
    assert!(read.count_rows("mine").unwrap() > 0);
}

/// While a shard is at its second row, a merge takes the first one's log, and the names of shards
/// from the manifest: nothing is lost.
#[test]
fn a_merge_meanwhile_is_not_taken_for_locks_that_do_not_hold() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("r");
    let file = run.join("run.toml");
    let (folder, manifest) = (run.join("first"), file.clone());
    let merge = move || {
        let (shard, whole) = ("predictions.1-of-2.jsonl", "predictions.jsonl");
        fs::rename(folder.join(shard), folder.join(whole)).unwrap();
        let mut merged = Manifest::read(&manifest).unwrap();
        for entry in &mut merged.adapters {
            entry
                .processors
                .iter_mut()
                .for_each(|processor| processor.shards.clear());
        }
        merged.write(&manifest).unwrap();
    };
    let mut adapters = [
        meddling("first", None),
        meddling("second", Some(Box::new(merge))),
    ];
    run_adapters(dir.path(), &mut adapters).unwrap();
    let manifest = Manifest::read(&file).unwrap();
    let shards = |id: &str| -> Vec<String> {
        let entry = manifest.adapters.iter().find(|entry| entry.id == id);
        entry.unwrap().processors[0].shards.clone()
    };
    assert_eq!(shards("first"), [""; 0], "the merge has it");
    // Its log is still there: another process has overwritten the entry.
    assert_eq!(shards("second"), ["1/2"]);
}
