//! Normalises texts.

use unicode_normalization::UnicodeNormalization;

use crate::metric::python;

/// Stripped from both ends of a text.
const QUOTES_AND_BRACKETS: &str = "\"'`\u{201c}\u{201d}\u{2018}\u{2019}\u{201e}\u{ab}\u{bb}()[]{}*";
/// Stripped from the end as well.
const END: &str = ".,;:!?\u{3002}\u{ff0c}\u{3001}";

/// The text in one spelling: Unicode's composed form (NFC) in lower case, white space folded,
/// full-width characters and the decimal digits of every script in ASCII, every minus and short
/// dash a `-`, outer quotes, brackets and end punctuation gone. A text of punctuation only keeps
/// it. (Not the compatibility form NFKC, which makes 52 of a five squared.)
pub fn plain(text: &str) -> String {
    let spelled = if text.is_ascii() {
        python::fold_spaces(text).to_ascii_lowercase()
    } else {
        let folded: String = text
            .nfc()
            .map(ascii)
            .collect::<String>()
            .to_lowercase()
            .nfc()
            .collect();
        python::fold_spaces(&folded).into_owned()
    };
    let is_outer = |c: char| c == ' ' || QUOTES_AND_BRACKETS.contains(c);
    let bare = spelled
        .trim_end_matches(|c| is_outer(c) || END.contains(c))
        .trim_start_matches(is_outer);
    if bare.is_empty() {
        spelled
    } else {
        bare.to_owned()
    }
}

fn ascii(c: char) -> char {
    match c {
        '\u{2212}' | '\u{2013}' | '\u{2010}' | '\u{2011}' => '-',
        '\u{66b}' => '.',
        '\u{66c}' => ',',
        '\u{2019}' => '\'',
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c),
        _ => python::to_ascii(c),
    }
}

/// The truth value of a normalised text: `yes` and `true`, `no` and `false`.
pub fn truth(text: &str) -> Option<bool> {
    match text {
        "yes" | "true" => Some(true),
        "no" | "false" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notation_goes_and_content_stays() {
        let cases = [
            ("Line  Chart.", "line chart"),
            (" 'Yes' ", "yes"),
            ("\u{201c}Blue\u{201d}", "blue"),
            ("U.S.", "u.s"),
            ("Asia (Pacific)", "asia (pacific"),
            (".5", ".5"),
            ("-5.", "-5"),
            ("\u{2212}\u{ff15}\u{66b}\u{665}", "-5.5"),
            ("1\u{66c}234 it\u{2019}s", "1,234 it's"),
            ("**42**", "42"),
            ("\u{ff21}\u{ff05}", "a%"),
            ("5\u{b2}", "5\u{b2}"),
            ("E\u{301}T\u{c9}", "\u{e9}t\u{e9}"),
            ("...", "..."),
            ("()", "()"),
            ("", ""),
        ];
        for (text, expected) in cases {
            assert_eq!(plain(text), expected, "{text:?}");
        }
        assert_ne!(plain("."), plain("!"));
    }
}
