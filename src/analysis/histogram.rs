//! Counts of values in fine buckets, rebinned to what a plot asks without reading the values again.

use super::kernels::{self, KeyCounts};

/// Counts per fine bucket of value (at most 65,536 buckets, relative width below 1 %), from which
/// histograms of any range and quantiles are made.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ValueTable {
    /// `(lowest value, highest value, count)` of each non-empty bucket, ascending. Where both are the same, all
    /// values of the bucket are that value: for 16-bit and smaller types and for small tensors that is every bucket.
    pub buckets: Vec<(f64, f64, u64)>,
}

/// Counts over equal bins.
#[derive(Debug, Clone, PartialEq)]
pub struct Histogram {
    /// Lower edge of the first bin.
    pub lo: f64,
    /// Upper edge of the last bin, which includes it.
    pub hi: f64,
    /// Elements per bin.
    pub counts: Vec<u64>,
}

impl ValueTable {
    /// Finite elements counted.
    pub fn total(&self) -> u64 {
        self.buckets.iter().map(|bucket| bucket.2).sum()
    }

    /// Elements in `bins` equal bins over `[lo, hi]`; values outside are left out. A fine bucket that
    /// spans an edge is shared out by its overlap, in whole elements that add up to its count.
    ///
    /// Points (see [`Self::buckets`]) go where `numpy.histogram` puts them. An empty or non-finite range
    /// gets no elements, unless it is a single value (`lo == hi`), whose elements go to the last bin.
    pub fn histogram(&self, lo: f64, hi: f64, bins: usize) -> Histogram {
        let mut counts = vec![0u64; bins];
        let edges = Edges { lo, hi, bins };
        if bins > 0 && lo <= hi && (hi - lo).is_finite() {
            let start = self.buckets.partition_point(|bucket| bucket.1 < lo);
            for &(low, high, count) in &self.buckets[start..] {
                if low > hi {
                    break;
                }
                edges.share_out(low, high, count, &mut counts);
            }
        }
        Histogram { lo, hi, counts }
    }

    /// The value below which a fraction `q` of the finite elements lies, by linear interpolation as numpy
    /// does, to within a bucket's width. `None` when there is none, or `q` is not in 0 … 1.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        let total = self.total();
        if total == 0 || !(0.0..=1.0).contains(&q) {
            return None;
        }
        let position = q * (total - 1) as f64;
        let rank = position.floor() as u64;
        let fraction = position - rank as f64;
        let below = self.value_at(rank)?;
        if fraction == 0.0 {
            return Some(below);
        }
        let above = self.value_at(rank + 1)?;
        // Two products instead of a difference, which could overflow.
        Some(below * (1.0 - fraction) + above * fraction)
    }

    /// The element of a rank (0 is the smallest), its bucket's elements taken as evenly spread.
    fn value_at(&self, rank: u64) -> Option<f64> {
        let mut before = 0;
        for (index, &(low, high, count)) in self.buckets.iter().enumerate() {
            if rank < before + count {
                let share = match count {
                    // The outermost elements are at the outermost ends; a lone one elsewhere may be anywhere.
                    1 if index == 0 => 0.0,
                    1 if index + 1 == self.buckets.len() => 1.0,
                    1 => 0.5,
                    _ => (rank - before) as f64 / (count - 1) as f64,
                };
                return Some(low * (1.0 - share) + high * share);
            }
            before += count;
        }
        self.buckets.last().map(|bucket| bucket.1)
    }
}

/// The edges of equal bins, computed as `numpy.linspace` does.
struct Edges {
    lo: f64,
    hi: f64,
    bins: usize,
}

impl Edges {
    fn edge(&self, index: usize) -> f64 {
        if index >= self.bins {
            self.hi
        } else {
            index as f64 * ((self.hi - self.lo) / self.bins as f64) + self.lo
        }
    }

    /// The bin of a value within the range. The division may be off by a rounding error; the edges decide, as in numpy.
    fn bin(&self, value: f64) -> usize {
        let last = self.bins - 1;
        let guess = (value - self.lo) / (self.hi - self.lo) * self.bins as f64;
        // NaN (an empty range) becomes 0.
        let mut bin = (guess as usize).min(last);
        if bin > 0 && value < self.edge(bin) {
            bin -= 1;
        } else if bin < last && value >= self.edge(bin + 1) {
            bin += 1;
        }
        bin
    }

    fn share_out(&self, low: f64, high: f64, count: u64, counts: &mut [u64]) {
        if low == high {
            if low >= self.lo && low <= self.hi {
                counts[if self.lo == self.hi { self.bins - 1 } else { self.bin(low) }] += count;
            }
            return;
        }
        // Elements up to an edge, rounded: the differences are whole, and add up to the count by construction.
        let up_to = |edge: f64| ((edge - low) / (high - low) * count as f64).round() as u64;
        let first = if low < self.lo { 0 } else { self.bin(low) };
        let last = if high > self.hi { self.bins - 1 } else { self.bin(high) };
        let mut before = if low < self.lo { up_to(self.lo) } else { 0 };
        for (bin, target) in counts.iter_mut().enumerate().take(last + 1).skip(first) {
            let until =
                if bin == last && high <= self.hi { count } else { up_to(self.edge(bin + 1)).min(count) };
            *target += until.saturating_sub(before);
            before = before.max(until);
        }
    }
}

/// Elements counted per 16-bit key. Few elements are kept as a list: most tensors of a checkpoint are small,
/// and clearing and searching 65,536 counters for each would take longer than reading it.
#[derive(Clone, Default)]
pub(super) struct KeyTable {
    few: Vec<u16>,
    many: Option<Box<Counters>>,
}

