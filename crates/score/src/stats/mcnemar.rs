//! McNemar's test of two models on the same questions, and Holm's correction of many tests.

use statrs::distribution::{Binomial, DiscreteCDF};

/// McNemar's exact test: the probability of a split at least as uneven if `fixed` and `broken`
/// questions were equally likely. It assumes independent questions; the test over charts does not.
///
/// ```
/// use chartbench_score::stats::mcnemar;
/// assert_eq!(mcnemar(0, 0), 1.0);
/// assert!((mcnemar(5, 1) - 0.21875).abs() < 1e-12);
/// ```
pub fn mcnemar(fixed: usize, broken: usize) -> f64 {
    let changed = (fixed + broken) as u64;
    let fewer =
        Binomial::new(0.5, changed).map_or(1.0, |binomial| binomial.cdf(fixed.min(broken) as u64));
    (2.0 * fewer).min(1.0)
}

/// Holm's step-down correction ("A simple sequentially rejective multiple test procedure", 1979):
/// each test's p-value such that rejecting those under a level errs anywhere with at most that
/// probability. In the order of `p`.
///
/// ```
/// use chartbench_score::stats::holm;
/// assert_eq!(holm(&[0.25, 0.125, 0.0]), [0.25, 0.25, 0.0]);
/// ```
pub fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|&a, &b| p[a].total_cmp(&p[b]));
    let mut corrected = vec![0.0; p.len()];
    let mut highest: f64 = 0.0;
    for (rank, &test) in order.iter().enumerate() {
        highest = highest.max((p[test] * (p.len() - rank) as f64).min(1.0));
        corrected[test] = highest;
    }
    corrected
}
