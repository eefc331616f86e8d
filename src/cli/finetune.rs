//! `chartbench finetune`: trains each adapter on the benchmark's train split, keeps the best step
//! by validation, and asks it the test questions, into `results/<name>/`.

use std::path::PathBuf;

use anyhow::Result;

use super::options::{AdapterArgs, BenchmarkArgs};
use super::training_progress::FinetuneProgress;
use super::{Status, run};
use crate::adapter::training::Precision;
use crate::config::ProtocolOverrides;
use crate::jobs::finetune::{DEFAULT_ADAPTERS, FinetuneRequest, finetune};
use chartbench_core::counts::{MAX_LIMIT, parse_count};

#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    adapter: AdapterArgs,
    #[command(flatten)]
    benchmark: BenchmarkArgs,
    /// Name of the run, a folder under --results
    #[arg(long, default_value = "finetuned")]
    name: String,
    /// Folder the run is written under
    #[arg(long, value_name = "DIR", default_value = "results")]
    results: PathBuf,
    /// After training, ask only N test questions, drawn as `run` does
    #[arg(long, value_name = "N", value_parser = parse_count::<MAX_LIMIT>)]
    limit: Option<usize>,
    /// Scoring convention of the leaderboard [default: as of `run`]
    #[arg(long, value_name = "NAME")]
    convention: Option<String>,
    /// Begin with random weights: pre-training, with the checkpoint's configuration and tokenizer
    #[arg(long)]
    from_scratch: bool,
    /// Self-test of a set-up: overfit one question and check that it is answered
    #[arg(long)]
    overfit_one: bool,
    /// Data type of the stored checkpoint; training itself is in f32
    #[arg(long, value_enum, value_name = "DTYPE", default_value_t)]
    save_dtype: SaveDtype,
    /// `--save-dtype f16`
    #[arg(long, hide = true, conflicts_with = "save_dtype")]
    half: bool,
    /// Train even where the estimate says that memory will not do
    #[arg(long)]
    no_memory_check: bool,
    #[command(flatten)]
    protocol: ProtocolOverrides,
}

/// `--save-dtype`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum SaveDtype {
    #[default]
    F32,
    F16,
}

pub(super) fn run(args: &Args) -> Result<Status> {
    args.adapter.on_threads(|| {
        let mut progress = FinetuneProgress::default();
        let report = finetune(&args.request()?, &mut |event| progress.observe(event))?;
        if let Some(evaluation) = &report.evaluation {
            run::print_report(evaluation)?;
        }
        Ok(if report.is_complete() {
            Status::Done
        } else {
            Status::Failures
        })
    })
}

impl Args {
    fn request(&self) -> Result<FinetuneRequest> {
        Ok(FinetuneRequest {
            adapters: self.adapter.select(DEFAULT_ADAPTERS)?,
            models: self.adapter.model_options()?,
            benchmark: (&self.benchmark).into(),
            name: self.name.clone(),
            results: self.results.clone(),
            limit: self.limit,
            convention: self.convention.clone(),
            from_scratch: self.from_scratch,
            overfit_one: self.overfit_one,
            precision: if self.half || self.save_dtype == SaveDtype::F16 {
                Precision::F16
            } else {
                Precision::F32
            },
            check_memory: !self.no_memory_check,
            protocol: ProtocolOverrides {
                max_patches: self.adapter.max_patches,
                ..self.protocol.clone()
            },
        })
    }
}