#[derive(Clone)]
struct Counters {
    recent: Box<KeyCounts>,
    /// Elements in `recent`, whose counters have 32 bits.
    in_recent: u64,
    /// What was moved out of `recent`; empty until then.
    sums: Vec<u64>,
}

/// Elements that are kept as a list.
const FEW: usize = 1024;

impl KeyTable {
    /// Counts keys; at most 2^31 at a time.
    pub fn add(&mut self, keys: impl ExactSizeIterator<Item = u16>) {
        if self.many.is_none() && self.few.len() + keys.len() <= FEW {
            self.few.extend(keys);
            return;
        }
        let counters = self.counters();
        if counters.in_recent + keys.len() as u64 > u64::from(u32::MAX) {
            counters.empty_recent();
        }
        counters.in_recent += keys.len() as u64;
        kernels::count_keys(keys, &mut counters.recent);
    }

    fn counters(&mut self) -> &mut Counters {
        let few = std::mem::take(&mut self.few);
        self.many.get_or_insert_with(|| {
            let mut counters =
                Box::new(Counters { recent: zeroed(), in_recent: few.len() as u64, sums: Vec::new() });
            kernels::count_keys(few.into_iter(), &mut counters.recent);
            counters
        })
    }

    /// Adds a number of elements of one key.
    pub fn add_counted(&mut self, key: u16, count: u64) {
        let counters = self.counters();
        if counters.sums.is_empty() {
            counters.sums = vec![0; 1 << 16];
        }
        counters.sums[usize::from(key)] += count;
    }

    /// Adds what another table counted.
    pub fn merge(&mut self, other: &Self) {
        self.add(other.few.iter().copied());
        if other.many.is_some() {
            for (key, count) in other.non_empty() {
                self.add_counted(key, count);
            }
        }
    }

    /// The keys that occur and how often, ascending by key.
    pub fn non_empty(&self) -> Vec<(u16, u64)> {
        if let Some(counters) = &self.many {
            return (0..=u16::MAX)
                .filter_map(|key| {
                    let count = counters.count(key);
                    (count > 0).then_some((key, count))
                })
                .collect();
        }
        let mut keys = self.few.clone();
        keys.sort_unstable();
        keys.chunk_by(|a, b| a == b).map(|run| (run[0], run.len() as u64)).collect()
    }
}

impl Counters {
    fn count(&self, key: u16) -> u64 {
        let key = usize::from(key);
        let recent = u64::from(self.recent[key]) + u64::from(self.recent[1 << 16 | key]);
        recent + self.sums.get(key).copied().unwrap_or(0)
    }

    fn empty_recent(&mut self) {
        self.sums = (0..=u16::MAX).map(|key| self.count(key)).collect();
        self.recent.fill(0);
        self.in_recent = 0;
    }
}

/// On the heap from the start: the array is larger than some threads' stacks.
fn zeroed() -> Box<KeyCounts> {
    match vec![0u32; 2 << 16].into_boxed_slice().try_into() {
        Ok(counts) => counts,
        Err(_) => unreachable!("made with the length of the array"),
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
        assert_eq!(points.histogram(0.0, 1.0, 10).counts, [1, 1, 2, 0, 0, 0, 0, 0, 0, 1]);
        assert_eq!(points.histogram(0.15, 0.5, 1).counts, [2]);
    }

    #[test]
    fn a_bucket_over_several_bins_is_shared_out_in_whole_elements() {
        let wide = table(&[(0.0, 4.0, 7)]);
        assert_eq!(wide.histogram(0.0, 4.0, 4).counts.iter().sum::<u64>(), 7);
        assert_eq!(wide.histogram(1.0, 3.0, 2).counts, [2, 1]);
        assert_eq!(wide.histogram(-4.0, 4.0, 2).counts, [0, 7]);
    }

    #[test]
    fn a_single_value_and_an_impossible_range_are_no_trouble() {
        let one = table(&[(2.0, 2.0, 3)]);
        assert_eq!(one.histogram(2.0, 2.0, 4).counts, [0, 0, 0, 3]);
        assert_eq!(one.histogram(f64::NAN, 2.0, 2).counts, [0, 0]);
        assert_eq!(one.histogram(0.0, 1.0, 0).counts, [] as [u64; 0]);
        assert_eq!(one.histogram(f64::MIN, f64::MAX, 1).counts, [0]);
    }

    #[test]
    fn quantiles_interpolate_between_elements_as_numpy_does() {
        let points = table(&[(1.0, 1.0, 1), (2.0, 2.0, 1), (4.0, 4.0, 2)]);
        assert_eq!([0.0, 0.5, 1.0].map(|q| points.quantile(q)), [Some(1.0), Some(3.0), Some(4.0)]);
        assert_eq!(points.quantile(1.5), None);
        assert_eq!(ValueTable::default().quantile(0.5), None);
    }

    #[test]
    fn keys_are_counted_alike_as_a_list_and_in_counters() {
        let keys: Vec<u16> = (0..5000u32).map(|i| (i * i % 700) as u16).collect();
        let mut whole = KeyTable::default();
        whole.add(keys.iter().copied());
        let mut pieces = KeyTable::default();
        for piece in keys.chunks(100) {
            let mut part = KeyTable::default();
            part.add(piece.iter().copied());
            pieces.merge(&part);
        }
        let mut merged = KeyTable::default();
        merged.merge(&pieces);
        assert_eq!(whole.non_empty(), pieces.non_empty());
        assert_eq!(whole.non_empty(), merged.non_empty());
    }
}
