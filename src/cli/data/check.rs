//! `chartbench data check`: whether a data set can be trusted.

use std::path::PathBuf;

use anyhow::Result;
use indicatif::ProgressBar;

use super::bar;
use crate::cli::Status;
use crate::jobs::data::{CheckRequest, check};
use crate::report::table::{Cell, Column, Table};
use chartbench_core::counts::{MAX_LIMIT, parse_count_or_zero};
use chartbench_core::terminal;
use chartbench_data::Format as DataFormat;
use chartbench_data::Split;
use chartbench_data::lint::{Count, Finding, LintReport, Separation, Severity, TestContent};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The data set: a folder in a known layout, a question file, or the name of a benchmark whose
    /// data set is fetched or drawn
    #[arg(required_unless_present = "benchmark")]
    dir: Option<PathBuf>,
    /// The benchmark whose data set it is: a name or a TOML file
    #[arg(long, value_name = "NAME")]
    benchmark: Option<String>,
    /// Format of the data set [default: recognized by its files]
    #[arg(long, alias = "layout", value_enum)]
    dataset_format: Option<Layout>,
    /// Also read images and tables outside the data set's folder
    #[arg(long)]
    allow_outside: bool,
    /// Never ask a hub for the data set
    #[arg(long)]
    offline: bool,
    /// Leave the images out
    #[arg(long)]
    no_images: bool,
    /// Findings shown of each kind, at most
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = parse_count_or_zero::<MAX_LIMIT>)]
    show: usize,
    /// The form of the report; JSON holds all findings
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Layout {
    #[value(name = "realcqa")]
    RealCqa,
    #[value(name = "chartqa")]
    ChartQa,
    #[value(name = "plotqa")]
    PlotQa,
    Parquet,
    Generic,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    #[default]
    Table,
    Json,
}

impl From<Layout> for DataFormat {
    fn from(layout: Layout) -> Self {
        match layout {
            Layout::RealCqa => Self::RealCqa,
            Layout::ChartQa => Self::ChartQa,
            Layout::PlotQa => Self::PlotQa,
            Layout::Parquet => Self::Parquet,
            Layout::Generic => Self::Generic,
        }
    }
}

/// Checks a data set and says what is wrong with it.
///
/// # Errors
/// A data set that cannot be loaded.
pub(super) fn run(args: &Args) -> Result<Status> {
    let bar: ProgressBar = bar(0, "images")?;
    let request = CheckRequest {
        path: args.dir.clone(),
        benchmark: args.benchmark.clone(),
        format: args.dataset_format.map(DataFormat::from),
        allow_outside: args.allow_outside,
        images: !args.no_images,
        offline: args.offline,
    };
    let report = check(&request, &|charts| bar.set_length(charts as u64), &|| {
        bar.inc(1)
    })?;
    bar.finish_and_clear();
    for line in &report.notes {
        chartbench_core::note!("note: {line}");
    }
    match args.format {
        Format::Table => terminal::print(&describe(&report, args.show)),
        Format::Json => {
            terminal::print_data(&report.to_json()?);
        }
    }
    Ok(if report.usable {
        Status::Done
    } else {
        Status::Failures
    })
}

/// The report for people.
fn describe(report: &LintReport, show: usize) -> String {
    let width = terminal::width();
    let mut text = counts(report).to_terminal_within(width);
    let prior = &report.prior;
    let from = if prior.learned_on == Split::Train {
        "the train split"
    } else {
        "the other test charts"
    };
    text += &format!(
        "\nthe text alone, by the most frequent gold of {from}: {} of {} test questions are right ({:.1} %)\n",
        prior.right, prior.questions, prior.accuracy
    );
    if let Some(content) = &report.content {
        text += &describe_content(content);
    }
    text += &describe_separation(&report.separation);
    if !report.self_match.is_empty() {
        text += &format!("\n{}", self_match(report).to_terminal_within(width));
    }
    for alike in report.findings.chunk_by(|a, b| a.kind == b.kind) {
        text += &format!("\n{}", findings(alike, show));
    }
    text + &verdict(report)
}

/// The content hash on a line of its own: it does not fit beside words in 80 columns.
fn describe_content(content: &TestContent) -> String {
    let TestContent {
        questions,
        undecoded,
        content_hash,
    } = content;
    match content_hash {
        Some(hash) => {
            format!("content_hash of the test questions (text, gold, pixels):\n  {hash}\n")
        }
        None => format!(
            "no content_hash: the images of {undecoded} of {questions} test questions do not decode\n"
        ),
    }
}

