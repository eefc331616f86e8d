//! Reads the questions of benchmarks from the files of each format into one fixed [`QuestionSet`],
//! or a [`QuestionStream`].
//!
//! Each format has one file. Loading opens no image: a chart carries the path of its image, found
//! by one listing of the folder; only images within a file of questions are read once, where their
//! hash is the chart's name. Parts that are left out or read otherwise than written are counted
//! ([`QuestionStream::notes`] has a line of each kind). A chart with a missing image is still
//! loaded, and its questions fail when they are asked; a folder without any image is refused. A new
//! format needs one file here, one variant of [`Format`] and one arm in [`QuestionStream::open`].
//!
//! [`content`] identifies questions by what they ask about which pixels, whatever their ids. [`lint`] checks whether a data set can be trusted; [`synth`] draws charts with questions.

mod chartmuseum;
mod chartqa;
mod charxiv;
mod columns;
pub mod content;
mod data_series;
mod even_draw;
mod generic;
mod gold_tables;
mod id_list;
mod images;
pub mod lint;
mod notes;
mod plotqa;
mod pretraining;
mod python_constants;
mod question_stream;
mod questions_by_chart;
mod realcqa;
mod spec;
#[cfg(feature = "synth")]
pub mod synth;

use std::path::Path;

use anyhow::{Context, Result};

pub use self::chartmuseum::ChartMuseumClone;
pub use self::charxiv::{CharXivClone, DescriptiveFigure, ReasoningFigure};
pub use self::columns::{AnswerChoice, ColumnMap, SplitFiles};
pub use chartbench_core::question::Split;
pub use gold_tables::TABLE_QUESTION;
pub use python_constants::{PythonConstants, format_fields};
pub use question_stream::QuestionStream;
pub use spec::{
    Ask, CharXivPart, Format, QuestionList, QuestionSetSpec, Questions, detect, format_name,
};

use chartbench_core::question::QuestionSet;

/// The error of [`load`] and [`QuestionStream`] when a sound data set does not have the split.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct MissingSplit(String);

/// The error of a chart's [`TableSource`](chartbench_core::question::TableSource) when a sound data
/// set has no table of the chart.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct MissingTable(String);

/// Loads one split of a benchmark into memory.
///
/// # Errors
/// Returns an error if the data set is not given, missing or malformed, has no questions in the
/// split ([`MissingSplit`]), or does not have the pinned hash.
pub fn load(spec: &QuestionSetSpec, data: Option<&Path>, split: Split) -> Result<QuestionSet> {
    Ok(load_with_notes(spec, data, split)?.0)
}

/// As [`load`], with the lines of [`QuestionStream::notes`].
///
/// # Errors
/// As [`load`].
pub fn load_with_notes(
    spec: &QuestionSetSpec,
    data: Option<&Path>,
    split: Split,
) -> Result<(QuestionSet, Vec<String>)> {
    QuestionStream::open(spec, data, split)?.read()
}

/// The official repository that the data path is a clone of; `None` for other formats.
pub fn official_repository(format: &Format) -> Option<&'static str> {
    match format {
        Format::CharXiv(_) => Some(charxiv::REPOSITORY),
        Format::ChartMuseum => Some(chartmuseum::REPOSITORY),
        _ => None,
    }
}

/// Whether the clone of an official repository at `path` needs files of the hub's copy besides.
pub fn needs_published(format: &Format, path: &Path) -> bool {
    match format {
        Format::CharXiv(_) => charxiv::lacks_images(path),
        Format::ChartMuseum => chartmuseum::lacks_files(path),
        _ => false,
    }
}

/// The user's data path; the error says where to get the data set.
fn require_data_path<'a>(spec: &QuestionSetSpec, data: Option<&'a Path>) -> Result<&'a Path> {
    data.with_context(|| {
        let json_files = spec.files.test.join(" or ");
        let (path, layout) = match spec.format {
            Format::RealCqa => (
                "DIR, from https://github.com/cse-ai-lab/RealCQA, with",
                realcqa::LAYOUT,
            ),
            Format::ChartQa => (
                "DIR, from https://github.com/vis-nlp/ChartQA, with",
                chartqa::LAYOUT,
            ),
            Format::PlotQa => (
                "DIR, from https://github.com/NiteshMethani/PlotQA, with",
                plotqa::LAYOUT,
            ),
            Format::CharXiv(_) => ("DIR, a clone of", charxiv::REPOSITORY),
            Format::ChartMuseum => ("DIR, a clone of", chartmuseum::REPOSITORY),
            Format::Parquet => ("PATH,", columns::PARQUET_LAYOUT),
            Format::Json => ("DIR, with", json_files.as_str()),
            Format::Generic | Format::Synth { .. } => ("PATH,", generic::LAYOUT),
        };
        format!("benchmark `{}` needs --data {path} {layout}", spec.name)
    })
}
