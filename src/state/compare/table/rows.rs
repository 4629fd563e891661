//! Makes the rows: what passes the filter, in order, as a list or below the layers that are open.

use std::cmp::Ordering;

use super::{CompareColumn, CompareRow, CompareTable};
use crate::analysis::diff::{DiffRow, PairStatus};
use crate::model::layer_tree::natural_cmp;
use crate::model::{LayerTree, NodeId, TensorId};
use crate::state::compare::{CompareItem, Found, name, relative_change};

/// Where rows without a number stand when ordered by relative change, below all that have one.
const ONLY_ONE_SIDE: f64 = -1.0;
const RENAMED: f64 = -2.0;
const IDENTICAL: f64 = -3.0;

/// A larger change fills its bar too: retrained tensors lie at 1.4, and a bias that was nearly zero may be anywhere above.
const FULL_BAR: f64 = 2.0;

/// What an item is sorted by.
enum Key<'a> {
    Text(&'a str),
    /// Unknown ones come last, whichever the direction.
    Number(Option<f64>),
}

/// What passes the filter.
struct Passing {
    leaves: Vec<bool>,
    groups: Vec<bool>,
}

impl CompareTable {
    /// Makes the rows anew. Costs time in proportion to the rows, and with a filter to all leaves.
    pub(super) fn rebuild(&mut self, found: &Found) {
        self.rebuilds += 1;
        let tree = &found.tree().tree;
        let leaves = found.tree().rows.len() as u32;
        let passing = self.is_filtered().then(|| self.passing(found));
        self.matching =
            passing.as_ref().map_or(0, |passing| passing.leaves.iter().filter(|passes| **passes).count());
        let finite =
            |leaf| relative_change(found, CompareItem::Leaf(leaf)).filter(|change| change.is_finite());
        self.largest = (0..leaves).filter_map(finite).fold(0.0, f64::max).min(FULL_BAR);
        if self.as_list {
            let mut list: Vec<(Key<'_>, u32)> = (0..leaves)
                .filter(|&leaf| passing.as_ref().is_none_or(|passing| passing.leaves[leaf as usize]))
                .map(|leaf| (self.key(found, CompareItem::Leaf(leaf)), leaf))
                .collect();
            list.sort_by(|a, b| compare(&a.0, &b.0, self.descending).then(a.1.cmp(&b.1)));
            let row = |leaf| CompareRow { item: CompareItem::Leaf(leaf), depth: 0, open: false };
            self.rows = list.into_iter().map(|(_, leaf)| row(leaf)).collect();
            return;
        }
        let first = first_leaves(tree);
        let mut rows = Vec::new();
        let mut stack = vec![(CompareItem::Group(tree.root()), 0u32)];
        while let Some((item, depth)) = stack.pop() {
            let CompareItem::Group(id) = item else {
                rows.push(CompareRow { item, depth: depth - 1, open: false });
                continue;
            };
            let open = id == tree.root() || self.is_open(id);
            if id != tree.root() {
                rows.push(CompareRow { item, depth: depth - 1, open });
            }
            if !open {
                continue;
            }
            let node = tree.node(id);
            let groups = node.children.iter().map(|&child| CompareItem::Group(child));
            let mut inside: Vec<(Key<'_>, u32, CompareItem)> = groups
                .chain(node.tensors.iter().map(|leaf| CompareItem::Leaf(leaf.0)))
                .filter(|item| match (&passing, item) {
                    (None, _) => true,
                    (Some(passing), CompareItem::Leaf(leaf)) => passing.leaves[*leaf as usize],
                    (Some(passing), CompareItem::Group(id)) => passing.groups[id.0 as usize],
                })
                .map(|item| (self.key(found, item), position(&first, item), item))
                .collect();
            inside.sort_by(|a, b| compare(&a.0, &b.0, self.descending).then(a.1.cmp(&b.1)));
            stack.extend(inside.into_iter().rev().map(|(_, _, item)| (item, depth + 1)));
        }
        self.rows = rows.into();
    }

    fn passing(&self, found: &Found) -> Passing {
        let sums = found.tree();
        let mut passing =
            Passing { leaves: vec![false; sums.rows.len()], groups: vec![false; sums.tree.len()] };
        for (index, row) in sums.rows.iter().enumerate() {
            let leaf = index as u32;
            let of_kind = || {
                let pair = found.leaf_pair(leaf);
                self.chips.is_empty() || self.chips.iter().any(|chip| chip.matches(*row, pair))
            };
            let named = || {
                let Some(filter) = &self.filter else { return true };
                let tensors = found.tensors(leaf);
                tensors.left.is_some_and(|id| filter.matches(&found.left.tensor(id).name))
                    || tensors.right.is_some_and(|id| filter.matches(&found.right.tensor(id).name))
            };
            if !of_kind() || !named() {
                continue;
            }
            passing.leaves[index] = true;
            let mut at = Some(sums.tree.parent_of(TensorId(leaf)));
            while let Some(group) = at {
                if std::mem::replace(&mut passing.groups[group.0 as usize], true) {
                    break;
                }
                at = sums.tree.node(group).parent;
            }
        }
        passing
    }

    fn key<'a>(&self, found: &'a Found, item: CompareItem) -> Key<'a> {
        match self.sort {
            CompareColumn::Name => match item {
                CompareItem::Leaf(leaf) if self.as_list => {
                    let places = found.whole().map(|whole| &whole.name_places);
                    if let Some(place) = places.and_then(|places| places.get(leaf as usize)) {
                        return Key::Number(Some(f64::from(*place)));
                    }
                    Key::Text(found.naming_tensor(leaf).map_or("", |tensor| tensor.name.as_str()))
                }
                item => Key::Text(name(found, item)),
            },
            CompareColumn::Relative => Key::Number(place_by_change(found, item)),
            column => Key::Number(number(found, item, column)),
        }
    }
}

