//! How Python prints values.

use super::value::Value;

/// No answer is longer, in bytes.
const MAX_BYTES: usize = 16 << 10;
/// Lists in lists deeper than this are no answer.
const MAX_DEPTH: usize = 16;

/// A program's answer as DePlot's evaluation reads it.
pub(super) fn answer(value: &Value) -> Option<String> {
    match value {
        Value::Text(text) => Some(text.to_string()),
        Value::Bool(true) => Some("Yes".to_owned()),
        Value::Bool(false) => Some("No".to_owned()),
        Value::List(items) | Value::Tuple(items) => {
            let mut out = String::new();
            for (index, item) in items.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { ", " });
                match item {
                    Value::Text(text) => out.push_str(text),
                    item => represent(item, &mut out, 0)?,
                }
                if out.len() > MAX_BYTES {
                    return None;
                }
            }
            Some(out)
        }
        value => {
            let mut out = String::new();
            represent(value, &mut out, 0)?;
            Some(out)
        }
    }
}

/// `repr`.
fn represent(value: &Value, out: &mut String, depth: usize) -> Option<()> {
    if depth > MAX_DEPTH || out.len() > MAX_BYTES {
        return None;
    }
    match value {
        Value::None => out.push_str("None"),
        Value::Bool(true) => out.push_str("True"),
        Value::Bool(false) => out.push_str("False"),
        Value::Int(int) => out.push_str(&int.to_string()),
        Value::Float(value) => out.push_str(&float(*value)),
        Value::Text(text) => quoted(text, out),
        Value::List(items) | Value::Tuple(items) => {
            let (open, close) = match value {
                Value::List(_) => ('[', "]"),
                _ => ('(', if items.len() == 1 { ",)" } else { ")" }),
            };
            out.push(open);
            for (index, item) in items.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { ", " });
                represent(item, out, depth + 1)?;
            }
            out.push_str(close);
        }
    }
    Some(())
}

/// The shortest digits that read back as the number; an exponent below -4 and from 16 on.
fn float(value: f64) -> String {
    if !value.is_finite() {
        return if value.is_nan() {
            "nan"
        } else if value > 0.0 {
            "inf"
        } else {
            "-inf"
        }
        .to_owned();
    }
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    match exponent.parse::<i32>().unwrap_or(0) {
        -4..16 => format!("{value:?}"),
        exponent => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.abs())
        }
    }
}

fn quoted(text: &str, out: &mut String) {
    let quote = if text.contains('\'') && !text.contains('"') {
        '"'
    } else {
        '\''
    };
    out.push(quote);
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote || c == '\\' => out.extend(['\\', c]),
            c if c.is_ascii_control() => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push(quote);
}
