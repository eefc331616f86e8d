//! Activation checkpointing (arXiv:1604.06174): a layer keeps its input alone, and the backward
//! pass computes its inside once more. Gradients stay the same, but for the order in which those of
//! a weight that takes part more than once are summed; a step takes one forward pass of the layers
//! more.

use std::fmt;

use anyhow::Result;
use candle_core::backprop::GradStore;
use candle_core::{Tensor, Var};

use super::dropout_rng::{DropoutMode, DropoutRng};

/// The layers of a forward pass that the backward pass computes again, in the order they ran; or
/// none, without checkpointing.
#[derive(Debug, Default)]
pub(crate) struct LayerCheckpoints(Option<Vec<CheckpointedLayer>>);

impl LayerCheckpoints {
    /// Keeps everything inside a layer in the graph.
    pub(crate) fn off() -> Self {
        Self::default()
    }

    pub(crate) fn new(activation_checkpointing: bool) -> Self {
        Self(activation_checkpointing.then(Vec::new))
    }

    /// Runs `layer` on `states`.
    pub(crate) fn run_layer(
        &mut self,
        states: Tensor,
        dropout: &mut DropoutMode,
        layer: impl Fn(&Tensor, &mut DropoutMode) -> Result<Tensor> + 'static,
    ) -> Result<Tensor> {
        let Some(layers) = &mut self.0 else {
            return layer(&states, dropout);
        };
        let rng = dropout.0.as_deref().cloned();
        let output = layer(&states, dropout)?;
        if !output.track_op() {
            // Nothing up to here is trained.
            return Ok(output);
        }
        // The output of the layer before is a variable already, and stays the same one.
        let (input, output) = (Var::from_tensor(&states)?, Var::from_tensor(&output)?);
        let result = output.as_tensor().clone();
        layers.push(CheckpointedLayer {
            upstream: states,
            input,
            output,
            rng,
            layer: Box::new(layer),
        });
        Ok(result)
    }

    pub(crate) fn into_layers(self) -> Vec<CheckpointedLayer> {
        self.0.unwrap_or_default()
    }
}

/// A layer as a function of its input.
type LayerFunction = dyn Fn(&Tensor, &mut DropoutMode) -> Result<Tensor>;

/// A layer cut out of the graph.
pub(crate) struct CheckpointedLayer {
    /// The output of the graph in front of it.
    upstream: Tensor,
    /// The same values outside that graph.
    input: Var,
    output: Var,
    /// The generator as the layer found it.
    rng: Option<DropoutRng>,
    layer: Box<LayerFunction>,
}

impl CheckpointedLayer {
    /// Replaces the gradient of the output in `store` by those of the layer's weights and of the
    /// graph in front.
    pub(crate) fn backward(&self, store: &mut GradStore) -> Result<()> {
        let Some(gradient) = store.remove(&self.output) else {
            return Ok(());
        };
        let mut rng = self.rng.clone();
        let output = (self.layer)(&self.input, &mut DropoutMode(rng.as_mut()))?;
        extend(store, &output, &gradient)?;
        if self.upstream.id() != self.input.id()
            && let Some(gradient) = store.remove(&self.input)
            && self.upstream.track_op()
        {
            extend(store, &self.upstream, &gradient)?;
        }
        Ok(())
    }
}

/// Adds the gradients of everything `tensor` depends on, given its own `gradient`.
fn extend(store: &mut GradStore, tensor: &Tensor, gradient: &Tensor) -> Result<()> {
    let mut gradients = (tensor * gradient)?.sum_all()?.backward()?;
    // The product's other side is not part of the graph.
    gradients.remove(gradient);
    Ok(store.extend(gradients)?)
}

impl fmt::Debug for CheckpointedLayer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CheckpointedLayer({:?})", self.input.shape())
    }
}
