//! Putting generated text between two markers of a document.

use anyhow::{Context, Result, ensure};

const BEGIN: &str = "<!-- leaderboard:begin";
const END: &str = "<!-- leaderboard:end -->";

/// Replaces what stands between the line that begins with `<!-- leaderboard:begin` and `<!-- leaderboard:end -->`;
/// the first marker is rewritten to carry `command`, which made the text.
///
/// # Errors
/// A document without exactly one pair of markers in this order.
pub fn splice(document: &str, command: &str, text: &str) -> Result<String> {
    let begin = document.find(BEGIN).with_context(|| format!("no line `{BEGIN} -->`: add it where the table goes"))?;
    let end = document.find(END).with_context(|| format!("no line `{END}` below `{BEGIN} -->`"))?;
    ensure!(begin < end, "`{END}` stands above `{BEGIN}`");
    ensure!(document.matches(BEGIN).count() == 1 && document.matches(END).count() == 1, "the markers stand twice");
    let (before, after) = (&document[..begin], &document[end..]);
    Ok(format!("{before}{BEGIN}; made by: {command} -->\n\n{}\n\n{after}", text.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splicing_twice_changes_nothing_more() {
        let document = "a\n<!-- leaderboard:begin -->\nold\n<!-- leaderboard:end -->\nb\n";
        let once = splice(document, "cmd", "new").unwrap();
        assert_eq!(once, "a\n<!-- leaderboard:begin; made by: cmd -->\n\nnew\n\n<!-- leaderboard:end -->\nb\n");
        assert_eq!(splice(&once, "cmd", "new").unwrap(), once);
    }

    #[test]
    fn missing_or_misplaced_markers_are_errors() {
        assert!(splice("text", "c", "t").is_err());
        assert!(splice("<!-- leaderboard:end -->\n<!-- leaderboard:begin -->", "c", "t").is_err());
    }
}
