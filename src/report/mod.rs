//! Stored runs as tables: the leaderboard and the comparison, for the terminal, Markdown, CSV and JSON.

mod compare;
mod leaderboard;
mod slice;
mod splice;
pub mod table;

pub use compare::compare;
pub use leaderboard::Leaderboard;
pub use slice::Dimension;
pub use splice::splice;
