//! The test of a difference and its interval, by flipping the signs of charts.

use rand::RngCore;
use rayon::prelude::*;

use super::{ChartSums, Interval};
use chartbench_core::seeded_draw::numbered_stream;

/// Flips that one task computes together, in one pass over the charts.
const CHUNK_FLIPS: usize = 8;
/// Differences this close are equal, because sums in another order differ by less.
const NEAR: f64 = 1e-9;

/// The number of sign flips, and their seed.
///
/// Without a difference between two models each chart's difference is as likely to be its negative.
/// A difference of `d` is tested on what each chart has above or below it: some charts are drawn,
/// the signs of theirs are flipped, and the p-value is the part of the flips after which the mean
/// is at least as far from zero (Canay, Romano and Shaikh, "Randomization Tests under an
/// Approximate Symmetry Assumption", 2017; the same as the wild cluster bootstrap of Cameron,
/// Gelbach and Miller, 2008, with Rademacher weights). Means just as far count half (the
/// mid-p-value), and the observed signs count whole. With few charts, every possible flip is made
/// once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignFlips {
    /// The number of random flips; where no more exist, each possible one is made once.
    pub draws: usize,
    /// The seed of the random flips, each of which has its own stream.
    pub seed: u64,
}

/// Ten thousand flips from seed 0.
impl Default for SignFlips {
    fn default() -> Self {
        Self {
            draws: 10_000,
            seed: 0,
        }
    }
}

/// The test of one statistic.
///
/// A flip leaves a mean as far from zero exactly where the tested difference lies between the mean
/// over the charts that are flipped and the mean over the others. So each flip is two numbers,
/// which give all p-values and intervals.
#[derive(Clone, Debug, PartialEq)]
pub struct SignFlipTest {
    /// The mean over all questions; not a number without questions.
    mean: f64,
    /// The lower of the two numbers of each flip, negated, and the higher.
    below: Ends,
    above: Ends,
    /// Whether every possible flip was made.
    exhaustive: bool,
}

impl SignFlips {
    /// The test of each statistic. The same bits on any number of cores.
    ///
    /// ```
    /// use chartbench_score::stats::{ChartSums, SignFlips};
    /// let mut charts = ChartSums::new(10, 1);
    /// (0..10).for_each(|chart| charts.add(chart, 0, 1.0 + chart as f64));
    /// let test = SignFlips::default().test(&charts).remove(0);
    /// // Only the observed one of 512 ways to divide ten charts leaves the mean as far from zero.
    /// assert_eq!(test.p_value(), 1.0 / 512.0);
    /// ```
    pub fn test(&self, charts: &ChartSums) -> Vec<SignFlipTest> {
        // A flip and its opposite are one; flipping nothing is the observed data.
        let ways = u32::try_from(charts.len().saturating_sub(1))
            .ok()
            .and_then(|bits| 1_usize.checked_shl(bits));
        let every = ways.filter(|ways| ways - 1 <= self.draws);
        let flips = every.map_or(self.draws, |ways| ways - 1);
        let totals = totals(charts);
        let firsts: Vec<usize> = (0..flips).step_by(CHUNK_FLIPS).collect();
        let sums: Vec<Vec<f64>> = firsts
            .into_par_iter()
            .flat_map_iter(|first| {
                let numbers = first..flips.min(first + CHUNK_FLIPS);
                let signs = numbers
                    .map(|flip| self.signs(flip, charts.len(), every.is_some()))
                    .collect();
                flipped_sums(charts, signs)
            })
            .collect();
        (0..charts.statistics())
            .map(|statistic| SignFlipTest::new(&totals, &sums, statistic, every.is_some()))
            .collect()
    }

    /// The flipped charts, as bits.
    fn signs(&self, flip: usize, charts: usize, every: bool) -> Vec<u64> {
        if every {
            return vec![flip as u64 + 1];
        }
        let mut generator = numbered_stream(self.seed, flip as u64);
        (0..charts.div_ceil(64))
            .map(|_| generator.next_u64())
            .collect()
    }
}

