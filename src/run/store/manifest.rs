//! `run.toml`: what produced a run's predictions.

use std::path::{Component, Path};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use super::Processor;
use super::hub_source::{HubSource, HubWeights, is_same_repository};
use chartbench_core::answer::{Identity, settings_sha256};
use chartbench_core::files::write_file;
use chartbench_core::input::{self, MAX_SETTINGS_BYTES};
use chartbench_core::names::{check_folder_name, nearest_first};
use chartbench_core::terminal::shorten;

/// Remark on a row whose training chose the step by the questions it is scored on: its scores are
/// too good.
const STEP_CHOSEN_ON_TEST: &str = "step chosen on test";

/// The run directory's format version. Runs of [`OLDEST_FORMAT`] on are read, and gone on with in
/// their own format; other versions are errors.
pub const FORMAT_VERSION: u32 = 3;
/// The oldest format version with [`AdapterEntry::processors`] and [`Manifest::order`].
pub(super) const PROCESSORS_FORMAT: u32 = 3;
/// The oldest format version that is read: without [`AdapterEntry::folder`], and with the first
/// questions where there is a limit.
pub const OLDEST_FORMAT: u32 = 1;

/// The content of `run.toml`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// From [`OLDEST_FORMAT`] to [`FORMAT_VERSION`].
    pub format: u32,
    /// The run's name, which is its folder's name under `results`.
    pub name: String,
    /// Version of the program that began the run.
    pub program: String,
    /// The names of the rows in the order in which an uncut run asks them, those to come included;
    /// absent in such a run, and before format 3. Shards add their entries in any order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub order: Vec<String>,
    /// The names of rows that a shard left out for good, which no other adds to the order again:
    /// the benchmark has no train split, or it is not here. Absent where there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
    /// Whether the run was merged of shards that lack questions; absent where it was not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub partial: bool,
    /// The questions that every adapter of the run is asked.
    pub benchmark: BenchmarkEntry,
    /// One entry an adapter, in the order they were first run.
    #[serde(default)]
    pub adapters: Vec<AdapterEntry>,
}

/// Which questions were asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BenchmarkEntry {
    /// The benchmark's name, e.g. `mini`.
    pub name: String,
    /// Heading of every table, so that synthetic data are named as such.
    pub title: String,
    /// The split that was asked: `test`.
    pub split: String,
    /// Number of charts that the questions are about.
    pub charts: usize,
    /// Questions asked, after the draw and the limit.
    pub questions: usize,
    /// `all`, or how many questions a chart were drawn.
    pub questions_per_chart: String,
    /// Seed of that draw, and of the one of [`LimitRule::Even`].
    pub seed: u64,
    /// Limit on the number of questions; 0 means none.
    pub limit: usize,
    /// Which questions are within the limit; absent without one, and in format 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit_rule: Option<LimitRule>,
    /// SHA-256 over the questions, golds and chart ids, in order.
    pub hash: String,
}

/// Which questions a limit leaves; format 1 has the first ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitRule {
    /// Drawn by the seed, each source and answer type in proportion; a larger limit holds the
    /// questions of a smaller one.
    Even,
}

/// One adapter's entry in the manifest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdapterEntry {
    /// The row's name, e.g. `matcha-base`, which is also its folder's name in the run directory.
    pub id: String,
    /// [`fingerprint`] of the settings below.
    pub fingerprint: String,
    /// The checkpoint's folder, as it was named; absent where weights are no folder of the user's,
    /// and in format 1. It decides no answer: the weights' hash is among the settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
    /// Device, threads and batch size: they change the speed, not the answers.
    pub execution: toml::Table,
    /// Everything that decides the answers: weights hash, prompt, preprocessing, generation.
    pub settings: toml::Table,
    /// The repositories of a hub that its files came from, each at every commit that it answered
    /// with; absent where there are none, and in format 1. They are no part of what is compared.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<HubSource>,
    /// What computed the answers, one entry for each instruction set and version of the kernels, in
    /// the order seen; absent before format 3. They are no part of what is compared.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub processors: Vec<Processor>,
}

impl AdapterEntry {
    /// The entry of an adapter that is about to answer.
    pub fn new(identity: &Identity, execution: &[(String, String)]) -> Self {
        let table = |pairs: &[(String, String)]| {
            pairs
                .iter()
                .map(|(key, value)| (key.clone(), toml::Value::String(value.clone())))
                .collect()
        };
        Self {
            id: identity.id.clone(),
            fingerprint: fingerprint(identity),
            folder: None,
            execution: table(execution),
            settings: table(&identity.settings),
            sources: Vec::new(),
            processors: Vec::new(),
        }
    }

