//! The trait of readers: what answers a question from a chart's table.

use anyhow::Result;

use crate::adapter::{GiveUp, ReportAnswer};
use chartbench_core::question::Question;

/// A question with the table that it is to be answered from.
#[derive(Clone, Copy, Debug)]
pub struct TableQuestion<'a> {
    /// The table as its reader wrote it, which may be any text.
    pub table: &'a str,
    /// The question.
    pub question: &'a Question,
}

/// A reader of tables: a language model that is prompted, or rules.
pub trait TableReader {
    /// Everything that can change its answers, as ordered key-value pairs; goes into the adapter's
    /// fingerprint.
    fn settings(&self) -> Vec<(String, String)>;

    /// The preferred number of questions in a call.
    fn batch(&self) -> usize;

    /// Answers each question, and reports each result as it comes, once a question, in any order.
    ///
    /// # Errors
    /// Returns why the reader cannot go on; questions that were not reported have no answer.
    fn answer(
        &mut self,
        questions: &[TableQuestion<'_>],
        report: &mut ReportAnswer<'_>,
    ) -> Result<()>;

    /// Ends the row, as [`Adapter::finish`](crate::adapter::Adapter::finish) says.
    ///
    /// # Errors
    /// Returns an error if that cannot be noted.
    fn finish(&mut self) -> Result<()> {
        Ok(())
    }

    /// What gives up the call in hand, as [`Adapter::give_up`](crate::adapter::Adapter::give_up)
    /// says.
    fn give_up(&self) -> Vec<GiveUp> {
        Vec::new()
    }
}
