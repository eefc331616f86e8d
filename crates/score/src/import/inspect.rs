//! Reads the logs of inspect: `.eval` (a zip archive of JSON files) and `.json`.
//!
//! A log has a header (`eval` and `plan`) and samples. Samples are in the order in which they were
//! finished; they are read in the order of the data set. Of several epochs the first counts.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{Cursor, Read};

use anyhow::{Context, Result, anyhow, bail, ensure};
use flate2::read::DeflateDecoder;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use zip::{CompressionMethod, ZipArchive};

use super::columns::{Need, Scope};
use super::json_object::key_values;
use super::json_value;
use super::problem::{OneLine, Unit};
use super::provenance::Provenance;
use super::table::{AnswerRow, AnswerTable};
use chartbench_core::question::{Gold, Prediction};
use chartbench_core::read_file;

/// Most bytes of one file in the archive after decompression.
const MAX_FILE: u64 = 1 << 28;
/// Most bytes of all files in the archive after decompression.
const MAX_ARCHIVE: u64 = 1 << 32;
/// The header; of an evaluation that did not end the file behind it.
const HEADERS: [&str; 2] = ["header.json", "_journal/start.json"];
const SAMPLES: &str = "samples/";

/// Whether a zip archive with this beginning is a log: whether its first file is one of a log's.
pub(super) fn begins_archive(content: &[u8]) -> bool {
    let name = || {
        let length = u16::from_le_bytes(content.get(26..28)?.try_into().ok()?);
        content.get(30..30 + usize::from(length))
    };
    let files = ["_journal/", SAMPLES, "header.json", "summaries.json"];
    name().is_some_and(|name| files.iter().any(|file| name.starts_with(file.as_bytes())))
}

