//! The functions a program can call.

use std::cmp::Ordering;

use super::arithmetic;
use super::value::{Number, Value};

/// Calls `function`; `reversed` is the keyword argument `reverse`, which `sorted` alone takes.
pub(super) fn call(function: &str, arguments: &[Value], reversed: Option<bool>) -> Option<Value> {
    match (function, arguments, reversed) {
        ("sorted", [items], reversed) => sorted(items.items()?, reversed.unwrap_or(false)),
        (_, _, Some(_)) => None,
        ("abs", [value], _) => abs(value.number()?),
        ("len", [Value::Text(text)], _) => Some(Value::Int(text.chars().count() as i128)),
        ("len", [value], _) => Some(Value::Int(value.items()?.len() as i128)),
        ("sum", [items], _) => sum(items.items()?, Value::Int(0)),
        ("sum", [items, start], _) if start.number().is_some() => {
            sum(items.items()?, start.clone())
        }
        ("round", [value], _) => round(value.number()?),
        ("round", [value, digits], _) => {
            round_to(value.number()?, usize::try_from(digits.int()?).ok()?)
        }
        ("max", arguments, _) => extreme(arguments, Ordering::Greater),
        ("min", arguments, _) => extreme(arguments, Ordering::Less),
        _ => None,
    }
}

fn abs(number: Number) -> Option<Value> {
    Some(match number {
        Number::Int(int) => Value::Int(int.checked_abs()?),
        Number::Float(float) => Value::Float(float.abs()),
    })
}

/// Numbers are added one after the other. From Python 3.12 on, floats are added with compensation,
/// which differs in the last digit at times.
fn sum(items: &[Value], start: Value) -> Option<Value> {
    items.iter().try_fold(start, |sum, item| {
        item.number()?;
        arithmetic::binary("+", &sum, item)
    })
}

/// Halves go to the even neighbour.
fn round(number: Number) -> Option<Value> {
    match number {
        Number::Int(int) => Some(Value::Int(int)),
        // Up to 2^126 every such number is in range.
        Number::Float(float) if float.abs() < 8e37 => {
            Some(Value::Int(float.round_ties_even() as i128))
        }
        Number::Float(_) => None,
    }
}

/// To `digits` behind the point: of the number as it is stored, as both languages format it.
fn round_to(number: Number, digits: usize) -> Option<Value> {
    match number {
        Number::Int(int) => Some(Value::Int(int)),
        Number::Float(float) if digits <= 30 => {
            format!("{float:.digits$}").parse().ok().map(Value::Float)
        }
        Number::Float(float) => Some(Value::Float(float)),
    }
}

/// The first of the largest, or of the smallest: of the arguments, or of the one argument's items.
fn extreme(arguments: &[Value], wanted: Ordering) -> Option<Value> {
    let items = match arguments {
        [only] => only.items()?,
        several => several,
    };
    if !in_order(items) {
        return None;
    }
    let best = items.iter().reduce(|best, item| {
        if item.order(best) == Some(wanted) {
            item
        } else {
            best
        }
    });
    best.cloned()
}

/// Stable both ways, as in Python.
fn sorted(items: &[Value], reversed: bool) -> Option<Value> {
    if !in_order(items) {
        return None;
    }
    let mut sorted = items.to_vec();
    sorted.sort_by(|a, b| {
        let order = a.order(b).unwrap_or(Ordering::Equal);
        if reversed { order.reverse() } else { order }
    });
    Some(Value::List(sorted.into()))
}

/// Whether items have one order: all texts, or all numbers, not-a-number excepted.
fn in_order(items: &[Value]) -> bool {
    items.iter().all(|item| matches!(item, Value::Text(_)))
        || items
            .iter()
            .all(|item| item.number().is_some_and(|number| !number.float().is_nan()))
}
