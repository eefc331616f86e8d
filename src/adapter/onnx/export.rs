//! An export: its encoder and its decoder, loaded.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use candle_core::{Device, Tensor};
use ort::session::SessionInputValue;
use ort::value::DynValue;

use super::decoder::{Encoded, State};
use super::files::{Decoders, Graphs};
use super::graph::{Graph, tensor};
use super::runtime;
use chartbench_nn::generation;
use chartbench_nn::preprocess::ImageInput;

const PATCHES: &str = "flattened_patches";

/// A loaded export.
#[derive(Debug)]
pub struct Export {
    encoder: Graph,
    decoders: Decoders<Graph>,
    files: Graphs,
    dir: PathBuf,
}

impl Export {
    /// Loads the graphs of a folder, quantized ones (`*_quantized.onnx`) where there are no others
    /// or `quantized` asks for them. `library` is ONNX Runtime's, where it is not to be looked for.
    ///
    /// # Errors
    /// Returns an error if there is no ONNX Runtime or no export, or a graph cannot be loaded.
    pub fn open(dir: &Path, quantized: bool, library: Option<&Path>) -> Result<Self> {
        let files = Graphs::find(dir, quantized)?;
        let environment = runtime::environment(library)?;
        let open = |name: &String| Graph::open(&environment, &dir.join(name));
        let decoders = match &files.decoders {
            Decoders::Merged(graph) => Decoders::Merged(open(graph)?),
            Decoders::Pair { first, next } => Decoders::Pair {
                first: open(first)?,
                next: open(next)?,
            },
            Decoders::Whole(graph) => Decoders::Whole(open(graph)?),
        };
        Ok(Self {
            encoder: open(&files.encoder)?,
            decoders,
            files,
            dir: dir.to_owned(),
        })
    }

    /// How the weights are stored, as the files' names tell: `f32` or `int8`.
    pub fn precision(&self) -> &'static str {
        self.files.precision()
    }

    /// The hash over the graphs, the weight files beside them and `config.json`, by the rule of
    /// [`weights_sha256`](chartbench_nn::weights_sha256).
    ///
    /// # Errors
    /// Returns an error if a file cannot be read.
    pub fn sha256(&self) -> Result<String> {
        self.files.sha256(&self.dir)
    }

    /// The number of patches that the encoder takes, where it was fixed when the model was
    /// exported.
    pub fn patches(&self) -> Option<usize> {
        let count = *self.encoder.input(PATCHES)?.shape.get(1)?;
        usize::try_from(count).ok()
    }

    /// Encodes patches [N, 2 + P] or pixels [3, height, width]. Patches are padded with zero rows
    /// behind a mask where the export's number of patches is fixed.
    ///
    /// # Errors
    /// Returns an error if there are more patches than the export takes, the pixels' size is not
    /// the export's, or the encoder takes the other of the two.
    pub fn encode(&self, input: ImageInput) -> Result<Encoded> {
        match *input.shape {
            [valid, width] => self.encode_patches(valid, width, input.data),
            _ => self.encode_pixels(input),
        }
    }

    fn encode_patches(&self, valid: usize, width: usize, mut data: Vec<f32>) -> Result<Encoded> {
        let length = self.patches().unwrap_or(valid);
        ensure!(
            valid <= length,
            "{valid} patches are more than the {length} that this export takes: lower max_patches"
        );
        data.resize(length * width, 0.0);
        let rows = tensor(vec![1, length, width], data)?;
        let outputs = self.encoder.run(|input| match input.name.as_str() {
            PATCHES => Ok(SessionInputValue::from(&rows)),
            "attention_mask" => Ok(input.mask(valid, length)?.into()),
            name => bail!("do not know what to give for the encoder's input `{name}`"),
        })?;
        Ok(Encoded {
            valid,
            ..encoded(outputs)?
        })
    }

    fn encode_pixels(&self, pixels: ImageInput) -> Result<Encoded> {
        let shape = std::iter::once(1).chain(pixels.shape).collect();
        let pixels = tensor(shape, pixels.data)?;
        encoded(self.encoder.run(|input| match input.name.as_str() {
            "pixel_values" => Ok(SessionInputValue::from(&pixels)),
            name => bail!("do not know what to give for the encoder's input `{name}`"),
        })?)
    }
}

/// The states among an encoder's outputs, all of them valid.
fn encoded(outputs: Vec<(String, DynValue)>) -> Result<Encoded> {
    let states = outputs
        .into_iter()
        .find(|(name, _)| name == "last_hidden_state");
    let (_, states) = states.context("the encoder has no output `last_hidden_state`")?;
    let length = states
        .dtype()
        .tensor_shape()
        .and_then(|shape| usize::try_from(*shape.get(1)?).ok());
    let length = length.context("the encoder's states are not of shape [1, N, H]")?;
    Ok(Encoded {
        states: Arc::new(states),
        valid: length,
        length,
    })
}

impl generation::Decoder for Export {
    type State = State;

    fn step(&self, batch: &mut [(&mut State, &[u32])]) -> Result<Tensor> {
        let rows = batch
            .iter_mut()
            .map(|(state, tokens)| self.decoders.step(state, tokens));
        let rows: Vec<Vec<f32>> = rows.collect::<Result<_>>()?;
        Ok(Tensor::new(rows, &Device::Cpu)?)
    }
}
