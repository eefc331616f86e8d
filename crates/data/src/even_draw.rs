//! A number of questions drawn from a whole split, each of its parts in proportion. Draws of one
//! seed are nested: a larger one holds the smaller.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BinaryHeap};

use anyhow::Result;

use chartbench_core::question::{AnswerType, Chart, ChartQuestions, Question, QuestionKind};
use chartbench_core::seeded_draw::draw_key;
use chartbench_score::metric::Counterparts;

/// Makes keys of this draw independent of those by which the questions of a chart are drawn.
const PURPOSE: u64 = 0x6576_656e;

/// The part of a data set that a question is of: source (`human`, `augmented`) and answer type.
type Part = (Option<String>, Option<AnswerType>);

type Key = [u8; 32];

/// Which questions of a split are drawn: of each part those with the lowest keys.
#[derive(Clone, Debug)]
pub(super) struct EvenDraw {
    seed: u64,
    /// The highest key that is drawn of each part.
    bounds: BTreeMap<Part, Key>,
}

impl EvenDraw {
    /// Draws `count` questions; all where there are fewer.
    ///
    /// # Errors
    /// Returns the first error of a chunk.
    pub(super) fn new(
        chunks: impl Iterator<Item = Result<Vec<ChartQuestions>>>,
        count: usize,
        seed: u64,
    ) -> Result<Self> {
        let mut parts: BTreeMap<Part, Vec<Key>> = BTreeMap::new();
        for chunk in chunks {
            for ChartQuestions { chart, questions } in &chunk? {
                for question in questions {
                    let keys = parts.entry(part(question)).or_default();
                    keys.push(key(seed, chart, question));
                }
            }
        }
        parts.values_mut().for_each(|keys| keys.sort_unstable());
        let sizes: Vec<usize> = parts.values().map(Vec::len).collect();
        let bounds = parts.into_iter().zip(shares(&sizes, count));
        Ok(Self {
            seed,
            bounds: bounds
                .filter_map(|((part, keys), share)| Some((part, *keys.get(share.checked_sub(1)?)?)))
                .collect(),
        })
    }

    /// Leaves the questions that are drawn, in their order.
    pub(super) fn retain(&self, charts: &mut [ChartQuestions]) {
        for ChartQuestions { chart, questions } in charts {
            questions.retain(|question| {
                self.bounds
                    .get(&part(question))
                    .is_some_and(|bound| key(self.seed, chart, question) <= *bound)
            });
        }
    }
}

fn part(question: &Question) -> Part {
    (question.source.clone(), question.answer_type)
}

/// The assertions of a pair, which are scored together, follow each other.
fn key(seed: u64, chart: &Chart, question: &Question) -> Key {
    let (id, side) = pair_of(question).unwrap_or((&question.id, None));
    let mut key = draw_key(seed ^ PURPOSE, &chart.id, id);
    if let (Some(side), Some(last)) = (side, key.last_mut()) {
        *last = side;
    }
    key
}

/// The pair that one of ChartBench's assertions is of, and its place in it.
fn pair_of(question: &Question) -> Option<(&str, Option<u8>)> {
    let slice = |name: &str| question.slices.get(name).map(String::as_str);
    if QuestionKind::from_slices(slice).is_assertion() != Some(true) {
        return None;
    }
    let (pair, side) = Counterparts::side(&question.id, &question.gold)?;
    Some((pair, u8::try_from(side).ok()))
}

/// The next question of a part on its way: the n-th of a part of size s stands at (2n - 1) / 2s.
struct Place {
    taken: usize,
    size: usize,
    part: usize,
}

impl Ord for Place {
    /// The first on the way is the greatest; of those at one place the one of the first part.
    fn cmp(&self, other: &Self) -> Ordering {
        let cross = |a: &Self, b: &Self| (2 * a.taken as u128 + 1) * b.size as u128;
        cross(other, self)
            .cmp(&cross(self, other))
            .then_with(|| other.part.cmp(&self.part))
    }
}

impl PartialOrd for Place {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Place {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Place {}

/// How many of `count` questions are of each part: the first on the way are taken, so that a share
/// only grows with `count`.
fn shares(sizes: &[usize], count: usize) -> Vec<usize> {
    let mut shares = vec![0_usize; sizes.len()];
    let firsts = sizes.iter().enumerate().map(|(part, &size)| Place {
        taken: 0,
        size,
        part,
    });
    let mut next: BinaryHeap<Place> = firsts.filter(|place| place.size > 0).collect();
    for _ in 0..count {
        let Some(mut place) = next.pop() else { break };
        place.taken += 1;
        if let Some(share) = shares.get_mut(place.part) {
            *share = place.taken;
        }
        if place.taken < place.size {
            next.push(place);
        }
    }
    shares
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{EvenDraw, shares};
    use chartbench_core::question::{Chart, ChartQuestions, Gold, ImageRef, Question};

    fn assertion(id: String, gold: &str) -> Question {
        Question {
            id,
            text: "q".to_owned(),
            gold: Gold::from(gold),
            answer_type: None,
            taxonomy: None,
            template: None,
            source: None,
            slices: BTreeMap::from([("type.task".to_owned(), "VE".to_owned())]),
            context: None,
        }
    }

    #[test]
    fn pairs_of_assertions_are_drawn_whole() {
        let chart = |chart: usize| ChartQuestions {
            chart: Chart {
                id: format!("{chart}.png"),
                image: ImageRef::File("a.png".into()),
                chart_type: None,
                table: None,
            },
            questions: (0..10)
                .flat_map(|pair| [(pair, 0, "Yes"), (pair, 1, "No")])
                .map(|(pair, side, gold)| assertion(format!("{chart}-{pair}/{side}"), gold))
                .collect(),
        };
        let charts: Vec<ChartQuestions> = (0..4).map(chart).collect();
        for count in [1, 2, 7, 20, 79] {
            let draw = EvenDraw::new([Ok(charts.clone())].into_iter(), count, 42).unwrap();
            let mut drawn = charts.clone();
            draw.retain(&mut drawn);
            let mut sides: BTreeMap<String, Vec<String>> = BTreeMap::new();
            for question in drawn.iter().flat_map(|chart| &chart.questions) {
                let (pair, side) = question.id.split_once('/').unwrap();
                sides
                    .entry(pair.to_owned())
                    .or_default()
                    .push(side.to_owned());
            }
            assert_eq!(sides.values().map(Vec::len).sum::<usize>(), count);
            let halves: Vec<_> = sides.values().filter(|sides| sides.len() == 1).collect();
            assert_eq!(
                halves,
                vec![&["0".to_owned()].to_vec(); count % 2],
                "the last pair"
            );
        }
    }

    #[test]
    fn shares_are_in_proportion_and_nested() {
        assert_eq!(shares(&[1250, 1250], 100), [50, 50]);
        assert_eq!(shares(&[60, 30, 10], 10), [6, 3, 1]);
        assert_eq!(shares(&[3, 2], 9), [3, 2]);
        assert_eq!(shares(&[], 3), [0; 0]);
        let sizes = [97, 11, 3, 250];
        let mut before = shares(&sizes, 0);
        for count in 1..=361 {
            let now = shares(&sizes, count);
            assert_eq!(now.iter().sum::<usize>(), count);
            assert!(now.iter().zip(&before).all(|(now, before)| now >= before));
            let whole: usize = sizes.iter().sum();
            for (share, size) in now.iter().zip(sizes) {
                let exact = (size * count) as f64 / whole as f64;
                assert!(
                    (*share as f64 - exact).abs() <= 1.5,
                    "{count}: {share} of {exact}"
                );
            }
            before = now;
        }
    }
}
