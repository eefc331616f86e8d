//! ChartMuseum: charts of many web sites whose questions need visual reasoning (Tang et al., NeurIPS
//! 2025 Datasets and Benchmarks, arXiv 2505.13444).
//!
//! The wording of the questions is in a clone of Liyan06/ChartMuseum (`prompt.py`), questions and
//! charts are on the hub: `data/test-*.parquet` and `images/`, in the clone or in the hub's copy.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use super::MissingSplit;
use super::columns::{self, ColumnMap, FileType, SplitFiles, is_parquet_at};
use super::notes::Notes;
use super::python_constants::PythonConstants;
use chartbench_core::question::{ChartQuestions, Split};

/// Where the official repository is.
pub(super) const REPOSITORY: &str = "https://github.com/Liyan06/ChartMuseum";
/// The question's place in the prompts.
const QUESTION: &str = "[QUESTION]";

/// A clone of the official repository.
#[derive(Clone, Debug)]
pub struct ChartMuseumClone {
    /// The wording: `prompt.py`.
    constants: PythonConstants,
}

impl ChartMuseumClone {
    /// Opens the clone in `folder`.
    ///
    /// # Errors
    /// Returns an error if its file with the wording cannot be read.
    pub fn open(folder: &Path) -> Result<Self> {
        let constants = PythonConstants::read(&folder.join("prompt.py")).with_context(|| {
            format!(
                "{} is no clone of {REPOSITORY}: clone it, and name that folder",
                folder.display()
            )
        })?;
        Ok(Self { constants })
    }

    /// The text that is asked about a question.
    fn asked(&self, question: &str) -> Result<String> {
        let prompt = self.constants.text("QA_PROMPT")?;
        ensure!(
            prompt.contains(QUESTION),
            "prompt.py: QA_PROMPT has no {QUESTION}"
        );
        Ok(prompt.replace(QUESTION, question))
    }

    /// The question in a text that was asked, which may be the question alone.
    ///
    /// # Errors
    /// Returns an error if the clone has no prompt.
    pub fn question<'a>(&self, asked: &'a str) -> Result<&'a str> {
        let prompt = self.constants.text("QA_PROMPT")?;
        let question = prompt
            .split_once(QUESTION)
            .and_then(|(before, behind)| asked.strip_prefix(before)?.strip_suffix(behind));
        Ok(question.unwrap_or(asked))
    }

    /// The message that asks a judge whether the gold answer and an answer are equivalent.
    ///
    /// # Errors
    /// Returns an error if the clone has no prompt for it.
    pub fn comparison(&self, question: &str, gold: &str, answer: &str) -> Result<String> {
        let prompt = self.constants.text("COMPARE_ANSWER_PROMPT")?;
        Ok(prompt
            .replace(QUESTION, question)
            .replace("[ANSWER1]", gold)
            .replace("[ANSWER2]", answer))
    }
}

/// Loads the questions with the wording of the clone in `folder`, from files there or in the hub's
/// copy at `published`.
///
/// # Errors
/// Returns an error if a file is missing or malformed; it names the file.
pub(super) fn load(
    folder: &Path,
    published: Option<&Path>,
    split: Split,
    allow_outside: bool,
    notes: &mut Notes,
) -> Result<Vec<ChartQuestions>> {
    if split == Split::Train {
        bail!(MissingSplit(format!(
            "{}: ChartMuseum has no train split",
            folder.display()
        )));
    }
    let clone = ChartMuseumClone::open(folder)?;
    let map = ColumnMap {
        chart: Some("image".to_owned()),
        id: Some("hash".to_owned()),
        slices: vec!["reasoning_type".to_owned()],
        ..ColumnMap::new("image", "question", "answer")
    };
    let request = columns::Request {
        path: published.filter(|_| lacks_files(folder)).unwrap_or(folder),
        file_type: FileType::Parquet,
        columns: Some(&map),
        files: &SplitFiles::default(),
        split,
        allow_outside,
    };
    let mut charts = columns::load(&request, notes)?;
    for question in charts.iter_mut().flat_map(|entry| &mut entry.questions) {
        question.text = clone.asked(&question.text)?;
    }
    Ok(charts)
}

/// Whether the clone in `folder` has no questions, which are not in the repository.
pub(super) fn lacks_files(folder: &Path) -> bool {
    !is_parquet_at(folder, &SplitFiles::default())
}
