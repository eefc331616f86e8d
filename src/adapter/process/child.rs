//! The running program and its three pipes. Each pipe has a thread, so that a program that reads, writes or hangs when it
//! should not cannot block this one.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};

use crate::config::ProcessSpec;

/// Longest line that is read, in bytes.
const LONGEST_LINE: u64 = 16 << 20;
/// How often a program that should end is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// How long a program whose output has ended is given to end itself, so that its exit status can be told.
const STATUS_WAIT: Duration = Duration::from_secs(1);

/// A started program; ended when dropped.
pub(super) struct Child {
    process: std::process::Child,
    /// To the thread that writes; its end is the end of the program's input.
    input: Option<Sender<String>>,
    output: Receiver<Result<String>>,
    grace: Duration,
}

impl Child {
    pub(super) fn start(id: &str, spec: &ProcessSpec) -> Result<Self> {
        let (program, arguments) = spec.command.split_first().context("`process.command` names no program")?;
        let folder = std::path::absolute(&spec.folder)?;
        // A program named by a path is looked for from the folder it runs in, one named alone in PATH.
        let has_path = Path::new(program).components().count() > 1;
        let file = if has_path { folder.join(program) } else { program.into() };
        let mut process = Command::new(&file)
            .args(arguments)
            .current_dir(&folder)
            .envs(&spec.env)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start `{}` in {}", spec.command.join(" "), folder.display()))?;
        let (stdin, stdout, stderr) = (process.stdin.take(), process.stdout.take(), process.stderr.take());
        let (input, lines_in) = channel();
        let (lines_out, output) = channel();
        let prefix = id.to_owned();
        std::thread::spawn(move || stdin.map(|stdin| write(stdin, &lines_in)));
        std::thread::spawn(move || stdout.map(|stdout| read(stdout, &lines_out)));
        std::thread::spawn(move || stderr.map(|stderr| pass_on(stderr, &prefix)));
        Ok(Self { process, input: Some(input), output, grace: spec.grace })
    }

    /// Sends a line. A program that is gone is noticed when its answer is waited for.
    pub(super) fn send(&self, line: String) {
        if let Some(input) = &self.input {
            let _ = input.send(line);
        }
    }

    /// The next line it writes.
    ///
    /// # Errors
    /// None in time, a line that is not text, or the end of its output.
    pub(super) fn line(&mut self, timeout: Duration) -> Result<String> {
        match self.output.recv_timeout(timeout) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => bail!("it wrote nothing for {} s", timeout.as_secs_f64()),
            Err(RecvTimeoutError::Disconnected) => match self.wait(STATUS_WAIT) {
                Some(status) => bail!("it ended ({status})"),
                None => bail!("it closed its output"),
            },
        }
    }

    /// Ends it: closes its input, and kills it where it has not ended after the grace.
    pub(super) fn end(&mut self) {
        self.input = None;
        if self.wait(self.grace).is_none() {
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
        if stdin.write_all(format!("{line}\n").as_bytes()).and_then(|()| stdin.flush()).is_err() {
            return;
        }
    }
}

fn read(stdout: impl Read, lines: &Sender<Result<String>>) {
    let mut reader = BufReader::new(stdout);
    loop {
        let mut line = Vec::new();
        let read = reader.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line);
        let line = match read {
            Ok(0) | Err(_) => return,
            Ok(_) if line.len() as u64 == LONGEST_LINE => Err(anyhow!("it wrote a line of over {LONGEST_LINE} bytes")),
            Ok(_) => String::from_utf8(line).map_err(|_| anyhow!("it wrote a line that is not UTF-8")),
        };
        let last = line.is_err();
        if lines.send(line).is_err() || last {
            return;
        }
    }
}

fn pass_on(stderr: impl Read, prefix: &str) {
    let mut reader = BufReader::new(stderr);
    let mut line = Vec::new();
    while reader.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
        let text = String::from_utf8_lossy(&line);
        // Of a line that was drawn over and over, as progress bars are, the last state.
        let text = text.trim_end().rsplit('\r').next().unwrap_or_default();
        crate::note!("{prefix}: {text}");
        line.clear();
    }
}
