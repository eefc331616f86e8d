//! `score` on good and bad files.

use std::path::{Path, PathBuf};

use chartbench::cmd::score::{Args, table};
use chartbench::report::table::{Cell, Format};
use clap::Parser;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    score: Args,
}

fn parse(args: &[&str]) -> Args {
    Cli::parse_from([&["score"], args].concat()).score
}

/// A CSV file of these bytes, and its directory that must outlive it.
fn csv(bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("answers.csv");
    std::fs::write(&path, bytes).unwrap();
    (folder, path)
}

/// The error of scoring a file of these bytes, from the file's name on.
fn error(bytes: &[u8], flags: &[&str]) -> String {
    let (folder, path) = csv(bytes);
    let error = table(&parse(&[&[path.to_str().unwrap()], flags].concat())).unwrap_err();
    format!("{error:#}").replace(&format!("{}/", folder.path().display()), "")
}

/// A file's scores under the `study` convention, as (questions, EM, relaxed, ANLS).
fn study(path: &Path, flags: &[&str]) -> (i64, [String; 3]) {
    let args = [&[path.to_str().unwrap(), "--convention", "study"], flags].concat();
    let table = table(&parse(&args)).unwrap();
    let [_, Cell::Integer(count), _, metrics @ ..] = table.rows[0].as_slice() else { panic!("{table:?}") };
    let shown = |cell: &Cell| match cell {
        Cell::Decimal(value, digits) => format!("{value:.digits$}"),
        other => panic!("{other:?}"),
    };
    (*count, [shown(&metrics[0]), shown(&metrics[1]), shown(&metrics[2])])
}

#[test]
fn the_studys_published_predictions_give_its_scores() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/seed-results/matcha-base-after.csv");
    if !path.exists() {
        println!("skipped: {} is not here", path.display());
        return;
    }
    assert_eq!(study(&path, &[]), (4240, ["80.189", "80.259", "81.891"].map(String::from)));
}

#[test]
fn scores_stand_in_a_row_for_each_convention() {
    let (_folder, path) = csv(b"id,Label,Prediction\n1,100,105\n2,\"a, b\",\"A, b\"\n3,,\n4,Yes,No\n");
    let mut table = table(&parse(&[path.to_str().unwrap()])).unwrap();
    for row in &mut table.rows {
        row[0] = Cell::text("answers.csv");
    }
    let text = format!("{}\n{}", table.render(Format::Table).unwrap(), table.render(Format::Json).unwrap());
    let snapshots = concat!(env!("CARGO_MANIFEST_DIR"), "/snapshots");
    insta::with_settings!({snapshot_path => snapshots, prepend_module_to_snapshot => true}, {
        insta::assert_snapshot!("a_row_for_each_convention", text);
    });
}

#[test]
fn columns_are_told_by_name_or_flag() {
    for header in ["\u{feff}predictions,labels", "answer,gold", " Pred ,answers", "predicted_answer,ground_truth"] {
        let (_folder, path) = csv(format!("{header}\nyes,Yes\n-1,-1\n").as_bytes());
        assert_eq!(study(&path, &[]).1, ["100.000", "50.000", "100.000"].map(String::from), "{header}");
    }
    let (_folder, path) = csv(b"prediction,mine,truth\nno,yes,yes\n");
    let flags = ["--prediction-column", "mine", "--gold-column", "truth"];
    assert_eq!(study(&path, &flags).1[0], "100.000");
}

#[test]
fn bad_files_are_refused_in_one_line() {
    let cases: [(&[u8], &[&str]); 13] = [
        (b"", &[]),
        (b"prediction,label\n", &[]),
        (b"prediction,label\na,b\nc\n", &[]),
        (b"prediction,label\na,b\nc,d,e\n", &[]),
        (b"prediction,label\na,b\n\xff,d\n", &[]),
        (b"prediction,\xfflabel\na,b\n", &[]),
        (b"x,y\na,b\n", &[]),
        (b"x,label\na,b\n", &[]),
        (b"prediction,x\na,b\n", &[]),
        (b"prediction,pred,label\na,b,c\n", &[]),
        (b"prediction,label\na,b\n", &["--gold-column", "truth"]),
        (b"prediction,label\na,b\n", &["--gold-column", "prediction"]),
        (b"prediction,label\na,b\n", &["--convention", "studdy"]),
    ];
    let errors = cases.map(|(bytes, flags)| error(bytes, flags)).join("\n");
    let snapshots = concat!(env!("CARGO_MANIFEST_DIR"), "/snapshots");
    insta::with_settings!({snapshot_path => snapshots, prepend_module_to_snapshot => true}, {
        insta::assert_snapshot!("bad_files_are_refused_in_one_line", errors);
    });
}

#[test]
fn a_missing_file_is_named() {
    let error = format!("{:#}", table(&parse(&["nowhere.csv"])).unwrap_err());
    assert!(error.starts_with("nowhere.csv: cannot open the file: "), "{error}");
}
