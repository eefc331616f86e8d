//! `chartbench run` from outside: what it says first, what it would do, limits that grow, and
//! checkpoints in folders.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// A folder for results and checkpoints, with a cache of models that is empty.
struct Scratch(TempDir);

impl Scratch {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn at(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_chartbench"));
        command
            .args(arguments)
            .env("HF_HUB_CACHE", self.path("cache"))
            .env("CHARTBENCH_CACHE", self.path("tables"));
        for name in ["HF_ENDPOINT", "HF_HUB_OFFLINE", "HF_HUB_DOWNLOAD_TIMEOUT"] {
            command.env_remove(name);
        }
        for proxy in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
            command.env_remove(proxy).env_remove(proxy.to_lowercase());
        }
        command
    }

    /// `run` with these arguments, into `results/r`.
    fn run(&self, arguments: &[&str]) -> Output {
        let own = ["run", "--name", "r", "--results", &self.at("results")];
        self.command(&[&own[..], arguments].concat())
            .output()
            .unwrap()
    }

    #[track_caller]
    fn run_well(&self, arguments: &[&str]) -> Output {
        let output = self.run(arguments);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        output
    }

    /// Copies an embedded checkpoint to a folder.
    fn checkpoint(&self, model: &str, name: &str) -> String {
        fs::create_dir_all(self.path(name)).unwrap();
        let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
        for entry in fs::read_dir(models.join(model)).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                fs::copy(&path, self.path(name).join(path.file_name().unwrap())).unwrap();
            }
        }
        self.at(name)
    }

    /// The lines of an adapter's log in `results/r`.
    fn log(&self, adapter: &str) -> Vec<String> {
        let file = self
            .path("results/r")
            .join(adapter)
            .join("predictions.jsonl");
        let text = fs::read_to_string(file).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    fn manifest(&self) -> toml::Table {
        let text = fs::read_to_string(self.path("results/r/run.toml")).unwrap();
        text.parse().unwrap()
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// The cells of the row of a printed table that begins with `name`.
#[track_caller]
fn cells(output: &Output, name: &str) -> Vec<String> {
    let text = stdout(output);
    let rows = text.lines().map(|line| {
        let cells = line.trim_matches('│').split('│');
        cells.map(|cell| cell.trim().to_owned()).collect::<Vec<_>>()
    });
    let mut rows = rows.filter(|cells| cells[0] == name);
    rows.next()
        .unwrap_or_else(|| panic!("no row {name}: {text}"))
}

/// Every file below a folder with its bytes.
fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.insert(path.clone(), fs::read(&path).unwrap());
        }
    }
    found
}

#[test]
fn a_hub_that_cannot_be_reached_is_told_once_with_what_can_be_done() {
    let closed = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    // Nobody answers at an address for documentation; where there is no route to it, that is told.
    for (hub, seconds) in [
        (format!("http://{closed}"), 3),
        ("http://192.0.2.1".to_owned(), 5),
    ] {
        let scratch = Scratch::new();
        let begun = Instant::now();
        let output = scratch
            .command(&["run", "--adapters", "matcha-base,unichart", "--results"])
            .arg(scratch.path("results"))
            .env("HF_ENDPOINT", &hub)
            .output()
            .unwrap();
        let spent = begun.elapsed();
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{text}");
        let lines: Vec<&str> = text.lines().collect();
        let [questions, error] = lines[..] else {
            panic!("{text}")
        };
        assert_eq!(
            questions,
            "480 questions on 120 charts of Mini (synthetic), drawn by this program and no real charts; RealCQA's: \
             --benchmark realcqa --data RealCQA/"
        );
        let start = format!("error: matcha-base, unichart: cannot reach {hub} for weights (");
        assert!(error.starts_with(&start), "{error}");
        for way in [
            "--adapters deplot-tiny,matcha-tiny",
            "--weights NAME=DIR",
            "HF_HUB_OFFLINE=1",
        ] {
            assert!(error.contains(way), "{way}: {error}");
        }
        assert!(spent < Duration::from_secs(seconds), "{spent:?}");
        assert!(!scratch.path("results").exists() && !scratch.path("cache").exists());
    }
}

