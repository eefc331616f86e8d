//! The validations of a training.

use std::collections::BTreeMap;

use serde::de::Error;
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::config::{Keep, Ties};

/// The metrics of one validation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValidationPoint {
    /// Finished steps.
    pub step: u64,
    /// By name: `strict`, `exact_match`, `relaxed`, `anls` (from 0 to 1), `loss`.
    #[serde(serialize_with = "write_exactly", deserialize_with = "read_exactly")]
    pub metrics: BTreeMap<String, f64>,
}

/// All validations so far, in order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct History(pub Vec<ValidationPoint>);

impl History {
    /// The validation whose step is kept. Only finite metrics count; `ties` decides among equals.
    /// With [`Keep::Last`] it is the last validation.
    pub fn best(&self, keep: Keep, ties: Ties) -> Option<&ValidationPoint> {
        let (first, last) = self.best_indices(keep, ties)?;
        self.0.get(if ties == Ties::First { first } else { last })
    }

    /// Number of validations since the best one, for early stopping. An equal one is not better.
    pub fn since_best(&self, keep: Keep, ties: Ties) -> usize {
        self.best_indices(keep, ties)
            .map_or(self.0.len(), |(best, _)| self.0.len() - 1 - best)
    }

    /// The first and the last of the validations that no other is better than.
    fn best_indices(&self, keep: Keep, ties: Ties) -> Option<(usize, usize)> {
        let last = self.0.len().checked_sub(1)?;
        let Some((name, more)) = keep.metric() else {
            return Some((last, last));
        };
        let mut best: Option<([f64; 2], usize, usize)> = None;
        for (index, point) in self.0.iter().enumerate() {
            let Some(value) = point.finite(name) else {
                continue;
            };
            let loss = point.finite("loss").filter(|_| ties == Ties::LowestLoss);
            let rank = [
                if more { value } else { -value },
                loss.map_or(f64::NEG_INFINITY, |loss| -loss),
            ];
            best = match best {
                Some((so_far, first, _)) if rank == so_far => Some((rank, first, index)),
                Some(so_far) if rank < so_far.0 => Some(so_far),
                _ => Some((rank, index, index)),
            };
        }
        best.map(|(_, first, last)| (first, last))
    }
}

impl ValidationPoint {
    fn finite(&self, metric: &str) -> Option<f64> {
        self.metrics
            .get(metric)
            .copied()
            .filter(|value| value.is_finite())
    }
}

/// Writes numbers as texts: a number read back from JSON can differ in its last bit, which would
/// break ties.
fn write_exactly<S: Serializer>(metrics: &BTreeMap<String, f64>, to: S) -> Result<S::Ok, S::Error> {
    let mut map = to.serialize_map(Some(metrics.len()))?;
    for (name, value) in metrics {
        map.serialize_entry(name, &value.to_string())?;
    }
    map.end()
}

fn read_exactly<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, f64>, D::Error> {
    let texts = BTreeMap::<String, String>::deserialize(from)?;
    let number = |(name, text): (String, String)| match text.parse() {
        Ok(value) => Ok((name, value)),
        Err(_) => Err(D::Error::custom(format!("{name}: `{text}` is no number"))),
    };
    texts.into_iter().map(number).collect()
}
