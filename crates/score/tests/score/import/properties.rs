//! Properties of the import of any bytes.

use std::path::Path;

use chartbench_score::import::{ColumnNames, FileFormat, Golds, ImportOptions, parse};
use proptest::prelude::*;

use super::workbook::{header_row, parts, workbook, zipped};
use super::{golds, lines};

const LAYOUTS: [FileFormat; 6] = [
    FileFormat::Csv,
    FileFormat::Tsv,
    FileFormat::Jsonl,
    FileFormat::Json,
    FileFormat::Xlsx,
    FileFormat::Eval,
];

/// Reads the bytes in every format, for predictions with and without separate golds and for golds.
fn read_in_every_way(bytes: &[u8]) {
    let apart = golds("id,gold\n1,x\nPMC1/a,y\n");
    for layout in LAYOUTS {
        for options in [&ImportOptions::default(), &apart] {
            match parse(bytes, layout, options) {
                Ok(imported) => lines(&imported).iter().for_each(drop),
                Err(error) => assert!(!format!("{error:#}").contains('\n'), "{error:#}"),
            }
        }
        drop(Golds::parse(bytes, &ColumnNames::default(), layout));
    }
    FileFormat::detect(Path::new("file"), bytes);
}

/// Pieces of all formats, so that random texts come far into the readers.
fn piece() -> impl Strategy<Value = String> {
    const PIECES: &[&str] = &[
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        "\"",
        "\\",
        "\n",
        "\r\n",
        "\t",
        "null",
        "true",
        "-1.5e3",
        "NaN",
        "-Infinity",
        "\"a\"",
        "\"id\":",
        "\"gold\":",
        "\"prediction\":",
        "\"filtered_resps\":",
        "\"target\":",
        "\"doc\":",
        "\"filter\":",
        "[\"a\"]",
        "{\"id\": 1, \"gold\": \"x\", \"prediction\": \"y\"}",
        "[{\"qa_id\": 1, \"answer\": 2, \"prediction\": 3}]",
        "prediction,label\n",
        "id\tanswer\tprediction\n",
        "a,\"b",
        "\u{feff}",
        "é",
        "\\u0",
        "\\ud800",
    ];
    prop_oneof![4 => proptest::sample::select(PIECES).prop_map(str::to_owned), 1 => any::<String>()]
}

proptest! {
    #[test]
    fn no_bytes_panic_a_reader(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        read_in_every_way(&bytes);
    }

    #[test]
    fn no_text_panics_a_reader(pieces in proptest::collection::vec(piece(), 0..12)) {
        read_in_every_way(pieces.concat().as_bytes());
    }

    #[test]
    fn no_sheet_panics_a_reader(cell in "[A-Z]{0,9}[0-9]{0,12}", kind in "(s|b|n|e|d|str|inlineStr|x)?", value in "\\PC{0,12}", style in "[0-9]{0,3}") {
        let cells = format!(r#"<row r="3"><c r="{cell}" t="{kind}" s="{style}"><v>{value}</v></c></row>"#);
        read_in_every_way(&workbook(&(header_row() + &cells)));
    }

    #[test]
    fn no_damage_to_a_workbook_panics_the_reader(part in 0..6usize, at in any::<proptest::sample::Index>(), cut in 0..12usize, put in "[<>/=\"a-c0-9 ]{0,4}") {
        let mut parts = parts(&(header_row() + r#"<row r="3"><c r="D3" s="1"><v>5</v></c><c r="F3" t="s"><v>0</v></c></row>"#));
        let xml = &mut parts[part].1;
        let start = at.index(xml.len());
        xml.replace_range(start..(start + cut).min(xml.len()), &put);
        read_in_every_way(&zipped(&parts));
    }

    #[test]
    fn what_csv_writes_is_read_back(rows in proptest::collection::vec((any::<String>(), any::<String>()), 1..8)) {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(["prediction", "gold"]).unwrap();
        rows.iter().for_each(|(prediction, gold)| writer.write_record([prediction, gold]).unwrap());
        let imported = parse(&writer.into_inner().unwrap(), FileFormat::Csv, &ImportOptions::default()).unwrap();
        let found = imported.answers.into_iter().map(|answered| (answered.prediction.unwrap().0, answered.gold.text().into_owned()));
        prop_assert_eq!(found.collect::<Vec<_>>(), rows);
    }

    #[test]
    fn what_json_writes_is_read_back(rows in proptest::collection::vec((any::<String>(), any::<String>()), 1..8)) {
        let objects: Vec<_> = rows.iter().map(|(prediction, gold)| serde_json::json!({"prediction": prediction, "gold": gold})).collect();
        let jsonl: Vec<String> = objects.iter().map(ToString::to_string).collect();
        let list = serde_json::to_string_pretty(&objects).unwrap();
        for (layout, text) in [(FileFormat::Jsonl, jsonl.join("\n")), (FileFormat::Json, list)] {
            let imported = parse(text.as_bytes(), layout, &ImportOptions::default()).unwrap();
            let found = imported.answers.into_iter().map(|answered| (answered.prediction.unwrap().0, answered.gold.text().into_owned()));
            prop_assert_eq!(&found.collect::<Vec<_>>(), &rows);
        }
    }
}
