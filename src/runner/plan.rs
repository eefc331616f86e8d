//! Which questions go into which call.

use std::collections::{HashMap, HashSet};

use anyhow::{Result, ensure};

use crate::record::PredictionRecord;
use crate::sample::{ChartQuestions, QuestionSet};

/// Cuts the question set into calls of at most `batch` questions, in order and grouped by chart, and leaves out what
/// is answered. The cuts come from the whole set, so a resumed run groups its questions as an unbroken one.
///
/// # Errors
/// An answered question that is not in the set or has another gold or text.
pub fn batches<'a>(
    set: &'a QuestionSet,
    answered: &[PredictionRecord],
    batch: usize,
) -> Result<impl Iterator<Item = Vec<ChartQuestions>> + 'a> {
    let asked: HashMap<&str, &crate::sample::Question> =
        set.iter().map(|(_, question)| (question.id.as_str(), question)).collect();
    for record in answered {
        let same = asked
            .get(record.id.as_str())
            .is_some_and(|question| question.text == record.question && question.gold == record.gold);
        ensure!(same, "the stored answer to `{}` is not to a question of this set: choose another --name", record.id);
    }
    let done: HashSet<String> = answered.iter().map(|record| record.id.clone()).collect();
    let batch = batch.max(1);
    let mut cursor =
        set.charts.iter().flat_map(|entry| entry.questions.iter().map(move |question| (&entry.chart, question)));
    Ok(std::iter::from_fn(move || {
        loop {
            let cut: Vec<_> = cursor.by_ref().take(batch).collect();
            if cut.is_empty() {
                return None;
            }
            let mut charts: Vec<ChartQuestions> = Vec::new();
            for (chart, question) in cut {
                if done.contains(&question.id) {
                    continue;
                }
                match charts.last_mut().filter(|last| last.chart.id == chart.id) {
                    Some(last) => last.questions.push(question.clone()),
                    None => charts.push(ChartQuestions { chart: chart.clone(), questions: vec![question.clone()] }),
                }
            }
            if !charts.is_empty() {
                return Some(charts);
            }
        }
    }))
}
