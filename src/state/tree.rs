//! Which rows of one checkpoint's tree are shown, in which order, and which is selected.
//!
//! Rows are rebuilt when something changes, never per frame; a view only walks the visible part of [`TreeState::rows`].

use std::cmp::Ordering;
use std::collections::HashSet;
use std::sync::Arc;

use crate::model::{Checkpoint, LayerTree, NodeId, TensorId, filter::NameFilter, layer_tree::natural_cmp};

/// Opening a checkpoint unfolds whole levels as long as about this many rows result: one screen.
const ROWS_AT_FIRST: usize = 40;

/// One thing in the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Item {
    /// A layer, module or dictionary.
    Group(NodeId),
    /// A tensor.
    Tensor(TensorId),
}

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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
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
}

impl SortColumn {
    /// Whether the first click sorts from large to small.
    fn starts_descending(self) -> bool {
        matches!(self, Self::Shape | Self::Parameters | Self::Bytes)
    }
}

/// A change of the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TreeChange {
    /// Shows only tensors whose name passes.
    Filter(String),
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
    /// With a filter, groups that were closed by hand; all others are open.
    closed_while_filtering: HashSet<NodeId>,
    sort: SortColumn,
    descending: bool,
    selected: Option<Item>,
    rows: Arc<[Row]>,
    matching: usize,
    scroll_to: Option<(u64, usize)>,
    scrolls: u64,
}

impl TreeState {
    /// The tree of a freshly opened checkpoint.
    pub fn new(checkpoint: &Checkpoint) -> Self {
        let tree = checkpoint.layer_tree();
        let mut state = Self::default();
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
        state.rebuild(checkpoint);
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
            ..self.clone()
        };
        state.rebuild(after);
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
        self.filter.is_some().then_some(self.matching)
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
    pub fn change(&mut self, checkpoint: &Checkpoint, change: TreeChange) {
        let tree = checkpoint.layer_tree();
        match change {
            TreeChange::Filter(text) => self.set_filter(text),
            TreeChange::Toggle(id) => self.set_open(id, !self.is_open(id)),
            TreeChange::Select(item) => {
                self.selected = item;
                if let Some(item) = item
                    && self.reveal(tree, item)
                {
                    self.rebuild(checkpoint);
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
                if self.filter.is_some() {
                    self.closed_while_filtering = (1..tree.len() as u32).map(NodeId).collect();
                }
            }
            TreeChange::ExpandTo(level) => {
                let all = (1..tree.len() as u32).map(NodeId);
                let (open, closed): (Vec<_>, Vec<_>) = all.partition(|&id| tree.node(id).depth <= level);
                self.open = open.into_iter().collect();
                self.closed_while_filtering =
                    if self.filter.is_some() { closed.into_iter().collect() } else { HashSet::new() };
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
        self.rebuild(checkpoint);
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
        if self.filter.is_some() {
            !self.closed_while_filtering.contains(&id)
        } else {
            self.open.contains(&id)
        }
    }

    fn set_open(&mut self, id: NodeId, open: bool) {
        let (set, insert) = if self.filter.is_some() {
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

    fn rebuild(&mut self, checkpoint: &Checkpoint) {
        let tree = checkpoint.layer_tree();
        // With a filter: which tensors pass, and below which groups they are.
        let passing = self.filter.as_ref().map(|filter| {
            let mut tensors = vec![false; checkpoint.tensors().len()];
            let mut groups = vec![false; tree.len()];
            for (id, tensor) in checkpoint.tensors() {
                if !filter.matches(&tensor.name) {
                    continue;
                }
                tensors[id.index()] = true;
                let mut at = Some(tree.parent_of(id));
                while let Some(group) = at {
                    if std::mem::replace(&mut groups[group.0 as usize], true) {
                        break;
                    }
                    at = tree.node(group).parent;
                }
            }
            (tensors, groups)
        });
        self.matching =
            passing.as_ref().map_or(0, |(tensors, _)| tensors.iter().filter(|&&passes| passes).count());
        let first = first_tensors(tree);
        let mut rows = Vec::new();
        let mut stack = vec![(Item::Group(tree.root()), 0u32)];
        while let Some((item, depth)) = stack.pop() {
            let Item::Group(id) = item else {
                rows.push(Row { item, depth: depth - 1, open: false });
                continue;
            };
            let open = id == tree.root() || self.is_open(id);
            if id != tree.root() {
                rows.push(Row { item, depth: depth - 1, open });
            }
            if !open {
                continue;
            }
            let node = tree.node(id);
            let mut inside: Vec<Item> = node
                .children
                .iter()
                .map(|&child| Item::Group(child))
                .chain(node.tensors.iter().map(|&tensor| Item::Tensor(tensor)))
                .filter(|item| match (&passing, item) {
                    (None, _) => true,
                    (Some((tensors, _)), Item::Tensor(id)) => tensors[id.index()],
                    (Some((_, groups)), Item::Group(id)) => groups[id.0 as usize],
                })
                .collect();
            inside.sort_by(|&a, &b| {
                let order = self.compare(checkpoint, a, b);
                let order = if self.descending { order.reverse() } else { order };
                order.then_with(|| position(&first, a).cmp(&position(&first, b)))
            });
            stack.extend(inside.into_iter().rev().map(|item| (item, depth + 1)));
        }
        self.rows = rows.into();
    }

    fn compare(&self, checkpoint: &Checkpoint, a: Item, b: Item) -> Ordering {
        let tree = checkpoint.layer_tree();
        let class = |item| match item {
            Item::Group(id) => tree.node(id).class.as_deref().unwrap_or("\u{10ffff}"),
            Item::Tensor(_) => "\u{10ffff}",
        };
        let tensor = |item| match item {
            Item::Tensor(id) => Some(checkpoint.tensor(id)),
            Item::Group(_) => None,
        };
        match self.sort {
            SortColumn::File => Ordering::Equal,
            SortColumn::Name => natural_cmp(name(checkpoint, a), name(checkpoint, b)),
            SortColumn::Class => class(a).cmp(class(b)),
            SortColumn::Dtype => {
                tensor(a).map(|tensor| tensor.dtype.name()).cmp(&tensor(b).map(|tensor| tensor.dtype.name()))
            }
            SortColumn::Role => {
                tensor(a).map(|tensor| tensor.role.name()).cmp(&tensor(b).map(|tensor| tensor.role.name()))
            }
            SortColumn::Shape => elements(checkpoint, a).cmp(&elements(checkpoint, b)),
            SortColumn::Parameters => parameters(checkpoint, a).cmp(&parameters(checkpoint, b)),
            SortColumn::Bytes => bytes(checkpoint, a).cmp(&bytes(checkpoint, b)),
        }
    }
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

/// For each group the first tensor inside, which is its place in file order.
fn first_tensors(tree: &LayerTree) -> Vec<u32> {
    let mut first = vec![u32::MAX; tree.len()];
    // A child's index is above its parent's, so one pass from the end sees children first.
    for index in (0..tree.len()).rev() {
        let node = tree.node(NodeId(index as u32));
        let own = node.tensors.first().map_or(u32::MAX, |id| id.0);
        let inside = node.children.iter().map(|id| first[id.0 as usize]).min().unwrap_or(u32::MAX);
        first[index] = own.min(inside);
    }
    first
}

fn position(first: &[u32], item: Item) -> u32 {
    match item {
        Item::Group(id) => first[id.0 as usize],
        Item::Tensor(id) => id.0,
    }
}
