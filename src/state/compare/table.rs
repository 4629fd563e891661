//! Which rows of a comparison are shown, in which order, and which is selected.

mod rows;

use std::collections::HashSet;
use std::sync::Arc;

use super::{Chip, CompareItem, Found, LeafTensors};
use crate::model::{LayerTree, NameFilter, NodeId, TensorId};

/// A comparison shows whole levels of layers that differ as long as about this many rows result: one screen.
const ROWS_AT_FIRST: usize = 40;

/// One line of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompareRow {
    /// What it shows.
    pub item: CompareItem,
    /// Indentation, 0 for the outermost.
    pub depth: u32,
    /// Whether what is inside follows.
    pub open: bool,
}

/// What the rows are ordered by, within each layer or, as a list, over all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum CompareColumn {
    /// By name, numbers by their value.
    Name,
    /// By the norm of the change relative to the left's. What has no such number comes after what has one, except pairs that
    /// differ in other ways.
    #[default]
    Relative,
    /// By the share of elements that changed.
    Changed,
    /// By the largest magnitude of a difference.
    MaxAbs,
    /// By the cosine of the angle between both.
    Cosine,
}

/// A change of the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PairsChange {
    /// Shows rows of this kind, too, or no longer. With none chosen, everything is shown.
    Chip(Chip),
    /// Shows only rows whose name passes.
    Filter(String),
    /// One row per tensor, or below their layers.
    AsList(bool),
    /// Sorts by a column; again, the other way.
    SortBy(CompareColumn),
    /// Opens or closes a group.
    Toggle(NodeId),
    /// Selects, or shows the overview.
    Select(Option<CompareItem>),
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
}

/// Order, filter, folds and selection.
#[derive(Debug, Clone)]
pub struct CompareTable {
    open: HashSet<NodeId>,
    /// Whether groups were opened or closed by hand, so that results no longer decide which are open.
    touched: bool,
    /// With a filter, groups that were closed by hand; all others are open.
    closed_while_filtering: HashSet<NodeId>,
    as_list: bool,
    chips: Vec<Chip>,
    filter_text: String,
    filter_error: Option<String>,
    filter: Option<NameFilter>,
    sort: CompareColumn,
    descending: bool,
    selected: Option<CompareItem>,
    rows: Arc<[CompareRow]>,
    matching: usize,
    largest: f64,
    scroll_to: Option<(u64, usize)>,
    scrolls: u64,
    rebuilds: u64,
}

impl Default for CompareTable {
    fn default() -> Self {
        Self {
            open: HashSet::new(),
            touched: false,
            closed_while_filtering: HashSet::new(),
            as_list: true,
            chips: Vec::new(),
            filter_text: String::new(),
            filter_error: None,
            filter: None,
            sort: CompareColumn::default(),
            descending: true,
            selected: None,
            rows: Arc::new([]),
            matching: 0,
            largest: 0.0,
            scroll_to: None,
            scrolls: 0,
            rebuilds: 0,
        }
    }
}

impl CompareTable {
    /// Forgets everything of one comparison but how it is to be shown.
    pub fn clear(&mut self) {
        *self = Self {
            as_list: self.as_list,
            sort: self.sort,
            descending: self.descending,
            scrolls: self.scrolls,
            rebuilds: self.rebuilds,
            ..Self::default()
        };
    }

    /// The rows, top to bottom.
    pub fn rows(&self) -> &Arc<[CompareRow]> {
        &self.rows
    }

    /// What is selected.
    pub fn selected(&self) -> Option<CompareItem> {
        self.selected
    }

    /// Whether there is one row per tensor.
    pub fn is_list(&self) -> bool {
        self.as_list
    }

    /// Whether rows of a kind were asked for.
    pub fn is_chosen(&self, chip: Chip) -> bool {
        self.chips.contains(&chip)
    }

    /// The filter as typed.
    pub fn filter_text(&self) -> &str {
        &self.filter_text
    }

    /// What is wrong with the filter; it then shows everything.
    pub fn filter_error(&self) -> Option<&str> {
        self.filter_error.as_deref()
    }

    /// Leaves that pass the filter; `None` without one.
    pub fn matching(&self) -> Option<usize> {
        self.is_filtered().then_some(self.matching)
    }

    /// Order of the rows, and whether from large to small.
    pub fn sort(&self) -> (CompareColumn, bool) {
        (self.sort, self.descending)
    }

    /// The relative change that fills a bar: the largest there is, within reason.
    pub fn largest(&self) -> f64 {
        self.largest
    }

    /// A row that should be brought into view, with a number that grows with each such wish.
    pub fn scroll_to(&self) -> Option<(u64, usize)> {
        self.scroll_to
    }

    /// How often the rows were made anew.
    pub fn rebuilds(&self) -> u64 {
        self.rebuilds
    }

    fn is_filtered(&self) -> bool {
        self.filter.is_some() || !self.chips.is_empty()
    }

    /// Brings the table up to date with what was found. `kept` are the tensors of what was selected before, where leaves are
    /// numbered anew.
    pub fn found_changed(&mut self, found: &Found, kept: Option<LeafTensors>) {
        if let Some(kept) = kept {
            self.selected = leaf_of(found, kept).map(CompareItem::Leaf);
            self.touched = false;
        }
        if !self.touched {
            self.open_what_differs(found);
        }
        self.rebuild(found);
    }

