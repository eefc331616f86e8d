//! One file a subcommand, and the command line they make up. Exit codes: 0 done, 1 finished with
//! failed adapters or questions, 2 the user's mistake (one clear line), 3 `compare --fail-if-worse`
//! found the second run worse, 75 stopped by SIGTERM or SIGUSR1 and 130 by Ctrl-C, with everything
//! saved: start it again.

#[cfg(feature = "models")]
mod ask;
mod columns;
mod compare;
mod completions;
mod data;
mod export;
mod failures;
#[cfg(feature = "report")]
mod figures;
#[cfg(feature = "models")]
mod finetune;
mod import;
#[cfg(feature = "models")]
mod judge;
mod leaderboard;
mod list;
#[cfg(feature = "models")]
mod merge;
#[cfg(feature = "models")]
mod options;
#[cfg(feature = "models")]
mod progress;
#[cfg(feature = "models")]
mod quantize;
#[cfg(feature = "report")]
mod report;
#[cfg(feature = "models")]
mod run;
#[cfg(feature = "models")]
mod run_command;
#[cfg(feature = "models")]
mod run_plan;
#[cfg(feature = "models")]
mod run_report;
mod runs;
mod score;
#[cfg(feature = "models")]
mod shard;
#[cfg(feature = "models")]
mod signals;
#[cfg(feature = "models")]
mod table;
#[cfg(feature = "models")]
mod training_progress;
mod version;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, Parser, Subcommand};

use crate::jobs::{AdapterFailure, AllFailed};
use crate::report::table::Format;
use chartbench_core::isa;
use chartbench_core::terminal::{self, shorten, visible};

/// How a command that did not err ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Everything that was asked succeeded: exit code 0.
    Done,
    /// It finished, but an adapter or a question failed; what failed was told on stderr.
    Failures,
    /// `compare --fail-if-worse` found the second run worse: exit code 3.
    Worse,
    /// Ctrl-C stopped it, and what it had is saved: exit code 130.
    #[cfg(feature = "models")]
    Interrupted,
    /// Another signal stopped it, and what it had is saved: exit code 75, by which a batch system
    /// knows to start it again (`EX_TEMPFAIL` of `sysexits.h`).
    #[cfg(feature = "models")]
    StartAgain,
}

impl Status {
    /// The exit code.
    fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failures => 1,
            Self::Worse => 3,
            #[cfg(feature = "models")]
            Self::Interrupted => 130,
            #[cfg(feature = "models")]
            Self::StartAgain => 75,
        }
    }
}

#[derive(Parser)]
#[command(name = "chartbench", version, long_version = version::long(), about, max_term_width = 100, args_conflicts_with_subcommands = true)]
struct Cli {
    /// With --version: also the commit, the build's features and the processor's instruction sets
    #[arg(long)]
    verbose: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Answer a benchmark with each adapter; started again, a run resumes where it stopped
    #[cfg(feature = "models")]
    Run(Box<run::Args>),
    #[cfg(not(feature = "models"))]
    #[command(hide = true)]
    Run(Missing),
    /// Train each adapter on the benchmark's train split, then answer its test questions; a killed
    /// training resumes
    #[cfg(feature = "models")]
    Finetune(Box<finetune::Args>),
    #[cfg(not(feature = "models"))]
    #[command(hide = true)]
    Finetune(Missing),
    /// Turn checkpoints into 8 or 4 bits, keeping the layers in full precision that would lose too
    /// much
    #[cfg(feature = "models")]
    Quantize(quantize::Args),
    #[cfg(not(feature = "models"))]
    #[command(hide = true)]
    Quantize(Missing),
    /// Score predictions made elsewhere
    Score(Box<score::Args>),
    /// Put predictions made elsewhere into a run like any other
    Import(Box<import::Args>),
    /// Make one run of the shards of a run, as if it had never been cut
    #[cfg(feature = "models")]
    Merge(merge::Args),
    #[cfg(not(feature = "models"))]
    #[command(hide = true)]
    Merge(Missing),
    /// Have a language model judge a run's answers, as the benchmark's official code does
    #[cfg(feature = "models")]
    Judge(judge::Args),
    #[cfg(not(feature = "models"))]
    #[command(hide = true)]
    Judge(Missing),
    /// Compare two runs: what changed, and whether it is more than chance
    Compare(compare::Args),
    /// List the stored runs, show one, remove some
    Runs(runs::Args),
    /// List the questions of a run that a model got wrong, each with the rule that decided
    Failures(Box<failures::Args>),
    /// One table over many runs
    Leaderboard(leaderboard::Args),
    /// Draw stored runs: scores with intervals, the tolerance curve, training curves
    #[cfg(feature = "report")]
    Figures(figures::Args),
    #[cfg(not(feature = "report"))]
    #[command(hide = true)]
    Figures(Missing),
    /// Write stored runs in the formats of others
    Export(export::Args),
    /// One self-contained HTML page over many runs: leaderboard, plots, slices, every answer with
    /// its chart
    #[cfg(feature = "report")]
    Report(report::Args),
    #[cfg(not(feature = "report"))]
    #[command(hide = true)]
    Report(Missing),
    /// Answer one question about one image
    #[cfg(feature = "models")]
    Ask(ask::Args),
    #[cfg(not(feature = "models"))]
    #[command(hide = true)]
    Ask(Missing),
    /// Read the data table off one image
    #[cfg(feature = "models")]
    Table(table::Args),
    #[cfg(not(feature = "models"))]
    #[command(hide = true)]
    Table(Missing),
    /// List adapters, benchmarks, metrics, prompts and protocols
    List(list::Args),
    /// Fetch data sets by name, check them, make synthetic ones
    Data(data::Args),
    /// Print a shell's completion script
    Completions(completions::Args),
    /// Write man pages
    Man(completions::ManArgs),
}

