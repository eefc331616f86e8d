//! Plans which questions a run still has to ask, so that a run started again resumes, and which go
//! into one call.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::rc::Rc;

use anyhow::{Result, bail};

use crate::run::store::{OtherQuestions, PredictionRecord};
use chartbench_core::question::{Chart, ChartQuestions, Gold, Question, QuestionSource};

/// The ids of the answered questions, each with a hash of its text and gold.
#[derive(Default)]
pub struct AnsweredIds(HashMap<String, u64>);

impl AnsweredIds {
    pub(super) fn add(&mut self, record: PredictionRecord) {
        self.0
            .insert(record.id, hash(&record.question, &record.gold));
    }

    /// Returns an error if an answer is to a question that `source` lacks, or has with another text
    /// or gold.
    fn check(&self, source: &dyn QuestionSource) -> Result<()> {
        let mut unasked: HashSet<&str> = self.0.keys().map(String::as_str).collect();
        let mut asked = questions(source);
        // Without answers there is nothing to check, so that nothing is read.
        while !unasked.is_empty()
            && let Some(question) = asked.next()
        {
            let (_, Question { id, text, gold, .. }) = question?;
            if self.0.get(&id) == Some(&hash(&text, &gold)) {
                unasked.remove(id.as_str());
            }
        }
        if let Some(id) = unasked.into_iter().min() {
            bail!(OtherQuestions(format!(
                "the stored answer to `{id}` is not to a question of this set: choose another --name"
            )));
        }
        Ok(())
    }
}

/// Hashes with fixed keys; hashes are compared within one process only.
fn hash(text: &str, gold: &Gold) -> u64 {
    BuildHasherDefault::<DefaultHasher>::new().hash_one((text, gold))
}

/// Cuts all questions into calls of at most `batch`, in order and grouped by chart, and leaves out
/// the answered ones. The cuts depend on the whole source, so that a resumed run groups its
/// questions as an uninterrupted one does.
///
/// # Errors
/// Returns an error if an answered question is not in the source, or has another gold or text
/// there. Each call returns the source's errors.
pub fn batches(
    source: &dyn QuestionSource,
    answered: AnsweredIds,
    batch: usize,
) -> Result<impl Iterator<Item = Result<Vec<ChartQuestions>>>> {
    answered.check(source)?;
    let batch = batch.max(1);
    let mut cursor = questions(source);
    Ok(std::iter::from_fn(move || {
        loop {
            let cut: Vec<_> = match cursor.by_ref().take(batch).collect::<Result<_>>() {
                Ok(cut) => cut,
                Err(error) => return Some(Err(error)),
            };
            if cut.is_empty() {
                return None;
            }
            let mut charts: Vec<ChartQuestions> = Vec::new();
            for (chart, question) in cut {
                if answered.0.contains_key(&question.id) {
                    continue;
                }
                match charts.last_mut().filter(|last| last.chart.id == chart.id) {
                    Some(last) => last.questions.push(question),
                    None => charts.push(ChartQuestions {
                        chart: (*chart).clone(),
                        questions: vec![question],
                    }),
                }
            }
            if !charts.is_empty() {
                return Some(Ok(charts));
            }
        }
    }))
}

/// Every question with its chart, in order.
fn questions(source: &dyn QuestionSource) -> impl Iterator<Item = Result<(Rc<Chart>, Question)>> {
    source.chunks().flat_map(|piece| {
        let (charts, error) = match piece {
            Ok(charts) => (charts, None),
            Err(error) => (Vec::new(), Some(Err(error))),
        };
        let with_chart = |ChartQuestions { chart, questions }: ChartQuestions| {
            let chart = Rc::new(chart);
            questions
                .into_iter()
                .map(move |question| Ok((Rc::clone(&chart), question)))
        };
        charts.into_iter().flat_map(with_chart).chain(error)
    })
}
