//! The parts of Python's `str` and `float` that decide scores and differ from Rust's.
//!
//! Lower and upper case are Rust's: both languages use Unicode's full mappings (a capital dotted I
//! becomes two code points, a final sigma its own form). They differ only in letters added to
//! Unicode after the Python in question.

pub mod literal;

use std::borrow::Cow;

use rapidfuzz::distance::levenshtein;

pub use chartbench_core::python::{is_space, strip};

/// Python's `string.punctuation`.
pub fn is_punctuation(c: char) -> bool {
    c.is_ascii_punctuation()
}

/// Python's `float(text)`, `None` where it raises `ValueError`.
///
/// Accepts, unlike Rust's `parse`, white space around, `_` between digits, and the decimal digits
/// of every script.
pub fn float(text: &str) -> Option<f64> {
    let ascii: Cow<'_, str> = if text.is_ascii() {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(text.chars().map(to_ascii).collect())
    };
    // `float` strips the ASCII white space of C, which unlike that of `str.strip` lacks
    // U+001C..U+001F.
    let text = ascii.trim_matches([' ', '\t', '\n', '\x0b', '\x0c', '\r']);
    if !text.contains('_') {
        return text.parse().ok();
    }
    let bytes = text.as_bytes();
    let is_digit = |index: usize| bytes.get(index).is_some_and(u8::is_ascii_digit);
    let between_digits = |(index, _)| index > 0 && is_digit(index - 1) && is_digit(index + 1);
    if text.match_indices('_').all(between_digits) {
        text.replace('_', "").parse().ok()
    } else {
        None
    }
}

/// A finite number as Python prints it where a whole one is an `int`.
pub fn number_text(number: f64) -> String {
    if number.trunc() == number {
        // Exact, as Python's integers are; never `-0`.
        return format!("{:.0}", number + 0.0);
    }
    let text = format!("{number:?}");
    // Python writes at least two digits of an exponent.
    match text.split_once("e-") {
        Some((mantissa, exponent)) if exponent.len() < 2 => format!("{mantissa}e-0{exponent}"),
        _ => text,
    }
}

/// A number of [`number_text`] with `,` between thousands, as Python's `format(number, ",")`.
pub fn thousands(number: &str) -> String {
    let digits = number.trim_start_matches('-');
    let end = digits.find(['.', 'e']).unwrap_or(digits.len());
    let (whole, rest) = digits.split_at(end);
    let mut text = number.strip_suffix(digits).unwrap_or_default().to_owned();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text + rest
}

/// Decimal digits of any script to ASCII ones, white space beyond ASCII to blanks, as `float` does
/// before it parses.
pub fn to_ascii(c: char) -> char {
    match c {
        _ if c.is_ascii() => c,
        _ if is_space(c) => ' ',
        _ => decimal(c).map_or(c, |digit| char::from(b'0' + digit)),
    }
}

/// Python's `" ".join(text.strip().split())`.
pub fn fold_spaces(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let folded = |(index, byte): (usize, &u8)| match byte {
        b' ' => index > 0 && bytes.get(index + 1).is_some_and(|next| *next != b' '),
        byte => byte.is_ascii_graphic(),
    };
    if bytes.iter().enumerate().all(folded) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(
        text.split(is_space)
            .filter(|word| !word.is_empty())
            .collect::<Vec<_>>()
            .join(" "),
    )
}

/// Python's `text.splitlines()`.
pub fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(text).filter(|text| !text.is_empty());
    std::iter::from_fn(move || {
        let text = rest?;
        let end = text.find(is_line_break).unwrap_or(text.len());
        let (line, after) = text.split_at(end);
        let length = if after.starts_with("\r\n") {
            2
        } else {
            after.chars().next().map_or(0, char::len_utf8)
        };
        rest = after.get(length..).filter(|text| !text.is_empty());
        Some(line)
    })
}

fn is_line_break(c: char) -> bool {
    matches!(
        c,
        '\n' | '\x0b' | '\x0c' | '\r' | '\x1c'..='\x1e' | '\u{85}' | '\u{2028}' | '\u{2029}'
    )
}

/// Python's `str.lower`.
pub fn lower(text: &str) -> Cow<'_, str> {
    if text
        .bytes()
        .all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase())
    {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(text.to_lowercase())
    }
}

/// Python's `a.lower() == b.lower()`.
pub fn equal_lower(a: &str, b: &str) -> bool {
    if a.is_ascii() && b.is_ascii() {
        a.eq_ignore_ascii_case(b)
    } else {
        lower(a) == lower(b)
    }
}

