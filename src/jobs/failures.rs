//! The questions of a stored run that an adapter got wrong, as a list or as a page.

use std::path::PathBuf;

use anyhow::Result;

#[cfg(feature = "report")]
use super::report::{ReportPage, ReportRequest, write_page};
use super::{benchmark_convention, convention, require_verdicts};
use crate::report::{FailureList, QuestionFilter};
use crate::run::store::{NamedRun, ResultsDir, StoredRun};

/// Most pictures that a page holds; the others are linked.
#[cfg(feature = "report")]
const MAX_PICTURES: usize = 200;

/// Which questions of which run are listed.
#[derive(Clone, Debug)]
pub struct FailuresRequest {
    /// A name under `results`, or a path; `RUN/ADAPTER` for one of a run's adapters.
    pub run: PathBuf,
    /// Folder that holds the runs.
    pub results: PathBuf,
    /// Scoring convention, as of a leaderboard.
    pub convention: Option<String>,
    /// The listed questions: by default the wrong ones.
    pub filter: QuestionFilter,
}

/// The page of the listed questions.
#[cfg(feature = "report")]
#[derive(Clone, Debug)]
pub struct PageRequest {
    /// The page's file.
    pub out: PathBuf,
    /// The run's benchmark and data set, for the charts' pictures, as of a report.
    pub benchmark: Option<String>,
    /// The data set's folder or file, for the charts' pictures.
    pub data: Option<PathBuf>,
    /// Never asks a hub for the benchmark's data set.
    pub offline: bool,
}

/// Lists the questions.
///
/// # Errors
/// Returns an error if the run cannot be read or has no answers, or if an adapter, a property, a
/// value or a convention is unknown.
pub fn failures(request: &FailuresRequest) -> Result<FailureList> {
    let named = ResultsDir::new(&request.results).find(&request.run)?;
    list(&StoredRun::read(&named.dir)?, &named, request)
}

/// Writes the run's page, with the listed questions alone in its gallery. Nothing is written where
/// none is listed.
///
/// # Errors
/// As [`failures`], and if pictures that were asked for cannot be had or the file cannot be
/// written.
#[cfg(feature = "report")]
pub fn failures_page(
    request: &FailuresRequest,
    page: &PageRequest,
) -> Result<(FailureList, Option<ReportPage>)> {
    let named = ResultsDir::new(&request.results).find(&request.run)?;
    let run = StoredRun::read(&named.dir)?;
    let list = list(&run, &named, request)?;
    let selection = crate::report::page::GallerySelection {
        ids: list.ids(),
        about: list.summaries(),
    };
    if selection.ids.is_empty() {
        return Ok((list, None));
    }
    let report = ReportRequest {
        runs: vec![named.dir.clone()],
        results: request.results.clone(),
        out: page.out.clone(),
        convention: request.convention.clone(),
        benchmark: page.benchmark.clone(),
        data: page.data.clone(),
        offline: page.offline,
        images: MAX_PICTURES,
        title: Some(list.title()),
    };
    let written = write_page(&report, &[named], &[run], Some(&selection))?;
    Ok((list, Some(written)))
}

fn list(run: &StoredRun, named: &NamedRun, request: &FailuresRequest) -> Result<FailureList> {
    let answer_types = run.records().map(|record| record.answer_type);
    let own = benchmark_convention([&run.manifest]);
    let convention = convention(request.convention.as_deref(), own.as_deref(), answer_types)?;
    require_verdicts(convention, &named.dir, run.records().map(Ok))?;
    let adapter = named.adapter.as_deref();
    FailureList::new(run, adapter, convention, request.filter.clone())
}
