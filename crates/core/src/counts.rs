//! The greatest counts that files and flags may name. Each is far beyond use; a greater one is a slip, and would overflow a
//! sum or take all memory.

/// Charts that are drawn for a split.
pub const MAX_DRAWN_CHARTS: usize = 1_000_000;
/// Questions that are drawn or asked about a chart.
pub const MAX_QUESTIONS_PER_CHART: usize = 100_000;
/// Questions, findings and whatever else of a data set is counted up to a limit.
pub const MAX_LIMIT: usize = 1_000_000_000;
/// Questions computed at a time.
pub const MAX_BATCH: usize = 65_536;
/// Patches of an image.
pub const MAX_PATCHES: usize = 65_536;
/// Tokens of an answer or label of a model in this program.
pub const MAX_TOKENS: usize = 65_536;
/// Tokens of a reply of an endpoint.
pub const MAX_REPLY_TOKENS: usize = 10_000_000;
/// Threads, and requests under way at a time.
pub const MAX_AT_A_TIME: usize = 1_024;
/// Completions of a question.
pub const MAX_SAMPLES: usize = 1_024;
/// Times a request is sent again.
pub const MAX_RETRIES: usize = 1_000;
/// Draws of a bootstrap.
pub const MAX_DRAWS: usize = 1_000_000;
/// Steps of a training.
pub const MAX_STEPS: usize = 1_000_000_000;
/// Rank of low-rank adapters.
pub const MAX_RANK: usize = 65_536;

/// Refuses a count that is 0 or above `most`.
///
/// # Errors
/// Returns the end of a sentence that begins with the count's name.
pub fn check_count(count: usize, most: usize) -> Result<usize, String> {
    match count {
        0 => Err("must be at least 1".to_owned()),
        count if count > most => Err(format!("must be at most {most}, not {count}")),
        count => Ok(count),
    }
}

/// Reads a flag's count from 1 to `MOST`.
///
/// # Errors
/// Returns an error if the text is no number or [`check_count`] refuses it.
pub fn parse_count<const MOST: usize>(text: &str) -> Result<usize, String> {
    check_count(text.parse().map_err(|error: std::num::ParseIntError| error.to_string())?, MOST)
}

/// Reads a flag's count from 0 to `MOST`.
///
/// # Errors
/// As [`parse_count`], but for 0.
pub fn parse_count_or_zero<const MOST: usize>(text: &str) -> Result<usize, String> {
    if text == "0" { Ok(0) } else { parse_count::<MOST>(text) }
}
