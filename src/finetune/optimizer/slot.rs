//! What an optimiser remembers of each variable.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Context, Result, ensure};
use candle_core::{DType, Device, Tensor};

use crate::finetune::Variables;

/// The name of the count of steps among the tensors of a state.
const STEP: &str = "step";

/// The names and shapes of the moments of a variable of the given shape.
pub(super) type Kinds = fn(&[usize]) -> Vec<(&'static str, Vec<usize>)>;

/// One variable's moments and how many steps it has made.
pub(super) struct Slot {
    pub step: u32,
    pub moments: Vec<Tensor>,
}

/// The slots of all variables that have had a gradient.
pub(super) struct Slots {
    kinds: Kinds,
    slots: BTreeMap<String, (Vec<&'static str>, Slot)>,
}

impl Slots {
    pub fn new(kinds: Kinds) -> Self {
        Self { kinds, slots: BTreeMap::new() }
    }

    /// The variable's slot, its moments zero at first, its step one further.
    ///
    /// # Errors
    /// A variable that is not f32; no memory on the device.
    pub fn advance(&mut self, name: &str, variable: &Tensor) -> Result<&mut Slot> {
        ensure!(variable.dtype() == DType::F32, "it is trained in {:?}, not in F32", variable.dtype());
        if !self.slots.contains_key(name) {
            let (mut kinds, mut moments) = (Vec::new(), Vec::new());
            for (kind, shape) in (self.kinds)(variable.dims()) {
                kinds.push(kind);
                moments.push(Tensor::zeros(shape, DType::F32, variable.device())?);
            }
            self.slots.insert(name.to_owned(), (kinds, Slot { step: 0, moments }));
        }
        let (_, slot) = self.slots.get_mut(name).context("no slot")?;
        slot.step += 1;
        Ok(slot)
    }

    /// As [`super::Optimizer::state`].
    pub fn state(&self) -> Result<Vec<(String, Tensor)>> {
        let mut state = Vec::new();
        for (name, (kinds, slot)) in &self.slots {
            for (kind, moment) in kinds.iter().zip(&slot.moments) {
                state.push((format!("{kind}.{name}"), moment.clone()));
            }
            state.push((format!("{STEP}.{name}"), Tensor::new(slot.step, &Device::Cpu)?));
        }
        Ok(state)
    }

    /// As [`super::Optimizer::restore`].
    pub fn restore(&mut self, mut state: HashMap<String, Tensor>, variables: &Variables) -> Result<()> {
        let mut slots = BTreeMap::new();
        for (name, variable) in variables {
            // A variable that never had a gradient has no slot.
            let Some(step) = state.remove(&format!("{STEP}.{name}")) else { continue };
            let step = step.to_scalar().with_context(|| format!("`{STEP}.{name}` is no count of steps"))?;
            let (mut kinds, mut moments) = (Vec::new(), Vec::new());
            for (kind, shape) in (self.kinds)(variable.dims()) {
                let key = format!("{kind}.{name}");
                let moment = state.remove(&key).with_context(|| format!("`{key}` is missing"))?;
                let fits = moment.dims() == shape && moment.dtype() == DType::F32;
                ensure!(fits, "`{key}` is {:?} of {:?}, not F32 of {shape:?}", moment.dtype(), moment.dims());
                kinds.push(kind);
                // A copy, so that no step writes to the tensors that were handed over.
                moments.push(moment.to_device(variable.device())?.force_contiguous()?);
            }
            slots.insert(name.clone(), (kinds, Slot { step, moments }));
        }
        let left = state.keys().min();
        ensure!(left.is_none(), "`{}` belongs to no variable of this model", left.map_or("", String::as_str));
        self.slots = slots;
        Ok(())
    }
}
