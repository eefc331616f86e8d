//! `chartbench finetune`: trains each adapter on the benchmark's train split, keeps the best step
//! by validation, asks it the test questions, into `results/<name>/`, and compares it with the
//! untrained model.

use std::path::PathBuf;

use anyhow::Result;

use super::Status;
use super::options::{AdapterArgs, BenchmarkArgs};
use super::run_command::run_command;
use super::run_report::{OutputArgs, print_report};
use super::signals::Signals;
use super::training_progress::FinetuneProgress;
use crate::adapter::training::Precision;
use crate::config::ProtocolOverrides;
use crate::jobs::finetune::{DEFAULT_ADAPTERS, FinetuneRequest, finetune};
use crate::report::Comparison;
use crate::run::Stop;
use chartbench_core::counts::{MAX_LIMIT, MAX_STEPS, parse_count};
use chartbench_core::terminal;

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
    /// Do not ask the untrained model for comparison
    #[arg(long)]
    no_before: bool,
    /// Train only: ask no test question, and print the command that asks them
    #[arg(long, conflicts_with_all = ["limit", "convention"])]
    no_evaluation: bool,
    /// Steps between saved states, from which a killed training goes on [default: only at
    /// validations]
    #[arg(long, alias = "save-every", value_name = "N", value_parser = parse_count::<MAX_STEPS>)]
    save_steps: Option<usize>,
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
    output: OutputArgs,
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
        let signals = Signals::watch()?;
        let stop = match args.overfit_one {
            // It stores nothing that could be saved.
            true => Stop::default(),
            false => signals.stop(),
        };
        let mut progress = FinetuneProgress::new(&args.output);
        let report = match finetune(&args.request(stop)?, &mut |event| progress.observe(event)) {
            Ok(report) => report,
            Err(error) => {
                progress.finish_training();
                drop(progress);
                return signals.report_stop(error);
            }
        };
        drop(signals);
        if let Some(evaluation) = &report.evaluation {
            print_report(evaluation, &args.output)?;
        }
        if let Some(run) = report
            .left_to_ask
            .as_ref()
            .filter(|_| !args.output.is_quiet())
        {
            let command = run_command(run, args.adapter.adapters_dir.as_deref());
            chartbench_core::note!("ask them: {command}");
        }
        for sentence in report.comparisons.iter().flat_map(Comparison::conclusions) {
            terminal::print(&format!("{}\n", terminal::visible(sentence)));
        }
        Ok(if report.is_complete() {
            Status::Done
        } else {
            Status::Failures
        })
    })
}

impl Args {
    fn request(&self, stop: Stop) -> Result<FinetuneRequest> {
        Ok(FinetuneRequest {
            adapters: self.adapter.select(DEFAULT_ADAPTERS)?,
            models: self.adapter.model_options()?,
            benchmark: (&self.benchmark).into(),
            name: self.name.clone(),
            results: self.results.clone(),
            limit: self.limit,
            convention: self.convention.clone(),
            slices: self.output.slices(),
            from_scratch: self.from_scratch,
            overfit_one: self.overfit_one,
            precision: if self.half || self.save_dtype == SaveDtype::F16 {
                Precision::F16
            } else {
                Precision::F32
            },
            check_memory: !self.no_memory_check,
            evaluate: !self.no_evaluation,
            before: !self.no_before,
            save_every: self.save_steps,
            stop,
            protocol: ProtocolOverrides {
                max_patches: self.adapter.max_patches,
                ..self.protocol.clone()
            },
        })
    }
}
