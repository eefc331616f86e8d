//! Fine-tuning: the training loop, optimisers, learning-rate schedules, the order of the data, validation, the saved state,
//! logs and curves, and the choice of layers to quantize.

mod best_checkpoint;
pub mod curves;
mod estimate;
mod gradients;
mod holdout;
pub mod log;
mod model_card;
pub mod optimizer;
mod order;
mod prefetch;
pub mod quantize;
mod schedule;
mod seeded_draw;
pub mod state;
pub mod tensorboard;
mod trainer;
mod validation;

use std::collections::BTreeMap;

use candle_core::Var;

pub use estimate::{MemoryEstimate, format_bytes, measure_step_time};
pub use holdout::{HeldOut, hold_out, validation_questions};
pub use model_card::ModelCard;
pub use order::{Batches, Order, QuestionIndex};
pub use prefetch::SkippedQuestion;
pub use schedule::Schedule;
pub use trainer::{TRAINING_LOG, TrainEvent, TrainOutcome, Trainer};
pub use validation::{
    MeanLoss, ValidationAnswer, answer_questions, failed_questions, mean_loss, summarize,
};

/// The trained weights, by their names in the checkpoint. Every sum over them goes in the map's order.
pub type Variables = BTreeMap<String, Var>;
