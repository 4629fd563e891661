//! How many elements have which 16-bit key: the counting behind every histogram and, for types of at most 16 bits,
//! behind every statistic.

use super::kernels::{ByteCounts, KeyCounts};

/// Working memory for counting: 512 KB, cleared and used again for tensor after tensor.
#[derive(Clone)]
pub(super) struct Counters {
    recent: Box<KeyCounts>,
    /// Elements in `recent`, whose counters have 32 bits.
    in_recent: u64,
    /// What was moved out of `recent`, ascending by key.
    moved: Vec<(u16, u64)>,
}

impl Counters {
    /// All zero.
    pub fn new() -> Self {
        Self { recent: zeroed(), in_recent: 0, moved: Vec::new() }
    }

    /// The counters, with room for `elements` more in each; at most 2^31.
    pub fn with_room_for(&mut self, elements: usize) -> &mut KeyCounts {
        if self.in_recent + elements as u64 > u64::from(u32::MAX) {
            self.move_out();
        }
        self.in_recent += elements as u64;
        &mut self.recent
    }

    /// The keys that occur and how often, ascending by key. All counters are zero afterwards.
    pub fn take(&mut self) -> Vec<(u16, u64)> {
        self.move_out();
        std::mem::take(&mut self.moved)
    }

    fn move_out(&mut self) {
        if self.in_recent == 0 {
            return;
        }
        let (even, odd) = self.recent.split_at_mut(1 << 16);
        let mut found = Vec::new();
        for (index, (even, odd)) in even.chunks_mut(STRETCH).zip(odd.chunks_mut(STRETCH)).enumerate() {
            // Most stretches are empty: an `or` over them is quicker than looking at each counter.
            if even.iter().chain(odd.iter()).fold(0, |seen, &count| seen | count) == 0 {
                continue;
            }
            for (offset, (even, odd)) in even.iter_mut().zip(odd.iter_mut()).enumerate() {
                let count = u64::from(*even) + u64::from(*odd);
                if count > 0 {
                    found.push(((index * STRETCH + offset) as u16, count));
                }
                (*even, *odd) = (0, 0);
            }
        }
        self.in_recent = 0;
        merge(&mut self.moved, &found);
    }
}

/// Counters that are looked at together.
const STRETCH: usize = 64;

/// On the heap from the start: the array is larger than some threads' stacks.
fn zeroed() -> Box<KeyCounts> {
    match vec![0u32; 2 << 16].into_boxed_slice().try_into() {
        Ok(counts) => counts,
        Err(_) => unreachable!("made with the length of the array"),
    }
}

/// Counts per byte, as counts per key.
pub(super) fn of_bytes(counts: &ByteCounts) -> Vec<(u16, u64)> {
    (0..=255u16)
        .map(|key| (key, counts.iter().map(|part| u64::from(part[usize::from(key)])).sum()))
        .filter(|&(_, count)| count > 0)
        .collect()
}

/// The keys of a list and how often each occurs, ascending by key.
pub(super) fn of_list(mut keys: Vec<u16>) -> Vec<(u16, u64)> {
    keys.sort_unstable();
    keys.chunk_by(|a, b| a == b).map(|run| (run[0], run.len() as u64)).collect()
}

/// Adds counts to counts; both ascend by key.
pub(super) fn merge(into: &mut Vec<(u16, u64)>, from: &[(u16, u64)]) {
    if into.is_empty() {
        into.extend_from_slice(from);
        return;
    }
    let mut joined = Vec::with_capacity(into.len().max(from.len()));
    let mut theirs = from.iter().copied().peekable();
    for &(key, count) in into.iter() {
        while let Some(before) = theirs.next_if(|other| other.0 < key) {
            joined.push(before);
        }
        let same = theirs.next_if(|other| other.0 == key).map_or(0, |other| other.1);
        joined.push((key, count + same));
    }
    joined.extend(theirs);
    *into = joined;
}

#[cfg(test)]
mod tests {
    use super::super::kernels::count_16;
    use super::*;

    fn counted(counters: &mut Counters, keys: &[u16]) {
        let bytes: Vec<[u8; 2]> = keys.iter().map(|key| key.to_le_bytes()).collect();
        count_16(&bytes, counters.with_room_for(keys.len()));
    }

    #[test]
    fn keys_are_counted_alike_as_a_list_in_counters_and_in_parts() {
        let keys: Vec<u16> = (0..5003u32).map(|i| (i * i % 700) as u16).collect();
        let mut counters = Counters::new();
        counted(&mut counters, &keys);
        let whole = counters.take();
        assert_eq!(whole, of_list(keys.clone()));
        let mut parts = Vec::new();
        for part in keys.chunks(100) {
            counted(&mut counters, part);
            merge(&mut parts, &counters.take());
        }
        assert_eq!(parts, whole);
        assert_eq!(counters.take(), []);
    }

    #[test]
    fn counts_beyond_32_bits_are_kept() {
        let mut counters = Counters::new();
        for _ in 0..3 {
            counters.with_room_for(1 << 31)[7] += 1 << 31;
        }
        assert_eq!(counters.take(), [(7, 3 << 31)]);
    }
}
