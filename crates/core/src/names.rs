//! Names: the error for an unknown one, and which ones can be a folder's.

use std::path::{Component, Path};

use anyhow::{Result, ensure};

use crate::terminal::shorten;

/// How many near names are shown.
const SHOWN: usize = 3;
/// The least Jaro-Winkler similarity of a name worth showing.
const NEAR: f64 = 0.7;

/// Checks a name that becomes a folder: a run's or an adapter's. `what` names it in the error.
///
/// # Errors
/// A name that is empty or hidden, leads to another folder, or holds a control character.
pub fn check_folder_name(what: &str, name: &str) -> Result<()> {
    let mut parts = Path::new(name).components();
    let is_one_part = matches!((parts.next(), parts.next()), (Some(Component::Normal(part)), None) if part == name);
    ensure!(
        is_one_part && !name.starts_with('.') && !name.contains(|c: char| c == '\\' || c.is_control()),
        "{what} `{}` is not a plain folder name: it must not be empty, begin with a dot, or hold a slash, a backslash or a \
         control character",
        shorten(name)
    );
    Ok(())
}

/// Says that there is no `kind` called `name`, with the nearest of the `known` ones.
pub fn unknown<'a>(kind: &str, name: &str, known: impl Iterator<Item = &'a str>) -> anyhow::Error {
    let wanted = name.to_lowercase();
    let mut near: Vec<(f64, &str)> = known.map(|other| (strsim::jaro_winkler(&wanted, other), other)).collect();
    near.retain(|(similarity, _)| *similarity >= NEAR);
    near.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    let near: Vec<&str> = near.into_iter().take(SHOWN).map(|(_, other)| other).collect();
    let hint = if near.is_empty() { String::new() } else { format!("nearest: {}; ", near.join(", ")) };
    anyhow::anyhow!("unknown {kind} `{}`; {hint}`chartbench list` shows all", shorten(name))
}
