//! Escapes untrusted text (a model's answer, a name in a data set) for each format, so that nothing
//! in it becomes markup, a formula or a terminal command.

/// Escapes a cell or a paragraph of GitHub-flavoured Markdown. An underscore between letters or
/// digits needs no escape.
pub(super) fn markdown(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let is_inside = |place: usize| {
        let word = |place: Option<usize>| {
            place
                .and_then(|place| chars.get(place))
                .is_some_and(|c| c.is_alphanumeric())
        };
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

/// Escapes LaTeX text.
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

/// Escapes a CSV field: a text that a spreadsheet would read as a formula gets a leading
/// apostrophe, unless it is a number.
pub(super) fn csv(text: &str) -> String {
    let formula =
        text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) && text.parse::<f64>().is_err();
    if formula {
        format!("'{text}")
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markdown_stays_text() {
        assert_eq!(markdown("<b> & |"), "&lt;b&gt; &amp; \\|");
        assert_eq!(
            markdown("[a](b) *c* `d` ~e~ $f$ \\"),
            "\\[a\\](b) \\*c\\* \\`d\\` \\~e\\~ \\$f\\$ \\\\"
        );
        assert_eq!(
            markdown("strict_accuracy _em_ _"),
            "strict_accuracy \\_em\\_ \\_"
        );
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
        for formula in [
            "=1+1", "+1+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "-",
        ] {
            assert_eq!(csv(formula), format!("'{formula}"));
        }
        for harmless in ["-5", "+3.5e2", "a=1", "", "5-1"] {
            assert_eq!(csv(harmless), harmless);
        }
    }
}
