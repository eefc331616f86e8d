//! `chartbench report`: stored runs as one HTML page.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::trainings::{Training, trainings};
use super::{Status, convention, one_line};
use crate::config::Benchmark;
use crate::report::page::{Curves, Folder, Page, Pictures, same_questions};
use crate::run::store::{BenchmarkEntry, StoredRun};
use chartbench_core::counts::{MAX_LIMIT, parse_count_or_zero};
use chartbench_core::files::write_file;
use chartbench_data::Questions;
use chartbench_data::Split;

#[derive(clap::Args)]
pub struct Args {
    /// Run directories, all on the same questions; of two with one adapter the first counts as the earlier
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// The page's file
    #[arg(long, value_name = "FILE", default_value = "report.html")]
    out: PathBuf,
    /// Scoring convention [default: chartbench; deplot-corrected where only tables are asked for]
    #[arg(long, value_name = "NAME")]
    convention: Option<String>,
    /// The runs' benchmark, for the charts' pictures: a name or a TOML file [default: the one the runs name]
    #[arg(long, value_name = "NAME")]
    benchmark: Option<String>,
    /// The data set's folder or file, for the charts' pictures
    #[arg(long, value_name = "PATH")]
    data: Option<PathBuf>,
    /// How many pictures are put into the page, those first on which models disagree or changed
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = parse_count_or_zero::<MAX_LIMIT>)]
    images: usize,
    /// The page's title [default: the benchmark's]
    #[arg(long, value_name = "TEXT")]
    title: Option<String>,
}

pub fn run(args: &Args) -> Result<Status> {
    let runs = args.runs.iter().map(|path| StoredRun::read(path)).collect::<Result<Vec<_>>>()?;
    let records = runs.iter().flat_map(StoredRun::records);
    let convention = convention(args.convention.as_deref(), records.map(|record| record.answer_type))?;
    let pictures = pictures(args, &same_questions(&runs)?.manifest.benchmark)?;
    // A log without a step is of a training that has only begun.
    let drawn = |one: Training<'_>| {
        let svg = one.curves.svg(one.adapter).ok()?;
        let manifest = &one.run.manifest;
        Some(Curves { run: manifest.name.clone(), adapter: manifest.remarked(one.adapter, one.adapter), svg })
    };
    let curves: Vec<Curves> = trainings(&args.runs, &runs)?.into_iter().filter_map(drawn).collect();
    let page = Page { title: args.title.as_deref(), runs: &runs, convention, pictures: &pictures, curves: &curves }
        .render()?;
    write_file(&args.out, page.as_bytes())?;
    chartbench_core::note!("{}: {:.1} MB", args.out.display(), page.len() as f64 / 1e6);
    Ok(Status::Done)
}

/// The charts' pictures. Where nobody asked for them (`--benchmark`, `--data`), not having them is no error.
fn pictures(args: &Args, asked: &BenchmarkEntry) -> Result<Pictures> {
    match find_pictures(args, asked) {
        Ok(pictures) => Ok(pictures),
        Err(error) if args.benchmark.is_none() && args.data.is_none() => {
            chartbench_core::note!("the page has no pictures of the charts: {}", one_line(&error));
            Ok(Pictures::default())
        }
        Err(error) => Err(error),
    }
}

fn find_pictures(args: &Args, asked: &BenchmarkEntry) -> Result<Pictures> {
    // What a run names is taken for the name of an embedded benchmark, never for a file.
    let known = Benchmark::embedded_names().any(|name| name == asked.name);
    let name = match &args.benchmark {
        Some(name) => name,
        None => {
            ensure!(
                known,
                "the run's benchmark `{}` is none of chartbench's own: name its file by --benchmark",
                asked.name
            );
            &asked.name
        }
    };
    let mut spec = Benchmark::find(name)?.data;
    spec.hash = None;
    // Questions alone: no picture outside the folder gets into the page.
    spec.allow_outside = true;
    spec.questions = match asked.questions_per_chart.as_str() {
        "all" => Questions::All,
        count => {
            let count = count.parse().with_context(|| format!("questions_per_chart `{count}` is no number"))?;
            Questions::PerChart { count, seed: asked.seed }
        }
    };
    let mut set = chartbench_data::load(&spec, args.data.as_deref(), Split::Test)?;
    if asked.limit > 0 {
        set = set.limit(asked.limit);
    }
    // Charts of one name in two data sets are two charts.
    ensure!(
        set.hash()? == asked.hash,
        "benchmark `{name}` has other questions than the runs: name the data they were asked on by --benchmark and --data"
    );
    let images = set.charts.into_iter().map(|entry| (entry.chart.id, entry.chart.image)).collect::<HashMap<_, _>>();
    let folder = args.data.as_deref().map(|data| folder(data, &args.out));
    Ok(Pictures { images, folder, most: args.images })
}

/// The data set's folder, and how it is reached from the page's.
fn folder(data: &Path, page: &Path) -> Folder {
    let parent = |path: &Path| match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    let path = if data.is_file() { parent(data) } else { data.to_owned() };
    let from_page = match (path.canonicalize(), parent(page).canonicalize()) {
        (Ok(data), Ok(page)) => pathdiff::diff_paths(data, page),
        _ => None,
    };
    Folder { path, from_page }
}
