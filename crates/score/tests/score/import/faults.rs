//! Files that cannot be read.

use std::fs;
use std::path::Path;

use chartbench_score::import::{ColumnNames, FileFormat, Golds, ImportOptions, read};

use super::workbook::{header_row, text_cell, workbook};
use super::{folder, golds, shown};

#[test]
fn a_problem_is_one_line_whatever_the_file_says() {
    let id = format!("a\n\u{2028}{}", "x".repeat(500));
    let json = format!(
        "[{{\"id\": {0:?}, \"gold\": 1, \"prediction\": null}}]",
        id.replace('\n', "N")
    );
    let json = json.replace("\\u{2028}", "\\u2028").replace("aN", "a\\n");
    let found = shown("a.json", &json);
    assert!(
        found[1].starts_with("prediction `a\\n\\u{2028}xxx"),
        "{found:?}"
    );
    assert!(
        found[1].len() < 120 && !found[1].contains('\n'),
        "{found:?}"
    );
}

/// The error of reading a file of this name and content, without the folder's name.
fn fault(name: &str, content: &[u8], options: &ImportOptions) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, content).unwrap();
    fault_at(folder.path(), &path, options)
}

fn fault_at(folder: &Path, path: &Path, options: &ImportOptions) -> String {
    let error = format!("{:#}", read(path, options).unwrap_err());
    assert!(!error.contains('\n'), "{error}");
    error.replace(&format!("{}/", folder.display()), "")
}