/// A line for the train and test charts of the benchmark, and one for each of the others.
fn describe_separation(separation: &[Separation]) -> String {
    let Some((own, others)) = separation.split_first() else {
        return String::new();
    };
    let by = |separation: &Separation| match separation.compared.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
        None => String::new(),
    };
    let mut text = match own.shared {
        0 => format!("train and test charts are apart: by {}\n", by(own)),
        shared => format!(
            "train and test charts are not apart: shared charts: {shared}, by {}\n",
            by(own)
        ),
    };
    for other in others {
        let names = other.benchmarks.join(", ");
        let seeds = format!("seed {}, here {}", other.seed, own.seed);
        text += &match other.shared {
            0 => format!("apart from {names}: by {seeds}, and by {}\n", by(other)),
            shared => format!(
                "not apart from {names} ({seeds}): charts that one trains on and the other tests: {shared}, by {}\n",
                by(other)
            ),
        };
    }
    text
}

fn counts(report: &LintReport) -> Table {
    let mut rows: Vec<(&Count, [[Cell; 2]; 2])> = Vec::new();
    for count in &report.counts {
        let place = usize::from(count.split == Split::Test);
        let same = |(row, _): &(&Count, _)| row.group == count.group && row.value == count.value;
        if !rows.last().is_some_and(same) {
            rows.push((
                count,
                std::array::from_fn(|_| [Cell::count(0), Cell::count(0)]),
            ));
        }
        if let Some(cells) = rows.last_mut().and_then(|(_, cells)| cells.get_mut(place)) {
            *cells = [Cell::count(count.charts), Cell::count(count.questions)];
        }
    }
    // A group of which the data set tells nothing says no more than all.
    let known = |group: &str| {
        report
            .counts
            .iter()
            .any(|count| count.group == group && count.value.is_some())
    };
    rows.retain(|(count, _)| count.group == "all" || known(count.group));
    let row = |(count, cells): (&Count, [[Cell; 2]; 2])| {
        let value = if count.group == "all" {
            ""
        } else {
            count.value.as_deref().unwrap_or("not told")
        };
        [Cell::text(count.group), Cell::text(value)]
            .into_iter()
            .chain(cells.into_iter().flatten())
            .collect()
    };
    let names = [
        "train charts",
        "train questions",
        "test charts",
        "test questions",
    ];
    Table {
        title: report.layout.map_or(report.path.clone(), |layout| {
            format!("{} (layout {layout})", report.path)
        }),
        columns: [Column::left("by"), Column::left("kind")]
            .into_iter()
            .chain(names.map(Column::right))
            .collect(),
        rows: rows.into_iter().map(row).collect(),
    }
}

fn self_match(report: &LintReport) -> Table {
    let rows = report.self_match.iter().map(|one| {
        let texts = [one.convention, one.metric].map(Cell::text);
        texts
            .into_iter()
            .chain([Cell::count(one.questions), Cell::text(one.example.as_str())])
            .collect()
    });
    Table {
        title: "Golds that a convention scores below 1 against themselves".to_owned(),
        columns: vec![
            Column::left("convention"),
            Column::left("metric"),
            Column::right("questions"),
            Column::left("the first"),
        ],
        rows: rows.collect(),
    }
}

/// One kind's findings.
fn findings(alike: &[Finding], show: usize) -> String {
    let Some(first) = alike.first() else {
        return String::new();
    };
    let severity = if first.severity == Severity::Error {
        "error"
    } else {
        "warning"
    };
    let row = |finding: &Finding| {
        let id = finding.question.as_ref().or(finding.chart.as_ref());
        vec![
            Cell::text(finding.split.name()),
            id.map_or(Cell::Missing, Cell::text),
            Cell::text(finding.message.as_str()),
        ]
    };
    let table = Table {
        title: format!("{severity}: {} ({})", first.kind.title(), alike.len()),
        columns: ["split", "where", "what"].map(Column::left).into(),
        rows: alike.iter().take(show).map(row).collect(),
    };
    let shown = if show == 0 {
        format!("{}\n", table.title)
    } else {
        table.to_terminal_within(terminal::width())
    };
    match alike.len().saturating_sub(show) {
        0 => shown,
        more => format!("{shown}and {more} more (--show N shows N, --format json all)\n"),
    }
}

fn verdict(report: &LintReport) -> String {
    let errors = report
        .findings
        .iter()
        .filter(|finding| finding.severity == Severity::Error)
        .count();
    let warnings = report.findings.len() - errors;
    let usable = if report.usable {
        "usable"
    } else {
        "not usable as it is"
    };
    let images = if report.images_checked {
        ""
    } else {
        ", images not looked at"
    };
    format!("\n{usable}: errors: {errors}, warnings: {warnings}{images}\n")
}
