//! A model's weights as candle's variables, by name.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, ensure};
use candle_core::{Device, Tensor, Var};

use crate::nn::loading::Source;

/// The weights of a model as variables, under their names in a checkpoint. Models loaded from it share their values, and
/// a gradient reaches them whatever the model derives from them.
#[derive(Debug)]
pub struct Variables {
    variables: BTreeMap<String, Var>,
    frozen: BTreeSet<String>,
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
        Ok(Self { variables: asked.variables.into_inner(), frozen: BTreeSet::new(), device: source.device().clone() })
    }

    /// Takes every variable whose name `frozen` says so out of training: nothing is computed for its gradient.
    pub fn freeze(&mut self, frozen: impl Fn(&str) -> bool) {
        self.frozen = self.variables.keys().filter(|name| frozen(name)).cloned().collect();
    }

    /// All of them, in the order of their names.
    pub fn all(&self) -> impl Iterator<Item = (&str, &Var)> {
        self.variables.iter().map(|(name, variable)| (name.as_str(), variable))
    }

    /// Those that are not frozen, in the order of their names.
    pub fn trained(&self) -> impl Iterator<Item = (&str, &Var)> {
        self.all().filter(|(name, _)| !self.frozen.contains(*name))
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
        Ok(if self.frozen.contains(name) { variable.as_detached_tensor() } else { variable.as_tensor().clone() })
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
