//! Edit distance, for the conventions' ANLS.

use rapidfuzz::distance::levenshtein;

/// Levenshtein distance in code points, as Python's implementations count it.
pub(super) fn distance(a: &str, b: &str) -> usize {
    match (a == b, a.is_ascii() && b.is_ascii()) {
        (true, _) => 0,
        (_, true) => levenshtein::distance(a.bytes(), b.bytes()),
        _ => levenshtein::distance(a.chars(), b.chars()),
    }
}
