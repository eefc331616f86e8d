//! One table over many runs, printed, written to files, or put into a document.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::{benchmark_convention, convention, require_verdicts};
use crate::config::{Benchmark, Published};
use crate::report::table::Format;
use crate::report::{
    Leaderboard, LeaderboardOptions, LeaderboardParts, SliceBy, against_blind, check_slices_exist,
    read_document, spliced_document,
};
use crate::run::store::{LEADERBOARD, NamedRun, PredictionRecord, ResultsDir, RunReader};
use chartbench_core::files::{FileLock, write_file};
use chartbench_score::metric::{Convention, Metric};

/// The files of a folder of leaderboards: `leaderboard.` and the ending.
const FILES: [(&str, Format); 4] = [
    ("md", Format::Markdown),
    ("csv", Format::Csv),
    ("json", Format::Json),
    ("tex", Format::Latex),
];

/// Which runs, and where the leaderboard goes besides the result.
#[derive(Clone, Debug)]
pub struct LeaderboardRequest {
    /// Names under `results`, or paths; `RUN/ADAPTER` for one adapter.
    pub runs: Vec<PathBuf>,
    /// Folder that holds the runs.
    pub results: PathBuf,
    /// Scoring convention; `chartbench` where it is absent, `deplot-corrected` where only tables
    /// were asked for.
    pub convention: Option<String>,
    /// The tables by slice: the usual ones where it is absent, else these, which must exist.
    pub slices: Option<Vec<SliceBy>>,
    /// Whether there is a column of questions a second.
    pub speed: bool,
    /// Folder that gets leaderboard.md, .csv, .json and .tex.
    pub out: Option<PathBuf>,
    /// Document that gets the Markdown between its markers.
    pub document: Option<PathBuf>,
    /// The command that the document's marker names.
    pub command: String,
    /// Writes nothing and looks whether the files are what would be written.
    pub check: bool,
}

/// The leaderboard and, of a check, the files that differ with the first line that does.
pub struct LeaderboardReport {
    /// The scored runs, one row an adapter of a run.
    pub leaderboard: Leaderboard,
    /// Outdated files, each with its first differing line, from 1; empty unless `check` is set.
    pub stale: Vec<(PathBuf, usize)>,
}

/// Scores the runs and writes what was asked for.
///
/// # Errors
/// Returns an error if a run cannot be read, a slice or convention is unknown, or a file cannot be
/// read or written.
pub fn leaderboard(request: &LeaderboardRequest) -> Result<LeaderboardReport> {
    let named = ResultsDir::new(&request.results).find_all(&request.runs)?;
    let runs = named
        .iter()
        .map(NamedRun::open)
        .collect::<Result<Vec<_>>>()?;
    let slices = match &request.slices {
        Some(slices) => slices.clone(),
        None => SliceBy::DEFAULT.into(),
    };
    if request.slices.is_some() {
        check_slices_exist(&slices, records(&runs))?;
    }
    // Usually the first record decides. Unreadable logs are reported by `Leaderboard::from_runs`.
    let answer_types = records(&runs).map_while(|record| Some(record.ok()?.answer_type));
    let own = benchmark_convention(runs.iter().map(|run| &run.manifest));
    let convention = convention(request.convention.as_deref(), own.as_deref(), answer_types)?;
    for (named, run) in named.iter().zip(&runs) {
        require_verdicts(convention, &named.dir, records(std::slice::from_ref(run)))?;
    }
    let options = LeaderboardOptions {
        slices,
        speed: request.speed,
        published: published(&runs)?,
    };
    let leaderboard = Leaderboard::from_runs(&runs, convention, options)?;
    let mut files: Vec<(PathBuf, String)> = Vec::new();
    if let Some(dir) = &request.out {
        for (ending, format) in FILES {
            files.push((
                dir.join("leaderboard").with_extension(ending),
                leaderboard.render(format)?,
            ));
        }
    }
    if let Some(file) = &request.document {
        let text = leaderboard.render(Format::Markdown)?;
        files.push((
            file.clone(),
            spliced_document(file, "leaderboard", &request.command, &text)?,
        ));
    }
    if request.check {
        ensure!(
            !files.is_empty(),
            "--check: there is nothing to check: name files with --out or --update-file"
        );
        return Ok(LeaderboardReport {
            leaderboard,
            stale: stale(&files)?,
        });
    }
    if let Some(dir) = &request.out {
        std::fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    }
    for (path, text) in &files {
        write_file(path, text.as_bytes())?;
    }
    Ok(LeaderboardReport {
        leaderboard,
        stale: Vec::new(),
    })
}

