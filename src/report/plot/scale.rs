//! The scale of an axis, of round numbers around the values that are drawn on it.

/// An axis from `low` to `high`, both of them ticks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    /// The first tick.
    pub low: f64,
    /// The last tick.
    pub high: f64,
    /// The distance between two ticks: 1, 2 or 5 times a power of ten.
    pub step: f64,
}

/// The number of steps that a scale has about.
const STEPS: f64 = 5.0;

impl Scale {
    /// The shortest scale around `values`, cut to `within`. Values that are not finite do not count;
    /// without any other the scale is from 0 to 1.
    pub fn around(values: impl IntoIterator<Item = f64>, within: (f64, f64)) -> Self {
        let finite = values.into_iter().filter(|value| value.is_finite());
        let (mut low, mut high) = finite.fold((f64::MAX, f64::MIN), |(low, high), value| {
            (low.min(value), high.max(value))
        });
        if low > high {
            (low, high) = (0.0, 1.0);
        }
        (low, high) = (low.max(within.0), high.min(within.1));
        let largest = low.abs().max(high.abs());
        let extent = match high - low {
            extent if extent > 1e-3 * largest => extent,
            _ if largest > 0.0 => 0.1 * largest,
            _ => 1.0,
        };
        let step = round_step(extent / STEPS);
        let mut low = (low / step + 1e-9).floor() * step;
        let mut high = (high / step - 1e-9).ceil() * step;
        if high <= low && low + step > within.1 {
            low -= step;
        } else if high <= low {
            high = low + step;
        }
        Self { low, high, step }
    }

    /// The ticks, from the first to the last.
    pub fn ticks(&self) -> Vec<f64> {
        let count = ((self.high - self.low) / self.step).round() as usize;
        (0..=count)
            .map(|tick| self.low + tick as f64 * self.step)
            .collect()
    }

    /// The digits after the point that tell two ticks apart.
    pub fn digits(&self) -> usize {
        (-self.step.log10() - 1e-9).ceil().max(0.0) as usize
    }

    /// A tick's text.
    pub fn text(&self, tick: f64) -> String {
        // Rounding may leave a tick a little below 0.
        let tick = if tick.abs() < 1e-6 * self.step {
            0.0
        } else {
            tick
        };
        format!("{tick:.*}", self.digits())
    }

    /// Where a value is on the axis, from 0 to 1; values beyond it are at its ends.
    pub fn place(&self, value: f64) -> f64 {
        ((value - self.low) / (self.high - self.low)).clamp(0.0, 1.0)
    }
}

/// The least of 1, 2 and 5 times a power of ten that is at least `least`.
fn round_step(least: f64) -> f64 {
    let power = 10_f64.powi(least.log10().floor() as i32);
    let step = [1.0, 2.0, 5.0].map(|digit| digit * power);
    step.into_iter()
        .find(|step| *step >= least * (1.0 - 1e-9))
        .unwrap_or(10.0 * power)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_are_round_and_no_longer_than_their_values_need() {
        let percent = (0.0, 100.0);
        let scale = |values: &[f64]| {
            let scale = Scale::around(values.iter().copied(), percent);
            (scale.low, scale.high, scale.step)
        };
        assert_eq!(scale(&[0.0, 38.35]), (0.0, 40.0, 10.0));
        assert_eq!(scale(&[61.2, 64.9, 62.0]), (61.0, 65.0, 1.0));
        assert_eq!(scale(&[27.91, 100.0]), (20.0, 100.0, 20.0));
        assert_eq!(scale(&[-20.0, 150.0]), (0.0, 100.0, 20.0));
        assert_eq!(scale(&[]), (0.0, 1.0, 0.2));
        assert_eq!(scale(&[f64::NAN, 0.0]).0, 0.0);
        let points = Scale::around([-3.2, 12.0], (f64::MIN, f64::MAX));
        assert_eq!((points.low, points.high), (-5.0, 15.0));
        assert_eq!(points.ticks(), [-5.0, 0.0, 5.0, 10.0, 15.0]);
        assert_eq!(
            [-1.0, 5.0, 99.0].map(|value| points.place(value)),
            [0.2, 0.5, 1.0]
        );
    }

    #[test]
    fn ticks_have_the_digits_of_their_step() {
        let scale = Scale::around([0.0, 0.9], (0.0, 1.0));
        let texts: Vec<_> = scale
            .ticks()
            .into_iter()
            .map(|tick| scale.text(tick))
            .collect();
        assert_eq!(texts, ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]);
        assert_eq!(scale.text(-0.0), "0.0");
        assert_eq!(Scale::around([0.0, 900.0], (0.0, 1e4)).text(200.0), "200");
    }

    #[test]
    fn one_value_has_a_scale_too() {
        for value in [0.0, 50.0, 100.0, -7.0, 1e-12, 1e12] {
            let scale = Scale::around([value], (f64::MIN, f64::MAX));
            assert!(
                scale.high > scale.low && scale.ticks().len() < 12,
                "{scale:?}"
            );
        }
        let full = Scale::around([100.0], (0.0, 100.0));
        assert_eq!((full.low, full.high), (98.0, 100.0));
    }
}
