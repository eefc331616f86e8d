//! Which questions a benchmark asks, in which format they are stored, and how a format is detected.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use serde::Deserialize;

use super::columns::{ColumnMap, SplitFiles};
use super::{chartqa, columns, generic, plotqa, realcqa};

/// The source of a benchmark's questions, and which of them are asked.
#[derive(Clone, Debug, PartialEq)]
pub struct QuestionSetSpec {
    /// The benchmark's name.
    pub name: String,
    /// The format in which the questions are stored, or the numbers from which they are drawn.
    pub format: Format,
    /// The kind of question asked about the charts.
    pub ask: Ask,
    /// The questions of the test split that are asked.
    pub questions: Questions,
    /// The list of the test questions among which `questions` selects; all of them where it is
    /// absent.
    pub listed: Option<QuestionList>,
    /// SHA-256 of the asked test questions ([`chartbench_core::question::QuestionSet::hash`]) in
    /// lower-case hex, if the benchmark pins it.
    pub hash: Option<String>,
    /// Whether images and tables may lie outside the data set's folder; the user's choice, never a
    /// file's.
    pub allow_outside: bool,
    /// The hub's copy of the data set, where the data path is a clone of its repository that lacks
    /// files ([`needs_published`](crate::needs_published)).
    pub published: Option<PathBuf>,
    /// The fields of JSON records, or the columns of a copy of the data set as parquet, which are
    /// guessed where it is absent.
    pub columns: Option<ColumnMap>,
    /// The files of each split; of parquet files the usual names where there are none.
    pub files: SplitFiles,
}

impl QuestionSetSpec {
    /// The format in which the data set at `data` is read: [`Format::Parquet`] where only parquet
    /// files are there and the benchmark has the columns of such a copy, or is for a user's own
    /// data; else the benchmark's.
    pub fn format_at(&self, data: Option<&Path>) -> Format {
        let Some(path) = data else {
            return self.format.clone();
        };
        let may_be_parquet = match self.format {
            Format::Synth { .. } | Format::Json | Format::CharXiv(_) | Format::ChartMuseum => false,
            Format::Generic => true,
            _ => self.columns.is_some(),
        };
        let has_own_layout = || {
            FORMATS
                .iter()
                .any(|listed| listed.format == self.format && (listed.is_at)(path))
        };
        if may_be_parquet && !has_own_layout() && columns::is_parquet_at(path, &self.files) {
            Format::Parquet
        } else {
            self.format.clone()
        }
    }
}

/// The format of a data set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Format {
    /// RealCQA's folder: `images/`, `qa/` or `merged_qa.json`, and `test_filenames.txt`.
    RealCqa,
    /// ChartQA's folder: `png/` and `test_human.json`, `test_augmented.json`.
    ChartQa,
    /// PlotQA's folder: `png/` and `qa_pairs.json`.
    PlotQa,
    /// A clone of CharXiv's repository.
    CharXiv(CharXivPart),
    /// A clone of ChartMuseum's repository.
    ChartMuseum,
    /// Parquet files in Hugging Face's layout.
    Parquet,
    /// JSON files in a layout that the benchmark describes by columns and files.
    Json,
    /// A user's own `.jsonl`, `.json`, `.csv` or `.tsv` file with `image`, `question` and `answer`.
    Generic,
    /// Drawn by this program.
    Synth {
        /// The seed from which charts and questions are drawn.
        seed: u64,
        /// Charts in the train split.
        train: usize,
        /// Charts in the test split.
        test: usize,
        /// The most questions about a chart; some charts allow fewer.
        questions_per_chart: usize,
    },
}

/// The two kinds of CharXiv's questions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CharXivPart {
    /// Four questions about the elements of each chart, of 19 templates.
    Descriptive,
    /// A question about each chart that needs reasoning.
    Reasoning,
}

/// The kind of question asked about the charts (`ask`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ask {
    /// The data set's questions.
    #[default]
    Questions,
    /// The data table of each chart that has one in the data set.
    Tables,
    /// All of a chart's questions with their answers as one text.
    QuestionsAndAnswers,
    /// Each of a chart's questions, answered by itself and its answer, and its data table.
    TablesAndQuestions,
}

/// The questions that are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Questions {
    /// Every question of the split.
    All,
    /// At most `count` for each chart, drawn by `seed`.
    PerChart {
        /// The most questions of a chart.
        count: usize,
        /// The seed of the draw, in which the order of the questions does not matter.
        seed: u64,
    },
}

/// A list of test questions by their ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuestionList {
    /// The file, relative to the data set's folder: a NumPy array of ids, or a text with one id on
    /// each line. RealCQA's ids may lack the chart.
    pub ids: String,
    /// The number of test questions with a listed id; another number is refused.
    pub count: Option<usize>,
}

/// A format that can be detected.
struct DetectableFormat {
    format: Format,
    name: &'static str,
    /// Whether a path has the file names of this format.
    is_at: fn(&Path) -> bool,
    /// The format's files in a line.
    layout: &'static str,
}

const FORMATS: [DetectableFormat; 5] = [
    DetectableFormat {
        format: Format::RealCqa,
        name: "realcqa",
        is_at: realcqa::is_at,
        layout: realcqa::LAYOUT,
    },
    DetectableFormat {
        format: Format::ChartQa,
        name: "chartqa",
        is_at: chartqa::is_at,
        layout: chartqa::LAYOUT,
    },
    DetectableFormat {
        format: Format::PlotQa,
        name: "plotqa",
        is_at: plotqa::is_at,
        layout: plotqa::LAYOUT,
    },
    DetectableFormat {
        format: Format::Parquet,
        name: "parquet",
        is_at: |path| columns::is_parquet_at(path, &SplitFiles::default()),
        layout: columns::PARQUET_LAYOUT,
    },
    DetectableFormat {
        format: Format::Generic,
        name: "generic",
        is_at: generic::is_at,
        layout: generic::LAYOUT,
    },
];

/// The users' name of a format, e.g. `realcqa`; `None` for drawn charts.
pub fn format_name(format: &Format) -> Option<&'static str> {
    match format {
        Format::Json => return Some("json"),
        Format::CharXiv(_) => return Some("charxiv"),
        Format::ChartMuseum => return Some("chartmuseum"),
        _ => {}
    }
    FORMATS
        .iter()
        .find(|listed| listed.format == *format)
        .map(|listed| listed.name)
}

/// Detects the format of the data set at `path` by the names of its files; it opens none of them.
///
/// # Errors
/// Returns an error if the path does not exist, or if its files fit no format or several.
pub fn detect(path: &Path) -> Result<Format> {
    std::fs::metadata(path)
        .map_err(|error| anyhow::anyhow!("cannot open {}: {error}", path.display()))?;
    let mut found: Vec<&DetectableFormat> = FORMATS
        .iter()
        .filter(|format| (format.is_at)(path))
        .collect();
    if found.len() > 1 && path.is_file() {
        // Any JSON file may be a user's own; one with the name of another format is not.
        found.retain(|format| format.format != Format::Generic);
    }
    match found.as_slice() {
        [detected] => Ok(detected.format.clone()),
        [] => {
            let layouts: Vec<String> = FORMATS
                .iter()
                .map(|format| format!("{}: {}", format.name, format.layout))
                .collect();
            bail!(
                "{}: no data set of a known layout is there ({})",
                path.display(),
                layouts.join("; ")
            )
        }
        several => {
            let names: Vec<&str> = several.iter().map(|format| format.name).collect();
            bail!(
                "{}: it could be any of {}; name one with --dataset-format or --benchmark",
                path.display(),
                names.join(", ")
            )
        }
    }
}
