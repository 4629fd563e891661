//! What a row of the comparison is of, and what it says.

use super::Found;
use crate::analysis::diff::{DiffRow, PairDiff, PairStatus};
use crate::analysis::pairing::MatchedBy;
use crate::model::{NodeId, TensorId, TensorInfo, layer_tree};

/// One thing in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CompareItem {
    /// A layer of either side.
    Group(NodeId),
    /// Index of a pair or of a tensor of one side, into the rows of the comparison's tree.
    Leaf(u32),
}

/// The tensors of a leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LeafTensors {
    /// On the left.
    pub left: Option<TensorId>,
    /// On the right.
    pub right: Option<TensorId>,
}

impl Found {
    /// The tensors of a leaf; both `None` for one that is not there.
    pub fn tensors(&self, leaf: u32) -> LeafTensors {
        let (left, right) = match self.tree().rows.get(leaf as usize) {
            Some(DiffRow::Pair(index)) => {
                let pair = self.pairing().pairs.get(*index);
                (pair.map(|pair| pair.left), pair.map(|pair| pair.right))
            }
            Some(DiffRow::OnlyLeft(id)) => (Some(*id), None),
            Some(DiffRow::OnlyRight(id)) => (None, Some(*id)),
            None => (None, None),
        };
        LeafTensors { left, right }
    }

    /// The tensor that gives a leaf its name: the left one, where there is one.
    pub fn naming_tensor(&self, leaf: u32) -> Option<&TensorInfo> {
        let tensors = self.tensors(leaf);
        tensors.left.map(|id| self.left.tensor(id)).or_else(|| tensors.right.map(|id| self.right.tensor(id)))
    }

    /// What was found about a leaf, where it is a pair that has been compared.
    pub fn leaf_pair(&self, leaf: u32) -> Option<&PairDiff> {
        match self.tree().rows.get(leaf as usize)? {
            DiffRow::Pair(index) => self.pair(*index),
            DiffRow::OnlyLeft(_) | DiffRow::OnlyRight(_) => None,
        }
    }
}

/// The last part of an item's name, as its row in the tree shows it.
pub fn name(found: &Found, item: CompareItem) -> &str {
    match item {
        CompareItem::Group(id) => &found.tree().tree.node(id).name,
        CompareItem::Leaf(leaf) => found
            .naming_tensor(leaf)
            .map_or("", |tensor| layer_tree::segments(&tensor.path).last().unwrap_or(tensor.name.as_str())),
    }
}

/// An item's whole name, on the left where it is there.
pub fn full_name(found: &Found, item: CompareItem) -> String {
    match item {
        CompareItem::Group(id) => found.tree().tree.path(id),
        CompareItem::Leaf(leaf) => {
            found.naming_tensor(leaf).map(|tensor| tensor.name.clone()).unwrap_or_default()
        }
    }
}

/// The norm of the change as a fraction of the left's norm; `None` where there is no number to show.
pub fn relative_change(found: &Found, item: CompareItem) -> Option<f64> {
    match item {
        CompareItem::Group(id) => {
            let node = found.tree().node(id);
            (node.elements > 0 && node.different > 0).then(|| node.relative_l2())
        }
        CompareItem::Leaf(leaf) => {
            let pair = found.leaf_pair(leaf)?;
            let differs = pair.status != PairStatus::Identical;
            pair.values.as_ref().filter(|_| differs).map(crate::analysis::diff::ValueDiff::relative_l2)
        }
    }
}

/// What is to be said about a leaf in a word or two, where a number does not say it all.
pub fn leaf_words(found: &Found, leaf: u32) -> &'static str {
    let pair = match found.tree().rows.get(leaf as usize) {
        Some(DiffRow::OnlyLeft(_)) => return "only left",
        Some(DiffRow::OnlyRight(_)) => return "only right",
        Some(DiffRow::Pair(index)) => found.pair(*index),
        None => None,
    };
    let Some(pair) = pair else { return "…" };
    match (pair.status, pair.renamed) {
        (PairStatus::Unreadable, _) => "unreadable",
        (PairStatus::Reshaped, _) => "reshaped",
        (PairStatus::DtypeChanged, _) => "dtype changed",
        (PairStatus::Changed, true) => "renamed",
        (PairStatus::Changed, false) => "changed",
        (PairStatus::Identical, true) if pair.pair.by == MatchedBy::Content => "renamed, same bytes",
        (PairStatus::Identical, true) if pair.pair.by == MatchedBy::Shape => "identical, a guess",
        (PairStatus::Identical, true) => "renamed, identical",
        (PairStatus::Identical, false) => "identical",
    }
}
