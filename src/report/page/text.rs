//! Untrusted text (answers, questions, names) in the page.

use anyhow::{Context, Result};
use serde::Serialize;

use chartbench_core::terminal::visible_except;

/// Text in which nothing is hidden: what the page's script puts into the document, by `textContent`
/// alone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub(super) struct VisibleText(String);

impl VisibleText {
    pub(super) fn new(text: &str) -> Self {
        Self(visible(text))
    }
}

/// Control characters, marks that turn the direction of writing and characters without width as
/// escapes (`\u{202e}`); line breaks, tabs and everything else as they are.
pub(super) fn visible(text: &str) -> String {
    visible_except(text, &['\n', '\t'])
}

/// JSON that can stand in a `script` element: nothing in it ends the element, begins another or is
/// a line's end to a script.
pub(super) fn json_in_html(value: &impl Serialize) -> Result<String> {
    let json = serde_json::to_string(value).context("cannot encode the page's data")?;
    let mut escaped = String::with_capacity(json.len());
    // Outside of strings JSON has none of these.
    for c in json.chars() {
        match c {
            '<' => escaped += "\\u003c",
            '>' => escaped += "\\u003e",
            '&' => escaped += "\\u0026",
            '\u{2028}' => escaped += "\\u2028",
            '\u{2029}' => escaped += "\\u2029",
            c => escaped.push(c),
        }
    }
    Ok(escaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_hidden_stays_hidden() {
        assert_eq!(
            visible("a\u{1b}[31m\u{202e}b\0\r"),
            "a\\u{1b}[31m\\u{202e}b\\u{0}\\r"
        );
        assert_eq!(
            visible("\u{9b}\u{feff}\u{2066}\u{200b}\u{2028}"),
            "\\u{9b}\\u{feff}\\u{2066}\\u{200b}\\u{2028}"
        );
        assert_eq!(
            visible("two\nlines\t図表 é <b> \u{1f468}\u{200d}\u{1f469}"),
            "two\nlines\t図表 é <b> \u{1f468}\u{200d}\u{1f469}"
        );
    }

    #[test]
    fn json_cannot_leave_its_element_and_reads_back() {
        let text = "</script><!-- & \u{2028}\u{2029} \\u003c \"";
        let json = json_in_html(&text).unwrap();
        assert!(
            !json.contains(['<', '>', '&', '\u{2028}', '\u{2029}']),
            "{json}"
        );
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
    }
}
