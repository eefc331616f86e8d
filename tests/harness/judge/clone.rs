//! A small clone of CharXiv's repository in the official layout, with wording, charts and questions
//! that are made up here.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};

/// Charts of the clone.
pub(super) const FIGURES: usize = 50;

/// Writes the clone.
pub(super) fn write(folder: &Path) {
    for name in ["data", "images", "src"] {
        fs::create_dir_all(folder.join(name)).unwrap();
    }
    let files = [
        ("constants.py", constants()),
        ("descriptive_utils.py", DESCRIPTIVE_UTILS.to_owned()),
        ("reasoning_utils.py", REASONING_UTILS.to_owned()),
    ];
    for (name, text) in files {
        fs::write(folder.join("src").join(name), text).unwrap();
    }
    let [mut descriptive, mut reasoning, mut metadata] = [Map::new(), Map::new(), Map::new()];
    for figure in 0..FIGURES {
        let key = figure.to_string();
        descriptive.insert(key.clone(), descriptive_of(figure));
        reasoning.insert(key.clone(), reasoning_of(figure));
        let subject = ["cs", "econ", "q-bio"][figure % 3];
        let year = ["20", "21", "22", "23"][figure % 4];
        metadata.insert(
            key,
            json!({"category": subject, "year": year, "title": "Made up"}),
        );
        let picture = image::RgbImage::from_pixel(8, 6, image::Rgb([figure as u8, 2, 3]));
        picture
            .save(folder.join(format!("images/{figure}.jpg")))
            .unwrap();
    }
    for (name, content) in [
        ("descriptive", descriptive),
        ("reasoning", reasoning),
        ("image_metadata", metadata),
    ] {
        let text = serde_json::to_string(&Value::Object(content)).unwrap();
        fs::write(folder.join(format!("data/{name}_val.json")), text).unwrap();
    }
}

/// The templates of a chart's questions.
pub(super) fn templates(figure: usize) -> [usize; 4] {
    [
        1 + figure % 7,
        [8, 9, 10, 12][figure % 4],
        [11, 13, 16][figure % 3],
        [17, 18, 19][figure % 3],
    ]
}

pub(super) fn gold(figure: usize, template: usize) -> String {
    match template {
        1..=7 if figure.is_multiple_of(5) => "Not Applicable".to_owned(),
        1..=7 => format!("label {figure}"),
        11 => ["Yes", "No"][figure % 2].to_owned(),
        13 => "one, two".to_owned(),
        16 => "rises".to_owned(),
        18 => format!("{} by 2", 1 + figure % 3),
        _ => (figure % 4).to_string(),
    }
}

fn descriptive_of(figure: usize) -> Value {
    let place = match figure % 3 {
        0 => json!([0, 0]),
        1 => json!([1, 2]),
        _ => json!("the inset"),
    };
    let templates = templates(figure);
    json!({
        "figure_id": figure, "num_subplots": 1 + figure % 6, "subplot_loc": place, "qids": templates,
        "answers": templates.map(|template| gold(figure, template)),
    })
}

fn reasoning_of(figure: usize) -> Value {
    let kind = 1 + figure % 4;
    let answer = ["left", "falls", "12", "0.25"][kind - 1];
    json!({
        "figure_id": figure, "query": format!("Reason about {figure}?"), "answer": answer, "inst_category": kind,
        "qa_source": 1 + figure % 3,
    })
}

/// The file in which the official code has its wording.
fn constants() -> String {
    let mut text = "DESCRIPTIVE_RESP_INST = {\n".to_owned();
    for template in 1..=19 {
        let field = if template < 18 { "{}" } else { "" };
        write!(
            text,
            "    {template}: \\\n    \"\"\"{field}tell {template}.\n    * Be \\brief.\"\"\",\n\n"
        )
        .unwrap();
    }
    text += "}\n\nDESCRIPTIVE_GRADING_PREFIX =\"\"\"\nLook at <|NUM_TRIPLETS|> of: <|OVERARCHING_QUESTION|>\nFill <|JSON_KEYS|>\n\"\"\"\n";
    text += "\nDESCRIPTIVE_GRADING_QMAP = {\n";
    for template in 1..=19 {
        writeln!(text, "    {template}: \"Template {template}?\",").unwrap();
    }
    text += "}\n\nDESCRIPTIVE_GRADING_ICL = {\n";
    for rubric in ["title", "ocr", "quant", "bool", "enum", "trend", "layout"] {
        writeln!(
            text,
            "    '{rubric}': \"\"\"\nMind the {rubric}: \\alpha.\n\"\"\","
        )
        .unwrap();
    }
    text += "}\n\nREASONING_GRADING_PREFIX = \"\"\"\nLook at one.\\n\"\"\"\n\nREASONING_GRADING_INST = {\n";
    for kind in 1..=4 {
        write!(text, "    {kind}: \\\n    \"\"\"\n    kind {kind} | <|question|> | <|ground_truth|> | <|response|>\n    \"\"\",\n").unwrap();
    }
    text += "}\n\nREASONING_RESP_INST = {\n";
    for kind in 1..=3 {
        write!(
            text,
            "    {kind}: \\\n    \"\"\"{{}}\n    * kind {kind}.\n    \"\"\",\n"
        )
        .unwrap();
    }
    text + "    4: \\\n    \"\"\"{}\n    {}\n    \"\"\"\n}\n"
}

const DESCRIPTIVE_UTILS: &str = r#"import os
from constants import DESCRIPTIVE_RESP_INST

def lines_of(batch):
    query = ""
    for i, (_, response, answer) in enumerate(batch):
        curr_query = "<{}|{}> said '{}' <{}> wanted '{}'\n"\
            .format(i+1, i+1, response, i+1, answer)
        query += curr_query
    return query

def asked(qid, subplot_loc):
    if isinstance(subplot_loc, list):
        if subplot_loc[0] == 0:
            # one plot
            prefix = "Here, "
        else:
            prefix = f"In line {subplot_loc[0]}, place {subplot_loc[1]}, "
    else:
        prefix = f"In {subplot_loc}, "
    return DESCRIPTIVE_RESP_INST[qid].format(prefix)
"#;

const REASONING_UTILS: &str = r#"
def form(answer):
    if "." not in answer:
        inst = "* A whole number."
    else:
        num_decimal = len(answer.split(".")[1])
        inst = f"* A number with {num_decimal} digits."
    return inst
"#;
