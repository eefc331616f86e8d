//! The decoder over whole texts, for training: no cache, dropout where the reference has it.

use anyhow::{Result, ensure};
use candle_core::Tensor;

use super::{Decoder, Layer, POSITION_OFFSET};
use crate::ops::{self, Part};
use crate::training::{Dropping, Loss, Rows};

impl Decoder {
    /// Rows of the embedding.
    pub(in crate::donut) fn vocabulary(&self) -> Result<usize> {
        Ok(self.embedding.dim(0)?)
    }

    /// The loss of texts about encoded images [places of all images, D], `places` of each.
    pub(in crate::donut) fn loss(
        &self,
        rows: &Rows,
        encoded: &Tensor,
        places: &[usize],
        dropping: &mut Dropping,
        smoothing: f64,
    ) -> Result<Loss> {
        let across = rows.across(places);
        let texts = Part::square(&rows.lengths);
        let mut states = dropping.of(self.embed_texts(rows)?, self.dropout)?;
        for layer in &self.layers {
            let attended = self.text_attention(layer, &states, &texts, dropping)?;
            states = (&states + dropping.of(attended, self.dropout)?)?;
            let attended = self.image_attention(layer, &states, encoded, &across, dropping)?;
            states = (&states + dropping.of(attended, self.dropout)?)?;
            let inner = layer.fc1.gelu_of(&layer.mlp_norm.of(&states)?)?;
            let inner = dropping.of(inner, self.activation_dropout)?;
            states = (&states + dropping.of(layer.fc2.of(&inner)?, self.dropout)?)?;
        }
        rows.loss(&self.norm.of(&states)?, &self.output, smoothing)
    }

    fn embed_texts(&self, rows: &Rows) -> Result<Tensor> {
        let positions = self.positions.dim(0)? - POSITION_OFFSET;
        let longest = rows.lengths.iter().max().copied().unwrap_or(0);
        ensure!(longest <= positions, "a text of {longest} tokens is longer than the decoder's {positions} positions");
        let device = self.embedding.device();
        let places = rows.lengths.iter().flat_map(|&length| 0..length);
        let places: Vec<u32> = places.map(|place| (place + POSITION_OFFSET) as u32).collect();
        let mut tokens = self.embedding.index_select(&Tensor::new(rows.inputs.as_slice(), device)?, 0)?;
        if rows.inputs.contains(&self.pad) {
            // Read as padding, that row of the embedding learns nothing: the reference's `padding_idx`.
            let learns: Vec<u8> = rows.inputs.iter().map(|&id| u8::from(id != self.pad)).collect();
            let learns = Tensor::new(learns, device)?.unsqueeze(1)?.broadcast_as(tokens.shape())?;
            tokens = learns.where_cond(&tokens, &tokens.detach())?;
        }
        let places = self.positions.index_select(&Tensor::new(places, device)?, 0)?;
        self.embedding_norm.of(&((tokens * self.scale)? + places)?)
    }

    fn text_attention(
        &self,
        layer: &Layer,
        states: &Tensor,
        texts: &[Part],
        dropping: &mut Dropping,
    ) -> Result<Tensor> {
        let attention = &layer.tokens;
        let x = attention.norm.of(states)?;
        let [q, k, v] = [&attention.query, &attention.key, &attention.value].map(|projection| projection.of(&x));
        let choice = dropping.choice(self.attention_dropout, Rows::scores(texts, self.heads));
        let attended = ops::causal_attention([&q?, &k?, &v?], self.heads, &self.causal, texts, Vec::new(), choice)?;
        attention.output.of(&attended)
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
        let q = attention.query.of(&attention.norm.of(states)?)?;
        let [k, v] = [&attention.key, &attention.value].map(|projection| projection.of(encoded));
        let choice = dropping.choice(self.attention_dropout, Rows::scores(across, self.heads));
        let attended = ops::attention_in_parts(&q, &k?, &v?, self.heads, across, attention.query.precision(), choice)?;
        attention.output.of(&attended)
    }
}