/// Levenshtein distance in code points, as Python's implementations count it.
pub fn edit_distance(a: &str, b: &str) -> usize {
    match (a == b, a.is_ascii() && b.is_ascii()) {
        (true, _) => 0,
        (_, true) => levenshtein::distance(a.bytes(), b.bytes()),
        _ => levenshtein::distance(a.chars(), b.chars()),
    }
}

/// Python's `len(text)`: code points.
pub fn len(text: &str) -> usize {
    text.chars().count()
}

/// Python's `len(text.upper())`.
pub fn upper_len(text: &str) -> usize {
    if text.is_ascii() {
        text.len()
    } else {
        len(&text.to_uppercase())
    }
}

/// Python's `str.isdigit` of one character: decimal digits, and those in circles, raised or
/// lowered.
pub fn is_digit(c: char) -> bool {
    decimal(c).is_some()
        || DIGITS
            .iter()
            .any(|(first, last)| (*first..=*last).contains(&u32::from(c)))
}

/// Python's `unicodedata.decimal`.
fn decimal(c: char) -> Option<u8> {
    let zero = ZEROS[..ZEROS.partition_point(|zero| *zero <= u32::from(c))].last()?;
    u8::try_from(u32::from(c) - zero)
        .ok()
        .filter(|digit| *digit < 10)
}

/// The characters that `isdigit` and not `isdecimal`, of Unicode 14 (Python 3.11), as first and
/// last of each run.
const DIGITS: [(u32, u32); 20] = [
    (0xb2, 0xb3),
    (0xb9, 0xb9),
    (0x1369, 0x1371),
    (0x19da, 0x19da),
    (0x2070, 0x2070),
    (0x2074, 0x2079),
    (0x2080, 0x2089),
    (0x2460, 0x2468),
    (0x2474, 0x247c),
    (0x2488, 0x2490),
    (0x24ea, 0x24ea),
    (0x24f5, 0x24fd),
    (0x24ff, 0x24ff),
    (0x2776, 0x277e),
    (0x2780, 0x2788),
    (0x278a, 0x2792),
    (0x10a40, 0x10a43),
    (0x10e60, 0x10e68),
    (0x11052, 0x1105a),
    (0x1f100, 0x1f10a),
];

/// The zeros of Unicode 14 (Python 3.11), whose nine other digits follow each:
/// `[c for c in range(0x110000) if unicodedata.decimal(chr(c), None) == 0]`.
const ZEROS: [u32; 66] = [
    0x30, 0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66,
    0xde6, 0xe50, 0xed0, 0xf20, 0x1040, 0x1090, 0x17e0, 0x1810, 0x1946, 0x19d0, 0x1a80, 0x1a90,
    0x1b50, 0x1bb0, 0x1c40, 0x1c50, 0xa620, 0xa8d0, 0xa900, 0xa9d0, 0xa9f0, 0xaa50, 0xabf0, 0xff10,
    0x104a0, 0x10d30, 0x11066, 0x110f0, 0x11136, 0x111d0, 0x112f0, 0x11450, 0x114d0, 0x11650,
    0x116c0, 0x11730, 0x118e0, 0x11950, 0x11c50, 0x11d50, 0x11da0, 0x16a60, 0x16ac0, 0x16b50,
    0x1d7ce, 0x1d7d8, 0x1d7e2, 0x1d7ec, 0x1d7f6, 0x1e140, 0x1e2f0, 0x1e950, 0x1fbf0,
];

#[cfg(test)]
mod tests {
    use super::*;

    /// Every line was printed by Python 3.11: `float(text)`, or `None` where it raised
    /// `ValueError`.
    #[test]
    fn float_takes_what_python_takes() {
        let cases: [(&str, Option<f64>); 36] = [
            ("5", Some(5.0)),
            (" 5 ", Some(5.0)),
            ("\u{b}5\r\n", Some(5.0)),
            ("5\u{1c}", None),
            ("\u{1c}\u{665}", None),
            ("\u{a0}5\u{1c}", None),
            ("5\u{85}", Some(5.0)),
            ("\u{ff15}", Some(5.0)),
            ("\u{665}_\u{665}", Some(55.0)),
            ("\u{1d7d9}\u{1d7ec}", Some(10.0)),
            ("5 \u{665}", None),
            ("1_000", Some(1000.0)),
            ("1__0", None),
            ("_1", None),
            ("1_", None),
            ("1_.5", None),
            ("1._5", None),
            ("1e5_0", Some(1e50)),
            ("1_e5", None),
            ("+1", Some(1.0)),
            ("++1", None),
            ("1.", Some(1.0)),
            (".5", Some(0.5)),
            (".", None),
            ("e5", None),
            ("1e", None),
            ("1E5", Some(1e5)),
            ("1e999", Some(f64::INFINITY)),
            ("-inf", Some(f64::NEG_INFINITY)),
            ("iNfInItY", Some(f64::INFINITY)),
            ("infin", None),
            ("0x10", None),
            ("1,000", None),
            ("5\0", None),
            ("", None),
            ("\u{b2}", None),
        ];
        for (text, expected) in cases {
            assert_eq!(float(text), expected, "{text:?}");
        }
        assert!(float("-NaN").is_some_and(f64::is_nan));
    }

