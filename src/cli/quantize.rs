//! `chartbench quantize`: checkpoints in 8 or 4 bits, with the layers in full precision that would
//! lose too much.

use std::path::PathBuf;

use anyhow::Result;

use super::options::{AdapterArgs, BenchmarkArgs};
use super::{Status, print_failures};
use crate::finetune::quantize::{Measurement, QuantizeEvent as StudyEvent};
use crate::jobs::quantize::{DEFAULT_ADAPTERS, Event, QuantizeReport, QuantizeRequest, quantize};
use chartbench_core::counts::{MAX_LIMIT, parse_count};
use chartbench_core::terminal;
use chartbench_nn::WeightFormat;

#[derive(clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    adapter: AdapterArgs,
    /// Data types of the weights, separated by commas: q8 (Q8_0) and q4 (Q4_K)
    #[arg(long, alias = "to", value_delimiter = ',', value_name = "DTYPES", default_value = "q8,q4", value_parser = precision)]
    dtype: Vec<WeightFormat>,
    #[command(flatten)]
    benchmark: BenchmarkArgs,
    /// Folder it is written to
    #[arg(long, value_name = "DIR", default_value = "quantized")]
    out: PathBuf,
    /// Points of exact match that may be lost
    #[arg(long, value_name = "POINTS", default_value_t = 0.5)]
    tolerance: f64,
    /// Most questions to measure with, about charts held out as `finetune` holds them out [default:
    /// the benchmark's]
    #[arg(long, value_name = "N", value_parser = parse_count::<MAX_LIMIT>)]
    validation_questions: Option<usize>,
}

fn precision(name: &str) -> Result<WeightFormat, String> {
    WeightFormat::quantized_by_name(name).map_err(|error| error.to_string())
}

pub(super) fn run(args: &Args) -> Result<Status> {
    args.adapter.on_threads(|| {
        let request = QuantizeRequest {
            adapters: args.adapter.select(DEFAULT_ADAPTERS)?,
            models: args.adapter.model_options()?,
            benchmark: (&args.benchmark).into(),
            precisions: args.dtype.clone(),
            out: args.out.clone(),
            tolerance: args.tolerance,
            validation_questions: args.validation_questions,
            max_patches: args.adapter.max_patches,
        };
        let report = quantize(&request, &mut |event| print_event(event))?;
        print_failures(&report.failures);
        terminal::print(&report.choices.to_terminal_within(terminal::width()));
        print_rows(&report, args.tolerance);
        Ok(if report.is_complete() {
            Status::Done
        } else {
            Status::Failures
        })
    })
}

fn print_event(event: Event<'_>) {
    match event {
        Event::QuestionsFailed { adapter, failures } => {
            if let Some(first) = failures.first() {
                chartbench_core::note!(
                    "{adapter}: {} validation questions fail, which counts as wrong; the first, {}: {}",
                    failures.len(),
                    first.question,
                    first.error
                );
            }
        }
        Event::Baseline {
            adapter,
            questions,
            measured,
        } => {
            chartbench_core::note!(
                "{adapter}: {questions} validation questions, {}",
                describe(measured)
            );
        }
        Event::Study {
            adapter,
            precision,
            event: StudyEvent::Damage { done, of, damage },
        } => {
            chartbench_core::note!(
                "{adapter}@{precision}: layer {done}/{of}, {}: loss {:+.5}",
                damage.layer,
                damage.loss_rise
            );
        }
        Event::Study {
            adapter,
            precision,
            event: StudyEvent::Choice(choice),
        } => {
            let kept = choice.kept.len();
            chartbench_core::note!(
                "{adapter}@{precision}: all but {kept} layers: {}",
                describe(&choice.measured)
            );
        }
    }
}

fn describe(measured: &Measurement) -> String {
    let Measurement {
        bytes,
        questions_per_second,
        loss,
        exact_match,
        relaxed,
    } = *measured;
    let megabytes = bytes as f64 / 1e6;
    format!(
        "{megabytes:.2} MB, {questions_per_second:.2} questions/s, loss {loss:.4}, exact match {exact_match:.2}, relaxed \
         accuracy {relaxed:.2}"
    )
}

/// Prints which rows were written, and how they are asked.
fn print_rows(report: &QuantizeReport, tolerance: f64) {
    for row in &report.refused {
        chartbench_core::note!(
            "error: {row}: every choice loses more than {tolerance} points of exact match: nothing is written"
        );
    }
    if !report.written.is_empty() {
        let rows: Vec<&str> = report.written.iter().map(|(row, _)| row.as_str()).collect();
        let weights = report
            .written
            .iter()
            .map(|(row, checkpoint)| format!(" --weights {row}={}", checkpoint.display()));
        chartbench_core::note!(
            "ask them: chartbench run --adapters {}{}",
            rows.join(","),
            weights.collect::<String>()
        );
    }
}
