//! Neural networks in candle: reading checkpoints, tokenizers, architectures, decoding.
//!
//! Nothing here knows of benchmarks, datasets or preprocessing: patches go in, token ids and text come out.
//!
//! - [`loading`]: weights of a Hugging Face folder, tensor by tensor, whatever file format holds them.
//! - [`tokenizer`]: `tokenizer.json`, decoding as transformers does.
//! - [`pix2struct`]: the architecture of MatCha and DePlot.
//! - [`donut`]: the architecture of UniChart.
//! - [`generation`]: greedy decoding and beam search of several questions at once.
//! - [`training`]: variables, losses inside candle's graph, dropout, fresh weights.
//! - [`ops`]: the fused CPU kernels under all of it, with composed versions for other devices.

mod config_file;
pub mod donut;
mod finite;
mod footprint;
pub mod generation;
pub mod loading;
pub mod ops;
pub mod pix2struct;
pub mod tokenizer;
pub mod training;

pub use finite::all_finite;
pub use footprint::Footprint;
pub use loading::{
    Checkpoint, GgufHeader, InPanels, LayerStack, OnDevice, Quantization, Quantized, QuantizedAs, QuantizedOnce,
    Reduced, Rounding, Source, file_sha256, files_sha256, layer, weights_sha256,
};
