//! Splices generated text between two markers of a document.

use std::path::Path;

use anyhow::{Context, Result, ensure};

use chartbench_core::files::write_file;
use chartbench_core::input::{self, MAX_DOCUMENT_BYTES};

/// Reads a document that text is put into. A pipe or a terminal would be waited for.
///
/// # Errors
/// Returns an error if it is no regular file, cannot be read, or is not UTF-8.
pub fn read_document(path: &Path) -> Result<String> {
    input::read_text(path, MAX_DOCUMENT_BYTES)
        .with_context(|| format!("cannot read {}", path.display()))
}

/// The document in `file` with `text` between its markers, as [`splice`] puts it there.
///
/// # Errors
/// Returns an error if the document cannot be read or does not have the markers.
pub fn spliced_document(file: &Path, name: &str, command: &str, text: &str) -> Result<String> {
    splice(&read_document(file)?, name, command, text)
        .with_context(|| format!("cannot splice into {}", file.display()))
}

/// Puts `text` between the markers of the document in `file`.
///
/// # Errors
/// As [`spliced_document`], and if the file cannot be written.
pub fn splice_file(file: &Path, name: &str, command: &str, text: &str) -> Result<()> {
    write_file(
        file,
        spliced_document(file, name, command, text)?.as_bytes(),
    )
}

/// Replaces what stands between the line that begins with `<!-- NAME:begin` and
/// `<!-- NAME:end -->`; the first marker is rewritten to carry `command`, which made the text.
///
/// # Errors
/// Returns an error unless the document has exactly one pair of markers in this order.
pub fn splice(document: &str, name: &str, command: &str, text: &str) -> Result<String> {
    let (opening, closing) = (format!("<!-- {name}:begin"), format!("<!-- {name}:end -->"));
    let begin = document
        .find(&opening)
        .with_context(|| format!("no line `{opening} -->`: add it where the table goes"))?;
    let end = document
        .find(&closing)
        .with_context(|| format!("no line `{closing}` below `{opening} -->`"))?;
    ensure!(begin < end, "`{closing}` stands above `{opening}`");
    let once = [&opening, &closing]
        .iter()
        .all(|marker| document.matches(marker.as_str()).count() == 1);
    ensure!(once, "the markers stand twice");
    let (before, after) = (&document[..begin], &document[end..]);
    Ok(format!(
        "{before}{opening}; made by: {command} -->\n\n{}\n\n{after}",
        text.trim()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splicing_twice_changes_nothing_more() {
        let document = "a\n<!-- leaderboard:begin -->\nold\n<!-- leaderboard:end -->\nb\n";
        let once = splice(document, "leaderboard", "cmd", "new").unwrap();
        assert_eq!(
            once,
            "a\n<!-- leaderboard:begin; made by: cmd -->\n\nnew\n\n<!-- leaderboard:end -->\nb\n"
        );
        assert_eq!(splice(&once, "leaderboard", "cmd", "new").unwrap(), once);
    }

    #[test]
    fn missing_or_misplaced_markers_are_errors() {
        assert!(splice("text", "leaderboard", "c", "t").is_err());
        assert!(
            splice(
                "<!-- leaderboard:end -->\n<!-- leaderboard:begin -->",
                "leaderboard",
                "c",
                "t"
            )
            .is_err()
        );
    }
}
