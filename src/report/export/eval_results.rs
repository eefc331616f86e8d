//! An entry of a Hugging Face model repository's folder `.eval_results/`
//! (huggingface.co/docs/hub/eval-results).

use anyhow::{Context, Result};

use crate::report::Scored;
use crate::run::store::Manifest;

/// The leaderboard of the hub that a score belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubTask {
    /// The dataset's repository, `OWNER/NAME`.
    pub dataset_id: String,
    /// The task's id in that repository's `eval.yaml`.
    pub task_id: String,
}

/// The YAML with one entry: the convention's first metric in %. Its notes say what was measured.
/// Texts are quoted as in JSON, so that none can become a key.
///
/// # Errors
/// Returns an error if no question has a value of the metric.
pub fn eval_results(scored: &Scored<'_>, run: &Manifest, task: &HubTask) -> Result<String> {
    let benchmark = &run.benchmark;
    let summary = scored.summary();
    let first = summary.as_ref().and_then(|summary| summary.means().next());
    let (metric, mean) = first.with_context(|| format!("{} has no answers", scored.adapter))?;
    let value =
        mean.with_context(|| format!("{}: no question has {}", scored.adapter, metric.name()))?;
    let mut notes = format!(
        "{} in % by convention {} of chartbench {}, {} of {} questions, question set {}",
        metric.name(),
        scored.convention.name,
        run.program,
        scored.records.len(),
        benchmark.questions,
        benchmark.hash
    );
    if let Some(remark) = run.remark(scored.adapter) {
        notes = format!("{notes}; {remark}");
    }
    let quoted = |text: &str| serde_json::to_string(text);
    Ok(format!(
        "- dataset:\n    id: {}\n    task_id: {}\n  value: {value:.2}\n  notes: {}\n",
        quoted(&task.dataset_id)?,
        quoted(&task.task_id)?,
        quoted(&notes)?
    ))
}
