//! Exports results in the formats of other tools: lm-evaluation-harness's files, the `model-index`
//! of a Hugging Face model card, the hub's `.eval_results`, and Every Eval Ever's records.

mod eval_results;
mod every_eval_ever;

pub use eval_results::{HubTask, eval_results};
pub use every_eval_ever::{EveryEvalEver, every_eval_ever};

use anyhow::Result;
use serde_json::{Map, Value, json};

use super::Scored;
use super::scored::marked;
use crate::run::store::Manifest;
use chartbench_core::question::YearFlags;
use chartbench_score::metric::Metric;

/// `results.json` as lm-evaluation-harness 0.4 writes it for one task: values from 0 to 1 with
/// their standard errors (clustered by chart, where the harness draws questions), under
/// `METRIC,none`. An unfinished row is marked.
///
/// # Errors
/// Never returns an error in practice: plain data always encodes as JSON.
pub fn lm_eval_results(scored: &Scored<'_>, run: &Manifest) -> Result<String> {
    let benchmark = &run.benchmark;
    let task = format!("chartbench_{}", benchmark.name);
    let mut values = Map::from_iter([("alias".to_owned(), Value::from(task.as_str()))]);
    let mut better = Map::new();
    let means = scored
        .summary()
        .into_iter()
        .flat_map(|summary| summary.means().collect::<Vec<_>>());
    for ((metric, mean), error) in means.zip(scored.aggregate().standard_errors()) {
        values.insert(
            format!("{},none", metric.key()),
            mean.map_or(Value::Null, |mean| Value::from(mean / 100.0)),
        );
        values.insert(
            format!("{}_stderr,none", metric.key()),
            error.map_or(Value::Null, |error| Value::from(error / 100.0)),
        );
        let higher = Value::Bool(metric.higher_is_better());
        better.insert(metric.key().to_owned(), higher);
    }
    let of_task = |value: Value| Value::Object(Map::from_iter([(task.clone(), value)]));
    let (asked, answered) = (benchmark.questions, scored.records.len());
    let object = json!({
        "results": of_task(Value::Object(values)),
        "group_subtasks": of_task(json!([])),
        "configs": of_task(json!({
            "task": task,
            "dataset_path": benchmark.name,
            "dataset_name": benchmark.title,
            "test_split": benchmark.split,
            "output_type": "generate_until",
            "num_fewshot": 0,
            "metadata": {"question_set": benchmark.hash, "convention": scored.convention.name},
        })),
        "versions": of_task(json!(benchmark.hash.get(..12).unwrap_or(&benchmark.hash))),
        "n-shot": of_task(json!(0)),
        "higher_is_better": of_task(Value::Object(better)),
        "n-samples": of_task(json!({"original": asked, "effective": answered})),
        "config": {"model": "chartbench", "model_args": format!("adapter={},run={}", scored.adapter, scored.run),
                   "bootstrap_iters": 0, "limit": (benchmark.limit > 0).then_some(benchmark.limit)},
        "model_name": marked(&run.remarked(scored.adapter, scored.adapter), scored.unfinished),
        "model_source": "chartbench",
    });
    Ok(serde_json::to_string_pretty(&object)? + "\n")
}

/// `samples.jsonl` as lm-evaluation-harness logs samples, one line a question; `score` reads it
/// back.
///
/// # Errors
/// Never returns an error in practice: plain data always encodes as JSON.
pub fn lm_eval_samples(scored: &Scored<'_>) -> Result<String> {
    let line = |place: usize| -> Result<String> {
        let record = scored.records[place];
        let answer = record.prediction.as_ref().map(|prediction| &prediction.0);
        let mut sample = json!({
            "doc_id": record.id,
            "doc": {"question": record.question, "answer": record.gold, "image": record.chart},
            "chart": record.chart,
            "answer_type": record.answer_type,
            "target": record.gold.text(),
            "resps": [[answer]],
            "filtered_resps": [answer],
            "filter": "none",
        });
        if let Some(flags) =
            YearFlags::from_slices(|name| record.slices.get(name).map(String::as_str)).text()
        {
            sample["Year"] = Value::from(flags);
        }
        for &metric in scored.convention.metrics {
            sample[metric.key()] = scored.value(place, metric).map_or(Value::Null, Value::from);
        }
        Ok(serde_json::to_string(&sample)? + "\n")
    };
    (0..scored.records.len()).map(line).collect()
}

/// The metadata block of a model card with its `model-index`. Its YAML is written as JSON, which is
/// YAML too, so that no name can become a key. An unfinished row is marked; the metrics' names
/// contain the remark on the adapter's row.
///
/// # Errors
/// Never returns an error in practice: plain data always encodes as JSON.
pub fn model_index(scored: &Scored<'_>, run: &Manifest) -> Result<String> {
    let benchmark = &run.benchmark;
    let remark = run
        .remark(scored.adapter)
        .map_or_else(String::new, |remark| format!("; {remark}"));
    let means = scored
        .summary()
        .into_iter()
        .flat_map(|summary| summary.means().collect::<Vec<_>>());
    let metric = |(metric, mean): (Metric, Option<f64>)| {
        let name = format!("{} ({}{remark})", metric.name(), scored.convention.name);
        Some(json!({"type": metric.key(), "value": mean?, "name": name, "verified": false}))
    };
    let metrics: Vec<Value> = means.filter_map(metric).collect();
    let object = json!([{
        "name": marked(scored.adapter, scored.unfinished),
        "results": [{
            "task": {"type": "visual-question-answering", "name": "Chart question answering"},
            "dataset": {"type": benchmark.name, "name": benchmark.title, "split": benchmark.split, "revision": benchmark.hash},
            "metrics": metrics,
        }],
    }]);
    Ok(format!(
        "---\nmodel-index: {}\n---\n",
        serde_json::to_string_pretty(&object)?
    ))
}
