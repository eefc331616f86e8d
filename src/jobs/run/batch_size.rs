//! How many questions an adapter gets at a time.

use anyhow::{Result, ensure};
use bytesize::ByteSize;

use crate::adapter::Adapter;
use crate::run::RunEvent;
use chartbench_nn::MemoryNeed;

/// Largest useful batch: decoding more questions at a time gains nothing.
const MAX_BATCH: usize = 32;
/// Memory used besides the model, in bytes: the program, queued questions and one decoded image.
const OVERHEAD_BYTES: u64 = 160 << 20;

/// How many questions an adapter gets at a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BatchSize {
    /// The adapter's own default.
    #[default]
    Adapter,
    /// This many; 0 counts as 1.
    Questions(usize),
    /// As many as fit into this memory, in bytes, 32 at most.
    Memory(u64),
}

/// The questions that `adapter` gets at a time.
///
/// # Errors
/// As [`batch_within`].
pub(in crate::jobs) fn batch_size(
    size: BatchSize,
    adapter: &dyn Adapter,
    observe: &mut dyn FnMut(RunEvent<'_>),
) -> Result<usize> {
    match size {
        BatchSize::Adapter => Ok(adapter.batch()),
        BatchSize::Questions(questions) => Ok(questions),
        BatchSize::Memory(bytes) => batch_within(bytes, adapter, observe),
    }
}

/// The most questions at a time, up to [`MAX_BATCH`], with which `adapter` stays within `bytes` of
/// memory.
///
/// # Errors
/// Returns an error if the memory is too little for one question.
fn batch_within(
    bytes: u64,
    adapter: &dyn Adapter,
    observe: &mut dyn FnMut(RunEvent<'_>),
) -> Result<usize> {
    let name = adapter.identity().id.as_str();
    let Some(need) = adapter.memory_need() else {
        observe(RunEvent::MemoryUnknown { id: name });
        return Ok(adapter.batch());
    };
    let need = with_overhead(need);
    let questions = need.max_questions(bytes);
    ensure!(
        questions > 0,
        "--memory {} is too little: {name} takes {} to answer one question",
        ByteSize(bytes),
        ByteSize(need.batch_bytes(1))
    );
    Ok(questions.min(MAX_BATCH))
}

/// The need of a model and of the program around it.
pub(in crate::jobs) fn with_overhead(need: MemoryNeed) -> MemoryNeed {
    MemoryNeed {
        fixed_bytes: need.fixed_bytes + OVERHEAD_BYTES,
        ..need
    }
}
