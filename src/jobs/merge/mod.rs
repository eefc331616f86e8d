//! Makes one run of the shards of a run, whether they share a folder or have folders of their own.
//! Its files are those of a run that was never cut, but for the latencies.

mod line_index;
mod missing;
mod questions;
mod sources;
mod write;

use std::collections::HashSet;
use std::fs;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use self::line_index::LineIndex;
use self::missing::describe_missing;
use self::questions::{QuestionNumbers, check_questions, open_questions};
use self::sources::Sources;
use self::write::{lock_whole_logs, replace_logs, write_run};
use super::leaderboard::store_leaderboard;
use super::run::RunReport;
use super::{BenchmarkSelection, benchmark_convention, check_rule_convention, convention};
use crate::report::SliceBy;
use crate::run::store::{MANIFEST, ResultsDir};
use chartbench_core::files::{FileLock, create_folder};
use chartbench_core::names::check_folder_name;
use chartbench_core::question::AnswerType;
use chartbench_score::metric::Convention;

/// Which runs are merged, and where their questions are.
#[derive(Clone, Debug)]
pub struct MergeRequest {
    /// Name of the merged run, a folder under `results`; without `runs` the name or path of the run
    /// whose shards' logs become whole logs in place.
    pub name: PathBuf,
    /// The runs that hold the shards: names under `results`, or paths; `RUN/ADAPTER` for one row.
    /// They stay as they are.
    pub runs: Vec<PathBuf>,
    /// Folder that holds the runs.
    pub results: PathBuf,
    /// The benchmark and its data, where the runs do not know them.
    pub benchmark: BenchmarkSelection,
    /// Never asks a hub for the benchmark's data set.
    pub offline: bool,
    /// Merges although questions are missing.
    pub partial: bool,
    /// Convention of the leaderboard; the benchmark's where it is absent, `deplot-corrected` where
    /// only tables were asked for.
    pub convention: Option<String>,
    /// Slices of the leaderboard besides the usual ones, which are stored.
    pub slices: Vec<SliceBy>,
}

/// A merged run.
pub struct MergeReport {
    /// The run as it is stored.
    pub run: RunReport,
    /// The run's name.
    pub name: String,
    /// How many rows it has.
    pub rows: usize,
    /// How many questions it is about.
    pub questions: usize,
    /// How many of them have a line in a row: the fewest and the most.
    pub answered: RangeInclusive<usize>,
    /// How many shards it is made of; 0 where the runs were whole.
    pub shards: usize,
    /// Notes for people, a line each.
    pub notes: Vec<String>,
}

/// Merges the runs of the request, or the shards in the folder of the run itself; `None` where that
/// run has nothing to merge.
///
/// # Errors
/// Returns an error in one line if the runs are of other questions, settings or formats, a question
/// is answered twice or, without `partial`, not at all, an answer is to no question of the set, a
/// process is at work on a run, or a file cannot be read or written. Until everything is checked
/// nothing is written.
pub fn merge(request: &MergeRequest) -> Result<Option<MergeReport>> {
    check_rule_convention(request.convention.as_deref())?;
    if request.runs.is_empty() {
        merge_in_place(request)
    } else {
        merge_runs(request).map(Some)
    }
}

/// Makes a new run of others: its folder appears whole or not at all.
fn merge_runs(request: &MergeRequest) -> Result<MergeReport> {
    let name = request.name.to_string_lossy();
    check_folder_name("NAME", &name)?;
    let dir = request.results.join(&request.name);
    ensure!(
        is_free(&dir),
        "{} exists already: choose another NAME, or remove it",
        dir.display()
    );
    let named = ResultsDir::new(&request.results).find_all(&request.runs)?;
    let mut sources = Sources::open(&named, false)?;
    sources.manifest.name = name.into_owned();
    let merged = Merged::read(request, &mut sources)?;
    fs::create_dir_all(&request.results)
        .with_context(|| format!("cannot create {}", request.results.display()))?;
    let mut run = None;
    create_folder(&dir, |folder| {
        write_run(folder, &sources, &merged.rows)?;
        run = Some(merged.conclude(folder, request)?);
        Ok(())
    })?;
    let mut run = run.context("the merged run has no leaderboard")?;
    run.dir = dir;
    Ok(merged.report(run, &sources))
}

