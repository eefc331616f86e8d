//! Joins predictions with golds.

use std::collections::HashMap;

use anyhow::{Context, Result, bail};

use super::golds::Golds;
use super::problem::{OneLine, Problem};
use super::table::{AnswerRow, AnswerTable};
use super::{ImportResult, ImportedAnswer};
use chartbench_core::question::{AnswerType, Gold, Prediction};

/// Joins predictions with the golds of their own file, in its order.
///
/// # Errors
/// Returns an error if a row has no gold, which the readers exclude.
pub(super) fn join_own_golds(mut table: AnswerTable) -> Result<ImportResult> {
    table.drop_duplicates("id");
    let mut answers = Vec::with_capacity(table.rows.len());
    for mut row in table.rows {
        let gold = row.gold.take().context("a row without gold")?;
        let answer_type = row.answer_type;
        let prediction = prediction(&mut row, &gold, answer_type);
        let year_flags = row.year_flags().text().map(str::to_owned);
        let AnswerRow {
            id,
            question,
            chart,
            ..
        } = row;
        answers.push(ImportedAnswer {
            id,
            gold,
            prediction,
            question,
            answer_type,
            chart,
            year_flags,
        });
    }
    Ok(ImportResult {
        answers,
        problems: table.problems,
    })
}

/// Joins separate golds, in their order, with the predictions of their ids.
///
/// # Errors
/// Returns an error if no prediction has the id of a gold, or if only one side has ids and the
/// other is numbered, so that matches are accidental.
pub(super) fn join_separate_golds(mut table: AnswerTable, golds: &Golds) -> Result<ImportResult> {
    let mut matches = Matches {
        predictions: vec![None; golds.table.rows.len()],
        problems: Vec::new(),
    };
    matches.find(&table, golds);
    let Matches {
        predictions,
        problems: unmatched,
    } = matches;
    if predictions.iter().all(Option::is_none) {
        bail!("{}", nothing_in_common(&table, golds));
    }
    if golds.from_file && table.has_ids != golds.table.has_ids {
        let (without, with) = if table.has_ids {
            ("golds", "predictions")
        } else {
            ("predictions", "golds")
        };
        bail!(
            "the {without} have no ids and the {with} have: name the column of ids with --id-column"
        );
    }
    let mut problems = golds.table.problems.clone();
    problems.append(&mut table.problems);
    problems.extend(unmatched);
    let mut answers = Vec::with_capacity(predictions.len());
    for (gold, index) in golds.table.rows.iter().zip(predictions) {
        let mut row = match index
            .and_then(|index| table.rows.get_mut(index))
            .map(std::mem::take)
        {
            Some(row) => {
                problems.extend(difference(&table, &row, gold));
                row
            }
            None => {
                let location = golds.from_file.then(|| golds.table.location(gold));
                problems.push(Problem::NoPrediction {
                    id: gold.id.clone(),
                    location,
                });
                AnswerRow::default()
            }
        };
        let answer = gold.gold.clone().context("a gold without answer")?;
        let answer_type = gold.answer_type.or(row.answer_type);
        let year_flags = gold
            .year_flags()
            .text()
            .or(row.year_flags().text())
            .map(str::to_owned);
        answers.push(ImportedAnswer {
            id: gold.id.clone(),
            prediction: prediction(&mut row, &answer, answer_type),
            gold: answer,
            question: gold.question.clone().or(row.question),
            answer_type,
            chart: gold.chart.clone().or(row.chart),
            year_flags,
        });
    }
    Ok(ImportResult { answers, problems })
}

/// The row's prediction. A list of one item counts as that item, as in gold answers, unless the
/// question asks for a list.
fn prediction(
    row: &mut AnswerRow,
    gold: &Gold,
    answer_type: Option<AnswerType>,
) -> Option<Prediction> {
    let several = matches!(gold, Gold::List(items) if items.len() != 1)
        || matches!(
            answer_type,
            Some(AnswerType::RankedList | AnswerType::UnrankedList)
        );
    let item = if several { None } else { row.only_item.take() };
    item.or_else(|| row.prediction.take())
}

/// The index of each gold's prediction.
struct Matches {
    predictions: Vec<Option<usize>>,
    problems: Vec<Problem>,
}

impl Matches {
    fn find(&mut self, table: &AnswerTable, golds: &Golds) {
        let by_id = golds.by_id();
        let mut by_qa_id: Option<HashMap<&str, Option<usize>>> = None;
        for (index, row) in table.rows.iter().enumerate() {
            let id = row.id.as_str();
            let found = match by_id.get(id) {
                Some(location) => Some(Some(*location)),
                // The number of a record is not a `qa_id`.
                None if !table.has_ids => None,
                None => by_qa_id
                    .get_or_insert_with(|| golds.by_qa_id())
                    .get(id)
                    .copied(),
            };
            match found {
                Some(Some(location)) => self.take(table, index, row, location),
                Some(None) => self.problems.push(Problem::SeveralGolds {
                    id: row.id.clone(),
                    location: table.location(row),
                }),
                None => self.problems.push(Problem::NoGold {
                    id: row.id.clone(),
                    location: table.location(row),
                }),
            }
        }
    }

    fn take(&mut self, table: &AnswerTable, index: usize, row: &AnswerRow, location: usize) {
        let Some(taken) = self.predictions.get_mut(location) else {
            return;
        };
        let Some(first) = taken.and_then(|first| table.rows.get(first)) else {
            *taken = Some(index);
            return;
        };
        let (first, again) = (table.location(first), table.location(row));
        self.problems.push(Problem::DuplicateId {
            what: "prediction",
            id: row.id.clone(),
            first,
            again,
        });
    }
}

/// The problem of a gold of the file that differs from the separate one. A list written as a text
/// does not differ.
fn difference(table: &AnswerTable, row: &AnswerRow, separate: &AnswerRow) -> Option<Problem> {
    let (own, separate) = (row.gold.as_ref()?, separate.gold.as_ref()?);
    let items = |gold: &Gold| gold.text().replace(['[', ']', '\'', '"'], "");
    let is_list = matches!((own, separate), (Gold::List(_), _) | (_, Gold::List(_)));
    if own == separate || (is_list && items(own) == items(separate)) {
        return None;
    }
    let (own, separate) = (own.text().into_owned(), separate.text().into_owned());
    Some(Problem::GoldsDiffer {
        id: row.id.clone(),
        location: table.location(row),
        own,
        separate,
    })
}

fn nothing_in_common(table: &AnswerTable, golds: &Golds) -> String {
    let first = |rows: &[AnswerRow]| {
        rows.first()
            .map(|row| OneLine(&row.id).to_string())
            .unwrap_or_default()
    };
    let advice = if table.has_ids {
        "are they of the same data?"
    } else {
        "name the column of ids with --id-column"
    };
    format!(
        "not one of the {} predictions (the first id is `{}`) belongs to one of the {} golds (the first is `{}`): {advice}",
        table.rows.len(),
        first(&table.rows),
        golds.table.rows.len(),
        first(&golds.table.rows)
    )
}
