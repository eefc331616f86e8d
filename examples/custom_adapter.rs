//! An adapter of one's own, asked the questions of a benchmark: it answers every question with the
//! chart's type.
//!
//!     cargo run --release --example custom_adapter

#![expect(clippy::print_stdout, reason = "an example prints")]

use anyhow::{Context, Result};
use chartbench::adapter::{Adapter, Answer, Identity, ReportAnswer, questions};
use chartbench::jobs::run::{RunRequest, run_with};
use chartbench::report::table::Format;
use chartbench_core::question::ChartQuestions;

struct ChartType {
    identity: Identity,
}

impl Adapter for ChartType {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn answer(&mut self, charts: &[ChartQuestions], report: &mut ReportAnswer<'_>) -> Result<()> {
        for (index, (chart, _question)) in questions(charts).enumerate() {
            let chart_type = chart.chart_type.clone();
            // A question that fails is a row with this error.
            let answer = chart_type.context("the chart has no type");
            report(index, answer.map(Answer::from_text));
        }
        Ok(())
    }
}

fn main() -> Result<()> {
    // Every setting that can change an answer belongs into the identity: a run is only resumed
    // under the same.
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
