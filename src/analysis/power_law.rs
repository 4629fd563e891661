//! Fits a power law to the tail of a spectrum.

/// Power law in the tail of the eigenvalues of `WᵀW` (the squares of the singular values).
///
/// The exponent by maximum likelihood (Hill's estimator) above a threshold `x_min`, which is the one that makes the
/// Kolmogorov-Smirnov distance between the tail and the law smallest. Method: A. Clauset, C. R. Shalizi, M. E. J. Newman,
/// "Power-law distributions in empirical data", SIAM Review 51 (2009), sections 3.1 and 3.3.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PowerLaw {
    /// The exponent: density ∝ x^-alpha.
    pub alpha: f64,
    /// Standard error of `alpha`.
    pub alpha_error: f64,
    /// Where the tail begins, as an eigenvalue.
    pub x_min: f64,
    /// Eigenvalues in the tail.
    pub tail: usize,
    /// The distance that was made smallest, 0 … 1.
    pub distance: f64,
}

/// Eigenvalues in a tail, at least: fewer tell no exponent.
const TAIL: usize = 10;

/// Fits a power law to the largest of the eigenvalues, which descend. `None` where there are too few, or all are alike.
pub(super) fn fit(eigenvalues: &[f64]) -> Option<PowerLaw> {
    let positive = eigenvalues.iter().take_while(|value| **value > 0.0).count();
    let mut best: Option<PowerLaw> = None;
    let mut logarithms = 0.0;
    for tail in 1..=positive {
        logarithms += eigenvalues[tail - 1].ln();
        if tail < TAIL {
            continue;
        }
        let x_min = eigenvalues[tail - 1];
        let spread = logarithms - tail as f64 * x_min.ln();
        if spread <= 0.0 {
            continue;
        }
        let alpha = 1.0 + tail as f64 / spread;
        let distance = distance(&eigenvalues[..tail], x_min, alpha);
        if best.is_none_or(|best| distance < best.distance) {
            let alpha_error = (alpha - 1.0) / (tail as f64).sqrt();
            best = Some(PowerLaw { alpha, alpha_error, x_min, tail, distance });
        }
    }
    best
}

/// The largest difference between the share of the tail up to a value and what the law expects there.
fn distance(tail: &[f64], x_min: f64, alpha: f64) -> f64 {
    let count = tail.len() as f64;
    tail.iter().rev().enumerate().fold(0.0, |largest, (index, value)| {
        let expected = 1.0 - (value / x_min).powf(1.0 - alpha);
        let (before, after) = (index as f64 / count, (index + 1) as f64 / count);
        f64::max(largest, (expected - before).abs().max((expected - after).abs()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exponent_of_a_power_law_is_found() {
        // Quantiles of the law with exponent 3 above 1, and a body that does not follow it.
        let mut values: Vec<f64> =
            (0..400).map(|i| (1.0 - (f64::from(i) + 0.5) / 400.0).powf(-1.0 / 2.0)).collect();
        values.extend((0..200).map(|i| f64::from(i + 1) / 200.0 * 0.9));
        values.sort_by(|a, b| b.total_cmp(a));
        let law = fit(&values).expect("a fit");
        assert!((law.alpha - 3.0).abs() < 0.15, "{law:?}");
        assert!(law.x_min > 0.85 && law.distance < 0.05, "{law:?}");
    }

    #[test]
    fn too_few_or_equal_values_have_no_law() {
        assert_eq!(fit(&[3.0, 2.0, 1.0]), None);
        assert_eq!(fit(&[1.0; 50]), None);
        assert_eq!(fit(&[0.0; 50]), None);
    }
}