/// The sums of all charts, then their counts.
fn totals(charts: &ChartSums) -> Vec<f64> {
    let mut totals = vec![0.0; 2 * charts.statistics()];
    charts.rows().for_each(|row| add(&mut totals, row));
    totals
}

/// For each flip the sums of the flipped charts, then their counts.
fn flipped_sums(charts: &ChartSums, signs: Vec<Vec<u64>>) -> Vec<Vec<f64>> {
    let mut sums = vec![vec![0.0; 2 * charts.statistics()]; signs.len()];
    for (chart, row) in charts.rows().enumerate() {
        for (sums, signs) in sums.iter_mut().zip(&signs) {
            if signs[chart / 64] >> (chart % 64) & 1 == 1 {
                add(sums, row);
            }
        }
    }
    sums
}

fn add(sums: &mut [f64], row: &[f64]) {
    sums.iter_mut()
        .zip(row)
        .for_each(|(sum, value)| *sum += value);
}

impl SignFlipTest {
    fn new(totals: &[f64], flipped: &[Vec<f64>], statistic: usize, exhaustive: bool) -> Self {
        let count_at = statistic + totals.len() / 2;
        let (sum, count) = (totals[statistic], totals[count_at]);
        let (mut below, mut above) = (
            Vec::with_capacity(flipped.len()),
            Vec::with_capacity(flipped.len()),
        );
        for sums in flipped {
            let (flipped_sum, flipped_count) = (sums[statistic], sums[count_at]);
            // If no question's sign changes, or every question's does, the mean stays as far from
            // zero as it was.
            let (low, high) = if flipped_count == 0.0 || flipped_count == count {
                (f64::NEG_INFINITY, f64::INFINITY)
            } else {
                let (a, b) = (
                    flipped_sum / flipped_count,
                    (sum - flipped_sum) / (count - flipped_count),
                );
                (a.min(b), a.max(b))
            };
            below.push(-low);
            above.push(high);
        }
        Self {
            mean: sum / count,
            below: Ends::new(below),
            above: Ends::new(above),
            exhaustive,
        }
    }

    /// The p-value of no difference.
    pub fn p_value(&self) -> f64 {
        self.p_value_of(0.0)
    }

    /// Whether the p-value is the least that this number of random flips can show; the true one may
    /// be smaller.
    pub fn is_least(&self) -> bool {
        !self.exhaustive && self.p_value() <= 1.0 / (self.above.0.len() + 1) as f64
    }

    /// The differences that a test at `1 - confidence` does not refuse. `None` where charts are too
    /// few to refuse any, and where no chart differs from another.
    pub fn interval(&self, confidence: f64) -> Option<Interval> {
        let level = 1.0 - confidence;
        let low = -self.below.limit(-self.mean, level)?;
        let high = self.above.limit(self.mean, level)?;
        (high - low > 8.0 * NEAR).then_some(Interval { low, high })
    }

    /// The p-value of a true difference of `difference`.
    fn p_value_of(&self, difference: f64) -> f64 {
        let (ends, from_mean) = if difference > self.mean {
            (&self.above, difference - self.mean)
        } else {
            (&self.below, self.mean - difference)
        };
        // Without a question nothing is known, and the mean itself is never refused.
        if from_mean <= NEAR || from_mean.is_nan() {
            return 1.0;
        }
        ends.p_value(if difference > self.mean {
            difference
        } else {
            -difference
        })
    }
}

/// For each flip, the end of the accepted differences on one side of the mean; ascending.
#[derive(Clone, Debug, PartialEq)]
struct Ends(Vec<f64>);

impl Ends {
    fn new(mut ends: Vec<f64>) -> Self {
        ends.sort_by(f64::total_cmp);
        Self(ends)
    }

    fn p_value(&self, difference: f64) -> f64 {
        (1.0 + self.beyond(difference)) / (self.0.len() + 1) as f64
    }

