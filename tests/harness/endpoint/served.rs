//! `serve`: a server that the run starts, waits for, and ends.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::adapter_file;
use super::server::{Act, Server};

/// A server with a child process: `server.py PORT LOADING ANSWERING`, the latter two in seconds.
const SERVER: &str = r#"
import json, os, subprocess, sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

port, loading, answering = int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])
child = subprocess.Popen(["sleep", "600"])
with open("pids", "w") as file:
    file.write(f"{os.getpid()} {child.pid}\n")
print("reading the model", file=sys.stderr, flush=True)
time.sleep(loading)

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def reply(self, status, body):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.reply(200 if self.path == "/health" else 404, b"{}")

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        time.sleep(answering)
        self.reply(200, json.dumps({"choices": [{"message": {"content": "5"}, "finish_reason": "stop"}]}).encode())

ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()
"#;

/// A folder for the adapter file, its server, the results and the cache.
struct Scratch {
    folder: TempDir,
    address: SocketAddr,
}

impl Scratch {
    /// An adapter whose file has `serve` before it, where `PORT` is a port that was free a moment
    /// ago.
    fn new(serve: &str, limits: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Self::at(listener.local_addr().unwrap(), serve, limits)
    }

    fn at(address: SocketAddr, serve: &str, limits: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let limits = format!("[limits]\nconcurrency = 1\n{limits}");
        adapter_file(folder.path(), &format!("http://{address}/v1"), &limits);
        let file = folder.path().join("served.toml");
        let serve = serve.replace("PORT", &address.port().to_string());
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, format!("serve = \"{serve}\"\n{text}")).unwrap();
        std::fs::write(folder.path().join("server.py"), SERVER).unwrap();
        Self { folder, address }
    }

    fn command(&self, cache: &Path) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_chartbench"));
        command
            .args(["run", "--no-blind", "--adapters", "served", "--limit", "6"])
            .args(["--batch-size", "1", "--name", "r", "--adapters-dir"])
            .arg(self.folder.path())
            .arg("--results")
            .arg(self.folder.path().join("results"))
            .env("CHARTBENCH_CACHE", cache)
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        command
    }

    fn run(&self) -> Output {
        self.command(&self.cache()).output().unwrap()
    }

    fn cache(&self) -> PathBuf {
        self.folder.path().join("cache")
    }

    fn rows(&self) -> usize {
        let log = self
            .folder
            .path()
            .join("results/r/served/predictions.jsonl");
        let text = std::fs::read_to_string(log).unwrap_or_default();
        text.lines().count()
    }

    /// The processes of the server, once it has said which.
    fn processes(&self) -> Vec<u32> {
        let text = std::fs::read_to_string(self.folder.path().join("pids")).unwrap_or_default();
        text.split_whitespace()
            .map(|pid| pid.parse().unwrap())
            .collect()
    }

    fn has_ended(&self) -> bool {
        !self.processes().into_iter().any(is_alive) && TcpStream::connect(self.address).is_err()
    }
}

/// A process that has ended and is waited for by nobody is not alive.
fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat
        .rsplit(") ")
        .next()
        .and_then(|rest| rest.chars().next());
    state.is_some_and(|state| state != 'Z')
}

/// Waits until it is so; a slow machine may take its time.
#[track_caller]
fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn signal(process: &Child, name: &str) {
    let pid = process.id().to_string();
    let sent = Command::new("kill").args(["-s", name, &pid]).status();
    assert!(sent.unwrap().success());
}

fn stderr(output: Output) -> String {
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn a_server_is_started_waited_for_and_ended_with_its_children() {
    let scratch = Scratch::new("python3 server.py PORT 1 0", "");
    let output = scratch.run();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(output));
    let url = format!("http://{}/v1", scratch.address);
    let note = format!(
        "note: started `python3 server.py {} 1 0`, which has 600 s to answer at {url}",
        scratch.address.port()
    );
    let descriptions = stderr(output);
    assert!(
        descriptions.lines().any(|line| line == note),
        "{descriptions}"
    );
    assert_eq!((scratch.rows(), scratch.processes().len()), (6, 2));
    assert!(scratch.has_ended());
    let manifest =
        std::fs::read_to_string(scratch.folder.path().join("results/r/run.toml")).unwrap();
    let manifest: toml::Table = manifest.parse().unwrap();
    let serve = manifest["adapters"][0]["settings"]["serve"]
        .as_str()
        .unwrap();
    let command = [
        "python3",
        "server.py",
        &scratch.address.port().to_string(),
        "1",
        "0",
    ];
    assert_eq!(serde_json::from_str::<Vec<String>>(serve).unwrap(), command);

    // A run with nothing left to ask starts nothing.
    std::fs::remove_file(scratch.folder.path().join("pids")).unwrap();
    let again = scratch.run();
    assert_eq!(again.status.code(), Some(0), "{}", stderr(again));
    assert!(scratch.processes().is_empty());
}

