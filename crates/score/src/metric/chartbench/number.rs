//! Parses numbers as charts and models write them.

/// A number with its marks, read from a normalised text ([`super::text::plain`]).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Number<'a> {
    /// Finite; `million` and its like are multiplied in, a `%` is not divided by.
    pub value: f64,
    /// Whether a `%` or one of its words (`percent`, `pct`) follows the number.
    pub percent: bool,
    /// The currency in one spelling; empty without a currency.
    pub currency: &'static str,
    /// The words behind the number; empty without a unit.
    pub unit: &'a str,
}

/// Spellings of currencies, the longer ones of a kind first, each with the one it is compared by.
const CURRENCIES: [(&str, &str); 17] = [
    ("us$", "$"),
    ("usd", "$"),
    ("u.s. dollars", "$"),
    ("us dollars", "$"),
    ("dollars", "$"),
    ("dollar", "$"),
    ("$", "$"),
    ("euros", "\u{20ac}"),
    ("euro", "\u{20ac}"),
    ("eur", "\u{20ac}"),
    ("\u{20ac}", "\u{20ac}"),
    ("gbp", "\u{a3}"),
    ("\u{a3}", "\u{a3}"),
    ("jpy", "\u{a5}"),
    ("\u{a5}", "\u{a5}"),
    ("inr", "\u{20b9}"),
    ("\u{20b9}", "\u{20b9}"),
];
const PERCENT: [&str; 5] = ["%", "percentage", "percent", "per cent", "pct"];
const SCALES: [(&str, f64); 7] = [
    ("thousand", 1e3),
    ("million", 1e6),
    ("billion", 1e9),
    ("trillion", 1e12),
    ("mn", 1e6),
    ("bn", 1e9),
    ("k", 1e3),
];
/// Most words of a unit; more are a sentence.
const UNIT_WORDS: usize = 3;

impl<'a> Number<'a> {
    /// Parses a text that is one number with its marks; `None` for any other text.
    ///
    /// ```
    /// use chartbench_score::metric::chartbench::number::Number;
    /// let number = Number::read("-$1,234.5 million").unwrap();
    /// assert_eq!((number.value, number.currency), (-1_234_500_000.0, "$"));
    /// assert!(Number::read("5 %").unwrap().percent);
    /// assert_eq!(Number::read("12 km").unwrap().unit, "km");
    /// assert!(["12 - 15", "10:30", "1/4", "2,5", "2nd", "nan", "5m 3"].iter().all(|text| Number::read(text).is_none()));
    /// ```
    pub fn read(text: &'a str) -> Option<Self> {
        let (sign, rest) = sign(text);
        let (currency, rest) = prefix_currency(rest);
        let (sign, rest) = if sign.is_none() {
            self::sign(rest)
        } else {
            (sign, rest)
        };
        let (digits, rest) = digits(rest)?;
        let value: f64 = digits.parse().ok()?;
        let value = if sign == Some('-') { -value } else { value };
        let attached = !rest.starts_with(' ');
        let mut rest = rest.trim_start();
        let mut number = Self {
            value,
            percent: false,
            currency,
            unit: "",
        };
        if let Some((after, scale)) = SCALES
            .iter()
            .find_map(|(word, scale)| Some((word_off(rest, word)?, scale)))
        {
            number.value *= scale;
            rest = after;
        }
        if let Some(after) = PERCENT.iter().find_map(|word| word_off(rest, word)) {
            number.percent = true;
            rest = after;
        }
        if number.currency.is_empty()
            && let Some((after, money)) = CURRENCIES
                .iter()
                .find_map(|(word, money)| Some((word_off(rest, word)?, money)))
        {
            number.currency = money;
            rest = after;
        }
        number.unit = rest;
        (number.value.is_finite() && is_unit(rest, attached)).then_some(number)
    }

    /// Whether the marks of two numbers are compatible; a mark may be missing on one side.
    pub fn comparable(&self, other: &Self) -> bool {
        let agree = |a: &str, b: &str| a.is_empty() || b.is_empty() || a == b;
        let other_kind =
            |a: &Self, b: &Self| a.percent && !(b.unit.is_empty() && b.currency.is_empty());
        agree(self.unit, other.unit)
            && agree(self.currency, other.currency)
            && (self.percent == other.percent
                || !(other_kind(self, other) || other_kind(other, self)))
    }

    /// Whether the number has a percent sign, a currency or a unit.
    pub fn marked(&self) -> bool {
        self.percent || !self.currency.is_empty() || !self.unit.is_empty()
    }

    /// The value, a percentage as a fraction.
    pub fn fraction(&self) -> f64 {
        if self.percent {
            self.value / 100.0
        } else {
            self.value
        }
    }
}

fn sign(text: &str) -> (Option<char>, &str) {
    match text.chars().next() {
        Some(sign @ ('-' | '+')) => (Some(sign), text[1..].trim_start()),
        _ => (None, text),
    }
}

fn prefix_currency(text: &str) -> (&'static str, &str) {
    let found = CURRENCIES
        .iter()
        .find_map(|(word, money)| Some((*money, text.strip_prefix(word)?)));
    found.map_or(("", text), |(money, rest)| (money, rest.trim_start()))
}

