//! `adapters/*.toml`: one file per leaderboard row, embedded in the binary; `--adapters-dir` adds
//! more.
//!
//! `family` says which of this module's files reads the rest.

mod chat;
mod generation;
mod gguf;
mod onnx;
mod pix2struct;
mod process;
mod reader;
mod unichart;
mod weights;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use include_dir::{Dir, include_dir};
use serde::Deserialize;
use serde::de::DeserializeOwned;

pub use chat::{
    ChatGeneration, ChatPrompt, ChatSpec, EndpointSpec, Price, RequestLimits, ServeSpec, base_url,
};
pub use generation::GenerationSpec;
pub use gguf::{GgufSource, GgufSpec};
pub use onnx::OnnxSpec;
pub use pix2struct::{HeaderFontSource, Pix2StructSpec};
pub use process::ProcessSpec;
pub use reader::{PromptStyle, ReaderSpec};
pub use unichart::UniChartSpec;
pub use weights::WeightsSource;

use chartbench_core::counts::check_count;
use chartbench_core::input::{self, MAX_SETTINGS_BYTES};
use chartbench_core::names::{UnknownName, check_folder_name};

static EMBEDDED: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/adapters");

/// The prefix that puts a blank image in front of any adapter: `blank+matcha-base`.
pub const BLANK_PREFIX: &str = "blank+";

/// One leaderboard row: which model, with which checkpoint, prompt, preprocessing and generation
/// settings.
#[derive(Clone, Debug, PartialEq)]
pub struct AdapterSpec {
    /// The row's name: the file's stem, followed by `@PRECISION` if one is requested.
    pub id: String,
    /// The model in a few words, for a line of `chartbench list`.
    pub title: String,
    /// Paper or page that describes the model.
    pub source: String,
    /// The implementation, with the options of the file's other keys.
    pub family: Family,
}

/// The implementation of an adapter, with its options.
#[derive(Clone, Debug, PartialEq)]
pub enum Family {
    /// MatCha, DePlot and every other Pix2Struct checkpoint whose question is rendered above the
    /// chart.
    Pix2Struct(Pix2StructSpec),
    /// UniChart and every other Donut checkpoint that is prompted with the question.
    UniChart(UniChartSpec),
    /// A model behind an OpenAI-compatible endpoint.
    Chat(Box<ChatSpec>),
    /// A program that answers in JSON lines.
    Process(ProcessSpec),
    /// A quantised language model in this process, which answers from tables.
    Gguf(GgufSpec),
    /// Either of the two as an ONNX export, run by ONNX Runtime.
    Onnx(Box<OnnxSpec>),
    /// Rules that answer the questions of the synthetic benchmarks from tables; no model.
    Lookup,
    /// The data set's own table instead of one read off the chart.
    Oracle,
    /// Blind: the train split's most frequent answer, whatever is asked.
    Majority,
    /// Blind: the train split's most frequent answer to the same question template.
    QuestionPrior,
}

impl Family {
    /// Whether it has a checkpoint, so that `--weights` can name another one.
    pub fn takes_weights(&self) -> bool {
        matches!(
            self,
            Self::Pix2Struct(_) | Self::UniChart(_) | Self::Onnx(_) | Self::Gguf(_)
        )
    }

    /// Where its checkpoint comes from without `--weights`; `None` where it has none, or has a file
    /// instead of a folder.
    pub fn weights(&self) -> Option<&WeightsSource> {
        match self {
            Self::Pix2Struct(spec) => Some(&spec.weights),
            Self::UniChart(spec) => Some(&spec.weights),
            Self::Onnx(spec) => Some(&spec.weights),
            _ => None,
        }
    }

    /// The family with no checkpoint of its own: how it asks, and nothing else.
    #[must_use]
    pub fn without_weights(&self) -> Self {
        let mut family = self.clone();
        match &mut family {
            Self::Pix2Struct(spec) => spec.weights = WeightsSource::Given,
            Self::UniChart(spec) => spec.weights = WeightsSource::Given,
            _ => {}
        }
        family
    }

