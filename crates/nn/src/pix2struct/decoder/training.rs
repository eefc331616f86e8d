//! The decoder over whole texts, for training: no cache, dropout where the reference has it.

use anyhow::Result;
use candle_core::Tensor;

use super::{Decoder, Layer};
use crate::ops::{self, Part};
use crate::training::{Dropping, Loss, Rows};

impl Decoder {
    /// The loss of texts about encoded images [places of all images, H], `places` of each.
    pub(in crate::pix2struct) fn loss(
        &self,
        rows: &Rows,
        encoded: &Tensor,
        places: &[usize],
        dropping: &mut Dropping,
        smoothing: f64,
    ) -> Result<Loss> {
        let across = rows.across(places);
        let texts = Part::square(&rows.lengths);
        let hidden = self.hidden(rows);
        let ids = Tensor::new(rows.inputs.as_slice(), self.embedding.device())?;
        let mut states = dropping.of(self.embedding.index_select(&ids, 0)?, self.dropout)?;
        for layer in &self.layers {
            let attended = self.text_attention(layer, &states, &texts, &hidden, dropping)?;
            states = (&states + dropping.of(attended, self.dropout)?)?;
            let attended = self.image_attention(layer, &states, encoded, &across, dropping)?;
            states = (&states + dropping.of(attended, self.dropout)?)?;
            let x = ops::rms_norm(&states, &layer.mlp_norm, self.eps)?;
            let inner = dropping.of(ops::gated_gelu(&x, &layer.wi_0, &layer.wi_1)?, self.dropout)?;
            states = (&states + dropping.of(ops::linear(&inner, &layer.wo)?, self.dropout)?)?;
        }
        let states = dropping.of(ops::rms_norm(&states, &self.norm, self.eps)?, self.dropout)?;
        rows.loss(&states, &self.output, smoothing)
    }

    /// Padding among the inputs is seen by none; the first token of each text always is. Empty where there is no padding.
    fn hidden(&self, rows: &Rows) -> Vec<bool> {
        let mut hidden: Vec<bool> = rows.inputs.iter().map(|&id| id == self.pad).collect();
        let mut first = 0;
        for length in &rows.lengths {
            hidden[first] = false;
            first += length;
        }
        if hidden.contains(&true) { hidden } else { Vec::new() }
    }

    fn text_attention(
        &self,
        layer: &Layer,
        states: &Tensor,
        texts: &[Part],
        hidden: &[bool],
        dropping: &mut Dropping,
    ) -> Result<Tensor> {
        let attention = &layer.tokens;
        let x = ops::rms_norm(states, &attention.norm, self.eps)?;
        let [q, k, v] = [&attention.query, &attention.key, &attention.value].map(|w| ops::linear(&x, w));
        let choice = dropping.choice(self.dropout, Rows::scores(texts, self.heads));
        let bias = &self.distance_bias;
        let attended = ops::causal_attention([&q?, &k?, &v?], self.heads, bias, texts, hidden.to_vec(), choice)?;
        Ok(ops::linear(&attended, &attention.output)?)
    }

    fn image_attention(
        &self,
        layer: &Layer,
        states: &Tensor,
        encoded: &Tensor,
        across: &[Part],
        dropping: &mut Dropping,
    ) -> Result<Tensor> {
        let attention = &layer.image;
        let x = ops::rms_norm(states, &attention.norm, self.eps)?;
        let q = ops::linear(&x, &attention.query)?;
        let [k, v] = [&attention.key, &attention.value].map(|w| ops::linear(encoded, w));
        let choice = dropping.choice(self.dropout, Rows::scores(across, self.heads));
        let attended = ops::attention_in_parts(&q, &k?, &v?, self.heads, across, attention.query.precision(), choice)?;
        Ok(ops::linear(&attended, &attention.output)?)
    }
}