    /// The entry with the checkpoint's folder.
    #[must_use]
    pub fn with_folder(self, folder: Option<String>) -> Self {
        Self { folder, ..self }
    }

    /// The entry with the repositories of its files.
    #[must_use]
    pub fn with_sources(self, sources: Vec<HubSource>) -> Self {
        Self { sources, ..self }
    }

    /// Whether weights that are computed with decide the answers: their hash is a setting.
    pub fn has_weights(&self) -> bool {
        ["weights_sha256", "table_weights_sha256"]
            .iter()
            .any(|key| self.settings.contains_key(*key))
    }

    /// The entry as it goes on with the answers of `stored`. The commits and processors of both are
    /// kept. Where nothing differs but the name of the revision that the same weights come from (an
    /// adapter file pins a commit that was `main`), the stored settings and fingerprint stay.
    #[must_use]
    pub(super) fn resuming(mut self, stored: &Self) -> Self {
        let mut sources = stored.sources.clone();
        sources.extend(
            self.sources
                .into_iter()
                .filter(|source| !stored.sources.contains(source)),
        );
        self.sources = sources;
        let mut processors = stored.processors.clone();
        self.processors
            .iter()
            .for_each(|processor| processor.add_to(&mut processors));
        self.processors = processors;
        let mut renamed = self.settings.clone();
        for prefix in ["", "table_"] {
            let key = format!("{prefix}weights");
            let is_hashed = renamed.contains_key(&format!("{prefix}weights_sha256"));
            let now = renamed.get(&key).and_then(toml::Value::as_str);
            let before = stored.settings.get(&key).and_then(toml::Value::as_str);
            if let (true, Some(now), Some(before)) = (is_hashed, now, before)
                && is_same_repository(now, before)
            {
                renamed.insert(key, before.into());
            }
        }
        if renamed == stored.settings {
            self.settings.clone_from(&stored.settings);
            self.fingerprint.clone_from(&stored.fingerprint);
        }
        self
    }

    /// The entry of a row whose answers are those of both entries; `None` where their settings
    /// differ.
    pub fn joined(&self, other: &Self) -> Option<Self> {
        let other = other.clone().resuming(self);
        (other.fingerprint == self.fingerprint).then(|| Self {
            sources: other.sources,
            processors: other.processors,
            ..self.clone()
        })
    }

    /// The settings as tables show them: weights of a hub whose revision is no commit are marked,
    /// with the commits that it stood for where they are stored.
    pub fn shown_settings(&self) -> Vec<(String, String)> {
        let shown = |(key, value): (&String, &toml::Value)| {
            let text = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            let is_weights = matches!(key.as_str(), "weights" | "table_weights");
            let hub = HubWeights::parse(&text).filter(|hub| is_weights && !hub.is_pinned());
            let mark = hub.map(|hub| self.unpinned_mark(hub)).unwrap_or_default();
            (key.clone(), text + &mark)
        };
        self.settings.iter().map(shown).collect()
    }

    fn unpinned_mark(&self, hub: HubWeights<'_>) -> String {
        let commits = self
            .sources
            .iter()
            .filter(|source| source.repo == hub.repo && source.revision == hub.revision)
            .filter_map(|source| source.commit.get(..8));
        let commits: Vec<&str> = commits.collect();
        if commits.is_empty() {
            " (not pinned)".to_owned()
        } else {
            format!(" (not pinned: {})", commits.join(", "))
        }
    }

    /// The checkpoint's folder (the end of its path) and the beginning of the weights' hash, where
    /// a folder was named: it tells two checkpoints of one adapter apart.
    pub fn checkpoint(&self) -> Option<String> {
        let folder = Path::new(self.folder.as_deref()?);
        let names: Vec<_> = folder
            .components()
            .filter(|part| matches!(part, Component::Normal(_)))
            .map(|part| part.as_os_str().to_string_lossy())
            .collect();
        let end = names.len().saturating_sub(2);
        let end = names.get(end..).unwrap_or_default().join("/");
        let hash = ["table_weights_sha256", "weights_sha256"]
            .iter()
            .find_map(|key| self.settings.get(*key)?.as_str()?.get(..8));
        Some(hash.map_or_else(|| end.clone(), |hash| format!("{end} {hash}")))
    }

