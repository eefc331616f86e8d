//! The constants of a Python file, read as text: no Python is run.
//!
//! A constant is an assignment of a literal to a name at the beginning of a line: a string, a whole
//! number, or a dict of such. Other statements are passed over, and so are assignments of anything
//! else; of those in functions the strings are kept.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};

use chartbench_core::read_file;
use chartbench_score::metric::python::literal::take_string;

/// Deepest nesting of dicts and parentheses.
const MAX_DEPTH: usize = 20;

/// The constants of one file.
#[derive(Clone, Debug)]
pub struct PythonConstants {
    path: PathBuf,
    values: BTreeMap<String, Literal>,
    /// The names that strings are assigned to, anywhere, with the strings.
    assigned: Vec<(String, String)>,
}

/// A literal.
#[derive(Clone, Debug, PartialEq)]
enum Literal {
    Text(String),
    Integer(String),
    Dict(BTreeMap<String, Literal>),
}

impl PythonConstants {
    /// Reads the constants of the file at `path`.
    ///
    /// # Errors
    /// Returns an error that names the file if it cannot be read.
    pub fn read(path: &Path) -> Result<Self> {
        // Python reads every line break as `\n`, also in a string.
        let text = read_file::read(path)?
            .replace("\r\n", "\n")
            .replace('\r', "\n");
        Ok(Self::parse(path, &text))
    }

    fn parse(path: &Path, text: &str) -> Self {
        let mut constants = Self {
            path: path.to_owned(),
            values: BTreeMap::new(),
            assigned: Vec::new(),
        };
        constants.add(text);
        constants
    }

    /// The text called `name`.
    ///
    /// # Errors
    /// Returns an error that names the file if it has no such constant.
    pub fn text(&self, name: &str) -> Result<&str> {
        match self.values.get(name) {
            Some(Literal::Text(text)) => Ok(text),
            _ => bail!(self.missing(&format!("text {name}"))),
        }
    }

    /// The text under `key` in the dict called `name`; a whole number is the key of its digits.
    ///
    /// # Errors
    /// Returns an error that names the file if it has no such constant.
    pub fn text_in(&self, name: &str, key: &str) -> Result<&str> {
        let dict = match self.values.get(name) {
            Some(Literal::Dict(dict)) => Some(dict),
            _ => None,
        };
        match dict.and_then(|dict| dict.get(key)) {
            Some(Literal::Text(text)) => Ok(text),
            _ => bail!(self.missing(&format!("text {name}[{key}]"))),
        }
    }

    /// The first string for which `is_meant` is true among those that are assigned to `name`, in
    /// functions too. A formatted string (`f"..."`) is as it is written.
    ///
    /// # Errors
    /// Returns an error that names the file if it has no such string.
    pub fn assigned_text(&self, name: &str, is_meant: impl Fn(&str) -> bool) -> Result<&str> {
        let mut assigned = self.assigned.iter();
        let found = assigned.find(|(assigned, text)| assigned == name && is_meant(text));
        let text = found.map(|(_, text)| text.as_str());
        text.ok_or_else(|| self.missing(&format!("text that is assigned to {name}")))
    }

    fn missing(&self, what: &str) -> anyhow::Error {
        anyhow!(
            "{}: the {what} is not there: name a clone of the official repository",
            self.path.display()
        )
    }
}

/// Python's `template.format(...)` with positional fields `{}` alone.
///
/// # Errors
/// Returns an error if the template has more fields than there are values, or others.
pub fn format_fields(template: &str, values: &[&str]) -> Result<String> {
    let mut values = values.iter();
    let mut formatted = String::new();
    let mut rest = template;
    while let Some(at) = rest.find(['{', '}']) {
        let (before, from) = rest.split_at(at);
        formatted.push_str(before);
        let pair = from.get(..2).unwrap_or_default();
        match pair {
            "{}" => formatted.push_str(values.next().context("it has too many fields {}")?),
            "{{" => formatted.push('{'),
            "}}" => formatted.push('}'),
            _ => bail!("it has a brace that is no field {{}}"),
        }
        rest = from.get(pair.len()..).unwrap_or_default();
    }
    formatted.push_str(rest);
    Ok(formatted)
}

