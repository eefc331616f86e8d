//! `chartbench run`: answers a benchmark with each adapter, into `results/<name>/`.

use std::path::PathBuf;

use anyhow::Result;
use bytesize::ByteSize;

use super::Status;
use super::options::{AdapterArgs, AskingArgs, BenchmarkArgs};
use super::run_plan::print_plan;
use super::run_report::{OutputArgs, print_report};
use super::shard::ShardArg;
use super::signals::Signals;
use crate::adapter::MAX_USD;
use crate::jobs::Asking;
use crate::jobs::dry_run::dry_run;
use crate::jobs::run::{
    BatchSize, BlindRows, DEFAULT_ADAPTERS, DEFAULT_MODELS, RunRequest, run as answer,
};
use crate::run::Stop;
use chartbench_core::counts::{MAX_BATCH, MAX_LIMIT, MAX_QUESTIONS_PER_CHART, parse_count};
use chartbench_core::shard::Shard;

#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    adapter: AdapterArgs,
    #[command(flatten)]
    benchmark: BenchmarkArgs,
    #[command(flatten)]
    asking: AskingArgs,
    /// Name of the run, a folder under --results [default: the benchmark's name]
    #[arg(long)]
    name: Option<String>,
    /// Folder the run is written under
    #[arg(long, value_name = "DIR", default_value = "results")]
    results: PathBuf,
    /// Ask N questions a chart, drawn by --seed, instead of what the benchmark says
    #[arg(long, value_name = "N", value_parser = parse_count::<MAX_QUESTIONS_PER_CHART>)]
    questions_per_chart: Option<usize>,
    /// Ask only N questions, drawn by --seed from all charts, sources and answer types in
    /// proportion; a greater N later asks the rest
    #[arg(long, value_name = "N", value_parser = parse_count::<MAX_LIMIT>)]
    limit: Option<usize>,
    /// Seed of the draws [default: the benchmark's]
    #[arg(long)]
    seed: Option<u64>,
    /// Shard: ask only the K-th of N parts of the charts, `K/N`, beside other processes that ask the
    /// others; `auto` takes K and N from the environment of a cluster or CI, `auto/N` K alone
    #[arg(long, value_name = "K/N")]
    shard: Option<ShardArg>,
    /// Batch size: questions an adapter gets at a time [default: the adapter's]
    #[arg(long, alias = "batch", value_name = "N", value_parser = parse_count::<MAX_BATCH>)]
    batch_size: Option<usize>,
    /// Memory the program may take, e.g. 8GiB: adapters get as many questions at a time as it is
    /// enough for, 32 at most
    #[arg(long, value_name = "SIZE", conflicts_with = "batch_size")]
    memory: Option<ByteSize>,
    /// Ask questions whose stored row is a failure again
    #[arg(long)]
    retry_failed: bool,
    /// Stop asking endpoints before the run has cost more than USD, stored answers included; their
    /// adapter files need `[price]`
    #[arg(long, value_name = "USD", value_parser = parse_dollars, conflicts_with = "dry_run")]
    max_cost: Option<f64>,
    /// Ask endpoints in batches, which many of them answer within a day at a lower price: submit the
    /// questions, wait, and collect the answers. A run that was stopped, started again, goes on with
    /// its batches
    #[arg(long, conflicts_with = "dry_run")]
    batch_api: bool,
    /// Say what would be asked, where weights are, what memory it takes and what is stored already;
    /// write nothing
    #[arg(long)]
    dry_run: bool,
    /// With --dry-run: ask each adapter a few questions, and say what time the run takes
    #[arg(long, requires = "dry_run")]
    estimate: bool,
    /// Blind rows beside the models of --adapters [default: text; on the mini benchmark and up to
    /// 200 questions image, for models that are not behind an endpoint]
    #[arg(long, value_enum, value_name = "KIND", conflicts_with = "no_blind")]
    blind: Option<Blind>,
    /// Ask no blind rows but those of --adapters
    #[arg(long)]
    no_blind: bool,
    /// Scoring convention of the leaderboard that is printed and stored [default: that of the
    /// benchmark, else chartbench; deplot-corrected where only tables are asked for]
    #[arg(long, value_name = "NAME")]
    convention: Option<String>,
    #[command(flatten)]
    output: OutputArgs,
}

