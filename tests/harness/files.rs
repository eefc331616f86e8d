//! Stored files stay whole: processes killed with SIGKILL while they replace a log, a folder or a
//! file leave the old content or the new; so do full disks.
use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use chartbench::run::store::{PredictionLog, Predictions};
use chartbench_core::files::{FileLock, create_folder, replace_folder, write_file};
use rand::{Rng, SeedableRng};

const KILLS: usize = 30;
/// Files of a written folder.
const PARTS: usize = 8;
/// Names the work that this test binary does when it starts itself, and where.
const TASK: &str = "CHARTBENCH_TEST_TASK";
const FOLDER: &str = "CHARTBENCH_TEST_FOLDER";

/// Not a test of its own: the work of the started process.
#[test]
fn child() {
    let (Ok(task), Ok(folder)) = (std::env::var(TASK), std::env::var(FOLDER)) else {
        return;
    };
    let folder = Path::new(&folder);
    eprintln!("begins");
    let done = match task.as_str() {
        "retry" => PredictionLog::open(&folder.join("predictions.jsonl"), true).map(drop),
        "replace" => replace_folder(&folder.join("checkpoint"), |folder| {
            write_parts(folder, "new")
        }),
        "create" => create_folder(&folder.join("data"), |folder| write_parts(folder, "new")),
        "file" => write_file(
            &folder.join("README.md"),
            &"new\n".repeat(1 << 20).into_bytes(),
        ),
        other => panic!("no task {other}"),
    };
    eprintln!(
        "{}",
        done.map_or_else(|error| format!("error: {error:#}"), |()| "done".to_owned())
    );
}

/// Files of one generation, some in a sub-folder.
fn write_parts(folder: &Path, generation: &str) -> anyhow::Result<()> {
    fs::create_dir(folder.join("sub"))?;
    for part in 0..PARTS {
        let name = if part % 2 == 0 {
            format!("{part}")
        } else {
            format!("sub/{part}")
        };
        fs::write(folder.join(name), generation.repeat(20_000))?;
    }
    Ok(())
}

/// The one generation that all files of a folder are of.
fn generation(folder: &Path) -> String {
    let mut generations = BTreeSet::new();
    for part in 0..PARTS {
        let name = if part % 2 == 0 {
            format!("{part}")
        } else {
            format!("sub/{part}")
        };
        let text = fs::read_to_string(folder.join(&name)).unwrap();
        assert_eq!(text.len(), 60_000, "{name} is cut");
        generations.insert(text[..3].to_owned());
    }
    assert_eq!(
        generations.len(),
        1,
        "files of two writings stand in one folder"
    );
    generations.pop_first().unwrap()
}

/// Starts the task; returns when its work begins. `limit` is the largest file it can write, in KiB.
fn start(
    task: &str,
    folder: &Path,
    limit: Option<u32>,
) -> (Child, BufReader<std::process::ChildStderr>) {
    let limit = limit.map_or(String::new(), |kib| {
        format!("trap '' XFSZ; ulimit -f {};", kib * 2)
    });
    let mut child = Command::new("sh")
        .arg("-c")
        .arg(format!(
            "{limit} exec \"$0\" --exact files::child --nocapture"
        ))
        .arg(std::env::current_exe().unwrap())
        .env(TASK, task)
        .env(FOLDER, folder)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while line != "begins\n" {
        line.clear();
        assert!(
            stderr.read_line(&mut line).unwrap() > 0,
            "{task} does not begin"
        );
    }
    (child, stderr)
}

/// Runs a task to its end; returns its last lines.
fn finish(task: &str, folder: &Path, limit: Option<u32>) -> String {
    let (mut child, mut stderr) = start(task, folder, limit);
    let mut text = String::new();
    stderr.read_to_string(&mut text).unwrap();
    child.wait().unwrap();
    text
}

/// Kills a task at random moments, each time after `prepare`; `check` inspects the folder and
/// returns whether the new content is there.
fn kill(task: &str, prepare: impl Fn(&Path), check: impl Fn(&Path) -> bool) {
    let dir = tempfile::tempdir().unwrap();
    prepare(dir.path());
    let (mut child, begun) = (start(task, dir.path(), None).0, Instant::now());
    child.wait().unwrap();
    let whole = begun.elapsed();
    assert!(check(dir.path()), "{task} was not done");
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(11);
    for _ in 0..KILLS {
        let dir = tempfile::tempdir().unwrap();
        prepare(dir.path());
        let (mut child, _stderr) = start(task, dir.path(), None);
        std::thread::sleep(
            whole.mul_f64(random.random_range(0.0..1.1)) + Duration::from_micros(50),
        );
        child.kill().unwrap();
        child.wait().unwrap();
        check(dir.path());
        // The next one finds nothing in its way and leaves nothing hidden behind.
        let end = finish(task, dir.path(), None);
        assert!(
            end.contains("done") || task == "create" && end.contains("cannot create"),
            "{end}"
        );
        assert!(check(dir.path()));
        for entry in fs::read_dir(dir.path()).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(!name.starts_with('.'), "{task} left {name}");
        }
    }
}

const ROWS: usize = 5_000;

