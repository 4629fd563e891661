//! Results by key, within a budget of bytes: the ones unused for longest go first.

use std::collections::HashMap;
use std::hash::Hash;

struct Entry<V> {
    value: V,
    bytes: usize,
    used: u64,
}

/// A map that forgets what was unused for longest when its values outgrow the budget.
pub struct Cache<K, V> {
    entries: HashMap<K, Entry<V>>,
    budget: usize,
    bytes: usize,
    clock: u64,
}

impl<K: Hash + Eq + Clone, V> Cache<K, V> {
    /// An empty cache that holds at most `budget` bytes, or one value that is larger.
    pub fn new(budget: usize) -> Self {
        Self { entries: HashMap::new(), budget, bytes: 0, clock: 0 }
    }

    /// The value of a key.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key).map(|entry| &entry.value)
    }

    /// Marks a key as used now; says whether it is there.
    pub fn touch(&mut self, key: &K) -> bool {
        self.clock += 1;
        match self.entries.get_mut(key) {
            Some(entry) => {
                entry.used = self.clock;
                true
            }
            None => false,
        }
    }

    /// Puts a value of that many bytes in, and others out when needed.
    pub fn insert(&mut self, key: K, value: V, bytes: usize) {
        self.remove(&key);
        let newest = key.clone();
        self.clock += 1;
        self.bytes += bytes;
        self.entries.insert(key, Entry { value, bytes, used: self.clock });
        while self.bytes > self.budget && self.entries.len() > 1 {
            let oldest = self
                .entries
                .iter()
                .filter(|(candidate, _)| **candidate != newest)
                .min_by_key(|(_, entry)| entry.used)
                .map(|(candidate, _)| candidate.clone());
            match oldest {
                Some(oldest) => self.remove(&oldest),
                None => break,
            };
        }
    }

    /// Takes a value out.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let entry = self.entries.remove(key)?;
        self.bytes -= entry.bytes;
        Some(entry.value)
    }

    /// Keeps only the keys that pass.
    pub fn retain(&mut self, mut keep: impl FnMut(&K) -> bool) {
        let bytes = &mut self.bytes;
        self.entries.retain(|key, entry| {
            let kept = keep(key);
            if !kept {
                *bytes -= entry.bytes;
            }
            kept
        });
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_value_unused_for_longest_goes_first() {
        let mut cache = Cache::new(10);
        cache.insert("a", 1, 4);
        cache.insert("b", 2, 4);
        cache.touch(&"a");
        cache.insert("c", 3, 4);
        assert_eq!((cache.get(&"a"), cache.get(&"b"), cache.get(&"c")), (Some(&1), None, Some(&3)));
        assert_eq!(cache.bytes(), 8);
    }

    #[test]
    fn a_value_larger_than_the_budget_is_kept_alone() {
        let mut cache = Cache::new(10);
        cache.insert("a", 1, 4);
        cache.insert("b", 2, 40);
        assert_eq!((cache.get(&"a"), cache.get(&"b")), (None, Some(&2)));
    }
}