/// Puts whole logs in the place of the shards' logs in one folder. Started again after a kill, it
/// finishes.
fn merge_in_place(request: &MergeRequest) -> Result<Option<MergeReport>> {
    let named = ResultsDir::new(&request.results).find(&request.name)?;
    let dir = named.dir.clone();
    ensure!(
        named.adapter.is_none(),
        "{} is one row of a run, and a run is merged whole: name {}",
        request.name.display(),
        dir.display()
    );
    // Every process that begins to write a log holds this lock meanwhile: no log is added or
    // written anew before the merge has ended.
    let _lock = FileLock::acquire(&dir.join(MANIFEST))?;
    let mut sources = Sources::open(&[named], true)?;
    if !sources.has_unmerged() {
        return Ok(None);
    }
    let _log_locks = lock_whole_logs(&dir, &sources)?;
    let merged = Merged::read(request, &mut sources)?;
    replace_logs(&dir, &sources, &merged.rows)?;
    let run = merged.conclude(&dir, request)?;
    // It is written last: until then it says that there is something to merge.
    sources.manifest.write(&dir.join(MANIFEST))?;
    Ok(Some(merged.report(run, &sources)))
}

/// Whether nothing is at `dir`, or an empty folder.
fn is_free(dir: &Path) -> bool {
    match fs::read_dir(dir) {
        Ok(mut entries) => entries.next().is_none(),
        Err(_) => dir.symlink_metadata().is_err(),
    }
}

/// The checked answers of the runs.
struct Merged {
    convention: &'static Convention,
    questions: usize,
    /// The answers of each row, in the order of the rows.
    rows: Vec<LineIndex>,
    notes: Vec<String>,
}

impl Merged {
    /// Reads every log and checks it against the question set. The manifest learns whether
    /// questions are missing.
    ///
    /// # Errors
    /// As [`merge`].
    fn read(request: &MergeRequest, sources: &mut Sources) -> Result<Self> {
        let asked = open_questions(request, sources)?;
        let (questions, summary) = QuestionNumbers::read(&asked.stream)?;
        check_questions(&asked, &summary, sources)?;
        let answer_types = [summary.only_tables.then_some(AnswerType::Table)];
        let own = benchmark_convention([&sources.manifest]);
        let convention = convention(request.convention.as_deref(), own.as_deref(), answer_types)?;
        let rows = sources
            .rows
            .iter()
            .map(|row| LineIndex::read(row, sources, &questions))
            .collect::<Result<Vec<_>>>()?;
        let mut notes = sources.notes.clone();
        let missing = describe_missing(sources, &rows, &asked.stream)?;
        sources.manifest.partial = missing.is_some();
        if missing.is_none() {
            // An uncut run has neither; where rows are to come, a later merge looks for them.
            sources.manifest.order.clear();
            sources.manifest.left_out.clear();
        }
        if let Some(missing) = missing {
            ensure!(
                request.partial,
                "{missing}: ask what is missing, or merge without it by --partial"
            );
            notes.push(format!("note: merged in part, {missing}"));
        }
        for (row, lines) in sources.rows.iter().zip(&rows) {
            if lines.failed() > 0 {
                notes.push(format!(
                    "note: {}: {} of {} questions failed (run --retry-failed asks them again)",
                    row.id,
                    lines.failed(),
                    lines.answered()
                ));
            }
        }
        Ok(Self {
            convention,
            questions: summary.questions,
            rows,
            notes,
        })
    }

    /// Stores the leaderboard of the run that was written to `dir`.
    fn conclude(&self, dir: &Path, request: &MergeRequest) -> Result<RunReport> {
        let (leaderboard, against_blind) =
            store_leaderboard(self.convention, dir, &request.slices)?;
        Ok(RunReport {
            dir: dir.to_owned(),
            leaderboard,
            against_blind,
            failures: Vec::new(),
            failed_questions: Vec::new(),
            shard: None,
        })
    }

    fn report(self, run: RunReport, sources: &Sources) -> MergeReport {
        let answered = || self.rows.iter().map(LineIndex::answered);
        let logs = sources.rows.iter().flat_map(|row| &row.logs);
        let shards: HashSet<_> = logs.filter_map(|log| log.shard).collect();
        MergeReport {
            name: sources.manifest.name.clone(),
            rows: self.rows.len(),
            questions: self.questions,
            answered: answered().min().unwrap_or(0)..=answered().max().unwrap_or(0),
            shards: shards.len(),
            notes: self.notes,
            run,
        }
    }
}
