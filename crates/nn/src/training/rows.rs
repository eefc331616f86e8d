//! A batch as the decoder sees it: the tokens of all examples in rows one after the other.

use anyhow::{Result, ensure};
use candle_core::Tensor;

use super::{Example, Loss};
use crate::ops::{self, Part, Weight};

/// The rows of a batch, no padding among them. What stands behind an example's last label changes no loss and is left
/// out, and so is an example without labels.
#[derive(Debug)]
pub(crate) struct Rows<'a> {
    /// An image once for all examples in a row that have the same tensor.
    pub(crate) images: Vec<&'a Tensor>,
    /// Tokens of each image's texts.
    asked: Vec<usize>,
    /// Tokens of each text.
    pub(crate) lengths: Vec<usize>,
    pub(crate) inputs: Vec<u32>,
    /// Rows with a label.
    counted: Vec<u32>,
    /// Their labels.
    labels: Vec<u32>,
}

impl<'a> Rows<'a> {
    pub(crate) fn new(batch: &'a [Example], vocabulary: usize) -> Result<Self> {
        let (mut images, mut asked) = (Vec::<&Tensor>::new(), Vec::new());
        let (mut lengths, mut inputs) = (Vec::new(), Vec::new());
        let (mut counted, mut labels) = (Vec::new(), Vec::new());
        for (at, example) in batch.iter().enumerate() {
            let (given, wanted) = (example.inputs.len(), example.labels.len());
            ensure!(given == wanted, "example {at} has {given} decoder inputs and {wanted} labels");
            let length = example.labels.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
            if length == 0 {
                continue;
            }
            let ids = example.inputs[..length].iter().chain(example.labels.iter().flatten());
            if let Some(id) = ids.into_iter().find(|&&id| id as usize >= vocabulary) {
                anyhow::bail!("example {at}: token id {id} is outside the vocabulary of {vocabulary}");
            }
            for (row, label) in example.labels[..length].iter().enumerate() {
                if let Some(label) = label {
                    counted.push((inputs.len() + row) as u32);
                    labels.push(*label);
                }
            }
            match (images.last(), asked.last_mut()) {
                (Some(image), Some(tokens)) if image.id() == example.image.id() => *tokens += length,
                _ => {
                    images.push(&example.image);
                    asked.push(length);
                }
            }
            lengths.push(length);
            inputs.extend_from_slice(&example.inputs[..length]);
        }
        ensure!(!labels.is_empty(), "no label of the batch counts: there is nothing to learn from it");
        Ok(Self { images, asked, lengths, inputs, counted, labels })
    }

    /// The rows of each image's texts with those of the image, of so many places each.
    pub(crate) fn across(&self, places: &[usize]) -> Vec<Part> {
        self.asked.iter().zip(places).map(|(&queries, &keys)| Part { queries, keys }).collect()
    }

    /// Draws of dropout over the probabilities of so many heads in `parts`.
    pub(crate) fn scores(parts: &[Part], heads: usize) -> usize {
        parts.iter().map(|part| part.queries * part.keys * heads).sum()
    }

    /// The loss of the final states [rows, H] with the output matrix [V, H]: logits are formed for rows with a label alone.
    pub(crate) fn loss(&self, states: &Tensor, output: &Weight, smoothing: f64) -> Result<Loss> {
        let rows = match self.counted.len() == self.inputs.len() {
            true => states.clone(),
            false => states.index_select(&Tensor::new(self.counted.as_slice(), states.device())?, 0)?,
        };
        let logits = ops::linear(&rows, output)?;
        Ok(Loss {
            sum: ops::cross_entropy(&logits, &self.labels, smoothing)?,
            labels: self.labels.len(),
            segments: Vec::new(),
        })
    }
}
