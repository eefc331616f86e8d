//! `chartbench failures RUN`: the questions that a run's models got wrong, and why.

use std::path::PathBuf;

use anyhow::Result;

use super::Status;
use crate::jobs::failures::{FailuresRequest, failures};
use crate::report::{AnswerKind, FailureList, ListFormat, QuestionFilter, SliceCondition};
use chartbench_core::counts::{MAX_LIMIT, parse_count_or_zero};
use chartbench_core::terminal;

/// Listed questions of an adapter in the form for the terminal, unless `--limit` says otherwise.
const SCREENFUL: usize = 20;

#[derive(clap::Args)]
pub(super) struct Args {
    /// The run: a name under --results, or a path; RUN/ADAPTER for one of its adapters
    run: PathBuf,
    /// Folder that holds the runs
    #[arg(long, value_name = "DIR", default_value = "results")]
    results: PathBuf,
    /// Scoring convention, whose first metric decides [default: that of the benchmark, else
    /// chartbench; deplot-corrected where only tables are asked for]
    #[arg(long, value_name = "NAME")]
    convention: Option<String>,
    /// Only the questions of a slice, e.g. `chart type=line`; of several all must hold
    #[arg(long = "where", value_name = "KEY=VALUE")]
    slices: Vec<SliceCondition>,
    /// Only questions that have TEXT in themselves, their gold answer or their answer, case aside
    #[arg(long, value_name = "TEXT")]
    grep: Option<String>,
    /// Wrong answers, and questions that failed or are not answered: the default
    #[arg(long, conflicts_with_all = ["right", "lenient_only"])]
    wrong: bool,
    /// Right answers
    #[arg(long, conflicts_with = "lenient_only")]
    right: bool,
    /// Wrong answers that the lenient accuracy of `chartbench` takes: right but for notation
    #[arg(long)]
    lenient_only: bool,
    /// At most N questions of each adapter, 0 for all [default: 20 in the form `text`, else all]
    #[arg(long, value_name = "N", value_parser = parse_count_or_zero::<MAX_LIMIT>)]
    limit: Option<usize>,
    /// Form of the list
    #[arg(long, value_enum, default_value_t)]
    format: ListFormat,
    #[cfg(feature = "report")]
    #[command(flatten)]
    page: PageArgs,
}

/// The page in the place of the list.
#[cfg(feature = "report")]
#[derive(clap::Args)]
struct PageArgs {
    /// Write the run's page with these questions alone and their charts, print its path, and show
    /// it in the desktop's browser if there is one
    #[arg(long, conflicts_with = "format")]
    open: bool,
    /// The page's file
    #[arg(
        long,
        value_name = "FILE",
        default_value = "failures.html",
        requires = "open"
    )]
    out: PathBuf,
    /// The run's benchmark, for the charts' pictures: a name or a TOML file [default: the one the
    /// run names]
    #[arg(long, value_name = "NAME", requires = "open")]
    benchmark: Option<String>,
    /// The data set's folder or file, for the charts' pictures
    #[arg(long, value_name = "PATH", requires = "open")]
    data: Option<PathBuf>,
    /// Never ask a hub for the data set of --benchmark
    #[arg(long, requires = "open")]
    offline: bool,
}

pub(super) fn run(args: &Args) -> Result<Status> {
    #[cfg(feature = "report")]
    if args.page.open {
        return page::write(&request(args, None), &args.page);
    }
    let screenful = (args.format == ListFormat::Text).then_some(SCREENFUL);
    let list = failures(&request(args, screenful))?;
    let text = list.render(args.format)?;
    match args.format {
        ListFormat::Text | ListFormat::Markdown => terminal::print(&text),
        ListFormat::Csv | ListFormat::Jsonl => {
            terminal::print_data(&text);
        }
    }
    print_summaries(&list);
    Ok(Status::Done)
}

fn request(args: &Args, default_limit: Option<usize>) -> FailuresRequest {
    let kinds = [
        (args.wrong, AnswerKind::Wrong),
        (args.right, AnswerKind::Right),
        (args.lenient_only, AnswerKind::LenientOnly),
    ];
    let chosen = kinds.into_iter().find(|(given, _)| *given);
    FailuresRequest {
        run: args.run.clone(),
        results: args.results.clone(),
        convention: args.convention.clone(),
        filter: QuestionFilter {
            kind: chosen.map_or_else(AnswerKind::default, |(_, kind)| kind),
            slices: args.slices.clone(),
            text: args.grep.clone(),
            limit: args.limit.or(default_limit).filter(|limit| *limit > 0),
        },
    }
}

fn print_summaries(list: &FailureList) {
    for line in list.summaries() {
        chartbench_core::note!("{line}");
    }
}

#[cfg(feature = "report")]
mod page {
    use std::io::IsTerminal;
    use std::path::Path;
    use std::process::{Command, Stdio};

    use anyhow::Result;

    use super::{PageArgs, print_summaries};
    use crate::cli::{Status, one_line};
    use crate::jobs::failures::{FailuresRequest, PageRequest, failures_page};

    /// Writes the page, prints its path and shows it.
    pub(super) fn write(request: &FailuresRequest, args: &PageArgs) -> Result<Status> {
        let page = PageRequest {
            out: args.out.clone(),
            benchmark: args.benchmark.clone(),
            data: args.data.clone(),
            offline: args.offline,
        };
        let (list, written) = failures_page(request, &page)?;
        print_summaries(&list);
        let Some(written) = written else {
            chartbench_core::note!("no such question: no page was written");
            return Ok(Status::Done);
        };
        if let Some(error) = &written.no_pictures {
            let error = one_line(error);
            chartbench_core::note!("the page has no pictures of the charts: {error}");
        }
        chartbench_core::terminal::print(&format!("{}\n", args.out.display()));
        show(&args.out);
        Ok(Status::Done)
    }

    /// Shows a file in the desktop's browser. Where there is none, the printed path is enough.
    fn show(page: &Path) {
        let opener = if cfg!(target_os = "macos") {
            "open"
        } else if cfg!(windows) {
            "explorer"
        } else {
            "xdg-open"
        };
        let Ok(page) = page.canonicalize() else {
            return;
        };
        if std::io::stdout().is_terminal() {
            let _ = Command::new(opener)
                .arg(page)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn();
        }
    }
}
