//! `[weights]`: where a checkpoint comes from.

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
    /// A folder under `models/`, embedded in the binary.
    Embedded(String),
    /// No default: `--weights` is required.
    Given,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WireWeights {
    repo: Option<String>,
    revision: Option<String>,
    embedded: Option<String>,
}

impl WireWeights {
    pub(super) fn validate(self) -> Result<WeightsSource> {
        match self {
            Self {
                repo: Some(repo),
                revision,
                embedded: None,
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
            } => Ok(WeightsSource::Embedded(name)),
            _ => bail!("`[weights]` needs either `repo` (with `revision`) or `embedded`"),
        }
    }
}
