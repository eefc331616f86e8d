//! Results as tables, for the terminal, Markdown, CSV and JSON: stored runs (the leaderboard, the comparison) and any
//! answers under every convention (the matrix, every question's scores).

mod compare;
mod leaderboard;
mod matrix;
pub mod page;
mod per_question;
mod scored;
mod slice;
mod splice;
pub mod table;
mod tally;

pub use compare::compare;
pub use leaderboard::Leaderboard;
pub use matrix::{File, Matrix};
pub use per_question::{explain, per_question, per_question_jsonl};
pub use scored::{CONFIDENCE, Scored};
pub use slice::Dimension;
pub use splice::splice;
pub use tally::{Entry, tally};
