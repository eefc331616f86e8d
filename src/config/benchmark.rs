//! A benchmark (`benchmarks/*.toml`): the source and the selection of its questions.

mod hub_data;

use std::path::Path;

use anyhow::{Context, Result, anyhow};
use include_dir::{Dir, File, include_dir};
use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

pub use hub_data::{HubData, HubRepo, HubSource, UrlFile};

use super::protocol::{Protocol, ProtocolFault, ProtocolOverrides};
use chartbench_core::counts::{
    MAX_LIMIT, MAX_QUESTIONS_PER_CHART, MAX_SYNTHETIC_CHARTS, check_count,
};
use chartbench_core::input::{self, MAX_SETTINGS_BYTES};
use chartbench_core::names;
use chartbench_core::terminal::shorten;
use chartbench_data::{
    Ask, CharXivPart, ColumnMap, Format, QuestionList, QuestionSetSpec, Questions, SplitFiles,
};
use chartbench_score::metric::Convention;

static EMBEDDED: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/benchmarks");

/// A validated benchmark file.
#[derive(Clone, Debug, PartialEq)]
pub struct Benchmark {
    /// Its questions; the name is that of the file without `.toml`.
    pub data: QuestionSetSpec,
    /// The name in tables and reports.
    pub title: String,
    /// A description in a sentence or two.
    pub description: String,
    /// The paper or page it is from.
    pub source: Option<String>,
    /// The terms of the data set.
    pub license: Option<String>,
    /// The convention of its tables, where it is not the default; a valid name.
    pub convention: Option<String>,
    /// Where the data set is published; `None` where nothing is known of it.
    pub hub: Option<HubData>,
    /// The keys of `[finetune]`, for [`Benchmark::protocol`].
    pub finetune: ProtocolOverrides,
    /// Published results.
    pub published: Vec<Published>,
}

impl Benchmark {
    /// The names of the benchmarks in the program, sorted.
    pub fn embedded_names() -> impl Iterator<Item = &'static str> {
        let mut names: Vec<_> = embedded().map(|(name, _)| name).collect();
        names.sort_unstable();
        names.into_iter()
    }

    /// An embedded benchmark by its name, or a file's by a path that ends in `.toml`.
    ///
    /// # Errors
    /// Returns an error if the name is unknown (with the nearest names), or the file cannot be read
    /// or is no benchmark.
    pub fn find(name: &str) -> Result<Self> {
        let path = Path::new(name);
        if path
            .extension()
            .is_some_and(|extension| extension == "toml")
        {
            let text = input::read_text(path, MAX_SETTINGS_BYTES);
            let text = text.with_context(|| format!("cannot read the benchmark {name}"))?;
            return Self::parse(&text, name);
        }
        let (_, file) = embedded()
            .find(|(embedded, _)| *embedded == name)
            .ok_or_else(|| names::UnknownName::new("benchmark", name, Self::embedded_names()))?;
        let text = file
            .contents_utf8()
            .with_context(|| format!("benchmarks/{name}.toml is not UTF-8"))?;
        Self::parse(text, &format!("benchmarks/{name}.toml"))
    }

    /// Parses a benchmark; its name comes from `file_name`, which errors show.
    ///
    /// # Errors
    /// Returns an error in one line with file, line and key.
    pub fn parse(text: &str, file_name: &str) -> Result<Self> {
        let mut wire: Wire = toml::from_str(text).map_err(|error| {
            let what = error.message().replace('\n', " ");
            // A missing key has no place: its span is the whole file.
            let span = error.span().filter(|_| !what.starts_with("missing field"));
            let place = span.map(|span| place(text, span.start)).unwrap_or_default();
            anyhow!("{file_name}: {place}{what}")
        })?;
        let stem = Path::new(file_name)
            .file_stem()
            .and_then(|stem| stem.to_str());
        let name =
            stem.with_context(|| format!("{file_name}: not the name of a benchmark file"))?;
        let checked = wire
            .finetune
            .protocol()
            .map_err(|fault| Fault::from_protocol(text, fault));
        let hub = wire.hub.take().map(hub_data::WireHub::validate).transpose();
        let hub = hub.map_err(|fault| Fault::from_hub(text, &fault));
        checked
            .and_then(|_| {
                Ok(Benchmark {
                    hub: hub?,
                    ..wire.validate(name)?
                })
            })
            .map_err(|fault| match fault.offset {
                Some(at) => anyhow!("{file_name}: {}{}", place(text, at), fault.what),
                None => anyhow!("{file_name}: {}", fault.what),
            })
    }

    /// The fine-tuning protocol, with `flags` over the file's keys
    /// ([`ProtocolOverrides::resolve`]).
    ///
    /// # Errors
    /// Returns an error that names the flags whose values are out of range or conflict.
    pub fn protocol(&self, flags: &ProtocolOverrides) -> Result<Protocol> {
        self.finetune
            .resolve(flags)
            .map_err(|fault| anyhow!("{} (benchmark {})", fault.describe_flags(), self.data.name))
    }
}

