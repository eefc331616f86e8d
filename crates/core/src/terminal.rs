//! Standard output and standard error. Answers, names and error texts come from outside:
//! [`visible`] writes their control characters as escapes. Every message goes through
//! [`note!`](crate::note), every result through [`print()`] (for people) or [`print_data`] (for
//! programs).
//!
//! Stored files do not depend on the reader of the output: a closed pipe is ignored, and a failure
//! to write standard output is reported only at the end ([`stdout_error`]), after all files are
//! written.

use std::borrow::Cow;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::sync::OnceLock;

/// Most characters of a value from outside that a message repeats.
const MAX_ECHO: usize = 80;
/// Longest word or quoted part of a message; a longer one is an uncut value, because all suggested
/// commands are shorter.
const MAX_PART: usize = 400;
/// Most characters of a line.
const MAX_LINE: usize = 4000;

/// Writes control characters and those that change the direction of writing as escapes
/// (`\u{202e}`), all others as they are.
pub fn visible(text: &str) -> String {
    visible_except(text, &[])
}

/// [`visible`], with the characters of `kept` as they are.
pub fn visible_except(text: &str, kept: &[char]) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if is_hidden(c) && !kept.contains(&c) {
            escaped.extend(c.escape_default())
        } else {
            escaped.push(c)
        }
    }
    escaped
}

/// Repeats a value from outside in a message: visible, and cut after 80 characters.
pub fn shorten(value: &str) -> String {
    let mut chars = value.chars();
    let head: String = chars.by_ref().take(MAX_ECHO).collect();
    let ellipsis = if chars.next().is_some() { "..." } else { "" };
    visible(&head) + ellipsis
}

/// A URL without its user and password.
pub fn url_without_credentials(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url
            .rsplit_once('@')
            .map_or(url, |(_, host)| host)
            .to_owned();
    };
    // A password may contain an unescaped `/`: a text that is not a URL is cut at the last `@`.
    let valid = url::Url::parse(url).is_ok();
    let end = rest
        .find(['/', '\\', '?', '#'])
        .filter(|_| valid)
        .unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let host = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    format!("{scheme}://{host}{path}")
}

/// The error of the first failed write to standard output.
static STDOUT_FAILURE: OnceLock<io::Error> = OnceLock::new();

/// Prints a text for people to standard output; hidden characters except line breaks are escaped.
pub fn print(text: &str) {
    write_stdout(visible_except(text, &['\n']).as_bytes());
}

/// Prints data to standard output unchanged, except that a terminal gets hidden characters escaped.
/// Returns whether standard output can still be written.
pub fn print_data(data: &str) -> bool {
    if io::stdout().is_terminal() {
        write_stdout(visible_except(data, &['\n', '\t']).as_bytes())
    } else {
        write_stdout(data.as_bytes())
    }
}

/// Prints a text of this program: with ANSI styles on a terminal that shows them, else plain.
pub fn print_styled(plain: &str, styled: &str) {
    let shows_styles = io::stdout().is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    write_stdout(if shows_styles { styled } else { plain }.as_bytes());
}

/// Columns of the terminal that standard output is; `None` where it is a file or a pipe, whose
/// readers get everything. `COLUMNS` takes the place of what the terminal says.
pub fn width() -> Option<usize> {
    if !io::stdout().is_terminal() {
        return None;
    }
    std::env::var("COLUMNS")
        .ok()
        .and_then(|columns| columns.trim().parse().ok())
        .or_else(|| terminal_size::terminal_size().map(|(width, _)| width.0.into()))
        .filter(|&columns| columns > 0)
}

/// Writes to standard output unless a write has failed before.
fn write_stdout(bytes: &[u8]) -> bool {
    if STDOUT_FAILURE.get().is_none() {
        let mut stdout = io::stdout().lock();
        if let Err(error) = stdout.write_all(bytes).and_then(|()| stdout.flush()) {
            let _ = STDOUT_FAILURE.set(error);
        }
    }
    STDOUT_FAILURE.get().is_none()
}

/// The error of standard output; `None` for a closed pipe (`| head`).
pub fn stdout_error() -> Option<&'static io::Error> {
    STDOUT_FAILURE
        .get()
        .filter(|error| error.kind() != ErrorKind::BrokenPipe)
}

