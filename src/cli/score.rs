//! `chartbench score`: scores predictions made elsewhere, or stored runs, under one or all conventions.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Result;

use super::{Status, print_formatted};
use crate::jobs::score::{GoldSource, ScoreRequest, ScoredFiles, read, verify};
use crate::report::splice_file;
use crate::report::table::Format;
use chartbench_core::terminal;
use chartbench_score::import::{ColumnNames, Layout};
use chartbench_score::metric::{Convention, Metric};

/// Scores the predictions of files and folders: CSV and TSV, JSON, JSON lines (lmms-eval's and lm-eval's samples among
/// them), VLMEvalKit's workbooks, RealCQA's folders, and stored runs.
///
/// Metrics are in percent. `errors` counts the questions on which the convention's original raises an exception
/// instead of a score (pix2struct's ANLS of two empty texts divides by zero); they count as 0.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// Files of predictions, RealCQA prediction folders, or run directories
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The metric convention, or `all`: those for tables only where the answers are tables
    #[arg(long, value_name = "NAME", default_value = "all")]
    convention: String,
    /// All conventions side by side: values, files that change places, and the rules behind every difference from
    /// --convention [default there: pix2struct]
    #[arg(long, conflicts_with_all = ["per_question", "explain", "verify"])]
    matrix: bool,
    /// What the scores hang on: notation, tolerance, and near misses of numbers
    #[arg(long, conflicts_with_all = ["matrix", "per_question", "explain", "verify"])]
    sensitivity: bool,
    /// Intervals beside the scores, clustered by chart; without charts in the file each question counts for itself
    #[arg(long, conflicts_with_all = ["matrix", "sensitivity", "per_question", "explain", "verify"])]
    intervals: bool,
    /// Every question's scores (with --format jsonl one object a line)
    #[arg(long, conflicts_with_all = ["explain", "verify"])]
    per_question: bool,
    /// With --per-question only these metrics, e.g. `relaxed,lenient` [default: all]
    #[arg(long, value_name = "NAMES", value_delimiter = ',', requires = "per_question")]
    metrics: Vec<String>,
    /// What each convention did to the answer with this id, step by step; may be given again
    #[arg(long, value_name = "ID", conflicts_with = "verify")]
    explain: Vec<String>,
    /// Score the pairs of a JSON lines file anew and compare with the scores it records
    #[arg(long)]
    verify: bool,
    /// Gold answers kept elsewhere: any file with ids and gold answers
    #[arg(long, value_name = "FILE", conflicts_with = "benchmark")]
    golds: Option<PathBuf>,
    /// Gold answers of a benchmark's test questions
    #[arg(long, value_name = "NAME")]
    benchmark: Option<String>,
    /// Where the benchmark's data set is
    #[arg(long, value_name = "PATH", requires = "benchmark")]
    data: Option<PathBuf>,
    /// The format of the files, if their content does not tell
    #[arg(long, value_enum)]
    layout: Option<Layout>,
    /// The column (or key) of ids, if its name does not tell
    #[arg(long, value_name = "COLUMN")]
    id_column: Option<String>,
    /// The column of predictions
    #[arg(long, value_name = "COLUMN")]
    prediction_column: Option<String>,
    /// The column of gold answers
    #[arg(long, value_name = "COLUMN")]
    gold_column: Option<String>,
    /// The column of questions
    #[arg(long, value_name = "COLUMN")]
    question_column: Option<String>,
    /// The column of answer types
    #[arg(long, value_name = "COLUMN")]
    answer_type_column: Option<String>,
    /// The column that tells a question's chart
    #[arg(long, value_name = "COLUMN")]
    chart_column: Option<String>,
    /// The form of the output
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Also put the output, as Markdown, between the markers of FILE
    #[arg(long, value_name = "FILE", conflicts_with_all = ["explain", "verify"])]
    splice: Option<PathBuf>,
}

/// Number of answers from which on their times are reported on stderr.
const MANY: usize = 100_000;

