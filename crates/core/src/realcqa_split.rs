//! RealCQA's split: `test_filenames.txt` lists the test charts, one on each line; all others are
//! for training.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::question::{Split, stem};
use crate::read_file;

/// The file name of the list of test charts.
pub const TEST_LIST: &str = "test_filenames.txt";

/// The test charts of `test_filenames.txt` and the lines that name them.
pub struct TestCharts {
    path: PathBuf,
    lines: HashMap<String, usize>,
}

/// The charts of one split.
pub struct SplitCharts<T> {
    /// Each chart's id and its value, sorted by id.
    pub charts: Vec<(String, T)>,
    /// A line about the test charts without questions, if there are any.
    pub without_questions: Option<String>,
}

impl TestCharts {
    /// Reads the list of the data set in `folder`: it lies in the folder, else beside it, since the
    /// hub's copy of the data set has none.
    ///
    /// # Errors
    /// As [`Self::read`], or if the list is in neither place.
    pub fn find(folder: &Path) -> Result<Self> {
        let is_inside = folder.join(TEST_LIST).exists();
        match folder.parent() {
            Some(beside) if !is_inside && beside.join(TEST_LIST).exists() => Self::read(beside),
            _ if is_inside => Self::read(folder),
            _ => bail!(
                "{}: no such file, nor beside the folder; it names the test charts, one a line, and comes with the \
                 authors' archive (https://github.com/cse-ai-lab/RealCQA)",
                folder.join(TEST_LIST).display()
            ),
        }
    }

    /// Reads the list in `folder`. Names may carry an image's extension or `.json`; empty lines are
    /// skipped.
    ///
    /// # Errors
    /// Returns an error if the list is missing, or names a chart twice.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(TEST_LIST);
        if !path.exists() {
            bail!(
                "{}: no such file; it names the test charts, one a line",
                path.display()
            );
        }
        let text = read_file::read(&path)?;
        let mut lines = HashMap::new();
        for (index, name) in text.lines().enumerate() {
            let name = stem(name.trim());
            if name.is_empty() {
                continue;
            }
            if let Some(first) = lines.insert(name.to_owned(), index + 1) {
                bail!(
                    "{}: line {}: `{name}` is already on line {first}",
                    path.display(),
                    index + 1
                );
            }
        }
        Ok(Self { path, lines })
    }

    /// Picks the charts of `split` out of `available`. `questions` is the file or folder of the
    /// questions. Test charts without questions are reported for either split: without them the
    /// benchmark is another one.
    ///
    /// # Errors
    /// Returns an error if no test chart has questions.
    pub fn choose<T>(
        &self,
        mut available: Vec<(String, T)>,
        split: Split,
        questions: &Path,
    ) -> Result<SplitCharts<T>> {
        available.sort_by(|a, b| a.0.cmp(&b.0));
        let (tests, train): (Vec<_>, Vec<_>) = available
            .into_iter()
            .partition(|(id, _)| self.lines.contains_key(id.as_str()));
        let mut without_questions = None;
        if tests.len() < self.lines.len() {
            let has_questions = |name: &str| {
                tests
                    .binary_search_by(|(id, _)| id.as_str().cmp(name))
                    .is_ok()
            };
            let missing = self
                .lines
                .iter()
                .filter(|(name, _)| !has_questions(name))
                .min_by_key(|(_, line)| **line);
            let (name, line) = missing.context("the test charts are not sorted")?;
            let report = format!(
                "{}: line {line}: `{name}` has no questions in {} ({} of {} test charts lack them)",
                self.path.display(),
                questions.display(),
                self.lines.len() - tests.len(),
                self.lines.len()
            );
            if tests.is_empty() {
                bail!("{report}; complete the data set or take the names off the list");
            }
            without_questions = Some(report);
        }
        Ok(SplitCharts {
            charts: if split == Split::Test { tests } else { train },
            without_questions,
        })
    }
}

/// Picks the test charts out of `available`, sorted: those that the list in `folder` names, or all
/// of them without a list. `questions` is the file or folder of the questions.
///
/// # Errors
/// Returns an error if the list is broken or names a chart that is not available: scores of some
/// test charts would pass for those of all.
pub fn test_charts(folder: &Path, available: Vec<String>, questions: &Path) -> Result<Vec<String>> {
    if !folder.join(TEST_LIST).exists() {
        return Ok(available);
    }
    let available = available.into_iter().map(|id| (id, ())).collect();
    let tests = TestCharts::read(folder)?.choose(available, Split::Test, questions)?;
    if let Some(report) = tests.without_questions {
        bail!("{report}; complete the data set or take the names off the list");
    }
    Ok(tests.charts.into_iter().map(|(id, ())| id).collect())
}
