//! Greedy decoding of several questions at once.

use anyhow::{Context, Result};
use candle_core::{DType, Tensor};

use super::pix2struct::{Model, State};

/// Answers the questions of a batch: `encoded` are their encoder states ([N, H] each, N may differ). Returns the new token
/// ids of each, the end token included where it was reached, the start token not.
///
/// Every step feeds one token of each unfinished question; a finished one leaves the batch. A question's tokens do
/// not depend on the others or on their number. Of equal logits the lowest id wins, as in transformers.
///
/// # Errors
/// The states are not the model's.
pub fn greedy(model: &Model, encoded: &[Tensor], max_new_tokens: usize) -> Result<Vec<Vec<u32>>> {
    let generation = model.generation();
    let mut answers: Vec<Answer> = encoded
        .iter()
        .map(|states| Ok(Answer { state: model.start(states)?, last: generation.start, ids: Vec::new() }))
        .collect::<Result<_>>()?;
    for _ in 0..max_new_tokens {
        let finished = |answer: &Answer| answer.ids.last().is_some_and(|id| generation.eos.contains(id));
        let mut open: Vec<&mut Answer> = answers.iter_mut().filter(|answer| !finished(answer)).collect();
        if open.is_empty() {
            break;
        }
        let mut batch: Vec<(&mut State, &[u32])> =
            open.iter_mut().map(|answer| (&mut answer.state, std::slice::from_ref(&answer.last))).collect();
        let logits = model.step(&mut batch).context("decoding step")?;
        for (answer, id) in open.iter_mut().zip(argmax(&logits)?) {
            answer.last = id;
            answer.ids.push(id);
        }
    }
    Ok(answers.into_iter().map(|answer| answer.ids).collect())
}

struct Answer {
    state: State,
    last: u32,
    ids: Vec<u32>,
}

/// The place of the first largest value of each row.
fn argmax(logits: &Tensor) -> Result<Vec<u32>> {
    let rows: Vec<Vec<f32>> = logits.to_dtype(DType::F32)?.to_vec2()?;
    let best = |row: &Vec<f32>| {
        let mut best = 0;
        for (id, value) in row.iter().enumerate() {
            if *value > row[best] {
                best = id;
            }
        }
        best as u32
    };
    Ok(rows.iter().map(best).collect())
}