    /// Makes a change and brings the rows up to date.
    pub fn change(&mut self, found: &Found, change: PairsChange) {
        let tree = &found.tree().tree;
        match change {
            PairsChange::Chip(chip) => {
                self.closed_while_filtering.clear();
                if self.chips.contains(&chip) {
                    self.chips.retain(|other| *other != chip);
                } else {
                    self.chips.push(chip);
                }
            }
            PairsChange::Filter(text) => self.set_filter(text),
            PairsChange::AsList(list) => self.as_list = list,
            PairsChange::SortBy(column) => {
                let large_first = !matches!(column, CompareColumn::Name | CompareColumn::Cosine);
                self.descending = if self.sort == column { !self.descending } else { large_first };
                self.sort = column;
            }
            PairsChange::Toggle(id) => self.set_open(id, !self.is_open(id)),
            PairsChange::Select(item) => {
                self.selected = item;
                if let Some(item) = item
                    && self.reveal(tree, item)
                {
                    self.rebuild(found);
                    self.wish_to_see_selection();
                }
                return;
            }
            PairsChange::Move(by) => {
                self.step(by);
                return;
            }
            PairsChange::Expand => match self.selected {
                Some(CompareItem::Group(id)) if self.is_open(id) => {
                    self.step(1);
                    return;
                }
                Some(CompareItem::Group(id)) => self.set_open(id, true),
                _ => return,
            },
            PairsChange::Collapse => match self.selected {
                Some(CompareItem::Group(id)) if self.is_open(id) => self.set_open(id, false),
                Some(item) if !self.as_list => {
                    if let Some(parent) = parent_of(tree, item).filter(|&parent| parent != tree.root()) {
                        self.selected = Some(CompareItem::Group(parent));
                        self.wish_to_see_selection();
                    }
                    return;
                }
                _ => return,
            },
            PairsChange::ExpandAll => {
                self.touched = true;
                self.open = (1..tree.len() as u32).map(NodeId).collect();
                self.closed_while_filtering.clear();
            }
            PairsChange::CollapseAll => {
                self.touched = true;
                self.open.clear();
                if self.is_filtered() {
                    self.closed_while_filtering = (1..tree.len() as u32).map(NodeId).collect();
                }
            }
        }
        self.rebuild(found);
    }

    fn set_filter(&mut self, text: String) {
        self.closed_while_filtering.clear();
        let parsed = if text.trim().is_empty() { Ok(None) } else { NameFilter::parse(&text).map(Some) };
        (self.filter, self.filter_error) = match parsed {
            Ok(filter) => (filter, None),
            Err(error) => (None, Some(error)),
        };
        self.filter_text = text;
    }

    fn is_open(&self, id: NodeId) -> bool {
        if self.is_filtered() { !self.closed_while_filtering.contains(&id) } else { self.open.contains(&id) }
    }

    fn set_open(&mut self, id: NodeId, open: bool) {
        self.touched = true;
        let filtered = self.is_filtered();
        let set = if filtered { &mut self.closed_while_filtering } else { &mut self.open };
        if open == filtered {
            set.remove(&id);
        } else {
            set.insert(id);
        }
    }

    /// Opens the layers in which something differs, level by level, as long as the rows fit on a screen.
    fn open_what_differs(&mut self, found: &Found) {
        let tree = &found.tree().tree;
        let rows_in = |id: NodeId| tree.node(id).children.len() + tree.node(id).tensors.len();
        let differs = |id: &NodeId| {
            let sums = found.tree().node(*id);
            sums.different + sums.only_left + sums.only_right > 0
        };
        self.open.clear();
        let mut shown = rows_in(tree.root());
        let mut level: Vec<NodeId> =
            tree.node(tree.root()).children.iter().copied().filter(differs).collect();
        while !level.is_empty() {
            let inside: usize = level.iter().map(|&id| rows_in(id)).sum();
            if shown + inside > ROWS_AT_FIRST && shown > 1 {
                break;
            }
            shown += inside;
            self.open.extend(level.iter().copied());
            level =
                level.iter().flat_map(|&id| tree.node(id).children.iter().copied()).filter(differs).collect();
        }
    }

    /// Opens the groups around an item; says whether one was closed.
    fn reveal(&mut self, tree: &LayerTree, item: CompareItem) -> bool {
        let mut around = parent_of(tree, item);
        let mut opened = false;
        while let Some(id) = around.filter(|&id| id != tree.root()) {
            if !self.is_open(id) {
                self.set_open(id, true);
                opened = true;
            }
            around = tree.node(id).parent;
        }
        opened && !self.as_list
    }

    fn row_of(&self, item: CompareItem) -> Option<usize> {
        self.rows.iter().position(|row| row.item == item)
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

fn parent_of(tree: &LayerTree, item: CompareItem) -> Option<NodeId> {
    match item {
        CompareItem::Group(id) => tree.node(id).parent,
        CompareItem::Leaf(leaf) => Some(tree.parent_of(TensorId(leaf))),
    }
}

/// The leaf that holds one of these tensors.
fn leaf_of(found: &Found, wanted: LeafTensors) -> Option<u32> {
    let leaves = 0..found.tree().rows.len() as u32;
    let holds = |leaf: &u32| {
        let tensors = found.tensors(*leaf);
        (wanted.left.is_some() && tensors.left == wanted.left)
            || (wanted.right.is_some() && tensors.right == wanted.right)
    };
    leaves.into_iter().find(holds)
}
