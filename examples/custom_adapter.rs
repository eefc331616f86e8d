//! An adapter of one's own, asked the questions of a benchmark: it answers every question with the chart's type.
//!
//!     cargo run --release --example custom_adapter

use anyhow::{Context, Result};
use chartbench::adapter::{Adapter, Answer, Failure, Identity};
use chartbench::jobs::run::{RunRequest, run_with};
use chartbench::report::table::Format;
use chartbench_core::question::{ChartQuestions, Prediction};

struct ChartType {
    identity: Identity,
}

impl Adapter for ChartType {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn answer(&mut self, charts: &[ChartQuestions]) -> Vec<Vec<Result<Answer, Failure>>> {
        let answer = |chart: &ChartQuestions| {
            let chart_type = chart
                .chart
                .chart_type
                .clone()
                .context("the chart has no type")
                .map_err(Failure::Question)?;
            Ok(Answer {
                prediction: Prediction(chart_type),
                ..Answer::default()
            })
        };
        charts
            .iter()
            .map(|chart| chart.questions.iter().map(|_| answer(chart)).collect())
            .collect()
    }
}

fn main() -> Result<()> {
    // Every setting that can change an answer belongs into the identity: a run is only resumed under the same.
    let identity = Identity {
        id: "chart-type".to_owned(),
        settings: vec![("rule".to_owned(), "1".to_owned())],
    };
    let results = std::env::temp_dir().join("chartbench-example");
    let request = RunRequest {
        results,
        name: Some("custom".to_owned()),
        ..RunRequest::new(Vec::new())
    };
    let report = run_with(
        &request,
        &mut [Box::new(ChartType { identity })],
        &mut |_| {},
    )?;
    println!("{}", report.leaderboard.render(Format::Table)?);
    Ok(())
}