    /// The number of ends beyond `value`, those at it counting half; interpolated between two ends,
    /// so that p-values and intervals agree.
    fn beyond(&self, value: f64) -> f64 {
        let (first, last) = self.equal_to(value);
        let middle = |first: usize, last: usize| self.0.len() as f64 - (first + last) as f64 / 2.0;
        if last > first || first == 0 || last == self.0.len() || self.0[last].is_infinite() {
            return middle(first, last);
        }
        let (low, high) = (self.0[first - 1], self.0[last]);
        let [at_low, at_high] = [low, high]
            .map(|end| self.equal_to(end))
            .map(|(first, last)| middle(first, last));
        at_low + (at_high - at_low) * (value - low) / (high - low)
    }

    /// The ends that equal `value`: the first of them and the first after them.
    fn equal_to(&self, value: f64) -> (usize, usize) {
        (
            self.0.partition_point(|end| *end < value - NEAR),
            self.0.partition_point(|end| *end <= value + NEAR),
        )
    }

    /// The difference from `mean` on that a test at `level` refuses; `None` where it refuses none.
    fn limit(&self, mean: f64, level: f64) -> Option<f64> {
        let finite = self.0.partition_point(|end| end.is_finite());
        let farthest = *self.0[..finite].last()?;
        if self.p_value(farthest + 2.0 * NEAR) > level {
            return None;
        }
        let (mut kept, mut refused) = (mean, farthest + 2.0 * NEAR);
        // Halved until nothing is between the two that a table could show.
        for _ in 0..60 {
            let middle = f64::midpoint(kept, refused);
            if self.p_value(middle) > level {
                kept = middle;
            } else {
                refused = middle;
            }
        }
        Some(kept)
    }
}

#[cfg(test)]
mod tests {
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn test(sums: &[f64], counts: &[f64], draws: usize) -> SignFlipTest {
        SignFlips { draws, seed: 0 }
            .test(&ChartSums::from_sums(sums, counts))
            .remove(0)
    }

    /// The p-value by the definition: every sign, and how far the mean of what is above
    /// `difference` then is from zero.
    fn by_definition(sums: &[f64], counts: &[f64], difference: f64) -> f64 {
        let above: Vec<f64> = sums
            .iter()
            .zip(counts)
            .map(|(sum, count)| sum - difference * count)
            .collect();
        let observed = above.iter().sum::<f64>().abs();
        let ways = 1_u32 << (above.len() - 1);
        let farther = (1..ways).map(|signs| {
            let value = |(chart, value): (usize, &f64)| {
                if signs >> chart & 1 == 1 {
                    -value
                } else {
                    *value
                }
            };
            let mean = above.iter().enumerate().map(value).sum::<f64>().abs();
            if (mean - observed).abs() < 1e-9 {
                0.5
            } else {
                f64::from(u8::from(mean > observed))
            }
        });
        (1.0 + farther.sum::<f64>()) / f64::from(ways)
    }

    #[test]
    fn the_p_value_is_that_of_every_sign() {
        let mut generator = ChaCha8Rng::seed_from_u64(5);
        for charts in 3..11 {
            let counts: Vec<f64> = (0..charts)
                .map(|_| f64::from(generator.random_range(1..9)))
                .collect();
            let sums: Vec<f64> = counts
                .iter()
                .map(|count| generator.random_range(-1.0..2.0) * count)
                .collect();
            let ours = test(&sums, &counts, 100_000).p_value();
            let theirs = by_definition(&sums, &counts, 0.0);
            // Between two flips the p-value is interpolated: at most half a flip off.
            assert!(
                (ours - theirs).abs() <= 0.5 / f64::from(1 << (charts - 1)) + 1e-12,
                "{charts}: {ours}, {theirs}"
            );
            // Changes of whole answers meet zero itself, where nothing is interpolated.
            let sums: Vec<f64> = counts
                .iter()
                .map(|_| f64::from(generator.random_range(-2..4)))
                .collect();
            let (ours, theirs) = (
                test(&sums, &counts, 100_000).p_value(),
                by_definition(&sums, &counts, 0.0),
            );
            assert!(
                (ours - theirs).abs() <= 0.5 / f64::from(1 << (charts - 1)) + 1e-12,
                "{charts}: {ours}, {theirs}"
            );
        }
    }

