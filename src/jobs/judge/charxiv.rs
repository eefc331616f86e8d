//! CharXiv's judge: `descriptive_utils.py` and `reasoning_utils.py` of its repository, whose wording
//! is read from a clone.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::protocol::{Finding, JudgeCall, ReplyFault, Response};
use chartbench_core::judgement::Verdict;
use chartbench_core::terminal::shorten;
use chartbench_data::{CharXivClone, format_fields};

/// The convention with the official batches.
pub(super) const BATCHED: &str = "charxiv";
/// The convention that has each descriptive answer judged by itself.
pub(super) const SINGLE: &str = "charxiv-single";
/// Descriptive answers in an official request.
pub(super) const BATCH: usize = 5;

/// The requests about descriptive answers: those of one template together over all charts, in the
/// order of the clone's file.
pub(super) fn descriptive(
    clone: &CharXivClone,
    responses: &[Response<'_>],
    batch: usize,
) -> Result<Vec<JudgeCall>> {
    let mut left = by_id(responses);
    let mut groups: BTreeMap<usize, Vec<&Response<'_>>> = BTreeMap::new();
    for figure in clone.descriptive()? {
        for (index, (qid, answer)) in figure.qids.iter().zip(&figure.answers).enumerate() {
            if let Some(response) = left.remove(format!("{}_{index}", figure.figure_id).as_str()) {
                check_gold(response, answer)?;
                groups.entry(*qid).or_default().push(response);
            }
        }
    }
    check_known(&left)?;
    let mut calls = Vec::new();
    for (qid, group) in groups {
        for batch in group.chunks(batch) {
            calls.push(JudgeCall::new(
                descriptive_message(clone, qid, batch)?,
                batch,
            ));
        }
    }
    Ok(calls)
}

fn descriptive_message(
    clone: &CharXivClone,
    qid: usize,
    batch: &[&Response<'_>],
) -> Result<String> {
    let constants = &clone.constants;
    let keys: Vec<String> = (1..=batch.len())
        .flat_map(|number| [extracted_key(number), score_key(number)])
        .map(|key| format!("'{key}'"))
        .collect();
    let mut message = constants
        .text("DESCRIPTIVE_GRADING_PREFIX")?
        .replace("<|NUM_TRIPLETS|>", &batch.len().to_string())
        .replace(
            "<|OVERARCHING_QUESTION|>",
            constants.text_in("DESCRIPTIVE_GRADING_QMAP", &qid.to_string())?,
        )
        .replace("<|JSON_KEYS|>", &format!("[{}]", keys.join(", ")));
    message += constants.text_in("DESCRIPTIVE_GRADING_ICL", rubric(qid))?;
    let pair = clone
        .descriptive_utils
        .assigned_text("curr_query", |text| text.contains("{}"))?;
    for (index, response) in batch.iter().enumerate() {
        let number = (index + 1).to_string();
        let gold = response.record.gold.text();
        message += &format_fields(pair, &[&number, &number, response.text, &number, &gold])
            .context("descriptive_utils.py: curr_query")?;
    }
    Ok(message)
}

/// The key of a template's rubric.
fn rubric(qid: usize) -> &'static str {
    match qid {
        1 => "title",
        2..=7 => "ocr",
        11 => "bool",
        13 => "enum",
        16 => "trend",
        18 => "layout",
        _ => "quant",
    }
}

/// The requests about reasoning answers, one by one in the order of the clone's file.
pub(super) fn reasoning(
    clone: &CharXivClone,
    responses: &[Response<'_>],
) -> Result<Vec<JudgeCall>> {
    let mut left = by_id(responses);
    let constants = &clone.constants;
    let prefix = constants.text("REASONING_GRADING_PREFIX")?;
    let mut calls = Vec::new();
    for figure in clone.reasoning()? {
        let Some(response) = left.remove(figure.figure_id.to_string().as_str()) else {
            continue;
        };
        check_gold(response, &figure.answer)?;
        let instruction =
            constants.text_in("REASONING_GRADING_INST", &figure.inst_category.to_string())?;
        let filled = instruction
            .replace("<|question|>", &figure.query)
            .replace("<|ground_truth|>", &figure.answer)
            .replace("<|response|>", response.text);
        calls.push(JudgeCall::new(format!("{prefix}{filled}"), &[response]));
    }
    check_known(&left)?;
    Ok(calls)
}

fn by_id<'a, 'b>(responses: &'a [Response<'b>]) -> HashMap<&'a str, &'a Response<'b>> {
    let named = |response: &'a Response<'b>| (response.record.id.as_str(), response);
    responses.iter().map(named).collect()
}

