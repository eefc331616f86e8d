//! Parses one chart's list of RealCQA question records.

use std::borrow::Cow;
use std::collections::HashMap;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::notes::{NO_ANSWER, Notes};
use chartbench_core::parse_field::{self, Label};
use chartbench_core::question::{Gold, Question};
use chartbench_core::read_file;

/// A record of the files; other keys are ignored.
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

/// Parses the questions of `chart` from its JSON list. `first_line` computes the line of the file
/// on which the list begins; it is called for an error only. Questions without an answer are left
/// out and counted.
///
/// A question's id is `CHART/QA_ID`, because the data set's `qa_id` is unique within a chart only,
/// as in its prediction files.
///
/// # Errors
/// Returns an error if the JSON or a record is malformed; the error names the line, or the record's
/// index (from 0) and the key.
pub(super) fn questions(
    chart: &str,
    json: &str,
    first_line: impl FnOnce() -> usize,
    notes: &mut Notes,
) -> Result<Vec<Question>> {
    let json = read_file::without_nan(json);
    let records: Vec<Record<'_>> =
        serde_json::from_str(&json).map_err(|error| read_file::json_fault(&error, first_line()))?;
    let mut seen = HashMap::with_capacity(records.len());
    for (index, record) in records.iter().enumerate() {
        if let Some(first) = seen.insert(record.qa_id.0.as_str(), index) {
            bail!(
                "[{index}].qa_id: `{}` is already the id of [{first}]",
                record.qa_id.0
            );
        }
    }
    // Collecting would reuse the records' memory, which is larger.
    let mut questions = Vec::with_capacity(records.len());
    for (index, record) in records.into_iter().enumerate() {
        let place = || format!("[{index}].answer");
        match parse_field::optional_gold(record.answer).with_context(place)? {
            Some(gold) => questions.push(question(chart, index, record, gold)?),
            None => notes.count(NO_ANSWER, || format!("`{chart}/{}`", record.qa_id.0)),
        }
    }
    Ok(questions)
}

fn question(chart: &str, index: usize, record: Record<'_>, gold: Gold) -> Result<Question> {
    if let Some(recorded) = record.chart.as_deref()
        && recorded != chart
    {
        bail!("[{index}].PMC_ID: `{recorded}` stands among the questions of chart `{chart}`");
    }
    let taxonomy = record
        .taxonomy
        .as_ref()
        .map(|id| parse_field::taxonomy(&id.0))
        .transpose();
    Ok(Question {
        id: format!("{chart}/{}", record.qa_id.0),
        text: record.question,
        gold,
        answer_type: Some(
            parse_field::answer_type(&record.answer_type)
                .with_context(|| format!("[{index}].answer_type"))?,
        ),
        taxonomy: taxonomy.with_context(|| format!("[{index}].taxonomy id"))?,
        template: record.template.map(|id| id.0),
        source: None,
        slices: Default::default(),
        context: None,
    })
}
