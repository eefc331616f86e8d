//! What computed a row's answers: information beside the settings, no part of the fingerprint.

use std::fmt;

use serde::{Deserialize, Serialize};

use chartbench_core::shard::Shard;

/// An instruction set and a version of the kernels that answers were computed with. Within one of
/// both the same settings give the same answers to the byte.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Processor {
    /// The instruction set of the CPU kernels, by its name in `chartbench_core::isa`.
    pub instruction_set: String,
    /// The version of the kernels.
    pub kernels: u32,
    /// The shards that computed with it, `K/N`; absent where the run is not cut into shards.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shards: Vec<String>,
}

impl Processor {
    /// A processor at work on a shard, or on the whole run.
    pub fn new(instruction_set: &str, kernels: u32, shard: Option<Shard>) -> Self {
        Self {
            instruction_set: instruction_set.to_owned(),
            kernels,
            shards: shard.iter().map(Shard::to_string).collect(),
        }
    }

    /// Whether both give the same answers to the byte.
    pub fn is_equal_to(&self, other: &Self) -> bool {
        (&self.instruction_set, self.kernels) == (&other.instruction_set, other.kernels)
    }

    /// Adds it to the entries of a row, one for each instruction set and version.
    pub fn add_to(&self, processors: &mut Vec<Self>) {
        match processors.iter_mut().find(|known| known.is_equal_to(self)) {
            Some(known) => {
                let is_new = |shard: &&String| !known.shards.contains(shard);
                let shards: Vec<String> = self.shards.iter().filter(is_new).cloned().collect();
                known.shards.extend(shards);
            }
            None => processors.push(self.clone()),
        }
    }

    /// Whether the entries of a row have it.
    pub(super) fn is_in(&self, processors: &[Self]) -> bool {
        processors.iter().any(|known| {
            known.is_equal_to(self) && self.shards.iter().all(|shard| known.shards.contains(shard))
        })
    }
}

impl fmt::Display for Processor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, kernels {}", self.instruction_set, self.kernels)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_instruction_set_and_version_has_an_entry_with_its_shards() {
        let mut processors = Vec::new();
        for (set, kernels, shard) in [
            ("avx2", 1, "1/3"),
            ("avx512", 1, "2/3"),
            ("avx2", 1, "3/3"),
            ("avx2", 1, "1/3"),
            ("avx2", 2, "1/3"),
        ] {
            let processor = Processor::new(set, kernels, shard.parse().ok());
            processor.add_to(&mut processors);
            assert!(processor.is_in(&processors));
        }
        let shown: Vec<String> = processors
            .iter()
            .map(|processor| format!("{processor}: {}", processor.shards.join(" ")))
            .collect();
        assert_eq!(
            shown,
            [
                "avx2, kernels 1: 1/3 3/3",
                "avx512, kernels 1: 2/3",
                "avx2, kernels 2: 1/3"
            ]
        );
        assert!(!Processor::new("avx2", 1, "2/3".parse().ok()).is_in(&processors));
        assert!(Processor::new("avx2", 1, None).is_in(&processors));
    }
}
