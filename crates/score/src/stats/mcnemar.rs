//! Two models on the same questions, right or wrong.

use statrs::distribution::{Binomial, DiscreteCDF};

/// McNemar's exact test: how often a split at least as uneven would come about were the `fixed` and the `broken` questions
/// equally many in truth. It takes every question for independent; the bootstrap over charts does not.
///
/// ```
/// use chartbench::stats::mcnemar;
/// assert_eq!(mcnemar(0, 0), 1.0);
/// assert!((mcnemar(5, 1) - 0.21875).abs() < 1e-12);
/// ```
pub fn mcnemar(fixed: usize, broken: usize) -> f64 {
    let changed = (fixed + broken) as u64;
    let fewer = Binomial::new(0.5, changed).map_or(1.0, |binomial| binomial.cdf(fixed.min(broken) as u64));
    (2.0 * fewer).min(1.0)
}