    /// Relative folders in its file, seen from `dir`, the file's own.
    fn resolve_folders(&mut self, dir: &Path) {
        let resolve = |weights: &mut WeightsSource| {
            if let WeightsSource::Folder(path) = weights {
                *path = dir.join(&path);
            }
        };
        match self {
            Self::Process(process) => process.folder = dir.join(&process.folder),
            Self::Chat(chat) => {
                if let Some(serve) = &mut chat.serve {
                    serve.folder = dir.join(&serve.folder);
                }
            }
            Self::Pix2Struct(spec) => resolve(&mut spec.weights),
            Self::UniChart(spec) => resolve(&mut spec.weights),
            // Its tables of keys hold copies that nothing reads.
            Self::Onnx(spec) => resolve(&mut spec.weights),
            _ => {}
        }
    }

    /// Whether its checkpoint can be quantized: `NAME@q8`.
    pub fn takes_precision(&self) -> bool {
        matches!(self, Self::Pix2Struct(_) | Self::UniChart(_))
    }
}

impl AdapterSpec {
    /// The adapter file's name: the row's without a precision.
    pub fn file(&self) -> &str {
        self.id.split('@').next().unwrap_or_default()
    }

    /// Finds an adapter by name, in `extra` (`--adapters-dir`) before the embedded ones.
    ///
    /// # Errors
    /// Returns an error if the name is unknown (with the nearest names), or a file does not parse.
    pub fn find(id: &str, extra: Option<&Path>) -> Result<Self> {
        let all = Self::all(extra)?;
        match all.iter().find(|spec| spec.id == id) {
            Some(spec) => Ok(spec.clone()),
            None => {
                Err(UnknownName::new("adapter", id, all.iter().map(|spec| spec.id.as_str())).into())
            }
        }
    }

    /// Every adapter, sorted by name; one in `extra` hides an embedded one of the same name.
    ///
    /// # Errors
    /// Returns an error if the folder cannot be read, or a file does not parse.
    pub fn all(extra: Option<&Path>) -> Result<Vec<Self>> {
        let mut specs = Vec::new();
        if let Some(dir) = extra {
            for path in toml_files(dir)? {
                let text = input::read_text(&path, MAX_SETTINGS_BYTES);
                let text = text.with_context(|| format!("cannot read {}", path.display()))?;
                let mut spec = Self::parse(stem(&path)?, &text)
                    .with_context(|| format!("{}", path.display()))?;
                spec.family.resolve_folders(dir);
                specs.push(spec);
            }
        }
        for file in EMBEDDED.files() {
            let id = stem(file.path())?;
            if specs.iter().all(|spec| spec.id != id) {
                let text = file.contents_utf8().context("not UTF-8")?;
                specs.push(Self::parse(id, text).with_context(|| format!("adapters/{id}.toml"))?);
            }
        }
        specs.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(specs)
    }

    /// The names of the adapters whose checkpoint is embedded in the program.
    pub fn embedded_models() -> Vec<String> {
        let is_embedded =
            |spec: &Self| matches!(spec.family.weights(), Some(WeightsSource::Embedded(_)));
        let all = Self::all(None).unwrap_or_default();
        all.into_iter()
            .filter(is_embedded)
            .map(|spec| spec.id)
            .collect()
    }

    fn parse(id: &str, text: &str) -> Result<Self> {
        ensure!(
            !id.contains(['+', ',', '=', '/', '@']),
            "an adapter's name must not hold any of + , = / @"
        );
        check_folder_name("an adapter's name", id)?;
        let mut table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
            let line = error
                .span()
                .map_or(1, |span| 1 + text[..span.start].matches('\n').count());
            anyhow!("line {line}: {}", error.message().replace('\n', " "))
        })?;
        let family = table.remove("family").context("missing key `family`")?;
        let family: WireFamily = family.try_into().context("`family`")?;
        let (title, source) = (table.remove("title"), table.remove("source"));
        // The family's keys come first, so that the error names a misspelt key instead of the
        // missing one.
        let family = family.read(table)?;
        let text = |key: &str, value: Option<toml::Value>, default: Option<String>| match value {
            Some(value) => value.try_into().with_context(|| format!("`{key}`")),
            None => default.with_context(|| format!("missing key `{key}`")),
        };
        let repo = match family.weights() {
            Some(WeightsSource::Hub { repo, .. }) => Some(repo.clone()),
            _ => None,
        };
        let page = repo
            .as_ref()
            .map(|repo| format!("https://huggingface.co/{repo}"));
        Ok(Self {
            id: id.to_owned(),
            title: text("title", title, repo)?,
            source: text("source", source, page)?,
            family,
        })
    }
}

