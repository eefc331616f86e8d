//! One chart's list of RealCQA question records.

use std::borrow::Cow;
use std::collections::HashMap;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::value::RawValue;

use chartbench_core::parse_field::{self, Label};
use chartbench_core::question::Question;
use chartbench_core::read_file;

/// A record as the files have it; keys not named here are ignored.
#[derive(Deserialize)]
struct Record<'a> {
    #[serde(rename = "taxonomy id")]
    taxonomy: Option<Label>,
    #[serde(rename = "QID")]
    template: Option<Label>,
    question: String,
    #[serde(borrow)]
    answer: &'a RawValue,
    #[serde(borrow)]
    answer_type: Cow<'a, str>,
    qa_id: Label,
    #[serde(rename = "PMC_ID")]
    chart: Option<String>,
}

/// The questions of `chart` from its JSON list; `first_line` tells on which line of its file that begins, and is
/// called for an error alone.
///
/// A question's id is `CHART/QA_ID`: the data set's `qa_id` is only used chart by chart, as in its prediction files.
///
/// # Errors
/// Names the line, or the record by its index (from 0) and the key.
pub(super) fn questions(chart: &str, json: &str, first_line: impl FnOnce() -> usize) -> Result<Vec<Question>> {
    let records: Vec<Record<'_>> =
        serde_json::from_str(json).map_err(|error| read_file::json_fault(&error, first_line()))?;
    let mut seen = HashMap::with_capacity(records.len());
    for (index, record) in records.iter().enumerate() {
        if let Some(first) = seen.insert(record.qa_id.0.as_str(), index) {
            bail!("[{index}].qa_id: `{}` is already the id of [{first}]", record.qa_id.0);
        }
    }
    // Collected, they would take up the records' memory, which is more.
    let mut questions = Vec::with_capacity(records.len());
    for (index, record) in records.into_iter().enumerate() {
        questions.push(question(chart, index, record)?);
    }
    Ok(questions)
}

fn question(chart: &str, index: usize, record: Record<'_>) -> Result<Question> {
    if let Some(named) = record.chart.as_deref()
        && named != chart
    {
        bail!("[{index}].PMC_ID: `{named}` stands among the questions of chart `{chart}`");
    }
    let taxonomy = record.taxonomy.as_ref().map(|id| parse_field::taxonomy(&id.0)).transpose();
    Ok(Question {
        id: format!("{chart}/{}", record.qa_id.0),
        text: record.question,
        gold: parse_field::gold(record.answer).with_context(|| format!("[{index}].answer"))?,
        answer_type: Some(
            parse_field::answer_type(&record.answer_type).with_context(|| format!("[{index}].answer_type"))?,
        ),
        taxonomy: taxonomy.with_context(|| format!("[{index}].taxonomy id"))?,
        template: record.template.map(|id| id.0),
        source: None,
        slices: Default::default(),
    })
}
