//! The model card of a fine-tuned checkpoint: a README.md in Hugging Face's form.

use std::fmt::Write;

use super::TrainOutcome;
use crate::config::Protocol;
use chartbench_core::terminal::visible;

/// The content of a model card besides the protocol.
pub struct ModelCard<'a> {
    /// The adapter's row.
    pub adapter: &'a str,
    /// Title of the benchmark that was trained on.
    pub benchmark: &'a str,
    /// How the training ended; the card states its step.
    pub finished: &'a TrainOutcome,
    /// Scores on the test split: a table in Markdown; `None` if it was not asked.
    pub scores: Option<&'a str>,
}

impl ModelCard<'_> {
    /// The card's text.
    pub fn text(&self, protocol: &Protocol, settings: &[(String, String)]) -> String {
        let Self {
            finished, scores, ..
        } = self;
        let (adapter, benchmark) = (visible(self.adapter), visible(self.benchmark));
        let mut text = format!(
            "---\nlibrary_name: transformers\ntags:\n- chart-question-answering\n---\n\n# {adapter}, fine-tuned on {benchmark}\n\n\
             Trained by chartbench {}. The weights are those of step {} of {}.\n",
            env!("CARGO_PKG_VERSION"),
            finished.step,
            protocol.steps
        );
        if finished.step == 0 {
            text.push_str("No validation was better than the one before training: these are the untrained weights.\n");
        }
        if protocol.selects_on_test() {
            text.push_str("The step was chosen on test charts, as the protocol says: its test score is too good.\n");
        }
        if let Some(scores) = scores {
            let _ = write!(text, "\n## Scores on the test split\n\n{}\n", scores.trim());
        }
        text.push_str("\n## Protocol\n\n| key | value |\n| --- | --- |\n");
        for (key, value) in settings {
            let _ = writeln!(
                text,
                "| {key} | {} |",
                visible(&value.replace('|', "\\|").replace('\n', " "))
            );
        }
        text
    }
}