    /// Whether a fine-tuning step was chosen by test questions of `benchmark`: of the adapter
    /// itself, or of the adapter that reads its tables.
    fn step_chosen_on_test(&self, benchmark: &str) -> bool {
        let chosen = |prefix: &str| {
            let setting = |key: &str| {
                self.settings
                    .get(&format!("{prefix}finetune.{key}"))?
                    .as_str()
            };
            setting("validate_on") == Some("test")
                && setting("keep") != Some("last")
                && setting("benchmark") == Some(benchmark)
        };
        chosen("") || chosen("table_")
    }
}

/// SHA-256 over an adapter's name and settings. New predictions need the fingerprint of the stored
/// ones.
pub fn fingerprint(identity: &Identity) -> String {
    let id = ("id".to_owned(), identity.id.clone());
    settings_sha256(std::iter::once(&id).chain(&identity.settings))
}

impl Manifest {
    /// The manifest of a run that begins now.
    pub fn new(name: &str, benchmark: BenchmarkEntry) -> Self {
        Self {
            format: FORMAT_VERSION,
            name: name.to_owned(),
            program: env!("CARGO_PKG_VERSION").to_owned(),
            order: Vec::new(),
            left_out: Vec::new(),
            partial: false,
            benchmark,
            adapters: Vec::new(),
        }
    }

    /// The remark that tables show beside the scores of an adapter, if any.
    pub fn remark(&self, adapter: &str) -> Option<&'static str> {
        let entry = self.adapters.iter().find(|entry| entry.id == adapter)?;
        entry
            .step_chosen_on_test(&self.benchmark.name)
            .then_some(STEP_CHOSEN_ON_TEST)
    }

    /// `name` (the adapter, or what a table calls it) with the adapter's remark.
    pub fn remarked(&self, adapter: &str, name: &str) -> String {
        self.remark(adapter)
            .map_or_else(|| name.to_owned(), |remark| format!("{name} ({remark})"))
    }

    /// Sorts the adapters by [`Self::order`]; those that it lacks come last, as they are.
    pub fn sort_adapters(&mut self) {
        let order = &self.order;
        let place = |entry: &AdapterEntry| {
            let place = order.iter().position(|name| *name == entry.id);
            place.unwrap_or(order.len())
        };
        self.adapters.sort_by_key(place);
    }

    /// Cuts the manifest down to one adapter.
    ///
    /// # Errors
    /// Returns an error if the run does not have the adapter; it lists those that it has, the
    /// nearest name first.
    pub(super) fn retain_adapter(&mut self, adapter: &str) -> Result<()> {
        let ids = self.adapters.iter().map(|entry| entry.id.as_str());
        let known = nearest_first(adapter, ids);
        ensure!(
            known.contains(&adapter),
            "{} has no {}: it has {}",
            shorten(&self.name),
            shorten(adapter),
            match known.as_slice() {
                [] => "no adapter yet".to_owned(),
                known => known.join(", "),
            }
        );
        self.adapters.retain(|entry| entry.id == adapter);
        Ok(())
    }

    /// # Errors
    /// Returns an error if the file cannot be read, is no manifest, or has another format version.
    pub fn read(path: &Path) -> Result<Self> {
        let text = input::read_text(path, MAX_SETTINGS_BYTES);
        let text = text.with_context(|| format!("cannot read {}", path.display()))?;
        let table: toml::Table = text
            .parse()
            .with_context(|| format!("{} is not TOML", path.display()))?;
        if let Some(format) = table.get("format").and_then(toml::Value::as_integer) {
            ensure!(
                (i64::from(OLDEST_FORMAT)..=i64::from(FORMAT_VERSION)).contains(&format),
                "{} has format {format}, this program reads {OLDEST_FORMAT} to {FORMAT_VERSION}: use the version that wrote it",
                path.display()
            );
        }
        let manifest: Self = table
            .try_into()
            .with_context(|| format!("{} is not a run manifest", path.display()))?;
        manifest
            .check_names()
            .with_context(|| format!("{} is not a run manifest", path.display()))?;
        Ok(manifest)
    }

    /// Returns an error if a name is no plain folder name: it could lead out of the run directory.
    fn check_names(&self) -> Result<()> {
        check_folder_name("`name`", &self.name)?;
        self.order
            .iter()
            .try_for_each(|name| check_folder_name("`order`", name))?;
        self.left_out
            .iter()
            .try_for_each(|name| check_folder_name("`left_out`", name))?;
        self.adapters
            .iter()
            .try_for_each(|adapter| check_folder_name("`adapters.id`", &adapter.id))
    }

    /// # Errors
    /// Returns an error if the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        let text = toml::to_string(self).context("cannot encode the run manifest")?;
        write_file(path, text.as_bytes())
    }
}

#[cfg(test)]
mod tests;
