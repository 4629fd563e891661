//! Statistics of a group, summed up from those of its tensors.

use super::statistic::{Statistic, non_finite};
use crate::analysis::Statistics;

/// Sums over a group's tensors, tied ones left out.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sums {
    finite: u64,
    non_finite: u64,
    zeros: u64,
    min: Option<f64>,
    max: Option<f64>,
    mean: f64,
    /// Sum of squared distances from the mean.
    spread: f64,
    l1: f64,
    squares: f64,
}

impl Sums {
    pub(super) fn add(&mut self, statistics: &Statistics) {
        let (old, new) = (self.finite as f64, statistics.finite as f64);
        if let (Some(mean), true) = (statistics.mean, new > 0.0) {
            // Chan's merge of two means and spreads.
            let (all, distance) = (old + new, mean - self.mean);
            self.mean += distance * new / all;
            let own = statistics.std.unwrap_or(0.0).powi(2) * new;
            self.spread += own + distance * distance * old * new / all;
        }
        self.finite += statistics.finite;
        self.non_finite += non_finite(statistics);
        self.zeros += statistics.zeros;
        self.min = least(self.min, statistics.min, f64::min);
        self.max = least(self.max, statistics.max, f64::max);
        self.l1 += statistics.l1;
        self.squares += statistics.l2 * statistics.l2;
    }

    pub(super) fn value(&self, statistic: Statistic) -> Option<f64> {
        let some = self.finite > 0;
        match statistic {
            Statistic::Min => self.min,
            Statistic::Max => self.max,
            Statistic::Mean => some.then_some(self.mean),
            Statistic::Std => some.then(|| (self.spread / self.finite as f64).sqrt()),
            Statistic::L2 => some.then(|| self.squares.sqrt()),
            Statistic::L1 => some.then_some(self.l1),
            Statistic::Zeros => Some(self.zeros as f64),
            Statistic::NonFinite => Some(self.non_finite as f64),
            // Moments of this order are not kept for groups.
            Statistic::Skewness | Statistic::Kurtosis => None,
        }
    }
}

fn least(a: Option<f64>, b: Option<f64>, pick: fn(f64, f64) -> f64) -> Option<f64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(pick(a, b)),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::statistics;
    use super::*;

    #[test]
    fn a_group_has_the_statistics_of_all_its_values_together() {
        let (left, right) = ([1.0, 2.0, 4.0], [-3.0, f32::NAN, 0.0, 8.0]);
        let mut sums = Sums::default();
        sums.add(&statistics(&left));
        sums.add(&statistics(&right));
        let whole = statistics(&[left.as_slice(), &right].concat());
        for statistic in Statistic::ALL {
            let Some(value) = sums.value(statistic) else { continue };
            let wanted = statistic.of(&whole).unwrap();
            assert!((value - wanted).abs() < 1e-12, "{}: {value} is not {wanted}", statistic.label());
        }
    }
}
