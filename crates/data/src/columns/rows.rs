//! Makes questions of a row's values.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result, bail};

use super::map::{AnswerChoice, ColumnMap};
use super::value::Value;
use crate::notes::{NO_ANSWER, NO_QUESTION, Notes};
use chartbench_core::parse_field;
use chartbench_core::question::{Gold, Question, QuestionContext, Turn};

/// The names of the question and of the answer in a record that has both.
const QUESTION_FIELDS: [&str; 3] = ["question", "query", "q"];
const ANSWER_FIELDS: [&str; 3] = ["answer", "label", "a"];

/// What a row asks about its chart.
#[derive(Debug)]
pub(super) struct RowQuestions {
    pub(super) chart_type: Option<String>,
    /// The questions with ids of their own in the row: empty where it has one question, else `/0`,
    /// `/1` and so on.
    pub(super) questions: Vec<Question>,
}

/// A question of a row before it has an id.
struct Asked {
    text: Option<String>,
    gold: Option<Gold>,
    history: Vec<Turn>,
}

/// Reads the questions of a row. Questions without a text or an answer are left out and counted.
///
/// # Errors
/// Returns an error if a value has a type that it cannot have; the error names the column.
pub(super) fn questions(
    map: &ColumnMap,
    row: &Value,
    place: &dyn Fn() -> String,
    notes: &mut Notes,
) -> Result<RowQuestions> {
    let text = |column: &Option<String>| {
        let text = column.as_ref().and_then(|column| row.get(column).text());
        text.filter(|text| !text.is_empty())
    };
    let (asked, several) = asked(map, row)?;
    let paragraph = text(&map.paragraph).unwrap_or_default();
    let slices: BTreeMap<String, String> = map
        .slices
        .iter()
        .filter_map(|column| Some((column.clone(), row.get(column).text()?)))
        .filter(|(_, value)| !value.is_empty())
        .collect();
    let mut questions = Vec::with_capacity(asked.len());
    for (
        index,
        Asked {
            text: asked,
            gold,
            history,
        },
    ) in asked.into_iter().enumerate()
    {
        let Some(asked) = asked.filter(|text| !text.trim().is_empty()) else {
            notes.count(NO_QUESTION, place);
            continue;
        };
        let Some(gold) = gold else {
            notes.count(NO_ANSWER, place);
            continue;
        };
        let context = (!paragraph.is_empty() || !history.is_empty()).then(|| {
            Arc::new(QuestionContext {
                paragraph: paragraph.clone(),
                history,
            })
        });
        questions.push(Question {
            id: if several {
                format!("/{index}")
            } else {
                String::new()
            },
            text: map.fill_prompt(asked),
            gold,
            answer_type: None,
            taxonomy: None,
            template: None,
            source: text(&map.source),
            slices: slices.clone(),
            context,
        });
    }
    Ok(RowQuestions {
        chart_type: text(&map.chart_type)
            .as_deref()
            .and_then(parse_field::chart_type),
        questions,
    })
}

/// Whether the map reads the row.
pub(super) fn is_read(map: &ColumnMap, row: &Value) -> bool {
    let has = |(column, value): (&String, &String)| row.get(column).text().as_ref() == Some(value);
    map.only.iter().all(has)
}

/// The questions of a row, and whether it may have several.
fn asked(map: &ColumnMap, row: &Value) -> Result<(Vec<Asked>, bool)> {
    let none = Value::Null;
    let answer = map.answer.as_ref().map_or(&none, |column| row.get(column));
    let in_answer = || format!("column `{}`", map.answer.as_deref().unwrap_or_default());
    let question = row.get(&map.question);
    let is_record = |value: &Value| matches!(value, Value::Record(_));
    Ok(match question {
        Value::List(items) if items.iter().any(is_record) => {
            let pairs: Result<Vec<Asked>> = items.iter().map(|item| pair(map, item)).collect();
            (
                pairs.with_context(|| format!("column `{}`", map.question))?,
                true,
            )
        }
        Value::Record(_) => (zipped(map, question)?, true),
        Value::List(turns) => {
            let choice = map.answers.unwrap_or(AnswerChoice::Last);
            let gold = chosen(answer, choice).with_context(in_answer)?;
            (vec![conversation(turns, answer, gold)?], false)
        }
        Value::Null | Value::Text(_) => {
            let choice = map.answers.unwrap_or(AnswerChoice::All);
            let asked = Asked {
                text: question.text(),
                gold: chosen(answer, choice).with_context(in_answer)?,
                history: Vec::new(),
            };
            (vec![asked], false)
        }
    })
}

/// The last of several turns, after the others with their answers.
fn conversation(turns: &[Value], answer: &Value, gold: Option<Gold>) -> Result<Asked> {
    let earlier = turns.split_last().map_or(turns, |(_, earlier)| earlier);
    let answers = match answer {
        Value::List(answers) => answers.as_slice(),
        _ => &[],
    };
    let mut history = Vec::with_capacity(earlier.len());
    for (index, turn) in earlier.iter().enumerate() {
        let answer = answers.get(index).map(Value::gold).transpose()?;
        history.push(Turn {
            question: turn.text().unwrap_or_default(),
            answer: answer.flatten(),
        });
    }
    Ok(Asked {
        text: turns.last().and_then(Value::text),
        gold,
        history,
    })
}

/// The answer of a cell by the map's choice.
fn chosen(answer: &Value, choice: AnswerChoice) -> Result<Option<Gold>> {
    match (answer, choice) {
        (Value::List(items), AnswerChoice::First) => items.first().map_or(Ok(None), Value::gold),
        (Value::List(items), AnswerChoice::Last) => items.last().map_or(Ok(None), Value::gold),
        (whole, _) => whole.gold(),
    }
}

