//! Where a run's data set was, beside its manifest: the page finds the charts' pictures by it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use chartbench_core::files::write_file;
use chartbench_core::input::{self, MAX_SETTINGS_BYTES};

/// The name of its file in a run directory.
pub(super) const DATA_FOLDER: &str = "data.toml";

/// The content of `data.toml`: where the data set was on the machine that asked. It decides
/// nothing: a run without it, or whose data are elsewhere now, is as good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataFolder {
    /// The benchmark as it was named: a name, or the path of a TOML file.
    pub benchmark: String,
    /// The data set's folder or file, an absolute path.
    pub data: PathBuf,
    /// The hub's repository that the files came from; absent where the user named them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repo: Option<String>,
    /// The commit of the repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
}

impl DataFolder {
    /// Stores it in the run directory `run`.
    ///
    /// # Errors
    /// Returns an error if the file cannot be written.
    pub fn write(&self, run: &Path) -> Result<()> {
        let text = toml::to_string(self).context("a path of the data set is not UTF-8")?;
        write_file(&run.join(DATA_FOLDER), text.as_bytes())
    }

    /// That of the run directory `run`; `None` where it has none.
    ///
    /// # Errors
    /// Returns an error that names the file if it cannot be read or has other keys.
    pub fn read(run: &Path) -> Result<Option<Self>> {
        let path = run.join(DATA_FOLDER);
        if !path.exists() {
            return Ok(None);
        }
        let text = input::read_text(&path, MAX_SETTINGS_BYTES)
            .with_context(|| format!("cannot read {}", path.display()))?;
        let folder = toml::from_str(&text).with_context(|| {
            format!("{} does not say where data are: remove it", path.display())
        })?;
        Ok(Some(folder))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_back_and_may_be_absent() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(DataFolder::read(dir.path()).unwrap(), None);
        let folder = DataFolder {
            benchmark: "custom".to_owned(),
            data: "/data/my charts".into(),
            repo: None,
            commit: None,
        };
        folder.write(dir.path()).unwrap();
        let text = std::fs::read_to_string(dir.path().join(DATA_FOLDER)).unwrap();
        assert_eq!(
            text, "benchmark = \"custom\"\ndata = \"/data/my charts\"\n",
            "without a repository it is what earlier versions wrote"
        );
        assert_eq!(DataFolder::read(dir.path()).unwrap(), Some(folder.clone()));
        let fetched = DataFolder {
            repo: Some("someone/charts".to_owned()),
            commit: Some("0".repeat(40)),
            ..folder
        };
        fetched.write(dir.path()).unwrap();
        assert_eq!(DataFolder::read(dir.path()).unwrap(), Some(fetched));
        std::fs::write(dir.path().join(DATA_FOLDER), "data = 5").unwrap();
        let error = format!("{:#}", DataFolder::read(dir.path()).unwrap_err());
        assert!(
            error.contains("data.toml does not say where data are: remove it"),
            "{error}"
        );
    }
}
