//! Runs: a question set is answered by an adapter, resumed where it stopped, and stored.

#[cfg(feature = "models")]
mod answer_all;
#[cfg(feature = "models")]
mod plan;
#[cfg(feature = "models")]
mod stop;
pub mod store;
#[cfg(feature = "models")]
mod timing;

#[cfg(feature = "models")]
pub use answer_all::{Outcome, RunEvent, answer_all, unanswered};
#[cfg(feature = "models")]
pub use plan::{AnsweredIds, batches};
#[cfg(feature = "models")]
pub use stop::{RowProgress, Stop, Stopped, UnderWay};
#[cfg(feature = "models")]
pub use timing::{Timing, time_questions};
