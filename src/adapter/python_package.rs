//! Where an installed Python package lies, found without importing it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// Prints the folder of the package named by its argument; nothing where there is no such package.
const FIND: &str = "import importlib.util, sys
spec = importlib.util.find_spec(sys.argv[1])
print(*(spec and spec.submodule_search_locations or [])[:1], end='')";

/// The folder of the package `module`, of the first interpreter that has it.
///
/// # Errors
/// No Python, or none that has the package.
pub(super) fn package_folder(module: &str) -> Result<PathBuf> {
    let mut asked = Vec::new();
    for python in pythons() {
        let Ok(output) = Command::new(&python).args(["-c", FIND, module]).output() else { continue };
        if output.status.success() && !output.stdout.is_empty() {
            let folder = String::from_utf8(output.stdout).context("the path of a Python package is not UTF-8")?;
            return Ok(PathBuf::from(folder));
        }
        asked.push(python.to_string_lossy().into_owned());
    }
    match asked.as_slice() {
        [] => bail!("there is no Python to find its package {module} with"),
        pythons => bail!("{} has no Python package {module}", pythons.join(" or ")),
    }
}

/// The active virtual environment's interpreter, then those of the search path.
fn pythons() -> Vec<OsString> {
    let inside = if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" };
    let environment = std::env::var_os("VIRTUAL_ENV").filter(|folder| !folder.is_empty());
    let environment = environment.map(|folder| Path::new(&folder).join(inside).into_os_string());
    environment.into_iter().chain(["python3".into(), "python".into()]).collect()
}