#[test]
fn a_dry_run_says_what_would_be_done_and_writes_nothing() {
    let scratch = Scratch::new();
    let all = [
        "--adapters",
        "majority,matcha-tiny,matcha-base",
        "--limit",
        "6",
    ];
    let dry = |more: &[&str]| scratch.run(&[&all[..], &["--dry-run"], more].concat());
    let output = dry(&[]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(
        stderr(&output).starts_with("6 questions on "),
        "{}",
        stderr(&output)
    );
    assert!(
        stderr(&output).contains("would begin"),
        "{}",
        stderr(&output)
    );
    assert_eq!(cells(&output, "majority")[1..], ["none", "-", "0", "6"]);
    let tiny = cells(&output, "matcha-tiny");
    assert_eq!(
        (tiny[1].as_str(), &tiny[3..]),
        ("embedded", &["0".to_owned(), "6".to_owned()][..])
    );
    assert!(tiny[2].ends_with("MiB"), "{tiny:?}");
    let base = cells(&output, "matcha-base");
    assert_eq!(
        base[1],
        "google/matcha-base (to download from https://huggingface.co), Arial.TTF (to download from https://huggingface.co)"
    );
    assert_eq!(files(scratch.0.path()).len(), 0, "something was written");

    scratch.run_well(&[
        "--adapters",
        "majority,matcha-tiny",
        "--limit",
        "6",
        "--max-new-tokens",
        "4",
    ]);
    let before = files(scratch.0.path());
    // Settings that the stored answers were not made with.
    let output = dry(&[]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("goes on with"),
        "{}",
        stderr(&output)
    );
    let told = stderr(&output);
    // Its blank row, which the run would ask too, has the same settings.
    for row in ["matcha-tiny", "blank+matcha-tiny"] {
        let refused = told.lines().any(|line| {
            line.starts_with(&format!("error: {row}: "))
                && line.contains("max_new_tokens was \"4\", is \"48\"")
        });
        assert!(refused, "{told}");
    }
    assert_eq!(cells(&output, "majority")[3..], ["6", "0"]);
    let output = dry(&["--max-new-tokens", "4", "--offline"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert_eq!(cells(&output, "matcha-tiny")[3..], ["6", "0"]);
    let last = stderr(&output).lines().last().unwrap().to_owned();
    assert!(
        last.contains("matcha-base") && last.contains("downloads are off"),
        "{last}"
    );
    assert!(before == files(scratch.0.path()), "something was written");
}

#[test]
fn an_estimate_times_a_few_questions_and_keeps_none() {
    let scratch = Scratch::new();
    let output = scratch.run_well(&[
        "--adapters",
        "majority,matcha-tiny",
        "--max-new-tokens",
        "2",
        "--dry-run",
        "--estimate",
    ]);
    for (adapter, left) in [("majority", "480"), ("matcha-tiny", "480")] {
        let cells = cells(&output, adapter);
        assert_eq!(cells[4], left);
        assert!(cells[5].ends_with(" s a question)"), "{cells:?}");
    }
    assert_eq!(files(scratch.0.path()).len(), 0, "something was written");
    let output = scratch.run(&["--adapters", "majority", "--estimate"]);
    assert_eq!(
        output.status.code(),
        Some(2),
        "an estimate is one of a dry run"
    );
}

/// How many of these answers are to each answer type.
fn answer_types(lines: &[String]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for line in lines {
        let record: Value = serde_json::from_str(line).unwrap();
        *counts.entry(record["answer_type"].to_string()).or_default() += 1;
    }
    counts
}

#[test]
fn a_limited_run_grows_and_keeps_its_answers() {
    let scratch = Scratch::new();
    scratch.run_well(&["--adapters", "majority,question-prior", "--limit", "40"]);
    let first = scratch.log("majority");
    assert_eq!(first.len(), 40);
    let benchmark = scratch.manifest()["benchmark"].clone();
    assert_eq!(benchmark["limit"].as_integer(), Some(40));
    assert_eq!(benchmark["limit_rule"].as_str(), Some("even"));
    assert_eq!(scratch.manifest()["format"].as_integer(), Some(3));

    let output = scratch.run_well(&["--adapters", "majority", "--limit", "100"]);
    let second = scratch.log("majority");
    assert_eq!((second.len(), &second[..40]), (100, &first[..]));
    assert!(stderr(&output).contains("40 of 100 questions are answered already"));
    assert_eq!(
        scratch.manifest()["benchmark"]["limit"].as_integer(),
        Some(100)
    );
    // The other adapter has its 40 answers, and questions left.
    assert_eq!(scratch.log("question-prior").len(), 40);
    assert!(
        stdout(&output).contains("question-prior (unfinished)"),
        "{}",
        stdout(&output)
    );

    for (arguments, line) in [
        (vec!["--limit", "40"], "limit was 100, is 40"),
        (vec!["--limit", "200", "--seed", "7"], "seed was 0, is 7"),
    ] {
        let output = scratch.run(&[&["--adapters", "majority"][..], &arguments].concat());
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains(line), "{}", stderr(&output));
    }
    assert_eq!(scratch.log("majority"), second);

    scratch.run_well(&["--adapters", "majority,question-prior"]);
    let whole = scratch.log("majority");
    assert_eq!((whole.len(), &whole[..100]), (480, &second[..]));
    assert_eq!(scratch.log("question-prior").len(), 480);
    assert!(scratch.manifest()["benchmark"].get("limit_rule").is_none());
    // Each answer type has its share.
    let (drawn, all) = (answer_types(&second), answer_types(&whole));
    assert!(all.len() > 2, "{all:?}");
    for (answer_type, count) in all {
        let share = count as f64 * 100.0 / 480.0;
        let drawn = drawn.get(&answer_type).copied().unwrap_or(0) as f64;
        assert!(
            (drawn - share).abs() <= 1.5,
            "{answer_type}: {drawn} of {share}"
        );
    }
}

/// What is drawn at once is what is drawn step by step.
#[test]
fn a_grown_run_has_the_questions_of_a_whole_one() {
    let (grown, whole) = (Scratch::new(), Scratch::new());
    for limit in ["3", "10", "25"] {
        grown.run_well(&["--adapters", "majority", "--limit", limit, "--seed", "5"]);
    }
    whole.run_well(&["--adapters", "majority", "--limit", "25", "--seed", "5"]);
    let ids = |scratch: &Scratch| {
        let mut ids: Vec<Value> = scratch
            .log("majority")
            .iter()
            .map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].clone())
            .collect();
        ids.sort_by_key(ToString::to_string);
        ids
    };
    assert_eq!(ids(&grown), ids(&whole));
    assert_eq!(
        grown.manifest()["benchmark"]["hash"],
        whole.manifest()["benchmark"]["hash"]
    );
}

