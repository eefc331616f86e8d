//! A server that the run starts itself (`serve`): with its first question, and its process group is
//! ended with the run.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, BufRead, BufReader, Read};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::Builder;
use std::time::{Duration, Instant};

use ureq::Agent;
use url::Url;

use super::pool::{AbortSignal, Failure};
use super::wire::one_line;
use crate::adapter::hub::program_cache;
use crate::adapter::process_group::{Ending, Guard, lead_group};
use crate::adapter::secrets::Secrets;
use crate::config::ServeSpec;
use crate::http::{HttpLimits, agent};
use chartbench_core::files::FileLock;

/// How long the server has to end after SIGTERM.
const GRACE: Duration = Duration::from_secs(10);
/// How often a server that loads is asked whether it answers.
const ASK_EVERY: Duration = Duration::from_millis(250);
/// How long it may take to answer that.
const PROBE_LIMIT: Duration = Duration::from_secs(5);
/// Most bytes of that answer that are read.
const PROBE_BYTES: u64 = 1 << 20;
/// Longest wait for a connection to a server that is there.
const CONNECT_LIMIT: Duration = Duration::from_secs(1);
/// Polling interval of a process that ends, and the time in which its last lines arrive.
const LOOK_EVERY: Duration = Duration::from_millis(20);
const LAST_WORDS: Duration = Duration::from_millis(200);
/// Last lines of its output that an error has.
const LAST_LINES: usize = 5;
/// Longest line that is read, in bytes.
const LONGEST_LINE: u64 = 1 << 16;

/// The servers of this process by their ports: two parts of a row may ask the same one.
static RUNNING: Mutex<Vec<(u16, Weak<Running>)>> = Mutex::new(Vec::new());

/// A server that is started when it is first needed.
pub(super) struct Served {
    spec: ServeSpec,
    base_url: Url,
    start_timeout: Duration,
    secrets: Secrets,
    running: Mutex<Option<Arc<Running>>>,
}

/// A server's process. Dropping it ends the process group.
struct Running {
    command: Vec<String>,
    process: Mutex<Child>,
    guard: Option<Guard>,
    output: Arc<Output>,
    /// Held as long as the server runs: another run does not start one at the same port.
    _lock: Option<FileLock>,
}

/// The last lines that a server wrote.
struct Output {
    lines: Mutex<VecDeque<String>>,
    secrets: Secrets,
}

impl fmt::Debug for Served {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Served").field(&self.spec.command).finish()
    }
}

impl Served {
    /// The server at `base_url`; nothing is started. `secrets` are those of the endpoint.
    ///
    /// # Errors
    /// Returns an error if the command holds a secret, which manifests would hold then.
    pub(super) fn new(
        spec: &ServeSpec,
        base_url: &Url,
        start_timeout: Duration,
        mut secrets: Secrets,
    ) -> anyhow::Result<Self> {
        let variables = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        secrets.add_variables(variables);
        if let Some(name) = secrets.found_in(&spec.command.join(" ")) {
            anyhow::bail!(
                "`serve` holds the value of {name}: the server has the environment, leave it there"
            );
        }
        Ok(Self {
            spec: spec.clone(),
            base_url: base_url.clone(),
            start_timeout,
            secrets,
            running: Mutex::default(),
        })
    }

    /// The command as settings have it.
    pub(super) fn setting(&self) -> String {
        serde_json::Value::from(self.spec.command.clone()).to_string()
    }

    /// Starts the server unless it runs, and waits until it answers.
    ///
    /// # Errors
    /// Returns why there is no server that answers.
    pub(super) fn start(&self, abort: &AbortSignal) -> Result<(), String> {
        let mut running = lock(&self.running);
        if running.is_none() {
            *running = Some(self.find_or_start(abort)?);
        }
        Ok(())
    }

    /// Says that the server has ended, with its last lines, where it has.
    pub(super) fn last_words(&self) -> Option<String> {
        let running = lock(&self.running).clone()?;
        let status = running.ended()?;
        Some(format!(
            "`{}` has ended ({status}){}",
            self.command(),
            running.output.describe()
        ))
    }

