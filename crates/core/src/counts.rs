//! Upper limits of the counts that files and flags name. Each is far beyond any use; a greater
//! count is a typing error, and would overflow a sum or exhaust the memory.

/// Synthetic charts of a split.
pub const MAX_SYNTHETIC_CHARTS: usize = 1_000_000;
/// Questions that are drawn or asked about a chart.
pub const MAX_QUESTIONS_PER_CHART: usize = 100_000;
/// Questions, findings and other limits on parts of a data set.
pub const MAX_LIMIT: usize = 1_000_000_000;
/// Questions in a batch.
pub const MAX_BATCH: usize = 65_536;
/// Patches of an image.
pub const MAX_PATCHES: usize = 65_536;
/// Tokens of an answer or label of a built-in model.
pub const MAX_TOKENS: usize = 65_536;
/// Tokens of an endpoint's reply.
pub const MAX_REPLY_TOKENS: usize = 10_000_000;
/// Threads, and concurrent requests.
pub const MAX_CONCURRENT: usize = 1_024;
/// Completions of a question.
pub const MAX_SAMPLES: usize = 1_024;
/// Retries of a request.
pub const MAX_RETRIES: usize = 1_000;
/// Bootstrap samples.
pub const MAX_BOOTSTRAP_SAMPLES: usize = 1_000_000;
/// Training steps.
pub const MAX_STEPS: usize = 1_000_000_000;
/// Rank of low-rank adapters.
pub const MAX_RANK: usize = 65_536;

/// Checks that a count is between 1 and `max`.
///
/// # Errors
/// Returns an error if the count is 0 or above `max`; the text continues a sentence that begins
/// with the count's name.
pub fn check_count(count: usize, max: usize) -> Result<usize, String> {
    match count {
        0 => Err("must be at least 1".to_owned()),
        count if count > max => Err(format!("must be at most {max}, not {count}")),
        count => Ok(count),
    }
}

/// Reads a flag's count from 1 to `MAX`.
///
/// # Errors
/// Returns an error if the text is not a number, or if [`check_count`] refuses it.
pub fn parse_count<const MAX: usize>(text: &str) -> Result<usize, String> {
    check_count(
        text.parse()
            .map_err(|error: std::num::ParseIntError| error.to_string())?,
        MAX,
    )
}

/// Reads a flag's count from 0 to `MAX`.
///
/// # Errors
/// As [`parse_count`], except for 0.
pub fn parse_count_or_zero<const MAX: usize>(text: &str) -> Result<usize, String> {
    if text == "0" {
        Ok(0)
    } else {
        parse_count::<MAX>(text)
    }
}
