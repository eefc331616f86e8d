//! Finds the prediction of each separate gold: by id, by order, or by question.

use std::collections::{HashMap, VecDeque};

use anyhow::{Result, bail, ensure};

use super::golds::Golds;
use super::join::difference;
use super::problem::{OneLine, Problem};
use super::table::{AnswerRow, AnswerTable};
use chartbench_core::question::{Gold, stem};

/// How predictions find the golds of another file or of a benchmark.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum MatchBy {
    /// By ids; without a common one by order, and where the order differs by question.
    Auto,
    /// By ids; without ids by the numbers of the records.
    #[default]
    Ids,
    /// The first prediction belongs to the first question, and so on; their counts must be equal.
    Order,
    /// By the text of the question; with the chart and the gold answer where the file has them.
    Question,
}

/// What two rows have in common that ask the same.
type RowKey = Vec<String>;
/// Makes the key of a row, if the row has what it needs.
type KeyOfRow = fn(&AnswerRow) -> Option<RowKey>;

/// How the predictions of a file found their golds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Matched {
    /// Never [`MatchBy::Auto`].
    pub by: MatchBy,
    /// Predictions that several golds fit alike; they were matched in order.
    pub repeated: usize,
}

/// The prediction of each gold.
pub(super) struct Matching {
    /// The index of each gold's prediction.
    pub(super) predictions: Vec<Option<usize>>,
    pub(super) problems: Vec<Problem>,
    pub(super) matched: Matched,
}

impl Matching {
    /// Finds the predictions of `golds`.
    ///
    /// # Errors
    /// Returns an error if no prediction belongs to a gold, if only one side has ids and the other
    /// is numbered, so that matches by id are accidental, or if the order is not the same.
    pub(super) fn find(table: &AnswerTable, golds: &Golds, match_by: MatchBy) -> Result<Self> {
        match match_by {
            MatchBy::Ids => Self::ids_or_error(table, golds),
            MatchBy::Order => Self::by_order(table, golds),
            MatchBy::Question => {
                let found = Self::by_question(table, golds);
                ensure!(
                    found.has_any(),
                    "not one of the {} predictions asks one of the {} questions",
                    table.rows.len(),
                    golds.table.rows.len()
                );
                Ok(found)
            }
            MatchBy::Auto => Self::automatic(table, golds),
        }
    }

    fn automatic(table: &AnswerTable, golds: &Golds) -> Result<Self> {
        let ids = Self::by_id(table, golds);
        // Numbers of records are ids only of questions that are numbered themselves.
        let are_ids = table.has_ids || (ids.has_all() && ids.problems.is_empty());
        if are_ids && ids.has_any() && ids.asks_the_same(table, golds) {
            return Ok(ids);
        }
        let order = match Self::by_order(table, golds) {
            Ok(order) => return Ok(order),
            Err(order) => order,
        };
        let question = Self::by_question(table, golds);
        ensure!(
            question.has_any(),
            "{}; by order: {order}; by question: none is asked",
            nothing_in_common(table, golds)
        );
        Ok(question)
    }

    fn new(golds: &Golds, by: MatchBy) -> Self {
        Self {
            predictions: vec![None; golds.table.rows.len()],
            problems: Vec::new(),
            matched: Matched { by, repeated: 0 },
        }
    }

    fn has_any(&self) -> bool {
        self.predictions.iter().any(Option::is_some)
    }

    fn has_all(&self) -> bool {
        self.predictions.iter().all(Option::is_some)
    }

    /// Whether at least half of the pairs whose questions are known ask the same, or one of them the
    /// other within a prompt.
    fn asks_the_same(&self, table: &AnswerTable, golds: &Golds) -> bool {
        let pairs = self.predictions.iter().zip(&golds.table.rows);
        let same: Vec<bool> = pairs
            .filter_map(|(index, gold)| {
                let own = table.rows.get((*index)?)?.question.as_deref()?;
                let (own, gold) = (words(own), words(gold.question.as_deref()?));
                Some(own.contains(&gold) || gold.contains(&own))
            })
            .collect();
        2 * same.iter().filter(|same| **same).count() >= same.len()
    }

