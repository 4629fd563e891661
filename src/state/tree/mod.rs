//! Which rows of one checkpoint's tree are shown, in which order, and which is selected.
//!
//! Rows are made when something changes, never per frame; a view only walks the visible part of [`TreeState::rows`].
//! Those of a large checkpoint are made by a job; until it ends, the ones before stay.

mod change;
mod facets;
mod item;
mod rows;

use std::sync::Arc;

use super::outline::{AT_ONCE, Folds, TypedFilter};
use super::scan::Scan;
use crate::jobs::Preparation;
use crate::model::{Checkpoint, LayerTree, NodeId, Progress, TensorId};
use rows::Spec;

pub use change::{Row, SortColumn, TreeChange};
pub use facets::{DtypeShare, Facets, Kinds};
pub use item::{Item, bytes, elements, full_name, name, parameters};
pub use rows::Made;

/// Opening a checkpoint unfolds whole levels as long as about this many rows result: one screen.
const ROWS_AT_FIRST: usize = 40;

/// Up to this many rows, some are inserted at once: the others are copied, which takes two milliseconds.
const ROWS_INSERTED_INTO: usize = 400_000;

/// Fold, order, filter and selection of one checkpoint's tree.
#[derive(Debug, Clone, Default)]
pub struct TreeState {
    spec: Spec,
    filter: TypedFilter,
    /// `None` until they were counted.
    kinds: Option<Arc<Kinds>>,
    selected: Option<Item>,
    rows: Arc<[Row]>,
    matching: usize,
    /// Whether a job makes newer rows.
    awaited: bool,
    /// Whether the selection is to be brought into view once they are there.
    show_selection: bool,
    /// The row that the selection was moved to last, so that the next step need not look for it.
    walked_to: usize,
    scroll_to: Option<(u64, usize)>,
    scrolls: u64,
    rebuilds: u64,
}

impl TreeState {
    /// The tree of a freshly opened checkpoint. Its rows are made at once, or by what is handed back.
    pub fn new(checkpoint: &Arc<Checkpoint>) -> (Self, Option<Preparation>) {
        let tree = checkpoint.layer_tree();
        let mut state = Self::default();
        // These formats store by size or by the bytes of the name, an order that tells nothing.
        if ["safetensors", "tf-checkpoint"].iter().any(|format| checkpoint.format().starts_with(format)) {
            state.spec.sort = SortColumn::Name;
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
            for &id in &level {
                state.spec.folds.open.set(id, true);
            }
            level = level.iter().flat_map(|&id| tree.node(id).children.iter().copied()).collect();
        }
        let work = state.renew(checkpoint, &Arc::default());
        (state, work)
    }

    /// The same fold, order, filter and selection on a reloaded file, by name.
    #[must_use]
    pub fn carry_over(&self, before: &Checkpoint, after: &Arc<Checkpoint>) -> (Self, Option<Preparation>) {
        let (old, new) = (before.layer_tree(), after.layer_tree());
        let by_path: std::collections::HashMap<String, NodeId> =
            (0..new.len() as u32).map(|id| (new.path(NodeId(id)), NodeId(id))).collect();
        let group = |id: NodeId| by_path.get(&old.path(id)).copied();
        let spec = Spec {
            folds: Folds {
                open: self.spec.folds.open.iter().filter_map(group).collect(),
                closed_while_filtering: self
                    .spec
                    .folds
                    .closed_while_filtering
                    .iter()
                    .filter_map(group)
                    .collect(),
            },
            ..self.spec.clone()
        };
        let selected = self.selected.and_then(|item| match item {
            Item::Group(id) => group(id).map(Item::Group),
            Item::Tensor(id) => after.find(&before.tensor(id).name).map(Item::Tensor),
        });
        // Rows and kinds are those of the file before.
        let mut state = Self { spec, selected, kinds: None, rows: Arc::default(), ..self.clone() };
        let work = state.renew(after, &Arc::default());
        (state, work)
    }

    /// The rows, top to bottom.
    pub fn rows(&self) -> &Arc<[Row]> {
        &self.rows
    }

    /// Whether newer rows are on their way.
    pub fn is_awaiting_rows(&self) -> bool {
        self.awaited
    }

