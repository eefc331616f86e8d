//! The moments that an optimiser keeps for each variable.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Context, Result, ensure};
use candle_core::{DType, Device, Tensor};

use super::Variables;

/// The name of the step count among the tensors of a state.
const STEP: &str = "step";

/// Names and shapes of the moments of a variable, by its shape.
pub(super) type MomentShapes = fn(&[usize]) -> Vec<(&'static str, Vec<usize>)>;

/// One variable's moments and step count.
pub(super) struct VariableMoments {
    pub step: u32,
    pub tensors: Vec<Tensor>,
}

/// The moments of all variables that have had a gradient.
pub(super) struct Moments {
    shapes: MomentShapes,
    by_variable: BTreeMap<String, (Vec<&'static str>, VariableMoments)>,
}

impl Moments {
    pub(super) fn new(shapes: MomentShapes) -> Self {
        Self {
            shapes,
            by_variable: BTreeMap::new(),
        }
    }

    /// Returns the variable's moments (zero at first) with the step count advanced by one.
    ///
    /// # Errors
    /// Returns an error if the variable is not f32, or the device has no memory.
    pub(super) fn advance(
        &mut self,
        name: &str,
        variable: &Tensor,
    ) -> Result<&mut VariableMoments> {
        ensure!(
            variable.dtype() == DType::F32,
            "it is trained in {:?}, not in F32",
            variable.dtype()
        );
        if !self.by_variable.contains_key(name) {
            let (mut names, mut tensors) = (Vec::new(), Vec::new());
            for (kind, shape) in (self.shapes)(variable.dims()) {
                names.push(kind);
                tensors.push(Tensor::zeros(shape, DType::F32, variable.device())?);
            }
            self.by_variable.insert(
                name.to_owned(),
                (names, VariableMoments { step: 0, tensors }),
            );
        }
        let (_, moments) = self.by_variable.get_mut(name).context("no moments")?;
        moments.step += 1;
        Ok(moments)
    }

    /// As [`super::Optimizer::state`].
    pub(super) fn state(&self) -> Result<Vec<(String, Tensor)>> {
        let mut state = Vec::new();
        for (name, (names, moments)) in &self.by_variable {
            for (kind, moment) in names.iter().zip(&moments.tensors) {
                state.push((format!("{kind}.{name}"), moment.clone()));
            }
            state.push((
                format!("{STEP}.{name}"),
                Tensor::new(moments.step, &Device::Cpu)?,
            ));
        }
        Ok(state)
    }

    /// As [`super::Optimizer::restore`].
    pub(super) fn restore(
        &mut self,
        mut state: HashMap<String, Tensor>,
        variables: &Variables,
    ) -> Result<()> {
        let mut by_variable = BTreeMap::new();
        for (name, variable) in variables {
            // A variable that never had a gradient has no moments.
            let Some(step) = state.remove(&format!("{STEP}.{name}")) else {
                continue;
            };
            let step = step
                .to_scalar()
                .with_context(|| format!("`{STEP}.{name}` is no count of steps"))?;
            let (mut names, mut tensors) = (Vec::new(), Vec::new());
            for (kind, shape) in (self.shapes)(variable.dims()) {
                let key = format!("{kind}.{name}");
                let moment = state
                    .remove(&key)
                    .with_context(|| format!("`{key}` is missing"))?;
                let fits = moment.dims() == shape && moment.dtype() == DType::F32;
                ensure!(
                    fits,
                    "`{key}` is {:?} of {:?}, not F32 of {shape:?}",
                    moment.dtype(),
                    moment.dims()
                );
                names.push(kind);
                // A copy, so that no step writes to the tensors that were handed over.
                tensors.push(moment.to_device(variable.device())?.force_contiguous()?);
            }
            by_variable.insert(name.clone(), (names, VariableMoments { step, tensors }));
        }
        let left = state.keys().min();
        ensure!(
            left.is_none(),
            "`{}` belongs to no variable of this model",
            left.map_or("", String::as_str)
        );
        self.by_variable = by_variable;
        Ok(())
    }
}
