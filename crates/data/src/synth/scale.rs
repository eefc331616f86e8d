//! A numeric axis in exact decimals: ticks and values are integers, so that answers have no
//! rounding errors.

/// A linear axis. Tick `i` is at `i * mantissa * 10^exponent`; a value is a whole number of quanta,
/// of which [`Scale::PER_TICK`] make a tick step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Scale {
    /// 1, 2, 5 or 25.
    pub mantissa: i64,
    pub exponent: i32,
    /// The first and last tick drawn.
    pub first: i64,
    pub last: i64,
}

impl Scale {
    /// Quanta between two ticks: fine enough to vary, coarse enough to read off the picture.
    pub(super) const PER_TICK: i64 = 5;

    /// The lowest value on the axis, in quanta.
    pub(super) fn low(&self) -> i64 {
        self.first * Self::PER_TICK
    }

    /// The highest value on the axis, in quanta.
    pub(super) fn high(&self) -> i64 {
        self.last * Self::PER_TICK
    }

    /// The number of drawn ticks.
    pub(super) fn ticks(&self) -> usize {
        (self.last - self.first + 1).max(0) as usize
    }

    /// The texts at the ticks, all with the same decimals.
    pub(super) fn labels(&self) -> Vec<String> {
        (self.first..=self.last)
            .map(|tick| self.label(tick))
            .collect()
    }

    /// The text at one tick.
    pub(super) fn label(&self, tick: i64) -> String {
        decimal(tick * self.mantissa, self.exponent)
    }

    /// A value of `quanta`, or a sum or difference of values, in the fewest exact decimals.
    pub(super) fn value(&self, quanta: i64) -> String {
        shortest(&decimal(
            quanta * self.mantissa * (10 / Self::PER_TICK),
            self.exponent - 1,
        ))
    }

    /// A position in tick units as a number with two more decimals than the ticks have.
    pub(super) fn number(&self, ticks: f64) -> f64 {
        let text = decimal(
            (ticks * 100.0).round() as i64 * self.mantissa,
            self.exponent - 2,
        );
        text.parse().unwrap_or(0.0)
    }

    /// The fraction of the axis at a position in tick units: 0 at the first tick, 1 at the last.
    pub(super) fn fraction(&self, ticks: f64) -> f64 {
        (ticks - self.first as f64) / (self.last - self.first).max(1) as f64
    }

    /// The fraction of the axis at a value in quanta.
    pub(super) fn fraction_of(&self, quanta: i64) -> f64 {
        self.fraction(quanta as f64 / Self::PER_TICK as f64)
    }
}

/// `mantissa * 10^exponent` in plain digits.
fn decimal(mantissa: i64, exponent: i32) -> String {
    let sign = if mantissa < 0 { "-" } else { "" };
    let digits = mantissa.unsigned_abs().to_string();
    if exponent >= 0 {
        let zeros = if mantissa == 0 {
            String::new()
        } else {
            "0".repeat(exponent as usize)
        };
        return format!("{sign}{digits}{zeros}");
    }
    let decimals = exponent.unsigned_abs() as usize;
    let digits = format!("{digits:0>width$}", width = decimals + 1);
    let (whole, part) = digits.split_at(digits.len() - decimals);
    format!("{sign}{whole}.{part}")
}

/// The decimal without trailing zeros after the point.
fn shortest(text: &str) -> String {
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_share_their_decimals_and_values_are_shortest() {
        let scale = Scale {
            mantissa: 5,
            exponent: -1,
            first: -1,
            last: 2,
        };
        assert_eq!(scale.labels(), ["-0.5", "0.0", "0.5", "1.0"]);
        assert_eq!(
            [scale.value(3), scale.value(-5), scale.value(0)],
            ["0.3", "-0.5", "0"]
        );
        let scale = Scale {
            mantissa: 2,
            exponent: 2,
            first: 0,
            last: 2,
        };
        assert_eq!(scale.labels(), ["0", "200", "400"]);
        assert_eq!(scale.value(1), "40");
        assert_eq!(scale.number(0.33), 66.0);
    }
}
