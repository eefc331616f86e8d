//! The prediction logs of an adapter: one of the whole run, and one for each shard that answered.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use chartbench_core::shard::{Shard, ShardError};

/// The log of a run that is not cut into shards.
pub(super) const PREDICTIONS: &str = "predictions.jsonl";

/// The name of a log in an adapter's folder: of the whole run, or of a shard.
pub fn log_name(shard: Option<Shard>) -> String {
    match shard {
        None => PREDICTIONS.to_owned(),
        Some(shard) => format!("predictions.{}-of-{}.jsonl", shard.index(), shard.count()),
    }
}

/// The part of a run whose log has this name; `None` for another file.
///
/// # Errors
/// Returns an error for the name of a shard that cannot be, such as the ninth of eight.
pub fn shard_of(file_name: &str) -> Result<Option<Option<Shard>>> {
    if file_name == PREDICTIONS {
        return Ok(Some(None));
    }
    let numbers = file_name
        .strip_prefix("predictions.")
        .and_then(|rest| rest.strip_suffix(".jsonl"))
        .and_then(|rest| rest.split_once("-of-"));
    let Some((index, count)) = numbers else {
        return Ok(None);
    };
    let shard = match format!("{index}/{count}").parse() {
        Err(ShardError::NotAShard) => return Ok(None),
        shard => shard.ok(),
    };
    // Zeros in front would be a second name of the same shard.
    let shard = shard.filter(|shard| log_name(Some(*shard)) == file_name);
    let shard = shard.with_context(|| {
        format!("{file_name} is named like the log of a shard, and no shard is {index}/{count}: move it away")
    })?;
    Ok(Some(Some(shard)))
}

/// The logs in an adapter's folder: that of the whole run first, then those of shards by number of
/// shards and place; none where the folder is missing.
///
/// # Errors
/// Returns an error that names the folder if it cannot be read, as [`shard_of`], or for a link that
/// leads nowhere: its log is not empty, but elsewhere.
pub fn logs(adapter_dir: &Path) -> Result<Vec<(Option<Shard>, PathBuf)>> {
    let cannot_read = || format!("cannot read {}", adapter_dir.display());
    let entries = match fs::read_dir(adapter_dir) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            check_link(adapter_dir)?;
            return Ok(Vec::new());
        }
        entries => entries.with_context(cannot_read)?,
    };
    let mut logs = Vec::new();
    for entry in entries {
        let entry = entry.with_context(cannot_read)?;
        let name = entry.file_name();
        let shard = name.to_str().map(shard_of).transpose();
        let shard = shard.with_context(|| adapter_dir.display().to_string())?;
        if let Some(shard) = shard.flatten() {
            let log = adapter_dir.join(name);
            if entry.file_type().is_ok_and(|kind| kind.is_symlink()) {
                check_link(&log)?;
            }
            logs.push((shard, log));
        }
    }
    logs.sort();
    Ok(logs)
}

/// Returns an error if `path` is a link that leads nowhere.
fn check_link(path: &Path) -> Result<()> {
    let leads_nowhere = path.symlink_metadata().is_ok() && matches!(path.try_exists(), Ok(false));
    ensure!(
        !leads_nowhere,
        "{} is a link that leads nowhere: restore its target, or remove the link",
        path.display()
    );
    Ok(())
}

/// The logs in an adapter's folder that may answer a question of `shard`, or of the whole run where
/// it is not cut. Those of the other shards of the same number are not among them.
pub(super) fn overlapping_logs(adapter_dir: &Path, shard: Option<Shard>) -> Result<Vec<PathBuf>> {
    let overlaps = |other: Option<Shard>| match (shard, other) {
        (Some(shard), Some(other)) => shard.overlaps(other),
        _ => true,
    };
    let logs = logs(adapter_dir)?.into_iter();
    let overlapping = logs.filter(|(other, _)| overlaps(*other));
    Ok(overlapping.map(|(_, log)| log).collect())
}

/// As [`overlapping_logs`]; the shard's own log, which need not exist yet, is always among them.
pub(super) fn related_logs(adapter_dir: &Path, shard: Option<Shard>) -> Result<Vec<PathBuf>> {
    let mut related = overlapping_logs(adapter_dir, shard)?;
    let own = adapter_dir.join(log_name(shard));
    if !related.contains(&own) {
        related.push(own);
    }
    Ok(related)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shard(text: &str) -> Shard {
        text.parse().unwrap()
    }

    #[test]
    fn a_log_is_found_by_its_name() {
        for part in [None, Some(shard("1/1")), Some(shard("3/8"))] {
            assert_eq!(shard_of(&log_name(part)).unwrap(), Some(part));
        }
        assert_eq!(
            log_name(Some(shard("3/8"))),
            "predictions.3-of-8.jsonl",
            "a stored name"
        );
        for other in [
            "predictions.jsonl.gz",
            "predictions.a-of-8.jsonl",
            "predictions.3-of-.jsonl",
            "predictions.3.jsonl",
            ".predictions.3-of-8.jsonl.lock",
            "training.jsonl",
        ] {
            assert_eq!(shard_of(other).unwrap(), None, "{other}");
        }
        for name in ["9-of-8", "0-of-8", "03-of-8", "1-of-20000"] {
            let error = shard_of(&format!("predictions.{name}.jsonl")).unwrap_err();
            assert!(error.to_string().contains(name), "{error:#}");
        }
    }

    #[test]
    fn logs_are_listed_by_their_shards() {
        let dir = tempfile::tempdir().unwrap();
        let names = [
            "predictions.jsonl",
            "predictions.2-of-3.jsonl",
            "predictions.10-of-12.jsonl",
            "predictions.11-of-12.jsonl",
        ];
        for name in names.iter().rev().chain(&["training.jsonl"]) {
            fs::write(dir.path().join(name), "").unwrap();
        }
        let listed: Vec<PathBuf> = logs(dir.path())
            .unwrap()
            .into_iter()
            .map(|(_, path)| path)
            .collect();
        assert_eq!(listed, names.map(|name| dir.path().join(name)));
        assert_eq!(logs(&dir.path().join("none")).unwrap(), []);
        fs::write(dir.path().join("predictions.9-of-8.jsonl"), "").unwrap();
        let error = format!("{:#}", logs(dir.path()).unwrap_err());
        let place = dir.path().display();
        assert!(
            error.starts_with(&format!("{place}: predictions.9-of-8.jsonl is named like")),
            "{error}"
        );
    }
}
