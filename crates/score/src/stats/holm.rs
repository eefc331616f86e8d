//! Many tests at once.

/// Holm's step-down correction ("A simple sequentially rejective multiple test procedure", 1979): each test's p-value such
/// that rejecting those under a level errs anywhere with at most that probability. In the order of `p`.
///
/// ```
/// use chartbench::stats::holm;
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
