//! Which adapters a job asks: names and weights as users write them, turned into adapters that can
//! be built.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};
use candle_core::Device;

use crate::adapter::hub::HubOptions;
use crate::adapter::training::{self, StartFrom, Trainable};
use crate::adapter::{self, Adapter, AdapterContext, ModelRef, Overrides, TrainSplit};
use crate::config::{AdapterSpec, BLANK_PREFIX};
use chartbench_nn::WeightFormat;

/// An adapter that a job asks, not loaded yet.
#[derive(Clone, Debug)]
pub struct SelectedAdapter {
    /// The row's name, `blank+` included.
    pub name: String,
    /// The model that answers, or that reads the tables of `TABLES+READER`.
    pub model: ModelRef,
    /// The language model behind the `+` of `TABLES+READER`.
    pub reader: Option<ModelRef>,
    /// Whether it sees a blank image instead of the chart.
    pub blank: bool,
    /// Values of flags that replace those of the adapter file, e.g. `--max-patches`.
    pub overrides: Overrides,
}

/// Where models come from and where they compute.
#[derive(Clone, Debug)]
pub struct ModelOptions {
    /// Where weights are downloaded from and where they are cached.
    pub hub: HubOptions,
    /// The device that models compute on.
    pub device: Device,
}

impl Default for ModelOptions {
    /// The hub that the environment names, and the CPU.
    fn default() -> Self {
        Self {
            hub: HubOptions::from_env(false),
            device: Device::Cpu,
        }
    }
}

/// Names of adapters and the weights for them, as users write them.
#[derive(Clone, Debug, Default)]
pub struct AdapterNames {
    /// `NAME`, `NAME@PRECISION`, `TABLES+READER`, or any of them behind `blank+`.
    pub names: Vec<String>,
    /// A folder of more adapter files.
    pub adapters_dir: Option<PathBuf>,
    /// `DIR`, `NAME=DIR` or `NAME@PRECISION=DIR`.
    pub weights: Vec<String>,
    /// Values of flags that replace those of every selected adapter's file.
    pub overrides: Overrides,
}

impl SelectedAdapter {
    /// The embedded adapter, or the one of a file in the default folders, with this name.
    ///
    /// # Errors
    /// Returns an error if no adapter has the name.
    pub fn by_name(name: &str) -> Result<Self> {
        let names = AdapterNames {
            names: vec![name.to_owned()],
            ..AdapterNames::default()
        };
        names
            .select()?
            .pop()
            .context("one name selects one adapter")
    }

    /// Makes the adapter; `train` opens the benchmark's train split where there is a benchmark.
    ///
    /// # Errors
    /// As [`adapter::build`].
    pub fn build(
        &self,
        options: &ModelOptions,
        train: Option<TrainSplit<'_>>,
    ) -> Result<Box<dyn Adapter>> {
        adapter::build(&self.context(options, train))
    }

    /// Loads it to be trained.
    ///
    /// # Errors
    /// As [`training::load`].
    pub fn trainable(
        &self,
        options: &ModelOptions,
        start: StartFrom,
    ) -> Result<Box<dyn Trainable>> {
        training::load(&self.context(options, None), start)
    }

    fn context<'a>(
        &'a self,
        options: &'a ModelOptions,
        train: Option<TrainSplit<'a>>,
    ) -> AdapterContext<'a> {
        AdapterContext {
            name: &self.name,
            model: &self.model,
            reader: self.reader.as_ref(),
            blank: self.blank,
            overrides: &self.overrides,
            hub: &options.hub,
            device: &options.device,
            train,
        }
    }
}

impl AdapterNames {
    /// Finds every adapter by its name, before any work.
    ///
    /// # Errors
    /// Returns an error if a name is unknown or doubled, or weights fit no name.
    pub fn select(&self) -> Result<Vec<SelectedAdapter>> {
        let mut selected: Vec<SelectedAdapter> = Vec::new();
        for name in &self.names {
            let name = name.trim().to_owned();
            ensure!(
                selected.iter().all(|other| other.name != name),
                "adapter `{name}` is named twice"
            );
            let (base, blank) = name
                .strip_prefix(BLANK_PREFIX)
                .map_or((name.as_str(), false), |base| (base, true));
            let (model, reader) = match base.split_once('+') {
                Some((tables, reader)) => (self.model(tables)?, Some(self.model(reader)?)),
                None => (self.model(base)?, None),
            };
            selected.push(SelectedAdapter {
                name,
                model,
                reader,
                blank,
                overrides: self.overrides.clone(),
            });
        }
        self.give_weights(&mut selected)?;
        Ok(selected)
    }

