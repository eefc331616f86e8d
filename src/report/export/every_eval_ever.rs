//! Every Eval Ever's records (evalevalai.com, schema 0.3.0): an evaluation with its scores, and a
//! line for each question and metric.

use anyhow::Result;
use serde_json::{Map, Value, json};
use url::Url;

use crate::report::{CONFIDENCE, Scored};
use crate::run::store::Manifest;
use chartbench_core::answer::settings_sha256;
use chartbench_score::metric::Metric;
use chartbench_score::stats::Interval;

/// The version of the schema.
const SCHEMA: &str = "0.3.0";

/// The two files of an evaluation, at the paths that the schema prescribes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EveryEvalEver {
    /// Folder of both files: `data/COLLECTION/DEVELOPER/MODEL`.
    pub folder: String,
    /// Name of the evaluation's file, and its JSON.
    pub aggregate: (String, String),
    /// Name of the questions' file, and its JSON lines.
    pub samples: (String, String),
}

/// The record of one adapter of a run. `organization` publishes it, at `timestamp` in seconds since
/// 1970.
///
/// # Errors
/// Never returns an error in practice: plain data always encodes as JSON.
pub fn every_eval_ever(
    scored: &Scored<'_>,
    run: &Manifest,
    organization: &str,
    timestamp: u64,
) -> Result<EveryEvalEver> {
    let record = Record::new(scored, run, timestamp);
    let uuid = record.uuid();
    let folder = format!("data/{}/{}", record.collection, record.model.id);
    let aggregate = format!("{uuid}.json");
    let samples = format!("{uuid}_samples.jsonl");
    let (lines, rows) = record.samples()?;
    let mut object = record.aggregate(organization, timestamp);
    // A file of samples must not be empty.
    if rows > 0 {
        object["detailed_evaluation_results"] = json!({"format": "jsonl", "file_path": format!("{folder}/{samples}"), "total_rows": rows});
    }
    Ok(EveryEvalEver {
        aggregate: (aggregate, serde_json::to_string_pretty(&object)? + "\n"),
        samples: (samples, lines),
        folder,
    })
}

/// What both files refer to.
struct Record<'a> {
    scored: &'a Scored<'a>,
    run: &'a Manifest,
    settings: toml::Table,
    collection: String,
    model: Model,
    evaluation_id: String,
}

impl<'a> Record<'a> {
    fn new(scored: &'a Scored<'a>, run: &'a Manifest, timestamp: u64) -> Self {
        let entry = run.adapters.iter().find(|entry| entry.id == scored.adapter);
        let settings = entry
            .map(|entry| entry.settings.clone())
            .unwrap_or_default();
        let collection = component(&format!("chartbench_{}", run.benchmark.name));
        let model = Model::new(scored.adapter, &settings);
        let evaluation_id = format!("{collection}/{}/{timestamp}", model.id);
        Self {
            scored,
            run,
            settings,
            collection,
            model,
            evaluation_id,
        }
    }