    fn find_or_start(&self, abort: &AbortSignal) -> Result<Arc<Running>, String> {
        let port = self.base_url.port_or_known_default().unwrap_or(80);
        let found = lock(&RUNNING)
            .iter()
            .find(|(used, _)| *used == port)
            .and_then(|(_, running)| running.upgrade());
        if let Some(running) = found.filter(|running| running.command == self.spec.command) {
            return Ok(running);
        }
        let server_lock = self.lock_port(port)?;
        if is_taken(&self.base_url) {
            return Err(format!(
                "{}: a server answers there already: leave out `serve` to ask it, or name another port",
                self.base_url
            ));
        }
        let running = Arc::new(self.spawn(server_lock)?);
        self.wait_until_it_answers(&running, abort)?;
        let mut all = lock(&RUNNING);
        all.retain(|(_, running)| running.strong_count() > 0);
        all.push((port, Arc::downgrade(&running)));
        Ok(running)
    }

    /// Marks the port as used by this process. A cache folder that cannot be written costs the
    /// mark.
    fn lock_port(&self, port: u16) -> Result<Option<FileLock>, String> {
        let Some(folder) = program_cache().map(|cache| cache.join("serve")) else {
            return Ok(None);
        };
        if std::fs::create_dir_all(&folder).is_err() {
            return Ok(None);
        }
        match FileLock::try_acquire(&folder.join(port.to_string())) {
            Ok(Some(server_lock)) => Ok(Some(server_lock)),
            Ok(None) => Err(format!(
                "{}: another run has started a server at this port: wait until that run has ended, or name another port \
                 in `serve` and `endpoint.base_url`",
                self.base_url
            )),
            Err(_) => Ok(None),
        }
    }

    fn spawn(&self, server_lock: Option<FileLock>) -> Result<Running, String> {
        let cannot_start = |error: &dyn std::fmt::Display| {
            format!(
                "cannot start `{}` in {}: {error}",
                self.command(),
                self.spec.folder.display()
            )
        };
        let folder =
            std::path::absolute(&self.spec.folder).map_err(|error| cannot_start(&error))?;
        let (program, arguments) = self
            .spec
            .command
            .split_first()
            .ok_or_else(|| cannot_start(&"it names no program"))?;
        // A program named by a path is looked for from the folder it runs in, one named alone in
        // PATH.
        let has_path = Path::new(program).components().count() > 1;
        let mut command = Command::new(if has_path {
            folder.join(program)
        } else {
            program.into()
        });
        command
            .args(arguments)
            .current_dir(&folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        lead_group(&mut command);
        let mut process = command.spawn().map_err(|error| cannot_start(&error))?;
        let guard = Guard::start(process.id(), Ending::Terminate(GRACE));
        let output = Arc::new(Output {
            lines: Mutex::default(),
            secrets: self.secrets.clone(),
        });
        // A pipe that nobody reads would stop the server.
        if let Some(stdout) = process.stdout.take() {
            output.read(stdout);
        }
        if let Some(stderr) = process.stderr.take() {
            output.read(stderr);
        }
        Ok(Running {
            command: self.spec.command.clone(),
            process: Mutex::new(process),
            guard,
            output,
            _lock: server_lock,
        })
    }

    fn wait_until_it_answers(&self, running: &Running, abort: &AbortSignal) -> Result<(), String> {
        let (begun, limit) = (Instant::now(), self.start_timeout.as_secs_f64());
        chartbench_core::note!(
            "note: started `{}`, which has {limit} s to answer at {}",
            self.command(),
            self.base_url
        );
        let probe = Probe::new(&self.base_url);
        loop {
            if let Some(status) = running.ended() {
                return Err(format!(
                    "`{}` ended ({status}) before it answered at {}{}",
                    self.command(),
                    self.base_url,
                    running.output.describe()
                ));
            }
            if probe.is_answered() {
                return Ok(());
            }
            if begun.elapsed() > self.start_timeout {
                return Err(format!(
                    "`{}` did not answer at {} within {limit} s (`limits.start_timeout`){}",
                    self.command(),
                    self.base_url,
                    running.output.describe()
                ));
            }
            if let Err(Failure::Adapter(reason) | Failure::Question(reason)) = abort.wait(ASK_EVERY)
            {
                return Err(reason.to_string());
            }
        }
    }

    fn command(&self) -> String {
        self.secrets.blot(&self.spec.command.join(" "))
    }
}

/// Asks a server that loads whether it answers.
struct Probe {
    client: Agent,
    health: Url,
    models: Url,
}

impl Probe {
    fn new(base_url: &Url) -> Self {
        let limits = HttpLimits {
            connect: CONNECT_LIMIT,
            read: PROBE_LIMIT,
            whole: Some(PROBE_LIMIT),
            redirects: 0,
            connections: 1,
        };
        let at = |path: &str| {
            let mut url = base_url.clone();
            url.set_path(path);
            url.set_query(None);
            url
        };
        Self {
            client: agent(base_url, &limits),
            health: at("/health"),
            models: at(&format!("{}/models", base_url.path().trim_end_matches('/'))),
        }
    }

