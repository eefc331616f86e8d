//! A run killed with SIGKILL at random moments and started again ends as one that was never killed.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rand::{Rng, SeedableRng};
use serde_json::Value;

const KILLS: usize = 20;
const ADAPTERS: &str = "matcha-tiny,question-prior,blank+matcha-tiny";

fn start(results: &Path) -> Child {
    Command::new(env!("CARGO_BIN_EXE_chartbench"))
        .args([
            "run",
            "--no-blind",
            "--adapters",
            ADAPTERS,
            "--limit",
            "80",
            "--batch",
            "3",
            "--name",
            "r",
            "--results",
        ])
        .arg(results)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Every prediction of a run without its latency, as bytes.
fn predictions(results: &Path) -> String {
    let mut all = String::new();
    for adapter in ADAPTERS.split(',') {
        let text =
            std::fs::read_to_string(results.join("r").join(adapter).join("predictions.jsonl"))
                .unwrap();
        for line in text.lines() {
            let mut record: Value = serde_json::from_str(line).unwrap();
            assert!(
                record
                    .as_object_mut()
                    .unwrap()
                    .remove("latency_ms")
                    .is_some()
            );
            all += &format!("{adapter} {record}\n");
        }
    }
    all
}

fn lines_written(results: &Path) -> usize {
    let count = |adapter| {
        let log = results.join("r").join(adapter).join("predictions.jsonl");
        std::fs::read_to_string(log).map_or(0, |text| text.lines().count())
    };
    ADAPTERS.split(',').map(count).sum()
}

#[test]
fn killed_at_twenty_random_moments_a_run_ends_like_an_unbroken_one() {
    let unbroken = tempfile::tempdir().unwrap();
    let begun = Instant::now();
    assert!(start(unbroken.path()).wait().unwrap().success());
    let whole = begun.elapsed();

    let killed = tempfile::tempdir().unwrap();
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(7);
    let mut seen = BTreeSet::new();
    for _ in 0..KILLS {
        let mut child = start(killed.path());
        // A start costs the model's loading before it answers, so later kills must come later to
        // get further.
        std::thread::sleep(
            whole.mul_f64(random.random_range(0.02..0.4))
                + Duration::from_millis(random.random_range(0..40)),
        );
        child.kill().unwrap();
        child.wait().unwrap();
        seen.insert(lines_written(killed.path()));
    }
    let answered = 80 * ADAPTERS.split(',').count();
    assert!(
        seen.iter()
            .filter(|&&lines| lines > 0 && lines < answered)
            .count()
            >= 2,
        "no kill fell into answering: {seen:?}"
    );
    assert!(start(killed.path()).wait().unwrap().success());

    assert_eq!(predictions(killed.path()), predictions(unbroken.path()));
    let leaderboard = |results: &Path| std::fs::read(results.join("r/leaderboard.md")).unwrap();
    assert_eq!(leaderboard(killed.path()), leaderboard(unbroken.path()));
    assert_eq!(
        predictions(killed.path()).lines().count(),
        answered,
        "a question is missing or answered twice"
    );
}
