//! Checks data sets.

use std::path::PathBuf;

use anyhow::Result;

use chartbench_data::Format;
use chartbench_data::lint::{DataSet, LintReport};

/// Which data set to check.
#[derive(Clone, Debug)]
pub struct CheckRequest {
    /// A folder in a known layout, or a question file.
    pub path: PathBuf,
    /// Its layout; told by its files where it is absent.
    pub format: Option<Format>,
    /// Whether images and tables outside the data set's folder are read.
    pub allow_outside: bool,
    /// Whether images are looked at.
    pub images: bool,
}

/// Checks a data set. `start` gets the number of charts, then `progress` is called once a chart
/// whose image was looked at.
///
/// # Errors
/// Returns an error if the data set cannot be loaded.
pub fn check(
    request: &CheckRequest,
    start: &dyn Fn(usize),
    progress: &(dyn Fn() + Sync),
) -> Result<LintReport> {
    let data = DataSet::load(&request.path, request.format.clone(), request.allow_outside)?;
    start(data.charts());
    Ok(data.check(request.images.then_some(progress)))
}
