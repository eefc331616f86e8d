//! The text decoder of an export, token by token.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail, ensure};
use ort::session::SessionInputValue;
use ort::value::DynValue;

use super::files::Decoders;
use super::graph::{Graph, Input, one_line, tensor};

/// Outputs of the cache, and the inputs that take them at the next step.
const PRESENT: &str = "present.";
const PAST: &str = "past_key_values.";
/// Part of the names of the cross-attention caches, which the first step fills for good.
const OF_IMAGE: &str = ".encoder.";

/// An encoded image.
#[derive(Clone, Debug)]
pub struct Encoded {
    /// [1, length, H].
    pub(super) states: Arc<DynValue>,
    /// Rows that are no padding.
    pub(super) valid: usize,
    pub(super) length: usize,
}

/// One question being answered. Cloning it shares everything: a beam forks for nothing.
#[derive(Clone, Debug)]
pub struct State {
    image: Encoded,
    tokens: Vec<u32>,
    /// Keys and values by the names of the inputs that take them.
    cache: BTreeMap<Arc<str>, Arc<DynValue>>,
}

impl Encoded {
    /// Begins a question about the image.
    pub fn start(&self) -> State {
        State {
            image: self.clone(),
            tokens: Vec::new(),
            cache: BTreeMap::new(),
        }
    }
}

impl Decoders<Graph> {
    /// Feeds a question its next tokens and returns the logits [vocabulary] after the last one.
    ///
    /// # Errors
    /// Returns an error if the graph has unknown inputs, or ONNX Runtime fails.
    pub(super) fn step(&self, state: &mut State, tokens: &[u32]) -> Result<Vec<f32>> {
        ensure!(
            !tokens.is_empty(),
            "a decoding step needs tokens of every question"
        );
        let first = state.tokens.is_empty();
        state.tokens.extend_from_slice(tokens);
        let graph = match self {
            Self::Merged(graph) | Self::Whole(graph) => graph,
            Self::Pair { first: graph, .. } if first => graph,
            Self::Pair { next, .. } => next,
        };
        let fed = if matches!(self, Self::Whole(_)) {
            &state.tokens[..]
        } else {
            tokens
        };
        let mut logits = None;
        for (name, value) in graph.run(|input| state.value(graph, input, fed, first))? {
            if name == "logits" {
                logits = Some(last_row(&value)?);
            } else if let Some(rest) = name.strip_prefix(PRESENT) {
                state.keep(format!("{PAST}{rest}"), value);
            }
        }
        logits.context("the decoder has no output `logits`")
    }
}

impl State {
    /// The value of a decoder input when the decoder reads the tokens `fed`, the last of the
    /// sequence.
    fn value(
        &self,
        graph: &Graph,
        input: &Input,
        fed: &[u32],
        first: bool,
    ) -> Result<SessionInputValue<'_>> {
        let image = &self.image;
        Ok(match input.name.as_str() {
            "input_ids" | "decoder_input_ids" => tensor(
                vec![1, fed.len()],
                fed.iter().copied().map(i64::from).collect(),
            )?
            .into(),
            "encoder_hidden_states" => SessionInputValue::from(&*image.states),
            "encoder_attention_mask" => input.mask(image.valid, image.length)?.into(),
            // Optimum renamed the decoder's mask: it is the image's only beside one that is the
            // decoder's by name.
            "attention_mask" if graph.takes("decoder_attention_mask") => {
                input.mask(image.valid, image.length)?.into()
            }
            "attention_mask" | "decoder_attention_mask" => {
                input.mask(self.tokens.len(), self.tokens.len())?.into()
            }
            "use_cache_branch" => tensor(vec![1], vec![!first])?.into(),
            "cache_position" => {
                let places = self.tokens.len() - fed.len()..self.tokens.len();
                tensor(vec![fed.len()], places.map(|place| place as i64).collect())?.into()
            }
            name => match self.cache.get(name) {
                Some(value) => SessionInputValue::from(&**value),
                None if first && name.starts_with(PAST) => input.empty()?.into(),
                None => bail!("do not know what to give for the decoder's input `{name}`"),
            },
        })
    }

    /// Takes an output of the cache for the next step. Those of the image stay the first step's:
    /// later ones are dummies.
    fn keep(&mut self, name: String, value: DynValue) {
        if !(name.contains(OF_IMAGE) && self.cache.contains_key(name.as_str())) {
            self.cache.insert(name.into(), Arc::new(value));
        }
    }
}

/// The last row of logits [1, T, vocabulary].
fn last_row(logits: &DynValue) -> Result<Vec<f32>> {
    let (shape, values) = logits
        .try_extract_tensor::<f32>()
        .map_err(|error| anyhow!(one_line(error)))?;
    let width = shape
        .last()
        .and_then(|&width| usize::try_from(width).ok())
        .filter(|width| *width > 0);
    let row = width.and_then(|width| values.rchunks_exact(width).next());
    Ok(row
        .with_context(|| format!("the decoder's logits are of shape {shape}"))?
        .to_vec())
}
