//! Questions that ask for a year, whose answers must be equal.

use std::sync::LazyLock;

use fancy_regex::Regex;

/// Matches questions that ask for a year: `in which year`, `what is the last year`,
/// `which two years`, `when did`; but not `how many years` or `what is the value in the year 2010`.
static ASKED: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"(?ix) \b(which|what) (\s+(is|was|are|were|the|of|these|those|first|last|two|three|earliest|latest|calendar|fiscal))*
          \s+ years? \b | ^\s*when\b | \b(since|until|by|in|from)\s+when\b",
    )
    .ok()
});

/// Whether the question asks for a year.
pub fn is_asked_for(question: &str) -> bool {
    ASKED
        .as_ref()
        .is_some_and(|asked| asked.is_match(question).unwrap_or(false))
}

/// Whether the number can be a year of our era: whole, 1000 to 2999.
pub fn is_year(number: f64) -> bool {
    number.fract() == 0.0 && (1000.0..3000.0).contains(&number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_that_ask_for_a_year() {
        for question in [
            "In which year was it highest?",
            "What year saw the peak?",
            "What is the last year shown?",
            "Which two years have equal values?",
            "When did sales fall?",
            "Since when has it grown?",
        ] {
            assert!(is_asked_for(question), "{question}");
        }
        for question in [
            "How many years are shown?",
            "What is the value in the year 2010?",
            "What was the rate in year 2010?",
            "Which country led in the year 2010?",
            "What share is whenever?",
            "",
        ] {
            assert!(!is_asked_for(question), "{question}");
        }
    }

    #[test]
    fn years_are_whole_numbers_of_our_era() {
        assert!([1000.0, 2010.0, 2999.0].into_iter().all(is_year));
        assert!(
            ![999.0, 3000.0, 2010.5, -2010.0, f64::NAN]
                .into_iter()
                .any(is_year)
        );
    }
}