impl PythonConstants {
    /// Adds what a file's text assigns; of several constants of a name the last one counts.
    fn add(&mut self, text: &str) {
        let (mut rest, mut at_line_start) = (text, true);
        while let Some(next) = rest.chars().next() {
            if at_line_start {
                self.add_assigned(rest);
                if let Some((name, value, after)) = constant(rest) {
                    match value {
                        Some(value) => self.values.insert(name.to_owned(), value),
                        None => self.values.remove(name),
                    };
                    (rest, at_line_start) = (after, false);
                    continue;
                }
            }
            at_line_start = matches!(next, '\n' | '#');
            match next {
                '#' => rest = rest.split_once('\n').map_or("", |(_, after)| after),
                '\'' | '"' if take_string(&mut rest).is_some() => {}
                next => rest = rest.get(next.len_utf8()..).unwrap_or_default(),
            }
        }
    }

    /// Adds the string that a line begins to assign, if it does.
    fn add_assigned(&mut self, line: &str) {
        if let Some((name, mut value)) = assignment(line.trim_start_matches([' ', '\t'])) {
            skip_blanks(&mut value, false);
            let mut value = value.strip_prefix(['f', 'F']).unwrap_or(value);
            if let Some(text) = take_string(&mut value) {
                self.assigned.push((name.to_owned(), text));
            }
        }
    }
}

/// The name that the statement at the beginning of `text` assigns to, and what is behind the `=`.
fn assignment(text: &str) -> Option<(&str, &str)> {
    let is_letter = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let (name, rest) = text.split_at(text.find(|c| !is_letter(c))?);
    let behind = rest.trim_start_matches(' ').strip_prefix('=')?;
    let is_name = name.starts_with(|c: char| !c.is_ascii_digit()) && !behind.starts_with('=');
    is_name.then_some((name, behind))
}

/// The assignment of a constant that `text` begins with: the name, the literal where it is one, and
/// what is behind it.
fn constant(text: &str) -> Option<(&str, Option<Literal>, &str)> {
    let (name, behind) = assignment(text)?;
    let mut after = behind;
    let value = literal(&mut after, 0);
    skip_blanks(&mut after, false);
    // More of an expression makes it no literal.
    let ends = after.is_empty() || after.starts_with(['\n', ';', '#']);
    match value.filter(|_| ends) {
        Some(value) => Some((name, Some(value), after)),
        None => Some((name, None, behind)),
    }
}

/// Takes a literal off the beginning of `rest`.
fn literal(rest: &mut &str, depth: usize) -> Option<Literal> {
    skip_blanks(rest, depth > 0);
    match rest.chars().next()? {
        '{' if depth < MAX_DEPTH => dict(rest, depth),
        '(' if depth < MAX_DEPTH => {
            take(rest, "(");
            let inner = literal(rest, depth + 1)?;
            skip_blanks(rest, true);
            take(rest, ")").then_some(inner)
        }
        '\'' | '"' => {
            let mut text = take_string(rest)?;
            // Adjacent strings are joined.
            loop {
                let mut ahead = *rest;
                skip_blanks(&mut ahead, depth > 0);
                let Some(more) = take_string(&mut ahead) else {
                    return Some(Literal::Text(text));
                };
                text += &more;
                *rest = ahead;
            }
        }
        _ => {
            let end = rest
                .find(|c: char| !c.is_ascii_digit())
                .unwrap_or(rest.len());
            let (digits, after) = rest.split_at(end);
            *rest = after;
            (!digits.is_empty()).then(|| Literal::Integer(digits.to_owned()))
        }
    }
}

fn dict(rest: &mut &str, depth: usize) -> Option<Literal> {
    take(rest, "{");
    let mut values = BTreeMap::new();
    loop {
        skip_blanks(rest, true);
        if take(rest, "}") {
            return Some(Literal::Dict(values));
        }
        let key = match literal(rest, depth + 1)? {
            Literal::Text(key) | Literal::Integer(key) => key,
            Literal::Dict(_) => return None,
        };
        skip_blanks(rest, true);
        if !take(rest, ":") {
            return None;
        }
        let value = literal(rest, depth + 1)?;
        values.insert(key, value);
        skip_blanks(rest, true);
        if !take(rest, ",") && !rest.starts_with('}') {
            return None;
        }
    }
}

/// Takes `token` off the beginning of `rest`, if it is there.
fn take(rest: &mut &str, token: &str) -> bool {
    match rest.strip_prefix(token) {
        Some(after) => {
            *rest = after;
            true
        }
        None => false,
    }
}