fn check_gold(response: &Response<'_>, answer: &str) -> Result<()> {
    let gold = response.record.gold.text();
    ensure!(
        gold == answer,
        "question `{}` has the answer `{}` in the clone, and `{}` in the run: name the clone that was asked from by --clone",
        shorten(&response.record.id),
        shorten(answer),
        shorten(&gold)
    );
    Ok(())
}

fn check_known(left: &HashMap<&str, &Response<'_>>) -> Result<()> {
    let first = left.keys().min();
    ensure!(
        first.is_none(),
        "question `{}` is none of the clone's: name the clone that was asked from by --clone",
        shorten(first.unwrap_or(&""))
    );
    Ok(())
}

fn extracted_key(number: usize) -> String {
    format!("extract_answer_T{number}")
}

fn score_key(number: usize) -> String {
    format!("score_T{number}")
}

/// Reads the reply about a batch, each of whose scores must be 1 or 0.
pub(super) fn read_descriptive(reply: &Value, answers: usize) -> Result<Vec<Finding>, ReplyFault> {
    let get = |key: String| {
        let found = reply.get(&key);
        found.ok_or_else(|| ReplyFault::Other(format!("the reply has no `{key}`")))
    };
    let read = |number| {
        let extracted = get(extracted_key(number))?.clone();
        let key = score_key(number);
        match verdict(get(key.clone())?) {
            Verdict::Invalid => Err(ReplyFault::Other(format!(
                "`{key}` of the reply is neither 0 nor 1"
            ))),
            score => Ok(Finding {
                extracted: Some(extracted),
                score,
            }),
        }
    };
    (1..=answers).map(read).collect()
}

/// Reads the reply about one reasoning answer. A score other than 1 and 0 is an invalid verdict and
/// no reason to ask again, as in the official code.
pub(super) fn read_reasoning(reply: &Value) -> Result<Vec<Finding>, ReplyFault> {
    let get = |key: &str| {
        let found = reply.get(key);
        found.ok_or_else(|| ReplyFault::Other(format!("the reply has no `{key}`")))
    };
    Ok(vec![Finding {
        extracted: Some(get("extracted_answer")?.clone()),
        score: verdict(get("score")?),
    }])
}

/// Python's `score in [0, 1]`.
fn verdict(score: &Value) -> Verdict {
    let number = score
        .as_f64()
        .or_else(|| score.as_bool().map(|score| f64::from(u8::from(score))));
    match number {
        Some(1.0) => Verdict::Correct,
        Some(0.0) => Verdict::Wrong,
        _ => Verdict::Invalid,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn scores_are_read_as_python_compares_them() {
        for (score, read) in [
            (json!(1), Verdict::Correct),
            (json!(1.0), Verdict::Correct),
            (json!(true), Verdict::Correct),
            (json!(-0.0), Verdict::Wrong),
            (json!(false), Verdict::Wrong),
            (json!("1"), Verdict::Invalid),
            (json!(0.5), Verdict::Invalid),
            (json!(null), Verdict::Invalid),
        ] {
            assert_eq!(verdict(&score), read, "{score}");
        }
    }

    #[test]
    fn a_batch_is_read_whole_or_not_at_all() {
        let two =
            json!({"extract_answer_T1": 5, "score_T1": 1, "extract_answer_T2": "a", "score_T2": 0});
        let found = read_descriptive(&two, 2).unwrap();
        assert_eq!(
            found,
            [(json!(5), Verdict::Correct), (json!("a"), Verdict::Wrong)].map(
                |(extracted, score)| Finding {
                    extracted: Some(extracted),
                    score
                }
            )
        );
        let fault = |reply: &Value, answers| match read_descriptive(reply, answers) {
            Err(ReplyFault::Other(fault)) => fault,
            other => panic!("{other:?}"),
        };
        assert_eq!(fault(&two, 3), "the reply has no `extract_answer_T3`");
        let odd = json!({"extract_answer_T1": 5, "score_T1": "1"});
        assert_eq!(fault(&odd, 1), "`score_T1` of the reply is neither 0 nor 1");
        assert_eq!(
            fault(&json!([1]), 1),
            "the reply has no `extract_answer_T1`"
        );
    }

    #[test]
    fn a_reasoning_score_is_taken_as_it_is() {
        let odd = json!({"extracted_answer": "5", "score": 0.5});
        assert_eq!(read_reasoning(&odd).unwrap()[0].score, Verdict::Invalid);
        let missing = json!({"extract_answer": "5", "score": 1});
        assert!(read_reasoning(&missing).is_err());
    }
}
