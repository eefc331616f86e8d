//! The sensitivity of a score to notation and tolerance, and the kinds of numeric mistakes.
//!
//! Most conventions share one rule: an answer is right if the texts are equal, or if both are
//! numbers whose difference is a small share of the gold value. Here its notation and its tolerance
//! vary one at a time.

use std::borrow::Cow;

use super::chartbench::number::Number;
use super::{chartbench, python};

/// A notation that scorers treat differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notation {
    /// Capital letters count as small ones.
    Case,
    /// One dot at the end is left out.
    TrailingDot,
    /// One percent sign at the end is left out.
    Percent,
    /// Commas between the thousands of a number are left out.
    Comma,
    /// The unit or the currency of a number is left out.
    Unit,
}

impl Notation {
    /// All notations, in the order in which they are applied.
    pub const ALL: [Self; 5] = [
        Self::Case,
        Self::TrailingDot,
        Self::Percent,
        Self::Comma,
        Self::Unit,
    ];

    /// The notation's name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Case => "case",
            Self::TrailingDot => "trailing dot",
            Self::Percent => "percent sign",
            Self::Comma => "thousands comma",
            Self::Unit => "unit or currency",
        }
    }

    fn apply(self, text: &str) -> Cow<'_, str> {
        match self {
            Self::Case => Cow::Owned(text.to_lowercase()),
            Self::TrailingDot => Cow::Borrowed(text.strip_suffix('.').unwrap_or(text)),
            Self::Percent => Cow::Borrowed(text.strip_suffix('%').map_or(text, python::strip)),
            Self::Comma => without_commas(text).map_or(Cow::Borrowed(text), Cow::Owned),
            Self::Unit => without_unit(text).map_or(Cow::Borrowed(text), Cow::Owned),
        }
    }
}

/// Whether `prediction` is right for `gold` with these notations evened out on both sides: the same
/// text (outer white space aside), or two plain numbers with |p - t| at most `tolerance` |t|.
///
/// ```
/// use chartbench_score::metric::{Notation, is_right};
/// assert!(!is_right("1,000", "1030", &[], 0.05));
/// assert!(is_right("1,000", "1030", &[Notation::Comma], 0.05));
/// assert!(!is_right("1,000", "1030", &[Notation::Comma], 0.02));
/// ```
pub fn is_right(gold: &str, prediction: &str, notations: &[Notation], tolerance: f64) -> bool {
    let even = |text: &str| {
        notations
            .iter()
            .fold(python::strip(text).to_owned(), |text, notation| {
                notation.apply(&text).into_owned()
            })
    };
    let (gold, prediction) = (even(gold), even(prediction));
    let number = |text: &str| python::float(text).filter(|value| value.is_finite());
    gold == prediction
        || number(&gold)
            .zip(number(&prediction))
            .is_some_and(|(t, p)| within(t, p, tolerance))
}

/// Adds 1e-9 to the tolerance, as in the convention `chartbench`, for the rounding of binary
/// fractions.
fn within(t: f64, p: f64, tolerance: f64) -> bool {
    (p - t).abs() <= tolerance * (1.0 + 1e-9) * t.abs()
}

/// Kinds of mistakes in numeric answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mistake {
    /// The right magnitude with the wrong sign.
    Sign,
    /// Too large or too small by a power of ten.
    FactorOfTen,
    /// The right number with another unit: kilograms for grams, percent for dollars.
    Unit,
    /// Another number.
    Value,
    /// Not a number.
    NotANumber,
}

/// Largest power of ten that is tried.
const MAX_POWER: i32 = 12;

/// The mistake of `prediction` for a numeric gold answer, after normalising notation as in the
/// convention `chartbench`. `None` if the gold answer is not a number; `Some(None)` if the
/// prediction is right within `tolerance`.
///
/// ```
/// use chartbench_score::metric::{Mistake, mistake};
/// assert_eq!(mistake("1,250 kg", "-1250", 0.05), Some(Some(Mistake::Sign)));
/// assert_eq!(mistake("0.3", "30", 0.05), Some(Some(Mistake::FactorOfTen)));
/// assert_eq!(mistake("5 kg", "5 m", 0.05), Some(Some(Mistake::Unit)));
/// assert_eq!(mistake("5%", "0.05", 0.05), Some(None));
/// assert_eq!(mistake("five", "5", 0.05), None);
/// ```
pub fn mistake(gold: &str, prediction: &str, tolerance: f64) -> Option<Option<Mistake>> {
    let (gold, prediction) = (
        chartbench::text::plain(gold),
        chartbench::text::plain(prediction),
    );
    let t = Number::read(&gold)?;
    let Some(p) = Number::read(&prediction) else {
        return Some(Some(Mistake::NotANumber));
    };
    let near = |t: f64| within(t, p.value, tolerance);
    if near(t.value) || (t.percent != p.percent && within(t.fraction(), p.fraction(), tolerance)) {
        return Some(if t.comparable(&p) {
            None
        } else {
            Some(Mistake::Unit)
        });
    }
    let tens = (1..=MAX_POWER)
        .flat_map(|power| [power, -power])
        .any(|power| near(t.value * 10_f64.powi(power)));
    Some(Some(match () {
        () if t.value == 0.0 => Mistake::Value,
        () if near(-t.value) => Mistake::Sign,
        () if tens => Mistake::FactorOfTen,
        () => Mistake::Value,
    }))
}

