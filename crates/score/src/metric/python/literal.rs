//! Python's `ast.literal_eval`, with which scorers recognise a list in a text.
//!
//! Linear in the text's length and without recursion, because predictions are untrusted. Not
//! supported, and so not literals: prefixed strings (`r'..'`, `b'..'`), `\N{...}` escapes, complex
//! numbers, a sign apart from its number.

use super::float;
use chartbench_core::question::Gold;

/// Deepest nesting of brackets, as in Python's own parser.
const MAX_DEPTH: usize = 200;

/// The items of a text that is the literal of a list, a tuple, a set or a dict (its keys), or the
/// characters of one that is the literal of a string, each as Python's `str` writes it; `None` for
/// anything else.
pub fn items(text: &str) -> Option<Vec<String>> {
    match parse(text)? {
        Value::Items(Kind::List | Kind::Tuple | Kind::Braces, items) => Some(strings(items)),
        Value::Text(text) => Some(text.chars().map(String::from).collect()),
        Value::Items(Kind::Group, _) | Value::Other(_) => None,
    }
}

/// The items of a text that is the literal of a list, as Python's `str` writes them; `None` for
/// anything else.
pub fn list(text: &str) -> Option<Vec<String>> {
    Some(
        typed_list(text)?
            .into_iter()
            .map(|item| item.text)
            .collect(),
    )
}

/// An item of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// As Python's `str` writes it.
    pub text: String,
    /// Whether it is a string rather than a number, a list or a name.
    pub is_str: bool,
}

/// As [`list`], with the type of each item.
pub fn typed_list(text: &str) -> Option<Vec<Item>> {
    let Value::Items(Kind::List, items) = parse(text)? else {
        return None;
    };
    Some(
        items
            .into_iter()
            .map(|item| Item {
                is_str: matches!(item, Value::Text(_)),
                text: item.str(),
            })
            .collect(),
    )
}

fn strings(items: Vec<Value>) -> Vec<String> {
    items.into_iter().map(Value::str).collect()
}

/// Takes the literal of a string in single or triple quotes off the beginning of `rest`; `None`
/// where there is none that ends.
pub fn take_string(rest: &mut &str) -> Option<String> {
    if !rest.starts_with(['\'', '"']) {
        return None;
    }
    match string(rest)? {
        Value::Text(text) => Some(text),
        Value::Other(_) | Value::Items(..) => None,
    }
}

/// A literal.
#[derive(Clone, Debug, PartialEq)]
enum Value {
    Text(String),
    /// A number, `True`, `False` or `None`, as Python writes it.
    Other(String),
    Items(Kind, Vec<Value>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    List,
    Tuple,
    /// A set, or a dict's keys; its values are not used.
    Braces,
    /// Parentheses without a comma, which mean their content.
    Group,
}

impl Value {
    /// Python's `str`.
    fn str(self) -> String {
        if let Self::Text(text) = self {
            text
        } else {
            self.repr()
        }
    }

