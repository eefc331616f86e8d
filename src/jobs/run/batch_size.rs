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

/// The most questions at a time, up to [`MAX_BATCH`], with which `adapter` stays within `bytes` of
/// memory.
///
/// # Errors
/// Returns an error if the memory is too little for one question.
pub(super) fn batch_within(
    bytes: u64,
    name: &str,
    adapter: &dyn Adapter,
    observe: &mut dyn FnMut(RunEvent<'_>),
) -> Result<usize> {
    let Some(need) = adapter.memory_need() else {
        observe(RunEvent::MemoryUnknown { id: name });
        return Ok(adapter.batch());
    };
    let need = MemoryNeed {
        fixed_bytes: need.fixed_bytes + OVERHEAD_BYTES,
        ..need
    };
    let questions = need.max_questions(bytes);
    ensure!(
        questions > 0,
        "--memory {} is too little: {name} takes {} to answer one question",
        ByteSize(bytes),
        ByteSize(need.batch_bytes(1))
    );
    Ok(questions.min(MAX_BATCH))
}