    /// A version 4 UUID that is the same for the same answers, scored the same.
    fn uuid(&self) -> String {
        let entry = self
            .run
            .adapters
            .iter()
            .find(|e| e.id == self.scored.adapter);
        let parts = [
            ("run", self.run.name.as_str()),
            ("adapter", self.scored.adapter),
            ("fingerprint", entry.map_or("", |e| e.fingerprint.as_str())),
            ("questions", self.run.benchmark.hash.as_str()),
            ("convention", self.scored.convention.name),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()));
        let hex = settings_sha256(&parts);
        let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
        format!(
            "{}-{}-4{}-8{}-{}",
            part(0, 8),
            part(8, 12),
            part(13, 16),
            part(17, 20),
            part(20, 32)
        )
    }

    fn aggregate(&self, organization: &str, timestamp: u64) -> Value {
        json!({
            "schema_version": SCHEMA,
            "evaluation_id": self.evaluation_id,
            "retrieved_timestamp": timestamp.to_string(),
            "source_metadata": {
                "source_name": "chartbench",
                "source_type": "evaluation_run",
                "source_organization_name": organization,
                "evaluator_relationship": "other",
            },
            "eval_library": {"name": "chartbench", "version": self.run.program},
            "model_info": {
                "name": self.scored.label(&self.run.remarked(self.scored.adapter, self.scored.adapter)),
                "id": self.model.id,
                "additional_details": {
                    "deployment_type": self.model.deployment,
                    "model_availability": self.model.availability,
                },
            },
            "evaluation_results": self.results(),
        })
    }

    /// The scores, from 0 to 1; one for each metric that has a value.
    fn results(&self) -> Vec<Value> {
        let scored = self.scored;
        let aggregate = scored.aggregate();
        let means = aggregate.summary().means();
        let errors = aggregate.standard_errors().into_iter();
        let intervals = aggregate.intervals().into_iter();
        means
            .zip(errors.zip(intervals))
            .filter_map(|((metric, mean), (error, interval))| {
                let score = json!({
                    "score": mean? / 100.0,
                    "uncertainty": uncertainty(error, interval, scored.records.len()),
                });
                Some(self.result(metric, score))
            })
            .collect()
    }

    fn result(&self, metric: Metric, score: Value) -> Value {
        let (scored, benchmark) = (self.scored, &self.run.benchmark);
        let convention = scored.convention;
        // Some published conventions can exceed 1.
        let values = (0..scored.records.len()).filter_map(|index| scored.value(index, metric));
        let max = match values.fold(0.0, f64::max) > 1.0 {
            true => json!("Infinity"),
            false => json!(1.0),
        };
        let texts = |pairs: &[(&str, &str)]| -> Map<String, Value> {
            let pairs = pairs.iter();
            pairs
                .map(|&(key, value)| (key.to_owned(), Value::from(value)))
                .collect()
        };
        let settings = self.settings.iter().map(|(key, value)| {
            let text = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            (key.clone(), Value::from(text))
        });
        json!({
            "evaluation_result_id": metric.key(),
            "evaluation_name": benchmark.name,
            "source_data": {
                "dataset_name": benchmark.title,
                "source_type": "other",
                "additional_details": texts(&[
                    ("split", &benchmark.split),
                    ("questions", &benchmark.questions.to_string()),
                    ("charts", &benchmark.charts.to_string()),
                    ("question_set_sha256", &benchmark.hash),
                ]),
            },
            "metric_config": {
                "evaluation_description": convention.about,
                "metric_id": format!("chartbench.{}.{}", convention.name, metric.key()),
                "metric_name": metric.name(),
                "metric_unit": "proportion",
                "lower_is_better": !metric.higher_is_better(),
                "score_type": "continuous",
                "min_score": 0.0,
                "max_score": max,
                "additional_details": texts(&[("convention", convention.name)]),
            },
            "score_details": score,
            "generation_config": {"additional_details": settings.collect::<Map<_, _>>()},
        })
    }

    /// The lines of the questions' file, and their number.
    fn samples(&self) -> Result<(String, usize)> {
        let (mut lines, mut rows) = (String::new(), 0);
        for index in 0..self.scored.records.len() {
            for &metric in self.scored.convention.metrics {
                let Some(score) = self.scored.value(index, metric) else {
                    continue;
                };
                lines += &serde_json::to_string(&self.sample(index, metric, score))?;
                lines.push('\n');
                rows += 1;
            }
        }
        Ok((lines, rows))
    }

    fn sample(&self, index: usize, metric: Metric, score: f64) -> Value {
        let record = self.scored.records[index];
        let answer = record.prediction.as_ref().map(|prediction| &prediction.0);
        let mut metadata =
            Map::from_iter([("chart".to_owned(), Value::from(record.chart.as_str()))]);
        if let Some(answer_type) = record.answer_type {
            metadata.insert("answer_type".to_owned(), json!(answer_type));
        }
        let attribution = answer.map(|answer| {
            json!({
                "turn_idx": 0,
                "source": "output.raw",
                "extracted_value": answer,
                "extraction_method": "none",
                "is_terminal": true,
            })
        });
        json!({
            "schema_version": SCHEMA,
            "evaluation_id": self.evaluation_id,
            "model_id": self.model.id,
            "evaluation_name": self.run.benchmark.name,
            "evaluation_result_id": metric.key(),
            "sample_id": record.id,
            "interaction_type": "single_turn",
            "input": {"raw": record.question, "reference": [record.gold.text()]},
            "output": {"raw": answer.as_slice()},
            "answer_attribution": attribution.as_slice(),
            "evaluation": {"score": score, "is_correct": score >= 1.0},
            "performance": {"latency_ms": record.latency_ms},
            "error": record.failure(),
            "metadata": metadata,
        })
    }
}

