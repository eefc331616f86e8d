//! Results as tables, for the terminal, Markdown, LaTeX, CSV and JSON: stored runs (the
//! leaderboard, the comparison) and any answers under every convention (the matrix, every
//! question's scores).

mod against_blind;
mod aggregate;
mod compare;
mod escape;
mod export;
mod failures;
#[cfg(feature = "report")]
mod figures;
mod leaderboard;
mod matrix;
#[cfg(feature = "report")]
pub mod page;
mod per_question;
#[cfg(feature = "report")]
pub mod plot;
mod row_kind;
mod score_all;
mod scored;
mod sensitivity;
mod slice;
mod splice;
pub mod table;
mod verdict;
mod whole_pairs;

pub use against_blind::against_blind;
pub use aggregate::Aggregate;
pub use compare::{CompareOptions, Comparison};
pub use export::{
    EveryEvalEver, HubTask, eval_results, every_eval_ever, lm_eval_results, lm_eval_samples,
    model_index,
};
pub use failures::{AnswerKind, FailureList, ListFormat, QuestionFilter, SliceCondition};
#[cfg(feature = "report")]
pub use figures::{Answers, score_bars, tolerance_curve};
pub use leaderboard::{Leaderboard, LeaderboardOptions, LeaderboardParts};
pub use matrix::{AnswerFile, Matrix};
pub use per_question::{explain, per_question, per_question_jsonl};
pub use row_kind::RowKind;
pub use score_all::{NamedPair, estimates, score_all};
pub use scored::{CONFIDENCE, Scored};
pub use sensitivity::Sensitivity;
pub use slice::{SliceBy, SliceValue, check_slices_exist};
pub use splice::{read_document, splice, splice_file, spliced_document};
