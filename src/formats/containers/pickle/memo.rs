//! The memo of the stack machine: values that the stream stored to use them again.

use std::collections::HashMap;

use super::graph::NodeId;

/// Memo slots below this are kept in a plain vector.
const DENSE_MEMO: u64 = 1 << 24;

/// What was stored for reuse, by slot number. Honest slots count up from 0 or 1.
#[derive(Default)]
pub(super) struct Memo {
    dense: Vec<Option<NodeId>>,
    sparse: HashMap<u64, NodeId>,
    /// The slot that `MEMOIZE` fills: how many slots are filled, as in `CPython`. A slot that is filled twice counts
    /// once; a reader that counts otherwise can be made to see other names than Python does.
    pub(super) next: u64,
}

impl Memo {
    pub(super) fn put(&mut self, slot: u64, id: NodeId) {
        if self.get(slot).is_none() {
            self.next += 1;
        }
        if slot < DENSE_MEMO && slot <= self.dense.len() as u64 * 2 + 1024 {
            let slot = slot as usize;
            if slot >= self.dense.len() {
                self.dense.resize(slot + 1, None);
            }
            self.dense[slot] = Some(id);
        } else {
            self.sparse.insert(slot, id);
        }
    }

    pub(super) fn get(&self, slot: u64) -> Option<NodeId> {
        let dense = usize::try_from(slot).ok().and_then(|slot| self.dense.get(slot)).copied().flatten();
        // A slot can have been put while the vector was too short for it.
        dense.or_else(|| self.sparse.get(&slot).copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::formats::containers::pickle::Graph;

    #[test]
    fn a_slot_that_is_filled_twice_counts_once() {
        let mut memo = Memo::default();
        for slot in [0, 0, 1 << 40, 1 << 40, 0] {
            memo.put(slot, Graph::NONE);
        }
        assert_eq!(memo.next, 2);
    }
}