/// A number without the commas between its thousands; `None` if the commas do not separate
/// thousands.
fn without_commas(text: &str) -> Option<String> {
    let (first, rest) = text.split_once(',')?;
    let digits = first.trim_start_matches(['-', '+', '$']);
    let is_group = |group: &str| group.bytes().take_while(u8::is_ascii_digit).count() == 3;
    let fine = (1..=3).contains(&digits.len())
        && digits.bytes().all(|byte| byte.is_ascii_digit())
        && rest.split(',').all(is_group);
    fine.then(|| text.replace(',', ""))
}

/// The number without its unit or currency, with its percent sign; `None` if it has no unit or
/// currency.
fn without_unit(text: &str) -> Option<String> {
    let plain = chartbench::text::plain(text);
    let number = Number::read(&plain)
        .filter(|number| !number.unit.is_empty() || !number.currency.is_empty())?;
    Some(format!(
        "{}{}",
        number.value,
        if number.percent { "%" } else { "" }
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_notation_alone_decides_its_pairs() {
        let pairs = [
            (Notation::Case, "Line", "line"),
            (Notation::TrailingDot, "Line", "Line."),
            (Notation::TrailingDot, "5", "5."),
            (Notation::Percent, "5%", "5"),
            (Notation::Percent, "5 %", "5.1"),
            (Notation::Comma, "1,234,567.5", "1234567.5"),
            (Notation::Comma, "-1,234", "-1234"),
            (Notation::Unit, "$5", "5"),
            (Notation::Unit, "5", "5 kg"),
        ];
        for (notation, gold, prediction) in pairs {
            let rights = Notation::ALL.map(|single| is_right(gold, prediction, &[single], 0.05));
            // Python's float() reads `5.` without help.
            let without = is_right(gold, prediction, &[], 0.05);
            assert_eq!(without, prediction == "5.", "{gold} {prediction}");
            if !without {
                assert_eq!(
                    rights,
                    Notation::ALL.map(|single| single == notation),
                    "{gold} {prediction}"
                );
            }
            assert!(is_right(gold, prediction, &Notation::ALL, 0.05));
        }
        for (gold, prediction) in [
            ("1,23", "123"),
            ("12,34,567", "1234567"),
            ("a,bcd", "abcd"),
            ("Line", "Bar"),
        ] {
            assert!(
                !is_right(gold, prediction, &Notation::ALL, 0.05),
                "{gold} {prediction}"
            );
        }
    }

    #[test]
    fn the_tolerance_is_a_part_of_the_gold_value() {
        for (gold, prediction, tolerance, right) in [
            ("100", "105", 0.05, true),
            ("105", "100", 0.04, false),
            ("0.1", "0.095", 0.05, true),
            ("-40", "-42", 0.05, true),
            ("-40", "40", 1.0, false),
            ("0", "0.0", 0.0, true),
            ("0", "0.001", 0.2, false),
            ("100", "nan", 1.0, false),
        ] {
            assert_eq!(
                is_right(gold, prediction, &[], tolerance),
                right,
                "{gold} {prediction}"
            );
        }
    }

    #[test]
    fn near_misses_are_told_apart() {
        use Mistake::{FactorOfTen, NotANumber, Sign, Unit, Value};
        let cases = [
            ("40", "-40", Some(Sign)),
            ("-40", "41", Some(Sign)),
            ("40", "400", Some(FactorOfTen)),
            ("40", "0.041", Some(FactorOfTen)),
            ("40", "-400", Some(Value)),
            ("40", "50", Some(Value)),
            ("0", "10", Some(Value)),
            ("0", "0", None),
            ("40", "about forty", Some(NotANumber)),
            ("40", "", Some(NotANumber)),
            ("40 kg", "40 m", Some(Unit)),
            ("$40", "\u{20ac}40", Some(Unit)),
            ("40%", "40 kg", Some(Unit)),
            ("40 kg", "40", None),
            ("40", "42", None),
            ("40%", "0.4", None),
        ];
        for (gold, prediction, expected) in cases {
            assert_eq!(
                mistake(gold, prediction, 0.05),
                Some(expected),
                "{gold} {prediction}"
            );
        }
        assert_eq!(mistake("Line chart", "5", 0.05), None);
    }
}
