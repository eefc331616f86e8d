//! Fine-tuning: the loop over a model that can be trained, the steps of an optimiser, learning rates, the order of the data,
//! the state beside a checkpoint, and what a training tells of itself.

mod card;
pub mod curves;
mod estimate;
mod feed;
mod gradients;
mod holdout;
mod kept;
pub mod log;
mod lot;
pub mod optimizer;
mod order;
pub mod quantize;
mod schedule;
pub mod state;
pub mod tensorboard;
mod trainer;
mod validation;

use std::collections::BTreeMap;

use candle_core::Var;

pub use card::Card;
pub use estimate::{MemoryEstimate, size, step_time};
pub use feed::Skipped;
pub use holdout::{HeldOut, hold_out, validation_questions};
pub use order::{Batches, Item, Order};
pub use schedule::Schedule;
pub use trainer::{Event, Finished, LOG, Training};
pub use validation::{Answer, MeanLoss, answers, failures, mean_loss, summary};

/// The weights that are trained, by their names in the checkpoint. Their order is that of every sum over them.
pub type Variables = BTreeMap<String, Var>;
