//! CharXiv: charts of arXiv papers (Wang et al., NeurIPS 2024 Datasets and Benchmarks, arXiv
//! 2406.18521), as a clone of princeton-nlp/CharXiv has them.
//!
//! ```text
//! data/descriptive_val.json      {"ID": {"figure_id", "num_subplots", "subplot_loc", "qids", "answers"}, ...}
//! data/reasoning_val.json        {"ID": {"figure_id", "query", "answer", "inst_category", "qa_source"}, ...}
//! data/image_metadata_val.json   {"ID": {"category", "year", ...}, ...}
//! src/*.py                       the wording of the questions
//! images/ID.jpg                  the charts; else in val.parquet of the hub's copy
//! ```
//! The validation split is asked: the answers of the other one are not published. A question's text
//! is what the official code asks, word for word, from the clone. The ids are the official code's
//! too: `ID_0` to `ID_3` of a chart's descriptive questions, `ID` of its reasoning question.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::columns::{self, ColumnMap, FileType, SplitFiles};
use super::images::{self, ImageFolder};
use super::notes::Notes;
use super::python_constants::{PythonConstants, format_fields};
use super::{CharXivPart, MissingSplit};
use chartbench_core::input::Boundary;
use chartbench_core::question::{Chart, ChartQuestions, Gold, ImageRef, Question, Split};
use chartbench_core::read_file;

/// Where the official repository is.
pub(super) const REPOSITORY: &str = "https://github.com/princeton-nlp/CharXiv";
/// The file with the charts in the hub's copy.
const HUB_FILE: &str = "val.parquet";
/// Templates of descriptive questions.
const TEMPLATES: std::ops::RangeInclusive<usize> = 1..=19;

/// The fields of formatted strings in the official code.
const ROW: &str = "{subplot_loc[0]}";
const COLUMN: &str = "{subplot_loc[1]}";
const WORDS: &str = "{subplot_loc}";
const DECIMALS: &str = "{num_decimal}";

/// A clone of the official repository.
#[derive(Clone, Debug)]
pub struct CharXivClone {
    folder: PathBuf,
    /// The wording of questions and rubrics: `src/constants.py`.
    pub constants: PythonConstants,
    /// The code about descriptive questions, which has wording of its own.
    pub descriptive_utils: PythonConstants,
    /// The code about reasoning questions, which has wording of its own.
    reasoning_utils: PythonConstants,
}

/// The descriptive questions about a chart.
#[derive(Clone, Debug, Deserialize)]
pub struct DescriptiveFigure {
    /// The chart.
    pub figure_id: u64,
    /// How many plots the chart has.
    pub num_subplots: usize,
    /// Which of them is asked about.
    subplot_loc: SubplotLocation,
    /// The template of each question.
    pub qids: Vec<usize>,
    /// The answer to each question.
    pub answers: Vec<String>,
}

/// The reasoning question about a chart.
#[derive(Clone, Debug, Deserialize)]
pub struct ReasoningFigure {
    /// The chart.
    pub figure_id: u64,
    /// The question without instructions.
    pub query: String,
    /// The answer.
    pub answer: String,
    /// The kind of answer, from 1 to 4.
    pub inst_category: usize,
    /// How the question was made, from 1 to 3.
    qa_source: usize,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum SubplotLocation {
    /// Row and column from 1; row 0 of a chart that is one plot.
    Grid([u64; 2]),
    /// In words, where plots form no grid.
    Words(String),
}

#[derive(Deserialize)]
struct FigureMetadata {
    category: String,
    year: String,
}

impl CharXivClone {
    /// Opens the clone in `folder`.
    ///
    /// # Errors
    /// Returns an error if a file with wording cannot be read.
    pub fn open(folder: &Path) -> Result<Self> {
        let read = |name: &str| {
            PythonConstants::read(&folder.join("src").join(name)).with_context(|| {
                format!(
                    "{} is no clone of {REPOSITORY}: clone it, and name that folder",
                    folder.display()
                )
            })
        };
        Ok(Self {
            folder: folder.to_owned(),
            constants: read("constants.py")?,
            descriptive_utils: read("descriptive_utils.py")?,
            reasoning_utils: read("reasoning_utils.py")?,
        })
    }

