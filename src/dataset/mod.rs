//! Benchmarks' questions, from each format's files to one fixed [`QuestionSet`].
//!
//! One file a format. Nothing here opens an image: a chart carries the path of its image, found by one listing of the
//! folder. A chart whose image is missing is still loaded and fails when it is asked about; with no image at all the
//! folder is refused. Adding a format is one file here, one variant of [`Format`] and one arm in [`load`].

mod chartqa;
mod data_series;
mod detect;
pub(crate) mod fields;
mod generic;
mod group;
mod images;
mod plotqa;
mod question_set;
mod realcqa;
mod recital;
mod split;
mod stream;
pub mod synth;
mod tables;
pub(crate) mod text;

use std::path::Path;

use anyhow::{Context, Result, bail};

pub use detect::{detect, layout_name};
pub use split::Split;
pub use tables::TABLE_REQUEST;

use crate::config::{Ask, Benchmark, Format, Questions};
use crate::sample::QuestionSet;

/// What [`load`] fails with where the data set has no such split at all, and nothing else is wrong with it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NoSplit(String);

/// What a chart's [`TableSource`](crate::sample::TableSource) fails with where the data set has no table of the chart, and
/// nothing else is wrong.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NoTable(String);

/// Loads one split of a benchmark. `data` is where the user keeps the data set.
///
/// The benchmark's choice of questions and its pinned hash are about the test split; the train split comes whole.
///
/// # Errors
/// A data set that is not given, missing, malformed or without questions in the split, or one whose question set is
/// not the pinned one. A split that the data set does not have is a [`NoSplit`].
pub fn load(benchmark: &Benchmark, data: Option<&Path>, split: Split) -> Result<QuestionSet> {
    let name = &benchmark.name;
    let charts = match &benchmark.format {
        Format::RealCqa => realcqa::load(required(benchmark, data)?, split)?,
        Format::ChartQa => chartqa::load(required(benchmark, data)?, split)?,
        Format::PlotQa => plotqa::load(required(benchmark, data)?, split)?,
        Format::Generic => generic::load(required(benchmark, data)?, split)?,
        &Format::Synth { seed, train, test, questions_per_chart } => {
            synth::Synth { seed, train, test, questions_per_chart }.question_set(split).charts
        }
    };
    let charts = match benchmark.ask {
        Ask::Questions => charts,
        Ask::Tables => tables::ask(charts)?,
        Ask::QuestionsAndAnswers => recital::ask(charts),
    };
    let mut set = QuestionSet { benchmark: name.clone(), charts };
    set.charts.retain(|entry| !entry.questions.is_empty());
    if set.is_empty() {
        let place = data.map(|path| format!(" of {}", path.display())).unwrap_or_default();
        bail!(NoSplit(match benchmark.ask {
            Ask::Questions | Ask::QuestionsAndAnswers => format!("no questions in the {split} split{place}"),
            Ask::Tables => format!("no chart of the {split} split{place} has a data table"),
        }));
    }
    if split == Split::Test {
        if let Questions::PerChart { count, seed } = benchmark.questions {
            set = set.sample(count, seed);
        }
        check_pin(benchmark, &set)?;
    }
    Ok(set)
}

fn check_pin(benchmark: &Benchmark, set: &QuestionSet) -> Result<()> {
    let Some(pinned) = &benchmark.hash else { return Ok(()) };
    let actual = set.hash()?;
    if *pinned != actual {
        bail!(
            "benchmark `{}`: its {} questions have the hash {actual}, pinned is {pinned}; \
             the data set is another version or was changed",
            benchmark.name,
            set.len()
        );
    }
    Ok(())
}

/// The user's data path, or how to come by one.
fn required<'a>(benchmark: &Benchmark, data: Option<&'a Path>) -> Result<&'a Path> {
    data.with_context(|| {
        let (path, layout) = match benchmark.format {
            Format::RealCqa => ("DIR, from https://github.com/cse-ai-lab/RealCQA, with", realcqa::LAYOUT),
            Format::ChartQa => ("DIR, from https://github.com/vis-nlp/ChartQA, with", chartqa::LAYOUT),
            Format::PlotQa => ("DIR, from https://github.com/NiteshMethani/PlotQA, with", plotqa::LAYOUT),
            Format::Generic | Format::Synth { .. } => ("PATH,", generic::LAYOUT),
        };
        format!("benchmark `{}` needs --data {path} {layout}", benchmark.name)
    })
}
