//! Joins predictions with golds.

use anyhow::{Context, Result};

use super::golds::Golds;
use super::matching::{MatchBy, Matching};
use super::problem::Problem;
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
            failure,
            kind,
            question_type,
            is_clear,
            ..
        } = row;
        answers.push(ImportedAnswer {
            id,
            gold,
            prediction,
            failure,
            question,
            answer_type,
            chart,
            year_flags,
            question_type: kind.or(question_type),
            is_clear,
        });
    }
    Ok(ImportResult {
        answers,
        problems: table.problems,
        columns: table.columns,
        provenance: table.provenance,
        matched: None,
    })
}

/// Joins separate golds, in their order, with the predictions that `match_by` finds for them.
///
/// # Errors
/// As [`Matching::find`].
pub(super) fn join_separate_golds(
    mut table: AnswerTable,
    golds: &Golds,
    match_by: MatchBy,
) -> Result<ImportResult> {
    let Matching {
        predictions,
        problems: unmatched,
        matched,
    } = Matching::find(&table, golds, match_by)?;
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
            failure: row.failure,
            question: gold.question.clone().or(row.question),
            answer_type,
            chart: gold.chart.clone().or(row.chart),
            year_flags,
            question_type: [
                &gold.kind,
                &gold.question_type,
                &row.kind,
                &row.question_type,
            ]
            .into_iter()
            .find_map(Clone::clone),
            is_clear: gold.is_clear.or(row.is_clear),
        });
    }
    Ok(ImportResult {
        answers,
        problems,
        columns: table.columns,
        provenance: table.provenance,
        matched: Some(matched),
    })
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

/// The problem of a gold of the file that differs from the separate one. A list written as a text
/// does not differ.
pub(super) fn difference(
    table: &AnswerTable,
    row: &AnswerRow,
    separate: &AnswerRow,
) -> Option<Problem> {
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
