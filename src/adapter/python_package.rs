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

/// The interpreters to ask, in order: that of the virtual environment which the program is
/// installed in, that of the active one, one beside the program, those of the search path.
fn pythons() -> Vec<OsString> {
    // A program that is found by a link is installed where the link leads.
    let program = std::env::current_exe().and_then(std::fs::canonicalize).ok();
    let active = std::env::var_os("VIRTUAL_ENV").filter(|folder| !folder.is_empty());
    ordered(
        program.as_deref().and_then(Path::parent),
        active.as_deref().map(Path::new),
    )
}

/// As [`pythons`], for a program in the folder `programs` and the environment `active`.
fn ordered(programs: Option<&Path>, active: Option<&Path>) -> Vec<OsString> {
    let (scripts, name) = if cfg!(windows) {
        ("Scripts", "python.exe")
    } else {
        ("bin", "python")
    };
    let active = active.map(|environment| environment.join(scripts).join(name));
    let beside = programs
        .map(|folder| folder.join(name))
        .filter(|python| python.is_file());
    let is_own = |folder: &Path| folder.join("../pyvenv.cfg").is_file();
    let found = if programs.is_some_and(is_own) {
        [beside, active]
    } else {
        [active, beside]
    };
    found
        .into_iter()
        .flatten()
        .map(PathBuf::into_os_string)
        .chain(["python3".into(), "python".into()])
        .collect()
}

#[cfg(all(test, unix))]
mod tests {
    use std::ffi::OsString;
    use std::fs;

    use super::ordered;

    #[test]
    fn the_environment_of_the_program_goes_before_the_active_one() {
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path().join("own/bin");
        let active = folder.path().join("active");
        let python = |folder: &std::path::Path| folder.join("python").into_os_string();
        let found = |names: &[OsString]| {
            let path = ["python3", "python"].map(OsString::from);
            [names, &path].concat()
        };
        let both = || ordered(Some(&own), Some(&active));
        let of_active = python(&active.join("bin"));

        // No interpreter beside the program, as in `~/.cargo/bin`.
        fs::create_dir_all(&own).unwrap();
        assert_eq!(both(), found(std::slice::from_ref(&of_active)));
        assert_eq!(ordered(None, None), found(&[]));
        // One that is the system's.
        fs::write(own.join("python"), "").unwrap();
        assert_eq!(both(), found(&[of_active.clone(), python(&own)]));
        // One of a virtual environment, which need not be active.
        fs::write(own.join("../pyvenv.cfg"), "").unwrap();
        assert_eq!(both(), found(&[python(&own), of_active]));
        assert_eq!(ordered(Some(&own), None), found(&[python(&own)]));
    }
}
