//! Neural networks in candle: reading checkpoints, tokenizers, architectures, decoding.
//!
//! Pixels go in, token ids and text come out; benchmarks and data sets are unknown here.
//!
//! - [`preprocess`]: pixels to the patches and tensors that models read.
//! - [`loading`]: weights of a Hugging Face folder, tensor by tensor, in any of its file formats.
//! - [`tokenizer`]: `tokenizer.json`, decoding as transformers does.
//! - [`EncoderDecoder`]: the interface of architectures that read an image and write text.
//! - [`pix2struct`]: the architecture of MatCha and DePlot.
//! - [`donut`]: the architecture of UniChart.
//! - [`generation`]: greedy decoding and beam search of several questions at once.
//! - [`training`]: variables, losses inside candle's graph, dropout, LoRA, initial weights.
//! - [`optimizer`]: AdamW and Adafactor, as PyTorch and transformers step.
//! - [`kernels`]: the fused CPU kernels under all of it, with reference versions for other devices.

/// The version of the CPU kernels: raised when a change alters the bits that one of them gives on any
/// instruction set. Stored answers name the version that they were computed with.
pub const KERNELS_VERSION: u32 = 2;

mod config_file;
pub mod donut;
mod encoder_decoder;
mod finite;
pub mod generation;
pub mod kernels;
pub mod loading;
mod memory_need;
pub mod optimizer;
pub mod pix2struct;
pub mod preprocess;
pub mod tokenizer;
pub mod training;

pub use encoder_decoder::{EncoderDecoder, ModelConfig};
pub use finite::all_finite;
pub use loading::{
    Bf16Source, Checkpoint, CheckpointSource, GgufHeader, LayerQuantizer, LayerStack,
    MalformedCheckpoint, PackedSource, QuantizationInfo, QuantizingSource, TensorSource,
    WeightFormat, file_sha256, files_sha256, layer_name, weights_sha256,
};
pub use memory_need::MemoryNeed;

#[cfg(test)]
#[path = "../../../tests/support/assert_close.rs"]
mod assert_close;

#[cfg(test)]
mod tests {
    use chartbench_core::isa;

    #[test]
    fn every_instruction_set_passes_the_unit_tests() {
        if std::env::var_os(isa::VARIABLE).is_some() {
            return;
        }
        for isa in isa::supported() {
            let mut command = std::process::Command::new(std::env::current_exe().unwrap());
            let output = command
                .args(["--skip", "every_instruction_set"])
                .env(isa::VARIABLE, isa.name)
                .output()
                .unwrap();
            let text = String::from_utf8_lossy(&output.stdout);
            assert!(
                output.status.success() && !text.contains("running 0 tests"),
                "under {}:\n{text}",
                isa.name
            );
        }
    }
}
