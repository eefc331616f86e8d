//! Python's operators on numbers, texts and lists.

use std::rc::Rc;

use super::value::{Number, Value};

/// No text, list or tuple grows longer.
pub(super) const MAX_LENGTH: usize = 4 << 10;

/// `left operator right`; nothing where Python raises, where numbers leave 128 bits, or where a
/// text or list would get too long.
pub(super) fn binary(operator: &str, left: &Value, right: &Value) -> Option<Value> {
    if let (Some(left), Some(right)) = (left.number(), right.number()) {
        return numeric(operator, left, right).map(Value::from);
    }
    match (operator, left, right) {
        ("+", Value::Text(a), Value::Text(b)) => text([a, b].into_iter().map(|text| &**text)),
        ("+", Value::List(a), Value::List(b)) => {
            list([a, b].into_iter().map(|items| &**items)).map(Value::List)
        }
        ("+", Value::Tuple(a), Value::Tuple(b)) => {
            list([a, b].into_iter().map(|items| &**items)).map(Value::Tuple)
        }
        ("*", repeated, times) | ("*", times, repeated) if times.int().is_some() => {
            repeat(repeated, usize::try_from(times.int()?.max(0)).ok()?)
        }
        _ => None,
    }
}

fn numeric(operator: &str, left: Number, right: Number) -> Option<Number> {
    if let (Number::Int(a), Number::Int(b)) = (left, right) {
        match operator {
            "+" => return a.checked_add(b).map(Number::Int),
            "-" => return a.checked_sub(b).map(Number::Int),
            "*" => return a.checked_mul(b).map(Number::Int),
            "//" | "%" => return divide_ints(operator, a, b).map(Number::Int),
            "**" if b >= 0 => return a.checked_pow(u32::try_from(b).ok()?).map(Number::Int),
            _ => {}
        }
    }
    let (a, b) = (left.float(), right.float());
    let result = match operator {
        "+" => a + b,
        "-" => a - b,
        "*" => a * b,
        "/" | "//" | "%" if b == 0.0 => return None,
        "/" => a / b,
        "//" => divide_floats(a, b).0,
        "%" => divide_floats(a, b).1,
        "**" => return power(a, b).map(Number::Float),
        _ => return None,
    };
    Some(Number::Float(result))
}

/// Python rounds towards minus infinity, and a remainder has the divisor's sign.
fn divide_ints(operator: &str, a: i128, b: i128) -> Option<i128> {
    let (quotient, remainder) = (a.checked_div(b)?, a.checked_rem(b)?);
    let down = remainder != 0 && (remainder < 0) != (b < 0);
    Some(match operator {
        "//" => quotient - i128::from(down),
        _ => remainder + if down { b } else { 0 },
    })
}

/// `float_floor_div` and `float_rem` of CPython.
fn divide_floats(a: f64, b: f64) -> (f64, f64) {
    let mut remainder = a % b;
    let mut quotient = (a - remainder) / b;
    if remainder == 0.0 {
        remainder = 0.0_f64.copysign(b);
    } else if (b < 0.0) != (remainder < 0.0) {
        remainder += b;
        quotient -= 1.0;
    }
    let mut floor = if quotient == 0.0 {
        0.0_f64.copysign(a / b)
    } else {
        quotient.floor()
    };
    if quotient - floor > 0.5 {
        floor += 1.0;
    }
    (floor, remainder)
}

fn power(a: f64, b: f64) -> Option<f64> {
    let result = a.powf(b);
    let overflows = a.is_finite() && b.is_finite() && !result.is_finite();
    (!overflows).then_some(result)
}

/// `-x`, `+x`; there is no `~x`.
pub(super) fn unary(operator: &str, value: &Value) -> Option<Value> {
    let number = match (operator, value.number()?) {
        ("+", number) => number,
        ("-", Number::Int(int)) => Number::Int(int.checked_neg()?),
        ("-", Number::Float(float)) => Number::Float(-float),
        _ => return None,
    };
    Some(number.into())
}

fn repeat(value: &Value, times: usize) -> Option<Value> {
    let fits = |length: usize| {
        length
            .checked_mul(times)
            .is_some_and(|length| length <= MAX_LENGTH)
    };
    match value {
        Value::Text(repeated) => {
            fits(repeated.len()).then(|| Value::Text(repeated.repeat(times).into()))
        }
        Value::List(items) => fits(items.len()).then(|| Value::List(repeated(items, times))),
        Value::Tuple(items) => fits(items.len()).then(|| Value::Tuple(repeated(items, times))),
        _ => None,
    }
}

fn repeated(items: &[Value], times: usize) -> Rc<[Value]> {
    std::iter::repeat_n(items, times)
        .flatten()
        .cloned()
        .collect()
}

/// Texts in one.
pub(super) fn text<'a>(parts: impl Iterator<Item = &'a str>) -> Option<Value> {
    let whole: String = parts.collect();
    (whole.len() <= MAX_LENGTH).then(|| Value::Text(whole.into()))
}

fn list<'a>(parts: impl Iterator<Item = &'a [Value]>) -> Option<Rc<[Value]>> {
    let whole: Vec<Value> = parts.flatten().cloned().collect();
    (whole.len() <= MAX_LENGTH).then(|| whole.into())
}
