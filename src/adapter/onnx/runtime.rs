//! ONNX Runtime's library: found and loaded while the program runs, once a process.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, anyhow, bail, ensure};
use ort::environment::Environment;

use super::graph::one_line;
use crate::adapter::python_package::package_folder;

const VARIABLE: &str = "ORT_DYLIB_PATH";

/// There is one environment a process, and the library stays loaded.
static ENVIRONMENT: Mutex<Option<Environment>> = Mutex::new(None);

/// ONNX Runtime from the library `explicit` (`--onnxruntime`), else from the one that
/// `ORT_DYLIB_PATH` names, else from the installed Python package `onnxruntime`. Once loaded it
/// stays the same, whatever is asked for.
///
/// # Errors
/// Returns an error in one line if there is no library, the file is no library, or it is too old.
pub(super) fn environment(explicit: Option<&Path>) -> Result<Environment> {
    let mut loaded = ENVIRONMENT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(environment) = &*loaded {
        return Ok(environment.clone());
    }
    let environment = load(&library(explicit)?)?;
    Ok(loaded.insert(environment).clone())
}

fn load(path: &Path) -> Result<Environment> {
    // A relative path would be looked up beside the program.
    let path = std::path::absolute(path).with_context(|| path.display().to_string())?;
    let builder = ort::init_from(&path)
        .map_err(|error| anyhow!("cannot load ONNX Runtime: {}", one_line(error)))?;
    let environment = builder
        .with_name("chartbench")
        .with_telemetry(false)
        .build();
    environment.map_err(|error| {
        anyhow!(
            "cannot start ONNX Runtime of {}: {}",
            path.display(),
            one_line(error)
        )
    })
}

fn library(explicit: Option<&Path>) -> Result<PathBuf> {
    let variable = std::env::var_os(VARIABLE)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from);
    let named = explicit
        .map(|path| ("--onnxruntime", path.to_owned()))
        .or(variable.map(|path| (VARIABLE, path)));
    if let Some((by, path)) = named {
        ensure!(
            path.is_file(),
            "{by} {}: no such file (it must be ONNX Runtime's library)",
            path.display()
        );
        return Ok(path);
    }
    let advice = "no ONNX Runtime: run `pip install onnxruntime`, or name its library with --onnxruntime or ORT_DYLIB_PATH";
    in_package(&package_folder("onnxruntime").context(advice)?)
}

/// The library inside the Python package, whose name holds its version on most systems.
fn in_package(package: &Path) -> Result<PathBuf> {
    let folder = package.join("capi");
    let entries =
        std::fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let (start, middle) = match std::env::consts::OS {
        "windows" => ("onnxruntime.", "dll"),
        "macos" => ("libonnxruntime.", "dylib"),
        _ => ("libonnxruntime.", "so"),
    };
    for entry in entries {
        let path = entry
            .with_context(|| format!("cannot read {}", folder.display()))?
            .path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        if name
            .strip_prefix(start)
            .is_some_and(|rest| rest.split('.').any(|part| part == middle))
        {
            return Ok(path);
        }
    }
    bail!(
        "{}: the Python package onnxruntime has no {start}{middle} in it",
        folder.display()
    )
}
