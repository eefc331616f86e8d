//! The TOML files: a private wire type that refuses unknown keys becomes a validated public type,
//! and every error names file, line and key.

mod adapter;
mod benchmark;
mod embedded;
mod evaluation_protocol;
mod extraction;
mod prompt;
mod protocol;

pub use adapter::{
    AdapterSpec, BLANK_PREFIX, ChatGeneration, ChatPrompt, ChatSpec, EndpointSpec, Family,
    GenerationSpec, GgufSource, GgufSpec, HeaderFontSource, OnnxSpec, Pix2StructSpec, Price,
    ProcessSpec, PromptStyle, ReaderSpec, RequestLimits, ServeSpec, UniChartSpec, WeightsSource,
    base_url,
};
pub use benchmark::{Benchmark, HubData, HubRepo, HubSource, Published, UrlFile};
pub use evaluation_protocol::{BenchmarkProtocol, EvaluationProtocol};
pub use extraction::Extraction;
pub use prompt::{HistoryAnswers, HistoryForm, PromptCase, PromptSpec, TextParts};
pub use protocol::{
    AdafactorOverrides, AdafactorSpec, AdamWSpec, AnswerTypeWeights, Betas, ComputeDtype, Dropout,
    Keep, Lora, LoraOverrides, OptimizerKind, OptimizerSpec, Preset, Protocol, ProtocolFault,
    ProtocolOverrides, QuestionsPerEpoch, ScheduleKind, ScheduleSpec, Ties, ValidateOn, Validation,
};
