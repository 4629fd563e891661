//! What a row of the tree is of, and what it says.

use crate::model::{Checkpoint, NodeId, TensorId};

/// One thing in the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Item {
    /// A layer, module or dictionary.
    Group(NodeId),
    /// A tensor.
    Tensor(TensorId),
}

/// The last part of an item's name, as its row shows it.
pub fn name(checkpoint: &Checkpoint, item: Item) -> &str {
    match item {
        Item::Group(id) => &checkpoint.layer_tree().node(id).name,
        Item::Tensor(id) => {
            let tensor = checkpoint.tensor(id);
            crate::model::layer_tree::segments(&tensor.path).last().unwrap_or(&tensor.name)
        }
    }
}

/// An item's whole name.
pub fn full_name(checkpoint: &Checkpoint, item: Item) -> String {
    match item {
        Item::Group(id) => checkpoint.layer_tree().path(id),
        Item::Tensor(id) => checkpoint.tensor(id).name.clone(),
    }
}

/// Elements in an item.
pub fn elements(checkpoint: &Checkpoint, item: Item) -> u64 {
    match item {
        Item::Group(id) => checkpoint.layer_tree().node(id).elements,
        Item::Tensor(id) => checkpoint.tensor(id).elements(),
    }
}

/// What the column of parameters counts: a group's parameters where the file tells which they are, else its elements.
pub fn parameters(checkpoint: &Checkpoint, item: Item) -> u64 {
    match item {
        Item::Group(id) => {
            let node = checkpoint.layer_tree().node(id);
            if node.parameters > 0 { node.parameters } else { node.elements }
        }
        Item::Tensor(id) => checkpoint.tensor(id).elements(),
    }
}

/// Bytes of an item in the file.
pub fn bytes(checkpoint: &Checkpoint, item: Item) -> u64 {
    match item {
        Item::Group(id) => checkpoint.layer_tree().node(id).bytes,
        Item::Tensor(id) => checkpoint.tensor(id).stored_bytes,
    }
}
