//! A model's weights as candle's variables, by name.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, ensure};
use candle_core::{Device, Tensor, Var};

use super::lora::LowRank;
use crate::loading::Source;

/// The weights of a model as variables, under their names in a checkpoint. Models loaded from it share their values, and
/// a gradient reaches them whatever the model derives from them.
#[derive(Debug)]
pub struct Variables {
    variables: BTreeMap<String, Var>,
    frozen: BTreeSet<String>,
    low_rank: Option<LowRank>,
    device: Device,
}

impl Variables {
    /// Every tensor that `load` asks `source` for, as a variable. `load` is the loading of a model, which is dropped.
    ///
    /// # Errors
    /// What `load` refuses.
    pub fn of<M>(source: &dyn Source, load: impl FnOnce(&dyn Source) -> Result<M>) -> Result<Self> {
        let asked = Asked { source, variables: RefCell::default() };
        load(&asked)?;
        let (variables, device) = (asked.variables.into_inner(), source.device().clone());
        Ok(Self { variables, frozen: BTreeSet::new(), low_rank: None, device })
    }

    /// Takes every variable whose name `frozen` says so out of training: nothing is computed for its gradient.
    pub fn freeze(&mut self, frozen: impl Fn(&str) -> bool) {
        self.frozen = self.variables.keys().filter(|name| frozen(name)).cloned().collect();
    }

    /// Trains low-rank matrices of `rank` beside every matrix whose name has one of `targets` in it, and nothing else.
    /// Their product counts `alpha` / `rank` times; `seed` draws what they begin as.
    ///
    /// # Errors
    /// No such matrix.
    pub fn adapt(&mut self, rank: usize, alpha: f64, targets: &[String], seed: u64) -> Result<()> {
        self.low_rank = Some(LowRank::new(&self.variables, (rank, alpha), targets, seed, &self.device)?);
        self.freeze(|_| true);
        Ok(())
    }

    /// The weights as the model computes with them, in the order of their names.
    ///
    /// # Errors
    /// None on the CPU; elsewhere what the device says.
    pub fn merged(&self) -> impl Iterator<Item = Result<(&str, Tensor)>> {
        self.all().map(|(name, variable)| Ok((name, self.fixed().tensor(name, variable.dims())?)))
    }

    /// The weights of the checkpoint, in the order of their names.
    pub fn all(&self) -> impl Iterator<Item = (&str, &Var)> {
        self.variables.iter().map(|(name, variable)| (name.as_str(), variable))
    }

    /// What is trained: those that are not frozen, then what stands beside frozen ones, each in the order of the names.
    pub fn trained(&self) -> impl Iterator<Item = (&str, &Var)> {
        let weights = self.all().filter(|(name, _)| !self.frozen.contains(*name));
        weights.chain(self.low_rank.iter().flat_map(LowRank::factors))
    }

    /// A source of the same values that no graph sees, for answering while a model is trained.
    pub fn fixed(&self) -> Fixed<'_> {
        Fixed(self)
    }

    pub fn get(&self, name: &str) -> Option<&Var> {
        self.variables.get(name)
    }
}

impl Source for Variables {
    fn contains(&self, name: &str) -> bool {
        self.variables.contains_key(name)
    }

    fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        let Some(variable) = self.variables.get(name) else {
            anyhow::bail!("there is no variable {name} (there are {})", self.variables.len())
        };
        let found = variable.dims();
        ensure!(found == shape, "variable {name} has shape {found:?}, the configuration asks for {shape:?}");
        let frozen = self.frozen.contains(name);
        let weight = if frozen { variable.as_detached_tensor() } else { variable.as_tensor().clone() };
        match &self.low_rank {
            None => Ok(weight),
            Some(low_rank) => low_rank.adapted(name, weight),
        }
    }

    fn device(&self) -> &Device {
        &self.device
    }
}

/// See [`Variables::fixed`].
pub struct Fixed<'a>(&'a Variables);

impl Source for Fixed<'_> {
    fn contains(&self, name: &str) -> bool {
        self.0.contains(name)
    }

    fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        Ok(self.0.tensor(name, shape)?.detach())
    }

    fn device(&self) -> &Device {
        self.0.device()
    }
}

/// Makes a variable of each tensor it is asked for.
struct Asked<'a> {
    source: &'a dyn Source,
    variables: RefCell<BTreeMap<String, Var>>,
}

impl Source for Asked<'_> {
    fn contains(&self, name: &str) -> bool {
        self.source.contains(name)
    }

    fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        if let Some(variable) = self.variables.borrow().get(name) {
            return Ok(variable.as_tensor().clone());
        }
        let variable = Var::from_tensor(&self.source.tensor(name, shape)?)?;
        let tensor = variable.as_tensor().clone();
        self.variables.borrow_mut().insert(name.to_owned(), variable);
        Ok(tensor)
    }

    fn device(&self) -> &Device {
        self.source.device()
    }
}