pub fn run(args: &Args) -> Result<Status> {
    if args.verify {
        return run_verify(args);
    }
    let named = named(args)?;
    let started = Instant::now();
    let files = read(&args.request())?;
    let conventions = named.map_or_else(|| files.conventions(), |convention| vec![convention]);
    let read = started.elapsed();
    for file in &files.0 {
        file.problems.iter().for_each(|problem| chartbench_core::note!("{}: {problem}", file.name));
    }
    if !args.explain.is_empty() {
        terminal::print(&files.explain(&args.explain, &conventions)?);
    } else if args.per_question && args.format == Format::Jsonl && args.splice.is_none() {
        files.stream_questions(&scores(args, &conventions)?, terminal::print_data)?;
    } else {
        print_tables(args, &files, &conventions)?;
    }
    let answers = files.answers();
    if answers >= MANY {
        let scored = (started.elapsed() - read).as_secs_f64();
        chartbench_core::note!("{answers} answers: read in {:.3} s, scored in {scored:.3} s", read.as_secs_f64());
    }
    Ok(if files.is_complete() { Status::Done } else { Status::Failures })
}

impl Args {
    fn request(&self) -> ScoreRequest {
        let golds = match (&self.golds, &self.benchmark) {
            (Some(file), _) => GoldSource::File(file.clone()),
            (None, Some(name)) => GoldSource::Benchmark { name: name.clone(), data: self.data.clone() },
            (None, None) => GoldSource::Predictions,
        };
        let columns = ColumnNames {
            id: self.id_column.clone(),
            prediction: self.prediction_column.clone(),
            gold: self.gold_column.clone(),
            question: self.question_column.clone(),
            answer_type: self.answer_type_column.clone(),
            chart: self.chart_column.clone(),
        };
        ScoreRequest { files: self.files.clone(), columns, layout: self.layout, golds }
    }
}

fn run_verify(args: &Args) -> Result<Status> {
    let mut status = Status::Done;
    for file in &args.files {
        let verified = verify(file)?;
        if !verified.differences.rows.is_empty() {
            print_formatted(&verified.differences.render(args.format)?, args.format);
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
        name => Some(Convention::named(name)?),
    })
}

/// The conventions with the metrics that are asked for.
fn scores(args: &Args, conventions: &[&'static Convention]) -> Result<Vec<(&'static Convention, Metric)>> {
    let wanted = args.metrics.iter().map(|name| Metric::named(name)).collect::<Result<Vec<_>>>()?;
    let all = conventions.iter().flat_map(|convention| convention.metrics.iter().map(|metric| (*convention, *metric)));
    Ok(all.filter(|(_, metric)| wanted.is_empty() || wanted.contains(metric)).collect())
}

fn print_tables(args: &Args, files: &ScoredFiles, conventions: &[&'static Convention]) -> Result<()> {
    let render: Box<dyn Fn(Format) -> Result<String>> = if args.matrix {
        let reference = match conventions {
            [only] => only,
            _ => Convention::named("pix2struct")?,
        };
        let matrix = files.matrix(reference);
        Box::new(move |format| matrix.render(format))
    } else if args.sensitivity {
        let sensitivity = files.sensitivity();
        Box::new(move |format| sensitivity.render(format))
    } else {
        let table = if args.per_question {
            files.questions(&scores(args, conventions)?)?
        } else {
            files.summary(conventions, args.intervals)
        };
        Box::new(move |format| table.render(format))
    };
    if let Some(file) = &args.splice {
        splice_file(file, "scores", &command(args), &render(Format::Markdown)?)?;
    }
    print_formatted(&render(args.format)?, args.format);
    Ok(())
}

/// The command that makes the spliced text again.
fn command(args: &Args) -> String {
    let files: Vec<String> = args.files.iter().map(|path| path.display().to_string()).collect();
    let what = if args.matrix {
        " --matrix"
    } else if args.sensitivity {
        " --sensitivity"
    } else if args.per_question {
        " --per-question"
    } else {
        ""
    };
    let metrics =
        if args.metrics.is_empty() { String::new() } else { format!(" --metrics {}", args.metrics.join(",")) };
    let convention =
        if args.convention == "all" { String::new() } else { format!(" --convention {}", args.convention) };
    let intervals = if args.intervals { " --intervals" } else { "" };
    format!("chartbench score {}{what}{metrics}{convention}{intervals} --splice FILE", files.join(" "))
}