/// Cuts long quoted parts, long words and the line itself, because error texts of libraries have no
/// limit.
pub fn cut_long_parts(line: &str) -> Cow<'_, str> {
    if line.len() <= MAX_PART {
        return Cow::Borrowed(line);
    }
    let mut cut = String::new();
    let mut rest = line;
    while let Some(first) = rest.chars().next() {
        let end = match first {
            '`' | '"' => rest[1..].find(first).map_or(rest.len(), |end| end + 2),
            c if c.is_whitespace() => c.len_utf8(),
            _ => rest
                .find(|c: char| c.is_whitespace() || c == '`' || c == '"')
                .unwrap_or(rest.len()),
        };
        let (part, behind) = rest.split_at(end);
        if part.chars().count() > MAX_PART {
            cut += &head(part, MAX_ECHO)
        } else {
            cut += part
        }
        rest = behind;
    }
    Cow::Owned(if cut.chars().count() > MAX_LINE {
        head(&cut, MAX_LINE)
    } else {
        cut
    })
}

/// The first characters of a longer text.
fn head(text: &str, characters: usize) -> String {
    text.chars().take(characters).chain("...".chars()).collect()
}

/// Writes one line to stderr. Failures are ignored: stored files do not depend on the reader of the
/// output.
pub fn write_note(line: &str) {
    write_stderr(&(cut_long_parts(&visible(line)).into_owned() + "\n"));
}

/// Writes a text of several lines to stderr, as [`write_note`] does.
pub fn write_note_block(text: &str) {
    for line in visible_except(text, &['\n']).split_inclusive('\n') {
        write_stderr(&cut_long_parts(line));
    }
}

fn write_stderr(text: &str) {
    let mut stderr = io::stderr().lock();
    let _ = stderr
        .write_all(text.as_bytes())
        .and_then(|()| stderr.flush());
}

/// Formats one line and writes it to stderr with
/// [`terminal::write_note`](crate::terminal::write_note).
#[macro_export]
macro_rules! note {
    ($($part:tt)*) => { $crate::terminal::write_note(&format!($($part)*)) };
}

/// Control characters (a terminal obeys some), marks that reorder a line, line and paragraph
/// separators, and zero-width characters that make two texts look the same. Joiners (U+200C,
/// U+200D) belong to words and to emoji.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{feff}'
        )
        || matches!(c, '\u{2060}'..='\u{2069}' | '\u{e0000}'..='\u{e007f}')
}

/// A word of a command as a shell reads it.
pub fn shell_word(word: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "-_./+=@:,".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_hidden_stays_hidden() {
        assert_eq!(
            visible("a\u{1b}[31m\u{202e}b\tc"),
            "a\\u{1b}[31m\\u{202e}b\\tc"
        );
        assert_eq!(
            visible("\u{9b}\u{feff}\u{2066}\u{200b}\u{2028}"),
            "\\u{9b}\\u{feff}\\u{2066}\\u{200b}\\u{2028}"
        );
        assert_eq!(visible("図表 é <b>"), "図表 é <b>");
    }

    #[test]
    fn an_address_is_shown_without_user_and_password() {
        for (url, shown) in [
            (
                "https://hub.example/a@b?c=d@e",
                "https://hub.example/a@b?c=d@e",
            ),
            (
                "https://me:hunter2@hub.example:8080/x",
                "https://hub.example:8080/x",
            ),
            ("https://hunter2@hub.example", "https://hub.example"),
            ("https://me:p@ss@hub.example/", "https://hub.example/"),
            ("https://me:hunter/2@hub.example/x", "https://hub.example/x"),
            ("me:hunter2@hub.example", "hub.example"),
            ("hub.example", "hub.example"),
        ] {
            assert_eq!(url_without_credentials(url), shown);
        }
    }

    #[test]
    fn a_repeated_value_is_short_and_visible() {
        assert_eq!(shorten("a\nb"), "a\\nb");
        assert_eq!(shorten(&"é".repeat(80)), "é".repeat(80));
        assert_eq!(shorten(&"é".repeat(81)), "é".repeat(80) + "...");
    }

    #[test]
    fn no_part_of_a_line_is_long() {
        let command = format!("run `{}`", "chartbench data check ".repeat(15));
        assert_eq!(cut_long_parts(&command), command);
        let (word, texts) = ("é".repeat(9000), "a b ".repeat(9000));
        assert_eq!(
            cut_long_parts(&format!("line 3: {word}: no")),
            format!("line 3: {}... no", "é".repeat(80))
        );
        assert_eq!(
            cut_long_parts(&format!("no key `{texts}` here")),
            format!("no key `{}... here", &texts[..79])
        );
        assert_eq!(cut_long_parts(&texts).chars().count(), 4003);
    }
}
