//! The page of files of predictions.

use std::path::Path;

use anyhow::Result;

use super::{ScoredFile, ScoredFiles, chart, entries};
use crate::report::page::{FileAnswers, FilesPage};
use chartbench_core::files::write_file;
use chartbench_score::metric::Convention;

/// The convention that the others are compared with by default, and that of tables.
const REFERENCES: [&str; 2] = ["pix2struct", "deplot-corrected"];

impl ScoredFiles {
    /// Writes a self-contained HTML page about the files: every convention with intervals, the best
    /// constant answer, what changes places and why. Returns its size in bytes.
    ///
    /// # Errors
    /// Returns an error if the files are on different questions or have none, or the page cannot be
    /// written.
    pub fn write_page(&self, reference: Option<&'static Convention>, out: &Path) -> Result<usize> {
        let mut conventions = self.conventions();
        let reference = match reference {
            Some(reference) => reference,
            None => {
                let types = self.0.iter().flat_map(|file| &file.answers);
                let usual =
                    crate::jobs::convention(None, None, types.map(|answer| answer.answer_type))?;
                let [plain, tables] = REFERENCES;
                Convention::by_name(if usual.tables_only { tables } else { plain })?
            }
        };
        if !conventions.contains(&reference) {
            conventions.push(reference);
        }
        let mut answers = self.0.iter().flat_map(|file| &file.answers);
        let page = FilesPage {
            files: self.0.iter().map(file_answers).collect(),
            has_charts: answers.any(|answer| answer.chart.is_some()),
            conventions,
            reference,
        };
        let html = page.render()?;
        write_file(out, html.as_bytes())?;
        Ok(html.len())
    }
}

fn file_answers(file: &ScoredFile) -> FileAnswers<'_> {
    let charts = file.answers.iter().map(chart);
    FileAnswers {
        name: file.name.clone(),
        answers: entries(file).into_iter().zip(charts).collect(),
        problems: &file.problems,
    }
}
