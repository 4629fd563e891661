//! A set of groups of one tree: which are open.

use crate::model::NodeId;

/// A set of groups, one byte for each up to the highest that was ever in it.
#[derive(Debug, Clone, Default)]
pub struct NodeSet(Vec<bool>);

impl NodeSet {
    /// All groups of a tree of so many, or those of them that pass.
    pub fn all(count: usize, pass: impl Fn(NodeId) -> bool) -> Self {
        Self((0..count as u32).map(|id| pass(NodeId(id))).collect())
    }

    /// Whether a group is in it.
    pub fn contains(&self, id: NodeId) -> bool {
        self.0.get(id.0 as usize).copied().unwrap_or(false)
    }

    /// Puts a group in, or takes it out.
    pub fn set(&mut self, id: NodeId, within: bool) {
        let index = id.0 as usize;
        if index >= self.0.len() {
            self.0.resize(index + 1, false);
        }
        if let Some(slot) = self.0.get_mut(index) {
            *slot = within;
        }
    }

    /// The groups in it, in order.
    pub fn iter(&self) -> impl Iterator<Item = NodeId> {
        self.0.iter().enumerate().filter(|(_, within)| **within).map(|(index, _)| NodeId(index as u32))
    }
}

impl FromIterator<NodeId> for NodeSet {
    fn from_iter<T: IntoIterator<Item = NodeId>>(ids: T) -> Self {
        let mut set = Self::default();
        for id in ids {
            set.set(id, true);
        }
        set
    }
}
