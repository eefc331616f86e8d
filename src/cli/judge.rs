//! `chartbench judge RUN --with NAME`: has a language model judge a run's answers.

use std::io::IsTerminal;
use std::path::PathBuf;

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};

use super::Status;
use super::run::batch_progress;
use super::signals::Signals;
use crate::jobs::judge::{JudgeEvent, JudgeReport, JudgeRequest, JudgedRow, judge};
use crate::report::table::Format;
use chartbench_core::terminal;

/// Has a language model judge the answers of a stored run, as the benchmark's official code does:
/// `charxiv-descriptive`, `charxiv-reasoning`, `chartmuseum`.
///
/// Every verdict is stored as it comes, in judgements.jsonl beside the answers; started again, it
/// asks for the missing ones alone. `leaderboard`, `failures` and others score by them under
/// `--convention charxiv` or `chartmuseum`. Questions that failed are not judged and score 0.
#[derive(clap::Args)]
pub(super) struct Args {
    /// The run: a name under --results, or a path; RUN/ADAPTER for one of its adapters
    run: PathBuf,
    /// The judge: an adapter whose model is behind an endpoint (family = "chat")
    #[arg(long = "with", value_name = "NAME")]
    judge: String,
    /// Folder of more adapter files (*.toml)
    #[arg(long, value_name = "DIR")]
    adapters_dir: Option<PathBuf>,
    /// How the judge is asked, e.g. `charxiv-single`: each answer by itself [default: as the official
    /// code does]
    #[arg(long, value_name = "NAME")]
    convention: Option<String>,
    /// Clone of the benchmark's official repository, which has the rubric [default: the one that the
    /// run was asked from]
    #[arg(long, value_name = "DIR")]
    clone: Option<PathBuf>,
    /// Ask the judge in batches, which many endpoints answer within a day at a lower price: submit
    /// the requests, wait, and collect the verdicts. Started again, it goes on with its batches
    #[arg(long)]
    batch_api: bool,
    /// Folder that holds the runs
    #[arg(long, value_name = "DIR", default_value = "results")]
    results: PathBuf,
    /// Print the table, warnings and errors alone
    #[arg(short, long)]
    quiet: bool,
}

pub(super) fn run(args: &Args) -> Result<Status> {
    let signals = Signals::watch()?;
    let mut progress = JudgeProgress {
        is_quiet: args.quiet,
        bar: None,
    };
    let request = JudgeRequest {
        run: args.run.clone(),
        results: args.results.clone(),
        judge: args.judge.clone(),
        adapters_dir: args.adapters_dir.clone(),
        convention: args.convention.clone(),
        clone: args.clone.clone(),
        batch_api: batch_progress(args.batch_api, args.quiet),
        stop: signals.stop(),
    };
    let report = match judge(&request, &mut |event| progress.observe(event)) {
        Ok(report) => report,
        Err(error) => {
            drop(progress);
            return signals.report_stop(error);
        }
    };
    drop(signals);
    print_report(&report)
}

fn print_report(report: &JudgeReport) -> Result<Status> {
    let text = report
        .leaderboard
        .render_within(Format::Table, terminal::width())?;
    terminal::print(&text);
    let invalid: usize = report.rows.iter().map(|row| row.invalid).sum();
    if invalid == 0 {
        return Ok(Status::Done);
    }
    for row in report.rows.iter().filter(|row| row.invalid > 0) {
        chartbench_core::note!(
            "error: {}: {} of {} verdicts are invalid; as in the official code these answers score 0",
            row.adapter,
            row.invalid,
            row.answers
        );
    }
    Ok(Status::Failures)
}

/// Draws what happens.
struct JudgeProgress {
    is_quiet: bool,
    bar: Option<ProgressBar>,
}

impl JudgeProgress {
    fn observe(&mut self, event: JudgeEvent<'_>) {
        if self.is_quiet {
            return;
        }
        match event {
            JudgeEvent::RowStarted {
                adapter,
                answers,
                judged,
                dropped,
            } => {
                if dropped > 0 {
                    chartbench_core::note!(
                        "note: {adapter}: {dropped} stored verdicts are dropped, of answers that have changed or of other batches"
                    );
                }
                if judged > 0 && judged < answers {
                    chartbench_core::note!(
                        "{adapter}: resuming, {judged} of {answers} answers are judged already"
                    );
                }
                if std::io::stderr().is_terminal() && judged < answers {
                    self.bar = Some(bar(adapter, answers, judged));
                }
            }
            JudgeEvent::Judged(answers) => {
                if let Some(bar) = &self.bar {
                    bar.inc(answers as u64);
                }
            }
            JudgeEvent::RowFinished(row) => {
                if let Some(bar) = self.bar.take() {
                    bar.finish_and_clear();
                }
                chartbench_core::note!("{}", describe(row));
            }
        }
    }
}

fn bar(adapter: &str, answers: usize, judged: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix} {wide_bar} {pos}/{len} ETA {eta}");
    let bar = ProgressBar::new(answers as u64)
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        .with_prefix(terminal::visible(adapter));
    bar.set_position(judged as u64);
    bar.reset_eta();
    bar
}

/// A row in a line: `openai: 200 answers judged in 40 requests, 61000 prompt and 9000 completion
/// tokens, $0.4400`.
fn describe(row: &JudgedRow) -> String {
    let usage = row.usage.map(|usage| {
        let cost = usage.cost_usd.map(|cost| format!(", ${cost:.4}"));
        format!(
            ", {} prompt and {} completion tokens{}",
            usage.prompt_tokens,
            usage.completion_tokens,
            cost.unwrap_or_default()
        )
    });
    let (adapter, answers, requests) = (&row.adapter, row.answers, row.requests);
    format!(
        "{adapter}: {answers} answers judged in {requests} requests{}",
        usage.unwrap_or_default()
    )
}