    /// The charts with their descriptive questions, in the order of the file.
    ///
    /// # Errors
    /// Returns an error that names file and chart if the file cannot be read or is malformed.
    pub fn descriptive(&self) -> Result<Vec<DescriptiveFigure>> {
        self.figures("descriptive", |figure: &DescriptiveFigure| {
            ensure!(
                figure.qids.len() == figure.answers.len(),
                "{} qids and {} answers",
                figure.qids.len(),
                figure.answers.len()
            );
            let unknown = figure.qids.iter().find(|qid| !TEMPLATES.contains(qid));
            match unknown {
                Some(qid) => bail!("qids: {qid} is none of the templates 1 to 19"),
                None => Ok(()),
            }
        })
    }

    /// The charts with their reasoning question, in the order of the file.
    ///
    /// # Errors
    /// Returns an error that names file and chart if the file cannot be read or is malformed.
    pub fn reasoning(&self) -> Result<Vec<ReasoningFigure>> {
        self.figures("reasoning", |figure: &ReasoningFigure| {
            let category = figure.inst_category;
            ensure!((1..=4).contains(&category), "inst_category is {category}");
            Ok(())
        })
    }

    fn figures<T: DeserializeOwned>(
        &self,
        part: &str,
        check: impl Fn(&T) -> Result<()>,
    ) -> Result<Vec<T>> {
        let path = self.data_file(part);
        let read = |(key, value): (String, Value)| {
            let figure = serde_json::from_value(value).map_err(anyhow::Error::from);
            figure
                .and_then(|figure| check(&figure).map(|()| figure))
                .with_context(|| format!("{}: figure {key}", path.display()))
        };
        read_object(&path)?.into_iter().map(read).collect()
    }

    fn data_file(&self, part: &str) -> PathBuf {
        self.folder.join(format!("data/{part}_val.json"))
    }

    /// Subject and year of each chart.
    fn metadata(&self) -> Result<HashMap<String, FigureMetadata>> {
        let path = self.data_file("image_metadata");
        let read = |(key, value): (String, Value)| {
            let metadata = serde_json::from_value(value)
                .with_context(|| format!("{}: figure {key}", path.display()))?;
            Ok((key, metadata))
        };
        read_object(&path)?.into_iter().map(read).collect()
    }

    /// The official question of template `qid`.
    fn descriptive_question(&self, figure: &DescriptiveFigure, qid: usize) -> Result<String> {
        let template = self
            .constants
            .text_in("DESCRIPTIVE_RESP_INST", &qid.to_string())?;
        if matches!(qid, 18 | 19) {
            return Ok(template.to_owned());
        }
        let prefix =
            |is_meant: fn(&str) -> bool| self.descriptive_utils.assigned_text("prefix", is_meant);
        let prefix = match &figure.subplot_loc {
            SubplotLocation::Grid([0, _]) => prefix(|text| !text.contains('{'))?.to_owned(),
            SubplotLocation::Grid([row, column]) => prefix(|text| text.contains(ROW))?
                .replace(ROW, &row.to_string())
                .replace(COLUMN, &column.to_string()),
            SubplotLocation::Words(words) => {
                prefix(|text| text.contains(WORDS))?.replace(WORDS, words)
            }
        };
        format_fields(template, &[&prefix]).with_context(|| format!("DESCRIPTIVE_RESP_INST[{qid}]"))
    }

