//! `family = "process"`: a program that answers in JSON lines.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::{count, seconds};
use chartbench_core::counts::MAX_CONCURRENT;

/// `family = "process"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessSpec {
    /// The program and its arguments; never empty.
    pub command: Vec<String>,
    /// Where it runs: the adapter file's folder, or what `process.folder` names from there.
    pub folder: PathBuf,
    /// More environment variables for it.
    pub env: BTreeMap<String, String>,
    /// Questions it has at the same time.
    pub in_flight: usize,
    /// How long it may take to load before its first line.
    pub start_timeout: Duration,
    /// How long it may take for one more answer.
    pub answer_timeout: Duration,
    /// How long it may take to end after its input has ended.
    pub grace: Duration,
}

/// The family's own keys.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wire {
    process: Option<WireProcess>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireProcess {
    command: Vec<String>,
    #[serde(default)]
    folder: PathBuf,
    #[serde(default)]
    env: BTreeMap<String, String>,
    in_flight: Option<usize>,
    start_timeout: Option<f64>,
    answer_timeout: Option<f64>,
    grace: Option<f64>,
}

impl Wire {
    pub(super) fn validate(self) -> Result<ProcessSpec> {
        let wire = self.process.context("missing table `[process]`")?;
        ensure!(
            wire.command
                .first()
                .is_some_and(|program| !program.is_empty()),
            "`process.command` names no program"
        );
        Ok(ProcessSpec {
            command: wire.command,
            folder: wire.folder,
            env: wire.env,
            in_flight: count("process.in_flight", wire.in_flight, MAX_CONCURRENT)?.unwrap_or(1),
            start_timeout: seconds("process.start_timeout", wire.start_timeout.unwrap_or(600.0))?,
            answer_timeout: seconds(
                "process.answer_timeout",
                wire.answer_timeout.unwrap_or(300.0),
            )?,
            grace: seconds("process.grace", wire.grace.unwrap_or(5.0))?,
        })
    }
}
