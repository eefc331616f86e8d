//! `serve`: the command that starts the server of a chat model.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

/// A command that starts a server and is ended with the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServeSpec {
    /// The program and its arguments; never empty.
    pub command: Vec<String>,
    /// Where it runs: the adapter file's folder.
    pub folder: PathBuf,
}

impl ServeSpec {
    /// Splits the command into words as a shell does; no variable is replaced.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let command = shlex::split(text).context("`serve` has a quote that does not end")?;
        ensure!(
            command.first().is_some_and(|program| !program.is_empty()),
            "`serve` names no program"
        );
        Ok(Self {
            command,
            folder: PathBuf::new(),
        })
    }
}
