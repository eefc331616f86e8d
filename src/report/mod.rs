//! Results as tables, for the terminal, Markdown, LaTeX, CSV and JSON: stored runs (the leaderboard, the comparison) and any
//! answers under every convention (the matrix, every question's scores).

mod compare;
mod escape;
mod export;
mod figures;
mod leaderboard;
mod matrix;
pub mod page;
mod per_question;
pub mod plot;
mod scored;
mod sensitivity;
mod slice;
mod splice;
pub mod table;
mod tally;
mod totals;

pub use compare::{CompareOptions, Comparison};
pub use export::{lm_eval_results, lm_eval_samples, model_index};
pub use figures::{score_bars, tolerance_curve};
pub use leaderboard::{Leaderboard, Options};
pub use matrix::{File, Matrix};
pub use per_question::{explain, per_question, per_question_jsonl};
pub use scored::{CONFIDENCE, Scored};
pub use sensitivity::Sensitivity;
pub use slice::{Dimension, Key, check_known};
pub use splice::{read_document, splice, splice_file, spliced_document};
pub use tally::{Entry, estimates, tally};
pub use totals::Totals;