    /// Python's `repr`, with the keys only for a dict.
    fn repr(&self) -> String {
        let all = |items: &[Self]| items.iter().map(Self::repr).collect::<Vec<_>>().join(", ");
        match self {
            Self::Text(text) => quoted(text),
            Self::Other(text) => text.clone(),
            Self::Items(Kind::List, items) => format!("[{}]", all(items)),
            Self::Items(Kind::Tuple | Kind::Group, items) if items.len() == 1 => {
                format!("({},)", all(items))
            }
            Self::Items(Kind::Tuple | Kind::Group, items) => format!("({})", all(items)),
            Self::Items(Kind::Braces, items) => format!("{{{}}}", all(items)),
        }
    }
}

/// Python's `repr` of a text without characters that need an escape.
fn quoted(text: &str) -> String {
    if text.contains('\'') && !text.contains('"') {
        format!("\"{text}\"")
    } else {
        format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
    }
}

/// Python's `str` of a gold answer, except that numbers in a list have quotes too.
pub fn gold_literal(gold: &Gold) -> String {
    let repr = |item: &Gold| match item {
        Gold::Text(text) => quoted(text),
        Gold::List(_) => gold_literal(item),
    };
    match gold {
        Gold::Text(text) => text.clone(),
        Gold::List(items) => format!(
            "[{}]",
            items.iter().map(repr).collect::<Vec<_>>().join(", ")
        ),
    }
}

/// A bracket that is still open, with its content so far.
struct Open {
    kind: Kind,
    items: Vec<Value>,
    /// Whether the last item has no comma behind it yet.
    filled: bool,
    /// Whether that item is a string.
    text: bool,
    /// Whether the current item is a dict's value.
    key: bool,
    /// Whether a `:` was seen: the braces are a dict's, not a set's.
    pairs: bool,
}

fn parse(text: &str) -> Option<Value> {
    let text = text.trim_start_matches([' ', '\t']).trim_end();
    let first = text.chars().next()?;
    // Most texts are not literals and are refused early. Without brackets, a line break ends the
    // expression.
    let bracket = matches!(first, '[' | '(' | '{');
    let quote = matches!(first, '\'' | '"');
    let number =
        matches!(first, '+' | '-' | '.' | '0'..='9' | 'T' | 'F' | 'N') && text.contains(',');
    if !(bracket || quote || number) {
        return None;
    }
    // The whole may be a tuple without its brackets.
    let mut open = vec![Open::new(Kind::Group)];
    let mut rest = text;
    while let Some(next) = rest.trim_start().chars().next() {
        let (gap, after) = rest.split_at(rest.len() - rest.trim_start().len());
        if open.len() == 1 && gap.contains(['\n', '\r']) {
            return None;
        }
        rest = after;
        let value = match next {
            '[' | '(' | '{' => {
                if open.len() > MAX_DEPTH || open.last().is_none_or(|outer| outer.filled) {
                    return None;
                }
                open.push(Open::new(match next {
                    '[' => Kind::List,
                    '(' => Kind::Group,
                    _ => Kind::Braces,
                }));
                rest = &rest[1..];
                continue;
            }
            ']' | ')' | '}' => {
                rest = &rest[1..];
                open.pop()?.close(next)?
            }
            ',' | ':' => {
                let outer = open.last_mut()?;
                if next == ',' {
                    outer.comma()?
                } else {
                    outer.colon()?
                }
                rest = &rest[1..];
                continue;
            }
            '\'' | '"' => string(&mut rest)?,
            _ => word(&mut rest)?,
        };
        open.last_mut()?.put(value)?;
    }
    let whole = open.pop()?;
    open.is_empty().then(|| whole.close(')'))?
}

impl Open {
    fn new(kind: Kind) -> Self {
        Self {
            kind,
            items: Vec::new(),
            filled: false,
            text: false,
            key: false,
            pairs: false,
        }
    }

    fn put(&mut self, value: Value) -> Option<()> {
        // Adjacent strings are joined.
        if self.filled && !(self.text && matches!(value, Value::Text(_))) {
            return None;
        }
        self.text = matches!(value, Value::Text(_));
        match (value, self.items.last_mut()) {
            // A dict's value is not kept.
            _ if self.key => {}
            (Value::Text(more), Some(Value::Text(text))) if self.filled => text.push_str(&more),
            (value, _) => self.items.push(value),
        }
        self.filled = true;
        Some(())
    }

    fn comma(&mut self) -> Option<()> {
        match self.kind {
            _ if !self.filled => return None,
            Kind::Group => self.kind = Kind::Tuple,
            Kind::Braces if self.pairs != self.key => return None,
            _ => {}
        }
        (self.filled, self.key) = (false, false);
        Some(())
    }

    fn colon(&mut self) -> Option<()> {
        let first = self.pairs || self.items.len() == 1;
        let key = self.kind == Kind::Braces && self.filled && !self.key && first;
        (self.filled, self.key, self.pairs) = (false, true, true);
        key.then_some(())
    }