#[test]
fn bad_files_are_refused_in_one_line() {
    let deep = |open: &str| format!("[{{\"gold\": 1, \"prediction\": {}", open.repeat(100_000));
    let (lists, objects) = (deep("["), deep("{\"a\":"));
    let nested = format!(
        "[{{\"gold\": {}{}, \"prediction\": 1}}]",
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    let cases: &[(&str, &[u8])] = &[
        ("a.csv", b""),
        ("a.csv", b"\xef\xbb\xbf \n"),
        ("a.csv", b"prediction,label\n"),
        ("a.csv", b"prediction,label\na,b\nc\n"),
        ("a.csv", b"prediction,label\r\na,b\r\n\r\nc,d,e\r\n"),
        ("a.csv", b"prediction,label\na,b\n\xff,d\n"),
        ("a.csv", b"prediction,label\na,b\nc,\"d\ne,f\n"),
        ("a.csv", b"x,y\na,b\n"),
        ("a.csv", b"x,label\na,b\n"),
        ("a.csv", b"prediction,x\na,b\n"),
        ("a.csv", b"prediction,pred,label\na,b,c\n"),
        ("a.tsv", b"prediction\tlabel\na\n"),
        ("a.txt", b"just some text\nand more\n"),
        ("a.jsonl", b"\n\n"),
        ("a.jsonl", b"{\"gold\": 1, \"prediction\": 2}\n{\"gold\": 1, \"predic"),
        ("a.jsonl", b"{\"gold\": 1, \"prediction\": 2}\n\n{\"gold\": 1}\n"),
        ("a.jsonl", b"{\"gold\": 1, \"prediction\": 2}\n{\"prediction\": 1}\n"),
        ("a.jsonl", b"{\"gold\": 1, \"prediction\": 2}\n[1, 2]\n"),
        ("a.jsonl", b"{\"gold\": 1, \"prediction\": 2, \"prediction\": 3}\n"),
        ("a.jsonl", b"{\"gold\": null, \"prediction\": 2}\n"),
        ("a.jsonl", b"{\"gold\": 1, \"prediction\": {\"text\": 2}}\n"),
        ("a.jsonl", b"{\"gold\": 1, \"prediction\": \"\\ud800\"}\n"),
        ("a.jsonl", b"{\"id\": [1], \"gold\": 1, \"prediction\": 2}\n"),
        ("a.jsonl", b"{\"gold\": 1, \"prediction\": 2}\n{\"gold\": 1, \"prediction\": \"\xff\"}\n"),
        ("a.jsonl", b"5\n"),
        ("a.jsonl", b"{\"doc_id\": 1, \"target\": \"a\", \"filtered_resps\": [[-3.0, false], [-4.0, true]]}\n"),
        ("a.jsonl", b"{\"doc_id\": 1, \"target\": \"a\", \"filtered_resps\": []}\n"),
        ("a.json", b"[]"),
        ("a.json", b"[{\"gold\": 1, \"prediction\": 2},\n {\"gold\": 1, \"predic"),
        ("a.json", b"[{\"gold\": 1, \"prediction\": 2}, 7]"),
        ("a.json", b"[{\"gold\": 1, \"prediction\": 2}] and more"),
        ("a.json", b"{\"a\": \"x\", \"b\": \"y\"}"),
        ("a.json", b"{\"PMC1\": [{\"gold\": 1, \"prediction\": 2}]}"),
        ("a.json", b"\"text\""),
        ("a.json", lists.as_bytes()),
        ("a.json", objects.as_bytes()),
        ("a.json", nested.as_bytes()),
        ("a.xlsx", b"prediction,label\na,b\n"),
        ("a.xlsx", b"PK\x03\x04 and no more"),
        ("a.xlsx", &workbook("")),
        ("a.xlsx", &workbook(&header_row())),
        ("a.xlsx", &workbook(&(header_row() + r#"<row r="3"><c r="A1é"><v>1</v></c></row>"#))),
        ("a.xlsx", &workbook(&format!("<row>{}</row>", text_cell("A1", "prediction")))),
    ];
    let mut faults: Vec<String> = cases
        .iter()
        .map(|(name, content)| fault(name, content, &ImportOptions::default()))
        .collect();
    faults.extend(faults_with_options());
    faults.extend(folder_faults());
    insta::with_settings!({
        snapshot_path => concat!(env!("CARGO_MANIFEST_DIR"), "/../../snapshots"),
        prepend_module_to_snapshot => true
    }, {
        insta::assert_snapshot!("bad_files_are_refused_in_one_line", faults.join("\n"));
    });
}

fn faults_with_options() -> Vec<String> {
    let named = |columns: ColumnNames| ImportOptions {
        columns,
        ..ImportOptions::default()
    };
    let gold = named(ColumnNames {
        gold: Some("truth".to_owned()),
        ..ColumnNames::default()
    });
    let same = named(ColumnNames {
        gold: Some("prediction".to_owned()),
        ..ColumnNames::default()
    });
    let id = named(ColumnNames {
        id: Some("nr".to_owned()),
        ..ColumnNames::default()
    });
    let as_tsv = ImportOptions {
        format: Some(FileFormat::Tsv),
        ..ImportOptions::default()
    };
    let csv = b"prediction,label\na,b\n";
    let apart = golds("id,gold\nx,1\ny,2\n");
    vec![
        fault("a.csv", csv, &gold),
        fault("a.csv", csv, &same),
        fault("a.csv", csv, &id),
        fault("a.csv", csv, &as_tsv),
        fault("a.csv", b"id,prediction\na,b\n", &apart),
        fault("a.csv", b"prediction\na\n", &apart),
        fault("a.csv", b"id,x\na,b\n", &apart),
        fault("a.json", b"{\"x\": {\"text\": 1}}", &apart),
    ]
}

fn folder_faults() -> Vec<String> {
    let files = folder(&[
        ("empty/notes.txt", ""),
        (
            "cut/PMC1.json",
            "[{\"qa_id\": \"a\", \"answer\": 1, \"predicted_ans",
        ),
        ("none/PMC1.json", "[]"),
        ("object/PMC1.json", "{\"qa_id\": \"a\"}"),
        ("golds/PMC1.json", "[{\"qa_id\": \"a\", \"answer\": 1}]"),
        (
            "id/PMC1.json",
            "[{\"qa_id\": \"a\", \"answer\": 1, \"prediction\": 2}, {\"answer\": 1, \"prediction\": 2}]",
        ),
    ]);
    let names = [
        "nowhere.csv",
        "empty",
        "cut",
        "none",
        "object",
        "golds",
        "id",
    ];
    names
        .iter()
        .map(|name| {
            fault_at(
                files.path(),
                &files.path().join(name),
                &ImportOptions::default(),
            )
        })
        .collect()
}

#[test]
fn a_bad_file_of_golds_is_named() {
    let files = folder(&[("golds.csv", "id,x\n1,2\n")]);
    let error = Golds::read(
        &files.path().join("golds.csv"),
        &ColumnNames::default(),
        None,
    )
    .unwrap_err();
    let expected = "golds.csv: cannot tell the column of gold answers: columns are id, x (name it with --gold-column)";
    assert!(format!("{error:#}").ends_with(expected), "{error:#}");
}