/// Whether an object of these entries is a log.
pub(super) fn is_log(entries: &[(Cow<'_, str>, &RawValue)]) -> bool {
    let has = |key: &str| entries.iter().any(|(name, _)| name == key);
    has("eval") && has("samples")
}

/// Reads an `.eval` file.
///
/// # Errors
/// Returns an error if it is not such an archive, inflates to too much, or a file in it is
/// malformed; the error names that file.
pub(super) fn archive(bytes: &[u8], scope: Scope<'_>) -> Result<AnswerTable> {
    let malformed = |error| anyhow!("cannot read the file as inspect's .eval log: {error}");
    let mut archive = ZipArchive::new(Cursor::new(bytes)).map_err(malformed)?;
    let names: Vec<String> = archive
        .file_names()
        .map(|name| name.map(Cow::into_owned))
        .collect::<Result<_, _>>()
        .map_err(malformed)?;
    let mut budget = MAX_ARCHIVE;
    let mut file = |index: usize, name: &str| {
        read(&mut archive, index, &mut budget).with_context(|| OneLine(name).to_string())
    };
    let mut log = Log::new(scope);
    for header in HEADERS {
        if let Some(index) = names.iter().position(|name| name == header) {
            let header = Header::parse(&file(index, header)?).context(header)?;
            log.add_header(&header.eval, &header.plan);
            break;
        }
    }
    for (index, name) in names.iter().enumerate() {
        if name.starts_with(SAMPLES) && name.ends_with(".json") {
            let json = file(index, name)?;
            log.add(&json_value::without_nan(&json))
                .with_context(|| OneLine(name).to_string())?;
        }
    }
    log.into_table()
}

/// Reads a log in one JSON object.
///
/// # Errors
/// Returns an error if a sample is malformed; the error names it.
pub(super) fn log(json: &str, scope: Scope<'_>) -> Result<AnswerTable> {
    let entries = key_values(json).map_err(|error| read_file::json_fault(&error, 1))?;
    let part = |key: &str| {
        let found = entries.iter().find(|(name, _)| name == key);
        found.map(|(_, raw)| raw.get())
    };
    let header = |key: &str| serde_json::from_str(part(key).unwrap_or("null")).unwrap_or_default();
    let mut log = Log::new(scope);
    log.add_header(&header("eval"), &header("plan"));
    let samples: Vec<&RawValue> =
        serde_json::from_str(part("samples").unwrap_or("[]")).context("`samples` is not a list")?;
    for (index, sample) in samples.into_iter().enumerate() {
        log.add(sample.get())
            .with_context(|| format!("sample {}", index + 1))?;
    }
    log.into_table()
}

/// Decompresses a file of the archive, and takes its size off `budget`.
fn read(archive: &mut ZipArchive<Cursor<&[u8]>>, index: usize, budget: &mut u64) -> Result<String> {
    let file = archive
        .by_index_raw(index)
        .map_err(|error| anyhow!("cannot read it: {error}"))?;
    let max = MAX_FILE.min(*budget);
    let mut bytes = Vec::new();
    let read = match file.compression() {
        CompressionMethod::Stored => file.take(max + 1).read_to_end(&mut bytes),
        CompressionMethod::DEFLATE => DeflateDecoder::new(file)
            .take(max + 1)
            .read_to_end(&mut bytes),
        _ => bail!(
            "compressed in a way that this program does not read: `inspect log convert --to json` writes a log that it does"
        ),
    };
    let size = read.context("cannot decompress it")? as u64;
    ensure!(size <= max, "it inflates to more than {max} bytes");
    *budget -= size;
    String::from_utf8(bytes).map_err(|_| anyhow!("not UTF-8 text"))
}

#[derive(Default, Deserialize)]
struct Header {
    #[serde(default)]
    eval: Value,
    #[serde(default)]
    plan: Value,
}

impl Header {
    fn parse(json: &str) -> Result<Self> {
        serde_json::from_str(&json_value::without_nan(json))
            .map_err(|error| read_file::json_fault(&error, 1))
    }
}

/// A log while it is read.
struct Log<'a> {
    scope: Scope<'a>,
    provenance: Provenance,
    /// The place of each sample in the data set, by its id.
    places: HashMap<String, usize>,
    samples: Vec<LogSample>,
}

/// The parts of a sample that are kept.
struct LogSample {
    id: String,
    epoch: u64,
    row: AnswerRow,
    failure: Option<String>,
    several_targets: bool,
}

impl<'a> Log<'a> {
    fn new(scope: Scope<'a>) -> Self {
        Self {
            scope,
            provenance: Provenance {
                harness: Some("inspect".to_owned()),
                ..Provenance::default()
            },
            places: HashMap::new(),
            samples: Vec::new(),
        }
    }

    fn add_header(&mut self, eval: &Value, plan: &Value) {
        let text = |pointer: &str| Some(eval.pointer(pointer)?.as_str()?.to_owned());
        self.provenance.harness_version = text("/packages/inspect_ai");
        self.provenance.model = text("/model");
        self.provenance.task = text("/task");
        let steps = plan.get("steps").and_then(Value::as_array);
        let prompts = steps.into_iter().flatten().filter_map(|step| {
            let template = step.pointer("/params/template")?.as_str()?;
            Some(format!("{}: {template}", step.get("solver")?.as_str()?))
        });
        let prompts: Vec<String> = prompts.collect();
        self.provenance.prompt = (!prompts.is_empty()).then(|| prompts.join("\n"));
        let generation = [plan.get("config"), eval.get("model_generate_config")];
        let generation = generation
            .into_iter()
            .flatten()
            .find(|config| config.as_object().is_some_and(|config| !config.is_empty()));
        self.provenance.generation = generation.map(Value::to_string);
        let ids = eval
            .pointer("/dataset/sample_ids")
            .and_then(Value::as_array);
        for (place, id) in ids.into_iter().flatten().enumerate() {
            let id = id.as_str().map_or_else(|| id.to_string(), str::to_owned);
            self.places.insert(id, place);
        }
    }

    fn add(&mut self, json: &str) -> Result<()> {
        let sample: Sample<'_> =
            serde_json::from_str(json).map_err(|error| read_file::json_fault(&error, 1))?;
        let id = json_value::id(sample.id).context("id")?;
        let need = self.scope.need;
        let mut several_targets = false;
        let gold = match sample.target {
            Some(raw) if need == Need::Predictions => {
                json_value::response(raw).ok().and_then(|(text, _)| text)
            }
            Some(raw) => {
                let (text, several) = json_value::response(raw).context("target")?;
                several_targets = several;
                text
            }
            None => None,
        };
        ensure!(
            gold.is_some() || need == Need::Predictions,
            "no `target`: give the golds by --gold"
        );
        let (prediction, failure) = match (sample.error, sample.output) {
            (Some(error), _) => (None, Some(error.message)),
            (None, output) => output.map_or((None, None), Output::prediction),
        };
        let row = AnswerRow {
            gold: gold.map(Gold::Text),
            question: sample.input.and_then(|raw| question(raw.get())),
            prediction: prediction.map(Prediction),
            ..AnswerRow::default()
        };
        self.samples.push(LogSample {
            id,
            epoch: sample.epoch.unwrap_or(1),
            row,
            failure,
            several_targets,
        });
        Ok(())
    }

    /// The samples in the order of the data set.
    fn into_table(mut self) -> Result<AnswerTable> {
        let places = &self.places;
        self.samples.sort_by_cached_key(|sample| {
            let place = places.get(&sample.id).copied();
            let number = sample.id.parse::<usize>().ok();
            (sample.epoch, place.or(number).unwrap_or(usize::MAX))
        });
        let mut table = AnswerTable::new(Unit::Record);
        table.provenance = self.provenance;
        for (index, sample) in self.samples.into_iter().enumerate() {
            let number = index + 1;
            if !table.takes_filter(number, &format!("epoch {}", sample.epoch)) {
                continue;
            }
            if sample.several_targets {
                table.several_targets(number);
            }
            let failed = self.scope.need != Need::Golds && sample.row.prediction.is_none();
            table.push(number, Some(sample.id), sample.row);
            if failed {
                table.last_failed(sample.failure);
            }
        }
        table.finish("the log has no samples")
    }
}

#[derive(Deserialize)]
struct Sample<'a> {
    #[serde(borrow)]
    id: &'a RawValue,
    epoch: Option<u64>,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
    #[serde(borrow)]
    target: Option<&'a RawValue>,
    output: Option<Output>,
    error: Option<SampleError>,
}