    fn ids_or_error(table: &AnswerTable, golds: &Golds) -> Result<Self> {
        let found = Self::by_id(table, golds);
        if !found.has_any() {
            bail!("{}", nothing_in_common(table, golds));
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
        Ok(found)
    }

    fn by_id(table: &AnswerTable, golds: &Golds) -> Self {
        let mut matching = Self::new(golds, MatchBy::Ids);
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
                Some(Some(location)) => matching.take(table, index, row, location),
                Some(None) => matching.problems.push(Problem::SeveralGolds {
                    id: row.id.clone(),
                    location: table.location(row),
                }),
                None => matching.no_gold(table, row),
            }
        }
        matching
    }

    fn by_order(table: &AnswerTable, golds: &Golds) -> Result<Self> {
        let pairs = || table.rows.iter().zip(&golds.table.rows);
        ensure!(
            table.rows.len() == golds.table.rows.len(),
            "{} predictions and {} questions; a match by order needs as many",
            table.rows.len(),
            golds.table.rows.len()
        );
        let mut asked = false;
        for (row, gold) in pairs() {
            let (Some(own), Some(question)) = (&row.question, &gold.question) else {
                continue;
            };
            asked = true;
            ensure!(
                words(own) == words(question),
                "the order is another: {} asks `{}`, where the question is `{}`",
                table.location(row),
                OneLine(own),
                OneLine(question)
            );
        }
        let differ = pairs().filter(|(row, gold)| difference(table, row, gold).is_some());
        let differ = differ.count();
        ensure!(
            asked || 2 * differ <= table.rows.len(),
            "the order is another: {differ} of {} gold answers differ",
            table.rows.len()
        );
        let mut matching = Self::new(golds, MatchBy::Order);
        matching.predictions = (0..table.rows.len()).map(Some).collect();
        Ok(matching)
    }

    /// By question, chart and gold answer; what is left without the chart, then without the gold
    /// answer, then by the question alone, if it is asked once.
    fn by_question(table: &AnswerTable, golds: &Golds) -> Self {
        let mut matching = Self::new(golds, MatchBy::Question);
        let mut left: Vec<usize> = (0..table.rows.len()).collect();
        let keys: [KeyOfRow; 3] = [full_key, question_and_gold, question_and_chart];
        for key in keys {
            let mut open: HashMap<RowKey, VecDeque<usize>> = HashMap::new();
            for (index, gold) in golds.table.rows.iter().enumerate() {
                if matching.predictions.get(index) == Some(&None)
                    && let Some(key) = key(gold)
                {
                    open.entry(key).or_default().push_back(index);
                }
            }
            left.retain(|&index| {
                let row = table.rows.get(index).and_then(key);
                let Some(golds) = row.and_then(|key| open.get_mut(&key)) else {
                    return true;
                };
                let several = golds.len() > 1;
                let found = golds.pop_front();
                if let Some(slot) = found.and_then(|found| matching.predictions.get_mut(found)) {
                    *slot = Some(index);
                    matching.matched.repeated += usize::from(several);
                }
                found.is_none()
            });
        }
        let mut once: HashMap<String, Option<usize>> = HashMap::new();
        for (index, gold) in golds.table.rows.iter().enumerate() {
            if let Some(question) = &gold.question {
                once.entry(words(question))
                    .and_modify(|unique| *unique = None)
                    .or_insert(Some(index));
            }
        }
        for index in left {
            let Some(row) = table.rows.get(index) else {
                continue;
            };
            let question = row.question.as_deref().map(words);
            match question.and_then(|question| once.get(&question).copied().flatten()) {
                Some(gold) => matching.take(table, index, row, gold),
                None => matching.no_gold(table, row),
            }
        }
        matching
    }

    fn no_gold(&mut self, table: &AnswerTable, row: &AnswerRow) {
        self.problems.push(Problem::NoGold {
            id: row.id.clone(),
            location: table.location(row),
        });
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

/// A text with single spaces.
fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The question with the gold answer, whichever way a list is written.
fn question_and_gold(row: &AnswerRow) -> Option<RowKey> {
    let gold = row.gold.as_ref().map(Gold::text)?;
    let gold = gold.replace(['[', ']', '\'', '"'], "");
    Some(vec![words(row.question.as_deref()?), words(&gold)])
}

/// The question with the gold answer and the chart.
fn full_key(row: &AnswerRow) -> Option<RowKey> {
    let mut key = question_and_gold(row)?;
    key.push(chart_name(row)?);
    Some(key)
}

fn question_and_chart(row: &AnswerRow) -> Option<RowKey> {
    Some(vec![words(row.question.as_deref()?), chart_name(row)?])
}

/// The chart's name without folders and an image's extension.
fn chart_name(row: &AnswerRow) -> Option<String> {
    let name = row.chart.as_deref()?.rsplit(['/', '\\']).next()?;
    Some(stem(name).to_owned())
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
