//! Shards: the charts of a run dealt out to several processes, each of which asks its own.

use std::fmt;
use std::str::FromStr;

use anyhow::Result;
use sha2::{Digest, Sha256};

use crate::question::{ChartQuestions, QuestionSource};

/// Most shards of a run.
pub const MAX_SHARDS: usize = 10_000;

/// The part `K/N` of a run's charts, `K` from 1 to `N`. Shards are ordered by `N`, then by `K`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shard {
    count: usize,
    index: usize,
}

impl Shard {
    /// The shard `index/count`.
    ///
    /// # Errors
    /// Returns an error unless `index` is from 1 to `count`, and `count` at most [`MAX_SHARDS`].
    pub fn new(index: usize, count: usize) -> Result<Self, ShardError> {
        if (1..=count).contains(&index) && count <= MAX_SHARDS {
            Ok(Self { count, index })
        } else {
            Err(ShardError::OutOfRange)
        }
    }

    /// Which of the shards it is, from 1.
    pub fn index(self) -> usize {
        self.index
    }

    /// How many shards there are.
    pub fn count(self) -> usize {
        self.count
    }

    /// Whether it is the first one, which also asks the rows that look at no chart.
    pub fn is_first(self) -> bool {
        self.index == 1
    }

    /// Whether the chart with this id is one of its charts: the first 8 bytes of the id's SHA-256, as
    /// a big-endian number modulo `N`, are `K - 1`.
    pub fn holds(self, chart: &str) -> bool {
        chart_number(chart) % self.count as u64 == self.index as u64 - 1
    }

    /// The shard among as many whose charts the chart with this id is one of.
    #[must_use]
    pub fn with_chart(self, chart: &str) -> Self {
        let place = chart_number(chart) % self.count as u64;
        Self {
            index: place as usize + 1,
            ..self
        }
    }

    /// Whether a chart can be one of both shards' charts.
    pub fn overlaps(self, other: Self) -> bool {
        let common = greatest_common_divisor(self.count, other.count);
        self.index.abs_diff(other.index).is_multiple_of(common)
    }
}

/// The first 8 bytes of the SHA-256 of a chart's id, as a big-endian number.
fn chart_number(chart: &str) -> u64 {
    let hash = Sha256::digest(chart.as_bytes());
    hash.iter()
        .take(8)
        .fold(0, |number, byte| (number << 8) | u64::from(*byte))
}

fn greatest_common_divisor(a: usize, b: usize) -> usize {
    if b == 0 {
        a
    } else {
        greatest_common_divisor(b, a % b)
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

/// Why a text is no shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShardError {
    /// It is not `K/N` in digits.
    NotAShard,
    /// `K` is not from 1 to `N`, or `N` is above [`MAX_SHARDS`].
    OutOfRange,
}

impl fmt::Display for ShardError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAShard => f.write_str("write K/N, the K-th of N shards"),
            Self::OutOfRange => write!(f, "K is from 1 to N, and N at most {MAX_SHARDS}"),
        }
    }
}

impl std::error::Error for ShardError {}

impl FromStr for Shard {
    type Err = ShardError;

    fn from_str(text: &str) -> Result<Self, ShardError> {
        let (index, count) = text.split_once('/').ok_or(ShardError::NotAShard)?;
        let is_number =
            |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number(index) || !is_number(count) {
            return Err(ShardError::NotAShard);
        }
        // Digits that are no `usize` are too many.
        match (index.parse(), count.parse()) {
            (Ok(index), Ok(count)) => Self::new(index, count),
            _ => Err(ShardError::OutOfRange),
        }
    }
}

/// The questions of a source about the charts of a shard, or all of them.
#[derive(Clone, Copy)]
pub struct ShardQuestions<'a> {
    source: &'a dyn QuestionSource,
    shard: Option<Shard>,
}

impl<'a> ShardQuestions<'a> {
    /// The questions of `source` about the charts of `shard`; all without one.
    pub fn new(source: &'a dyn QuestionSource, shard: Option<Shard>) -> Self {
        Self { source, shard }
    }
}

impl QuestionSource for ShardQuestions<'_> {
    fn chunks(&self) -> Box<dyn Iterator<Item = Result<Vec<ChartQuestions>>> + '_> {
        Box::new(self.source.chunks().map(|chunk| {
            let mut charts = chunk?;
            if let Some(shard) = self.shard {
                charts.retain(|charts| shard.holds(&charts.chart.id));
            }
            Ok(charts)
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shard(text: &str) -> Shard {
        text.parse().unwrap()
    }

    /// Stored logs depend on it: `sha256sum` gives the same.
    #[test]
    fn a_chart_falls_where_its_hash_says() {
        let found = ["c0", "c1", "PMC3104219___1471-2458-11-S4-S6-2", "", "é"].map(|id| {
            let holds = |index: &usize| Shard::new(*index, 8).unwrap().holds(id);
            let found: Vec<usize> = (1..=8).filter(holds).collect();
            assert_eq!(found.len(), 1, "{id} is in one shard");
            found[0]
        });
        assert_eq!(found, [4, 4, 1, 5, 4]);
        assert!(shard("1/1").holds("c0"));
    }

    #[test]
    fn every_chart_is_in_one_shard_of_any_number() {
        for count in [1, 2, 3, 7, 1000, MAX_SHARDS] {
            let shards: Vec<Shard> = (1..=count)
                .map(|index| Shard::new(index, count).unwrap())
                .collect();
            for chart in 0..20 {
                let id = format!("chart {chart}");
                let holding: Vec<&Shard> = shards.iter().filter(|shard| shard.holds(&id)).collect();
                assert_eq!(holding, [&shards[0].with_chart(&id)]);
            }
        }
    }

    #[test]
    fn shards_overlap_where_a_chart_can_be_in_both() {
        for (a, b) in [(8, 8), (8, 4), (6, 4), (3, 2), (9, 6)] {
            for (i, j) in (1..=a).flat_map(|i| (1..=b).map(move |j| (i, j))) {
                let (one, other) = (Shard::new(i, a).unwrap(), Shard::new(j, b).unwrap());
                let both = |id: usize| {
                    let id = id.to_string();
                    one.holds(&id) && other.holds(&id)
                };
                assert_eq!(
                    one.overlaps(other),
                    (0..2000).any(both),
                    "{one} and {other}"
                );
            }
        }
    }

    #[test]
    fn texts_are_read_and_what_is_no_shard_is_refused() {
        assert_eq!(shard("3/8").to_string(), "3/8");
        assert_eq!((shard("3/8").index(), shard("3/8").count()), (3, 8));
        assert!(shard("2/3") < shard("1/8") && shard("1/8") < shard("2/8"));
        let error = |text: &str| text.parse::<Shard>().unwrap_err();
        for text in [
            "", "3", "3/", "/8", "a/8", "3/8/9", "+3/8", "3/-8", " 3/8", "3 of 8",
        ] {
            assert_eq!(error(text), ShardError::NotAShard, "{text}");
        }
        for text in ["0/8", "9/8", "1/0", "1/10001", "1/99999999999999999999999"] {
            assert_eq!(error(text), ShardError::OutOfRange, "{text}");
        }
    }
}
