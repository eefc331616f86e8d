//! `[weights]`: where a checkpoint comes from.

use std::path::PathBuf;

use anyhow::{Result, bail, ensure};
use serde::Deserialize;

use chartbench_core::terminal::shorten;

/// The default source of a checkpoint, without `--weights`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WeightsSource {
    /// A Hugging Face repository at a revision (branch, tag or commit).
    Hub {
        /// The repository, `OWNER/NAME`.
        repo: String,
        /// The branch, tag or commit; `main` by default.
        revision: String,
    },
    /// A checkpoint that is embedded in the binary, by its name.
    Embedded(String),
    /// A folder on this machine; a relative one is seen from the adapter file's folder.
    Folder(PathBuf),
    /// No default: `--weights` is required.
    Given,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WireWeights {
    repo: Option<String>,
    revision: Option<String>,
    embedded: Option<String>,
    path: Option<PathBuf>,
}

impl WireWeights {
    pub(super) fn validate(self) -> Result<WeightsSource> {
        match self {
            Self {
                repo: Some(repo),
                revision,
                embedded: None,
                path: None,
            } => {
                ensure!(
                    repo.split('/').count() == 2,
                    "`weights.repo` must be OWNER/NAME, not `{}`",
                    shorten(&repo)
                );
                Ok(WeightsSource::Hub {
                    repo,
                    revision: revision.unwrap_or_else(|| "main".to_owned()),
                })
            }
            Self {
                repo: None,
                revision: None,
                embedded: Some(name),
                path: None,
            } => Ok(WeightsSource::Embedded(name)),
            Self {
                repo: None,
                revision: None,
                embedded: None,
                path: Some(path),
            } => {
                ensure!(
                    !path.as_os_str().is_empty(),
                    "`weights.path` must be a folder, not empty"
                );
                Ok(WeightsSource::Folder(path))
            }
            _ => bail!("`[weights]` needs one of `repo` (with `revision`), `path` and `embedded`"),
        }
    }
}
