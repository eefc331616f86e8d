//! Pairs of assertions about one chart, of which the first is right and the second wrong.
//!
//! ChartBench asks both, one by one, and scores the pair. Both are questions of their own here,
//! with the ids `RECORD/0` and `RECORD/1` (VLMEvalKit: `RECORD_0` and `RECORD_1`) and the gold
//! answers yes and no. A pair's score is that of its right assertion, so that a mean over questions
//! counts each pair once, and intervals by chart hold.

use std::collections::HashMap;

use super::python;
use chartbench_core::question::{Gold, Prediction};

/// The other assertion of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counterpart<'a> {
    /// Its answer; `None` where that question failed.
    pub prediction: Option<&'a Prediction>,
}

/// The pairs among the answers of one model.
#[derive(Debug, Default)]
pub struct Counterparts<'a> {
    sides: HashMap<&'a str, [Option<Counterpart<'a>>; 2]>,
}

impl<'a> Counterparts<'a> {
    /// Finds the pairs among answers: the id, the gold answer, and the prediction of each.
    ///
    /// ```
    /// use chartbench_core::question::{Gold, Prediction};
    /// use chartbench_score::metric::Counterparts;
    /// let (yes, no) = (Gold::from("Yes"), Gold::from("No"));
    /// let reply = Prediction("No.".to_owned());
    /// let answers = [("7/0", &yes, None), ("7/1", &no, Some(&reply)), ("8/0", &yes, None)];
    /// let pairs = Counterparts::new(answers);
    /// assert_eq!(pairs.get("7/0").unwrap().prediction, Some(&reply));
    /// assert_eq!(pairs.get("7/1").unwrap().prediction, None);
    /// assert!(pairs.get("8/0").is_none() && pairs.get("7").is_none());
    /// ```
    pub fn new(
        answers: impl IntoIterator<Item = (&'a str, &'a Gold, Option<&'a Prediction>)>,
    ) -> Self {
        let mut sides: HashMap<&str, [Option<Counterpart<'a>>; 2]> = HashMap::new();
        for (id, gold, prediction) in answers {
            if let Some((record, side)) = Self::side(id, gold)
                && let Some(slot) = sides.entry(record).or_default().get_mut(side)
            {
                *slot = Some(Counterpart { prediction });
            }
        }
        sides.retain(|_, sides| sides.iter().all(Option::is_some));
        Self { sides }
    }

    /// The record of an assertion, and its place in the pair, by its id and its gold answer; `None`
    /// for any other question.
    pub fn side<'i>(id: &'i str, gold: &Gold) -> Option<(&'i str, usize)> {
        let (record, side) = split(id)?;
        let Gold::Text(text) = gold else {
            return None;
        };
        let word = if side == 0 { "yes" } else { "no" };
        says(text, word).then_some((record, side))
    }

    /// The other assertion of the pair that the question with this id belongs to.
    pub fn get(&self, id: &str) -> Option<Counterpart<'a>> {
        let (record, side) = split(id)?;
        *self.sides.get(record)?.get(1 - side)?
    }
}

/// The record of an id and the place in it, which is 0 or 1.
fn split(id: &str) -> Option<(&str, usize)> {
    let (record, side) = id.rsplit_once(['/', '_'])?;
    match side {
        "0" => Some((record, 0)),
        "1" => Some((record, 1)),
        _ => None,
    }
}

/// Whether a gold answer is `word`, but for case and white space.
pub(super) fn says(gold: &str, word: &str) -> bool {
    python::strip(gold).eq_ignore_ascii_case(word)
}
