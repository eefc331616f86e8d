//! The decoder over whole texts, for training: no cache, dropout where the reference has it.

use anyhow::Result;
use candle_core::Tensor;

use super::{Decoder, Layer};
use crate::kernels::{self, SequenceSpan};
use crate::training::{DropoutMode, Loss, PackedBatch};

impl Decoder {
    /// The loss of texts about encoded images [rows of all images, H]; each image has
    /// `encoded_lengths` rows.
    pub(in crate::pix2struct) fn loss(
        &self,
        batch: &PackedBatch,
        encoded: &Tensor,
        encoded_lengths: &[usize],
        dropout: &mut DropoutMode,
        label_smoothing: f64,
    ) -> Result<Loss> {
        let cross_spans = batch.cross_spans(encoded_lengths);
        let texts = SequenceSpan::square(&batch.lengths);
        let hidden = self.hidden(batch);
        let ids = Tensor::new(batch.inputs.as_slice(), self.embedding.device())?;
        let mut states = dropout.apply(self.embedding.index_select(&ids, 0)?, self.dropout)?;
        for layer in &self.layers {
            let attended = self.text_attention(layer, &states, &texts, &hidden, dropout)?;
            states = (&states + dropout.apply(attended, self.dropout)?)?;
            let attended = self.image_attention(layer, &states, encoded, &cross_spans, dropout)?;
            states = (&states + dropout.apply(attended, self.dropout)?)?;
            let x = kernels::rms_norm(&states, &layer.mlp_norm, self.eps)?;
            let inner = dropout.apply(
                kernels::gated_gelu(&x, &layer.wi_0, &layer.wi_1)?,
                self.dropout,
            )?;
            states =
                (&states + dropout.apply(kernels::linear(&inner, &layer.wo)?, self.dropout)?)?;
        }
        let states = dropout.apply(
            kernels::rms_norm(&states, &self.norm, self.eps)?,
            self.dropout,
        )?;
        batch.loss(&states, &self.output, label_smoothing)
    }

    /// Marks padding among the inputs, which no query sees; the first token of a text is never
    /// hidden. Empty without padding.
    fn hidden(&self, batch: &PackedBatch) -> Vec<bool> {
        let mut hidden: Vec<bool> = batch.inputs.iter().map(|&id| id == self.pad).collect();
        let mut first = 0;
        for length in &batch.lengths {
            hidden[first] = false;
            first += length;
        }
        if hidden.contains(&true) {
            hidden
        } else {
            Vec::new()
        }
    }

    fn text_attention(
        &self,
        layer: &Layer,
        states: &Tensor,
        texts: &[SequenceSpan],
        hidden: &[bool],
        dropout: &mut DropoutMode,
    ) -> Result<Tensor> {
        let attention = &layer.tokens;
        let x = kernels::rms_norm(states, &attention.norm, self.eps)?;
        let [q, k, v] =
            [&attention.query, &attention.key, &attention.value].map(|w| kernels::linear(&x, w));
        let mask = dropout.mask(self.dropout, PackedBatch::count_scores(texts, self.heads));
        let bias = &self.distance_bias;
        let attended = kernels::causal_attention(
            [&q?, &k?, &v?],
            self.heads,
            bias,
            texts,
            hidden.to_vec(),
            mask,
        )?;
        Ok(kernels::linear(&attended, &attention.output)?)
    }

    fn image_attention(
        &self,
        layer: &Layer,
        states: &Tensor,
        encoded: &Tensor,
        cross_spans: &[SequenceSpan],
        dropout: &mut DropoutMode,
    ) -> Result<Tensor> {
        let attention = &layer.image;
        let x = kernels::rms_norm(states, &attention.norm, self.eps)?;
        let q = kernels::linear(&x, &attention.query)?;
        let [k, v] = [&attention.key, &attention.value].map(|w| kernels::linear(encoded, w));
        let mask = dropout.mask(
            self.dropout,
            PackedBatch::count_scores(cross_spans, self.heads),
        );
        let attended = kernels::varlen_attention(
            &q,
            &k?,
            &v?,
            self.heads,
            cross_spans,
            attention.query.compute_dtype(),
            mask,
        )?;
        Ok(kernels::linear(&attended, &attention.output)?)
    }
}