#[test]
fn a_folder_of_weights_finds_its_adapter_and_is_named_in_the_leaderboard() {
    let scratch = Scratch::new();
    let results = scratch.at("results");
    for (model, folder, name) in [
        ("matcha-tiny", "runs/lr1", "one"),
        ("matcha-tiny-mini", "runs/lr2", "two"),
    ] {
        let weights = scratch.checkpoint(model, folder);
        let output = scratch
            .command(&[
                "run",
                "--limit",
                "2",
                "--max-new-tokens",
                "2",
                "--name",
                name,
            ])
            .args(["--weights", &weights, "--results", &results])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let note = format!(
            "note: {weights} is asked as matcha-tiny, by its config.json; --adapters names another adapter"
        );
        assert!(stderr(&output).contains(&note), "{}", stderr(&output));
    }
    let runs = [scratch.at("results/one"), scratch.at("results/two")];
    let output = scratch
        .command(&["leaderboard", &runs[0], &runs[1], "--format", "json"])
        .output()
        .unwrap();
    let board: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut names: Vec<&str> = board["rows"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|row| row["slice"] == "overall")
        .map(|row| row["adapter"].as_str().unwrap())
        .collect();
    names.sort_unstable();
    let expected = [("one", "lr1"), ("two", "lr2")].map(|(run, folder)| {
        let text = fs::read_to_string(scratch.path("results").join(run).join("run.toml")).unwrap();
        let manifest: toml::Table = text.parse().unwrap();
        let entry = &manifest["adapters"][0];
        assert_eq!(
            entry["folder"].as_str(),
            Some(scratch.at(&format!("runs/{folder}")).as_str())
        );
        let hash = &entry["settings"]["weights_sha256"].as_str().unwrap()[..8];
        format!("matcha-tiny (runs/{folder} {hash})")
    });
    assert_eq!(names, expected);
}

#[test]
fn an_adapter_file_may_hold_a_folder() {
    let scratch = Scratch::new();
    scratch.checkpoint("unichart-tiny", "trained/mine");
    fs::create_dir(scratch.path("adapters")).unwrap();
    let tiny = include_str!("../../adapters/unichart-tiny.toml");
    let file = tiny.replace("embedded = \"unichart-tiny\"", "path = \"../trained/mine\"");
    assert_ne!(file, tiny);
    fs::write(scratch.path("adapters/mine.toml"), &file).unwrap();
    let adapters = scratch.at("adapters");
    let arguments = [
        "--adapters",
        "mine",
        "--adapters-dir",
        &adapters,
        "--limit",
        "2",
        "--max-new-tokens",
        "2",
    ];
    let output = scratch.run_well(&arguments);
    assert!(
        stdout(&output).contains("mine (trained/mine "),
        "{}",
        stdout(&output)
    );
    let settings = &scratch.manifest()["adapters"][0]["settings"];
    assert_eq!(settings["weights"].as_str(), Some("given by weights.path"));
    fs::remove_dir_all(scratch.path("trained")).unwrap();
    let output = scratch.run(&arguments);
    assert_eq!(output.status.code(), Some(2));
    let line = stderr(&output).lines().last().unwrap().to_owned();
    assert!(
        line.starts_with("error: mine: `weights.path`: ") && line.contains("is no folder"),
        "{line}"
    );
}
