//! The oracle row: it returns the data set's own table instead of reading the chart, which
//! separates reading errors from reasoning errors.

use anyhow::{Context, Result, ensure};

use super::{Adapter, Answer, Identity, ReportAnswer, questions};
use chartbench_core::question::{AnswerType, Chart, ChartQuestions, Question};

/// Answers every request for a chart's table with the gold one.
pub(super) struct OracleAdapter {
    identity: Identity,
}

impl OracleAdapter {
    pub(super) fn new(id: &str) -> Self {
        let settings = vec![("table".to_owned(), "the data set's own".to_owned())];
        Self {
            identity: Identity {
                id: id.to_owned(),
                settings,
            },
        }
    }
}

impl Adapter for OracleAdapter {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn answer(&mut self, charts: &[ChartQuestions], report: &mut ReportAnswer<'_>) -> Result<()> {
        for (index, (chart, question)) in questions(charts).enumerate() {
            report(index, table(chart, question).map(Answer::from_text));
        }
        Ok(())
    }
}

fn table(chart: &Chart, question: &Question) -> Result<String> {
    ensure!(
        question.answer_type == Some(AnswerType::Table),
        "the oracle has tables, not answers: name a reader with it (oracle+READER)"
    );
    let source = chart
        .table
        .as_ref()
        .with_context(|| format!("{}: the data set has no table of this chart", chart.id))?;
    Ok(source.0.table()?.linearized())
}