    /// One part of a row's name: `NAME` or `NAME@PRECISION`.
    fn model(&self, id: &str) -> Result<ModelRef> {
        let (name, precision) = match id.split_once('@') {
            None => (id, None),
            Some((name, precision)) => (name, Some(precision)),
        };
        let mut spec = AdapterSpec::find(name, self.adapters_dir.as_deref())?;
        let precision = precision
            .map(WeightFormat::reduced_by_name)
            .transpose()
            .with_context(|| format!("adapter `{id}`"))?;
        ensure!(
            precision.is_none() || spec.family.takes_precision(),
            "adapter `{id}`: {name} has no weights that this program can round (Pix2Struct and UniChart checkpoints do)"
        );
        spec.id = id.to_owned();
        Ok(ModelRef {
            spec,
            weights: None,
            precision,
        })
    }

    /// `NAME@PRECISION=DIR` is for that row, `NAME=DIR` for every row of NAME that has none of its
    /// own.
    fn give_weights(&self, selected: &mut [SelectedAdapter]) -> Result<()> {
        let names: BTreeSet<String> = selected
            .iter()
            .flat_map(|adapter| std::iter::once(&adapter.model).chain(&adapter.reader))
            .flat_map(|model| [model.spec.id.clone(), model.spec.file().to_owned()])
            .collect();
        // A path may hold a `=`, and a name may hold a dot.
        let flags = self.weights.iter().map(|flag| match flag.split_once('=') {
            Some((name, dir)) if names.contains(name) || !name.contains(['/', '.']) => {
                (Some(name), dir)
            }
            _ => (None, flag.as_str()),
        });
        let (of_rows, others): (Vec<_>, Vec<_>) =
            flags.partition(|(name, _)| name.is_some_and(|name| name.contains('@')));
        let mut own: BTreeSet<String> = BTreeSet::new();
        for (name, dir) in of_rows.into_iter().chain(others) {
            let parts = selected
                .iter_mut()
                .flat_map(|adapter| std::iter::once(&mut adapter.model).chain(&mut adapter.reader));
            let models = parts.filter(|part| part.spec.family.takes_weights());
            let mut meant: Vec<&mut ModelRef> = match name {
                Some(name) if name.contains('@') => {
                    models.filter(|part| part.spec.id == name).collect()
                }
                Some(name) => models.filter(|part| part.spec.file() == name).collect(),
                None => models.collect(),
            };
            let mut files: Vec<&str> = meant.iter().map(|part| part.spec.file()).collect();
            files.sort_unstable();
            files.dedup();
            match files.as_slice() {
                [_] => {}
                [] => {
                    let flag = name.map_or_else(|| dir.to_owned(), |name| format!("{name}={dir}"));
                    bail!("--weights {flag}: no such adapter among --adapters takes weights")
                }
                files => bail!(
                    "--weights {dir} could be for any of {}: write --weights NAME={dir}",
                    files.join(", ")
                ),
            }
            let of_a_row = name.is_some_and(|name| name.contains('@'));
            for part in &mut meant {
                if of_a_row {
                    own.insert(part.spec.id.clone());
                } else if own.contains(&part.spec.id) {
                    continue;
                }
                ensure!(
                    part.weights.is_none(),
                    "--weights is given twice for {}",
                    part.spec.id
                );
                part.weights = Some(PathBuf::from(dir));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_for_a_name_with_a_dot() {
        let folder = tempfile::tempdir().unwrap();
        let text = include_str!("../../adapters/matcha-tiny.toml");
        std::fs::write(folder.path().join("matcha-1.5.toml"), text).unwrap();
        let select = |weights: &str| {
            let names = AdapterNames {
                names: vec!["matcha-1.5".to_owned()],
                adapters_dir: Some(folder.path().to_owned()),
                weights: vec![weights.to_owned()],
                ..AdapterNames::default()
            };
            names.select().unwrap().remove(0).model.weights.unwrap()
        };
        assert_eq!(select("matcha-1.5=checkpoint"), PathBuf::from("checkpoint"));
        // A path with `=` in it stays a path.
        assert_eq!(
            select("./lr=0.1/checkpoint"),
            PathBuf::from("./lr=0.1/checkpoint")
        );
    }
}