/// The number of a column, where there is one.
fn number(found: &Found, item: CompareItem, column: CompareColumn) -> Option<f64> {
    match item {
        CompareItem::Group(id) => {
            let sums = found.tree().node(id);
            match column {
                CompareColumn::Changed => (sums.elements > 0).then(|| sums.changed_fraction()),
                CompareColumn::MaxAbs => (sums.elements > 0).then_some(sums.max_abs),
                CompareColumn::Cosine | CompareColumn::Name | CompareColumn::Relative => None,
            }
        }
        CompareItem::Leaf(leaf) => {
            let values = found.leaf_pair(leaf)?.values.as_ref()?;
            match column {
                CompareColumn::Changed => Some(values.changed_fraction()),
                CompareColumn::MaxAbs => Some(values.max_abs),
                CompareColumn::Cosine => values.cosine,
                CompareColumn::Name | CompareColumn::Relative => None,
            }
        }
    }
}

/// Where an item stands by relative change: first what differs and cannot be said how much, at last what is identical.
fn place_by_change(found: &Found, item: CompareItem) -> Option<f64> {
    match item {
        CompareItem::Group(id) => {
            let sums = found.tree().node(id);
            if sums.nan + sums.without_values > 0 {
                Some(f64::INFINITY)
            } else if sums.different > 0 {
                Some(sums.relative_l2())
            } else if sums.only_left + sums.only_right > 0 {
                Some(ONLY_ONE_SIDE)
            } else {
                (sums.identical > 0).then_some(IDENTICAL)
            }
        }
        CompareItem::Leaf(leaf) => {
            if !matches!(found.tree().rows.get(leaf as usize), Some(DiffRow::Pair(_))) {
                return Some(ONLY_ONE_SIDE);
            }
            let pair = found.leaf_pair(leaf)?;
            Some(match (pair.status, pair.renamed) {
                (PairStatus::Identical, true) => RENAMED,
                (PairStatus::Identical, false) => IDENTICAL,
                _ => pair.relative_change(),
            })
        }
    }
}

fn compare(a: &Key<'_>, b: &Key<'_>, descending: bool) -> Ordering {
    let order = match (a, b) {
        (Key::Text(a), Key::Text(b)) => natural_cmp(a, b),
        (Key::Number(Some(a)), Key::Number(Some(b))) => a.total_cmp(b),
        (Key::Number(Some(_)), Key::Number(None)) => return Ordering::Less,
        (Key::Number(None), Key::Number(Some(_))) => return Ordering::Greater,
        _ => Ordering::Equal,
    };
    if descending { order.reverse() } else { order }
}

/// For each group the first leaf inside, which is its place in file order.
fn first_leaves(tree: &LayerTree) -> Vec<u32> {
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

fn position(first: &[u32], item: CompareItem) -> u32 {
    match item {
        CompareItem::Group(id) => first[id.0 as usize],
        CompareItem::Leaf(leaf) => leaf,
    }
}