fn stem(path: &Path) -> Result<&str> {
    path.file_stem()
        .and_then(|stem| stem.to_str())
        .with_context(|| format!("{}: unusable file name", path.display()))
}

fn toml_files(dir: &Path) -> Result<Vec<std::path::PathBuf>> {
    let entries = std::fs::read_dir(dir)
        .with_context(|| format!("cannot read the adapters folder {}", dir.display()))?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry
            .with_context(|| format!("cannot read {}", dir.display()))?
            .path();
        if path
            .extension()
            .is_some_and(|extension| extension == "toml")
        {
            files.push(path);
        }
    }
    ensure!(
        !files.is_empty(),
        "no *.toml in the adapters folder {}",
        dir.display()
    );
    Ok(files)
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum WireFamily {
    Pix2struct,
    Unichart,
    Chat,
    Process,
    Gguf,
    Onnx,
    Lookup,
    Oracle,
    Majority,
    QuestionPrior,
}

/// A family without keys of its own.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NoKeys {}

impl WireFamily {
    /// Reads the keys that are the family's own.
    fn read(&self, keys: toml::Table) -> Result<Family> {
        fn wire<T: DeserializeOwned>(keys: toml::Table) -> Result<T> {
            Ok(keys.try_into()?)
        }
        Ok(match self {
            Self::Pix2struct => Family::Pix2Struct(wire::<pix2struct::Wire>(keys)?.validate()?),
            Self::Unichart => Family::UniChart(wire::<unichart::Wire>(keys)?.validate()?),
            Self::Chat => Family::Chat(Box::new(wire::<chat::Wire>(keys)?.validate()?)),
            Self::Process => Family::Process(wire::<process::Wire>(keys)?.validate()?),
            Self::Gguf => Family::Gguf(wire::<gguf::Wire>(keys)?.validate()?),
            Self::Onnx => Family::Onnx(Box::new(wire::<onnx::Wire>(keys)?.validate()?)),
            Self::Lookup => wire::<NoKeys>(keys).map(|_| Family::Lookup)?,
            Self::Oracle => wire::<NoKeys>(keys).map(|_| Family::Oracle)?,
            Self::Majority => wire::<NoKeys>(keys).map(|_| Family::Majority)?,
            Self::QuestionPrior => wire::<NoKeys>(keys).map(|_| Family::QuestionPrior)?,
        })
    }
}

/// Longest time in seconds, about thirty years, so that sums of times do not overflow.
const LONGEST: u64 = 1_000_000_000;

/// A time in seconds, as adapter files have it.
fn seconds(key: &str, value: f64) -> Result<Duration> {
    let time = Duration::try_from_secs_f64(value)
        .ok()
        .filter(|time| time.as_secs() <= LONGEST);
    time.with_context(|| format!("`{key}` must be a number of seconds, not {value}"))
}

