//! Which layout a data set has, told by what lies there.

use std::path::Path;

use anyhow::{Result, bail};

use super::{chartqa, generic, plotqa, realcqa};
use crate::Format;

/// A layout's format, its name, how it is recognised and what it is.
type Known = (Format, &'static str, fn(&Path) -> bool, &'static str);

const KNOWN: [Known; 4] = [
    (Format::RealCqa, "realcqa", realcqa::is_at, realcqa::LAYOUT),
    (Format::ChartQa, "chartqa", chartqa::is_at, chartqa::LAYOUT),
    (Format::PlotQa, "plotqa", plotqa::is_at, plotqa::LAYOUT),
    (Format::Generic, "generic", generic::is_at, generic::LAYOUT),
];

/// What users call a layout, e.g. `realcqa`; a drawn set has none.
pub fn layout_name(format: &Format) -> Option<&'static str> {
    KNOWN.iter().find(|(known, ..)| known == format).map(|(_, name, ..)| *name)
}

/// The format of the data set at `path`, by the names of its files; none of them is opened.
///
/// # Errors
/// No such path; files of no layout or of several.
pub fn detect(path: &Path) -> Result<Format> {
    std::fs::metadata(path).map_err(|error| anyhow::anyhow!("cannot open {}: {error}", path.display()))?;
    let found: Vec<&Known> = KNOWN.iter().filter(|(_, _, is_at, _)| is_at(path)).collect();
    match found.as_slice() {
        [(format, ..)] => Ok(format.clone()),
        [] => {
            let layouts: Vec<String> = KNOWN.iter().map(|(_, name, _, layout)| format!("{name}: {layout}")).collect();
            bail!("{}: no data set of a known layout is there ({})", path.display(), layouts.join("; "))
        }
        several => {
            let names: Vec<&str> = several.iter().map(|(_, name, ..)| *name).collect();
            bail!(
                "{}: it could be any of {}; name one with --dataset-format or --benchmark",
                path.display(),
                names.join(", ")
            )
        }
    }
}