/// The digits of a number without thousands separators, as Rust parses them, and what follows.
/// Separators (`,`, a blank or `'`) are one character throughout, and groups of three digits follow
/// them.
fn digits(text: &str) -> Option<(String, &str)> {
    let run = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let whole = run(text);
    let mut digits = text[..whole].to_owned();
    let mut rest = &text[whole..];
    if let Some(separator) = rest
        .chars()
        .next()
        .filter(|c| (1..=3).contains(&whole) && [',', ' ', '\''].contains(c))
    {
        while let Some(group) = rest.strip_prefix(separator).filter(|group| run(group) == 3) {
            digits += &group[..3];
            rest = &group[3..];
        }
        // A separator that groups nothing, as in `2,5`, leaves a text that is no number.
        if separator != ' ' && rest.starts_with(separator) {
            return None;
        }
    }
    if let Some(after) = rest.strip_prefix('.') {
        let decimals = run(after);
        if whole + decimals == 0 {
            return None;
        }
        digits = format!("{digits}.{}", &after[..decimals]);
        rest = &after[decimals..];
    } else if whole == 0 {
        return None;
    }
    if let Some(after) = rest.strip_prefix('e') {
        let sign = usize::from(after.starts_with(['-', '+']));
        let power = run(&after[sign..]);
        if power > 0 {
            digits = format!("{digits}e{}", &after[..sign + power]);
            rest = &after[sign + power..];
        }
    }
    Some((digits, rest))
}

/// The text behind `word` at the start of `text`, if the word ends there.
fn word_off<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let rest = text.strip_prefix(word)?;
    let ends = !word.ends_with(char::is_alphabetic) || !rest.starts_with(char::is_alphanumeric);
    ends.then(|| rest.trim_start())
}

/// Whether what is left can be a unit: a few words without digits that no operator of a larger
/// expression begins. One attached to the number (`5kg`) must not be the ending of an ordinal
/// (`2nd`) nor a single letter: `1H` and `5m` are labels, or millions.
fn is_unit(text: &str, attached: bool) -> bool {
    let letter = attached && text.chars().count() == 1 && text.starts_with(char::is_alphabetic);
    let ordinal = attached
        && ["st", "nd", "rd", "th"]
            .iter()
            .any(|ending| word_off(text, ending).is_some());
    text.is_empty()
        || (!ordinal
            && !letter
            && !text.starts_with([
                '-', '+', '/', ':', '*', '^', '=', '<', '>', ',', ';', '.', '\'', '~',
            ])
            && text.split(' ').count() <= UNIT_WORDS
            && !text.chars().any(char::is_numeric))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Value, percent, currency and unit of what is a number.
    type Read = Option<(f64, bool, &'static str, &'static str)>;

    #[test]
    fn numbers_are_read_with_their_marks() {
        let cases: [(&str, Read); 43] = [
            ("5", Some((5.0, false, "", ""))),
            ("-5", Some((-5.0, false, "", ""))),
            ("+ 5", Some((5.0, false, "", ""))),
            ("5.", Some((5.0, false, "", ""))),
            (".5", Some((0.5, false, "", ""))),
            (".", None),
            ("", None),
            ("-", None),
            ("1e3", Some((1000.0, false, "", ""))),
            ("1e-3%", Some((0.001, true, "", ""))),
            ("1e400", None),
            ("5 e", Some((5.0, false, "", "e"))),
            ("1,234", Some((1234.0, false, "", ""))),
            ("12,345,678.9", Some((12_345_678.9, false, "", ""))),
            ("1 234 567", Some((1_234_567.0, false, "", ""))),
            ("1'234", Some((1234.0, false, "", ""))),
            ("1,23", None),
            ("1,2345", None),
            ("1234,567", None),
            ("1,234 567", None),
            ("$5", Some((5.0, false, "$", ""))),
            ("$-5", Some((-5.0, false, "$", ""))),
            ("-$5", Some((-5.0, false, "$", ""))),
            ("5 usd", Some((5.0, false, "$", ""))),
            ("5 dollars", Some((5.0, false, "$", ""))),
            ("5\u{20ac}", Some((5.0, false, "\u{20ac}", ""))),
            ("5euros", Some((5.0, false, "\u{20ac}", ""))),
            ("5%", Some((5.0, true, "", ""))),
            ("5 percent", Some((5.0, true, "", ""))),
            ("5 per cent of adults", Some((5.0, true, "", "of adults"))),
            ("5 percentile", Some((5.0, false, "", "percentile"))),
            ("5 million", Some((5e6, false, "", ""))),
            ("5k", Some((5000.0, false, "", ""))),
            ("5 km", Some((5.0, false, "", "km"))),
            ("5kg", Some((5.0, false, "", "kg"))),
            ("5 h", Some((5.0, false, "", "h"))),
            ("1h", None),
            ("$5 bn", Some((5e9, false, "$", ""))),
            ("2nd", None),
            ("2 nd", Some((2.0, false, "", "nd"))),
            ("5 - 7", None),
            ("5 of the many things", None),
            ("5 m2", None),
        ];
        for (text, expected) in cases {
            let actual = Number::read(text);
            assert_eq!(
                actual.map(|n| (n.value, n.percent, n.currency, n.unit)),
                expected,
                "{text:?}"
            );
        }
    }

    #[test]
    fn marks_may_be_missing_but_not_differ() {
        let comparable = |a: &str, b: &str| {
            Number::read(a)
                .unwrap()
                .comparable(&Number::read(b).unwrap())
        };
        for (a, b) in [
            ("5", "5"),
            ("5 kg", "5"),
            ("$5", "5"),
            ("5%", "5"),
            ("5%", "5%"),
            ("$5", "5 usd"),
            ("$5", "5 apples"),
        ] {
            assert!(comparable(a, b) && comparable(b, a), "{a} and {b}");
        }
        for (a, b) in [
            ("5 kg", "5 m"),
            ("$5", "\u{a3}5"),
            ("5%", "5 kg"),
            ("5%", "$5"),
        ] {
            assert!(!comparable(a, b) && !comparable(b, a), "{a} and {b}");
        }
    }
}