/// The standard error and the interval, both given in percent, as shares.
fn uncertainty(error: Option<f64>, interval: Option<Interval>, questions: usize) -> Value {
    let mut object = json!({"num_samples": questions});
    if let Some(error) = error {
        object["standard_error"] = json!({"value": error / 100.0, "method": "clustered by chart"});
    }
    if let Some(Interval { low, high }) = interval {
        object["confidence_interval"] = json!({
            "lower": low / 100.0,
            "upper": high / 100.0,
            "confidence_level": CONFIDENCE,
            "method": "Wilson, clustered by chart",
        });
    }
    object
}

/// The model of a row, as the schema names models.
struct Model {
    /// `DEVELOPER/MODEL`: a hub's repository, a host and the model's name there, or the row under
    /// `chartbench` or `local`.
    id: String,
    deployment: &'static str,
    availability: &'static str,
}

impl Model {
    fn new(row: &str, settings: &toml::Table) -> Self {
        let setting = |key: &str| settings.get(key).and_then(toml::Value::as_str);
        // A row of two models, or of one that sees no chart, is no model's own score.
        let weights = setting("weights").filter(|_| !row.contains('+'));
        let host = setting("base_url")
            .and_then(|url| Some(Url::parse(url).ok()?.host_str()?.to_owned()))
            .filter(|_| !row.contains('+'));
        let repository = weights
            .and_then(|weights| weights.split_once('@'))
            .and_then(|(repository, _)| repository.split_once('/'));
        let is_embedded = weights.is_some_and(|weights| weights.starts_with("embedded "));
        let is_own = is_embedded
            || matches!(
                setting("family"),
                None | Some("majority" | "question-prior" | "oracle")
            );
        let (developer, model) = match (repository, host.as_deref(), setting("model")) {
            (Some((owner, name)), ..) => (owner, name),
            (None, Some(host), Some(model)) => model.split_once('/').unwrap_or((host, model)),
            _ if is_own => ("chartbench", row),
            _ => ("local", row),
        };
        Self {
            id: format!("{}/{}", component(developer), component(model)),
            deployment: if setting("base_url").is_some() {
                "unknown"
            } else {
                "self_deployed"
            },
            availability: if repository.is_some() || is_embedded {
                "open_weights"
            } else {
                "unknown"
            },
        }
    }
}

/// A name as part of a path that every system can have.
fn component(name: &str) -> String {
    let portable = |c: char| match c {
        '<' | '>' | ':' | '"' | '/' | '\\' | '|' | '?' | '*' => '_',
        c if c.is_control() => '_',
        c => c,
    };
    let name: String = name.trim().chars().map(portable).collect();
    let name = name.trim_end_matches(['.', ' ']);
    // The schema's own words.
    match name {
        "" | "data" | "unknown" => format!("{name}_"),
        name => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(row: &str, settings: &[(&str, &str)]) -> String {
        let pair = |&(key, value): &(&str, &str)| (key.to_owned(), toml::Value::from(value));
        Model::new(row, &settings.iter().map(pair).collect()).id
    }

    #[test]
    fn a_model_is_named_by_where_it_comes_from() {
        let pix2struct = ("family", "pix2struct");
        let hub = [pix2struct, ("weights", "google/matcha-base@main")];
        assert_eq!(id("matcha-base", &hub), "google/matcha-base");
        assert_eq!(id("matcha-base@q8", &hub), "google/matcha-base");
        assert_eq!(id("blank+matcha-base", &hub), "local/blank+matcha-base");
        let embedded = [pix2struct, ("weights", "embedded matcha-tiny")];
        assert_eq!(id("matcha-tiny", &embedded), "chartbench/matcha-tiny");
        let given = [pix2struct, ("weights", "given by --weights")];
        assert_eq!(id("matcha-base", &given), "local/matcha-base");
        let chat = |model| {
            let url = ("base_url", "https://api.example.org/v1");
            id("row", &[("family", "chat"), url, ("model", model)])
        };
        assert_eq!(chat("big"), "api.example.org/big");
        assert_eq!(chat("Org/Big:7b"), "Org/Big_7b");
        assert_eq!(
            id("majority", &[("train_hash", "x")]),
            "chartbench/majority"
        );
    }

    #[test]
    fn no_name_leads_out_of_the_folder() {
        assert_eq!(component("../a\\b\u{1}"), ".._a_b_");
        assert_eq!(component(".. "), "_");
        assert_eq!(component("data"), "data_");
    }
}
