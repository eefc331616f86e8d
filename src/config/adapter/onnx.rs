//! `family = "onnx"`: an ONNX export of a Pix2Struct or Donut checkpoint.

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::weights::{WeightsSource, WireWeights};
use super::{Pix2StructSpec, UniChartSpec, pix2struct, unichart};

/// `family = "onnx"`. The export's `config.json` says which architecture it is of, and so which
/// keys hold.
#[derive(Clone, Debug, PartialEq)]
pub struct OnnxSpec {
    /// The export's folder or repository, without `--weights`.
    pub weights: WeightsSource,
    /// Take the quantized graphs (`*_quantized.onnx`) of an export that has both kinds.
    pub quantized: bool,
    /// `[pix2struct]`: how an export of a Pix2Struct is asked, in the keys of that family.
    pub pix2struct: Option<Pix2StructSpec>,
    /// `[unichart]`: how an export of a Donut is asked, in the keys of that family.
    pub unichart: Option<UniChartSpec>,
}

/// The family's own keys.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wire {
    weights: Option<WireWeights>,
    #[serde(default)]
    quantized: bool,
    pix2struct: Option<pix2struct::Wire>,
    unichart: Option<unichart::Wire>,
}

impl Wire {
    pub(super) fn validate(self) -> Result<OnnxSpec> {
        let Self {
            weights,
            quantized,
            pix2struct,
            unichart,
        } = self;
        let weights = weights.map_or(Ok(WeightsSource::Given), WireWeights::validate)?;
        ensure!(
            !matches!(weights, WeightsSource::Embedded(_)),
            "`weights.embedded`: no export is embedded"
        );
        ensure!(
            pix2struct.is_some() || unichart.is_some(),
            "missing table `[pix2struct]` or `[unichart]`"
        );
        let pix2struct = pix2struct.map(|keys| keys.with_weights(weights.clone()));
        let unichart = unichart.map(|keys| keys.with_weights(weights.clone()));
        Ok(OnnxSpec {
            pix2struct: pix2struct.transpose().context("`[pix2struct]`")?,
            unichart: unichart.transpose().context("`[unichart]`")?,
            weights,
            quantized,
        })
    }
}
