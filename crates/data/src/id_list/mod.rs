//! A list of the test questions that a benchmark asks, by their ids: RealCQA's published samplings
//! are such lists.
//!
//! The file is a NumPy array ([`npy`]), or a text with one id on each line.

mod npy;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Once;

use anyhow::{Context, Result, bail};

use crate::{Format, QuestionList};
use chartbench_core::input::{self, Boundary};
use chartbench_core::question::{ChartQuestions, Question};

/// Size limit of a list; RealCQA's have about 16 MiB.
const MAX_LIST_BYTES: u64 = 256 << 20;

/// The ids of the test questions that are asked.
pub(super) struct IdList {
    path: PathBuf,
    ids: HashSet<String>,
    /// Whether the list may name a question without its chart: RealCQA's question ids are
    /// `CHART/QA_ID` here and `QA_ID` in its authors' lists.
    allows_bare: bool,
    /// The number of questions that have one of the ids, where the benchmark states it.
    count: Option<usize>,
    noted: Once,
}

impl IdList {
    /// Reads `list` from the first of `folders` that has the file. All of them lie in the data set,
    /// whose folder is the last.
    ///
    /// # Errors
    /// Returns an error that names the file if it is missing, lies outside the data set, is too
    /// large, empty, or neither an array of ids nor UTF-8 text.
    pub(super) fn read(
        list: &QuestionList,
        format: &Format,
        folders: &[PathBuf],
        boundary: &Boundary,
    ) -> Result<Self> {
        let mut paths = folders.iter().map(|folder| folder.join(&list.ids));
        let path = paths
            .find(|path| path.exists())
            .or_else(|| folders.last().map(|folder| folder.join(&list.ids)))
            .unwrap_or_else(|| PathBuf::from(&list.ids));
        let bytes = boundary
            .open(&path)
            .and_then(|file| input::read_at_most(file, MAX_LIST_BYTES))
            .with_context(|| {
                format!(
                    "cannot read {}, which lists the ids of the questions to ask: put it there",
                    path.display()
                )
            })?;
        let ids = parse(&bytes).with_context(|| path.display().to_string())?;
        Ok(Self {
            path,
            ids,
            allows_bare: *format == Format::RealCqa,
            count: list.count,
            noted: Once::new(),
        })
    }

    /// The file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Leaves the listed questions, and the charts that have any.
    pub(super) fn retain(&self, charts: &mut Vec<ChartQuestions>) {
        for ChartQuestions { questions, .. } in charts.iter_mut() {
            questions.retain(|question| self.lists(question));
        }
        charts.retain(|chart_questions| !chart_questions.questions.is_empty());
    }

    fn lists(&self, question: &Question) -> bool {
        let bare = || question.id.split_once('/').map(|(_, id)| id);
        self.ids.contains(&question.id)
            || (self.allows_bare && bare().is_some_and(|id| self.ids.contains(id)))
    }

    /// Compares the number of questions that have a listed id with the stated one, and with the
    /// number of ids; a difference from the latter alone is noted once.
    ///
    /// # Errors
    /// Returns an error if the benchmark states another number of questions.
    pub(super) fn check(&self, benchmark: &str, questions: usize) -> Result<()> {
        let (path, ids) = (self.path.display(), self.ids.len());
        match self.count {
            Some(count) if count != questions => bail!(
                "benchmark `{benchmark}`: {path} lists {ids} ids, and {questions} test questions have one of them where \
                 `count` is {count}; the list or the data set is another version (a benchmark file without `count` asks \
                 what is there)"
            ),
            _ if ids != questions => self.noted.call_once(|| {
                chartbench_core::note!(
                    "note: {path} lists {ids} ids, and {questions} test questions have one of them"
                );
            }),
            _ => {}
        }
        Ok(())
    }
}

fn parse(bytes: &[u8]) -> Result<HashSet<String>> {
    let ids: HashSet<String> = if bytes.starts_with(npy::MAGIC) {
        npy::read(bytes)?.into_iter().collect()
    } else {
        let text = std::str::from_utf8(bytes).map_err(|error| {
            anyhow::anyhow!(
                "neither a NumPy array nor UTF-8 text (at byte {})",
                error.valid_up_to()
            )
        })?;
        let lines = text.strip_prefix('\u{feff}').unwrap_or(text).lines();
        lines
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .map(str::to_owned)
            .collect()
    };
    if ids.is_empty() {
        bail!("no id is in the list");
    }
    Ok(ids)
}

/// The folder of a data set that is a folder or a file.
pub(super) fn folder_of(data: &Path) -> PathBuf {
    match data.parent() {
        Some(parent) if data.is_file() && parent.as_os_str().is_empty() => PathBuf::from("."),
        Some(parent) if data.is_file() => parent.to_owned(),
        _ => data.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_has_an_id_on_each_line() {
        let ids = parse("\u{feff}a\r\n\n b/c \n7\na\n".as_bytes()).unwrap();
        let mut ids: Vec<_> = ids.into_iter().collect();
        ids.sort();
        assert_eq!(ids, ["7", "a", "b/c"]);
        for (bytes, fault) in [
            (&b"\n \n"[..], "no id is in the list"),
            (
                b"a\n\xff",
                "neither a NumPy array nor UTF-8 text (at byte 2)",
            ),
        ] {
            assert_eq!(parse(bytes).unwrap_err().to_string(), fault);
        }
    }
}
