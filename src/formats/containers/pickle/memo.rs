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
    /// The slot that `MEMOIZE` fills.
    pub(super) next: u64,
}

impl Memo {
    pub(super) fn put(&mut self, slot: u64, id: NodeId) {
        self.next += 1;
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
