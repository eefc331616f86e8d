//! chartbench: a benchmark harness and model comparison for chart question answering.
//!
//! [`jobs`] has every verb of the program as a function. Predictions that another program made are
//! scored by
//! [`jobs::score`]:
//!
//! ```
//! use chartbench::jobs::score::{ScoreRequest, read};
//!
//! let files = vec!["fixtures/metrics/recorded.jsonl".into()];
//! let scored = read(&ScoreRequest { files, ..ScoreRequest::default() })?;
//! let table = scored.summary(&scored.conventions(), true);
//! assert!(table.to_markdown().contains("| convention |"));
//! # anyhow::Ok(())
//! ```
//!
//! An adapter of one's own answers a benchmark by [`jobs::run::run_with`]:
//!
//! ```
//! use chartbench::adapter::{Adapter, Answer, Identity, ReportAnswer, questions};
//! use chartbench::jobs::run::{RunRequest, run_with};
//! use chartbench_core::question::ChartQuestions;
//!
//! struct Yes(Identity);
//!
//! impl Adapter for Yes {
//!     fn identity(&self) -> &Identity {
//!         &self.0
//!     }
//!
//!     fn answer(&mut self, charts: &[ChartQuestions], report: &mut ReportAnswer) -> anyhow::Result<()> {
//!         for (index, (_chart, _question)) in questions(charts).enumerate() {
//!             report(index, Ok(Answer::from_text("yes")));
//!         }
//!         Ok(())
//!     }
//! }
//!
//! let results = tempfile::tempdir()?;
//! let request = RunRequest { limit: Some(8), results: results.path().into(), ..RunRequest::new(Vec::new()) };
//! let yes = Yes(Identity { id: "yes".into(), settings: Vec::new() });
//! let report = run_with(&request, &mut [Box::new(yes)], &mut |_| {})?;
//! assert!(report.is_complete());
//! # anyhow::Ok(())
//! ```
//!
//! | module | holds |
//! | --- | --- |
//! | [`jobs`] | the verbs: run, finetune, quantize, score, import, compare, failures, leaderboard, report, figures, export, runs, ask, table, data, list |
//! | [`cli`] | flags to requests, results and progress to the terminal |
//! | [`adapter`] | the adapter trait and its families |
//! | [`hub`] | models and data sets of the Hugging Face hub: cache and downloads |
//! | [`report`] | tables and their formats, leaderboard, comparison, the page |
//!
//! Below are the crates `chartbench-nn` (models), `chartbench-data` (data sets), `chartbench-score`
//! (conventions), `chartbench-pixels` and `chartbench-core`.

#[cfg(test)]
#[path = "../tests/support/assert_close.rs"]
mod assert_close;

#[cfg(feature = "models")]
pub mod adapter;
pub mod cli;
pub mod config;
#[cfg(feature = "report")]
pub mod finetune;
#[cfg(feature = "hub")]
mod http;
pub mod hub;
pub mod jobs;
pub mod report;
pub mod run;