    /// The official question with its instructions. For a number that is not written in the chart,
    /// the gold answer decides how many decimals are asked for.
    fn reasoning_question(&self, figure: &ReasoningFigure) -> Result<String> {
        let category = figure.inst_category;
        let template = self
            .constants
            .text_in("REASONING_RESP_INST", &category.to_string())?;
        let mut values = vec![figure.query.clone()];
        if category == 4 {
            let inst =
                |is_meant: fn(&str) -> bool| self.reasoning_utils.assigned_text("inst", is_meant);
            values.push(match figure.answer.split('.').nth(1) {
                None => inst(|text| !text.contains('{'))?.to_owned(),
                Some(decimals) => inst(|text| text.contains(DECIMALS))?
                    .replace(DECIMALS, &decimals.chars().count().to_string()),
            });
        }
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        format_fields(template, &values).with_context(|| format!("REASONING_RESP_INST[{category}]"))
    }
}

/// The members of the object in a JSON file, in order.
fn read_object(path: &Path) -> Result<Map<String, Value>> {
    let text = read_file::read(path)?;
    serde_json::from_str(&text)
        .map_err(|error| read_file::json_fault(&error, 1))
        .with_context(|| path.display().to_string())
}

/// Loads the questions of `part` from the clone in `folder`; charts that it lacks are in the hub's
/// copy at `published`.
///
/// # Errors
/// Returns an error if a file is missing or malformed; it names the file and the chart. A single
/// missing image is no error.
pub(super) fn load(
    folder: &Path,
    part: CharXivPart,
    published: Option<&Path>,
    split: Split,
    allow_outside: bool,
    notes: &mut Notes,
) -> Result<Vec<ChartQuestions>> {
    if split == Split::Train {
        bail!(MissingSplit(format!(
            "{}: CharXiv has no train split",
            folder.display()
        )));
    }
    let clone = CharXivClone::open(folder)?;
    let figures = clone.descriptive()?;
    let metadata = clone.metadata()?;
    let mut questions = FigureQuestions {
        metadata,
        subplots: figures
            .iter()
            .map(|figure| (figure.figure_id, figure.num_subplots))
            .collect(),
        charts: Vec::new(),
    };
    match part {
        CharXivPart::Descriptive => {
            for figure in &figures {
                let texts = figure.qids.iter().map(|qid| {
                    let text = clone.descriptive_question(figure, *qid)?;
                    Ok((*qid, text))
                });
                questions.add_descriptive(figure, texts.collect::<Result<_>>()?)?;
            }
        }
        CharXivPart::Reasoning => {
            for figure in clone.reasoning()? {
                questions.add_reasoning(&figure, clone.reasoning_question(&figure)?)?;
            }
        }
    }
    let mut charts = questions.charts;
    let folder_images =
        ImageFolder::list(folder.join("images"), &Boundary::new(folder, allow_outside))?;
    for entry in &mut charts {
        entry.chart.image = folder_images.find(&format!("{}.jpg", entry.chart.id));
    }
    match published.filter(|_| lacks_images(folder)) {
        Some(published) => take_images(&mut charts, hub_images(published, notes)?),
        None => {
            images::require_any_image(images::chart_images(&charts), &[&folder_images])?;
            folder_images.report(notes);
        }
    }
    Ok(charts)
}

/// Whether the clone in `folder` has no charts, which are not in the repository.
pub(super) fn lacks_images(folder: &Path) -> bool {
    let names = read_file::list_folder(&folder.join("images")).unwrap_or_default();
    !names.iter().any(|name| name.ends_with(".jpg"))
}

/// The charts of the hub's copy by their id.
fn hub_images(published: &Path, notes: &mut Notes) -> Result<HashMap<String, ImageRef>> {
    let path = published.join(HUB_FILE);
    let map = ColumnMap {
        chart: Some("figure_path".to_owned()),
        ..ColumnMap::new("image", "reasoning_q", "reasoning_a")
    };
    let charts = columns::load(
        &columns::Request {
            path: &path,
            file_type: FileType::Parquet,
            columns: Some(&map),
            files: &SplitFiles::default(),
            split: Split::Test,
            allow_outside: false,
        },
        notes,
    )?;
    let named = charts.into_iter().map(|entry| {
        let path = entry.chart.id;
        let name = path.rsplit('/').next().unwrap_or_default();
        let id = name.strip_suffix(".jpg").unwrap_or(name).to_owned();
        (id, entry.chart.image)
    });
    Ok(named.collect())
}

fn take_images(charts: &mut [ChartQuestions], mut images: HashMap<String, ImageRef>) {
    for ChartQuestions { chart, .. } in charts {
        if let Some(image) = images.remove(&chart.id) {
            chart.image = image;
        }
    }
}

/// The questions while they are read.
struct FigureQuestions {
    metadata: HashMap<String, FigureMetadata>,
    /// How many plots each chart has.
    subplots: HashMap<u64, usize>,
    charts: Vec<ChartQuestions>,
}

impl FigureQuestions {
    fn add_descriptive(
        &mut self,
        figure: &DescriptiveFigure,
        texts: Vec<(usize, String)>,
    ) -> Result<()> {
        let slices = self.slices(figure.figure_id)?;
        let asked = texts.into_iter().zip(&figure.answers).enumerate();
        let questions = asked.map(|(index, ((qid, text), answer))| {
            let mut slices = slices.clone();
            slices.insert("category".to_owned(), category(qid).to_owned());
            Question {
                template: Some(qid.to_string()),
                slices,
                ..question(format!("{}_{index}", figure.figure_id), text, answer)
            }
        });
        let questions = questions.collect();
        self.add(figure.figure_id, questions);
        Ok(())
    }

