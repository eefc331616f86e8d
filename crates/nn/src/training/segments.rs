//! Activation checkpointing (arXiv:1604.06174): of a layer its input alone is kept, and what is inside is computed again
//! when the backward pass comes by. Gradients stay the same, but for the order in which those of a weight that takes part
//! more than once are summed; a step takes one forward pass of those layers more.

use std::fmt;

use anyhow::Result;
use candle_core::backprop::GradStore;
use candle_core::{Tensor, Var};

use super::noise::{Dropping, Noise};

/// Where the layers of a forward pass are noted, if they are to be computed again.
#[derive(Debug, Default)]
pub(crate) struct Segments(Option<Vec<Segment>>);

impl Segments {
    /// Nothing is noted: the graph keeps all that is inside a layer.
    pub(crate) fn none() -> Self {
        Self::default()
    }

    pub(crate) fn noted(checkpointing: bool) -> Self {
        Self(checkpointing.then(Vec::new))
    }

    /// `layer` of `states`.
    pub(crate) fn layer(
        &mut self,
        states: Tensor,
        dropping: &mut Dropping,
        layer: impl Fn(&Tensor, &mut Dropping) -> Result<Tensor> + 'static,
    ) -> Result<Tensor> {
        let Some(segments) = &mut self.0 else { return layer(&states, dropping) };
        let noise = dropping.0.as_deref().cloned();
        let output = layer(&states, dropping)?;
        if !output.track_op() {
            // Nothing up to here is trained.
            return Ok(output);
        }
        // What the segment before hands on is a variable already, and stays the same one.
        let (input, output) = (Var::from_tensor(&states)?, Var::from_tensor(&output)?);
        let handed_on = output.as_tensor().clone();
        segments.push(Segment { given: states, input, output, noise, layer: Box::new(layer) });
        Ok(handed_on)
    }

    pub(crate) fn into_noted(self) -> Vec<Segment> {
        self.0.unwrap_or_default()
    }
}

/// A layer as a function of its input.
type Layer = dyn Fn(&Tensor, &mut Dropping) -> Result<Tensor>;

/// A layer cut out of the graph.
pub(crate) struct Segment {
    /// What the graph in front of it hands on.
    given: Tensor,
    /// The same values outside that graph.
    input: Var,
    output: Var,
    /// The generator as the layer found it.
    noise: Option<Noise>,
    layer: Box<Layer>,
}

impl Segment {
    /// Takes the gradient of the output out of `store` and puts in those of the layer's weights and of what lies in front.
    pub(crate) fn backward(&self, store: &mut GradStore) -> Result<()> {
        let Some(gradient) = store.remove(&self.output) else { return Ok(()) };
        let mut noise = self.noise.clone();
        let output = (self.layer)(&self.input, &mut Dropping(noise.as_mut()))?;
        extend(store, &output, &gradient)?;
        if self.given.id() != self.input.id()
            && let Some(gradient) = store.remove(&self.input)
            && self.given.track_op()
        {
            extend(store, &self.given, &gradient)?;
        }
        Ok(())
    }
}

/// Puts in the gradients of all that `tensor` is made of, `gradient` being its own.
fn extend(store: &mut GradStore, tensor: &Tensor, gradient: &Tensor) -> Result<()> {
    let mut gradients = (tensor * gradient)?.sum_all()?.backward()?;
    // The product's other side is none of the graph.
    gradients.remove(gradient);
    Ok(store.extend(gradients)?)
}

impl fmt::Debug for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Segment({:?})", self.input.shape())
    }
}
