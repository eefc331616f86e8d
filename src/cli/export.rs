//! `chartbench export RUN`: stored runs in the formats of other programs.

use std::path::PathBuf;

use anyhow::{Result, ensure};

use super::{Status, print_paths};
use crate::jobs::export::{ExportFormat, ExportRequest, export};
use crate::report::HubTask;

#[derive(clap::Args)]
pub(super) struct Args {
    /// Runs: names under --results, or paths; RUN/ADAPTER for one adapter
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// Folder that holds the runs
    #[arg(long, value_name = "DIR", default_value = "results")]
    results: PathBuf,
    /// The format
    #[arg(long, alias = "to", value_enum)]
    format: Target,
    /// Folder to write RUN/ADAPTER/ with the files into; every-eval-ever's own folders
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Of eval-results: the hub's dataset that holds the leaderboard
    #[arg(long, value_name = "OWNER/NAME", value_parser = parse_dataset_id, required_if_eq("format", "eval-results"))]
    dataset_id: Option<String>,
    /// Of eval-results: the task in that dataset's eval.yaml [default: default]
    #[arg(long, value_name = "ID")]
    task_id: Option<String>,
    /// Of every-eval-ever: who publishes the results [default: unknown]
    #[arg(long, value_name = "NAME")]
    organization: Option<String>,
    /// Scoring convention [default: that of the benchmark, else chartbench; deplot-corrected where
    /// only tables are asked for]
    #[arg(long, value_name = "NAME")]
    convention: Option<String>,
    /// Also export adapters that have questions left, marked as unfinished
    #[arg(long)]
    allow_unfinished: bool,
}

/// `--format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Target {
    /// lm-evaluation-harness: results.json and samples.jsonl
    LmEval,
    /// Hugging Face model card: README.md with the results as `model-index`
    ModelIndex,
    /// Hugging Face model repository: .eval_results/RUN.yaml with the score for a leaderboard of the
    /// hub
    EvalResults,
    /// Every Eval Ever: a JSON of the evaluation and the samples as JSON lines, under data/
    EveryEvalEver,
}

pub(super) fn run(args: &Args) -> Result<Status> {
    print_paths(&export(&ExportRequest {
        runs: args.runs.clone(),
        results: args.results.clone(),
        to: args.format()?,
        out: args.out.clone(),
        convention: args.convention.clone(),
        allow_unfinished: args.allow_unfinished,
    })?);
    Ok(Status::Done)
}

impl Args {
    fn format(&self) -> Result<ExportFormat> {
        let own = [
            (
                "--dataset-id",
                self.dataset_id.is_some(),
                Target::EvalResults,
            ),
            ("--task-id", self.task_id.is_some(), Target::EvalResults),
            (
                "--organization",
                self.organization.is_some(),
                Target::EveryEvalEver,
            ),
        ];
        for (flag, given, target) in own {
            ensure!(
                !given || self.format == target,
                "{flag} belongs to --format {} only",
                target.name()
            );
        }
        let or = |text: &Option<String>, default: &str| text.clone().unwrap_or(default.to_owned());
        Ok(match self.format {
            Target::LmEval => ExportFormat::LmEval,
            Target::ModelIndex => ExportFormat::ModelIndex,
            Target::EvalResults => ExportFormat::EvalResults(HubTask {
                dataset_id: self.dataset_id.clone().unwrap_or_default(),
                task_id: or(&self.task_id, "default"),
            }),
            Target::EveryEvalEver => ExportFormat::EveryEvalEver {
                organization: or(&self.organization, "unknown"),
            },
        })
    }
}

impl Target {
    fn name(self) -> &'static str {
        match self {
            Self::LmEval => "lm-eval",
            Self::ModelIndex => "model-index",
            Self::EvalResults => "eval-results",
            Self::EveryEvalEver => "every-eval-ever",
        }
    }
}

/// A repository of the hub.
fn parse_dataset_id(text: &str) -> Result<String, String> {
    let is_name = |name: &str| {
        !name.is_empty()
            && name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
    };
    match text.split_once('/') {
        Some((owner, name)) if is_name(owner) && is_name(name) => Ok(text.to_owned()),
        _ => Err("must be OWNER/NAME, a dataset of the hub".to_owned()),
    }
}
