//! One self-contained HTML page over many runs.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

use super::benchmark::{locate_data, stored_questions};
use super::trainings::trainings;
use super::{benchmark_convention, convention, require_verdicts};
use crate::config::Benchmark;
use crate::hub::HubOptions;
use crate::report::page::{Curves, Folder, GallerySelection, Page, Pictures, same_questions};
use crate::report::plot::Panel;
use crate::run::store::{BenchmarkEntry, DataFolder, NamedRun, ResultsDir, StoredRun};
use chartbench_core::files::write_file;
use chartbench_core::question::QuestionSource;
use chartbench_data::Split;

/// Which runs the page shows, and with which pictures.
#[derive(Clone, Debug)]
pub struct ReportRequest {
    /// Runs on the same questions: names under `results`, or paths; `RUN/ADAPTER` for one adapter.
    /// Of two runs with one adapter the first counts as the earlier.
    pub runs: Vec<PathBuf>,
    /// Folder that holds the runs.
    pub results: PathBuf,
    /// The page's file.
    pub out: PathBuf,
    /// Scoring convention, as of a leaderboard.
    pub convention: Option<String>,
    /// The runs' benchmark, for the charts' pictures; the one that the runs name where it is absent.
    pub benchmark: Option<String>,
    /// The data set's folder or file, for the charts' pictures; the one that the runs know where it
    /// and the benchmark are absent.
    pub data: Option<PathBuf>,
    /// Never asks a hub for the benchmark's data set, which is downloaded only where the benchmark
    /// is named.
    pub offline: bool,
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
    let named = ResultsDir::new(&request.results).find_all(&request.runs)?;
    let runs = named
        .iter()
        .map(NamedRun::read)
        .collect::<Result<Vec<_>>>()?;
    write_page(request, &named, &runs, None)
}

/// [`report`] of runs that are already read; with `selection` its gallery has these questions
/// alone.
pub(super) fn write_page(
    request: &ReportRequest,
    named: &[NamedRun],
    runs: &[StoredRun],
    selection: Option<&GallerySelection>,
) -> Result<ReportPage> {
    let records = runs.iter().flat_map(StoredRun::records);
    let own = benchmark_convention(runs.iter().map(|run| &run.manifest));
    let convention = convention(
        request.convention.as_deref(),
        own.as_deref(),
        records.map(|record| record.answer_type),
    )?;
    for (run, named) in runs.iter().zip(named) {
        require_verdicts(convention, &named.dir, run.records().map(Ok))?;
    }
    let (pictures, no_pictures) =
        pictures(request, named, &same_questions(runs)?.manifest.benchmark)?;
    let mut curves = Vec::new();
    for training in trainings(named, runs)? {
        let panels = training.curves.panels();
        // A log without a step is of a training that has only begun.
        if !panels.iter().any(Panel::has_points) {
            continue;
        }
        let manifest = &training.run.manifest;
        let adapter = manifest.remarked(training.adapter, training.adapter);
        curves.push(Curves {
            run: manifest.name.clone(),
            adapter,
            panels,
            kept: training.curves.kept,
        });
    }
    let page = Page {
        title: request.title.as_deref(),
        runs,
        convention,
        pictures: &pictures,
        curves: &curves,
        selection,
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
    named: &[NamedRun],
    asked: &BenchmarkEntry,
) -> Result<(Pictures, Option<anyhow::Error>)> {
    if request.benchmark.is_some() || request.data.is_some() {
        let source = PictureSource {
            benchmark: request.benchmark.as_deref(),
            data: request.data.as_deref(),
            hub: HubOptions::from_env(request.offline),
        };
        return Ok((find_pictures(request, asked, &source)?, None));
    }
    let from_runs = |known: Option<&DataFolder>| {
        let benchmark = known.map(|known| known.benchmark.as_str());
        let data = known.map(|known| known.data.as_path());
        let source = PictureSource {
            benchmark,
            // The copy of another cache: this one may have it, too.
            data: data.filter(|data| data.exists()),
            hub: HubOptions::from_env(true),
        };
        find_pictures(request, asked, &source)
    };
    let found = match known_folder(named) {
        Ok(known) => from_runs(known.as_ref()),
        Err(error) => Err(error),
    };
    Ok(match found {
        Ok(pictures) => (pictures, None),
        Err(error) => (Pictures::default(), Some(error)),
    })
}

/// Where the data were when the first run that knows it was asked.
fn known_folder(runs: &[NamedRun]) -> Result<Option<DataFolder>> {
    for run in runs {
        let Some(known) = DataFolder::read(&run.dir)? else {
            continue;
        };
        ensure!(
            known.data.exists() || known.repo.is_some(),
            "the data of {} were in {}, which is not there: name them by --data",
            run.dir.display(),
            known.data.display()
        );
        return Ok(Some(known));
    }
    Ok(None)
}

/// Where the charts' pictures are looked for.
struct PictureSource<'a> {
    benchmark: Option<&'a str>,
    data: Option<&'a Path>,
    /// The hub and its cache, without data of the user's.
    hub: HubOptions,
}

fn find_pictures(
    request: &ReportRequest,
    asked: &BenchmarkEntry,
    source: &PictureSource<'_>,
) -> Result<Pictures> {
    // A run's name is taken for the name of an embedded benchmark, never for a file.
    let known = Benchmark::embedded_names().any(|name| name == asked.name);
    let name = match source.benchmark {
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
    let benchmark = Benchmark::find(name)?;
    let location = locate_data(name, &benchmark, source.data, &[Split::Test], &source.hub)?;
    let data = location.path.as_deref();
    let mut spec = benchmark.data;
    // Questions alone: no picture outside the folder gets into the page.
    spec.allow_outside = true;
    spec.published.clone_from(&location.published);
    let questions = stored_questions(spec, data, asked)?;
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
    let folder = data.map(|data| folder(data, &request.out));
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