/// Passes over blanks and continued lines; in brackets over line breaks and comments too.
fn skip_blanks(rest: &mut &str, in_brackets: bool) {
    loop {
        let trimmed = rest.trim_start_matches([' ', '\t']);
        let next = trimmed.strip_prefix("\\\n").or_else(|| {
            let line = trimmed.strip_prefix('\n');
            line.or_else(|| {
                let comment = trimmed.starts_with('#').then_some(trimmed)?;
                comment.get(comment.find('\n').unwrap_or(comment.len())..)
            })
            .filter(|_| in_brackets)
        });
        match next {
            Some(next) => *rest = next,
            None => {
                *rest = trimmed;
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> PythonConstants {
        PythonConstants::parse(Path::new("constants.py"), text)
    }

    #[test]
    fn texts_and_dicts_are_found_among_other_statements() {
        let constants = parsed(
            "import os\n# A = \"comment\"\nB = f(\"B = 1\")\nA =\"\"\"\nB = \"no\"\n\\alpha \\beta \\gamma\\\n!\"\"\"\n\
             def f():\n    A = \"inner\"\n\
             C = {\n  1: \\\n  \"\"\"{}one\"\"\",  # first\n  'two': ('a'\n   \"b\"),\n 3: {4: \"four\"}\n}\nD = 5; E = \"e\"\n",
        );
        assert_eq!(
            constants.text("A").unwrap(),
            "\nB = \"no\"\n\u{7}lpha \u{8}eta \\gamma!"
        );
        assert_eq!(constants.text_in("C", "1").unwrap(), "{}one");
        assert_eq!(constants.text_in("C", "two").unwrap(), "ab");
        for (name, key) in [("C", "3"), ("C", "4"), ("A", "1"), ("D", "1")] {
            assert!(constants.text_in(name, key).is_err(), "{name}[{key}]");
        }
        for name in ["B", "C", "D", "E", "import"] {
            let error = constants.text(name).unwrap_err().to_string();
            assert_eq!(
                error,
                format!(
                    "constants.py: the text {name} is not there: name a clone of the official repository"
                )
            );
        }
    }

    #[test]
    fn broken_sources_have_no_constants() {
        for text in [
            "A = \"open",
            "A = {1: \"a\"",
            "A = {1 \"a\"}",
            "A = {1: \"a\" 2: \"b\"}",
            "A == \"a\"",
            "A = [\"a\"]",
            "A = ",
            "A",
            " A = \"indented\"",
            &format!("A = {}", "{1: ".repeat(1000)),
            &format!("A = {}", "(".repeat(100_000)),
        ] {
            assert!(parsed(text).values.is_empty(), "{text}");
        }
    }

    #[test]
    fn strings_in_functions_are_as_they_are_written() {
        let constants = parsed(
            "def f(a):\n    if a == 1:\n        b = \"one, \"\n    else:\n        b = f\"{a[0]}, \"\n    b = a\n\
             \x20   c = \"T{}\\n\"\\\n        .format(a)\n    return \"b = 'no'\"\n",
        );
        let text =
            |name: &str, part: &str| constants.assigned_text(name, |text| text.contains(part));
        assert_eq!(text("b", "one").unwrap(), "one, ");
        assert_eq!(text("b", "{a[0]}").unwrap(), "{a[0]}, ");
        assert_eq!(text("c", "").unwrap(), "T{}\n");
        let error = text("b", "no").unwrap_err().to_string();
        assert!(error.contains("the text that is assigned to b"), "{error}");
    }

    #[test]
    fn the_last_assignment_counts() {
        assert_eq!(parsed("A = 'a'\nA = 'b'").text("A").unwrap(), "b");
        for more in ["A = f()", "A = 'b' + c", "A = 'b'.strip()"] {
            assert!(
                parsed(&format!("A = 'a'\n{more}")).text("A").is_err(),
                "{more}"
            );
        }
    }

    #[test]
    fn fields_are_filled_in_order() {
        assert_eq!(
            format_fields("{}a{{{}}}", &["1{}", "2"]).unwrap(),
            "1{}a{2}"
        );
        for template in ["{}{}{}", "{0}", "}", "{"] {
            assert!(format_fields(template, &["1", "2"]).is_err(), "{template}");
        }
    }
}
