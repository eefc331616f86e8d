//! `adapters/*.toml`: one file per leaderboard row, embedded in the binary; `--adapters-dir` adds more.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use include_dir::{Dir, include_dir};
use serde::Deserialize;

use super::names::unknown;

static EMBEDDED: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/adapters");

/// The prefix that puts a blank image in front of any adapter: `blank+matcha-base`.
pub const BLANK_PREFIX: &str = "blank+";

/// One leaderboard row: which model, with which checkpoint, prompt, preprocessing and generation settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdapterSpec {
    /// The row's name: the file's stem.
    pub id: String,
    pub title: String,
    /// Paper or page that describes the model.
    pub source: String,
    pub family: Family,
}

/// Which implementation answers, with what it needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Family {
    /// MatCha and every other Pix2Struct checkpoint whose question is rendered above the chart.
    Pix2Struct(Pix2StructSpec),
    /// Blind: the train split's most frequent answer, whatever is asked.
    Majority,
    /// Blind: the train split's most frequent answer to the same question template.
    QuestionPrior,
}

/// `family = "pix2struct"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pix2StructSpec {
    pub weights: WeightsSource,
    pub header_font: HeaderFontSource,
    /// Patch budget an image is scaled to fill; absent: what `preprocessor_config.json` says.
    pub max_patches: Option<usize>,
    /// Greedy decoding stops after this many tokens, or at the end-of-sequence token.
    pub max_new_tokens: usize,
}

/// Where a checkpoint comes from when `--weights` does not say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WeightsSource {
    /// A Hugging Face repository at a revision (branch, tag or commit).
    Hub { repo: String, revision: String },
    /// A folder under `fixtures/`, embedded in the binary.
    Embedded(String),
}

/// The font in which the question is drawn above the chart when `--header-font` does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HeaderFontSource {
    /// `Arial.TTF` of the hub repository `ybelkada/fonts`, as the reference implementation; DejaVu Sans, with a
    /// note, where that file cannot be had.
    Reference,
    /// The embedded DejaVu Sans.
    Embedded,
}

impl AdapterSpec {
    /// Finds an adapter by name, in `extra` (`--adapters-dir`) before the embedded ones.
    ///
    /// # Errors
    /// An unknown name (the nearest ones are named) or a file that does not parse.
    pub fn find(id: &str, extra: Option<&Path>) -> Result<Self> {
        let all = Self::all(extra)?;
        match all.iter().find(|spec| spec.id == id) {
            Some(spec) => Ok(spec.clone()),
            None => Err(unknown("adapter", id, all.iter().map(|spec| spec.id.as_str()))),
        }
    }

    /// Every adapter, sorted by name; one in `extra` hides an embedded one of the same name.
    ///
    /// # Errors
    /// A folder that cannot be read, or a file that does not parse.
    pub fn all(extra: Option<&Path>) -> Result<Vec<Self>> {
        let mut specs = Vec::new();
        if let Some(dir) = extra {
            for path in toml_files(dir)? {
                let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
                specs.push(Self::parse(stem(&path)?, &text).with_context(|| format!("{}", path.display()))?);
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

    fn parse(id: &str, text: &str) -> Result<Self> {
        ensure!(!id.contains(['+', ',', '=', '/']), "an adapter's name must not hold any of + , = /");
        toml::from_str::<WireAdapter>(text)?.validate(id)
    }
}

fn stem(path: &Path) -> Result<&str> {
    path.file_stem().and_then(|stem| stem.to_str()).with_context(|| format!("{}: unusable file name", path.display()))
}

fn toml_files(dir: &Path) -> Result<Vec<std::path::PathBuf>> {
    let entries =
        std::fs::read_dir(dir).with_context(|| format!("cannot read the adapters folder {}", dir.display()))?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.with_context(|| format!("cannot read {}", dir.display()))?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            files.push(path);
        }
    }
    ensure!(!files.is_empty(), "no *.toml in the adapters folder {}", dir.display());
    Ok(files)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireAdapter {
    family: WireFamily,
    title: String,
    source: String,
    weights: Option<WireWeights>,
    #[serde(default)]
    preprocess: WirePreprocess,
    #[serde(default)]
    generation: WireGeneration,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum WireFamily {
    Pix2struct,
    Majority,
    QuestionPrior,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WireWeights {
    repo: Option<String>,
    revision: Option<String>,
    embedded: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct WirePreprocess {
    max_patches: Option<usize>,
    header_font: Option<HeaderFontSource>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct WireGeneration {
    max_new_tokens: Option<usize>,
}

impl WireAdapter {
    fn validate(self, id: &str) -> Result<AdapterSpec> {
        let family = match self.family {
            WireFamily::Pix2struct => Family::Pix2Struct(Pix2StructSpec {
                weights: self.weights.context("missing table `[weights]`")?.validate()?,
                header_font: self.preprocess.header_font.unwrap_or(HeaderFontSource::Reference),
                max_patches: positive("preprocess.max_patches", self.preprocess.max_patches)?,
                max_new_tokens: positive("generation.max_new_tokens", self.generation.max_new_tokens)?
                    .context("missing key `generation.max_new_tokens`")?,
            }),
            WireFamily::Majority => Family::Majority,
            WireFamily::QuestionPrior => Family::QuestionPrior,
        };
        Ok(AdapterSpec { id: id.to_owned(), title: self.title, source: self.source, family })
    }
}

impl WireWeights {
    fn validate(self) -> Result<WeightsSource> {
        match self {
            Self { repo: Some(repo), revision, embedded: None } => {
                ensure!(repo.split('/').count() == 2, "`weights.repo` must be OWNER/NAME, not `{repo}`");
                Ok(WeightsSource::Hub { repo, revision: revision.unwrap_or_else(|| "main".to_owned()) })
            }
            Self { repo: None, revision: None, embedded: Some(name) } => Ok(WeightsSource::Embedded(name)),
            _ => bail!("`[weights]` needs either `repo` (with `revision`) or `embedded`"),
        }
    }
}

fn positive(key: &str, value: Option<usize>) -> Result<Option<usize>> {
    ensure!(value != Some(0), "`{key}` must be at least 1");
    Ok(value)
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
    fn unknown_keys_are_refused() {
        let error =
            AdapterSpec::parse("x", "family = \"majority\"\ntitle = \"\"\nsource = \"\"\nbeams = 4\n").unwrap_err();
        assert!(format!("{error:#}").contains("unknown field `beams`"), "{error:#}");
    }

    #[test]
    fn a_model_needs_weights_and_a_length() {
        let head = "family = \"pix2struct\"\ntitle = \"\"\nsource = \"\"\n";
        let error = AdapterSpec::parse("x", head).unwrap_err();
        assert_eq!(format!("{error:#}"), "missing table `[weights]`");
        let error = AdapterSpec::parse("x", &format!("{head}[weights]\nrepo = \"a/b\"\n")).unwrap_err();
        assert_eq!(format!("{error:#}"), "missing key `generation.max_new_tokens`");
        let error = AdapterSpec::parse("x", &format!("{head}[weights]\nrepo = \"b\"\n")).unwrap_err();
        assert_eq!(format!("{error:#}"), "`weights.repo` must be OWNER/NAME, not `b`");
    }
}