    #[test]
    fn an_interval_holds_what_is_not_refused() {
        let mut generator = ChaCha8Rng::seed_from_u64(9);
        for draws in [300, 100_000] {
            for _ in 0..50 {
                let counts: Vec<f64> = (0..11)
                    .map(|_| f64::from(generator.random_range(1..9)))
                    .collect();
                let sums: Vec<f64> = counts
                    .iter()
                    .map(|_| f64::from(generator.random_range(-3..5)))
                    .collect();
                let test = test(&sums, &counts, draws);
                let Interval { low, high } = test.interval(0.95).unwrap();
                for (inside, outside) in [(low + 1e-6, low - 1e-6), (high - 1e-6, high + 1e-6)] {
                    assert!(
                        test.p_value_of(inside) > 0.05 && test.p_value_of(outside) <= 0.05,
                        "{test:?}"
                    );
                }
                assert_eq!(
                    low > 1e-7 || high < -1e-7,
                    test.p_value() <= 0.05,
                    "{low} to {high}, {}",
                    test.p_value()
                );
            }
        }
    }

    #[test]
    fn too_few_charts_refuse_nothing() {
        let steps: Vec<f64> = (1..=6).map(f64::from).collect();
        // The least p-value of five charts is 1/16.
        let five = test(&steps[..5], &[1.0; 5], 10_000);
        assert_eq!(
            (five.p_value(), five.interval(0.95), five.is_least()),
            (1.0 / 16.0, None, false)
        );
        assert!(test(&steps, &[1.0; 6], 10_000).interval(0.95).is_some());
        for charts in [0, 1] {
            let test = test(&steps[..charts], &vec![1.0; charts], 10_000);
            assert_eq!((test.p_value(), test.interval(0.95)), (1.0, None));
        }
        // Charts without a question do not count, and charts that agree give no interval.
        assert_eq!(test(&[2.0; 7], &[0.0; 7], 10_000).p_value(), 1.0);
        assert_eq!(test(&[0.0; 30], &[2.0; 30], 10_000).interval(0.95), None);
        assert_eq!(test(&[0.0; 30], &[2.0; 30], 10_000).p_value(), 1.0);
    }

    #[test]
    fn random_flips_show_no_less_than_one_of_them() {
        let all_better = test(&[1.0; 40], &[1.0; 40], 999);
        assert_eq!((all_better.p_value(), all_better.is_least()), (0.001, true));
        let one_worse = test(&[&[-1.0], &[1.0; 9][..]].concat(), &[1.0; 10], 999);
        // Every flip of ten charts is made: the nine flips of one better chart are as far.
        assert_eq!(
            (one_worse.p_value(), one_worse.is_least()),
            ((1.0 + 1.0 + 9.0 / 2.0) / 512.0, false)
        );
    }

    #[test]
    fn flips_are_the_seeds_alone() {
        let mut generator = ChaCha8Rng::seed_from_u64(3);
        let mut charts = ChartSums::new(70, 2);
        for chart in 0..70 {
            let value = generator.random_range(-1.0..1.0);
            charts.add(chart, 0, value);
            charts.add(chart, 1, -value);
        }
        let of = |seed, threads| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            pool.install(|| SignFlips { draws: 101, seed }.test(&charts))
        };
        assert_eq!(of(1, 1), of(1, 3));
        assert_ne!(of(1, 1), of(2, 1));
        // One statistic gains as much as the other loses, in the same flips.
        let [gain, loss] = <[SignFlipTest; 2]>::try_from(of(1, 1)).unwrap();
        assert_eq!(gain.p_value_of(0.1), loss.p_value_of(-0.1));
        assert_eq!(gain.below, loss.above);
    }
}