    /// What is selected.
    pub fn selected(&self) -> Option<Item> {
        self.selected
    }

    /// The filter as typed.
    pub fn filter_text(&self) -> &str {
        self.filter.text()
    }

    /// What is wrong with the filter; it then shows everything.
    pub fn filter_error(&self) -> Option<&str> {
        self.filter.error()
    }

    /// Tensors that pass the filter; `None` without one.
    pub fn matching(&self) -> Option<usize> {
        self.spec.is_filtered().then_some(self.matching)
    }

    /// The kinds of tensors that are shown.
    pub fn facets(&self) -> &Facets {
        &self.spec.facets
    }

    /// The kinds of tensors there are, once they were counted.
    pub fn kinds(&self) -> Option<&Kinds> {
        self.kinds.as_deref()
    }

    /// Whether a tensor passes the filter and the facets.
    pub fn passes(&self, checkpoint: &Checkpoint, scan: &Scan, id: TensorId) -> bool {
        self.spec.passes(checkpoint, scan, id)
    }

    /// How often the rows were made anew: work that must follow changes, not frames.
    pub fn rebuilds(&self) -> u64 {
        self.rebuilds
    }

    /// Order of the rows, and whether from large to small.
    pub fn sort(&self) -> (SortColumn, bool) {
        (self.spec.sort, self.spec.descending)
    }

    /// A row that should be brought into view, with a number that grows with each such wish.
    pub fn scroll_to(&self) -> Option<(u64, usize)> {
        self.scroll_to
    }

    /// Row of an item, where it is shown. Looks first where the selection was last.
    pub fn row_of(&self, item: Item) -> Option<usize> {
        if self.rows.get(self.walked_to).is_some_and(|row| row.item == item) {
            return Some(self.walked_to);
        }
        self.rows.iter().position(|row| row.item == item)
    }

    /// Brings the rows up to date when a scan found more and they depend on it. Those of a large checkpoint follow when
    /// the scan has ended.
    pub fn scan_changed(
        &mut self,
        checkpoint: &Arc<Checkpoint>,
        scan: &Arc<Scan>,
        ended: bool,
    ) -> Option<Preparation> {
        let depend =
            matches!(self.spec.sort, SortColumn::Statistic(_)) || !self.spec.facets.values.is_empty();
        let follow = ended || checkpoint.tensors().len() <= AT_ONCE;
        if depend && follow { self.renew(checkpoint, scan) } else { None }
    }

    /// Makes a change. The rows are brought up to date at once, or by what is handed back.
    #[must_use]
    pub fn change(
        &mut self,
        checkpoint: &Arc<Checkpoint>,
        scan: &Arc<Scan>,
        change: TreeChange,
    ) -> Option<Preparation> {
        let tree = checkpoint.layer_tree();
        match change {
            TreeChange::Filter(text) => {
                self.spec.folds.filter_changed();
                self.spec.filter = self.filter.set(text);
            }
            TreeChange::Facets(facets) => {
                self.spec.folds.filter_changed();
                self.spec.facets = facets;
            }
            TreeChange::Toggle(id) => {
                return self.open_or_close(checkpoint, scan, id, !self.spec.is_open(id));
            }
            TreeChange::Select(item) => {
                self.selected = item;
                if let Some(item) = item
                    && self.reveal(tree, item)
                {
                    self.show_selection = true;
                    return self.renew(checkpoint, scan);
                }
                return None;
            }
            TreeChange::Move(by) => {
                self.step(by);
                return None;
            }
            TreeChange::Expand => match self.selected {
                Some(Item::Group(id)) if self.spec.is_open(id) => {
                    self.step(1);
                    return None;
                }
                Some(Item::Group(id)) => return self.open_or_close(checkpoint, scan, id, true),
                _ => return None,
            },
            TreeChange::Collapse => match self.selected {
                Some(Item::Group(id)) if self.spec.is_open(id) => {
                    return self.open_or_close(checkpoint, scan, id, false);
                }
                Some(item) => {
                    let parent = match item {
                        Item::Group(id) => tree.node(id).parent,
                        Item::Tensor(id) => Some(tree.parent_of(id)),
                    };
                    if let Some(parent) = parent.filter(|&parent| parent != tree.root()) {
                        self.selected = Some(Item::Group(parent));
                        self.wish_to_see_selection();
                    }
                    return None;
                }
                None => return None,
            },
            TreeChange::ExpandAll => self.spec.open_only(tree, |_| true),
            TreeChange::CollapseAll => self.spec.open_only(tree, |_| false),
            TreeChange::ExpandTo(level) => self.spec.open_only(tree, |id| tree.node(id).depth <= level),
            TreeChange::SortBy(column) => {
                let spec = &mut self.spec;
                if spec.sort != column {
                    (spec.sort, spec.descending) = (column, column.starts_descending());
                } else if spec.descending == column.starts_descending() {
                    spec.descending = !spec.descending;
                } else {
                    (spec.sort, spec.descending) = (SortColumn::File, false);
                }
            }
        }
        self.renew(checkpoint, scan)
    }

