//! One self-contained HTML page over many runs.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::benchmark::limited;
use super::convention;
use super::trainings::trainings;
use crate::config::Benchmark;
use crate::report::page::{Curves, Folder, Page, Pictures, same_questions};
use crate::run::store::{BenchmarkEntry, StoredRun};
use chartbench_core::files::write_file;
use chartbench_core::question::QuestionSource;
use chartbench_data::{QuestionStream, Questions, Split};

/// Which runs the page shows, and with which pictures.
#[derive(Clone, Debug)]
pub struct ReportRequest {
    /// Run directories, all on the same questions; of two with one adapter the first counts as the
    /// earlier.
    pub runs: Vec<PathBuf>,
    /// The page's file.
    pub out: PathBuf,
    /// Scoring convention, as of a leaderboard.
    pub convention: Option<String>,
    /// The runs' benchmark, for the charts' pictures; the one that the runs name where it is
    /// absent.
    pub benchmark: Option<String>,
    /// The data set's folder or file, for the charts' pictures.
    pub data: Option<PathBuf>,
    /// How many pictures the page holds, those first on which models disagree or changed.
    pub images: usize,
    /// The page's title; the benchmark's where it is absent.
    pub title: Option<String>,
}

/// The page that was written.
#[derive(Debug)]
pub struct ReportPage {
    /// Size of the page's file.
    pub bytes: usize,
    /// Why it has no pictures of the charts, where it has none.
    pub no_pictures: Option<anyhow::Error>,
}

/// Writes the page.
///
/// # Errors
/// Returns an error if a run cannot be read, the runs were asked other questions, pictures that
/// were asked for cannot be had, or the file cannot be written.
pub fn report(request: &ReportRequest) -> Result<ReportPage> {
    let runs = request
        .runs
        .iter()
        .map(|path| StoredRun::read(path))
        .collect::<Result<Vec<_>>>()?;
    let records = runs.iter().flat_map(StoredRun::records);
    let convention = convention(
        request.convention.as_deref(),
        records.map(|record| record.answer_type),
    )?;
    let (pictures, no_pictures) = pictures(request, &same_questions(&runs)?.manifest.benchmark)?;
    let mut curves = Vec::new();
    for training in trainings(&request.runs, &runs)? {
        // A log without a step is of a training that has only begun.
        let Ok(svg) = training.curves.svg(training.adapter) else {
            continue;
        };
        let manifest = &training.run.manifest;
        let adapter = manifest.remarked(training.adapter, training.adapter);
        curves.push(Curves {
            run: manifest.name.clone(),
            adapter,
            svg,
        });
    }
    let page = Page {
        title: request.title.as_deref(),
        runs: &runs,
        convention,
        pictures: &pictures,
        curves: &curves,
    }
    .render()?;
    write_file(&request.out, page.as_bytes())?;
    Ok(ReportPage {
        bytes: page.len(),
        no_pictures,
    })
}

/// The charts' pictures. Where nobody asked for them (`--benchmark`, `--data`), not having them is
/// no error.
fn pictures(
    request: &ReportRequest,
    asked: &BenchmarkEntry,
) -> Result<(Pictures, Option<anyhow::Error>)> {
    match find_pictures(request, asked) {
        Ok(pictures) => Ok((pictures, None)),
        Err(error) if request.benchmark.is_none() && request.data.is_none() => {
            Ok((Pictures::default(), Some(error)))
        }
        Err(error) => Err(error),
    }
}

fn find_pictures(request: &ReportRequest, asked: &BenchmarkEntry) -> Result<Pictures> {
    // A run's name is taken for the name of an embedded benchmark, never for a file.
    let known = Benchmark::embedded_names().any(|name| name == asked.name);
    let name = match &request.benchmark {
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
            let count = count
                .parse()
                .with_context(|| format!("questions_per_chart `{count}` is no number"))?;
            Questions::PerChart {
                count,
                seed: asked.seed,
            }
        }
    };
    let all = QuestionStream::open(&spec, request.data.as_deref(), Split::Test)?;
    let limit = (asked.limit > 0).then_some(asked.limit);
    let questions = limited(all, limit, asked.limit_rule, asked.seed)?;
    // Charts of one name in two data sets are two charts.
    ensure!(
        questions.summarize()?.hash == asked.hash,
        "benchmark `{name}` has other questions than the runs: name the data they were asked on by --benchmark and --data"
    );
    let mut images = HashMap::new();
    for chunk in questions.chunks() {
        let charts = chunk?.into_iter().map(|entry| entry.chart);
        images.extend(charts.map(|chart| (chart.id, chart.image)));
    }
    let folder = request
        .data
        .as_deref()
        .map(|data| folder(data, &request.out));
    Ok(Pictures {
        images,
        folder,
        most: request.images,
    })
}

/// The data set's folder, and how it is reached from the page's.
fn folder(data: &Path, page: &Path) -> Folder {
    let parent = |path: &Path| match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    let path = if data.is_file() {
        parent(data)
    } else {
        data.to_owned()
    };
    let from_page = match (path.canonicalize(), parent(page).canonicalize()) {
        (Ok(data), Ok(page)) => pathdiff::diff_paths(data, page),
        _ => None,
    };
    Folder { path, from_page }
}
