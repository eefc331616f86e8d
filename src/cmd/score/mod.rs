//! `score`: scores predictions made elsewhere, or stored runs, under one or all metric conventions.

pub mod verify;

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use self::verify::verify;
use super::{Status, print_formatted, read_document};
use crate::config::Benchmark;
use crate::record::{PredictionRecord, StoredRun};
use crate::report::table::{Cell, Column, Format, Table};
use crate::report::{Entry, Matrix, Sensitivity, estimates, explain, per_question, per_question_jsonl, splice, tally};
use chartbench_core::files::write_file;
use chartbench_core::question::YearFlags;
use chartbench_core::terminal::{self, shorten};
use chartbench_data::Split;
use chartbench_score::import::{self, ColumnNames, FileFormat, Golds, ImportOptions, ImportedAnswer};
use chartbench_score::metric::{CONVENTIONS, Convention, Metric, Pair, Summary, asks_for_table};
use chartbench_score::stats::Interval;

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
    layout: Option<FileFormat>,
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

/// What a file gave: its answers under the name that tables show, and whether all of them are there.
struct Source {
    name: String,
    answers: Vec<ImportedAnswer>,
    problems: Vec<String>,
}

/// From so many answers on, the time they took is told on stderr.
const MANY: usize = 100_000;

/// Prints what is asked for.
///
/// # Errors
/// A file that cannot be read, an unknown convention or id; a file that is to be spliced and has no markers.
pub fn run(args: &Args) -> Result<Status> {
    if args.verify {
        return run_verify(args);
    }
    let named = named(args)?;
    let started = Instant::now();
    let sources = read(args)?;
    let conventions = named.map_or_else(|| all(&sources), |convention| vec![convention]);
    let read = started.elapsed();
    for source in &sources {
        source.problems.iter().for_each(|problem| chartbench_core::note!("{}: {problem}", source.name));
    }
    if args.explain.is_empty() {
        let streamed = args.per_question && args.format == Format::Jsonl && args.splice.is_none();
        if streamed { stream(&sources, &scores(args, &conventions)?)? } else { show(args, &sources, &conventions)? }
    } else {
        terminal::print(&explanations(args, &sources, &conventions)?);
    }
    let answers: usize = sources.iter().map(|source| source.answers.len()).sum();
    if answers >= MANY {
        let scored = (started.elapsed() - read).as_secs_f64();
        chartbench_core::note!("{answers} answers: read in {:.3} s, scored in {scored:.3} s", read.as_secs_f64());
    }
    let whole = sources.iter().all(|source| source.problems.is_empty());
    Ok(if whole { Status::Done } else { Status::Failures })
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
        name => Some(Convention::by_name(name)?),
    })
}

/// All conventions; those for tables only where a table is asked for.
fn all(sources: &[Source]) -> Vec<&'static Convention> {
    let tables = sources.iter().flat_map(|source| &source.answers).any(|answered| asks_for_table(&pair(answered)));
    CONVENTIONS.iter().filter(|convention| tables || !convention.tables_only).collect()
}

