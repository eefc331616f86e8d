//! ONNX exports of Pix2Struct and Donut checkpoints, as Optimum makes them, run by ONNX Runtime.
//!
//! Everything but the two networks is that of the families `pix2struct` and `unichart`: prompts,
//! preprocessing, decoding, answers. The graphs' inputs and outputs go by name, since their order
//! and number changed from version to version of Optimum. A graph reads one question at a time, so
//! answers depend on no other question.
//!
//! Needs the feature `onnx`, and ONNX Runtime's library when it runs.

#[cfg(feature = "onnx")]
mod adapter;
#[cfg(feature = "onnx")]
mod decoder;
#[cfg(feature = "onnx")]
mod export;
#[cfg(feature = "onnx")]
mod files;
#[cfg(feature = "onnx")]
mod graph;
#[cfg(feature = "onnx")]
mod runtime;

#[cfg(feature = "onnx")]
pub(super) use adapter::build;
#[cfg(feature = "onnx")]
pub use decoder::{Encoded, State};
#[cfg(feature = "onnx")]
pub use export::Export;
#[cfg(feature = "onnx")]
pub(super) use files::needed;

/// The stand-in without the feature.
///
/// # Errors
/// Always returns an error.
#[cfg(not(feature = "onnx"))]
pub(super) fn build(
    _: &super::AdapterContext<'_>,
    _: &crate::config::OnnxSpec,
) -> anyhow::Result<Box<dyn super::Adapter>> {
    Err(super::left_out("onnx"))
}