/// A log in which every tenth question failed.
fn write_log(folder: &Path) {
    let row = |id: usize| {
        let outcome = if id.is_multiple_of(10) {
            "null,\"error\":\"fails\""
        } else {
            "\"1\",\"error\":null"
        };
        format!(
            "{{\"id\":\"q{id}\",\"chart\":\"c\",\"question\":\"{}\",\"gold\":\"1\",\"prediction\":{outcome},\"latency_ms\":1.5}}\n",
            "?".repeat(200)
        )
    };
    fs::write(
        folder.join("predictions.jsonl"),
        (0..ROWS).map(row).collect::<String>(),
    )
    .unwrap();
}

/// No answer is missing; whether the failed rows are gone.
fn answers_stay(folder: &Path) -> bool {
    let records = Predictions::new(&folder.join("predictions.jsonl"))
        .read()
        .unwrap();
    let answers = records
        .iter()
        .filter(|record| record.failure().is_none())
        .count();
    assert_eq!(answers, ROWS / 10 * 9, "answers were lost");
    records.len() == answers
}

#[test]
fn killed_while_failed_rows_are_dropped_a_log_keeps_every_answer() {
    kill("retry", write_log, answers_stay);
}

#[test]
fn killed_while_a_folder_is_replaced_it_is_the_old_one_or_the_new() {
    let prepare = |dir: &Path| {
        replace_folder(&dir.join("checkpoint"), |folder| write_parts(folder, "old")).unwrap()
    };
    kill("replace", prepare, |dir| {
        generation(&dir.join("checkpoint")) == "new"
    });
}

#[test]
fn killed_while_a_folder_is_made_it_is_there_whole_or_not_at_all() {
    kill(
        "create",
        |_| (),
        |dir| dir.join("data").exists() && generation(&dir.join("data")) == "new",
    );
}

#[test]
fn killed_while_a_file_is_replaced_it_is_the_old_one_or_the_new() {
    let new = |dir: &Path| {
        let text = fs::read_to_string(dir.join("README.md")).unwrap();
        assert!(
            text == "old" || text == "new\n".repeat(1 << 20),
            "{} bytes",
            text.len()
        );
        text != "old"
    };
    kill(
        "file",
        |dir| fs::write(dir.join("README.md"), "old").unwrap(),
        new,
    );
}

/// A limit on file sizes takes the place of a full disk.
#[test]
fn a_full_disk_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    write_log(dir.path());
    replace_folder(&dir.path().join("checkpoint"), |folder| {
        write_parts(folder, "old")
    })
    .unwrap();
    fs::write(dir.path().join("README.md"), "old").unwrap();
    for task in ["retry", "replace", "file", "create"] {
        let end = finish(task, dir.path(), Some(40));
        assert!(
            end.contains("error: ") && end.to_lowercase().contains("large"),
            "{task}: {end}"
        );
    }
    assert!(!answers_stay(dir.path()));
    assert_eq!(generation(&dir.path().join("checkpoint")), "old");
    assert_eq!(
        fs::read_to_string(dir.path().join("README.md")).unwrap(),
        "old"
    );
    let mut left: Vec<_> = fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    left.sort();
    assert_eq!(left, ["README.md", "checkpoint", "predictions.jsonl"]);
}

fn chartbench(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_chartbench"))
        .args(arguments)
        .output()
        .unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A run of quick adapters on the first questions of the embedded benchmark, in a folder of its
/// own.
struct Run {
    dir: tempfile::TempDir,
    path: String,
}

impl Run {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let run = Self {
            path: dir.path().join("r").to_str().unwrap().to_owned(),
            dir,
        };
        assert!(run.answer("majority", &[]).status.success());
        run
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn arguments<'a>(&'a self, adapters: &'a str, more: &[&'a str]) -> Vec<&'a str> {
        let results = self.dir.path().to_str().unwrap();
        let own = [
            "run",
            "--no-blind",
            "--adapters",
            adapters,
            "--limit",
            "8",
            "--name",
            "r",
            "--results",
            results,
        ];
        own.iter().chain(more).copied().collect()
    }

    fn answer(&self, adapters: &str, more: &[&str]) -> Output {
        chartbench(&self.arguments(adapters, more))
    }

    fn log(&self) -> String {
        fs::read_to_string(self.at("r/majority/predictions.jsonl")).unwrap()
    }
}