    /// Each line was printed by Python 3.11: `n` and `format(n, ",")` of `float(text)`, of `int` of
    /// a whole one.
    #[test]
    fn numbers_are_written_as_in_python() {
        let cases = [
            (5.0, "5", "5"),
            (-0.0, "0", "0"),
            (1234.0, "1234", "1,234"),
            (-1234567.0, "-1234567", "-1,234,567"),
            (-100.0, "-100", "-100"),
            (1234.5, "1234.5", "1,234.5"),
            (0.1, "0.1", "0.1"),
            (0.0001, "0.0001", "0.0001"),
            (0.00001, "1e-05", "1e-05"),
            (-1.5e-7, "-1.5e-07", "-1.5e-07"),
            (2.5e-100, "2.5e-100", "2.5e-100"),
            (1e16, "10000000000000000", "10,000,000,000,000,000"),
            (
                1e22,
                "10000000000000000000000",
                "10,000,000,000,000,000,000,000",
            ),
            (123456789.125, "123456789.125", "123,456,789.125"),
        ];
        for (number, plain, grouped) in cases {
            assert_eq!(number_text(number), plain);
            assert_eq!(thousands(plain), grouped);
        }
    }

    #[test]
    fn spaces_fold_as_in_python() {
        assert_eq!(fold_spaces("\u{1c} a\u{1f}\u{3000} b\n"), "a b");
        assert_eq!(
            fold_spaces("\u{200b}a"),
            "\u{200b}a",
            "a zero-width space is none"
        );
        for (text, folded) in [
            ("a\tb ", "a b"),
            (" a", "a"),
            ("a ", "a"),
            ("a  b", "a b"),
            (" ", ""),
            ("", ""),
        ] {
            assert_eq!(fold_spaces(text), folded);
        }
        assert!(matches!(fold_spaces("a b c"), Cow::Borrowed("a b c")));
        assert_eq!(strip("\u{1c} a b\u{3000}"), "a b");
    }

    /// Each line was printed by Python 3.11: `text.splitlines()`.
    #[test]
    fn lines_are_those_of_python() {
        let cases: [(&str, &[&str]); 6] = [
            ("", &[]),
            ("a\n", &["a"]),
            ("\na\n\n", &["", "a", ""]),
            ("a\r\nb\rc\x0bd\x0ce\x1cf", &["a", "b", "c", "d", "e", "f"]),
            ("a\u{85}b\u{2028}c\u{2029}d\x1f", &["a", "b", "c", "d\x1f"]),
            ("\r\r\n", &["", ""]),
        ];
        for (text, expected) in cases {
            assert_eq!(lines(text).collect::<Vec<_>>(), expected, "{text:?}");
        }
    }

    #[test]
    fn digits_are_those_of_python() {
        for c in [
            '0',
            '9',
            '\u{665}',
            '\u{b2}',
            '\u{b9}',
            '\u{2460}',
            '\u{1f10a}',
        ] {
            assert!(is_digit(c), "{c:?}");
        }
        for c in ['a', '/', ':', '\u{bd}', '\u{4e09}', '\u{2469}', '\u{b4}'] {
            assert!(!is_digit(c), "{c:?}");
        }
    }

    #[test]
    fn case_is_that_of_python() {
        assert!(equal_lower("STRASSE", "strasse") && !equal_lower("STRASSE", "stra\u{df}e"));
        assert!(equal_lower("\u{130}", "i\u{307}") && !equal_lower("a", "b"));
        assert_eq!(
            (lower("Ab"), lower("\u{3a3}")),
            ("ab".into(), "\u{3c3}".into())
        );
        assert_eq!(
            (upper_len("\u{df}a"), upper_len("ab"), len("\u{df}a")),
            (3, 2, 2)
        );
    }
}
