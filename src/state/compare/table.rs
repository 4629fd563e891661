//! Which rows of a comparison are shown, in which order, and which is selected.
//!
//! Rows of a large comparison are made by a job; until it ends, the ones before stay.

mod rows;

use std::sync::Arc;

use super::{Chip, CompareItem, Found, LeafTensors};
use crate::jobs::Preparation;
use crate::model::{LayerTree, NodeId, Progress, TensorId};
use crate::state::outline::{AT_ONCE, NodeSet, TypedFilter};
use rows::Spec;

pub use rows::MadePairs;

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
#[derive(Debug, Clone, Default)]
pub struct CompareTable {
    spec: Spec,
    /// Whether groups were opened or closed by hand, so that results no longer decide which are open.
    touched: bool,
    filter: TypedFilter,
    selected: Option<CompareItem>,
    rows: Arc<[CompareRow]>,
    matching: usize,
    largest: f64,
    /// Whether a job makes newer rows.
    awaited: bool,
    /// Whether the selection is to be brought into view once they are there.
    show_selection: bool,
    scroll_to: Option<(u64, usize)>,
    scrolls: u64,
    rebuilds: u64,
}

impl CompareTable {
    /// Forgets everything of one comparison but how it is to be shown.
    pub fn clear(&mut self) {
        let Spec { as_list, sort, descending, .. } = self.spec;
        *self = Self {
            spec: Spec { as_list, sort, descending, ..Spec::default() },
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
        self.spec.as_list
    }

    /// Whether rows of a kind were asked for.
    pub fn is_chosen(&self, chip: Chip) -> bool {
        self.spec.chips.contains(&chip)
    }

    /// The filter as typed.
    pub fn filter_text(&self) -> &str {
        self.filter.text()
    }

    /// What is wrong with the filter; it then shows everything.
    pub fn filter_error(&self) -> Option<&str> {
        self.filter.error()
    }

    /// Leaves that pass the filter; `None` without one.
    pub fn matching(&self) -> Option<usize> {
        self.spec.is_filtered().then_some(self.matching)
    }

    /// Order of the rows, and whether from large to small.
    pub fn sort(&self) -> (CompareColumn, bool) {
        (self.spec.sort, self.spec.descending)
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

    /// Whether newer rows are on their way.
    pub fn is_awaiting_rows(&self) -> bool {
        self.awaited
    }

    /// Brings the table up to date with what was found. `kept` are the tensors of what was selected before, where leaves are
    /// numbered anew. Rows are made at once, or by what is handed back.
    #[must_use]
    pub fn found_changed(&mut self, found: &Arc<Found>, kept: Option<LeafTensors>) -> Option<Preparation> {
        if let Some(kept) = kept {
            self.selected = leaf_of(found, kept).map(CompareItem::Leaf);
            self.touched = false;
            // Rows of another comparison would name the wrong tensors.
            self.rows = Arc::default();
        }
        if !self.touched {
            self.open_what_differs(found);
        }
        self.renew(found)
    }

    /// Makes a change and brings the rows up to date: at once, or by what is handed back.
    #[must_use]
    pub fn change(&mut self, found: &Arc<Found>, change: PairsChange) -> Option<Preparation> {
        let tree = &found.tree().tree;
        let spec = &mut self.spec;
        match change {
            PairsChange::Chip(chip) => {
                spec.folds.filter_changed();
                if spec.chips.contains(&chip) {
                    spec.chips.retain(|other| *other != chip);
                } else {
                    spec.chips.push(chip);
                }
            }
            PairsChange::Filter(text) => {
                spec.folds.filter_changed();
                spec.filter = self.filter.set(text);
            }
            PairsChange::AsList(list) => spec.as_list = list,
            PairsChange::SortBy(column) => {
                let large_first = !matches!(column, CompareColumn::Name | CompareColumn::Cosine);
                spec.descending = if spec.sort == column { !spec.descending } else { large_first };
                spec.sort = column;
            }
            PairsChange::Toggle(id) => self.set_open(id, !self.spec.is_open(id)),
            PairsChange::Select(item) => {
                self.selected = item;
                if let Some(item) = item
                    && self.reveal(tree, item)
                {
                    self.show_selection = true;
                    return self.renew(found);
                }
                return None;
            }
            PairsChange::Move(by) => {
                self.step(by);
                return None;
            }
            PairsChange::Expand => match self.selected {
                Some(CompareItem::Group(id)) if self.spec.is_open(id) => {
                    self.step(1);
                    return None;
                }
                Some(CompareItem::Group(id)) => self.set_open(id, true),
                _ => return None,
            },
            PairsChange::Collapse => match self.selected {
                Some(CompareItem::Group(id)) if self.spec.is_open(id) => self.set_open(id, false),
                Some(item) if !self.spec.as_list => {
                    if let Some(parent) = parent_of(tree, item).filter(|&parent| parent != tree.root()) {
                        self.selected = Some(CompareItem::Group(parent));
                        self.wish_to_see_selection();
                    }
                    return None;
                }
                _ => return None,
            },
            PairsChange::ExpandAll => {
                self.touched = true;
                self.spec.open_only(tree, |_| true);
            }
            PairsChange::CollapseAll => {
                self.touched = true;
                self.spec.open_only(tree, |_| false);
            }
        }
        self.renew(found)
    }

    /// Takes in rows that a job made.
    pub fn prepared(&mut self, made: &MadePairs) {
        self.take(made.clone());
    }

    fn take(&mut self, made: MadePairs) {
        self.rebuilds += 1;
        self.awaited = false;
        (self.rows, self.matching, self.largest) = (made.rows, made.matching, made.largest);
        if std::mem::take(&mut self.show_selection) {
            self.wish_to_see_selection();
        }
    }

    /// Makes the rows anew: at once where they are few, otherwise by what is handed back.
    fn renew(&mut self, found: &Arc<Found>) -> Option<Preparation> {
        // While results arrive they are changed in place, and no job may hold on to them.
        if found.whole().is_some() && found.tree().rows.len() > AT_ONCE {
            self.awaited = true;
            let (spec, found) = (self.spec.clone(), found.clone());
            return Some(Preparation::new(move |progress| spec.make(&found, progress)));
        }
        if let Ok(made) = self.spec.make(found, &Progress::new()) {
            self.take(made);
        }
        None
    }

    fn set_open(&mut self, id: NodeId, open: bool) {
        self.touched = true;
        self.spec.set_open(id, open);
    }

    /// Opens the layers in which something differs, level by level, as long as the rows fit on a screen.
    fn open_what_differs(&mut self, found: &Found) {
        let tree = &found.tree().tree;
        let rows_in = |id: NodeId| tree.node(id).children.len() + tree.node(id).tensors.len();
        let differs = |id: &NodeId| {
            let sums = found.tree().node(*id);
            sums.different + sums.only_left + sums.only_right > 0
        };
        let open = &mut self.spec.folds.open;
        *open = NodeSet::default();
        let mut shown = rows_in(tree.root());
        let mut level: Vec<NodeId> =
            tree.node(tree.root()).children.iter().copied().filter(differs).collect();
        while !level.is_empty() {
            let inside: usize = level.iter().map(|&id| rows_in(id)).sum();
            if shown + inside > ROWS_AT_FIRST && shown > 1 {
                break;
            }
            shown += inside;
            for &id in &level {
                open.set(id, true);
            }
            level =
                level.iter().flat_map(|&id| tree.node(id).children.iter().copied()).filter(differs).collect();
        }
    }

    /// Opens the groups around an item; says whether one was closed.
    fn reveal(&mut self, tree: &LayerTree, item: CompareItem) -> bool {
        let mut around = parent_of(tree, item);
        let mut opened = false;
        while let Some(id) = around.filter(|&id| id != tree.root()) {
            if !self.spec.is_open(id) {
                self.set_open(id, true);
                opened = true;
            }
            around = tree.node(id).parent;
        }
        opened && !self.spec.as_list
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
