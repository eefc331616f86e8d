//! Guesses which columns are which by their names, for data whose benchmark is not named.

use std::collections::{BTreeMap, HashSet};

use ::parquet::schema::types::TypePtr;
use anyhow::{Result, bail};

use super::map::ColumnMap;
use chartbench_core::question::{ChartQuestions, QUESTION_TYPE, YEAR};
use chartbench_core::terminal::shorten;

/// Most different values of a column that is kept as a slice.
const MAX_VALUES: usize = 100;

const IMAGE: &[&str] = &["image", "picture", "img", "figure", "chart", "image_path"];
const QUESTION: &[&str] = &["question", "query", "qa", "conversation", "qa_pairs"];
const ANSWER: &[&str] = &["answer", "label", "answers"];
const CHART: &[&str] = &["imgname", "image_name", "chart_id", "figure_id"];
const ID: &[&str] = &["id", "qid", "question_id"];
const CHART_TYPE: &[&str] = &["chart_type"];
const SOURCE: &[&str] = &["source"];
const PARAGRAPH: &[&str] = &["paragraph"];

/// Guesses the columns by the usual names, in any case; other columns of plain values are slices.
/// `path` is the file's, for the error.
///
/// # Errors
/// Returns an error if an image, a question or an answer is not among the names.
pub(super) fn guess(columns: &[TypePtr], path: &str) -> Result<ColumnMap> {
    let named = |names: &[&str]| {
        names.iter().find_map(|name| {
            columns
                .iter()
                .map(|column| column.name())
                .find(|column| column.eq_ignore_ascii_case(name))
                .map(str::to_owned)
        })
    };
    let missing = |what: &str, names: &[&str]| -> Result<ColumnMap> {
        let own: Vec<String> = columns
            .iter()
            .map(|column| shorten(column.name()))
            .collect();
        bail!(
            "{path}: no column is called {} for the {what}; columns are {}: [columns] of a benchmark file names them",
            names.join(" or "),
            own.join(", ")
        )
    };
    let Some(image) = named(IMAGE) else {
        return missing("image", IMAGE);
    };
    let Some(question) = named(QUESTION) else {
        return missing("question", QUESTION);
    };
    let answer = named(ANSWER);
    let holds_answers = columns
        .iter()
        .any(|column| column.name() == question && !column.is_primitive());
    if answer.is_none() && !holds_answers {
        return missing("answer", ANSWER);
    }
    let mut map = ColumnMap {
        image,
        question,
        answer,
        chart: named(CHART),
        id: named(ID),
        source: named(SOURCE),
        chart_type: named(CHART_TYPE),
        paragraph: named(PARAGRAPH),
        slices: Vec::new(),
        answers: None,
        names: Default::default(),
        only: Default::default(),
        prompt: None,
    };
    let is_read = |name: &str| name == map.image || map.columns().any(|column| column == name);
    let slices = columns
        .iter()
        .filter(|column| column.is_primitive() || is_chartqapro(column.name()))
        .map(|column| column.name())
        .filter(|name| !is_read(name));
    map.slices = slices.map(str::to_owned).collect();
    Ok(map)
}

/// Whether a column's lists are slices that ChartQAPro's scoring reads.
fn is_chartqapro(column: &str) -> bool {
    [YEAR, QUESTION_TYPE].contains(&column)
}

/// Removes the slices that have more than [`MAX_VALUES`] different values, and names them.
pub(super) fn drop_many_values(charts: &mut [ChartQuestions]) -> Vec<String> {
    let mut values: BTreeMap<String, HashSet<&String>> = BTreeMap::new();
    let questions = charts.iter().flat_map(|chart| &chart.questions);
    for (name, value) in questions.flat_map(|question| &question.slices) {
        let seen = match values.get_mut(name) {
            Some(seen) => seen,
            None => values.entry(name.clone()).or_default(),
        };
        if seen.len() <= MAX_VALUES {
            seen.insert(value);
        }
    }
    values.retain(|_, seen| seen.len() > MAX_VALUES);
    let names: Vec<String> = values.into_keys().collect();
    for question in charts.iter_mut().flat_map(|chart| &mut chart.questions) {
        question.slices.retain(|name, _| !names.contains(name));
    }
    names.iter().map(|name| shorten(name)).collect()
}

/// The guesses in a line.
pub(super) fn describe(map: &ColumnMap) -> String {
    let optional = [
        ("answer", &map.answer),
        ("chart", &map.chart),
        ("id", &map.id),
        ("source", &map.source),
        ("chart_type", &map.chart_type),
        ("paragraph", &map.paragraph),
    ];
    let required = [("image", &map.image), ("question", &map.question)];
    let optional = optional
        .iter()
        .filter_map(|(key, column)| Some((*key, column.as_ref()?)));
    let pairs: Vec<String> = required
        .into_iter()
        .chain(optional)
        .map(|(key, column)| format!("{key} = {}", shorten(column)))
        .collect();
    let chart = if map.chart.is_some() {
        ""
    } else {
        "; charts told apart by their images"
    };
    format!(
        "columns guessed by their names: {}{chart}",
        pairs.join(", ")
    )
}
