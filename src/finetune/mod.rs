//! Fine-tuning: the training loop, optimisers, learning-rate schedules, the order of the data,
//! validation, the saved state, logs and curves, and the choice of layers to quantize. Without the
//! feature `models` only logs and curves are read.

#[cfg(feature = "models")]
mod best_checkpoint;
pub mod curves;
#[cfg(feature = "models")]
mod draw_purpose;
#[cfg(feature = "models")]
mod estimate;
#[cfg(feature = "models")]
mod events;
#[cfg(feature = "models")]
mod gradients;
#[cfg(feature = "models")]
mod holdout;
#[cfg(feature = "models")]
mod interrupt;
pub mod log;
#[cfg(feature = "models")]
mod model_card;
#[cfg(feature = "models")]
pub mod optimizer;
#[cfg(feature = "models")]
mod order;
#[cfg(feature = "models")]
mod prefetch;
#[cfg(feature = "models")]
pub mod quantize;
#[cfg(feature = "models")]
mod schedule;
#[cfg(feature = "models")]
pub mod state;
#[cfg(feature = "models")]
pub mod tensorboard;
#[cfg(feature = "models")]
mod trainer;
#[cfg(feature = "models")]
mod validation;

#[cfg(feature = "models")]
pub use self::{
    estimate::{MemoryEstimate, format_bytes, measure_step_time},
    events::TrainEvent,
    holdout::{HeldOut, hold_out, validation_questions},
    interrupt::Interrupted,
    model_card::ModelCard,
    order::{Batches, Order, QuestionIndex},
    prefetch::SkippedQuestion,
    schedule::Schedule,
    trainer::{TrainOutcome, Trainer},
    validation::{
        MeanLoss, ValidationAnswer, answer_questions, failed_questions, mean_loss, summarize,
    },
};

#[cfg(feature = "models")]
pub use chartbench_nn::optimizer::Variables;
