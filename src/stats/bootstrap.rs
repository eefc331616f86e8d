//! The bootstrap over charts (cluster bootstrap; Davison and Hinkley, "Bootstrap Methods and their Application", 3.8).

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::{Charts, Draws};

/// Draws that one task does together: what the charts hold is then read once for all of them.
const TOGETHER: usize = 8;

/// How often charts are drawn anew, and from which seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bootstrap {
    pub draws: usize,
    pub seed: u64,
}

/// A thousand draws from seed 0.
impl Default for Bootstrap {
    fn default() -> Self {
        Self { draws: 1000, seed: 0 }
    }
}

impl Bootstrap {
    /// For each statistic its mean over the questions of as many charts as there are, drawn with replacement, `draws`
    /// times. The same bits on any number of cores.
    ///
    /// ```
    /// use chartbench::stats::{Bootstrap, Charts};
    /// let mut charts = Charts::new(2, 1);
    /// charts.add(0, 0, 1.0);
    /// charts.add(1, 0, 0.0);
    /// let draws = Bootstrap { draws: 1000, seed: 0 }.means(&charts);
    /// // Two charts are drawn: both right, both wrong, or one of each.
    /// assert_eq!((draws[0].quantile(0.0), draws[0].quantile(0.5), draws[0].quantile(1.0)), (0.0, 0.5, 1.0));
    /// ```
    pub fn means(&self, charts: &Charts) -> Vec<Draws> {
        let blocks: Vec<usize> = (0..self.draws).step_by(TOGETHER).collect();
        let means: Vec<Vec<f64>> = blocks.into_par_iter().flat_map_iter(|first| self.block(charts, first)).collect();
        let of_statistic = |statistic: usize| means.iter().map(|means| means[statistic]).collect();
        (0..charts.statistics()).map(|statistic| Draws::new(of_statistic(statistic), charts.len())).collect()
    }

    /// The means of the draws from the `first` on.
    fn block(&self, charts: &Charts, first: usize) -> Vec<Vec<f64>> {
        let times: Vec<Vec<u32>> =
            (first..self.draws.min(first + TOGETHER)).map(|draw| self.times(draw, charts.len())).collect();
        let mut sums = vec![vec![0.0; 2 * charts.statistics()]; times.len()];
        for (chart, row) in charts.rows().enumerate() {
            for (sums, times) in sums.iter_mut().zip(&times) {
                let times = f64::from(times[chart]);
                if times != 0.0 {
                    sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += times * value);
                }
            }
        }
        let means = |sums: Vec<f64>| {
            let (sums, counts) = sums.split_at(charts.statistics());
            sums.iter().zip(counts).map(|(sum, count)| sum / count).collect()
        };
        sums.into_iter().map(means).collect()
    }

    /// How often each chart is drawn.
    fn times(&self, draw: usize, charts: usize) -> Vec<u32> {
        let mut generator = ChaCha8Rng::seed_from_u64(self.seed);
        generator.set_stream(draw as u64);
        let mut times = vec![0; charts];
        (0..charts).for_each(|_| times[generator.random_range(0..charts)] += 1);
        times
    }
}

#[cfg(test)]
mod tests {
    use rand_distr::{Beta, Distribution};

    use super::*;

    /// 120 charts of 2 to 8 questions; how easy a chart is, is its own. The truth is 0.6.
    fn drawn(generator: &mut ChaCha8Rng) -> Vec<(usize, f64)> {
        let easiness = Beta::new(1.2, 0.8).unwrap();
        let chart = |chart| {
            let (questions, right) = (generator.random_range(2..=8), easiness.sample(generator));
            (0..questions).map(|_| (chart, f64::from(generator.random_bool(right)))).collect::<Vec<_>>()
        };
        (0..120).flat_map(chart).collect()
    }

    #[test]
    fn intervals_cover_the_truth_as_often_as_they_say() {
        let mut generator = ChaCha8Rng::seed_from_u64(11);
        let (mut clustered, mut plain) = (0, 0);
        let covers = |charts: &Charts| {
            let interval = Bootstrap { draws: 1000, seed: 5 }.means(charts)[0].interval(0.95).unwrap();
            usize::from(interval.low <= 0.6 && 0.6 <= interval.high)
        };
        for _ in 0..1000 {
            let questions = drawn(&mut generator);
            let (mut by_chart, mut alone) = (Charts::new(120, 1), Charts::new(questions.len(), 1));
            for (question, &(chart, value)) in questions.iter().enumerate() {
                by_chart.add(chart, 0, value);
                alone.add(question, 0, value);
            }
            clustered += covers(&by_chart);
            plain += covers(&alone);
        }
        println!("of 1,000 95 % intervals, by chart {clustered} cover the truth, by question {plain}");
        assert!((930..=970).contains(&clustered), "{clustered}");
        assert!(plain < 850, "{plain}");
    }

    #[test]
    fn draws_are_the_seeds_alone() {
        let mut generator = ChaCha8Rng::seed_from_u64(3);
        let questions = drawn(&mut generator);
        let mut charts = Charts::new(120, 2);
        for &(chart, value) in &questions {
            charts.add(chart, 0, value);
            charts.add(chart, 1, 1.0 - value);
        }
        let of = |seed, threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| Bootstrap { draws: 101, seed }.means(&charts))
        };
        assert_eq!(of(1, 1), of(1, 3));
        assert_ne!(of(1, 1), of(2, 1));
        // What one statistic gains the other loses, in the same draws.
        let both = of(1, 1);
        assert!((both[0].quantile(0.25) + both[1].quantile(0.75) - 1.0).abs() < 1e-12);
    }
}
