//! The parts of Python's `str` that prompts and scores share.

use std::fmt::Write;

use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory};

/// Python's `str.isspace` of one character: Unicode's white space and the four information
/// separators.
pub fn is_space(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\x1c'..='\x1f')
}

/// Python's `text.strip()`.
pub fn strip(text: &str) -> &str {
    text.trim_matches(is_space)
}

/// Python's `repr(text)`.
///
/// ```
/// use chartbench_core::python::repr;
/// assert_eq!(repr("it's 5\u{a0}%\n"), r#""it's 5\xa0%\n""#);
/// ```
pub fn repr(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') {
        '"'
    } else {
        '\''
    };
    let mut out = String::with_capacity(text.len() + 2);
    out.push(quote);
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote || c == '\\' => out.extend(['\\', c]),
            c if is_printable(c) => out.push(c),
            c => {
                let code = u32::from(c);
                // Writing to a string does not fail.
                let _ = match code {
                    0..=0xff => write!(out, "\\x{code:02x}"),
                    0x100..=0xffff => write!(out, "\\u{code:04x}"),
                    _ => write!(out, "\\U{code:08x}"),
                };
            }
        }
    }
    out.push(quote);
    out
}

/// Python's `str.isprintable` of one character.
fn is_printable(c: char) -> bool {
    let group = c.general_category_group();
    c == ' '
        || !matches!(
            group,
            GeneralCategoryGroup::Other | GeneralCategoryGroup::Separator
        )
}

#[cfg(test)]
mod tests {
    use super::repr;

    /// Each right side is what Python 3.13 prints.
    #[test]
    fn texts_are_quoted_as_python_does() {
        for (text, expected) in [
            ("", "''"),
            ("a b", "'a b'"),
            ("it's", "\"it's\""),
            ("say \"it's\"", r#"'say "it\'s"'"#),
            ("a\\b", r"'a\\b'"),
            ("a\nb\r\tc", r"'a\nb\r\tc'"),
            ("\u{0}\u{7f}\u{85}\u{a0}", r"'\x00\x7f\x85\xa0'"),
            (
                "\u{ad}\u{200b}\u{2009}\u{2028}\u{feff}",
                r"'\xad\u200b\u2009\u2028\ufeff'",
            ),
            (
                "\u{e000}\u{1f600}\u{e0001}",
                "'\\ue000\u{1f600}\\U000e0001'",
            ),
            ("5 °C, “é” – 漢", "'5 °C, “é” – 漢'"),
        ] {
            assert_eq!(repr(text), expected, "{text:?}");
        }
    }
}