#[test]
fn the_server_ends_however_the_run_ends() {
    for (name, code) in [("TERM", Some(75)), ("INT", Some(130)), ("KILL", None)] {
        let scratch = Scratch::new("python3 server.py PORT 0 0.5", "");
        let mut run = scratch.command(&scratch.cache()).spawn().unwrap();
        wait_until("a row", || scratch.rows() > 0);
        assert_eq!(scratch.processes().len(), 2);
        signal(&run, name);
        assert_eq!(run.wait().unwrap().code(), code, "{name}");
        wait_until(name, || scratch.has_ended());
        assert!(scratch.rows() < 6, "{name}");
    }
    // Also while the server loads.
    let scratch = Scratch::new("python3 server.py PORT 600 0", "");
    let mut run = scratch.command(&scratch.cache()).spawn().unwrap();
    wait_until("the server", || scratch.processes().len() == 2);
    let begun = Instant::now();
    signal(&run, "TERM");
    assert_eq!(run.wait().unwrap().code(), Some(75));
    assert!(begun.elapsed() < Duration::from_secs(20));
    wait_until("TERM", || scratch.has_ended());
}

#[test]
fn a_server_that_does_not_answer_is_told_with_its_last_lines() {
    let failing = "sh -c 'echo loading; echo out of memory >&2; exit 3'";
    let error = |scratch: &Scratch| {
        let output = scratch.run();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        stderr(output).lines().last().unwrap().to_owned()
    };
    let scratch = Scratch::new(failing, "");
    let line = error(&scratch);
    let url = format!("http://{}/v1", scratch.address);
    let start = format!(
        "error: served: `sh -c echo loading; echo out of memory >&2; exit 3` ended (exit status: 3) before it answered at {url}; \
         its last lines: "
    );
    assert!(
        line.starts_with(&start) && line.contains("out of memory"),
        "{line}"
    );

    let scratch = Scratch::new("python3 server.py PORT 600 0", "start_timeout = 2\n");
    let line = error(&scratch);
    let url = format!("http://{}/v1", scratch.address);
    let rest = format!(
        "did not answer at {url} within 2 s (`limits.start_timeout`); its last lines: reading the model"
    );
    assert!(line.contains(&rest), "{line}");
    assert!(scratch.has_ended());

    let scratch = Scratch::new("./nothing --port PORT", "");
    assert!(error(&scratch).starts_with("error: served: cannot start `./nothing --port "));
}

#[test]
fn a_server_that_ends_in_the_middle_is_told() {
    let serve = "timeout --signal KILL 4 python3 server.py PORT 0 0.9";
    let scratch = Scratch::new(serve, "");
    let output = scratch.run();
    let line = stderr(output).lines().last().unwrap().to_owned();
    assert!(
        line.contains("ended (") && line.contains("; its last lines: reading the model"),
        "{line}"
    );
    assert!(scratch.rows() < 6);
}

#[test]
fn a_port_that_is_taken_is_told() {
    let server = Server::start(|_, _| Act::Say("5".to_owned()));
    let scratch = Scratch::at(server.address, "python3 server.py PORT 0 0", "");
    let output = scratch.run();
    assert_eq!(output.status.code(), Some(1));
    let line = format!(
        "error: served: {}: a server answers there already: leave out `serve` to ask it, or name another port; start the run \
         again to go on",
        server.base_url()
    );
    assert_eq!(stderr(output).lines().last(), Some(line.as_str()));
    assert!(server.seen().is_empty());
}

#[test]
fn a_second_run_at_the_same_port_is_told() {
    let first = Scratch::new("python3 server.py PORT 2 0.5", "");
    let second = Scratch::at(first.address, "python3 server.py PORT 0 0", "");
    let mut run = first.command(&first.cache()).spawn().unwrap();
    wait_until("the server", || first.processes().len() == 2);
    let output = second.command(&first.cache()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let line = format!(
        "error: served: http://{}/v1: another run has started a server at this port: wait until that run has ended, or name \
         another port in `serve` and `endpoint.base_url`; start the run again to go on",
        first.address
    );
    assert_eq!(stderr(output).lines().last(), Some(line.as_str()));
    assert_eq!(run.wait().unwrap().code(), Some(0));
    assert_eq!((first.rows(), second.rows()), (6, 0));
}

#[test]
fn an_address_of_the_environment_is_asked_and_nothing_is_started() {
    let server = Server::start(|_, _| Act::Say("5".to_owned()));
    let scratch = Scratch::new("python3 server.py PORT 0 0", "");
    let file = scratch.folder.path().join("served.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let text = text.replace("model = ", "base_url_env = \"TEST_URL\"\nmodel = ");
    std::fs::write(&file, text).unwrap();
    let mut command = scratch.command(&scratch.cache());
    let output = command.env("TEST_URL", server.base_url()).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(output));
    assert_eq!((server.seen().len(), scratch.processes().len()), (6, 0));
}
