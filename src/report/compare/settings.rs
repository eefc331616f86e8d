//! Settings that differ between the sides of a comparison.

use std::collections::BTreeSet;

use super::pair::Pair;
use crate::run::store::AdapterEntry;
use chartbench_core::terminal::shorten;

/// How a model was trained is one difference, however many settings it has.
const TRAINING: &str = "finetune.";

/// `ADAPTER: settings differ: KEY BEFORE / AFTER, ...`; `None` where both sides answered with the same. Of two adapters of
/// different names only the settings that both have.
pub(super) fn difference(pair: &Pair<'_>) -> Option<String> {
    let [Some(before), Some(after)] = pair.entries else { return None };
    let keys: BTreeSet<&String> = before.settings.keys().chain(after.settings.keys()).collect();
    let one_is_trained = is_trained(before) != is_trained(after);
    let mut differences: Vec<String> = keys
        .into_iter()
        .filter(|key| before.settings.get(*key) != after.settings.get(*key))
        .filter(|key| !(one_is_trained && key.starts_with(TRAINING)))
        .filter(|key| before.id == after.id || [before, after].iter().all(|side| side.settings.contains_key(*key)))
        .map(|key| format!("{key} {} / {}", value(before, key), value(after, key)))
        .collect();
    if one_is_trained {
        let [before, after] = [before, after].map(|side| if is_trained(side) { "yes" } else { "no" });
        differences.push(format!("fine-tuned {before} / {after}"));
    }
    (!differences.is_empty()).then(|| format!("{}: settings differ: {}", pair.adapter, differences.join(", ")))
}

fn is_trained(entry: &AdapterEntry) -> bool {
    entry.settings.keys().any(|key| key.starts_with(TRAINING))
}

/// A setting's value; a hash by its first characters, as tables show it.
fn value(entry: &AdapterEntry, key: &str) -> String {
    let Some(value) = entry.settings.get(key) else { return "none".to_owned() };
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match text.get(..12) {
        Some(first) if key.contains("hash") || key.contains("sha256") => first.to_owned(),
        _ => shorten(&text),
    }
}
