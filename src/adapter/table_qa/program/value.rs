//! The values of a program, and how Python compares them.

use std::cmp::Ordering;
use std::rc::Rc;

/// A Python value.
#[derive(Clone, Debug)]
pub(super) enum Value {
    None,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(Rc<str>),
    List(Rc<[Value]>),
    Tuple(Rc<[Value]>),
}

/// A number as arithmetic sees it: a truth value is 0 or 1.
#[derive(Clone, Copy, Debug)]
pub(super) enum Number {
    Int(i128),
    Float(f64),
}

impl Number {
    pub(super) fn float(self) -> f64 {
        match self {
            Self::Int(int) => int as f64,
            Self::Float(float) => float,
        }
    }
}

impl From<Number> for Value {
    fn from(number: Number) -> Self {
        match number {
            Number::Int(int) => Self::Int(int),
            Number::Float(float) => Self::Float(float),
        }
    }
}

impl Value {
    pub(super) fn number(&self) -> Option<Number> {
        match self {
            Self::Bool(bool) => Some(Number::Int(i128::from(*bool))),
            Self::Int(int) => Some(Number::Int(*int)),
            Self::Float(float) => Some(Number::Float(*float)),
            _ => None,
        }
    }

    pub(super) fn int(&self) -> Option<i128> {
        match self.number()? {
            Number::Int(int) => Some(int),
            Number::Float(_) => None,
        }
    }

    pub(super) fn items(&self) -> Option<&[Value]> {
        match self {
            Self::List(items) | Self::Tuple(items) => Some(items),
            _ => None,
        }
    }

    /// Python's truth.
    pub(super) fn is_true(&self) -> bool {
        match self {
            Self::None => false,
            Self::Bool(bool) => *bool,
            Self::Int(int) => *int != 0,
            Self::Float(float) => *float != 0.0,
            Self::Text(text) => !text.is_empty(),
            Self::List(items) | Self::Tuple(items) => !items.is_empty(),
        }
    }

    /// How two numbers or two texts stand to each other; nothing for anything else, not-a-number
    /// among it.
    pub(super) fn order(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Text(a), Self::Text(b)) => Some(a.cmp(b)),
            _ => match (self.number()?, other.number()?) {
                (Number::Int(a), Number::Int(b)) => Some(a.cmp(&b)),
                (a, b) => a.float().partial_cmp(&b.float()),
            },
        }
    }

    /// Whether two values other than lists are equal; lists are not compared.
    pub(super) fn equals(&self, other: &Self) -> Option<bool> {
        match (self, other) {
            (Self::List(_) | Self::Tuple(_), _) | (_, Self::List(_) | Self::Tuple(_)) => None,
            (Self::None, Self::None) => Some(true),
            _ => Some(self.order(other) == Some(Ordering::Equal)),
        }
    }
}
