//! The error for an unknown name, with the nearest names, and the check of names that become
//! folders.

use std::fmt;
use std::path::{Component, Path};

use anyhow::{Result, ensure};
use rapidfuzz::distance::jaro_winkler;

use crate::terminal::shorten;

/// The number of near names that an error suggests.
const MAX_SUGGESTIONS: usize = 3;
/// The least Jaro-Winkler similarity of a suggested name.
const MIN_SIMILARITY: f64 = 0.7;

/// Checks a name that becomes a folder: a run's or an adapter's. The error begins with `kind`.
///
/// # Errors
/// Returns an error if the name is empty or hidden, leads to another folder, or contains a control
/// character.
pub fn check_folder_name(kind: &str, name: &str) -> Result<()> {
    let mut parts = Path::new(name).components();
    let is_one_part = matches!((parts.next(), parts.next()), (Some(Component::Normal(part)), None) if part == name);
    ensure!(
        is_one_part
            && !name.starts_with('.')
            && !name.contains(|c: char| c == '\\' || c.is_control()),
        "{kind} `{}` is not a plain folder name: it must not be empty, begin with a dot, or hold a slash, a backslash or a \
         control character",
        shorten(name)
    );
    Ok(())
}

/// The names in the order of their similarity to `name`, case aside, the nearest first.
pub fn nearest_first<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let ranked = by_similarity(name, names);
    ranked.into_iter().map(|(_, other)| other).collect()
}

/// The names with their Jaro-Winkler similarity to `name`, the nearest first.
fn by_similarity<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Vec<(f64, &'a str)> {
    let wanted = name.to_lowercase();
    let similarity = |other: &str| {
        jaro_winkler::similarity(wanted.chars(), other.chars().flat_map(char::to_lowercase))
    };
    let mut ranked: Vec<(f64, &str)> = names.map(|other| (similarity(other), other)).collect();
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    ranked
}

/// The error that nothing of a kind has a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownName {
    /// The kind of thing: `adapter`, `benchmark`, `convention`, `metric`.
    pub kind: String,
    /// The unknown name, as the user wrote it.
    pub name: String,
    /// The nearest names, the nearest first.
    pub suggestions: Vec<String>,
}

impl UnknownName {
    /// The error that no `kind` is called `name`, with the nearest of `names`.
    pub fn new<'a>(kind: &str, name: &str, names: impl Iterator<Item = &'a str>) -> Self {
        let suggestions = by_similarity(name, names)
            .into_iter()
            .filter(|(similarity, _)| *similarity >= MIN_SIMILARITY)
            .take(MAX_SUGGESTIONS)
            .map(|(_, other)| other.to_owned())
            .collect();
        Self {
            kind: kind.to_owned(),
            name: name.to_owned(),
            suggestions,
        }
    }
}

impl fmt::Display for UnknownName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown {} `{}`; ", self.kind, shorten(&self.name))?;
        if !self.suggestions.is_empty() {
            write!(f, "nearest: {}; ", self.suggestions.join(", "))?;
        }
        f.write_str("`chartbench list` shows all")
    }
}

impl std::error::Error for UnknownName {}
/// Whether a revision of a repository is a whole commit id: 40 hexadecimal digits, which always stand
/// for the same files.
pub fn is_commit_id(revision: &str) -> bool {
    revision.len() == 40 && revision.bytes().all(|byte| byte.is_ascii_hexdigit())
}
