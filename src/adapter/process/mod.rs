//! Models in a program of their own, in any language: JSON lines over its standard input and
//! output.
//!
//! The program is started once. Its first line is `{"protocol":1,"settings":{...}}`, where the
//! settings are all that can change its answers. Then it gets a line a question,
//! `{"id","chart","image","question","answer_type"}`, and answers each with a line,
//! `{"id","prediction"}` or `{"id","error"}`. `image` is the path of a file; `answer_type` is
//! present if the data set has one. When its input ends, it ends. What it writes to standard error
//! is passed on. Keys that it has from the environment are kept out of answers and messages
//! ([`Secrets`]).

mod child;
mod wire;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, anyhow, bail, ensure};
use tempfile::NamedTempFile;

use super::secrets::Secrets;
use super::{Adapter, Answer, GiveUp, Identity, ReportAnswer, questions};
use crate::config::ProcessSpec;
use chartbench_core::question::{Chart, ChartQuestions, ImageRef};
use chartbench_core::terminal::shorten;
use chartbench_nn::file_sha256;
use child::Child;
use wire::{Hello, Reply, Request};

/// Questions in a call per question in flight: enough to keep the program busy.
const CALL: usize = 4;

/// A running program that answers.
pub(super) struct ProcessAdapter {
    identity: Identity,
    spec: ProcessSpec,
    child: Child,
    secrets: Secrets,
    /// Why the program cannot go on, after a failure.
    broken: Option<String>,
    /// Whether it gets no more questions.
    given_up: Arc<AtomicBool>,
}

/// A question with its picture as a file, and its place in the call.
struct Job<'a> {
    index: usize,
    request: Request<'a>,
}

impl ProcessAdapter {
    /// Starts the program and waits for its first line.
    ///
    /// # Errors
    /// Returns an error if the program cannot be started, ends, or writes another first line.
    pub(super) fn start(id: &str, spec: &ProcessSpec) -> Result<Self> {
        let mut secrets = Secrets::default();
        let inherited = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        secrets.add_variables(inherited.chain(spec.env.clone()));
        secrets.add_proxies();
        let mut child = Child::start(id, spec, &secrets)?;
        let line = child
            .line(spec.start_timeout)
            .context("waiting for its first line")?;
        let hello = Hello::parse(&line, &secrets)?;
        let mut settings = vec![("family".to_owned(), "process".to_owned())];
        settings.push(("command".to_owned(), serde_json::to_string(&spec.command)?));
        for file in spec.command.iter().skip(1) {
            if let Ok(sha256) = file_sha256(&spec.folder.join(file)) {
                settings.push((format!("sha256 of {file}"), sha256));
            }
        }
        for (key, value) in hello.settings() {
            ensure!(
                settings.iter().all(|(ours, _)| *ours != key),
                "its settings must not name `{key}`"
            );
            if let Some(name) = secrets.found_in(&key).or_else(|| secrets.found_in(&value)) {
                bail!("its settings must not hold the value of {name}");
            }
            settings.push((key, value));
        }
        let identity = Identity {
            id: id.to_owned(),
            settings,
        };
        Ok(Self {
            identity,
            spec: spec.clone(),
            child,
            secrets,
            broken: None,
            given_up: Arc::default(),
        })
    }

