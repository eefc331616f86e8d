//! Excel workbooks, written by hand.

use std::fs;
use std::io::{Cursor, Write};

use chartbench_score::import::{ImportOptions, read};

use super::lines;

/// A workbook of one sheet with these rows in XML.
pub(super) fn workbook(rows: &str) -> Vec<u8> {
    zipped(&parts(rows))
}

/// The files in the workbook's archive.
pub(super) fn parts(rows: &str) -> [(&'static str, String); 6] {
    let main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main";
    let office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
    [
        (
            "_rels/.rels",
            format!(
                r#"<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="{office}/officeDocument" Target="xl/workbook.xml"/></Relationships>"#
            ),
        ),
        (
            "xl/workbook.xml",
            format!(
                r#"<workbook xmlns="{main}" xmlns:r="{office}"><sheets><sheet name="Sheet1" sheetId="1" r:id="rId1"/></sheets></workbook>"#
            ),
        ),
        (
            "xl/_rels/workbook.xml.rels",
            format!(
                r#"<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="{office}/worksheet" Target="worksheets/sheet1.xml"/><Relationship Id="rId2" Type="{office}/sharedStrings" Target="sharedStrings.xml"/><Relationship Id="rId3" Type="{office}/styles" Target="styles.xml"/></Relationships>"#
            ),
        ),
        (
            "xl/sharedStrings.xml",
            format!(r#"<sst xmlns="{main}"><si><t>How many?</t></si></sst>"#),
        ),
        (
            "xl/styles.xml",
            format!(
                r#"<styleSheet xmlns="{main}"><cellXfs><xf numFmtId="0"/><xf numFmtId="14"/></cellXfs></styleSheet>"#
            ),
        ),
        (
            "xl/worksheets/sheet1.xml",
            format!(r#"<worksheet xmlns="{main}"><sheetData>{rows}</sheetData></worksheet>"#),
        ),
    ]
}

pub(super) fn zipped(parts: &[(&str, String)]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let stored =
        zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, xml) in parts {
        zip.start_file(*name, stored).unwrap();
        zip.write_all(xml.as_bytes()).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

pub(super) fn text_cell(at: &str, text: &str) -> String {
    format!(r#"<c r="{at}" t="inlineStr"><is><t xml:space="preserve">{text}</t></is></c>"#)
}

/// Row 2 of a workbook, in VLMEvalKit's columns.
pub(super) fn header_row() -> String {
    let cells = [
        ("B2", "index"),
        ("C2", "question"),
        ("D2", "answer"),
        ("F2", "prediction"),
    ];
    format!(
        r#"<row r="2">{}</row>"#,
        cells.map(|(at, name)| text_cell(at, name)).concat()
    )
}

#[test]
fn a_workbooks_cells_are_what_people_see() {
    let rows = [
        r#"<c r="B3"><v>0</v></c><c r="C3" t="s"><v>0</v></c><c r="D3"><v>5</v></c><c r="F3"><v>5.0</v></c>"#
            .to_owned(),
        r#"<c r="B4"><v>1</v></c><c r="D4"><v>0.10000000000000001</v></c><c r="F4" t="b"><v>1</v></c>"#.to_owned(),
        format!(r#"<c r="B5"><v>2</v></c><c r="D5" s="1"><v>40179</v></c>{}"#, text_cell("F5", " 1.0 ")),
        r#"<c r="B7"><v>3</v></c><c r="D7"><v>1E+21</v></c><c r="F7" t="e"><v>#N/A</v></c>"#.to_owned(),
        r#"<c r="B8"><v>4</v></c><c r="XFD8"><v>1</v></c>"#.to_owned(),
    ];
    let rows: String = rows
        .iter()
        .map(|cells| format!("<row>{cells}</row>"))
        .collect();
    let content = workbook(&(header_row() + &rows));
    let expected = [
        "0: 5 | 5 | How many?",
        "1: True | 0.1 | ",
        "2:  1.0  | 2010-01-01 | ",
        "3: #N/A | 1e21 | ",
        "4:  |  | ",
    ];
    let folder = tempfile::tempdir().unwrap();
    for name in ["model_ChartQA.xlsx", "unnamed"] {
        let path = folder.path().join(name);
        fs::write(&path, &content).unwrap();
        assert_eq!(
            lines(&read(&path, &ImportOptions::default()).unwrap()),
            expected
        );
    }
}
