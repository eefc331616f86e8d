//! Text that nobody vouches for (a model's answer, a name in a data set) made harmless in each form: it shows as what it
//! is, and nothing in it becomes markup, a formula or a terminal's command.

/// For people: control characters and those that turn the direction of writing as escapes (`\u{202e}`), everything else
/// as it is.
pub fn visible(text: &str) -> String {
    visible_but(text, &[])
}

/// The same, with the characters of `kept` as they are.
pub(super) fn visible_but(text: &str, kept: &[char]) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if is_hidden(c) && !kept.contains(&c) { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    shown
}

/// Control characters (a terminal obeys some), marks that reorder a line, line and paragraph separators, and the
/// characters of no width that make two texts look the same. Joiners (U+200C, U+200D) belong to words and to emoji.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{feff}')
        || matches!(c, '\u{2060}'..='\u{2069}' | '\u{e0000}'..='\u{e007f}')
}

/// In a cell or a paragraph of GitHub-flavoured Markdown. An underscore between letters or digits needs no escape.
pub(super) fn markdown(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let is_inside = |place: usize| {
        let word = |place: Option<usize>| place.and_then(|place| chars.get(place)).is_some_and(|c| c.is_alphanumeric());
        word(place.checked_sub(1)) && word(place.checked_add(1))
    };
    let mut escaped = String::with_capacity(text.len());
    for (place, &c) in chars.iter().enumerate() {
        match c {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '_' if is_inside(place) => escaped.push(c),
            '\\' | '|' | '*' | '_' | '`' | '[' | ']' | '~' | '$' => escaped.extend(['\\', c]),
            _ => escaped.push(c),
        }
    }
    escaped
}

/// In LaTeX text.
pub(super) fn latex(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => escaped += "\\textbackslash{}",
            '~' => escaped += "\\textasciitilde{}",
            '^' => escaped += "\\textasciicircum{}",
            '<' => escaped += "\\textless{}",
            '>' => escaped += "\\textgreater{}",
            '"' => escaped += "\\textquotedbl{}",
            '&' | '%' | '$' | '#' | '_' | '{' | '}' => escaped.extend(['\\', c]),
            // A row's end may be followed by an optional argument.
            '[' => escaped += "{[}",
            ']' => escaped += "{]}",
            _ => escaped.push(c),
        }
    }
    escaped
}

/// In a field of CSV: what a spreadsheet would take for a formula gets an apostrophe in front, unless it is a number.
pub(super) fn csv(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) && text.parse::<f64>().is_err();
    if formula { format!("'{text}") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_hidden_stays_hidden() {
        assert_eq!(visible("a\u{1b}[31m\u{202e}b\tc"), "a\\u{1b}[31m\\u{202e}b\\tc");
        assert_eq!(visible("\u{9b}\u{feff}\u{2066}\u{200b}\u{2028}"), "\\u{9b}\\u{feff}\\u{2066}\\u{200b}\\u{2028}");
        assert_eq!(visible("図表 é <b>"), "図表 é <b>");
    }

    #[test]
    fn markdown_stays_text() {
        assert_eq!(markdown("<b> & |"), "&lt;b&gt; &amp; \\|");
        assert_eq!(markdown("[a](b) *c* `d` ~e~ $f$ \\"), "\\[a\\](b) \\*c\\* \\`d\\` \\~e\\~ \\$f\\$ \\\\");
        assert_eq!(markdown("strict_accuracy _em_ _"), "strict_accuracy \\_em\\_ \\_");
    }

    #[test]
    fn latex_stays_text() {
        assert_eq!(
            latex("\\input{a} 5% $x_1^2$ #~ <\">[]&"),
            "\\textbackslash{}input\\{a\\} 5\\% \\$x\\_1\\textasciicircum{}2\\$ \\#\\textasciitilde{} \
             \\textless{}\\textquotedbl{}\\textgreater{}{[}{]}\\&"
        );
    }

    #[test]
    fn no_field_is_a_formula() {
        for formula in ["=1+1", "+1+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "-"] {
            assert_eq!(csv(formula), format!("'{formula}"));
        }
        for harmless in ["-5", "+3.5e2", "a=1", "", "5-1"] {
            assert_eq!(csv(harmless), harmless);
        }
    }
}