    /// Takes in rows that a job made.
    pub fn prepared(&mut self, made: &Made) {
        self.awaited = false;
        self.take(made.clone());
    }

    fn take(&mut self, made: Made) {
        self.rebuilds += 1;
        (self.rows, self.matching, self.kinds) = (made.rows, made.matching, Some(made.kinds));
        if std::mem::take(&mut self.show_selection) {
            self.wish_to_see_selection();
        }
    }

    /// Makes all rows anew: at once where they are few, otherwise by what is handed back.
    #[must_use]
    fn renew(&mut self, checkpoint: &Arc<Checkpoint>, scan: &Arc<Scan>) -> Option<Preparation> {
        let kinds = self.kinds.clone();
        if checkpoint.tensors().len() > AT_ONCE {
            self.awaited = true;
            let (spec, checkpoint, scan) = (self.spec.clone(), checkpoint.clone(), scan.clone());
            return Some(Preparation::new(move |progress| {
                spec.make(&checkpoint, &scan, kinds.clone(), progress)
            }));
        }
        if let Ok(made) = self.spec.make(checkpoint, scan, kinds, &Progress::new()) {
            self.take(made);
        }
        None
    }

    /// Opens or closes one group. Where the other rows stay as they are, only those below it come or go.
    #[must_use]
    fn open_or_close(
        &mut self,
        checkpoint: &Arc<Checkpoint>,
        scan: &Arc<Scan>,
        id: NodeId,
        open: bool,
    ) -> Option<Preparation> {
        self.spec.set_open(id, open);
        let few = checkpoint.layer_tree().node(id).total_tensors <= AT_ONCE as u64
            && self.rows.len() <= ROWS_INSERTED_INTO;
        let at = self.row_of(Item::Group(id));
        let (Some(kinds), Some(at), false, false, true) =
            (&self.kinds, at, self.awaited, self.spec.is_filtered(), few)
        else {
            return self.renew(checkpoint, scan);
        };
        let (before, rest) = self.rows.split_at(at);
        let (row, after) = rest.split_first()?;
        let below = after.iter().position(|other| other.depth <= row.depth).unwrap_or(after.len());
        let inside = if open {
            self.spec.make_inside(checkpoint, scan, kinds, (id, row.depth + 1))
        } else {
            Vec::new()
        };
        let mut rows = Vec::with_capacity(before.len() + 1 + inside.len() + after.len() - below);
        rows.extend_from_slice(before);
        rows.push(Row { open, ..*row });
        rows.extend(inside);
        rows.extend_from_slice(&after[below..]);
        self.rows = rows.into();
        self.rebuilds += 1;
        None
    }

    /// Opens the groups around an item; says whether one was closed.
    fn reveal(&mut self, tree: &LayerTree, item: Item) -> bool {
        let mut around = match item {
            Item::Group(id) => tree.node(id).parent,
            Item::Tensor(id) => Some(tree.parent_of(id)),
        };
        let mut opened = false;
        while let Some(id) = around.filter(|&id| id != tree.root()) {
            if !self.spec.is_open(id) {
                self.spec.set_open(id, true);
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
        self.walked_to = next;
        self.wish_to_see_selection();
    }

    fn wish_to_see_selection(&mut self) {
        if let Some(row) = self.selected.and_then(|item| self.row_of(item)) {
            self.scrolls += 1;
            self.scroll_to = Some((self.scrolls, row));
        }
    }
}
