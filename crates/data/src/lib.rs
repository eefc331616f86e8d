//! Benchmarks' questions, from each format's files to one fixed [`QuestionSet`], or to a [`QuestionStream`] of them.
//!
//! One file a format. Nothing here opens an image: a chart carries the path of its image, found by one listing of the
//! folder. A chart whose image is missing is still loaded and fails when it is asked about; with no image at all the
//! folder is refused. Adding a format is one file here, one variant of [`Format`] and one arm in
//! [`QuestionStream::open`].

mod chartqa;
mod data_series;
mod detect;
mod generic;
mod group;
mod images;
pub mod lint;
mod plotqa;
mod question_stream;
mod realcqa;
mod recital;
mod spec;
pub mod synth;
mod tables;

use std::path::Path;

use anyhow::{Context, Result};

pub use chartbench_core::question::Split;
pub use detect::{detect, layout_name};
pub use question_stream::QuestionStream;
pub use spec::{Ask, Format, QuestionSetSpec, Questions};
pub use tables::TABLE_REQUEST;

use chartbench_core::question::QuestionSet;

/// What [`load`] and a [`QuestionStream`] fail with where the data set has no such split at all, and nothing else is wrong with it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NoSplit(String);

/// What a chart's [`TableSource`](chartbench_core::question::TableSource) fails with where the data set has no table of the chart, and
/// nothing else is wrong.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NoTable(String);

/// Loads one split of a benchmark into memory: [`QuestionStream::open`] and [`QuestionStream::read`].
///
/// # Errors
/// A data set that is not given, missing, malformed or without questions in the split, or one whose question set is
/// not the pinned one. A split that the data set does not have is a [`NoSplit`].
pub fn load(spec: &QuestionSetSpec, data: Option<&Path>, split: Split) -> Result<QuestionSet> {
    QuestionStream::open(spec, data, split)?.read()
}

/// The user's data path, or how to come by one.
fn required<'a>(spec: &QuestionSetSpec, data: Option<&'a Path>) -> Result<&'a Path> {
    data.with_context(|| {
        let (path, layout) = match spec.format {
            Format::RealCqa => ("DIR, from https://github.com/cse-ai-lab/RealCQA, with", realcqa::LAYOUT),
            Format::ChartQa => ("DIR, from https://github.com/vis-nlp/ChartQA, with", chartqa::LAYOUT),
            Format::PlotQa => ("DIR, from https://github.com/NiteshMethani/PlotQA, with", plotqa::LAYOUT),
            Format::Generic | Format::Synth { .. } => ("PATH,", generic::LAYOUT),
        };
        format!("benchmark `{}` needs --data {path} {layout}", spec.name)
    })
}
