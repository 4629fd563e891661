//! Histograms of any range and scale out of a [`ValueTable`].

use super::ValueTable;

/// How values are placed along an axis.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scale {
    /// As they are.
    Linear,
    /// Linear within ± `threshold` and logarithmic beyond, of either sign: a decade takes as much room as the linear
    /// part on one side of zero.
    Symlog {
        /// Greater than zero.
        threshold: f64,
    },
}

impl Scale {
    /// A symmetric logarithm that suits a table: linear below the smallest magnitude that matters (the 2 % of smallest
    /// non-zero elements, but not more than nine decades below the largest). Linear where there is nothing to see.
    pub fn symlog_of(table: &ValueTable) -> Self {
        let mut magnitudes: Vec<(f64, u64)> = table
            .buckets
            .iter()
            .map(|&(low, high, count)| (low.abs().max(high.abs()), count))
            .filter(|&(magnitude, _)| magnitude > 0.0)
            .collect();
        magnitudes.sort_by(|a, b| a.0.total_cmp(&b.0));
        let total: u64 = magnitudes.iter().map(|entry| entry.1).sum();
        let Some(&(largest, _)) = magnitudes.last() else { return Self::Linear };
        let mut before = 0;
        for (magnitude, count) in magnitudes {
            before += count;
            if before * 50 >= total {
                return Self::Symlog { threshold: magnitude.max(largest * 1e-9).max(f64::MIN_POSITIVE) };
            }
        }
        Self::Linear
    }

    /// Where a value stands on the axis; ascending with the value.
    pub fn place(self, value: f64) -> f64 {
        match self {
            Self::Linear => value,
            Self::Symlog { threshold } => {
                let ratio = value.abs() / threshold;
                (if ratio <= 1.0 { ratio } else { 1.0 + ratio.log10() }).copysign(value)
            }
        }
    }

    /// The value at a place: the inverse of [`Self::place`].
    pub fn value(self, place: f64) -> f64 {
        match self {
            Self::Linear => place,
            Self::Symlog { threshold } => {
                let distance = place.abs();
                let ratio = if distance <= 1.0 { distance } else { 10f64.powf(distance - 1.0) };
                (ratio * threshold).copysign(place)
            }
        }
    }
}

/// Counts over bins that are equally wide on their scale.
#[derive(Debug, Clone, PartialEq)]
pub struct Histogram {
    /// Lower edge of the first bin, as a value.
    pub lo: f64,
    /// Upper edge of the last bin, which includes it.
    pub hi: f64,
    /// Elements per bin.
    pub counts: Vec<u64>,
    /// How the bins are laid out between `lo` and `hi`.
    pub scale: Scale,
    /// Finite elements smaller than `lo`.
    pub below: u64,
    /// Finite elements larger than `hi`.
    pub above: u64,
    /// Elements of fine buckets that span an edge, so that some of them may belong in a neighbouring bin. 0: all counts
    /// are exact.
    pub uncertain: u64,
}

impl Histogram {
    /// The values at the edges of a bin; bins are half-open but for the last.
    pub fn edges(&self, bin: usize) -> (f64, f64) {
        let edges = Edges::new(self.scale, self.lo, self.hi, self.counts.len());
        (edges.edge(bin), edges.edge(bin + 1))
    }
}

impl ValueTable {
    /// Elements in `bins` equal bins over `[lo, hi]`. A fine bucket that spans an edge is shared out by its overlap, in
    /// whole elements that add up to its count.
    ///
    /// Points (see [`Self::buckets`]) go where `numpy.histogram` puts them. An empty or non-finite range
    /// gets no elements, unless it is a single value (`lo == hi`), whose elements go to the last bin.
    pub fn histogram(&self, lo: f64, hi: f64, bins: usize) -> Histogram {
        self.histogram_on(Scale::Linear, lo, hi, bins)
    }

    /// The same, with bins that are equally wide on a scale.
    pub fn histogram_on(&self, scale: Scale, lo: f64, hi: f64, bins: usize) -> Histogram {
        let mut histogram =
            Histogram { lo, hi, counts: vec![0; bins], scale, below: 0, above: 0, uncertain: 0 };
        if bins > 0 && lo <= hi && (hi - lo).is_finite() {
            let edges = Edges::new(scale, lo, hi, bins);
            for &(low, high, count) in &self.buckets {
                if high < lo {
                    histogram.below += count;
                } else if low > hi {
                    histogram.above += count;
                } else {
                    edges.share_out(low, high, count, &mut histogram);
                }
            }
        }
        histogram
    }

    /// A histogram over all values as `numpy.histogram` makes it by default: a single value gets a range of 1 around
    /// it. `None` where there is no value.
    pub fn full_histogram(&self, bins: usize) -> Option<Histogram> {
        let (lo, hi) = self.range()?;
        Some(if lo == hi { self.histogram(lo - 0.5, hi + 0.5, bins) } else { self.histogram(lo, hi, bins) })
    }
}

/// The edges of bins: on a linear scale computed as `numpy.linspace` does.
struct Edges {
    scale: Scale,
    lo: f64,
    hi: f64,
    /// `lo` and `hi` on the scale.
    places: (f64, f64),
    bins: usize,
}

impl Edges {
    fn new(scale: Scale, lo: f64, hi: f64, bins: usize) -> Self {
        Self { scale, lo, hi, places: (scale.place(lo), scale.place(hi)), bins }
    }

    fn edge(&self, index: usize) -> f64 {
        let (from, to) = self.places;
        if index >= self.bins {
            self.hi
        } else if index == 0 {
            self.lo
        } else {
            self.scale.value(index as f64 * ((to - from) / self.bins as f64) + from)
        }
    }

