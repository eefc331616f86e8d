//! Writes stored runs in the formats of other programs.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail, ensure};

use super::{benchmark_convention, convention, require_verdicts};
use crate::report::{
    HubTask, Scored, eval_results, every_eval_ever, lm_eval_results, lm_eval_samples, model_index,
};
use crate::run::store::{Manifest, NamedRun, ResultsDir, StoredRun};
use chartbench_core::files::write_file;
use chartbench_core::terminal::shorten;

/// Which runs to export, and how.
#[derive(Clone, Debug)]
pub struct ExportRequest {
    /// Names under `results`, or paths; `RUN/ADAPTER` for one adapter.
    pub runs: Vec<PathBuf>,
    /// Folder that holds the runs.
    pub results: PathBuf,
    /// The format of the written files.
    pub to: ExportFormat,
    /// Folder that gets `RUN/ADAPTER/` with the files, or what else the format prescribes.
    pub out: PathBuf,
    /// Scoring convention, as of a leaderboard.
    pub convention: Option<String>,
    /// Whether adapters are exported that have questions left, marked as unfinished.
    pub allow_unfinished: bool,
}

/// The format of another program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExportFormat {
    /// lm-evaluation-harness: results.json and samples.jsonl.
    LmEval,
    /// Hugging Face model card: README.md with the results as `model-index`.
    ModelIndex,
    /// Hugging Face model repository: `.eval_results/RUN.yaml`, with the first metric's score for a
    /// leaderboard of the hub.
    EvalResults(HubTask),
    /// Every Eval Ever: `data/COLLECTION/DEVELOPER/MODEL/UUID.json` and its samples.
    EveryEvalEver {
        /// Name of the organization that publishes the results.
        organization: String,
    },
}

/// Exports the runs; returns the files.
///
/// # Errors
/// Returns an error if a run cannot be read or has questions left, two runs have one name, or a
/// file cannot be written.
pub fn export(request: &ExportRequest) -> Result<Vec<PathBuf>> {
    let named = ResultsDir::new(&request.results).find_all(&request.runs)?;
    let runs = named
        .iter()
        .map(NamedRun::read)
        .collect::<Result<Vec<_>>>()?;
    check_names(&named, &runs)?;
    let records = runs.iter().flat_map(StoredRun::records);
    let own = benchmark_convention(runs.iter().map(|run| &run.manifest));
    let convention = convention(
        request.convention.as_deref(),
        own.as_deref(),
        records.map(|record| record.answer_type),
    )?;
    for (run, named) in runs.iter().zip(&named) {
        require_verdicts(convention, &named.dir, run.records().map(Ok))?;
    }
    if !request.allow_unfinished {
        runs.iter().try_for_each(finished)?;
    }
    let mut written = Vec::new();
    for run in &runs {
        let name = &run.manifest.name;
        for (adapter, records) in &run.predictions {
            let scored = Scored::new(&run.manifest, adapter, records, convention);
            let own = request.out.join(name).join(adapter);
            let manifest = &run.manifest;
            let (folder, files) = match &request.to {
                ExportFormat::LmEval => {
                    let results = lm_eval_results(&scored, manifest)?;
                    let samples = lm_eval_samples(&scored)?;
                    (
                        own,
                        files([("results.json", results), ("samples.jsonl", samples)]),
                    )
                }
                ExportFormat::ModelIndex => {
                    (own, files([("README.md", model_index(&scored, manifest)?)]))
                }
                ExportFormat::EvalResults(task) => {
                    let text = eval_results(&scored, manifest, task)?;
                    (
                        own.join(".eval_results"),
                        vec![(format!("{name}.yaml"), text)],
                    )
                }
                ExportFormat::EveryEvalEver { organization } => {
                    let record = every_eval_ever(&scored, manifest, organization, now()?)?;
                    // The samples come first: the other file refers to them.
                    let files = [record.samples, record.aggregate].into_iter();
                    let files = files.filter(|(_, text)| !text.is_empty()).collect();
                    (request.out.join(record.folder), files)
                }
            };
            written.extend(write(&folder, files)?);
        }
    }
    Ok(written)
}

/// Refuses runs of one name that share an adapter: their files would be the same.
fn check_names(named: &[NamedRun], runs: &[StoredRun]) -> Result<()> {
    let mut seen: HashMap<(&str, &str), PathBuf> = HashMap::new();
    for (found, run) in named.iter().zip(runs) {
        let name = run.manifest.name.as_str();
        for (adapter, _) in &run.predictions {
            if let Some(other) = seen.insert((name, adapter.as_str()), found.path()) {
                bail!(
                    "{} and {} are both named {}, and one would overwrite the other: export each with an --out of its own",
                    other.display(),
                    found.path().display(),
                    shorten(name)
                );
            }
        }
    }
    Ok(())
}

/// Refuses a run whose results another program would take for whole ones.
fn finished(run: &StoredRun) -> Result<()> {
    let Manifest {
        name, benchmark, ..
    } = &run.manifest;
    for (adapter, records) in &run.predictions {
        ensure!(
            records.len() >= benchmark.questions,
            "{} in {} answered {} of {} questions: finish that run first, or export it by --allow-unfinished",
            shorten(adapter),
            shorten(name),
            records.len(),
            benchmark.questions
        );
    }
    Ok(())
}

/// Seconds since 1970.
fn now() -> Result<u64> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    Ok(now.context("the clock is before 1970")?.as_secs())
}

fn files<const N: usize>(files: [(&str, String); N]) -> Vec<(String, String)> {
    files.map(|(name, text)| (name.to_owned(), text)).into()
}

fn write(folder: &Path, files: Vec<(String, String)>) -> Result<Vec<PathBuf>> {
    std::fs::create_dir_all(folder)
        .with_context(|| format!("cannot create {}", folder.display()))?;
    let mut written = Vec::new();
    for (name, text) in files {
        let path = folder.join(name);
        write_file(&path, text.as_bytes())?;
        written.push(path);
    }
    Ok(written)
}
