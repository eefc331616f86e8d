//! The half of training that knows no model: named variables, the steps of an optimiser, learning rates, the order of the
//! data, the state beside a checkpoint, and what a training tells of itself.

pub mod curves;
mod holdout;
pub mod log;
mod lot;
pub mod optimizer;
mod order;
mod schedule;
pub mod state;
pub mod tensorboard;

use std::collections::BTreeMap;

use candle_core::Var;

pub use holdout::{HeldOut, hold_out, validation_questions};
pub use order::{Batches, Item, Order};
pub use schedule::Schedule;

/// The weights that are trained, by their names in the checkpoint. Their order is that of every sum over them.
pub type Variables = BTreeMap<String, Var>;