fn embedded() -> impl Iterator<Item = (&'static str, &'static File<'static>)> {
    EMBEDDED
        .files()
        .filter_map(|file| Some((file.path().to_str()?.strip_suffix(".toml")?, file)))
}

/// `line 3: KEY: ` for the position `at`, the key where its line has one.
fn place(text: &str, at: usize) -> String {
    let before = text.get(..at).unwrap_or(text);
    let line = 1 + before.matches('\n').count();
    let key = text
        .lines()
        .nth(line - 1)
        .and_then(|line| line.split_once('='))
        .map(|(key, _)| key.trim());
    key.map_or_else(
        || format!("line {line}: "),
        |key| format!("line {line}: {}: ", shorten(key)),
    )
}

/// One published number.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Published {
    /// The measured system, as its source calls it.
    pub system: String,
    /// The adapter here that is the same checkpoint.
    pub adapter: Option<String>,
    /// The part of the questions it is about, `DIMENSION = VALUE`; all where it is absent.
    pub part: Option<String>,
    /// How many questions that part has: a run on another number is not set beside it.
    pub questions: Option<usize>,
    /// Whether these are a sample that was drawn from the part: no run is set beside it.
    #[serde(default)]
    pub sampled: bool,
    /// The convention here that scores as its source does, and the metric's key.
    pub convention: String,
    /// The key of that convention's metric, e.g. `relaxed`.
    pub metric: String,
    /// In percent.
    pub value: f64,
    /// The paper or page that states the value, e.g. `arXiv:2212.09662`.
    pub source: String,
    /// Differences of the protocol.
    pub note: Option<String>,
}

/// The file as written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    title: String,
    description: String,
    source: Option<String>,
    license: Option<String>,
    convention: Option<Spanned<String>>,
    format: WireFormat,
    #[serde(default)]
    ask: Ask,
    questions: Option<Spanned<WireQuestions>>,
    hash: Option<Spanned<String>>,
    seed: Option<Spanned<u64>>,
    train: Option<Spanned<usize>>,
    test: Option<Spanned<usize>>,
    questions_per_chart: Option<Spanned<usize>>,
    columns: Option<Spanned<ColumnMap>>,
    files: Option<Spanned<SplitFiles>>,
    hub: Option<hub_data::WireHub>,
    #[serde(default)]
    finetune: ProtocolOverrides,
    #[serde(default)]
    published: Vec<Published>,
}

#[derive(Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum WireFormat {
    #[serde(rename = "charxiv-descriptive")]
    CharXivDescriptive,
    #[serde(rename = "charxiv-reasoning")]
    CharXivReasoning,
    ChartMuseum,
    RealCqa,
    ChartQa,
    PlotQa,
    Parquet,
    Json,
    Generic,
    Synth,
}

