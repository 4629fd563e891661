//! A line of the tree table, what lines are sorted by, and the changes of the tree.

use super::{Facets, Item};
use crate::model::NodeId;
use crate::state::scan::Statistic;

/// One line of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// What it shows.
    pub item: Item,
    /// Indentation, 0 for the outermost.
    pub depth: u32,
    /// Whether what is inside follows.
    pub open: bool,
}

/// What the rows are ordered by, within each group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, serde::Serialize, serde::Deserialize)]
pub enum SortColumn {
    /// As stored.
    #[default]
    File,
    /// By name, numbers by their value.
    Name,
    /// By class of layer.
    Class,
    /// By number of elements.
    Shape,
    /// By element type.
    Dtype,
    /// By parameters (elements, where the file does not tell).
    Parameters,
    /// By bytes in the file.
    Bytes,
    /// By role.
    Role,
    /// By a statistic of the values, as far as the scan knows it.
    Statistic(Statistic),
}

impl SortColumn {
    /// Whether the first click sorts from large to small.
    pub(super) fn starts_descending(self) -> bool {
        matches!(self, Self::Shape | Self::Parameters | Self::Bytes | Self::Statistic(_))
    }
}

/// A change of the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TreeChange {
    /// Shows only tensors whose name passes.
    Filter(String),
    /// Shows only tensors that are of these kinds.
    Facets(Facets),
    /// Opens or closes a group.
    Toggle(NodeId),
    /// Selects, or shows the summary.
    Select(Option<Item>),
    /// Moves the selection by so many rows.
    Move(i64),
    /// Opens the selected group, or steps into it.
    Expand,
    /// Closes the selected group, or steps out of it.
    Collapse,
    /// Opens every group.
    ExpandAll,
    /// Closes every group.
    CollapseAll,
    /// Opens the groups of the first so many levels and closes the others.
    ExpandTo(u32),
    /// Sorts by a column; again, the other way; a third time, as stored.
    SortBy(SortColumn),
}
