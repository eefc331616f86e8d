//! The error for a name that is none.

/// How many near names are shown.
const SHOWN: usize = 3;
/// The least Jaro-Winkler similarity of a name worth showing.
const NEAR: f64 = 0.7;

/// Says that there is no `kind` called `name`, with the nearest of the `known` ones.
pub fn unknown<'a>(kind: &str, name: &str, known: impl Iterator<Item = &'a str>) -> anyhow::Error {
    let wanted = name.to_lowercase();
    let mut near: Vec<(f64, &str)> = known.map(|other| (strsim::jaro_winkler(&wanted, other), other)).collect();
    near.retain(|(similarity, _)| *similarity >= NEAR);
    near.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    let near: Vec<&str> = near.into_iter().take(SHOWN).map(|(_, other)| other).collect();
    let hint = if near.is_empty() { String::new() } else { format!("nearest: {}; ", near.join(", ")) };
    anyhow::anyhow!("unknown {kind} `{name}`; {hint}`chartbench list` shows all")
}
