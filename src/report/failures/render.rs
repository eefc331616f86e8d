//! A list of questions as text: for people and for programs.

use std::fmt::Write;

use anyhow::Result;
use serde_json::{Map, Value, json};

use super::{AdapterQuestions, AnswerKind, FailureList, ListedQuestion};
use crate::report::matrix::score_name;
use crate::report::per_question::json_score;
use crate::report::table::{Cell, Column, Table};
use crate::report::verdict::Verdict;
use chartbench_core::terminal::{cut_long_parts, visible};
use chartbench_score::metric::Convention;

/// The forms a list of questions can be printed in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum ListFormat {
    /// A few lines for each question.
    #[default]
    #[value(alias = "table")]
    Text,
    /// A GitHub-flavoured Markdown table.
    Markdown,
    /// Comma-separated values under a line of column names.
    Csv,
    /// JSON lines: one object a question. `json` is the same.
    #[value(alias = "json")]
    Jsonl,
}

impl FailureList {
    /// The list in `format`.
    ///
    /// # Errors
    /// Returns an error only if the CSV or JSON writer fails, which no question is known to cause.
    pub fn render(&self, format: ListFormat) -> Result<String> {
        match format {
            ListFormat::Text => Ok(self.to_text()),
            ListFormat::Markdown => Ok(self.to_table().to_markdown()),
            ListFormat::Csv => self.to_table().to_csv(),
            ListFormat::Jsonl => self.to_jsonl(),
        }
    }

    /// A heading for the questions of all adapters.
    pub fn title(&self) -> String {
        let kind = match self.filter.kind {
            AnswerKind::Wrong => "Wrong answers",
            AnswerKind::Right => "Right answers",
            AnswerKind::LenientOnly => "Answers that are right but for notation",
        };
        let labels = self.adapters.iter().map(|adapter| adapter.label.as_str());
        format!("{kind}: {}", labels.collect::<Vec<_>>().join(", "))
    }

    /// The adapters that have listed questions, each under its name.
    fn to_text(&self) -> String {
        let mut text = String::new();
        for adapter in &self.adapters {
            if adapter.questions.is_empty() {
                continue;
            }
            let _ = writeln!(text, "{}\n", visible(&adapter.label));
            for question in &adapter.questions {
                text += &question.to_text();
                text.push('\n');
            }
        }
        text
    }

    fn to_table(&self) -> Table {
        let columns = [
            "adapter", "id", "chart", "question", "gold", "answer", "result", "rule",
        ];
        let rows = self.adapters.iter().flat_map(|adapter| {
            let cells = |question: &ListedQuestion| question.to_cells(adapter);
            adapter.questions.iter().map(cells).collect::<Vec<_>>()
        });
        Table {
            title: String::new(),
            columns: columns.map(Column::left).into(),
            rows: rows.collect(),
        }
    }

    fn to_jsonl(&self) -> Result<String> {
        let mut lines = String::new();
        for adapter in &self.adapters {
            for question in &adapter.questions {
                let object = question.to_json(&self.run, &adapter.adapter, self.convention);
                lines += &serde_json::to_string(&object)?;
                lines.push('\n');
            }
        }
        Ok(lines)
    }
}

impl ListedQuestion {
    fn to_text(&self) -> String {
        let mut text = format!("{}\n", shown(&self.id));
        let mut line = |name: &str, value: &str| {
            let _ = writeln!(text, "  {name:<10}  {value}");
        };
        line("chart", &shown(&self.chart));
        line("question", &shown(&self.question));
        line("gold", &shown(&self.gold.text()));
        if let Some(prediction) = &self.prediction {
            line("answer", &shown(prediction));
        }
        let reason = self.reason().map(|reason| shown(&reason));
        let reason = match (reason, &self.error) {
            (Some(rule), None) => format!("by the rule: {rule}"),
            (error, _) => error.unwrap_or_default(),
        };
        line(self.result(), &reason);
        // A line without a value has no blanks at its end.
        text.lines()
            .map(|line| format!("{}\n", line.trim_end()))
            .collect()
    }

    fn to_cells(&self, adapter: &AdapterQuestions) -> Vec<Cell> {
        let optional = |text: Option<&str>| text.map_or(Cell::Missing, Cell::text);
        vec![
            Cell::text(&adapter.label),
            Cell::text(&self.id),
            Cell::text(&self.chart),
            Cell::text(&self.question),
            Cell::text(self.gold.text()),
            optional(self.prediction.as_deref()),
            Cell::text(self.result()),
            optional(self.reason().as_deref()),
        ]
    }

    fn to_json(&self, run: &str, adapter: &str, convention: &Convention) -> Value {
        let scores = self.scores.iter().flat_map(|scores| scores.iter());
        let scores: Map<String, Value> = scores
            .map(|(metric, score)| (score_name(convention, metric), json_score(score)))
            .collect();
        let slices: Map<String, Value> = self
            .slices
            .iter()
            .map(|(name, value)| (name.clone(), Value::from(value.as_str())))
            .collect();
        let detail = self.rule.as_ref().map(|step| step.detail.as_str());
        json!({
            "run": run,
            "adapter": adapter,
            "id": self.id,
            "chart": self.chart,
            "question": self.question,
            "gold": self.gold,
            "prediction": self.prediction,
            "error": self.error,
            "verdict": self.result(),
            "scores": scores,
            "rule": self.rule.as_ref().map(|step| step.rule),
            "detail": detail.filter(|detail| !detail.is_empty()),
            "lenient_rule": self.lenient_rule,
            "slices": slices,
        })
    }

    /// The verdict in a word.
    fn result(&self) -> &'static str {
        match self.verdict {
            None => "unanswered",
            Some(Verdict::Right) => "right",
            Some(Verdict::Partly) => "partly",
            Some(Verdict::Wrong) => "wrong",
            Some(Verdict::Failed) => "failed",
            Some(Verdict::Unscored) => "unscored",
        }
    }

    /// The rule that decided, or the error of a question that failed.
    fn reason(&self) -> Option<String> {
        if let Some(error) = &self.error {
            return Some(error.clone());
        }
        let rule = self.rule.as_ref()?.rule;
        Some(match self.lenient_rule {
            Some(lenient) => format!("{rule}; right but for notation: {lenient}"),
            None => rule.to_owned(),
        })
    }
}

/// A text from outside in a line: visible, cut where it is very long, in quotes where white space
/// at its ends or its emptiness would not be seen.
fn shown(text: &str) -> String {
    let line = cut_long_parts(&visible(text)).into_owned();
    if text.trim() == text && !text.is_empty() {
        line
    } else {
        format!("\"{line}\"")
    }
}
