//! Where a row's files came from on a hub: information beside the settings, no part of the
//! fingerprint.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use chartbench_core::names::is_commit_id;

/// A repository of a hub that a row's files came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HubSource {
    /// The repository, `OWNER/NAME`.
    pub repo: String,
    /// The revision that was asked for: a branch, a tag or a commit.
    pub revision: String,
    /// The commit that it stood for.
    pub commit: String,
    /// SHA-256 of each file by its name, in hexadecimal.
    pub files: BTreeMap<String, String>,
}

/// The parts of a `weights` setting that names a hub: `OWNER/NAME@REVISION`, with a file behind it
/// where it is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HubWeights<'a> {
    pub repo: &'a str,
    pub revision: &'a str,
    pub file: &'a str,
}

impl<'a> HubWeights<'a> {
    /// The parts of `setting`, if it names a hub.
    pub(super) fn parse(setting: &'a str) -> Option<Self> {
        let (repo, rest) = setting.split_once('@')?;
        let (revision, file) = rest.split_once(' ').unwrap_or((rest, ""));
        let is_repo = repo.split('/').count() == 2 && !repo.contains(' ');
        is_repo.then_some(Self {
            repo,
            revision,
            file,
        })
    }

    /// Whether the revision is a whole commit id, which always stands for the same files.
    pub(super) fn is_pinned(&self) -> bool {
        is_commit_id(self.revision)
    }

    /// Whether both are the same files of one repository, at whatever revisions.
    pub(super) fn is_same_but_revision(&self, other: &Self) -> bool {
        (self.repo, self.file) == (other.repo, other.file)
    }
}

/// Whether two `weights` settings name the same files of one repository, whatever its revision is
/// called. That the weights are the same, their hash says.
pub fn is_same_repository(setting: &str, other: &str) -> bool {
    match (HubWeights::parse(setting), HubWeights::parse(other)) {
        (Some(hub), Some(other)) => hub.is_same_but_revision(&other),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_that_names_a_hub_is_taken_apart() {
        let commit = "0a".repeat(20);
        let pinned = format!("google/deplot@{commit}");
        let parts = HubWeights::parse(&pinned).unwrap();
        assert_eq!(
            (parts.repo, parts.revision, parts.file),
            ("google/deplot", commit.as_str(), "")
        );
        assert!(parts.is_pinned());
        let file = HubWeights::parse("Qwen/Qwen3-0.6B-GGUF@main Qwen3.gguf").unwrap();
        assert_eq!((file.revision, file.file), ("main", "Qwen3.gguf"));
        assert!(!file.is_pinned() && !file.is_same_but_revision(&parts));
        assert!(is_same_repository("google/deplot@main", &pinned));
        assert!(!is_same_repository(
            "google/deplot@main",
            "google/matcha-base@main"
        ));
        assert!(!is_same_repository(
            "given by --weights",
            "given by --weights"
        ));
        for other in [
            "given by --weights",
            "embedded matcha-tiny",
            "a file@home of b",
            "x@y",
        ] {
            assert_eq!(HubWeights::parse(other), None, "{other}");
        }
    }
}