    /// The bin of a value within the range. The division may be off by a rounding error; the edges decide, as in numpy.
    fn bin(&self, value: f64) -> usize {
        let last = self.bins - 1;
        let (from, to) = self.places;
        let guess = (self.scale.place(value) - from) / (to - from) * self.bins as f64;
        // NaN (an empty range) becomes 0.
        let mut bin = (guess as usize).min(last);
        if bin > 0 && value < self.edge(bin) {
            bin -= 1;
        } else if bin < last && value >= self.edge(bin + 1) {
            bin += 1;
        }
        bin
    }

    /// Adds a bucket that overlaps the range.
    fn share_out(&self, low: f64, high: f64, count: u64, histogram: &mut Histogram) {
        let counts = &mut histogram.counts;
        if low == high {
            counts[if self.lo == self.hi { self.bins - 1 } else { self.bin(low) }] += count;
            return;
        }
        // Elements up to an edge, rounded: the differences are whole, and add up to the count by construction.
        let up_to = |edge: f64| ((edge - low) / (high - low) * count as f64).round() as u64;
        let first = if low < self.lo { 0 } else { self.bin(low) };
        let last = if high > self.hi { self.bins - 1 } else { self.bin(high) };
        let mut before = if low < self.lo { up_to(self.lo) } else { 0 };
        histogram.below += before;
        if first != last || low < self.lo || high > self.hi {
            histogram.uncertain += count;
        }
        for (bin, target) in counts.iter_mut().enumerate().take(last + 1).skip(first) {
            let until =
                if bin == last && high <= self.hi { count } else { up_to(self.edge(bin + 1)).min(count) };
            *target += until.saturating_sub(before);
            before = before.max(until);
        }
        histogram.above += count - before.min(count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(buckets: &[(f64, f64, u64)]) -> ValueTable {
        ValueTable { buckets: buckets.to_vec() }
    }

    #[test]
    fn points_fall_where_numpy_puts_them() {
        // numpy.histogram([0, 0.1, 0.2, 0.3, 1], bins=10, range=(0, 1)): 0.3 / 0.1 rounds below 3.
        let points = table(&[(0.0, 0.0, 1), (0.1, 0.1, 1), (0.2, 0.2, 1), (0.3, 0.3, 1), (1.0, 1.0, 1)]);
        let all = points.histogram(0.0, 1.0, 10);
        assert_eq!(all.counts, [1, 1, 2, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!((all.below, all.above, all.uncertain), (0, 0, 0));
        let middle = points.histogram(0.15, 0.5, 1);
        assert_eq!((middle.counts.as_slice(), middle.below, middle.above), ([2].as_slice(), 2, 1));
    }

    #[test]
    fn a_bucket_over_several_bins_is_shared_out_in_whole_elements() {
        let wide = table(&[(0.0, 4.0, 7)]);
        assert_eq!(wide.histogram(0.0, 4.0, 4).counts.iter().sum::<u64>(), 7);
        let inside = wide.histogram(1.0, 3.0, 2);
        assert_eq!((inside.counts.as_slice(), inside.below, inside.above), ([2, 1].as_slice(), 2, 2));
        assert_eq!(inside.uncertain, 7);
        assert_eq!(wide.histogram(-4.0, 4.0, 2).counts, [0, 7]);
        assert_eq!(wide.histogram(-4.0, 4.0, 2).uncertain, 0);
    }

    #[test]
    fn a_single_value_and_an_impossible_range_are_no_trouble() {
        let one = table(&[(2.0, 2.0, 3)]);
        assert_eq!(one.histogram(2.0, 2.0, 4).counts, [0, 0, 0, 3]);
        assert_eq!(one.full_histogram(2).map(|h| (h.lo, h.hi, h.counts)), Some((1.5, 2.5, vec![0, 3])));
        assert_eq!(one.histogram(f64::NAN, 2.0, 2).counts, [0, 0]);
        assert_eq!(one.histogram(0.0, 1.0, 0).counts, [] as [u64; 0]);
        assert_eq!(one.histogram(f64::MIN, f64::MAX, 1).counts, [0]);
    }

    #[test]
    fn symlog_bins_are_equally_wide_in_decades_on_either_side_of_zero() {
        let scale = Scale::Symlog { threshold: 0.01 };
        for value in [-100.0, -0.01, -0.001, 0.0, 0.005, 0.01, 3.0] {
            assert!((scale.value(scale.place(value)) - value).abs() <= value.abs() * 1e-12);
        }
        let values =
            table(&[(-1.0, -1.0, 1), (-0.001, -0.001, 2), (0.0, 0.0, 3), (0.5, 0.5, 4), (1.0, 1.0, 5)]);
        // From -1 to 1 are the places -3 … 3: decades of 0.1 … 1, 0.01 … 0.1, and the linear part on each side.
        let histogram = values.histogram_on(scale, -1.0, 1.0, 6);
        assert_eq!(histogram.counts, [1, 0, 2, 3, 0, 9]);
        let (from, to) = histogram.edges(4);
        assert!((from - 0.01).abs() < 1e-9 && (to - 0.1).abs() < 1e-9);
    }

    #[test]
    fn the_linear_part_of_a_symlog_is_chosen_from_the_smallest_magnitudes() {
        let spread: Vec<_> = (0..100).map(|i| (10f64.powi(i / 10 - 9), 10f64.powi(i / 10 - 9), 1)).collect();
        assert!(matches!(Scale::symlog_of(&table(&spread)), Scale::Symlog { threshold } if threshold < 1e-8));
        assert_eq!(Scale::symlog_of(&table(&[(0.0, 0.0, 5)])), Scale::Linear);
    }
}
