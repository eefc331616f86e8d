//! A model's weights as candle's variables, by name.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, ensure};
use candle_core::{Device, Tensor, Var};

use super::lora::LoraFactors;
use crate::loading::TensorSource;

/// The weights of a model as variables, under their names in a checkpoint. Models loaded from it
/// share their values, and a gradient reaches them whatever the model derives from them.
#[derive(Debug)]
pub struct Variables {
    variables: BTreeMap<String, Var>,
    frozen: BTreeSet<String>,
    lora: Option<LoraFactors>,
    device: Device,
}

impl Variables {
    /// Makes a variable of every tensor that `load` asks `source` for. `load` loads a model, which
    /// is dropped.
    ///
    /// # Errors
    /// Returns the error of `load`.
    pub fn load<M>(
        source: &dyn TensorSource,
        load: impl FnOnce(&dyn TensorSource) -> Result<M>,
    ) -> Result<Self> {
        let recorder = VariableSource {
            source,
            variables: RefCell::default(),
        };
        load(&recorder)?;
        let (variables, device) = (recorder.variables.into_inner(), source.device().clone());
        Ok(Self {
            variables,
            frozen: BTreeSet::new(),
            lora: None,
            device,
        })
    }

    /// Freezes every variable whose name `frozen` accepts: no gradient is computed for it.
    pub fn freeze(&mut self, frozen: impl Fn(&str) -> bool) {
        self.frozen = self
            .variables
            .keys()
            .filter(|name| frozen(name))
            .cloned()
            .collect();
    }

    /// Freezes all weights and adds LoRA factors of `rank` beside every matrix whose name contains
    /// one of `targets`. Their product counts `alpha` / `rank` times; `seed` draws their initial
    /// values.
    ///
    /// # Errors
    /// Returns an error if there is no such matrix.
    pub fn add_lora(
        &mut self,
        rank: usize,
        alpha: f64,
        targets: &[String],
        seed: u64,
    ) -> Result<()> {
        self.lora = Some(LoraFactors::new(
            &self.variables,
            rank,
            alpha,
            targets,
            seed,
            &self.device,
        )?);
        self.freeze(|_| true);
        Ok(())
    }

    /// The weights as the model computes with them, in the order of their names.
    ///
    /// # Errors
    /// Returns an error if the device fails.
    pub fn merged(&self) -> impl Iterator<Item = Result<(&str, Tensor)>> {
        self.all()
            .map(|(name, variable)| Ok((name, self.frozen().tensor(name, variable.dims())?)))
    }

    /// The weights of the checkpoint, in the order of their names.
    pub fn all(&self) -> impl Iterator<Item = (&str, &Var)> {
        self.variables
            .iter()
            .map(|(name, variable)| (name.as_str(), variable))
    }

    /// The trained variables: weights that are not frozen, then LoRA factors, each in the order of
    /// the names.
    pub fn trained(&self) -> impl Iterator<Item = (&str, &Var)> {
        let weights = self.all().filter(|(name, _)| !self.frozen.contains(*name));
        weights.chain(self.lora.iter().flat_map(LoraFactors::factors))
    }

    /// A source of the same values that no graph sees, for answering while a model is trained.
    pub fn frozen(&self) -> FrozenSource<'_> {
        FrozenSource(self)
    }

    /// The variable of a checkpoint's weight, frozen or not; `None` for LoRA factors.
    pub fn get(&self, name: &str) -> Option<&Var> {
        self.variables.get(name)
    }
}

impl TensorSource for Variables {
    fn contains(&self, name: &str) -> bool {
        self.variables.contains_key(name)
    }

    fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        let Some(variable) = self.variables.get(name) else {
            anyhow::bail!(
                "there is no variable {name} (there are {})",
                self.variables.len()
            )
        };
        let found = variable.dims();
        ensure!(
            found == shape,
            "variable {name} has shape {found:?}, the configuration asks for {shape:?}"
        );
        let frozen = self.frozen.contains(name);
        let weight = if frozen {
            variable.as_detached_tensor()
        } else {
            variable.as_tensor().clone()
        };
        match &self.lora {
            None => Ok(weight),
            Some(lora) => lora.merge(name, weight),
        }
    }

    fn device(&self) -> &Device {
        &self.device
    }
}

/// See [`Variables::frozen`].
pub struct FrozenSource<'a>(&'a Variables);

impl TensorSource for FrozenSource<'_> {
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

/// A source that makes a variable of each tensor it hands out.
struct VariableSource<'a> {
    source: &'a dyn TensorSource,
    variables: RefCell<BTreeMap<String, Var>>,
}

impl TensorSource for VariableSource<'_> {
    fn contains(&self, name: &str) -> bool {
        self.source.contains(name)
    }

    fn tensor(&self, name: &str, shape: &[usize]) -> Result<Tensor> {
        if let Some(variable) = self.variables.borrow().get(name) {
            return Ok(variable.as_tensor().clone());
        }
        let variable = Var::from_tensor(&self.source.tensor(name, shape)?)?;
        let tensor = variable.as_tensor().clone();
        self.variables
            .borrow_mut()
            .insert(name.to_owned(), variable);
        Ok(tensor)
    }

    fn device(&self) -> &Device {
        self.source.device()
    }
}