    fn close(mut self, bracket: char) -> Option<Value> {
        let fits = match self.kind {
            Kind::List => bracket == ']',
            Kind::Tuple | Kind::Group => bracket == ')',
            // After a key comes its value, and in a dict every item has one.
            Kind::Braces => {
                bracket == '}'
                    && (self.pairs == self.key || !self.filled)
                    && (self.filled || !self.key)
            }
        };
        match self.kind {
            _ if !fits => None,
            Kind::Group if self.filled => self.items.pop(),
            Kind::Group => Some(Value::Items(Kind::Tuple, self.items)),
            kind => Some(Value::Items(kind, self.items)),
        }
    }
}

/// A string in single or triple quotes.
fn string(rest: &mut &str) -> Option<Value> {
    let quote = rest.get(..1)?;
    let triple = rest
        .get(..3)
        .filter(|start| start.chars().all(|c| quote.starts_with(c)));
    let end = triple.unwrap_or(quote);
    let mut text = String::new();
    let mut left = &rest[end.len()..];
    loop {
        if let Some(after) = left.strip_prefix(end) {
            *rest = after;
            return Some(Value::Text(text));
        }
        let c = left.chars().next()?;
        left = &left[c.len_utf8()..];
        match c {
            '\\' => escape(&mut left, &mut text)?,
            '\n' if triple.is_none() => return None,
            c => text.push(c),
        }
    }
}

/// Reads the escape behind a backslash.
fn escape(left: &mut &str, text: &mut String) -> Option<()> {
    let c = left.chars().next()?;
    let (code, length) = match c {
        'x' => (u32::from_str_radix(left.get(1..3)?, 16).ok()?, 3),
        'u' => (u32::from_str_radix(left.get(1..5)?, 16).ok()?, 5),
        'U' => (u32::from_str_radix(left.get(1..9)?, 16).ok()?, 9),
        '0'..='7' => {
            let length = left
                .bytes()
                .take(3)
                .take_while(|byte| (b'0'..=b'7').contains(byte))
                .count();
            (u32::from_str_radix(left.get(..length)?, 8).ok()?, length)
        }
        _ => {
            *left = &left[c.len_utf8()..];
            match c {
                'n' => text.push('\n'),
                't' => text.push('\t'),
                'r' => text.push('\r'),
                'a' => text.push('\u{7}'),
                'b' => text.push('\u{8}'),
                'f' => text.push('\u{c}'),
                'v' => text.push('\u{b}'),
                '\n' => {}
                '\\' | '\'' | '"' => text.push(c),
                'N' => return None,
                _ => text.extend(['\\', c]),
            }
            return Some(());
        }
    };
    text.push(char::from_u32(code)?);
    *left = left.get(length..)?;
    Some(())
}

/// A number or one of Python's three names, as `repr` writes it.
fn word(rest: &mut &str) -> Option<Value> {
    let length = rest
        .find(|c: char| c.is_whitespace() || ",:[](){}'\"".contains(c))
        .unwrap_or(rest.len());
    let (word, after) = rest.split_at(length);
    *rest = after;
    if matches!(word, "True" | "False" | "None") {
        return Some(Value::Other(word.to_owned()));
    }
    let digits = word.strip_prefix(['+', '-']).unwrap_or(word);
    // `float` also accepts texts that are not literals: names, white space, digits of other
    // scripts.
    if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') || !digits.is_ascii() {
        return None;
    }
    let negative = word.starts_with('-');
    let plain = digits.replace('_', "");
    let value = float(digits)?;
    let text = if plain.bytes().all(|byte| byte.is_ascii_digit()) {
        let integer = plain.trim_start_matches('0');
        // 007 is a syntax error, 000 is not.
        if plain.starts_with('0') && !integer.is_empty() {
            return None;
        }
        if integer.is_empty() {
            return Some(Value::Other("0".to_owned()));
        } else {
            integer.to_owned()
        }
    } else {
        float_repr(value)
    };
    Some(Value::Other(if negative {
        format!("-{text}")
    } else {
        text
    }))
}

/// Python's `repr` of a float.
fn float_repr(number: f64) -> String {
    let text = format!("{number:?}");
    match text.split_once('e') {
        // Rust writes 1e16 and 1e-5, Python 1e+16 and 1e-05.
        Some((digits, exponent)) => match exponent.strip_prefix('-') {
            Some(exponent) => format!("{digits}e-{exponent:0>2}"),
            None => format!("{digits}e+{exponent:0>2}"),
        },
        None => text,
    }
}

#[cfg(test)]
mod tests;