/// A command that this build leaves out, with whatever follows it.
#[cfg(not(all(feature = "models", feature = "report", feature = "synth")))]
#[derive(Debug, clap::Args)]
struct Missing {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    rest: Vec<std::ffi::OsString>,
}

#[cfg(not(all(feature = "models", feature = "report", feature = "synth")))]
impl Missing {
    /// # Errors
    /// Always returns an error that names the feature to build with.
    fn refuse(&self, feature: &str) -> Result<Status> {
        anyhow::bail!("this build leaves the command out: build with `--features {feature}`")
    }
}

/// The command line's description: names, flags, help texts.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Runs the program on the process's arguments.
pub fn main() -> ExitCode {
    #[cfg(feature = "models")]
    signals::register_for(std::env::args_os().nth(1).as_deref());
    let code = match parse() {
        Ok(cli) => exit_code(isa::requested().and_then(|_| execute(&cli.command))),
        Err(error) => usage(&error),
    };
    if let Some(error) = terminal::stdout_error() {
        chartbench_core::note!("error: cannot write to standard output: {error}");
        return ExitCode::from(2);
    }
    code
}

fn exit_code(result: Result<Status>) -> ExitCode {
    match result {
        Ok(status) => ExitCode::from(status.code()),
        Err(error) => {
            // The first line of the failures is the error's own.
            if let Some(AllFailed(failures)) = error.downcast_ref() {
                AdapterFailure::lines(failures)
                    .iter()
                    .skip(1)
                    .for_each(|line| chartbench_core::note!("error: {}", single_line(line)));
            }
            chartbench_core::note!("error: {}", one_line(&error));
            ExitCode::from(2)
        }
    }
}

fn execute(command: &Command) -> Result<Status> {
    match command {
        #[cfg(feature = "models")]
        Command::Run(args) => run::run(args),
        #[cfg(feature = "models")]
        Command::Finetune(args) => finetune::run(args),
        #[cfg(feature = "models")]
        Command::Quantize(args) => quantize::run(args),
        Command::Score(args) => score::run(args),
        Command::Import(args) => import::run(args),
        #[cfg(feature = "models")]
        Command::Merge(args) => merge::run(args),
        #[cfg(feature = "models")]
        Command::Judge(args) => judge::run(args),
        Command::Compare(args) => compare::run(args),
        Command::Runs(args) => runs::run(args),
        Command::Failures(args) => failures::run(args),
        Command::Leaderboard(args) => leaderboard::run(args),
        #[cfg(feature = "report")]
        Command::Figures(args) => figures::run(args),
        Command::Export(args) => export::run(args),
        #[cfg(feature = "report")]
        Command::Report(args) => report::run(args),
        #[cfg(feature = "models")]
        Command::Ask(args) => ask::run(args),
        #[cfg(feature = "models")]
        Command::Table(args) => table::run(args),
        Command::List(args) => list::run(args),
        Command::Data(args) => data::run(args),
        Command::Completions(args) => completions::run(args),
        Command::Man(args) => completions::run_man(args),
        #[cfg(not(feature = "models"))]
        Command::Run(missing)
        | Command::Finetune(missing)
        | Command::Quantize(missing)
        | Command::Merge(missing)
        | Command::Judge(missing)
        | Command::Ask(missing)
        | Command::Table(missing) => missing.refuse("models"),
        #[cfg(not(feature = "report"))]
        Command::Figures(missing) | Command::Report(missing) => missing.refuse("report"),
    }
}

/// Prints the help or the version that was asked for, or what is wrong with the command line.
fn usage(error: &clap::Error) -> ExitCode {
    let text = error.render();
    let is_verbose = std::env::args_os().any(|argument| argument == "--verbose");
    if error.kind() == ErrorKind::DisplayVersion && is_verbose {
        terminal::print(&version::verbose());
    } else if error.use_stderr() {
        // A message repeats arguments, which may come from a script's data.
        terminal::write_note_block(&text.to_string());
    } else {
        terminal::print_styled(&text.to_string(), &text.ansi().to_string());
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}

/// Prints a result: as text in the formats for people, as data in those for programs.
fn print_formatted(text: &str, format: Format) {
    match format {
        Format::Table | Format::Markdown | Format::Latex => terminal::print(text),
        Format::Json | Format::Csv | Format::Jsonl => {
            terminal::print_data(text);
        }
    }
}

/// Reads the command line; what an error repeats of a wrong one is short.
fn parse() -> Result<Cli, clap::Error> {
    Cli::try_parse().map_err(|mut error| {
        for kind in [
            ContextKind::InvalidValue,
            ContextKind::InvalidArg,
            ContextKind::InvalidSubcommand,
        ] {
            if let Some(ContextValue::String(value)) = error.get(kind) {
                let value = shorten(value);
                error.insert(kind, ContextValue::String(value));
            }
        }
        error
    })
}

/// An error with its causes, in order, on one line, with nothing in it that a terminal obeys.
fn one_line(error: &anyhow::Error) -> String {
    single_line(&format!("{error:#}"))
}

/// A text on one line, with nothing in it that a terminal obeys.
fn single_line(text: &str) -> String {
    let line = text
        .split('\n')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join(" ");
    visible(&line)
}

/// Prints the adapters that failed, those that failed for one reason on one line.
#[cfg(feature = "models")]
fn print_failures(failures: &[AdapterFailure]) {
    for line in AdapterFailure::lines(failures) {
        chartbench_core::note!("error: {}", single_line(&line));
    }
}

/// Prints files that were written.
fn print_paths(paths: &[PathBuf]) {
    paths
        .iter()
        .for_each(|path| chartbench_core::note!("{}", path.display()));
}