#[derive(Deserialize)]
struct SampleError {
    message: String,
}

/// What the model wrote.
#[derive(Deserialize)]
struct Output {
    completion: Option<String>,
    #[serde(default)]
    choices: Vec<Choice>,
    error: Option<String>,
}

#[derive(Deserialize)]
struct Choice {
    message: Message,
}

#[derive(Deserialize)]
struct Message {
    role: Option<String>,
    content: Option<Content>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<ContentPart>),
}

#[derive(Deserialize)]
struct ContentPart {
    #[serde(rename = "type")]
    kind: String,
    text: Option<String>,
}

impl Output {
    /// The text, or why there is none.
    fn prediction(self) -> (Option<String>, Option<String>) {
        let written = self.completion.filter(|text| !text.is_empty());
        let first = self.choices.into_iter().next();
        let text = written.or_else(|| Some(first?.message.text()));
        let failure = self.error.filter(|_| text.is_none());
        (text, failure)
    }
}

impl Message {
    fn text(self) -> String {
        match self.content {
            Some(Content::Text(text)) => text,
            Some(Content::Parts(parts)) => parts
                .into_iter()
                .filter(|part| part.kind == "text")
                .filter_map(|part| part.text)
                .collect(),
            None => String::new(),
        }
    }
}

/// The question of a sample: its input, or the last message of the user in it.
fn question(input: &str) -> Option<String> {
    if let Ok(text) = serde_json::from_str(input) {
        return Some(text);
    }
    let messages: Vec<Message> = serde_json::from_str(input).ok()?;
    messages
        .into_iter()
        .rev()
        .find(|message| message.role.as_deref() == Some("user"))
        .map(Message::text)
}
