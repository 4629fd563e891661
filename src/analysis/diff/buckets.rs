//! Differences counted by size: four buckets per power of two, filled while the values pass.

use super::kernels::{BLOCK, BUCKET_BITS};

/// How many buckets there are.
const BUCKETS: usize = 1 << BUCKET_BITS;

/// Counters per bucket.
const COPIES: usize = 4;

/// Counts while values pass. The counters come with the first difference: most pairs have none.
#[derive(Debug, Clone, Default)]
pub(super) struct DeltaBuckets {
    recent: Option<Recent>,
    /// What was moved out of `recent`; empty until then.
    sums: Vec<u64>,
    /// Counted differences that are zero.
    zeros: u64,
}

#[derive(Debug, Clone)]
struct Recent {
    /// Several counters per bucket, so that neighbours in one bucket, of which there are many, do not wait for the counter
    /// that was just written.
    counts: Box<[[u32; COPIES]; BUCKETS]>,
    /// Differences counted.
    len: u32,
}

impl DeltaBuckets {
    /// Counts the buckets of a block of at most [`BLOCK`] differences, of which `zeros` are zero.
    pub fn add(&mut self, buckets: &[u16], zeros: u64) {
        self.zeros += zeros;
        let recent = self.recent();
        let (groups, rest) = buckets.as_chunks::<COPIES>();
        for group in groups {
            for (copy, &bucket) in group.iter().enumerate() {
                recent.counts[usize::from(bucket) % BUCKETS][copy] += 1;
            }
        }
        for &bucket in rest {
            recent.counts[usize::from(bucket) % BUCKETS][0] += 1;
        }
        recent.len += buckets.len() as u32;
    }

    /// Counts one difference.
    pub fn add_one(&mut self, delta: f64) {
        let recent = self.recent();
        recent.counts[((delta as f32).to_bits() >> (32 - BUCKET_BITS)) as usize % BUCKETS][0] += 1;
        recent.len += 1;
    }

    /// Counters with room for one more block.
    fn recent(&mut self) -> &mut Recent {
        if self.recent.as_ref().is_some_and(|recent| recent.len > u32::MAX - BLOCK as u32) {
            self.sums = self.counts();
            self.recent = None;
        }
        self.recent.get_or_insert_with(|| Recent { counts: zeroed(), len: 0 })
    }

    /// All counts; empty when there are none.
    fn counts(&self) -> Vec<u64> {
        let mut counts = self.sums.clone();
        if let Some(recent) = &self.recent {
            counts.resize(BUCKETS, 0);
            for (count, more) in counts.iter_mut().zip(recent.counts.iter()) {
                *count += more.iter().map(|&more| u64::from(more)).sum::<u64>();
            }
        }
        counts
    }

    /// Adds the counts of another.
    pub fn merge(&mut self, other: &Self) {
        self.zeros += other.zeros;
        let more = other.counts();
        self.sums.resize(self.sums.len().max(more.len()), 0);
        self.sums.iter_mut().zip(&more).for_each(|(sum, more)| *sum += more);
    }

    /// The non-empty buckets.
    pub fn finish(&self) -> Deltas {
        let mut counts = self.counts();
        if let [positive, ..] = counts.as_mut_slice() {
            // Equal values have the difference +0, or −0 where one is −0.
            let zeros = self.zeros.min(*positive);
            *positive -= zeros;
            if let Some(negative) = counts.get_mut(BUCKETS / 2) {
                *negative = negative.saturating_sub(self.zeros - zeros);
            }
        }
        let filled = counts.iter().enumerate().filter(|(_, count)| **count > 0);
        Deltas { buckets: filled.map(|(bucket, &count)| (bucket as u16, count)).collect() }
    }
}

/// On the heap from the start.
fn zeroed() -> Box<[[u32; COPIES]; BUCKETS]> {
    match vec![[0; COPIES]; BUCKETS].into_boxed_slice().try_into() {
        Ok(counts) => counts,
        Err(_) => unreachable!("made with the length of the array"),
    }
}

/// Differences other than zero (right minus left), counted in buckets whose width is at most a quarter of their value.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Deltas {
    /// (bucket, count) of the non-empty ones.
    buckets: Box<[(u16, u64)]>,
}

impl Deltas {
    /// Differences counted.
    pub fn total(&self) -> u64 {
        self.buckets.iter().map(|(_, count)| count).sum()
    }

    /// `(lowest, highest, count)` of each non-empty bucket, ascending by value. The outermost buckets may end at infinity.
    pub fn ranges(&self) -> Vec<(f64, f64, u64)> {
        let mut ranges: Vec<_> = self
            .buckets
            .iter()
            .map(|&(bucket, count)| {
                let magnitude = usize::from(bucket) % (BUCKETS / 2);
                let edge = |index: usize| f64::from(f32::from_bits((index as u32) << (32 - BUCKET_BITS)));
                let (near, far) = (edge(magnitude), edge(magnitude + 1));
                let far = if far.is_nan() { f64::INFINITY } else { far };
                if usize::from(bucket) < BUCKETS / 2 { (near, far, count) } else { (-far, -near, count) }
            })
            .collect();
        ranges.sort_by(|a, b| a.0.total_cmp(&b.0));
        ranges
    }

    /// Counts in `bins` equal bins over −`limit` … `limit`; a bucket that spans an edge is shared out by its overlap, rounded.
    /// Differences beyond the limit are in the outermost bins.
    pub fn histogram(&self, limit: f64, bins: usize) -> Vec<u64> {
        let mut counts = vec![0u64; bins];
        if bins == 0 || !limit.is_finite() || limit <= 0.0 {
            return counts;
        }
        let bin_of =
            |value: f64| (((value + limit) / (2.0 * limit) * bins as f64).max(0.0) as usize).min(bins - 1);
        for (low, high, count) in self.ranges() {
            let (low, high) = (low.clamp(-limit, limit), high.clamp(-limit, limit));
            let (first, last) = (bin_of(low), bin_of(high));
            let mut before = 0;
            for (bin, target) in counts.iter_mut().enumerate().take(last + 1).skip(first) {
                let edge = (bin + 1) as f64 / bins as f64 * 2.0 * limit - limit;
                let share = if bin == last || high <= low {
                    1.0
                } else {
                    ((edge - low) / (high - low)).clamp(0.0, 1.0)
                };
                let until = (share * count as f64).round() as u64;
                *target += until.saturating_sub(before);
                before = until.max(before);
            }
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_lies_in_the_range_of_its_bucket() {
        for value in [1e-30, -2.5e-4, 0.1, -1.0, 7.75, 3e38] {
            let mut buckets = DeltaBuckets::default();
            buckets.add_one(value);
            let ranges = buckets.finish().ranges();
            let (low, high, count) = ranges[0];
            assert!(
                ranges.len() == 1 && count == 1 && low <= value && value <= high,
                "{value}: {low} … {high}"
            );
            assert!(
                high - low <= 0.2501 * value.abs() || high.is_infinite() || low.is_infinite(),
                "{value}: {low} … {high}"
            );
        }
    }

    #[test]
    fn rebinning_keeps_the_count_and_the_sign() {
        let mut buckets = DeltaBuckets::default();
        for index in 1..=1000 {
            buckets.add_one(f64::from(index) / 1000.0);
        }
        buckets.add_one(-0.5);
        let bins = buckets.finish().histogram(1.0, 8);
        assert_eq!(bins.iter().sum::<u64>(), 1001);
        assert_eq!(bins[..4].iter().sum::<u64>(), 1);
        assert!(bins[4..].iter().all(|&count| (230..=270).contains(&count)), "{bins:?}");
    }
}