    fn add_reasoning(&mut self, figure: &ReasoningFigure, text: String) -> Result<()> {
        let mut slices = self.slices(figure.figure_id)?;
        let kind = match figure.inst_category {
            1 => "Text-in-Chart",
            2 => "Text-in-General",
            3 => "Number-in-Chart",
            _ => "Number-in-General",
        };
        slices.insert("inst_category".to_owned(), kind.to_owned());
        let source = match figure.qa_source {
            1 => "GPT-Sourced",
            2 => "GPT-Inspired",
            3 => "Completely Human",
            other => bail!(
                "reasoning_val.json: figure {}: qa_source is {other}",
                figure.figure_id
            ),
        };
        let question = Question {
            source: Some(source.to_owned()),
            slices,
            ..question(figure.figure_id.to_string(), text, &figure.answer)
        };
        self.add(figure.figure_id, vec![question]);
        Ok(())
    }

    fn add(&mut self, figure: u64, questions: Vec<Question>) {
        let id = figure.to_string();
        let image = ImageRef::File(PathBuf::from(format!("{id}.jpg")).into());
        self.charts.push(ChartQuestions {
            chart: Chart {
                id,
                image,
                chart_type: None,
                table: None,
            },
            questions,
        });
    }

    /// The properties of a chart by which the official code splits its results.
    fn slices(&self, figure: u64) -> Result<BTreeMap<String, String>> {
        let metadata = self
            .metadata
            .get(&figure.to_string())
            .with_context(|| format!("image_metadata_val.json: there is no figure {figure}"))?;
        let subplots = self
            .subplots
            .get(&figure)
            .with_context(|| format!("descriptive_val.json: there is no figure {figure}"))?;
        let subplots = match subplots {
            0 | 1 => "1 Subplot",
            2..=4 => "2-4 Subplots",
            _ => "5+ Subplots",
        };
        Ok([
            ("subplots", subplots.to_owned()),
            ("subject", subject(&metadata.category).to_owned()),
            ("year", format!("20{}", metadata.year)),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into())
    }
}

fn question(id: String, text: String, answer: &str) -> Question {
    Question {
        id,
        text,
        gold: Gold::from(answer),
        answer_type: None,
        taxonomy: None,
        template: None,
        source: None,
        slices: BTreeMap::new(),
        context: None,
    }
}

/// The official category of a template.
fn category(qid: usize) -> &'static str {
    match qid {
        1..=7 => "Information Extraction",
        8 | 9 | 13..=15 => "Enumeration",
        11 | 16 | 18 => "Pattern Recognition",
        17 => "Compositionality",
        _ => "Counting",
    }
}

/// The name of arXiv's subject.
fn subject(category: &str) -> &str {
    match category {
        "cs" => "Computer Science",
        "econ" => "Economics",
        "eess" => "Electrical Engineering and Systems Science",
        "math" => "Mathematics",
        "physics" => "Physics",
        "q-bio" => "Quantitative Biology",
        "q-fin" => "Quantitative Finance",
        "stat" => "Statistics",
        other => other,
    }
}