/// `--blind`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Blind {
    /// majority and question-prior, which answer from the train split's answers
    Text,
    /// Those, and blank+NAME for each model, which costs as much as the model
    Image,
}

pub(super) fn run(args: &Args) -> Result<Status> {
    args.adapter.on_threads(|| {
        let signals = Signals::watch()?;
        if args.dry_run {
            return print_plan(&dry_run(&args.request()?, args.estimate)?, args.estimate);
        }
        let mut progress = args.output.progress();
        let request = RunRequest {
            stop: signals.stop(),
            ..args.request()?
        };
        let report = match answer(&request, &mut |event| progress.observe(event)) {
            Ok(report) => report,
            Err(error) => {
                drop(progress);
                return signals.report_stop(error);
            }
        };
        drop(signals);
        print_report(&report, &args.output)
    })
}

impl Args {
    /// The shard that is asked; one that the environment names is noted.
    fn shard(&self) -> Result<Option<Shard>> {
        let Some(shard) = self.shard else {
            return Ok(None);
        };
        let variable =
            |name: &str| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned());
        let (shard, origin) = shard.resolve(&variable)?;
        if let Some(origin) = origin {
            chartbench_core::note!("note: {origin}");
        }
        Ok(Some(shard))
    }

    fn request(&self) -> Result<RunRequest> {
        let batch = match (self.batch_size, self.memory) {
            (Some(questions), _) => BatchSize::Questions(questions),
            (None, Some(memory)) => BatchSize::Memory(memory.as_u64()),
            (None, None) => BatchSize::Adapter,
        };
        // The adapters asked by default have their blind rows among them.
        let all_named = self.no_blind || self.adapter.adapters.is_empty();
        let blind = match self.blind {
            Some(Blind::Text) => BlindRows::Text,
            Some(Blind::Image) => BlindRows::Image,
            None if all_named => BlindRows::Named,
            None => BlindRows::BySize,
        };
        let default = if self.no_blind {
            DEFAULT_MODELS
        } else {
            DEFAULT_ADAPTERS
        };
        let mut request = RunRequest {
            adapters: self.adapter.select(default)?,
            blind,
            models: self.adapter.model_options()?,
            benchmark: (&self.benchmark).into(),
            name: self.name.clone(),
            results: self.results.clone(),
            questions_per_chart: self.questions_per_chart,
            limit: self.limit,
            seed: self.seed,
            shard: self.shard()?,
            batch,
            retry_failed: self.retry_failed,
            max_cost: self.max_cost,
            batch_api: batch_progress(self.batch_api, self.output.is_quiet()),
            convention: self.convention.clone(),
            slices: self.output.slices(),
            stop: Stop::default(),
        };
        Asking::from(&self.asking).apply(&mut request)?;
        Ok(request)
    }
}

/// Prints a line on how far batches are; `None` where nothing is asked in batches.
pub(super) fn batch_progress(batch_api: bool, quiet: bool) -> Option<fn(&str)> {
    let print: fn(&str) = |line| chartbench_core::note!("{line}");
    batch_api.then_some(if quiet { |_| {} } else { print })
}

/// A sum of dollars above 0.
fn parse_dollars(text: &str) -> Result<f64, String> {
    let dollars: f64 = text
        .trim_start_matches('$')
        .parse()
        .map_err(|_| format!("`{text}` is not a number of dollars"))?;
    if dollars > 0.0 && dollars <= MAX_USD {
        Ok(dollars)
    } else {
        Err(format!("must be above 0 and at most {MAX_USD} dollars"))
    }
}
