//! Predictions and golds to answered questions.

use std::collections::HashMap;

use anyhow::{Context, Result, bail};

use super::golds::Golds;
use super::problem::{OneLine, Problem};
use super::table::{Row, Table};
use super::{Answered, Imported};
use chartbench_core::question::{AnswerType, Gold, Prediction};

/// The answers of a file that has the golds beside its predictions, in its order.
///
/// # Errors
/// None in practice: the reader saw to it that each row has a gold.
pub(super) fn own(mut table: Table) -> Result<Imported> {
    table.drop_doubled("id");
    let answered = |mut row: Row| {
        let gold = row.gold.take().context("a row without gold")?;
        let answer_type = row.answer_type;
        let prediction = prediction(&mut row, &gold, answer_type);
        let year_flags = row.year_flags().text().map(str::to_owned);
        let Row { id, question, chart, .. } = row;
        Ok(Answered { id, gold, prediction, question, answer_type, chart, year_flags })
    };
    let answers = table.rows.into_iter().map(answered).collect::<Result<_>>()?;
    Ok(Imported { answers, problems: table.problems })
}

/// The golds, in their order, with the predictions that have their ids.
///
/// # Errors
/// Not a single prediction has the id of a gold: they are of different data, or of differently called ids. One side has ids
/// and the other one is numbered, which fits by chance alone.
pub(super) fn separate(mut table: Table, golds: &Golds) -> Result<Imported> {
    let mut joined = Joined { predictions: vec![None; golds.table.rows.len()], problems: Vec::new() };
    joined.find(&table, golds);
    let Joined { predictions, problems: unmatched } = joined;
    if predictions.iter().all(Option::is_none) {
        bail!("{}", nothing_in_common(&table, golds));
    }
    if golds.from_file && table.has_ids != golds.table.has_ids {
        let (without, with) = if table.has_ids { ("golds", "predictions") } else { ("predictions", "golds") };
        bail!("the {without} have no ids and the {with} have: name the column of ids with --id-column");
    }
    let mut problems = golds.table.problems.clone();
    problems.append(&mut table.problems);
    problems.extend(unmatched);
    let mut answers = Vec::with_capacity(predictions.len());
    for (gold, index) in golds.table.rows.iter().zip(predictions) {
        let mut row = match index.and_then(|index| table.rows.get_mut(index)).map(std::mem::take) {
            Some(row) => {
                problems.extend(difference(&table, &row, gold));
                row
            }
            None => {
                let place = golds.from_file.then(|| golds.table.place(gold));
                problems.push(Problem::NoPrediction { id: gold.id.clone(), place });
                Row::default()
            }
        };
        let answer = gold.gold.clone().context("a gold without answer")?;
        let answer_type = gold.answer_type.or(row.answer_type);
        let year_flags = gold.year_flags().text().or(row.year_flags().text()).map(str::to_owned);
        answers.push(Answered {
            id: gold.id.clone(),
            prediction: prediction(&mut row, &answer, answer_type),
            gold: answer,
            question: gold.question.clone().or(row.question),
            answer_type,
            chart: gold.chart.clone().or(row.chart),
            year_flags,
        });
    }
    Ok(Imported { answers, problems })
}

/// The row's prediction. A list of one item is that item, as it is on the side of the gold answer, but where a list is
/// asked for.
fn prediction(row: &mut Row, gold: &Gold, answer_type: Option<AnswerType>) -> Option<Prediction> {
    let several = matches!(gold, Gold::List(items) if items.len() != 1)
        || matches!(answer_type, Some(AnswerType::RankedList | AnswerType::UnrankedList));
    let item = if several { None } else { row.only_item.take() };
    item.or_else(|| row.prediction.take())
}

/// The index of each gold's prediction.
struct Joined {
    predictions: Vec<Option<usize>>,
    problems: Vec<Problem>,
}

impl Joined {
    fn find(&mut self, table: &Table, golds: &Golds) {
        let by_id = golds.by_id();
        let mut by_qa_id: Option<HashMap<&str, Option<usize>>> = None;
        for (index, row) in table.rows.iter().enumerate() {
            let id = row.id.as_str();
            let found = match by_id.get(id) {
                Some(place) => Some(Some(*place)),
                // A record's number is no `qa_id`.
                None if !table.has_ids => None,
                None => by_qa_id.get_or_insert_with(|| golds.by_qa_id()).get(id).copied(),
            };
            match found {
                Some(Some(place)) => self.take(table, index, row, place),
                Some(None) => self.problems.push(Problem::SeveralGolds { id: row.id.clone(), place: table.place(row) }),
                None => self.problems.push(Problem::NoGold { id: row.id.clone(), place: table.place(row) }),
            }
        }
    }

    fn take(&mut self, table: &Table, index: usize, row: &Row, place: usize) {
        let Some(taken) = self.predictions.get_mut(place) else { return };
        let Some(first) = taken.and_then(|first| table.rows.get(first)) else {
            *taken = Some(index);
            return;
        };
        let (first, again) = (table.place(first), table.place(row));
        self.problems.push(Problem::Doubled { what: "prediction", id: row.id.clone(), first, again });
    }
}

/// A gold of the file's own that the separate one contradicts. A list written as a text is no contradiction.
fn difference(table: &Table, row: &Row, separate: &Row) -> Option<Problem> {
    let (own, separate) = (row.gold.as_ref()?, separate.gold.as_ref()?);
    let items = |gold: &Gold| gold.text().replace(['[', ']', '\'', '"'], "");
    let is_list = matches!((own, separate), (Gold::List(_), _) | (_, Gold::List(_)));
    if own == separate || (is_list && items(own) == items(separate)) {
        return None;
    }
    let (own, separate) = (own.text().into_owned(), separate.text().into_owned());
    Some(Problem::GoldsDiffer { id: row.id.clone(), place: table.place(row), own, separate })
}

fn nothing_in_common(table: &Table, golds: &Golds) -> String {
    let first = |rows: &[Row]| rows.first().map(|row| OneLine(&row.id).to_string()).unwrap_or_default();
    let advice = if table.has_ids { "are they of the same data?" } else { "name the column of ids with --id-column" };
    format!(
        "not one of the {} predictions (the first id is `{}`) belongs to one of the {} golds (the first is `{}`): {advice}",
        table.rows.len(),
        first(&table.rows),
        golds.table.rows.len(),
        first(&golds.table.rows)
    )
}
