//! The result of a study: tables, `quantize.json` and the model card.

use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;

use super::{CONVENTION, Choice, Damage, Measurement, Study};
use crate::report::table::{Cell, Column, Table};
use chartbench_core::terminal::visible;

const FILE: &str = "quantize.json";
const FORMAT: u32 = 1;

/// Every choice for each adapter's precisions, under its full weights.
pub fn choices<'a>(
    adapters: impl IntoIterator<Item = (&'a str, &'a Measurement, &'a [Study])>,
) -> Table {
    let columns = [
        "MB",
        "questions/s",
        "loss",
        "exact match",
        "relaxed accuracy",
    ]
    .map(Column::right);
    let ends = [Column::left("adapter"), Column::left("full layers")];
    let mut rows = Vec::new();
    for (name, baseline, studies) in adapters {
        rows.push(row(name.to_owned(), Cell::text("all"), baseline, false));
        for study in studies {
            for (index, choice) in study.choices.iter().enumerate() {
                let name = format!("{name}@{}", study.to);
                let kept = Cell::count(choice.kept.len());
                rows.push(row(
                    name,
                    kept,
                    &choice.measured,
                    study.chosen == Some(index),
                ));
            }
        }
    }
    Table {
        title: format!("Quantized, on validation questions (convention {CONVENTION})"),
        columns: ends
            .into_iter()
            .chain(columns)
            .chain([Column::left("chosen")])
            .collect(),
        rows,
    }
}

fn row(name: String, kept: Cell, measured: &Measurement, chosen: bool) -> Vec<Cell> {
    let Measurement {
        bytes,
        questions_per_second,
        loss,
        exact_match,
        relaxed,
    } = *measured;
    vec![
        Cell::Text(name),
        kept,
        Cell::Decimal(bytes as f64 / 1e6, 2),
        Cell::Decimal(questions_per_second, 2),
        Cell::Decimal(loss, 4),
        Cell::Decimal(exact_match, 2),
        Cell::Decimal(relaxed, 2),
        Cell::text(if chosen { "yes" } else { "" }),
    ]
}

/// The damage of each layer when it alone is quantized, the most damaging first.
pub fn damages<'a>(adapters: impl IntoIterator<Item = (&'a str, &'a [Study])>) -> Table {
    let mut rows = Vec::new();
    for (name, studies) in adapters {
        for study in studies {
            for Damage { layer, loss_rise } in &study.damages {
                let name = format!("{name}@{}", study.to);
                rows.push(vec![
                    Cell::Text(name),
                    Cell::text(layer),
                    Cell::Decimal(*loss_rise, 5),
                ]);
            }
        }
    }
    Table {
        title: "Rise of the loss when one layer alone is quantized".to_owned(),
        columns: vec![
            Column::left("adapter"),
            Column::left("layer"),
            Column::right("rise of the loss"),
        ],
        rows,
    }
}

/// `quantize.json`: everything that decided which layers a checkpoint's folder has quantized.
#[derive(Debug, Serialize)]
pub struct Decision<'a> {
    format: u32,
    adapter: &'a str,
    precision: &'static str,
    convention: &'static str,
    /// Points of exact match that may be lost.
    tolerance: f64,
    /// Model and data, in order.
    settings: &'a [(String, String)],
    baseline: &'a Measurement,
    chosen: &'a Choice,
    choices: &'a [Choice],
    damages: &'a [Damage],
}

impl<'a> Decision<'a> {
    /// `None` if no choice was good enough.
    pub fn new(
        adapter: &'a str,
        settings: &'a [(String, String)],
        baseline: &'a Measurement,
        study: &'a Study,
        tolerance: f64,
    ) -> Option<Self> {
        let chosen = study.choices.get(study.chosen?)?;
        let (choices, damages) = (&study.choices, &study.damages);
        let (precision, convention) = (study.to.name(), CONVENTION);
        Some(Self {
            format: FORMAT,
            adapter,
            precision,
            convention,
            tolerance,
            settings,
            baseline,
            chosen,
            choices,
            damages,
        })
    }

    /// # Errors
    /// Returns an error if the file cannot be written.
    pub fn write(&self, folder: &Path) -> Result<()> {
        let path = folder.join(FILE);
        let text = serde_json::to_string_pretty(self).context("cannot encode the decision")?;
        std::fs::write(&path, text + "\n")
            .with_context(|| format!("cannot write {}", path.display()))
    }
}

/// The model card of a quantized checkpoint: a README.md in Hugging Face's form.
pub fn model_card(row: &str, decision: &Decision<'_>, choices: &Table) -> String {
    let kept = match decision.chosen.kept.as_slice() {
        [] => "No layer that fits its blocks was left in full precision.".to_owned(),
        kept => format!("Left in full precision: {}.", visible(&kept.join(", "))),
    };
    format!(
        "---\nlibrary_name: chartbench\ntags:\n- chart-question-answering\n---\n\n# {row}\n\n\
         Quantized by chartbench {} from {}: the smallest choice that loses at most {} points of exact match on validation \
         questions, as quantize.json has it. {kept}\n\n{}",
        env!("CARGO_PKG_VERSION"),
        decision.adapter,
        decision.tolerance,
        choices.to_markdown()
    )
}
