//! Count, extremes and moments of values, mergeable.

use super::Statistics;
use super::kernels::{BLOCK, BlockSums, sums_f32, sums_f64};

/// Count, extremes and moments; merged by the formulas of Chan and others.
///
/// Source: P. Pébay, "Formulas for Robust, One-Pass Parallel Computation of Covariances and Arbitrary-Order
/// Statistical Moments", Sandia report SAND2008-6212, equations 2.1 and 3.1.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Moments {
    pub count: u64,
    pub finite: u64,
    pub nan: u64,
    pub positive_infinity: u64,
    pub negative_infinity: u64,
    pub zeros: u64,
    /// See [`Statistics::denormals`].
    pub denormals: u64,
    pub min: f64,
    pub max: f64,
    pub mean: f64,
    /// Sums of the second to fourth power of the distances from the mean.
    pub central: [f64; 3],
    pub l1: f64,
    pub squares: f64,
}

impl Moments {
    /// Of no values.
    pub fn empty() -> Self {
        Self {
            count: 0,
            finite: 0,
            nan: 0,
            positive_infinity: 0,
            negative_infinity: 0,
            zeros: 0,
            denormals: 0,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
            mean: 0.0,
            central: [0.0; 3],
            l1: 0.0,
            squares: 0.0,
        }
    }

    /// Of a block's sums.
    pub fn of_block(sums: &BlockSums) -> Self {
        Self {
            count: sums.finite + sums.nan + sums.positive_infinity + sums.negative_infinity,
            finite: sums.finite,
            nan: sums.nan,
            positive_infinity: sums.positive_infinity,
            negative_infinity: sums.negative_infinity,
            zeros: sums.zeros,
            denormals: sums.denormals,
            min: sums.min,
            max: sums.max,
            mean: sums.mean,
            central: sums.central,
            l1: sums.l1,
            squares: sums.squares,
        }
    }

    /// Of the few values of a small tensor, in the same blocks as those of a large one.
    pub fn of_few(narrow: &[[u8; 4]], wide: &[f64]) -> Self {
        let mut moments = Self::empty();
        for block in narrow.chunks(BLOCK) {
            moments.merge(&Self::of_block(&sums_f32(block)));
        }
        for block in wide.chunks(BLOCK) {
            moments.merge(&Self::of_block(&sums_f64(block)));
        }
        moments
    }

    /// Of values that occur a number of times each; numbers smaller than `smallest_normal` are denormals.
    pub fn of_counted(counted: &[(f64, u64)], smallest_normal: f64) -> Self {
        let mut moments = Self::empty();
        let mut sum = 0.0;
        for &(value, count) in counted {
            moments.count += count;
            if value.is_nan() {
                moments.nan += count;
            } else if value == f64::INFINITY {
                moments.positive_infinity += count;
            } else if value == f64::NEG_INFINITY {
                moments.negative_infinity += count;
            } else {
                let times = count as f64;
                moments.finite += count;
                moments.zeros += if value == 0.0 { count } else { 0 };
                let tiny = value != 0.0 && value.abs() < smallest_normal;
                moments.denormals += if tiny { count } else { 0 };
                moments.min = moments.min.min(value);
                moments.max = moments.max.max(value);
                sum += value * times;
                moments.l1 += value.abs() * times;
                moments.squares += value * value * times;
            }
        }
        if moments.finite > 0 {
            moments.mean = sum / moments.finite as f64;
            for &(value, count) in counted.iter().filter(|(value, _)| value.is_finite()) {
                let distance = value - moments.mean;
                let square = distance * distance * count as f64;
                moments.central[0] += square;
                moments.central[1] += square * distance;
                moments.central[2] += square * distance * distance;
            }
        }
        moments
    }

    /// Adds what another one saw. The order of merging decides the last digits, so callers merge in element order.
    pub fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.nan += other.nan;
        self.positive_infinity += other.positive_infinity;
        self.negative_infinity += other.negative_infinity;
        self.zeros += other.zeros;
        self.denormals += other.denormals;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        self.l1 += other.l1;
        self.squares += other.squares;
        if other.finite == 0 {
            return;
        }
        if self.finite == 0 {
            self.finite = other.finite;
            self.mean = other.mean;
            self.central = other.central;
            return;
        }
        let (a, b) = (self.finite as f64, other.finite as f64);
        let n = a + b;
        let delta = other.mean - self.mean;
        let step = delta / n;
        let [a2, a3, a4] = self.central;
        let [b2, b3, b4] = other.central;
        let joint = delta * step * a * b;
        self.central = [
            a2 + b2 + joint,
            a3 + b3 + joint * step * (a - b) + 3.0 * step * (a * b2 - b * a2),
            a4 + b4
                + joint * step * step * (a * a - a * b + b * b)
                + 6.0 * step * step * (a * a * b2 + b * b * a2)
                + 4.0 * step * (a * b3 - b * a3),
        ];
        self.mean += step * b;
        self.finite += other.finite;
    }

    /// Everything that moments tell; the rest is at its default.
    pub fn statistics(&self) -> Statistics {
        let known = self.finite > 0;
        let n = self.finite as f64;
        let [second, third, fourth] = self.central;
        let variance = second / n;
        let spread = known && variance > 0.0;
        // Powers of values beyond 1e77 overflow; what they would tell is then not known.
        let finite = |value: &f64| value.is_finite();
        Statistics {
            count: self.count,
            finite: self.finite,
            nan: self.nan,
            positive_infinity: self.positive_infinity,
            negative_infinity: self.negative_infinity,
            zeros: self.zeros,
            denormals: self.denormals,
            min: known.then_some(self.min),
            max: known.then_some(self.max),
            // A mean of rounded sums may lie beyond the extremes by a rounding error.
            mean: known.then_some(self.mean.max(self.min).min(self.max)),
            std: known.then_some(variance.sqrt()).filter(finite),
            skewness: spread.then_some(third / n / (variance * variance.sqrt())).filter(finite),
            kurtosis: spread.then_some(fourth / n / (variance * variance) - 3.0).filter(finite),
            l1: self.l1,
            l2: self.squares.sqrt(),
            ..Statistics::default()
        }
    }
}