/// A count that may be absent, from 1 to `most`.
fn count(key: &str, value: Option<usize>, most: usize) -> Result<Option<usize>> {
    let count = value.map(|value| check_count(value, most)).transpose();
    count.map_err(|fault| anyhow!("`{key}` {fault}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_embedded_adapter_parses() {
        let specs = AdapterSpec::all(None).unwrap();
        assert!(specs.iter().any(|spec| spec.id == "matcha-base"));
    }

    #[test]
    fn a_folder_of_weights_is_seen_from_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let text = "family = \"pix2struct\"\ntitle = \"\"\nsource = \"\"\n[generation]\nmax_new_tokens = 8\n";
        let find = |weights: &str| {
            let text = format!("{text}[weights]\n{weights}\n");
            std::fs::write(dir.path().join("x.toml"), text).unwrap();
            AdapterSpec::find("x", Some(dir.path())).map(|spec| spec.family.weights().cloned())
        };
        let folder = |path| Some(WeightsSource::Folder(path));
        assert_eq!(
            find("path = \"mine/a\"").unwrap(),
            folder(dir.path().join("mine/a"))
        );
        assert_eq!(find("path = \"/srv/a\"").unwrap(), folder("/srv/a".into()));
        for (weights, message) in [
            ("path = \"\"", "`weights.path` must be a folder"),
            ("path = \"a\"\nrepo = \"b/c\"", "needs one of `repo`"),
            ("path = \"a\"\nrevision = \"main\"", "needs one of `repo`"),
        ] {
            let error = format!("{:#}", find(weights).unwrap_err());
            assert!(error.contains(message), "{error}");
        }
        assert!(AdapterSpec::embedded_models().contains(&"matcha-tiny".to_owned()));
    }

    #[test]
    fn unknown_keys_are_refused() {
        let error = AdapterSpec::parse(
            "x",
            "family = \"majority\"\ntitle = \"\"\nsource = \"\"\nbeams = 4\n",
        )
        .unwrap_err();
        assert!(
            format!("{error:#}").contains("unknown field `beams`"),
            "{error:#}"
        );
    }

    #[test]
    fn a_model_needs_weights() {
        let head = "family = \"pix2struct\"\ntitle = \"\"\nsource = \"\"\n";
        let error = AdapterSpec::parse("x", head).unwrap_err();
        assert_eq!(format!("{error:#}"), "missing table `[weights]`");
        let error =
            AdapterSpec::parse("x", &format!("{head}[weights]\nrepo = \"b\"\n")).unwrap_err();
        assert_eq!(
            format!("{error:#}"),
            "`weights.repo` must be OWNER/NAME, not `b`"
        );
    }

    #[test]
    fn a_repository_names_an_adapter_without_title_and_source() {
        let family = "family = \"pix2struct\"\n";
        let spec = AdapterSpec::parse("x", &format!("{family}weights.repo = \"a/b\"\n")).unwrap();
        assert_eq!(
            (spec.title.as_str(), spec.source.as_str()),
            ("a/b", "https://huggingface.co/a/b")
        );
        let error =
            AdapterSpec::parse("x", &format!("{family}weights.path = \"a\"\n")).unwrap_err();
        assert_eq!(format!("{error:#}"), "missing key `title`");
    }

    #[test]
    fn generation_keys_are_checked() {
        let refused = |keys: &str| {
            let text = format!(
                "family = \"unichart\"\nweights.repo = \"a/b\"\n[prompt]\nquestion = \"{{question}}\"\n\
                 answer_after = \"s\"\n[generation]\n{keys}\n"
            );
            format!("{:#}", AdapterSpec::parse("x", &text).unwrap_err())
        };
        for (keys, message) in [
            ("beams = 65", "`generation.beams` must be between 1 and 64"),
            (
                "repetition_penalty = 0.0",
                "`generation.repetition_penalty` must be from 0.001 to 1000",
            ),
            (
                "length_penalty = nan",
                "`generation.length_penalty` must be from -1000 to 1000",
            ),
            (
                "max_new_tokens = 9\nmax_length = \"positions\"",
                "leave out one",
            ),
            ("max_length = 9", ""),
            ("beans = 4", "unknown field `beans`"),
        ] {
            let error = refused(keys);
            assert!(error.contains(message), "{error}");
        }
        let head = "family = \"pix2struct\"\nweights.repo = \"a/b\"\n[generation]\n";
        let error = AdapterSpec::parse("x", &format!("{head}max_length = \"positions\"\n"));
        assert!(format!("{:#}", error.unwrap_err()).contains("has no last position"));
    }

    #[test]
    fn an_export_is_asked_in_the_keys_of_its_architecture() {
        let head = "family = \"onnx\"\ntitle = \"\"\nsource = \"\"\n";
        let keys = "[pix2struct.generation]\nmax_new_tokens = 8\n";
        let spec = AdapterSpec::parse(
            "x",
            &format!("{head}quantized = true\n[weights]\nrepo = \"a/b\"\n{keys}"),
        );
        let Family::Onnx(spec) = spec.unwrap().family else {
            panic!("another family")
        };
        assert_eq!(
            (spec.quantized, &spec.weights),
            (true, &spec.pix2struct.as_ref().unwrap().weights)
        );
        let message = |keys: &str| {
            format!(
                "{:#}",
                AdapterSpec::parse("x", &format!("{head}{keys}")).unwrap_err()
            )
        };
        assert_eq!(message(""), "missing table `[pix2struct]` or `[unichart]`");
        assert_eq!(
            message(&format!("{keys}[pix2struct.weights]\nrepo = \"a/b\"\n")),
            "`[pix2struct]`: unexpected table `weights`"
        );
        assert_eq!(
            message(&format!("{keys}[weights]\nembedded = \"a\"\n")),
            "`weights.embedded`: no export is embedded"
        );
    }
}