/// The conventions with the metrics that are asked for.
fn scores(args: &Args, conventions: &[&'static Convention]) -> Result<Vec<(&'static Convention, Metric)>> {
    let wanted = args.metrics.iter().map(|name| Metric::by_name(name)).collect::<Result<Vec<_>>>()?;
    let all = conventions.iter().flat_map(|convention| convention.metrics.iter().map(|metric| (*convention, *metric)));
    Ok(all.filter(|(_, metric)| wanted.is_empty() || wanted.contains(metric)).collect())
}

fn read(args: &Args) -> Result<Vec<Source>> {
    let columns = ColumnNames {
        id: args.id_column.clone(),
        prediction: args.prediction_column.clone(),
        gold: args.gold_column.clone(),
        question: args.question_column.clone(),
        answer_type: args.answer_type_column.clone(),
        chart: args.chart_column.clone(),
    };
    let golds = match (&args.golds, &args.benchmark) {
        (Some(file), _) => Some(Golds::read(file, &columns, None)?),
        (None, Some(name)) => {
            // Golds alone: no image is opened, and nothing leaves this machine.
            let mut spec = Benchmark::find(name)?.data;
            spec.allow_outside = true;
            Some(Golds::from_questions(&chartbench_data::load(&spec, args.data.as_deref(), Split::Test)?))
        }
        (None, None) => None,
    };
    let options = ImportOptions { columns, format: args.layout, golds };
    let mut sources = Vec::new();
    for path in &args.files {
        if StoredRun::is_at(path) {
            sources.extend(stored(StoredRun::read(path)?));
        } else if let Some((run, adapter)) = adapter_of_run(path) {
            sources.extend(stored(StoredRun::read(run)?.only(adapter)?));
        } else {
            let imported = import::read(path, &options)?;
            let problems = import::summarize(&imported.problems);
            sources.push(Source { name: path.display().to_string(), answers: imported.answers, problems });
        }
    }
    Ok(sources)
}

/// The run and the adapter that a folder `RUN/ADAPTER` is of.
fn adapter_of_run(path: &Path) -> Option<(&Path, &str)> {
    let run = path.parent().filter(|run| path.is_dir() && StoredRun::is_at(run))?;
    Some((run, path.file_name()?.to_str()?))
}

/// The adapters of a stored run, each as a source `RUN/ADAPTER`.
fn stored(run: StoredRun) -> Vec<Source> {
    let StoredRun { manifest, predictions } = run;
    let sources = predictions.into_iter().map(|(adapter, records)| {
        let missing = manifest.benchmark.questions.saturating_sub(records.len());
        let unasked = (missing > 0).then(|| format!("{missing} questions are not answered yet and not counted"));
        Source {
            name: manifest.remarked(&adapter, &format!("{}/{adapter}", manifest.name)),
            problems: failures(&records).into_iter().chain(unasked).collect(),
            answers: records.into_iter().map(answered).collect(),
        }
    });
    sources.collect()
}

/// One line on the questions that failed, if any did.
fn failures(records: &[PredictionRecord]) -> Option<String> {
    let mut failed = records.iter().filter_map(|record| Some((record.id.as_str(), record.failure()?)));
    let (id, error) = failed.next()?;
    let error = shorten(error);
    Some(match failed.count() {
        0 => format!("{}: failed: {error}", shorten(id)),
        more => format!("{} questions failed (the first: {}: {error})", more + 1, shorten(id)),
    })
}

fn answered(record: PredictionRecord) -> ImportedAnswer {
    let year_flags = YearFlags::from_slices(|name| record.slices.get(name).map(String::as_str));
    ImportedAnswer {
        year_flags: year_flags.text().map(str::to_owned),
        id: record.id,
        gold: record.gold,
        prediction: record.prediction,
        question: Some(record.question),
        answer_type: record.answer_type,
        chart: Some(record.chart),
    }
}

fn pair(answered: &ImportedAnswer) -> Pair<'_> {
    Pair {
        gold: &answered.gold,
        prediction: answered.prediction.as_ref(),
        question: answered.question.as_deref(),
        answer_type: answered.answer_type,
        year_flags: answered.year_flags.as_deref().map(|text| YearFlags::new(text, None)).unwrap_or_default(),
    }
}

/// What tells the chart; where nothing does, a question is one for itself.
fn chart(answered: &ImportedAnswer) -> &str {
    answered.chart.as_deref().unwrap_or(&answered.id)
}

fn entry(answered: &ImportedAnswer) -> Entry<'_> {
    Entry { id: &answered.id, pair: pair(answered) }
}

fn entries(source: &Source) -> Vec<Entry<'_>> {
    source.answers.iter().map(entry).collect()
}

/// Writes every question's scores to stdout as they come.
fn stream(sources: &[Source], scores: &[(&Convention, Metric)]) -> Result<()> {
    for source in sources {
        per_question_jsonl(&entries(source), scores, terminal::print_data)?;
    }
    Ok(())
}