#[test]
fn a_written_file_keeps_mode_and_link_and_goes_to_standard_output_where_named() {
    let run = Run::new();
    let (file, link) = (run.at("NOTES.md"), run.at("link.md"));
    fs::write(
        &file,
        "# Mine\n<!-- leaderboard:begin -->\n<!-- leaderboard:end -->\n",
    )
    .unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    std::os::unix::fs::symlink("NOTES.md", &link).unwrap();
    let output = chartbench(&["leaderboard", &run.path, "--splice", link.to_str().unwrap()]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(link.symlink_metadata().unwrap().file_type().is_symlink());
    assert!(fs::read_to_string(&file).unwrap().contains("majority"));
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    // A link of one's own, lest a program that does replace it takes the system's away.
    std::os::unix::fs::symlink("/proc/self/fd/1", run.at("stdout")).unwrap();
    let page = chartbench(&[
        "report",
        &run.path,
        "--images",
        "0",
        "--out",
        run.at("stdout").to_str().unwrap(),
    ]);
    assert!(
        page.status.success() && page.stdout.starts_with(b"<!DOCTYPE html>"),
        "{}",
        stderr(&page)
    );
    assert!(
        run.at("stdout")
            .symlink_metadata()
            .unwrap()
            .file_type()
            .is_symlink()
    );
    // A pipe is not waited for.
    assert!(
        Command::new("mkfifo")
            .arg(run.at("pipe"))
            .status()
            .unwrap()
            .success()
    );
    let output = chartbench(&[
        "leaderboard",
        &run.path,
        "--splice",
        run.at("pipe").to_str().unwrap(),
    ]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("pipe: it is not a regular file"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn two_runs_of_one_name_are_not_exported_over_each_other() {
    let (a, b) = (Run::new(), Run::new());
    let out = a.at("out");
    let output = chartbench(&[
        "export",
        &a.path,
        &b.path,
        "--to",
        "lm-eval",
        "--out",
        out.to_str().unwrap(),
    ]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("are both named r"),
        "{}",
        stderr(&output)
    );
    assert!(!out.exists());
}

#[test]
fn leftovers_of_a_killed_data_synth_are_removed_by_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let left = dir.path().join(".writing-abcdefgh01234567");
    fs::create_dir_all(left.join("images")).unwrap();
    let data = dir.path().join("data");
    let output = chartbench(&[
        "data",
        "synth",
        data.to_str().unwrap(),
        "--train",
        "1",
        "--test",
        "1",
    ]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode();
    assert_eq!(
        mode(&data),
        mode(&data.join("images")),
        "the folder is as open as any other"
    );
}

#[test]
fn a_row_without_prediction_and_error_is_a_failure_and_is_asked_again() {
    let run = Run::new();
    let whole = run.log();
    let lines: Vec<&str> = whole.lines().collect();
    let mut row: serde_json::Value = serde_json::from_str(lines[2]).unwrap();
    row["prediction"] = serde_json::Value::Null;
    let odd = [&lines[..2], &[row.to_string().as_str()], &lines[3..]]
        .concat()
        .join("\n")
        + "\n";
    fs::write(run.at("r/majority/predictions.jsonl"), odd).unwrap();
    let output = run.answer("majority", &[]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("neither a prediction nor an error"),
        "{}",
        stderr(&output)
    );
    assert!(run.answer("majority", &["--retry-failed"]).status.success());
    // The survivors as they were, byte for byte; the answer made anew behind them.
    let again = run.log();
    assert!(
        again.starts_with(&([&lines[..2], &lines[3..]].concat().join("\n") + "\n")),
        "{again}"
    );
    assert_eq!(again.lines().count(), lines.len());
}

#[test]
fn runs_into_one_name_at_the_same_time_keep_all_adapters() {
    let dir = tempfile::tempdir().unwrap();
    let run = Run {
        path: dir.path().join("r").to_str().unwrap().to_owned(),
        dir,
    };
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/process/echo.py");
    let adapters = ["first", "second", "third", "fourth"];
    for adapter in adapters {
        let keys = format!(
            "family = \"process\"\ntitle = \"{adapter}\"\nsource = \"here\"\n[process]\ncommand = [\"python3\", {program:?}]\n"
        );
        fs::write(run.at(adapter).with_extension("toml"), keys).unwrap();
    }
    let folder = run.dir.path().to_str().unwrap();
    let start = |adapter: &&str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_chartbench"));
        command.args(run.arguments(adapter, &["--adapters-dir", folder]));
        command
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let started: Vec<Child> = adapters.iter().map(start).collect();
    for child in started {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", stderr(&output));
    }
    let board = fs::read_to_string(run.at("r/leaderboard.md")).unwrap();
    for adapter in adapters {
        assert!(
            board.contains(&format!("| {adapter} |")),
            "{adapter} is missing in {board}"
        );
    }
}

/// Where two processes run one adapter, the second ends with a line, and nothing of the first is
/// lost.
#[test]
fn a_second_run_of_one_adapter_ends_with_one_line() {
    let run = Run::new();
    let before = run.log();
    let lock = FileLock::acquire(&run.at("r/majority/predictions.jsonl")).unwrap();
    let output = run.answer("majority", &["--retry-failed"]);
    assert_eq!(output.status.code(), Some(2));
    // The first line names the questions.
    let lines: Vec<String> = stderr(&output).lines().map(str::to_owned).collect();
    assert!(
        lines.len() == 2 && lines[1].contains("is in use by another chartbench run"),
        "{lines:?}"
    );
    // Another adapter of the same command is asked all the same.
    assert_eq!(
        run.answer("majority,question-prior", &[]).status.code(),
        Some(1)
    );
    assert!(
        run.at("r/question-prior/predictions.jsonl")
            .metadata()
            .unwrap()
            .len()
            > 0
    );
    drop(lock);
    assert!(run.answer("majority", &[]).status.success());
    assert_eq!(run.log(), before);
}
