//! `chartbench judge` against a local server that fails, refuses and answers malformed JSON: each
//! verdict is stored once, a killed start is gone on with, and the sums are those of the official
//! aggregation. `benchmarks/parity/judged.py` compares with the official code itself.

mod batches;
mod clone;
mod descriptive;
mod others;
mod server;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::endpoint::adapter_file;
use crate::endpoint::server::Server;
use clone::{FIGURES, gold, templates};

/// A folder with a clone, a run of each part that was imported, and the judge's adapter file.
struct Scratch(TempDir);

impl Scratch {
    fn new() -> Self {
        let scratch = Self(tempfile::tempdir().unwrap());
        clone::write(&scratch.path("CharXiv"));
        let descriptive = questions().into_iter().map(|question| {
            let response = question.response();
            json!({"id": question.id, "prediction": response})
        });
        let reasoning = (0..FIGURES)
            .map(|figure| json!({"id": figure.to_string(), "prediction": "so it is 12"}));
        scratch.import("descriptive", descriptive.collect());
        scratch.import("reasoning", reasoning.collect());
        scratch
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn import(&self, part: &str, rows: Vec<Value>) {
        let lines: Vec<String> = rows.iter().map(Value::to_string).collect();
        fs::write(self.path("predictions.jsonl"), lines.join("\n")).unwrap();
        let benchmark = format!("charxiv-{part}");
        let arguments = [
            "import",
            "predictions.jsonl",
            "--as",
            part,
            "--benchmark",
            &benchmark,
        ];
        let output = self.run(&[&arguments[..], &["--data", "CharXiv"]].concat());
        assert!(
            self.path("results").join(part).join("run.toml").exists(),
            "{}",
            stderr(&output)
        );
    }

    fn run(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_chartbench"))
            .args(arguments)
            .current_dir(self.0.path())
            .output()
            .unwrap()
    }

    /// Has the server judge a run.
    fn judge(&self, server: &Server, run: &str, more: &[&str]) -> Output {
        adapter_file(
            self.0.path(),
            &server.base_url(),
            "extra = { response_format = { type = \"json_object\" } }",
        );
        let judge = ["judge", run, "--with", "served", "--adapters-dir", "."];
        self.run(&[&judge[..], &["--clone", "CharXiv"], more].concat())
    }

    /// The lines of a run's log.
    fn judgements(&self, run: &str) -> Vec<Value> {
        let adapter = fs::read_dir(self.path("results").join(run)).unwrap();
        let mut logs = adapter.map(|entry| entry.unwrap().path().join("judgements.jsonl"));
        let log = logs.find(|log| log.exists()).unwrap();
        let text = fs::read_to_string(log).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// The mean of a metric in each slice, by `SLICE VALUE`.
    fn means(&self, run: &str, convention: &str, metric: &str) -> BTreeMap<String, f64> {
        let output = self.run(&[
            "leaderboard",
            run,
            "--convention",
            convention,
            "--slice-by",
            "category,subplots,subject,year,template",
            "--format",
            "json",
        ]);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let board: Value = serde_json::from_slice(&output.stdout).unwrap();
        let rows = board["rows"].as_array().unwrap().iter();
        rows.filter_map(|row| {
            let slice = format!(
                "{} {}",
                row["slice"].as_str()?,
                row["value"].as_str().unwrap_or_default()
            );
            Some((slice, row[metric].as_f64()?))
        })
        .collect()
    }
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A descriptive question of the clone.
struct Asked {
    id: String,
    figure: usize,
    template: usize,
    index: usize,
}

impl Asked {
    /// The imported answer: two of three are right, and one question failed.
    fn response(&self) -> Option<String> {
        let is_right = !(self.figure + self.index).is_multiple_of(3);
        let said = if is_right {
            gold(self.figure, self.template)
        } else {
            "something else".to_owned()
        };
        // No two requests are the same.
        (self.id != "7_0").then(|| format!("on c{} it is {said}", self.figure))
    }

    /// Whether the judge's server never gives a verdict on answers to its template.
    fn is_invalid(&self) -> bool {
        matches!(self.template, 5..=7)
    }

    fn is_judged(&self) -> bool {
        self.response().is_some()
    }

    /// As the official code scores it.
    fn score(&self) -> f64 {
        let is_right = self
            .response()
            .is_some_and(|said| said.ends_with(&gold(self.figure, self.template)));
        f64::from(is_right && !self.is_invalid())
    }
}

fn questions() -> Vec<Asked> {
    let of = |figure: usize| {
        let asked = templates(figure).into_iter().enumerate();
        asked.map(move |(index, template)| Asked {
            id: format!("{figure}_{index}"),
            figure,
            template,
            index,
        })
    };
    (0..FIGURES).flat_map(of).collect()
}

fn ids(line: &Value) -> Vec<&str> {
    let answers = line["answers"].as_array().unwrap().iter();
    answers
        .map(|answer| answer["id"].as_str().unwrap())
        .collect()
}