fn show(args: &Args, sources: &[Source], conventions: &[&'static Convention]) -> Result<()> {
    let render: Box<dyn Fn(Format) -> Result<String>> = if args.matrix {
        let reference = match conventions {
            [only] => only,
            _ => Convention::by_name("pix2struct")?,
        };
        let files: Vec<_> = sources.iter().map(|source| (source.name.clone(), entries(source))).collect();
        let matrix = Matrix::new(&files, reference);
        Box::new(move |format| matrix.render(format))
    } else if args.sensitivity {
        let files: Vec<_> = sources.iter().map(|source| (source.name.clone(), entries(source))).collect();
        let sensitivity = Sensitivity::new(&files);
        Box::new(move |format| sensitivity.render(format))
    } else {
        let table = if args.per_question {
            questions(sources, &scores(args, conventions)?)?
        } else {
            summary(args, sources, conventions)
        };
        Box::new(move |format| table.render(format))
    };
    if let Some(file) = &args.splice {
        let document = read_document(file)?;
        let spliced = splice(&document, "scores", &command(args), &render(Format::Markdown)?)
            .with_context(|| format!("cannot splice into {}", file.display()))?;
        write_file(file, spliced.as_bytes())?;
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

/// Every question's scores; of several files their ids are `FILE: ID`.
fn questions(sources: &[Source], scores: &[(&Convention, Metric)]) -> Result<Table> {
    let mut tables = sources.iter().map(|source| {
        let mut table = per_question(&entries(source), scores);
        if sources.len() > 1 {
            table.columns.insert(0, Column::left("file"));
            table.rows.iter_mut().for_each(|row| row.insert(0, Cell::text(&source.name)));
        }
        table
    });
    let mut first = tables.next().context("no file to score")?;
    tables.for_each(|table| first.rows.extend(table.rows));
    Ok(first)
}

/// One row for each file and convention; metrics in percent.
fn summary(args: &Args, sources: &[Source], conventions: &[&Convention]) -> Table {
    let mut metrics: Vec<Metric> = conventions.iter().flat_map(|convention| convention.metrics).copied().collect();
    metrics.sort_unstable();
    metrics.dedup();
    let mut rows = Vec::new();
    for source in sources {
        let scored: Vec<(Summary, Vec<Option<Interval>>)> = if args.intervals {
            estimates(&source.answers, pair, chart, conventions)
        } else {
            tally(&source.answers, pair, conventions).into_iter().map(|summary| (summary, Vec::new())).collect()
        };
        for (convention, (summary, intervals)) in conventions.iter().zip(scored) {
            let means = metrics.iter().map(|metric| {
                let at = convention.metrics.iter().position(|known| known == metric);
                let interval = at.and_then(|at| *intervals.get(at)?);
                summary.mean(*metric).map_or(Cell::Missing, |mean| Cell::Estimate(mean, interval, 3))
            });
            let own = [Cell::text(&source.name), Cell::count(summary.count), Cell::text(convention.name)];
            rows.push(own.into_iter().chain(means).chain([Cell::count(summary.errors)]).collect());
        }
    }
    let own = [Column::left("file"), Column::right("questions"), Column::left("convention")];
    let column = |metric: &Metric| {
        if args.intervals { Column::estimates(metric.name()) } else { Column::right(metric.name()) }
    };
    let metrics = metrics.iter().map(column);
    let columns = own.into_iter().chain(metrics).chain([Column::right("errors")]).collect();
    Table { title: String::new(), columns, rows }
}

fn explanations(args: &Args, sources: &[Source], conventions: &[&Convention]) -> Result<String> {
    let mut texts = Vec::new();
    for id in &args.explain {
        let before = texts.len();
        for source in sources {
            let found = source.answers.iter().filter(|answered| answered.id == *id);
            texts.extend(found.map(|answered| format!("{}: {}", source.name, explain(&entry(answered), conventions))));
        }
        if texts.len() == before {
            let some: Vec<&str> = sources
                .iter()
                .flat_map(|source| &source.answers)
                .take(3)
                .map(|answered| answered.id.as_str())
                .collect();
            bail!("--explain: no answer has the id `{id}` (ids are like {})", some.join(", "));
        }
    }
    Ok(texts.join("\n"))
}