/// A record with a question and its answer.
fn pair(map: &ColumnMap, record: &Value) -> Result<Asked> {
    let Some(question) = field(record, &QUESTION_FIELDS) else {
        bail!("its records have no `question`");
    };
    let Some(answer) = field(record, &ANSWER_FIELDS) else {
        bail!("its records have no `answer`");
    };
    Ok(Asked {
        text: question.text(),
        gold: chosen(answer, map.answers.unwrap_or(AnswerChoice::All))?,
        history: Vec::new(),
    })
}

/// A record of two lists, as Hugging Face's libraries store a sequence of records.
fn zipped(map: &ColumnMap, record: &Value) -> Result<Vec<Asked>> {
    let lists = (
        field(record, &QUESTION_FIELDS),
        field(record, &ANSWER_FIELDS),
    );
    let (Some(Value::List(questions)), Some(Value::List(answers))) = lists else {
        bail!(
            "column `{}`: its records have no lists `question` and `answer`",
            map.question
        );
    };
    let mut asked = Vec::with_capacity(questions.len());
    for (index, question) in questions.iter().enumerate() {
        let answer = answers.get(index).unwrap_or(&Value::Null);
        asked.push(Asked {
            text: question.text(),
            gold: chosen(answer, map.answers.unwrap_or(AnswerChoice::All))?,
            history: Vec::new(),
        });
    }
    Ok(asked)
}

/// The first field of a record that has one of these names, in any case.
fn field<'a>(record: &'a Value, names: &[&str]) -> Option<&'a Value> {
    let Value::Record(fields) = record else {
        return None;
    };
    let found = names.iter().find_map(|name| {
        fields
            .iter()
            .find(|(own, _)| own.eq_ignore_ascii_case(name))
    });
    found.map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map() -> ColumnMap {
        ColumnMap {
            image: "image".to_owned(),
            question: "q".to_owned(),
            answer: Some("a".to_owned()),
            chart: None,
            id: None,
            source: None,
            chart_type: None,
            paragraph: None,
            slices: Vec::new(),
            answers: None,
            names: BTreeMap::new(),
            only: BTreeMap::new(),
            prompt: None,
        }
    }

    fn list(items: &[&str]) -> Value {
        Value::List(items.iter().map(|item| text(item)).collect())
    }

    fn text(text: &str) -> Value {
        Value::Text(text.to_owned())
    }

    fn record(values: &[(&str, Value)]) -> Value {
        let values = values.iter().cloned();
        Value::Record(
            values
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
        )
    }

    fn read(map: &ColumnMap, row: &Value) -> (Vec<Question>, Vec<String>) {
        let mut notes = Notes::default();
        let read = questions(map, row, &|| "row 0".to_owned(), &mut notes).unwrap();
        (read.questions, notes.into_lines())
    }

    #[test]
    fn the_last_turn_is_asked_and_the_others_are_its_history() {
        let row = record(&[("q", list(&["A?", "B?"])), ("a", list(&["1", "2"]))]);
        let (questions, _) = read(&map(), &row);
        let [question] = questions.as_slice() else {
            panic!("one question")
        };
        assert_eq!(
            (question.text.as_str(), &question.gold),
            ("B?", &"2".into())
        );
        let history = &question.context.as_ref().unwrap().history;
        assert_eq!(history.len(), 1);
        assert_eq!(history[0].question, "A?");
        assert_eq!(history[0].answer, Some("1".into()));

        let single = record(&[("q", list(&["A?"])), ("a", list(&["1"]))]);
        assert!(read(&map(), &single).0[0].context.is_none());
        // One row of ChartQAPro has fewer answers than turns.
        let short = record(&[("q", list(&["A?", "B?", "C?"])), ("a", list(&["1"]))]);
        let (questions, _) = read(&map(), &short);
        assert_eq!(
            questions[0].context.as_ref().unwrap().history[1].answer,
            None
        );
    }

    #[test]
    fn records_are_a_question_each() {
        let pair = |q: &str, a: Value| record(&[("question", text(q)), ("answer", a)]);
        let pairs = Value::List(vec![pair("A?", text("Yes")), pair("B?", Value::Null)]);
        let mut map = map();
        map.answer = None;
        let (questions, lines) = read(&map, &record(&[("q", pairs)]));
        assert_eq!(questions.len(), 1);
        assert_eq!(
            (questions[0].id.as_str(), &questions[0].gold),
            ("/0", &"Yes".into())
        );
        assert_eq!(lines, [format!("{NO_ANSWER}: 1, first row 0")]);

        let lists = record(&[("question", list(&["A?"])), ("answer", list(&["Yes"]))]);
        let (questions, _) = read(&map, &record(&[("q", lists)]));
        assert_eq!(
            (questions[0].text.as_str(), &questions[0].gold),
            ("A?", &"Yes".into())
        );
    }

    #[test]
    fn the_map_chooses_among_answers() {
        let row = record(&[("q", text("A?")), ("a", list(&["1", "2"]))]);
        let mut map = map();
        let gold = |map: &ColumnMap| read(map, &row).0[0].gold.clone();
        assert_eq!(gold(&map), Gold::List(vec!["1".into(), "2".into()]));
        map.answers = Some(AnswerChoice::First);
        assert_eq!(gold(&map), "1".into());
        map.answers = Some(AnswerChoice::Last);
        assert_eq!(gold(&map), "2".into());
        let (questions, lines) = read(&map, &record(&[("q", text(" ")), ("a", text("1"))]));
        assert!(questions.is_empty());
        assert_eq!(lines, [format!("{NO_QUESTION}: 1, first row 0")]);
    }
}
