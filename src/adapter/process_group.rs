//! Process groups of programs that adapters start. On Unix the program leads a group, and a small
//! shell outside it, the [`Guard`], waits for this process to let go of it: when the adapter ends,
//! and also when this process is killed, whatever is left of the group is ended. A program that
//! leaves the group on purpose (`setsid`) is not found.

use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How the processes of a group are ended.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ending {
    /// They were told before, by the end of their input: they are killed, after this time where
    /// this process was killed.
    Kill(Duration),
    /// They get SIGTERM, and are killed after this time.
    Terminate(Duration),
}

/// `$1`: the process group, `$2`: the seconds it has to end by itself where this process was
/// killed.
#[cfg(unix)]
const KILL: &str = r#"read -r _ || sleep "$2"; kill -s KILL -- "-$1""#;
/// `$1`: the process group, `$2`: the tenths of a second it has to end after SIGTERM.
#[cfg(unix)]
const TERMINATE: &str = r#"read -r _; kill -s TERM -- "-$1"; i=0
while [ "$i" -lt "$2" ] && kill -s 0 -- "-$1"; do sleep 0.1; i=$((i + 1)); done
kill -s KILL -- "-$1""#;

/// A shell that ends a process group when it is dropped, or when this process ends in any way: its
/// input ends then. It leads a group of its own, so that Ctrl-C does not reach it.
pub(super) struct Guard(Child);

/// Has the program lead a process group.
pub(super) fn lead_group(command: &mut Command) {
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(command, 0);
    #[cfg(not(unix))]
    let _ = command;
}

impl Guard {
    /// `None` where there is no such shell.
    #[cfg(unix)]
    pub(super) fn start(group: u32, ending: Ending) -> Option<Self> {
        let (script, units) = match ending {
            Ending::Kill(grace) => (KILL, grace.as_secs_f64().ceil()),
            Ending::Terminate(grace) => (TERMINATE, (grace.as_secs_f64() * 10.0).ceil()),
        };
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", script, "chartbench-guard"]);
        shell.args([group.to_string(), units.to_string()]);
        lead_group(&mut shell);
        shell
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .ok()
            .map(Self)
    }

    #[cfg(not(unix))]
    pub(super) fn start(_: u32, _: Ending) -> Option<Self> {
        None
    }

    /// Tells the shell to end the group now, without waiting for that.
    pub(super) fn end_group(&mut self) {
        // A line is the word to end it; the end of its input alone means that this process was
        // killed.
        let _ = self.0.stdin.take().map(|mut stdin| stdin.write_all(b"\n"));
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.end_group();
        let _ = self.0.wait();
    }
}
