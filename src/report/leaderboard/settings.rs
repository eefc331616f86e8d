//! The settings of a board's rows.

use crate::run::store::Manifest;

/// A line for each different set of settings, as recorded: the adapters, then `key value` after `key value`. Hashes, and
/// how a model was trained, are left to the manifest.
pub(super) fn lines(runs: &[Manifest]) -> Vec<String> {
    let mut groups: Vec<(String, Vec<String>)> = Vec::new();
    for entry in runs.iter().flat_map(|run| &run.adapters) {
        let described = entry
            .settings
            .iter()
            .filter(|(key, _)| !key.starts_with("finetune.") && !key.contains("hash") && !key.contains("sha256"));
        let text = |value: &toml::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let settings: Vec<String> = described.map(|(key, value)| format!("{key} {}", quoted(&text(value)))).collect();
        if settings.is_empty() {
            continue;
        }
        let settings = settings.join(", ");
        match groups.iter_mut().find(|(known, _)| *known == settings) {
            Some((_, names)) if names.contains(&entry.id) => {}
            Some((_, names)) => names.push(entry.id.clone()),
            None => groups.push((settings, vec![entry.id.clone()])),
        }
    }
    groups.into_iter().map(|(settings, names)| format!("{}: {settings}", names.join(", "))).collect()
}

/// A value of more than a word between quotation marks.
fn quoted(value: &str) -> String {
    if value.contains([' ', ',']) { format!("\u{201c}{value}\u{201d}") } else { value.to_owned() }
}
