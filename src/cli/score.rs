//! `chartbench score`: scores predictions made elsewhere, or stored runs, under one or all
//! conventions.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Result, ensure};
#[cfg(feature = "report")]
use bytesize::ByteSize;

use super::columns::ColumnArgs;
use super::{Status, print_formatted};
use crate::jobs::score::{GoldSource, ScoreRequest, ScoredFiles, read, verify};
use crate::report::splice_file;
use crate::report::table::Format;
use chartbench_core::terminal;
use chartbench_score::metric::{Convention, Metric};

/// Scores the predictions of files and folders: CSV and TSV, JSON, JSON lines (lmms-eval's and
/// lm-eval's samples among them), VLMEvalKit's workbooks, RealCQA's folders, and stored runs.
///
/// Metrics are in percent. `errors` counts the questions on which the convention's original raises
/// an exception instead of a score (pix2struct's ANLS of two empty texts divides by zero); they
/// count as 0.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Args {
    /// Files of predictions, RealCQA prediction folders, or stored runs: names under --results, or
    /// paths; RUN/ADAPTER for one adapter
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Folder that holds the runs
    #[arg(long, value_name = "DIR", default_value = "results")]
    results: PathBuf,
    /// The metric convention, or `all`: those for tables or for one data set where they apply
    #[arg(long, value_name = "NAME", default_value = "all")]
    convention: String,
    /// Show this instead of the scores
    #[arg(long, value_enum, value_name = "WHAT", conflicts_with_all = ["matrix", "sensitivity", "per_question", "explain", "verify"])]
    show: Option<Show>,
    /// `--show matrix`
    #[arg(long, hide = true, conflicts_with_all = ["per_question", "explain", "verify"])]
    matrix: bool,
    /// `--show sensitivity`
    #[arg(long, hide = true, conflicts_with_all = ["matrix", "per_question", "explain", "verify"])]
    sensitivity: bool,
    /// Confidence intervals beside the scores, clustered by chart; without charts in the file each
    /// question counts for itself
    #[arg(long, conflicts_with_all = ["show", "matrix", "sensitivity", "per_question", "explain", "verify"])]
    intervals: bool,
    /// `--show questions`
    #[arg(long, hide = true, conflicts_with_all = ["explain", "verify"])]
    per_question: bool,
    /// Metrics of `--show questions`, e.g. `relaxed,lenient` [default: all]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    metrics: Vec<String>,
    /// Ids of the answers of `--show explain`
    #[arg(long, value_name = "IDS", value_delimiter = ',')]
    ids: Vec<String>,
    /// `--show explain --ids ID`
    #[arg(long, hide = true, value_name = "ID", conflicts_with = "verify")]
    explain: Vec<String>,
    /// `--show verify`
    #[arg(long, hide = true)]
    verify: bool,
    /// Gold answers kept elsewhere: any file with ids and gold answers
    #[arg(
        long,
        alias = "golds",
        value_name = "FILE",
        conflicts_with = "benchmark"
    )]
    gold: Option<PathBuf>,
    /// Gold answers of a benchmark's test questions
    #[arg(long, value_name = "NAME")]
    benchmark: Option<String>,
    /// Where the benchmark's data set is [default: the hub's copy in the cache, else downloaded]
    #[arg(long, value_name = "PATH", requires = "benchmark")]
    data: Option<PathBuf>,
    /// Never ask a hub for the benchmark's data set
    #[arg(long, requires = "benchmark")]
    offline: bool,
    #[command(flatten)]
    columns: ColumnArgs,
    /// Also write a self-contained HTML page: every convention with intervals, the best constant
    /// answer, what changes places between conventions and why
    #[cfg(feature = "report")]
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// The form of the output
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Also put the output, as Markdown, between the markers of FILE
    #[arg(long, alias = "splice", value_name = "FILE", conflicts_with_all = ["explain", "verify"])]
    update_file: Option<PathBuf>,
}

/// The values of `--show`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Show {
    /// All conventions side by side: values, files that change places, and the rules behind every
    /// difference from --convention (without it from pix2struct)
    Matrix,
    /// How far the scores depend on notation, tolerance, and near misses of numbers
    Sensitivity,
    /// Every question's scores (with --format jsonl one object a line)
    Questions,
    /// The steps by which each convention scores the answers of --ids
    Explain,
    /// Scores of the pairs of a JSON lines file, compared with the scores that it records
    Verify,
}

/// Number of answers from which on their times are reported on stderr.
const MANY: usize = 100_000;

pub(super) fn run(args: &Args) -> Result<Status> {
    let show = args.show();
    if show == Some(Show::Verify) {
        return run_verify(args);
    }
    ensure!(
        args.metrics.is_empty() || show == Some(Show::Questions),
        "--metrics needs --show questions"
    );
    ensure!(
        args.update_file.is_none() || show != Some(Show::Explain),
        "--update-file does not go with --show explain"
    );
    let named = named(args)?;
    let started = Instant::now();
    let files = read(&args.request())?;
    let conventions = named.map_or_else(|| files.conventions(), |convention| vec![convention]);
    let read = started.elapsed();
    for file in &files.0 {
        file.notes
            .iter()
            .chain(&file.problems)
            .for_each(|problem| chartbench_core::note!("{}: {problem}", file.name));
    }
    if show == Some(Show::Explain) {
        let ids = [args.ids.as_slice(), &args.explain].concat();
        ensure!(!ids.is_empty(), "--show explain needs --ids");
        terminal::print(&files.explain(&ids, &conventions)?);
    } else if show == Some(Show::Questions)
        && args.format == Format::Jsonl
        && args.update_file.is_none()
    {
        files.stream_questions(&scores(args, &conventions)?, terminal::print_data)?;
    } else {
        print_tables(args, &files, &conventions)?;
    }
    #[cfg(feature = "report")]
    if let Some(page) = &args.report {
        let bytes = files.write_page(named, page)?;
        chartbench_core::note!("{}: {}", page.display(), ByteSize(bytes as u64));
    }
    let answers = files.answers();
    if answers >= MANY {
        let scored = (started.elapsed() - read).as_secs_f64();
        chartbench_core::note!(
            "{answers} answers: read in {:.3} s, scored in {scored:.3} s",
            read.as_secs_f64()
        );
    }
    Ok(if files.is_complete() {
        Status::Done
    } else {
        Status::Failures
    })
}

