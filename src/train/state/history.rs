//! The validations of a training.

use std::collections::BTreeMap;

use serde::de::Error;
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::config::Keep;

/// What one validation found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValidationPoint {
    /// Finished steps.
    pub step: u64,
    /// By name: `exact_match`, `relaxed`, `anls` (from 0 to 1), `loss`.
    #[serde(serialize_with = "write_exactly", deserialize_with = "read_exactly")]
    pub metrics: BTreeMap<String, f64>,
}

/// All validations so far, in order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct History(pub Vec<ValidationPoint>);

/// The metric's name and whether more is better; none for the last step.
fn judged_by(keep: Keep) -> Option<(&'static str, bool)> {
    match keep {
        Keep::ExactMatch => Some(("exact_match", true)),
        Keep::Relaxed => Some(("relaxed", true)),
        Keep::Anls => Some(("anls", true)),
        Keep::Loss => Some(("loss", false)),
        Keep::Last => None,
    }
}

impl History {
    /// Where the validation stands whose step is kept: of equals the first, and a metric that is no number is never
    /// the best. With [`Keep::Last`] the last.
    pub fn best(&self, keep: Keep) -> Option<&ValidationPoint> {
        self.0.get(self.best_index(keep)?)
    }

    /// Validations since the best one; what an early stop waits for.
    pub fn since_best(&self, keep: Keep) -> usize {
        self.best_index(keep).map_or(self.0.len(), |best| self.0.len() - 1 - best)
    }

    fn best_index(&self, keep: Keep) -> Option<usize> {
        let Some((name, more)) = judged_by(keep) else { return self.0.len().checked_sub(1) };
        let mut best: Option<(usize, f64)> = None;
        for (index, point) in self.0.iter().enumerate() {
            let Some(&value) = point.metrics.get(name).filter(|value| !value.is_nan()) else { continue };
            let better = best.is_none_or(|(_, so_far)| if more { value > so_far } else { value < so_far });
            if better {
                best = Some((index, value));
            }
        }
        best.map(|(index, _)| index)
    }
}

/// As texts: a number that comes back from JSON can differ in its last bit, and two equal metrics would no longer be.
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
