//! Which rows of one checkpoint's tree are shown, in which order, and which is selected.
//!
//! Rows are rebuilt when something changes, never per frame; a view only walks the visible part of [`TreeState::rows`].

mod facets;
mod item;
mod rows;

use std::collections::HashSet;
use std::sync::Arc;

use super::scan::{Scan, Statistic};
use crate::model::{Checkpoint, LayerTree, NodeId, TensorId, filter::NameFilter};

pub use facets::{Facets, Kinds};
pub use item::{Item, bytes, elements, full_name, name, parameters};

/// Opening a checkpoint unfolds whole levels as long as about this many rows result: one screen.
const ROWS_AT_FIRST: usize = 40;

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
    fn starts_descending(self) -> bool {
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

/// Fold, order, filter and selection of one checkpoint's tree.
#[derive(Debug, Clone, Default)]
pub struct TreeState {
    open: HashSet<NodeId>,
    filter_text: String,
    filter_error: Option<String>,
    filter: Option<NameFilter>,
    facets: Facets,
    kinds: Arc<Kinds>,
    /// With a filter, groups that were closed by hand; all others are open.
    closed_while_filtering: HashSet<NodeId>,
    sort: SortColumn,
    descending: bool,
    selected: Option<Item>,
    rows: Arc<[Row]>,
    matching: usize,
    scroll_to: Option<(u64, usize)>,
    scrolls: u64,
    rebuilds: u64,
}

impl TreeState {
    /// The tree of a freshly opened checkpoint.
    pub fn new(checkpoint: &Checkpoint) -> Self {
        let tree = checkpoint.layer_tree();
        let mut state = Self { kinds: Arc::new(Kinds::of(checkpoint)), ..Self::default() };
        // These formats store by size or by the bytes of the name, an order that tells nothing.
        if ["safetensors", "tf-checkpoint"].iter().any(|format| checkpoint.format().starts_with(format)) {
            state.sort = SortColumn::Name;
        }
        let mut shown = tree.node(tree.root()).children.len() + tree.node(tree.root()).tensors.len();
        let mut level = tree.node(tree.root()).children.clone();
        while !level.is_empty() {
            let inside: usize =
                level.iter().map(|&id| tree.node(id).children.len() + tree.node(id).tensors.len()).sum();
            if shown + inside > ROWS_AT_FIRST && shown > 1 {
                break;
            }
            shown += inside;
            state.open.extend(level.iter().copied());
            level = level.iter().flat_map(|&id| tree.node(id).children.iter().copied()).collect();
        }
        state.rebuild(checkpoint, &Scan::default());
        state
    }

    /// The same fold, order, filter and selection on a reloaded file, by name.
    #[must_use]
    pub fn carry_over(&self, before: &Checkpoint, after: &Checkpoint) -> Self {
        let (old, new) = (before.layer_tree(), after.layer_tree());
        let by_path: std::collections::HashMap<String, NodeId> =
            (0..new.len() as u32).map(|id| (new.path(NodeId(id)), NodeId(id))).collect();
        let group = |id: &NodeId| by_path.get(&old.path(*id)).copied();
        let mut state = Self {
            open: self.open.iter().filter_map(group).collect(),
            closed_while_filtering: self.closed_while_filtering.iter().filter_map(group).collect(),
            selected: self.selected.and_then(|item| match item {
                Item::Group(id) => group(&id).map(Item::Group),
                Item::Tensor(id) => after.find(&before.tensor(id).name).map(Item::Tensor),
            }),
            kinds: Arc::new(Kinds::of(after)),
            ..self.clone()
        };
        state.rebuild(after, &Scan::default());
        state
    }

    /// The rows, top to bottom.
    pub fn rows(&self) -> &Arc<[Row]> {
        &self.rows
    }

    /// What is selected.
    pub fn selected(&self) -> Option<Item> {
        self.selected
    }

    /// The filter as typed.
    pub fn filter_text(&self) -> &str {
        &self.filter_text
    }

    /// What is wrong with the filter; it then shows everything.
    pub fn filter_error(&self) -> Option<&str> {
        self.filter_error.as_deref()
    }

    /// Tensors that pass the filter; `None` without one.
    pub fn matching(&self) -> Option<usize> {
        self.is_filtered().then_some(self.matching)
    }

    /// The kinds of tensors that are shown.
    pub fn facets(&self) -> &Facets {
        &self.facets
    }

    /// The kinds of tensors there are.
    pub fn kinds(&self) -> &Kinds {
        &self.kinds
    }

    /// Whether a tensor passes the filter and the facets.
    pub fn passes(&self, checkpoint: &Checkpoint, scan: &Scan, id: TensorId) -> bool {
        let named = self.filter.as_ref().is_none_or(|filter| filter.matches(&checkpoint.tensor(id).name));
        named && self.facets.matches(checkpoint, scan, id)
    }

    /// How often the rows were made anew: work that must follow changes, not frames.
    pub fn rebuilds(&self) -> u64 {
        self.rebuilds
    }

    /// Brings the rows up to date when a scan found more and they depend on it.
    pub fn scan_changed(&mut self, checkpoint: &Checkpoint, scan: &Scan) {
        if matches!(self.sort, SortColumn::Statistic(_)) || !self.facets.values.is_empty() {
            self.rebuild(checkpoint, scan);
        }
    }

    fn is_filtered(&self) -> bool {
        self.filter.is_some() || !self.facets.is_empty()
    }

    /// Order of the rows, and whether from large to small.
    pub fn sort(&self) -> (SortColumn, bool) {
        (self.sort, self.descending)
    }

    /// A row that should be brought into view, with a number that grows with each such wish.
    pub fn scroll_to(&self) -> Option<(u64, usize)> {
        self.scroll_to
    }

    /// Row of an item, where it is shown.
    pub fn row_of(&self, item: Item) -> Option<usize> {
        self.rows.iter().position(|row| row.item == item)
    }

    /// Makes a change and brings the rows up to date.
    pub fn change(&mut self, checkpoint: &Checkpoint, scan: &Scan, change: TreeChange) {
        let tree = checkpoint.layer_tree();
        match change {
            TreeChange::Filter(text) => self.set_filter(text),
            TreeChange::Facets(facets) => {
                self.closed_while_filtering.clear();
                self.facets = facets;
            }
            TreeChange::Toggle(id) => self.set_open(id, !self.is_open(id)),
            TreeChange::Select(item) => {
                self.selected = item;
                if let Some(item) = item
                    && self.reveal(tree, item)
                {
                    self.rebuild(checkpoint, scan);
                    self.wish_to_see_selection();
                }
                return;
            }
            TreeChange::Move(by) => {
                self.step(by);
                return;
            }
            TreeChange::Expand => match self.selected {
                Some(Item::Group(id)) if self.is_open(id) => {
                    self.step(1);
                    return;
                }
                Some(Item::Group(id)) => self.set_open(id, true),
                _ => return,
            },
            TreeChange::Collapse => match self.selected {
                Some(Item::Group(id)) if self.is_open(id) => self.set_open(id, false),
                Some(item) => {
                    let parent = match item {
                        Item::Group(id) => tree.node(id).parent,
                        Item::Tensor(id) => Some(tree.parent_of(id)),
                    };
                    if let Some(parent) = parent.filter(|&parent| parent != tree.root()) {
                        self.selected = Some(Item::Group(parent));
                        self.wish_to_see_selection();
                    }
                    return;
                }
                None => return,
            },
            TreeChange::ExpandAll => {
                self.open = (1..tree.len() as u32).map(NodeId).collect();
                self.closed_while_filtering.clear();
            }
            TreeChange::CollapseAll => {
                self.open.clear();
                if self.is_filtered() {
                    self.closed_while_filtering = (1..tree.len() as u32).map(NodeId).collect();
                }
            }
            TreeChange::ExpandTo(level) => {
                let all = (1..tree.len() as u32).map(NodeId);
                let (open, closed): (Vec<_>, Vec<_>) = all.partition(|&id| tree.node(id).depth <= level);
                self.open = open.into_iter().collect();
                self.closed_while_filtering =
                    if self.is_filtered() { closed.into_iter().collect() } else { HashSet::new() };
            }
            TreeChange::SortBy(column) => {
                if self.sort != column {
                    (self.sort, self.descending) = (column, column.starts_descending());
                } else if self.descending == column.starts_descending() {
                    self.descending = !self.descending;
                } else {
                    (self.sort, self.descending) = (SortColumn::File, false);
                }
            }
        }
        self.rebuild(checkpoint, scan);
    }

    fn set_filter(&mut self, text: String) {
        self.closed_while_filtering.clear();
        (self.filter, self.filter_error) = if text.trim().is_empty() {
            (None, None)
        } else {
            match NameFilter::parse(&text) {
                Ok(filter) => (Some(filter), None),
                Err(error) => (None, Some(error)),
            }
        };
        self.filter_text = text;
    }

    fn is_open(&self, id: NodeId) -> bool {
        if self.is_filtered() { !self.closed_while_filtering.contains(&id) } else { self.open.contains(&id) }
    }

    fn set_open(&mut self, id: NodeId, open: bool) {
        let (set, insert) = if self.is_filtered() {
            (&mut self.closed_while_filtering, !open)
        } else {
            (&mut self.open, open)
        };
        if insert {
            set.insert(id);
        } else {
            set.remove(&id);
        }
    }

    /// Opens the groups around an item; says whether one was closed.
    fn reveal(&mut self, tree: &LayerTree, item: Item) -> bool {
        let mut around = match item {
            Item::Group(id) => tree.node(id).parent,
            Item::Tensor(id) => Some(tree.parent_of(id)),
        };
        let mut opened = false;
        while let Some(id) = around.filter(|&id| id != tree.root()) {
            if !self.is_open(id) {
                self.set_open(id, true);
                opened = true;
            }
            around = tree.node(id).parent;
        }
        opened
    }

    fn step(&mut self, by: i64) {
        let Some(last) = self.rows.len().checked_sub(1) else { return };
        let at = self.selected.and_then(|item| self.row_of(item));
        let next = match at {
            Some(at) => (at as i64).saturating_add(by).clamp(0, last as i64) as usize,
            None if by < 0 => last,
            None => 0,
        };
        self.selected = self.rows.get(next).map(|row| row.item);
        self.wish_to_see_selection();
    }

    fn wish_to_see_selection(&mut self) {
        if let Some(row) = self.selected.and_then(|item| self.row_of(item)) {
            self.scrolls += 1;
            self.scroll_to = Some((self.scrolls, row));
        }
    }
}
