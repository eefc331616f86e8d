//! Predictions made elsewhere: every format, good and bad, and joining them with golds.

mod faults;
mod formats;
mod join;
mod properties;
mod workbook;

use std::fs;

use chartbench_core::question::Gold;
use chartbench_score::import::{
    ColumnNames, FileFormat, Golds, ImportOptions, ImportResult, ImportedAnswer, read,
};

/// A folder of these files; it is gone with its handle.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    folder
}

/// The answers of a file of this name and content, a line each, then its problems, a line each.
fn shown(name: &str, content: &str) -> Vec<String> {
    shown_with(name, content, &ImportOptions::default())
}

fn shown_with(name: &str, content: &str, options: &ImportOptions) -> Vec<String> {
    let folder = folder(&[(name, content)]);
    lines(&read(&folder.path().join(name), options).unwrap())
}

fn lines(imported: &ImportResult) -> Vec<String> {
    let answer = |answered: &ImportedAnswer| {
        let gold = match &answered.gold {
            Gold::Text(text) => text.clone(),
            Gold::List(items) => format!(
                "list of {}",
                items.iter().map(Gold::text).collect::<Vec<_>>().join("; ")
            ),
        };
        let prediction = answered
            .prediction
            .as_ref()
            .map_or("NONE", |prediction| &prediction.0);
        let mut line = format!("{}: {prediction} | {gold}", answered.id);
        if let Some(question) = &answered.question {
            line += &format!(" | {question}");
        }
        if let Some(kind) = answered.answer_type {
            line += &format!(" | {kind:?}");
        }
        line
    };
    let problems = imported.problems.iter().map(ToString::to_string);
    imported
        .answers
        .iter()
        .map(answer)
        .chain(problems)
        .collect()
}

fn golds(content: &str) -> ImportOptions {
    let golds = Golds::parse(content.as_bytes(), &ColumnNames::default(), FileFormat::Csv).unwrap();
    ImportOptions {
        golds: Some(golds),
        ..ImportOptions::default()
    }
}