impl Args {
    /// The value of `--show`, or of one of the flags of earlier versions; `None` for the scores.
    fn show(&self) -> Option<Show> {
        let flags = [
            (self.matrix, Show::Matrix),
            (self.sensitivity, Show::Sensitivity),
            (self.per_question, Show::Questions),
            (!self.explain.is_empty(), Show::Explain),
            (self.verify, Show::Verify),
        ];
        self.show.or_else(|| {
            flags
                .into_iter()
                .find(|(given, _)| *given)
                .map(|(_, show)| show)
        })
    }

    fn request(&self) -> ScoreRequest {
        let golds = match (&self.gold, &self.benchmark) {
            (Some(file), _) => GoldSource::File(file.clone()),
            (None, Some(name)) => GoldSource::Benchmark {
                name: name.clone(),
                data: self.data.clone(),
            },
            (None, None) => GoldSource::Predictions,
        };
        ScoreRequest {
            files: self.files.clone(),
            results: Some(self.results.clone()),
            columns: self.columns.names(),
            format: self.columns.file_format,
            golds,
            offline: self.offline,
        }
    }
}

fn run_verify(args: &Args) -> Result<Status> {
    let mut status = Status::Done;
    for file in &args.files {
        let verified = verify(file)?;
        if !verified.differences.rows.is_empty() {
            let text = verified
                .differences
                .render_within(args.format, terminal::width())?;
            print_formatted(&text, args.format);
            status = Status::Failures;
        }
        let differ = verified.differences.rows.len();
        chartbench_core::note!(
            "{}: {} pairs, {} recorded scores, {differ} differ",
            file.display(),
            verified.pairs,
            verified.scores
        );
    }
    Ok(status)
}

/// The convention asked for, none for all.
fn named(args: &Args) -> Result<Option<&'static Convention>> {
    Ok(match args.convention.as_str() {
        "all" => None,
        name => {
            let convention = Convention::by_name(name)?;
            ensure!(
                !convention.judged,
                "--convention {name}: it scores by a judge's verdicts, which runs alone have: `chartbench leaderboard RUN \
                 --convention {name}`"
            );
            Some(convention)
        }
    })
}

/// The conventions with the metrics that are asked for.
fn scores(
    args: &Args,
    conventions: &[&'static Convention],
) -> Result<Vec<(&'static Convention, Metric)>> {
    let wanted = args
        .metrics
        .iter()
        .map(|name| Metric::by_name(name))
        .collect::<Result<Vec<_>, _>>()?;
    let all = conventions.iter().flat_map(|convention| {
        convention
            .metrics
            .iter()
            .map(|metric| (*convention, *metric))
    });
    Ok(all
        .filter(|(_, metric)| wanted.is_empty() || wanted.contains(metric))
        .collect())
}

fn print_tables(
    args: &Args,
    files: &ScoredFiles,
    conventions: &[&'static Convention],
) -> Result<()> {
    let show = args.show();
    let render: Box<dyn Fn(Format, Option<usize>) -> Result<String>> = if show == Some(Show::Matrix)
    {
        let reference = match conventions {
            [only] => only,
            _ => Convention::by_name("pix2struct")?,
        };
        let matrix = files.matrix(reference);
        Box::new(move |format, width| matrix.render_within(format, width))
    } else if show == Some(Show::Sensitivity) {
        let sensitivity = files.sensitivity();
        Box::new(move |format, width| sensitivity.render_within(format, width))
    } else {
        let table = if show == Some(Show::Questions) {
            files.questions(&scores(args, conventions)?)?
        } else {
            files.summary(conventions, args.intervals)
        };
        Box::new(move |format, width| table.render_within(format, width))
    };
    if let Some(file) = &args.update_file {
        splice_file(
            file,
            "scores",
            &command(args),
            &render(Format::Markdown, None)?,
        )?;
    }
    print_formatted(&render(args.format, terminal::width())?, args.format);
    Ok(())
}

/// The command that makes the spliced text again.
fn command(args: &Args) -> String {
    let files: Vec<String> = args
        .files
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    let show = match args.show() {
        Some(Show::Matrix) => " --show matrix",
        Some(Show::Sensitivity) => " --show sensitivity",
        Some(Show::Questions) => " --show questions",
        Some(Show::Explain | Show::Verify) | None => "",
    };
    let metrics = if args.metrics.is_empty() {
        String::new()
    } else {
        format!(" --metrics {}", args.metrics.join(","))
    };
    let convention = if args.convention == "all" {
        String::new()
    } else {
        format!(" --convention {}", args.convention)
    };
    let intervals = if args.intervals { " --intervals" } else { "" };
    format!(
        "chartbench score {}{show}{metrics}{convention}{intervals} --update-file FILE",
        files.join(" ")
    )
}
