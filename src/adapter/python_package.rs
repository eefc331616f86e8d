//! Locates an installed Python package without importing it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use thiserror::Error;

/// Prints the folder of the package named by its argument; nothing where there is no such package.
const FIND: &str = "import importlib.util, sys
spec = importlib.util.find_spec(sys.argv[1])
print(*(spec and spec.submodule_search_locations or [])[:1], end='')";

/// Why a package was not found, as reported by the first interpreter.
#[derive(Debug, Error)]
pub(super) enum PackageError {
    #[error("there is no Python to find its package {module} with")]
    NoPython { module: String },
    #[error("{python} has no Python package {module}")]
    Lacking { python: String, module: String },
    #[error("{python} cannot be asked for the Python package {module}: {message}")]
    Failing {
        python: String,
        module: String,
        message: String,
    },
}

/// The folder of the package `module`, of the first interpreter that has it.
///
/// # Errors
/// Returns an error if there is no Python, or none has the package.
pub(super) fn package_folder(module: &str) -> Result<PathBuf, PackageError> {
    let mut first = None;
    for python in pythons() {
        let Ok(output) = Command::new(&python).args(["-c", FIND, module]).output() else {
            continue;
        };
        let python = python.to_string_lossy().into_owned();
        let error = match String::from_utf8(output.stdout) {
            Ok(folder) if output.status.success() && !folder.is_empty() => {
                return Ok(PathBuf::from(folder));
            }
            Ok(_) if output.status.success() => PackageError::Lacking {
                python,
                module: module.to_owned(),
            },
            Ok(_) => {
                let message = String::from_utf8_lossy(&output.stderr);
                let message = message
                    .lines()
                    .last()
                    .unwrap_or("it failed without a word")
                    .to_owned();
                PackageError::Failing {
                    python,
                    module: module.to_owned(),
                    message,
                }
            }
            Err(_) => PackageError::Failing {
                python,
                module: module.to_owned(),
                message: "the path is not UTF-8".to_owned(),
            },
        };
        first.get_or_insert(error);
    }
    Err(first.unwrap_or(PackageError::NoPython {
        module: module.to_owned(),
    }))
}

/// The active virtual environment's interpreter, then those of the search path.
fn pythons() -> Vec<OsString> {
    let inside = if cfg!(windows) {
        "Scripts/python.exe"
    } else {
        "bin/python"
    };
    let environment = std::env::var_os("VIRTUAL_ENV").filter(|folder| !folder.is_empty());
    let environment = environment.map(|folder| Path::new(&folder).join(inside).into_os_string());
    environment
        .into_iter()
        .chain(["python3".into(), "python".into()])
        .collect()
}
