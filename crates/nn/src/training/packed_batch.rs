//! A batch as the decoder sees it: the tokens of all examples in rows one after the other.

use anyhow::{Result, ensure};
use candle_core::Tensor;

use super::{Example, Loss};
use crate::kernels::{self, SequenceSpan, Weight};

/// The rows of a batch without padding. Inputs behind an example's last label change no loss and
/// are left out, and so is an example without labels.
#[derive(Debug)]
pub(crate) struct PackedBatch<'a> {
    /// An image once for all examples in a row that have the same tensor.
    pub(crate) images: Vec<&'a Tensor>,
    /// Tokens of each image's texts.
    tokens_per_image: Vec<usize>,
    /// Tokens of each text.
    pub(crate) lengths: Vec<usize>,
    pub(crate) inputs: Vec<u32>,
    /// Rows with a label.
    labelled_rows: Vec<u32>,
    /// The labels of those rows.
    labels: Vec<u32>,
}

impl<'a> PackedBatch<'a> {
    pub(crate) fn new(batch: &'a [Example], vocabulary: usize) -> Result<Self> {
        let (mut images, mut tokens_per_image) = (Vec::<&Tensor>::new(), Vec::new());
        let (mut lengths, mut inputs) = (Vec::new(), Vec::new());
        let (mut labelled_rows, mut labels) = (Vec::new(), Vec::new());
        for (index, example) in batch.iter().enumerate() {
            let (input_count, label_count) = (example.inputs.len(), example.labels.len());
            ensure!(
                input_count == label_count,
                "example {index} has {input_count} decoder inputs and {label_count} labels"
            );
            let length = example
                .labels
                .iter()
                .rposition(Option::is_some)
                .map_or(0, |last| last + 1);
            if length == 0 {
                continue;
            }
            let ids = example.inputs[..length]
                .iter()
                .chain(example.labels.iter().flatten());
            if let Some(id) = ids.into_iter().find(|&&id| id as usize >= vocabulary) {
                anyhow::bail!(
                    "example {index}: token id {id} is outside the vocabulary of {vocabulary}"
                );
            }
            for (row, label) in example.labels[..length].iter().enumerate() {
                if let Some(label) = label {
                    labelled_rows.push((inputs.len() + row) as u32);
                    labels.push(*label);
                }
            }
            match (images.last(), tokens_per_image.last_mut()) {
                (Some(image), Some(tokens)) if image.id() == example.image.id() => {
                    *tokens += length
                }
                _ => {
                    images.push(&example.image);
                    tokens_per_image.push(length);
                }
            }
            lengths.push(length);
            inputs.extend_from_slice(&example.inputs[..length]);
        }
        ensure!(
            !labels.is_empty(),
            "no label of the batch counts: there is nothing to learn from it"
        );
        Ok(Self {
            images,
            tokens_per_image,
            lengths,
            inputs,
            labelled_rows,
            labels,
        })
    }

    /// The spans of cross-attention: the rows of each image's texts with the `encoded_lengths` rows
    /// of the encoded image.
    pub(crate) fn cross_spans(&self, encoded_lengths: &[usize]) -> Vec<SequenceSpan> {
        let pairs = self.tokens_per_image.iter().zip(encoded_lengths);
        pairs
            .map(|(&queries, &keys)| SequenceSpan { queries, keys })
            .collect()
    }

    /// The number of attention probabilities in `spans` with `heads` heads, which is how many draws
    /// their dropout takes.
    pub(crate) fn count_scores(spans: &[SequenceSpan], heads: usize) -> usize {
        spans
            .iter()
            .map(|span| span.queries * span.keys * heads)
            .sum()
    }

    /// The loss of the final states [rows, H] with the output matrix [V, H]. Only rows with a label
    /// get logits.
    pub(crate) fn loss(
        &self,
        states: &Tensor,
        output: &Weight,
        label_smoothing: f64,
    ) -> Result<Loss> {
        let rows = match self.labelled_rows.len() == self.inputs.len() {
            true => states.clone(),
            false => states.index_select(
                &Tensor::new(self.labelled_rows.as_slice(), states.device())?,
                0,
            )?,
        };
        let logits = kernels::linear(&rows, output)?;
        Ok(Loss {
            sum: kernels::cross_entropy(&logits, &self.labels, label_smoothing)?,
            labels: self.labels.len(),
            checkpoints: Vec::new(),
        })
    }
}
