//! What the TOML files say, checked: a private wire type that refuses unknown keys becomes a validated public one, and
//! every error names file, line and key.

mod adapter;
mod benchmark;
mod protocol;
mod published;

pub use adapter::{
    AdapterSpec, BLANK_PREFIX, ChatGeneration, ChatPrompt, ChatSpec, EndpointSpec, Family, GgufSource, GgufSpec,
    HeaderFontSource, Limits, OnnxSpec, Pix2StructSpec, Price, ProcessSpec, PromptStyle, ReaderSpec, UniChartSpec,
    WeightsSource, base_url,
};
pub use benchmark::Benchmark;
pub use protocol::{
    AdafactorOverrides, AdafactorSpec, AdamWSpec, Betas, Compute, Dropout, Keep, Lora, LoraOverrides, OptimizerKind,
    OptimizerSpec, Preset, Protocol, ProtocolFault, ProtocolOverrides, QuestionsPerEpoch, ScheduleKind, ScheduleSpec,
    Ties, ValidateOn, Validation, Weights,
};
pub use published::Published;
