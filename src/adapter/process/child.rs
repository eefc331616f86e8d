//! The running program and its three pipes. Each pipe has a thread, so that a program that reads,
//! writes or hangs when it should not cannot block this one.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};

use crate::adapter::process_group::{Ending, Guard, lead_group};
use crate::adapter::secrets::Secrets;
use crate::config::ProcessSpec;

/// Longest line that is read, in bytes.
const LONGEST_LINE: u64 = 16 << 20;
/// Polling interval for a program that should end.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Time for a program whose output has ended to exit, so that its exit status is known.
const STATUS_WAIT: Duration = Duration::from_secs(1);

/// Polling interval for a program that writes nothing.
const CHECK_EVERY: Duration = Duration::from_millis(500);

/// A running program. Dropping it ends the program and its child processes.
pub(super) struct Child {
    process: std::process::Child,
    guard: Option<Guard>,
    /// To the thread that writes; its end is the end of the program's input.
    input: Option<Sender<String>>,
    output: Receiver<Result<String>>,
    grace: Duration,
}

impl Child {
    pub(super) fn start(id: &str, spec: &ProcessSpec, secrets: &Secrets) -> Result<Self> {
        let (program, arguments) = spec
            .command
            .split_first()
            .context("`process.command` names no program")?;
        let folder = std::path::absolute(&spec.folder)?;
        // A program named by a path is looked for from the folder it runs in, one named alone in
        // PATH.
        let has_path = Path::new(program).components().count() > 1;
        let file = if has_path {
            folder.join(program)
        } else {
            program.into()
        };
        let mut command = Command::new(&file);
        command
            .args(arguments)
            .current_dir(&folder)
            .envs(&spec.env)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        lead_group(&mut command);
        let mut process = command.spawn().with_context(|| {
            format!(
                "cannot start `{}` in {}",
                spec.command.join(" "),
                folder.display()
            )
        })?;
        let (stdin, stdout, stderr) = (
            process.stdin.take(),
            process.stdout.take(),
            process.stderr.take(),
        );
        let (input, lines_in) = channel();
        let (lines_out, output) = channel();
        let guard = Guard::start(process.id(), Ending::Kill(spec.grace));
        let (prefix, secrets) = (id.to_owned(), secrets.clone());
        std::thread::spawn(move || stdin.map(|stdin| write(stdin, &lines_in)));
        std::thread::spawn(move || stdout.map(|stdout| read(stdout, &lines_out)));
        std::thread::spawn(move || stderr.map(|stderr| pass_on(stderr, &prefix, &secrets)));
        Ok(Self {
            process,
            guard,
            input: Some(input),
            output,
            grace: spec.grace,
        })
    }

    /// Sends a line. A program that has exited is noticed when its answer is awaited.
    pub(super) fn send(&self, line: String) {
        if let Some(input) = &self.input {
            let _ = input.send(line);
        }
    }

    /// The next line it writes.
    ///
    /// # Errors
    /// Returns an error if no line arrives in time, it is no text, or the output has ended.
    pub(super) fn line(&mut self, timeout: Duration) -> Result<String> {
        let begun = Instant::now();
        loop {
            let left = timeout.saturating_sub(begun.elapsed());
            match self.output.recv_timeout(left.min(CHECK_EVERY)) {
                Ok(line) => return line,
                // A process that it started may hold its output open: the end of the program is the end of
                // its answers.
                Err(RecvTimeoutError::Timeout)
                    if self.guard.is_some() && self.wait(Duration::ZERO).is_some() =>
                {
                    self.guard = None;
                }
                Err(RecvTimeoutError::Timeout) if left > CHECK_EVERY => {}
                Err(RecvTimeoutError::Timeout) => {
                    bail!("it wrote nothing for {} s", timeout.as_secs_f64())
                }
                Err(RecvTimeoutError::Disconnected) => match self.wait(STATUS_WAIT) {
                    Some(status) => bail!("it ended ({status})"),
                    None => bail!("it closed its output"),
                },
            }
        }
    }

    /// Ends the program: closes its input, kills it after the grace period, and kills its child
    /// processes.
    pub(super) fn end(&mut self) {
        self.input = None;
        let ended = self.wait(self.grace).is_some();
        self.guard = None;
        if !ended {
            let _ = self.process.kill();
            let _ = self.process.wait();
        }
    }

    fn wait(&mut self, time: Duration) -> Option<std::process::ExitStatus> {
        let begun = Instant::now();
        loop {
            match self.process.try_wait() {
                Ok(Some(status)) => return Some(status),
                Ok(None) if begun.elapsed() < time => std::thread::sleep(LOOK_EVERY),
                _ => return None,
            }
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.end();
    }
}

fn write(mut stdin: ChildStdin, lines: &Receiver<String>) {
    for line in lines {
        if stdin
            .write_all(format!("{line}\n").as_bytes())
            .and_then(|()| stdin.flush())
            .is_err()
        {
            return;
        }
    }
}

fn read(stdout: impl Read, lines: &Sender<Result<String>>) {
    let mut reader = BufReader::new(stdout);
    loop {
        let mut line = Vec::new();
        let read = reader
            .by_ref()
            .take(LONGEST_LINE)
            .read_until(b'\n', &mut line);
        let line = match read {
            Ok(0) | Err(_) => return,
            Ok(_) if line.len() as u64 == LONGEST_LINE => {
                Err(anyhow!("it wrote a line of over {LONGEST_LINE} bytes"))
            }
            Ok(_) => {
                String::from_utf8(line).map_err(|_| anyhow!("it wrote a line that is not UTF-8"))
            }
        };
        let last = line.is_err();
        if lines.send(line).is_err() || last {
            return;
        }
    }
}

fn pass_on(stderr: impl Read, prefix: &str, secrets: &Secrets) {
    let mut reader = BufReader::new(stderr);
    let mut line = Vec::new();
    while reader
        .by_ref()
        .take(LONGEST_LINE)
        .read_until(b'\n', &mut line)
        .is_ok_and(|length| length > 0)
    {
        let text = String::from_utf8_lossy(&line);
        // A progress bar redraws its line: only the last state counts.
        let text = text.trim_end().rsplit('\r').next().unwrap_or_default();
        chartbench_core::note!("{prefix}: {}", secrets.blot(text));
        line.clear();
    }
}
