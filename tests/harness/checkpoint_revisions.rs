//! Checkpoints of a hub: the commit that a revision stands for is said, stored and shown, and is no part of
//! what is compared.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use tempfile::TempDir;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// A folder with an adapter file `mine`, and a cache with its checkpoint.
struct Scratch(TempDir);

impl Scratch {
    fn new() -> Self {
        let scratch = Self(tempfile::tempdir().unwrap());
        let snapshot = scratch.snapshot();
        fs::create_dir_all(&snapshot).unwrap();
        let model = crate::embedded_models::folder("matcha-tiny");
        for entry in fs::read_dir(model).unwrap() {
            let path = entry.unwrap().path();
            fs::copy(&path, snapshot.join(path.file_name().unwrap())).unwrap();
        }
        let refs = scratch.path("cache/models--someone--tiny/refs");
        fs::create_dir_all(&refs).unwrap();
        fs::write(refs.join("main"), COMMIT).unwrap();
        fs::create_dir(scratch.path("adapters")).unwrap();
        scratch.set_revision("main");
        scratch
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn snapshot(&self) -> PathBuf {
        let snapshots = self.path("cache/models--someone--tiny/snapshots");
        snapshots.join(COMMIT)
    }

    fn set_revision(&self, revision: &str) {
        let file = format!(
            "family = \"pix2struct\"\nweights = {{ repo = \"someone/tiny\", revision = \"{revision}\" }}\n\
             preprocess.header_font = \"embedded\"\ngeneration.max_new_tokens = 4\n"
        );
        fs::write(self.path("adapters/mine.toml"), file).unwrap();
    }

    fn chartbench(&self, arguments: &[&str]) -> Output {
        let output = Command::new(env!("CARGO_BIN_EXE_chartbench"))
            .args(arguments)
            .current_dir(self.0.path())
            .env("HF_HUB_CACHE", self.path("cache"))
            .env_remove("COLUMNS")
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
        output
    }

    fn run(&self) -> Output {
        self.chartbench(&[
            "run",
            "--offline",
            "--adapters",
            "mine,blank+mine",
            "--adapters-dir",
            "adapters",
            "--no-blind",
            "--limit",
            "2",
            "--name",
            "r",
        ])
    }

    /// The entry of the adapter `mine`.
    fn entry(&self) -> toml::Table {
        let text = fs::read_to_string(self.path("results/r/run.toml")).unwrap();
        let manifest: toml::Table = text.parse().unwrap();
        manifest["adapters"][0].as_table().unwrap().clone()
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn the_commit_of_a_revision_is_said_stored_and_shown() {
    let scratch = Scratch::new();
    let output = scratch.run();
    let note = format!("note: someone/tiny: revision main is not pinned: {COMMIT} today\n");
    assert_eq!(
        stderr(&output).matches(&note).count(),
        1,
        "{}",
        stderr(&output)
    );
    assert!(
        stderr(&output).find(&note) < stderr(&output).find("mine: 2 questions answered"),
        "{}",
        stderr(&output)
    );
    let entry = scratch.entry();
    assert_eq!(
        entry["settings"]["weights"].as_str(),
        Some("someone/tiny@main")
    );
    let source = &entry["sources"][0];
    assert_eq!(source["repo"].as_str(), Some("someone/tiny"));
    assert_eq!(source["revision"].as_str(), Some("main"));
    assert_eq!(source["commit"].as_str(), Some(COMMIT));
    let files = source["files"].as_table().unwrap();
    for name in [
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
    ] {
        assert_eq!(files[name].as_str().map(str::len), Some(64), "{name}");
    }

    let shown = "someone/tiny@main (not pinned: 01234567)";
    let show = scratch.chartbench(&["runs", "show", "r"]);
    assert!(stdout(&show).contains(shown), "{}", stdout(&show));
    let board = scratch.chartbench(&["leaderboard", "r"]);
    assert!(stdout(&board).contains(shown), "{}", stdout(&board));
    let list = |pinned: &str| {
        let output = scratch.chartbench(&["list", "adapters", "--adapters-dir", "adapters"]);
        assert!(stdout(&output).contains(pinned), "{}", stdout(&output));
    };
    list("someone/tiny, not pinned (cached)");
    scratch.set_revision(COMMIT);
    list("someone/tiny@01234567 (cached)");
}

/// A run that was begun under `main` goes on when the adapter file pins the same weights.
#[test]
fn a_pinned_commit_goes_on_with_the_run_of_main() {
    let scratch = Scratch::new();
    scratch.run();
    let (begun, log) = (
        scratch.entry(),
        scratch.path("results/r/mine/predictions.jsonl"),
    );
    let answers = fs::read(&log).unwrap();
    scratch.set_revision(COMMIT);
    let output = scratch.run();
    assert!(
        !stderr(&output).contains("not pinned"),
        "{}",
        stderr(&output)
    );
    let resumed = scratch.entry();
    for key in ["fingerprint", "settings"] {
        assert_eq!(begun[key], resumed[key], "{key}");
    }
    assert_eq!(fs::read(&log).unwrap(), answers);
    assert_eq!(resumed["sources"].as_array().map(Vec::len), Some(2));
    assert_eq!(resumed["sources"][1]["revision"].as_str(), Some(COMMIT));
}

/// A revision that came to stand for other weights is another adapter, as ever.
#[test]
fn other_weights_under_the_same_revision_are_refused() {
    let scratch = Scratch::new();
    scratch.run();
    let config = scratch.snapshot().join("config.json");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, format!("{text}\n")).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_chartbench"))
        .args([
            "run",
            "--offline",
            "--adapters",
            "mine",
            "--adapters-dir",
            "adapters",
        ])
        .args(["--no-blind", "--limit", "2", "--name", "r"])
        .current_dir(scratch.0.path())
        .env("HF_HUB_CACHE", scratch.path("cache"))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("weights_sha256 was"),
        "{}",
        stderr(&output)
    );
}
