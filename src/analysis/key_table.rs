//! How many elements have which 16-bit key: the counting behind every histogram and, for types of at most 16 bits,
//! behind every statistic.

use super::kernels::{self, KeyCounts};

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
