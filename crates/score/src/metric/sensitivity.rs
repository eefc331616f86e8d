//! What a score hangs on: how much of it is notation, how much tolerance, and which mistakes are near misses.
//!
//! One plain rule is at the bottom of most conventions: an answer is right when the texts are equal, or both are numbers
//! no further apart than a part of the gold value. Here its notation and its tolerance can be turned one at a time.

use std::borrow::Cow;

use super::chartbench::number::Number;
use super::{chartbench, python};

/// A way of writing that scorers differ about.
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
    /// Each, in the order in which they are applied.
    pub const ALL: [Self; 5] = [Self::Case, Self::TrailingDot, Self::Percent, Self::Comma, Self::Unit];

    /// As tables name it.
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

/// Whether `prediction` is right for `gold` with these notations evened out on both sides: the same text (outer white
/// space aside), or two plain numbers with |p - t| at most `tolerance` |t|.
///
/// ```
/// use chartbench::metric::{Notation, is_right};
/// assert!(!is_right("1,000", "1030", &[], 0.05));
/// assert!(is_right("1,000", "1030", &[Notation::Comma], 0.05));
/// assert!(!is_right("1,000", "1030", &[Notation::Comma], 0.02));
/// ```
pub fn is_right(gold: &str, prediction: &str, notations: &[Notation], tolerance: f64) -> bool {
    let even = |text: &str| {
        notations.iter().fold(python::strip(text).to_owned(), |text, notation| notation.apply(&text).into_owned())
    };
    let (gold, prediction) = (even(gold), even(prediction));
    let number = |text: &str| python::float(text).filter(|value| value.is_finite());
    gold == prediction || number(&gold).zip(number(&prediction)).is_some_and(|(t, p)| within(t, p, tolerance))
}

/// A hair on top of the tolerance, as in the convention `chartbench`: binary fractions do not push an answer over it.
fn within(t: f64, p: f64, tolerance: f64) -> bool {
    (p - t).abs() <= tolerance * (1.0 + 1e-9) * t.abs()
}

/// How a numeric answer misses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mistake {
    /// The right size, the wrong sign.
    Sign,
    /// Ten times too large or too small, or a hundred, ...
    FactorOfTen,
    /// The right number of something else: of kilograms for grams, of percent for dollars.
    Unit,
    /// Another number.
    Value,
    /// No number at all.
    NotANumber,
}

/// How far powers of ten are looked for.
const MOST_TENS: i32 = 12;

/// What is wrong with `prediction` for a gold answer that is a number; notation is evened out as in the convention
/// `chartbench`. `None` where the gold answer is no number; `Some(None)` where the prediction is right within
/// `tolerance`.
///
/// ```
/// use chartbench::metric::{Mistake, mistake};
/// assert_eq!(mistake("1,250 kg", "-1250", 0.05), Some(Some(Mistake::Sign)));
/// assert_eq!(mistake("0.3", "30", 0.05), Some(Some(Mistake::FactorOfTen)));
/// assert_eq!(mistake("5 kg", "5 m", 0.05), Some(Some(Mistake::Unit)));
/// assert_eq!(mistake("5%", "0.05", 0.05), Some(None));
/// assert_eq!(mistake("five", "5", 0.05), None);
/// ```
pub fn mistake(gold: &str, prediction: &str, tolerance: f64) -> Option<Option<Mistake>> {
    let (gold, prediction) = (chartbench::text::plain(gold), chartbench::text::plain(prediction));
    let t = Number::read(&gold)?;
    let Some(p) = Number::read(&prediction) else { return Some(Some(Mistake::NotANumber)) };
    let near = |t: f64| within(t, p.value, tolerance);
    if near(t.value) || (t.percent != p.percent && within(t.fraction(), p.fraction(), tolerance)) {
        return Some(if t.comparable(&p) { None } else { Some(Mistake::Unit) });
    }
    let tens = (1..=MOST_TENS).flat_map(|power| [power, -power]).any(|power| near(t.value * 10_f64.powi(power)));
    Some(Some(match () {
        () if t.value == 0.0 => Mistake::Value,
        () if near(-t.value) => Mistake::Sign,
        () if tens => Mistake::FactorOfTen,
        () => Mistake::Value,
    }))
}

/// A number without the commas between its thousands; `None` where the commas are not such.
fn without_commas(text: &str) -> Option<String> {
    let (first, rest) = text.split_once(',')?;
    let digits = first.trim_start_matches(['-', '+', '$']);
    let is_group = |group: &str| group.bytes().take_while(u8::is_ascii_digit).count() == 3;
    let fine = (1..=3).contains(&digits.len())
        && digits.bytes().all(|byte| byte.is_ascii_digit())
        && rest.split(',').all(is_group);
    fine.then(|| text.replace(',', ""))
}

/// The bare number, with its percent sign where it has one; `None` where no unit or currency stands there.
fn without_unit(text: &str) -> Option<String> {
    let plain = chartbench::text::plain(text);
    let number = Number::read(&plain).filter(|number| !number.unit.is_empty() || !number.currency.is_empty())?;
    Some(format!("{}{}", number.value, if number.percent { "%" } else { "" }))
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
            let rights = Notation::ALL.map(|one| is_right(gold, prediction, &[one], 0.05));
            // Python's float() reads `5.` without help.
            let without = is_right(gold, prediction, &[], 0.05);
            assert_eq!(without, prediction == "5.", "{gold} {prediction}");
            if !without {
                assert_eq!(rights, Notation::ALL.map(|one| one == notation), "{gold} {prediction}");
            }
            assert!(is_right(gold, prediction, &Notation::ALL, 0.05));
        }
        for (gold, prediction) in [("1,23", "123"), ("12,34,567", "1234567"), ("a,bcd", "abcd"), ("Line", "Bar")] {
            assert!(!is_right(gold, prediction, &Notation::ALL, 0.05), "{gold} {prediction}");
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
            assert_eq!(is_right(gold, prediction, &[], tolerance), right, "{gold} {prediction}");
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
            assert_eq!(mistake(gold, prediction, 0.05), Some(expected), "{gold} {prediction}");
        }
        assert_eq!(mistake("Line chart", "5", 0.05), None);
    }
}