/// All answers.
fn records(runs: &[RunReader]) -> impl Iterator<Item = Result<PredictionRecord>> {
    let pieces = runs
        .iter()
        .flat_map(RunReader::predictions)
        .flat_map(|(_, pieces)| pieces);
    pieces.flat_map(|piece| {
        let (records, error) = piece.map_or_else(
            |error| (Vec::new(), Some(Err(error))),
            |records| (records, None),
        );
        records.into_iter().map(Ok).chain(error)
    })
}

/// The files that differ from what would be written, with the first line that does.
fn stale(files: &[(PathBuf, String)]) -> Result<Vec<(PathBuf, usize)>> {
    let mut stale = Vec::new();
    for (path, text) in files {
        let stored = read_document(path)?;
        if stored != *text {
            let line = 1 + stored
                .lines()
                .zip(text.lines())
                .take_while(|(a, b)| a == b)
                .count();
            stale.push((path.clone(), line));
        }
    }
    Ok(stale)
}

/// The results that were published for the runs' benchmarks.
fn published(runs: &[RunReader]) -> Result<Vec<(String, Vec<Published>)>> {
    let mut published = Vec::new();
    for name in runs.iter().map(|run| &run.manifest.benchmark.name) {
        // A run's name is taken for the name of an embedded benchmark, never for a file.
        if !Benchmark::embedded_names().any(|embedded| embedded == name) {
            continue;
        }
        let benchmark = Benchmark::find(name)?;
        for result in &benchmark.published {
            let known =
                Convention::by_name(&result.convention).and(Metric::by_name(&result.metric));
            known.with_context(|| {
                format!("[[published]] {} of the benchmark {name}", result.system)
            })?;
        }
        published.push((name.clone(), benchmark.published));
    }
    Ok(published)
}

/// Scores the run and stores its leaderboard. Processes at work on the same run do so one after the
/// other: the last one's leaderboard has the answers of all. What is returned has tables by
/// `slices` besides, and the conclusion about the best rows.
///
/// # Errors
/// Returns an error if the run cannot be read, or the leaderboard cannot be written.
pub(super) fn store_leaderboard(
    convention: &'static Convention,
    dir: &Path,
    slices: &[SliceBy],
) -> Result<(Leaderboard, Option<String>)> {
    let file = dir.join(LEADERBOARD);
    let lock = FileLock::acquire(&file)?;
    let mut options = LeaderboardOptions::default();
    let stored = LeaderboardParts {
        explanation: true,
        settings: true,
        slices: options.slices.clone(),
    };
    let more = slices.iter().filter(|slice| !stored.slices.contains(slice));
    options.slices.extend(more.cloned());
    let runs = [RunReader::open(dir)?];
    let mut leaderboard = Leaderboard::from_runs(&runs, convention, options)?;
    leaderboard.show_speed(false);
    let text = leaderboard.render_parts(Format::Markdown, None, &stored)?;
    write_file(&file, text.as_bytes())?;
    drop(lock);
    leaderboard.show_speed(true);
    let [run] = &runs;
    let against_blind = against_blind(run, &leaderboard, convention)?;
    Ok((leaderboard, against_blind))
}
