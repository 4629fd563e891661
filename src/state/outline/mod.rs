//! What the tree of one checkpoint and the table of a comparison share: which groups are open, what passes a filter, and
//! in which order things stand inside a group.

mod node_set;

use std::cmp::Ordering;

use crate::model::layer_tree::natural_cmp;
use crate::model::{LayerTree, NameFilter, NodeId, TensorId};

pub use node_set::NodeSet;

/// Up to this many tensors, rows are made at once: it takes a few milliseconds. Those of more are made by a job.
pub const AT_ONCE: usize = 20_000;

/// Rows made, or tensors filtered, between two looks at whether the work was cancelled.
pub const STEPS: usize = 4096;

/// Which groups are open. A filter opens all that something passes in; those closed by hand meanwhile are kept apart.
#[derive(Debug, Clone, Default)]
pub struct Folds {
    /// Without a filter, the groups that are open.
    pub open: NodeSet,
    /// With a filter, the groups that were closed by hand.
    pub closed_while_filtering: NodeSet,
}

impl Folds {
    /// Whether a group is open.
    pub fn is_open(&self, id: NodeId, filtered: bool) -> bool {
        if filtered { !self.closed_while_filtering.contains(id) } else { self.open.contains(id) }
    }

    /// Opens or closes a group.
    pub fn set_open(&mut self, id: NodeId, open: bool, filtered: bool) {
        if filtered {
            self.closed_while_filtering.set(id, !open);
        } else {
            self.open.set(id, open);
        }
    }

    /// Opens the groups that pass and closes all others.
    pub fn open_only(&mut self, tree: &LayerTree, filtered: bool, pass: impl Fn(NodeId) -> bool) {
        self.open = NodeSet::all(tree.len(), &pass);
        self.closed_while_filtering =
            if filtered { NodeSet::all(tree.len(), |id| !pass(id)) } else { NodeSet::default() };
    }

    /// Another filter opens everything again.
    pub fn filter_changed(&mut self) {
        self.closed_while_filtering = NodeSet::default();
    }
}

/// A filter by name as it is typed.
#[derive(Debug, Clone, Default)]
pub struct TypedFilter {
    text: String,
    error: Option<String>,
}

impl TypedFilter {
    /// Takes in what was typed; `None` where nothing was, or nothing that can be understood.
    pub fn set(&mut self, text: String) -> Option<NameFilter> {
        self.text = text;
        self.error = None;
        if self.text.trim().is_empty() {
            return None;
        }
        NameFilter::parse(&self.text).map_err(|error| self.error = Some(error)).ok()
    }

    /// As typed.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What is wrong with it; everything is then shown.
    pub fn error(&self) -> Option<&str> {
        self.error.as_deref()
    }
}

/// What passes a filter, per tensor and per group.
pub struct Passing {
    tensors: Vec<bool>,
    groups: Vec<bool>,
    /// Tensors that pass.
    pub count: usize,
}

impl Passing {
    /// Nothing yet, of so many tensors in a tree.
    pub fn none(tensors: usize, tree: &LayerTree) -> Self {
        Self { tensors: vec![false; tensors], groups: vec![false; tree.len()], count: 0 }
    }

    /// Lets a tensor pass, and the groups around it.
    pub fn pass(&mut self, tree: &LayerTree, id: TensorId) {
        let Some(passes) = self.tensors.get_mut(id.index()) else { return };
        *passes = true;
        self.count += 1;
        let mut at = Some(tree.parent_of(id));
        while let Some(group) = at {
            let Some(passes) = self.groups.get_mut(group.0 as usize) else { return };
            if std::mem::replace(passes, true) {
                return;
            }
            at = tree.node(group).parent;
        }
    }

    /// Whether a tensor passes.
    pub fn has_tensor(&self, id: TensorId) -> bool {
        self.tensors.get(id.index()).copied().unwrap_or(false)
    }

    /// Whether something in a group passes.
    pub fn has_group(&self, id: NodeId) -> bool {
        self.groups.get(id.0 as usize).copied().unwrap_or(false)
    }
}

/// What something is sorted by.
pub enum SortKey<'a> {
    /// Numbers in it by their value.
    Text(&'a str),
    /// How many.
    Count(u64),
    /// Unknown ones come last, whichever the direction.
    Number(Option<f64>),
    /// Nothing: the order of the file.
    None,
}

impl SortKey<'_> {
    /// Which of two comes first.
    pub fn compare(&self, other: &Self, descending: bool) -> Ordering {
        let order = match (self, other) {
            (Self::Text(a), Self::Text(b)) => natural_cmp(a, b),
            (Self::Count(a), Self::Count(b)) => a.cmp(b),
            (Self::Number(Some(a)), Self::Number(Some(b))) => a.total_cmp(b),
            (Self::Number(Some(_)), Self::Number(None)) => return Ordering::Less,
            (Self::Number(None), Self::Number(Some(_))) => return Ordering::Greater,
            _ => Ordering::Equal,
        };
        if descending { order.reverse() } else { order }
    }
}

/// For each group the first tensor inside, which is its place in file order.
pub fn first_tensors(tree: &LayerTree) -> Vec<u32> {
    let mut first = vec![u32::MAX; tree.len()];
    // A child's index is above its parent's, so one pass from the end sees children first.
    for index in (0..tree.len()).rev() {
        let node = tree.node(NodeId(index as u32));
        let own = node.tensors.iter().map(|id| id.0).min().unwrap_or(u32::MAX);
        let inside = node.children.iter().map(|id| first[id.0 as usize]).min().unwrap_or(u32::MAX);
        first[index] = own.min(inside);
    }
    first
}
