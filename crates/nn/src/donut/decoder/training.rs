//! The decoder over whole texts, for training: no cache, dropout where the reference has it.

use anyhow::{Result, ensure};
use candle_core::Tensor;

use super::{Decoder, Layer, POSITION_OFFSET};
use crate::kernels::{self, SequenceSpan};
use crate::training::{DropoutMode, Loss, PackedBatch};

impl Decoder {
    /// Rows of the embedding.
    pub(in crate::donut) fn vocabulary(&self) -> Result<usize> {
        Ok(self.embedding.dim(0)?)
    }

    /// The loss of texts about encoded images [rows of all images, D]; each image has
    /// `encoded_lengths` rows.
    pub(in crate::donut) fn loss(
        &self,
        batch: &PackedBatch,
        encoded: &Tensor,
        encoded_lengths: &[usize],
        dropout: &mut DropoutMode,
        label_smoothing: f64,
    ) -> Result<Loss> {
        let cross_spans = batch.cross_spans(encoded_lengths);
        let texts = SequenceSpan::square(&batch.lengths);
        let mut states = dropout.apply(self.embed_texts(batch)?, self.dropout)?;
        for layer in &self.layers {
            let attended = self.text_attention(layer, &states, &texts, dropout)?;
            states = (&states + dropout.apply(attended, self.dropout)?)?;
            let attended = self.image_attention(layer, &states, encoded, &cross_spans, dropout)?;
            states = (&states + dropout.apply(attended, self.dropout)?)?;
            let inner = layer.fc1.forward_gelu(&layer.mlp_norm.forward(&states)?)?;
            let inner = dropout.apply(inner, self.activation_dropout)?;
            states = (&states + dropout.apply(layer.fc2.forward(&inner)?, self.dropout)?)?;
        }
        batch.loss(&self.norm.forward(&states)?, &self.output, label_smoothing)
    }

    fn embed_texts(&self, batch: &PackedBatch) -> Result<Tensor> {
        let max_positions = self.positions.dim(0)? - POSITION_OFFSET;
        let longest = batch.lengths.iter().max().copied().unwrap_or(0);
        ensure!(
            longest <= max_positions,
            "a text of {longest} tokens is longer than the decoder's {max_positions} positions"
        );
        let device = self.embedding.device();
        let positions = batch.lengths.iter().flat_map(|&length| 0..length);
        let positions: Vec<u32> = positions
            .map(|position| (position + POSITION_OFFSET) as u32)
            .collect();
        let mut tokens = self
            .embedding
            .index_select(&Tensor::new(batch.inputs.as_slice(), device)?, 0)?;
        if batch.inputs.contains(&self.pad) {
            // The padding row of the embedding gets no gradient: the reference's `padding_idx`.
            let learns: Vec<u8> = batch
                .inputs
                .iter()
                .map(|&id| u8::from(id != self.pad))
                .collect();
            let learns = Tensor::new(learns, device)?
                .unsqueeze(1)?
                .broadcast_as(tokens.shape())?;
            tokens = learns.where_cond(&tokens, &tokens.detach())?;
        }
        let positions = self
            .positions
            .index_select(&Tensor::new(positions, device)?, 0)?;
        self.embedding_norm
            .forward(&((tokens * self.scale)? + positions)?)
    }

    fn text_attention(
        &self,
        layer: &Layer,
        states: &Tensor,
        texts: &[SequenceSpan],
        dropout: &mut DropoutMode,
    ) -> Result<Tensor> {
        let attention = &layer.tokens;
        let x = attention.norm.forward(states)?;
        let [q, k, v] = [&attention.query, &attention.key, &attention.value]
            .map(|projection| projection.forward(&x));
        let mask = dropout.mask(
            self.attention_dropout,
            PackedBatch::count_scores(texts, self.heads),
        );
        let attended = kernels::causal_attention(
            [&q?, &k?, &v?],
            self.heads,
            &self.causal,
            texts,
            Vec::new(),
            mask,
        )?;
        attention.output.forward(&attended)
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
        let q = attention.query.forward(&attention.norm.forward(states)?)?;
        let [k, v] =
            [&attention.key, &attention.value].map(|projection| projection.forward(encoded));
        let mask = dropout.mask(
            self.attention_dropout,
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
        attention.output.forward(&attended)
    }
}
