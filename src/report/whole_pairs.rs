//! Chunks of a log in which pairs of assertions are whole.

use std::collections::HashMap;

use anyhow::Result;

use crate::run::store::PredictionRecord;
use chartbench_score::metric::Counterparts;

/// The chunks of an adapter's answers; an assertion whose counterpart is in a later chunk comes
/// with that one, and those without any come last. Answers are in another order, and none is lost.
pub(super) struct WholePairs<I> {
    chunks: I,
    /// Assertions whose counterpart has not been read yet.
    kept: Vec<PredictionRecord>,
}

impl<I> WholePairs<I> {
    pub(super) fn new(chunks: impl IntoIterator<IntoIter = I>) -> Self {
        Self {
            chunks: chunks.into_iter(),
            kept: Vec::new(),
        }
    }

    /// The answers of a chunk whose counterpart is there or is not needed; the others are kept.
    fn whole(&mut self, records: Vec<PredictionRecord>) -> Vec<PredictionRecord> {
        let mut all = std::mem::take(&mut self.kept);
        all.extend(records);
        let mut halves: HashMap<String, usize> = HashMap::new();
        for record in &all {
            if let Some((pair, _)) = Counterparts::side(&record.id, &record.gold) {
                *halves.entry(pair.to_owned()).or_default() += 1;
            }
        }
        if halves.values().all(|count| *count > 1) {
            return all;
        }
        let is_half = |record: &PredictionRecord| {
            let side = Counterparts::side(&record.id, &record.gold);
            side.and_then(|(pair, _)| halves.get(pair))
                .is_some_and(|count| *count < 2)
        };
        let (kept, whole) = all.into_iter().partition(is_half);
        self.kept = kept;
        whole
    }
}

impl<I: Iterator<Item = Result<Vec<PredictionRecord>>>> Iterator for WholePairs<I> {
    type Item = Result<Vec<PredictionRecord>>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.chunks.next() {
            Some(chunk) => Some(chunk.map(|records| self.whole(records))),
            None if self.kept.is_empty() => None,
            None => Some(Ok(std::mem::take(&mut self.kept))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(id: &str, gold: &str) -> PredictionRecord {
        serde_json::from_value(serde_json::json!({
            "id": id, "chart": "c", "question": "q", "gold": gold, "answer_type": null, "taxonomy": null,
            "prediction": "yes", "latency_ms": 1.0, "error": null,
        }))
        .unwrap()
    }

    #[test]
    fn halves_wait_for_each_other() {
        let chunks = [
            vec![
                record("1/0", "Yes"),
                record("2/0", "Yes"),
                record("2/1", "No"),
                record("a", "3"),
            ],
            vec![record("3/1", "No"), record("1/1", "No")],
            vec![record("4/0", "12")],
        ];
        let whole = WholePairs::new(chunks.into_iter().map(Ok));
        let ids: Vec<Vec<String>> = whole
            .map(|chunk| chunk.unwrap().into_iter().map(|record| record.id).collect())
            .collect();
        let expected = [
            vec!["2/0", "2/1", "a"],
            vec!["1/0", "1/1"],
            vec!["4/0"],
            vec!["3/1"],
        ];
        assert_eq!(ids, expected);
    }
}