    /// Whether `/health` is good; where there is none, whether `/models` is no error of the server.
    fn is_answered(&self) -> bool {
        match self.status(&self.health) {
            Some(200..=299) => true,
            Some(300..=499) => self.status(&self.models).is_some_and(|status| status < 500),
            _ => false,
        }
    }

    fn status(&self, url: &Url) -> Option<u16> {
        let response = self.client.get(url.as_str()).call().ok()?;
        let status = response.status().as_u16();
        // A connection that is closed with bytes unread looks to the server like a failure.
        let mut body = response.into_body().into_reader().take(PROBE_BYTES);
        let _ = io::copy(&mut body, &mut io::sink());
        Some(status)
    }
}

/// Whether something takes connections at the address.
fn is_taken(url: &Url) -> bool {
    let addresses = url.socket_addrs(|| None).unwrap_or_default();
    addresses
        .iter()
        .any(|address| TcpStream::connect_timeout(address, CONNECT_LIMIT).is_ok())
}

impl Running {
    /// How it ended, if it has.
    fn ended(&self) -> Option<ExitStatus> {
        let status = lock(&self.process).try_wait().ok().flatten();
        if status.is_some() {
            std::thread::sleep(LAST_WORDS);
        }
        status
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let process = self.process.get_mut();
        let process = process.unwrap_or_else(PoisonError::into_inner);
        let begun = Instant::now();
        match &mut self.guard {
            Some(guard) => guard.end_group(),
            None => drop(process.kill()),
        }
        // The guard sees the group as long as its leader is not waited for.
        while let Ok(None) = process.try_wait() {
            if begun.elapsed() > 2 * GRACE {
                let _ = process.kill();
                break;
            }
            std::thread::sleep(LOOK_EVERY);
        }
        self.guard = None;
    }
}

impl Output {
    /// Keeps the last lines of a pipe, on a thread of its own.
    fn read(self: &Arc<Self>, pipe: impl Read + Send + 'static) {
        let output = Arc::clone(self);
        let read = move || {
            let mut reader = BufReader::new(pipe);
            let mut line = Vec::new();
            while reader
                .by_ref()
                .take(LONGEST_LINE)
                .read_until(b'\n', &mut line)
                .is_ok_and(|length| length > 0)
            {
                output.add(&String::from_utf8_lossy(&line));
                line.clear();
            }
        };
        // Without the thread the pipe is closed, and the server's own affair.
        drop(Builder::new().name("serve".to_owned()).spawn(read));
    }

    fn add(&self, line: &str) {
        // A progress bar redraws its line: only the last state counts.
        let line = line.trim_end().rsplit('\r').next().unwrap_or_default();
        if line.trim().is_empty() {
            return;
        }
        let mut lines = lock(&self.lines);
        if lines.len() == LAST_LINES {
            lines.pop_front();
        }
        lines.push_back(one_line(&self.secrets.blot(line)));
    }

    /// The last lines, as the end of a sentence.
    fn describe(&self) -> String {
        let lines = lock(&self.lines);
        if lines.is_empty() {
            return "; it wrote nothing".to_owned();
        }
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        format!("; its last lines: {}", lines.join(" | "))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