#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "must be \"all\", { per_chart = N, seed = S } or { ids = \"FILE\", count = N }"
)]
enum WireQuestions {
    Word(All),
    PerChart(PerChart),
    Listed(Listed),
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum All {
    All,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PerChart {
    per_chart: usize,
    seed: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Listed {
    ids: String,
    count: Option<usize>,
}

/// A fault of a well-formed file, and its byte offset.
struct Fault {
    offset: Option<usize>,
    what: String,
}

impl Fault {
    fn new(offset: Option<usize>, what: impl Into<String>) -> Self {
        Self {
            offset,
            what: what.into(),
        }
    }

    fn from_hub(text: &str, fault: &hub_data::HubFault) -> Self {
        match key_start(text, &format!("hub.{}", fault.key)) {
            Some(at) => Self::new(Some(at), fault.what.as_str()),
            None => Self::new(None, format!("hub.{}: {}", fault.key, fault.what)),
        }
    }

    /// Locates the fault at the first of its keys that the file has.
    fn from_protocol(text: &str, fault: ProtocolFault) -> Self {
        match fault
            .keys
            .iter()
            .find_map(|key| key_start(text, &format!("finetune.{key}")))
        {
            Some(at) => Self::new(Some(at), fault.what),
            None => Self::new(
                None,
                format!("finetune.{}: {}", fault.keys.join(" or "), fault.what),
            ),
        }
    }
}

/// The offset of a dotted key in a well-formed text.
fn key_start(text: &str, dotted: &str) -> Option<usize> {
    let document = DeTable::parse(text).ok()?;
    let mut table = document.get_ref();
    let mut at = None;
    for part in dotted.split('.') {
        let (key, value) = table.iter().find(|(key, _)| key.get_ref() == part)?;
        at = Some(key.span().start);
        match value.get_ref() {
            DeValue::Table(inner) => table = inner,
            _ => return at.filter(|_| dotted.ends_with(part)),
        }
    }
    at
}

impl WireQuestions {
    fn validate(self, format: &Format) -> Result<(Questions, Option<QuestionList>), String> {
        match self {
            Self::Word(All::All) => Ok((Questions::All, None)),
            Self::PerChart(PerChart { per_chart, seed }) => {
                let count = check_count(per_chart, MAX_QUESTIONS_PER_CHART)
                    .map_err(|fault| format!("per_chart {fault}"))?;
                Ok((Questions::PerChart { count, seed }, None))
            }
            Self::Listed(_) if matches!(format, Format::Synth { .. }) => {
                Err("`ids` belongs to data sets in files".to_owned())
            }
            Self::Listed(Listed { ids, .. }) if ids.trim().is_empty() => {
                Err("`ids` must name a file, relative to the data set's folder".to_owned())
            }
            Self::Listed(Listed { ids, count }) => {
                if let Some(count) = count {
                    check_count(count, MAX_LIMIT).map_err(|fault| format!("count {fault}"))?;
                }
                Ok((Questions::All, Some(QuestionList { ids, count })))
            }
        }
    }
}

impl Wire {
    fn validate(self, name: &str) -> Result<Benchmark, Fault> {
        let format = self.format()?;
        self.check_columns()?;
        let convention = self.convention.map(|name| {
            let at = name.span().start;
            let found = Convention::by_name(name.get_ref());
            let found = found.map(|convention| convention.name.to_owned());
            found.map_err(|unknown| Fault::new(Some(at), unknown.to_string()))
        });
        let convention = convention.transpose()?;
        let (questions, listed) = match self.questions {
            None => (Questions::All, None),
            Some(questions) => {
                let at = questions.span().start;
                let selection = questions.into_inner().validate(&format);
                selection.map_err(|fault| Fault::new(Some(at), fault))?
            }
        };
        let hash = self
            .hash
            .map(|hash| (hash.span().start, hash.into_inner().to_ascii_lowercase()));
        if let Some((at, hash)) = &hash
            && (hash.len() != 64 || !hash.bytes().all(|byte| byte.is_ascii_hexdigit()))
        {
            return Err(Fault::new(Some(*at), "must be a SHA-256 in hex, 64 digits"));
        }
        Ok(Benchmark {
            data: QuestionSetSpec {
                name: name.to_owned(),
                format,
                ask: self.ask,
                questions,
                listed,
                hash: hash.map(|(_, hash)| hash),
                allow_outside: false,
                published: None,
                columns: self.columns.map(Spanned::into_inner),
                files: self.files.map(Spanned::into_inner).unwrap_or_default(),
            },
            title: self.title,
            description: self.description,
            source: self.source,
            license: self.license,
            convention,
            hub: None,
            finetune: self.finetune,
            published: self.published,
        })
    }

    /// Checks `[columns]` and `[files]`.
    fn check_columns(&self) -> Result<(), Fault> {
        let columns = self.columns.as_ref();
        let files = self.files.as_ref();
        let (columns_at, files_at) = (
            columns.map(|columns| columns.span().start),
            files.map(|files| files.span().start),
        );
        let needs_columns = match self.format {
            WireFormat::Parquet => Some("parquet"),
            WireFormat::Json => Some("json"),
            _ => None,
        };
        if let (Some(format), None) = (needs_columns, columns) {
            return Err(Fault::new(
                None,
                format!(
                    "format = \"{format}\" needs the table [columns] with image, question and answer"
                ),
            ));
        }
        let names_files = files.is_some_and(|files| !files.as_ref().test.is_empty());
        if self.format == WireFormat::Json && !names_files {
            return Err(Fault::new(
                files_at,
                "format = \"json\" needs the table [files] with the files of the test split",
            ));
        }
        if self.format == WireFormat::Synth && (columns_at.is_some() || files_at.is_some()) {
            return Err(Fault::new(
                columns_at.or(files_at),
                "belongs to data sets that are read, and format = \"synth\" draws its own",
            ));
        }
        if files_at.is_some() && columns_at.is_none() {
            return Err(Fault::new(files_at, "[files] needs the table [columns]"));
        }
        if let Some(columns) = columns {
            let check = columns.as_ref().check();
            check.map_err(|fault| Fault::new(columns_at, fault))?;
        }
        if let Some(files) = files {
            let check = files.as_ref().check();
            check.map_err(|fault| Fault::new(files_at, fault))?;
        }
        Ok(())
    }

    fn format(&self) -> Result<Format, Fault> {
        let needed =
            |key: &str| Fault::new(None, format!("format = \"synth\" needs the key `{key}`"));
        let count = |key: &str, value: &Option<Spanned<usize>>, most: usize| {
            let value = value.as_ref().ok_or_else(|| needed(key))?;
            check_count(*value.as_ref(), most)
                .map_err(|fault| Fault::new(Some(value.span().start), fault))
        };
        let format = match self.format {
            WireFormat::RealCqa => Format::RealCqa,
            WireFormat::ChartQa => Format::ChartQa,
            WireFormat::PlotQa => Format::PlotQa,
            WireFormat::CharXivDescriptive => Format::CharXiv(CharXivPart::Descriptive),
            WireFormat::CharXivReasoning => Format::CharXiv(CharXivPart::Reasoning),
            WireFormat::ChartMuseum => Format::ChartMuseum,
            WireFormat::Parquet => Format::Parquet,
            WireFormat::Json => Format::Json,
            WireFormat::Generic => Format::Generic,
            WireFormat::Synth => {
                return Ok(Format::Synth {
                    seed: *self.seed.as_ref().ok_or_else(|| needed("seed"))?.as_ref(),
                    train: count("train", &self.train, MAX_SYNTHETIC_CHARTS)?,
                    test: count("test", &self.test, MAX_SYNTHETIC_CHARTS)?,
                    questions_per_chart: count(
                        "questions_per_chart",
                        &self.questions_per_chart,
                        MAX_QUESTIONS_PER_CHART,
                    )?,
                });
            }
        };
        let drawn = [&self.train, &self.test, &self.questions_per_chart]
            .map(|value| value.as_ref().map(Spanned::span));
        let seed = self.seed.as_ref().map(Spanned::span);
        match drawn
            .into_iter()
            .chain([seed])
            .flatten()
            .map(|span| span.start)
            .min()
        {
            Some(at) => Err(Fault::new(Some(at), "belongs to format = \"synth\" only")),
            None => Ok(format),
        }
    }
}