    /// Sends every question, `in_flight` at a time, and reports the answers as they come. Once it
    /// is given up, the questions it has are the last.
    fn converse(&mut self, jobs: &[Job<'_>], report: &mut ReportAnswer<'_>) -> Result<()> {
        let mut open: HashMap<String, usize> = HashMap::new();
        let mut next = 0;
        loop {
            let is_given_up = self.given_up.load(Ordering::Relaxed);
            while !is_given_up
                && open.len() < self.spec.in_flight
                && let Some(job) = jobs.get(next)
            {
                self.child.send(serde_json::to_string(&job.request)?);
                open.insert(job.request.id.to_owned(), job.index);
                next += 1;
            }
            if open.is_empty() {
                ensure!(next == jobs.len(), "it was given up");
                return Ok(());
            }
            let line = self
                .child
                .line(self.spec.answer_timeout)
                .with_context(|| waiting(&open))?;
            let reply = Reply::parse(&line, &self.secrets)?;
            let Some(index) = open.remove(&reply.id) else {
                bail!(
                    "it answered `{}`, which it was not asked ({})",
                    shorten(&reply.id),
                    waiting(&open)
                );
            };
            report(index, self.checked(reply.answer));
        }
    }

    /// An answer without a secret in it, or why the question failed.
    fn checked(&self, answer: Result<Answer, String>) -> Result<Answer> {
        let answer = answer.map_err(|error| anyhow!(self.secrets.blot(&error)))?;
        if let Some(name) = self.secrets.found_in(&answer.prediction.0) {
            bail!("the answer holds the value of {name}: it is not kept");
        }
        Ok(answer)
    }
}

fn waiting(open: &HashMap<String, usize>) -> String {
    let first = open
        .iter()
        .min_by_key(|(_, index)| **index)
        .map_or("", |(id, _)| id);
    let more = if open.len() > 1 {
        format!(" and {} more", open.len() - 1)
    } else {
        String::new()
    };
    format!("waiting for the answer to `{first}`{more}")
}

impl Adapter for ProcessAdapter {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn batch(&self) -> usize {
        self.spec.in_flight * CALL
    }

    fn answer(&mut self, charts: &[ChartQuestions], report: &mut ReportAnswer<'_>) -> Result<()> {
        // Drawn pictures are files for as long as the call lasts.
        let mut drawn = Vec::new();
        let images: Vec<Result<String>> = charts
            .iter()
            .map(|entry| image_file(&entry.chart, &mut drawn))
            .collect();
        let mut jobs = Vec::new();
        let images = charts
            .iter()
            .zip(&images)
            .flat_map(|(entry, image)| entry.questions.iter().map(move |_| image));
        for (index, ((chart, question), image)) in questions(charts).zip(images).enumerate() {
            match image {
                Ok(image) => jobs.push(Job {
                    index,
                    request: Request {
                        id: &question.id,
                        chart: &chart.id,
                        image,
                        question: &question.text,
                        answer_type: question.answer_type,
                    },
                }),
                Err(error) => report(index, Err(anyhow!("{error:#}"))),
            }
        }
        if self.broken.is_none()
            && let Err(error) = self.converse(&jobs, report)
        {
            let command = self.spec.command.join(" ");
            self.broken = Some(self.secrets.blot(&format!("`{command}`: {error:#}")));
            self.child.end();
        }
        match &self.broken {
            Some(broken) if !jobs.is_empty() => bail!("{broken}"),
            _ => Ok(()),
        }
    }

    fn give_up(&self) -> Vec<GiveUp> {
        let given_up = Arc::clone(&self.given_up);
        vec![Box::new(move || given_up.store(true, Ordering::Relaxed))]
    }
}

/// The absolute path of a chart's picture; a drawn one is written to a temporary file first.
fn image_file(chart: &Chart, drawn: &mut Vec<NamedTempFile>) -> Result<String> {
    let path = match &chart.image {
        ImageRef::File(file) => {
            file.check()?;
            std::path::absolute(&**file)?
        }
        ImageRef::Drawn(source) => {
            let bytes = source.encoded()?;
            let extension = image::guess_format(&bytes)
                .ok()
                .and_then(|format| format.extensions_str().first());
            let suffix = format!(".{}", extension.unwrap_or(&"img"));
            let write = || -> std::io::Result<NamedTempFile> {
                let file = tempfile::Builder::new()
                    .prefix("chartbench-")
                    .suffix(&suffix)
                    .tempfile()?;
                std::fs::write(file.path(), &bytes)?;
                Ok(file)
            };
            let file = write()
                .with_context(|| format!("cannot write the picture of {} to a file", chart.id))?;
            let path = file.path().to_owned();
            drawn.push(file);
            path
        }
    };
    text(&path)
}

fn text(path: &Path) -> Result<String> {
    let text = path
        .to_str()
        .with_context(|| format!("{}: unusable file name", path.display()))?;
    Ok(text.to_owned())
}
