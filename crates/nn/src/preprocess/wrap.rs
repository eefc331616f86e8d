//! Line breaking as Python's `textwrap.TextWrapper(width).wrap(text)` with its default options: the
//! reference breaks the header text with it, so every difference would move words to other patches.
//!
//! The `textwrap` crate follows other rules (it has no em-dash rule, measures columns and not code
//! points, and collapses trailing blanks differently), hence this file. Lengths are counted in code
//! points.

use std::collections::VecDeque;

use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory};

const TAB: usize = 8;

/// Splits `text` into lines of at most `width` code points.
///
/// Tabs go to the next multiple of 8, every other ASCII blank (newlines too) becomes one space,
/// inner runs of spaces stay, blanks at line ends go. Lines break at blanks, after hyphens between
/// letters and around `--`; words longer than a line are cut. Blank text gives no line at all.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut chunks: VecDeque<Vec<char>> = chunks(&expand_blanks(text)).into();
    let width = width.max(1);
    let mut lines = Vec::new();
    while let Some(first) = chunks.front() {
        if is_blank(first) && !lines.is_empty() {
            chunks.pop_front();
        }
        let mut line: Vec<Vec<char>> = Vec::new();
        let mut length = 0;
        while chunks
            .front()
            .is_some_and(|chunk| length + chunk.len() <= width)
        {
            let chunk = chunks.pop_front().unwrap_or_default();
            length += chunk.len();
            line.push(chunk);
        }
        if let Some(long) = chunks.front_mut().filter(|chunk| chunk.len() > width) {
            let rest = long.split_off(cut(long, width - length));
            line.push(std::mem::replace(long, rest));
        }
        line.pop_if(|last| is_blank(last));
        if !line.is_empty() {
            lines.push(line.into_iter().flatten().collect());
        }
    }
    lines
}

/// The cut of a word too long for any line, given the `room` left on this one: after its last
/// hyphen that fits, if anything but hyphens comes before it, else where the room ends.
fn cut(word: &[char], room: usize) -> usize {
    let fits = &word[..room];
    match fits.iter().rposition(|&c| c == '-') {
        Some(hyphen) if fits[..hyphen].iter().any(|&c| c != '-') => hyphen + 1,
        _ => room,
    }
}

/// Tabs expanded to columns, then every ASCII blank made a space.
fn expand_blanks(text: &str) -> Vec<char> {
    let mut out = Vec::with_capacity(text.len());
    let mut column = 0;
    for c in text.chars() {
        match c {
            '\t' => {
                let fill = TAB - column % TAB;
                out.extend(std::iter::repeat_n(' ', fill));
                column += fill;
            }
            '\n' | '\r' => {
                out.push(' ');
                column = 0;
            }
            _ => {
                out.push(if is_ascii_blank(c) { ' ' } else { c });
                column += 1;
            }
        }
    }
    out
}

/// The pieces a line may be broken between: runs of blanks, words, parts of hyphenated words,
/// dashes.
fn chunks(text: &[char]) -> Vec<Vec<char>> {
    let mut chunks = Vec::new();
    let mut start = 0;
    while start < text.len() {
        let end = chunk_end(text, start);
        chunks.push(text[start..end].to_vec());
        start = end;
    }
    chunks
}

/// The end of the chunk that begins at `start`. Always beyond `start`.
fn chunk_end(text: &[char], start: usize) -> usize {
    let char_at = |i: usize| text.get(i).copied();
    if text.get(start).is_some_and(|&c| is_ascii_blank(c)) {
        return run(text, start, is_ascii_blank);
    }
    if start > 0 && char_at(start - 1).is_some_and(is_word_punctuation) {
        let end = run(text, start, |c| c == '-');
        if end - start >= 2 && char_at(end).is_some_and(is_word) {
            return end;
        }
    }
    let mut end = start + 1;
    loop {
        if char_at(end).is_none_or(is_ascii_blank) || ends_before_dash(text, end) {
            return end;
        }
        // A hyphen belongs to the chunk before it; the chunk must hold something before the hyphen.
        if char_at(end) == Some('-') && breaks_after_hyphen(text, end) {
            return end + 1;
        }
        end += 1;
    }
}

/// Whether a hyphenated word may break after the hyphen at `hyphen`: two letters come before it,
/// with a hyphen between them at most, and two letters after it, likewise.
fn breaks_after_hyphen(text: &[char], hyphen: usize) -> bool {
    let before = |n: usize| hyphen.checked_sub(n).and_then(|i| text.get(i)).copied();
    let after = |n: usize| text.get(hyphen + n).copied();
    let precedes = before(1).is_some_and(is_letter)
        && (before(2).is_some_and(is_letter)
            || before(2) == Some('-') && before(3).is_some_and(is_letter));
    let follows = after(1).is_some_and(is_letter)
        && (after(2).is_some_and(is_letter)
            || after(2) == Some('-') && after(3).is_some_and(is_letter));
    precedes && follows
}

/// Whether a word ends at `end` because a dash of two or more hyphens and a word follow.
fn ends_before_dash(text: &[char], end: usize) -> bool {
    let dash = run(text, end, |c| c == '-');
    dash - end >= 2
        && text.get(dash).is_some_and(|&c| is_word(c))
        && text.get(end - 1).is_some_and(|&c| is_word_punctuation(c))
}

fn run(text: &[char], start: usize, belongs: impl Fn(char) -> bool) -> usize {
    text.iter()
        .skip(start)
        .position(|&c| !belongs(c))
        .map_or(text.len(), |n| start + n)
}

fn is_ascii_blank(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\x0b' | '\x0c' | '\r' | ' ')
}

/// Python's `chunk.strip() == ""`, which counts every Unicode space.
fn is_blank(chunk: &[char]) -> bool {
    chunk
        .iter()
        .all(|c| c.is_whitespace() || ('\x1c'..='\x1f').contains(c))
}

/// Python's `\w`.
fn is_word(c: char) -> bool {
    c == '_'
        || matches!(
            c.general_category_group(),
            GeneralCategoryGroup::Letter | GeneralCategoryGroup::Number
        )
}

/// Python's `[^\d\W]`.
fn is_letter(c: char) -> bool {
    is_word(c) && c.general_category() != unicode_properties::GeneralCategory::DecimalNumber
}

fn is_word_punctuation(c: char) -> bool {
    is_word(c) || matches!(c, '!' | '"' | '\'' | '&' | '.' | ',' | '?')
}
