//! Counts of values in fine buckets: made once, from which histograms of any range and quantiles follow without
//! reading the values again.

/// Counts per fine bucket of value (at most 65,536 buckets, relative width below 1 %).
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ValueTable {
    /// `(lowest value, highest value, count)` of each non-empty bucket, ascending. Where both are the same, all
    /// values of the bucket are that value: for 16-bit and smaller types and for small tensors that is every bucket.
    pub buckets: Vec<(f64, f64, u64)>,
}

impl ValueTable {
    /// Finite elements counted.
    pub fn total(&self) -> u64 {
        self.buckets.iter().map(|bucket| bucket.2).sum()
    }

    /// Whether every bucket is a single value, so that histograms and quantiles are those of the values themselves.
    pub fn is_exact(&self) -> bool {
        self.buckets.iter().all(|&(low, high, _)| low == high)
    }

    /// The smallest and the largest value; `None` where there is none.
    pub fn range(&self) -> Option<(f64, f64)> {
        Some((self.buckets.first()?.0, self.buckets.last()?.1))
    }

    /// The value below which a fraction `q` of the finite elements lies, by linear interpolation as numpy
    /// does, to within a bucket's width. `None` when there is none, or `q` is not in 0 … 1.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        self.quantiles([q]).map(|[value]| value)
    }

    /// Several quantiles of ascending fractions in one go.
    pub fn quantiles<const N: usize>(&self, fractions: [f64; N]) -> Option<[f64; N]> {
        let total = self.total();
        if total == 0 || !fractions.iter().all(|fraction| (0.0..=1.0).contains(fraction)) {
            return None;
        }
        let mut ranks = Ranks { table: self, index: 0, before: 0 };
        let mut values = [0.0; N];
        for (value, fraction) in values.iter_mut().zip(fractions) {
            let position = fraction * (total - 1) as f64;
            let rank = (position.floor() as u64).min(total - 1);
            let between = position - rank as f64;
            let below = ranks.value_at(rank);
            // Two products instead of a difference, which could overflow.
            *value = if between > 0.0 {
                below * (1.0 - between) + ranks.value_at(rank + 1) * between
            } else {
                below
            };
        }
        Some(values)
    }
}

/// Finds elements by their rank, going up.
struct Ranks<'a> {
    table: &'a ValueTable,
    /// The bucket that was found last, and the elements before it.
    index: usize,
    before: u64,
}

impl Ranks<'_> {
    /// The element of a rank (0 is the smallest), its bucket's elements taken as evenly spread.
    fn value_at(&mut self, rank: u64) -> f64 {
        let buckets = &self.table.buckets;
        if rank < self.before {
            (self.index, self.before) = (0, 0);
        }
        while let Some(&(low, high, count)) = buckets.get(self.index) {
            if rank < self.before + count {
                let share = match count {
                    // The outermost elements are at the outermost ends; a lone one elsewhere may be anywhere.
                    1 if self.index == 0 => 0.0,
                    1 if self.index + 1 == buckets.len() => 1.0,
                    1 => 0.5,
                    _ => (rank - self.before) as f64 / (count - 1) as f64,
                };
                return low * (1.0 - share) + high * share;
            }
            self.before += count;
            self.index += 1;
        }
        buckets.last().map_or(f64::NAN, |bucket| bucket.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_interpolate_between_elements_as_numpy_does() {
        let points = ValueTable { buckets: vec![(1.0, 1.0, 1), (2.0, 2.0, 1), (4.0, 4.0, 2)] };
        assert_eq!([0.0, 0.5, 1.0].map(|q| points.quantile(q)), [Some(1.0), Some(3.0), Some(4.0)]);
        assert_eq!(points.quantile(1.5), None);
        assert_eq!(ValueTable::default().quantile(0.5), None);
    }
}
