//! `chartbench run --dry-run`: prints what a run would do.

use anyhow::Result;
use bytesize::ByteSize;
use indicatif::HumanDuration;

use super::{Status, print_failures};
use crate::jobs::dry_run::{AdapterPlan, DryRun};
use crate::report::table::{Cell, Column, Format, Table};
use crate::run::Timing;
use chartbench_core::terminal;

/// Prints what a run would do, and the adapters that it could not ask.
pub(super) fn print_plan(plan: &DryRun, estimated: bool) -> Result<Status> {
    chartbench_core::note!("{}", plan.description);
    for line in &plan.notes {
        chartbench_core::note!("note: {line}");
    }
    let how = if plan.is_begun {
        "goes on with"
    } else {
        "would begin"
    };
    chartbench_core::note!(
        "the run {how} {}; nothing is written now",
        plan.dir.display()
    );
    let mut columns = vec![Column::left("adapter"), Column::left("weights")];
    columns.extend(["memory", "stored", "left"].map(Column::right));
    columns.extend(estimated.then(|| Column::right("time")));
    let row = |adapter: &AdapterPlan| {
        let memory = adapter.memory.map_or(Cell::Missing, |bytes| {
            Cell::Text(ByteSize(bytes).to_string())
        });
        let mut cells = vec![
            Cell::text(&adapter.name),
            Cell::text(&adapter.weights),
            memory,
            Cell::count(adapter.stored),
            Cell::count(adapter.left),
        ];
        let time = |timing: Timing| {
            let (left, each) = (timing.for_questions(adapter.left), timing.for_questions(1));
            Cell::Text(format!(
                "{} ({:.2} s a question)",
                HumanDuration(left),
                each.as_secs_f64()
            ))
        };
        cells.extend(estimated.then(|| adapter.timing.map_or(Cell::Missing, time)));
        cells
    };
    let table = Table {
        title: String::new(),
        columns,
        rows: plan.adapters.iter().map(row).collect(),
    };
    terminal::print(&table.render_within(Format::Table, terminal::width())?);
    print_failures(&plan.failures);
    Ok(if plan.failures.is_empty() {
        Status::Done
    } else {
        Status::Failures
    })
}
