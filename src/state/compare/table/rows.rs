//! Makes the rows: what passes the filter, in order, as a list or below the layers that are open.

use std::sync::Arc;

use super::{CompareColumn, CompareRow};
use crate::analysis::diff::{DiffRow, PairStatus};
use crate::jobs::ComparisonKey;
use crate::model::{Cancelled, LayerTree, NameFilter, NodeId, Progress, TensorId};
use crate::state::compare::{Chip, CompareItem, Found, name, relative_change};
use crate::state::outline::{Folds, Passing, STEPS, SortKey, first_tensors};

/// Where rows without a number stand when ordered by relative change, below all that have one.
const ONLY_ONE_SIDE: f64 = -1.0;
const RENAMED: f64 = -2.0;
const IDENTICAL: f64 = -3.0;

/// A larger change fills its bar too: retrained tensors lie at 1.4, and a bias that was nearly zero may be anywhere above.
const FULL_BAR: f64 = 2.0;

/// Everything that rows follow from, beside what was found.
#[derive(Debug, Clone)]
pub(super) struct Spec {
    pub folds: Folds,
    pub as_list: bool,
    pub chips: Vec<Chip>,
    pub filter: Option<NameFilter>,
    pub sort: CompareColumn,
    pub descending: bool,
}

impl Default for Spec {
    fn default() -> Self {
        Self {
            folds: Folds::default(),
            as_list: true,
            chips: Vec::new(),
            filter: None,
            sort: CompareColumn::default(),
            descending: true,
        }
    }
}

/// Rows, with what was found out on the way.
#[derive(Debug, Clone)]
pub struct MadePairs {
    /// Of which comparison.
    pub key: ComparisonKey,
    pub(super) rows: Arc<[CompareRow]>,
    /// Leaves that pass the filter.
    pub(super) matching: usize,
    /// The relative change that fills a bar.
    pub(super) largest: f64,
}

impl Spec {
    pub(super) fn is_filtered(&self) -> bool {
        self.filter.is_some() || !self.chips.is_empty()
    }

    pub(super) fn is_open(&self, id: NodeId) -> bool {
        self.folds.is_open(id, self.is_filtered())
    }

    pub(super) fn set_open(&mut self, id: NodeId, open: bool) {
        self.folds.set_open(id, open, self.is_filtered());
    }

    pub(super) fn open_only(&mut self, tree: &LayerTree, pass: impl Fn(NodeId) -> bool) {
        let filtered = self.is_filtered();
        self.folds.open_only(tree, filtered, pass);
    }

    /// All rows. Costs time in proportion to the rows, and with a filter to all leaves.
    pub(super) fn make(&self, found: &Found, progress: &Progress) -> Result<MadePairs, Cancelled> {
        let leaves = found.tree().rows.len() as u32;
        let passing = if self.is_filtered() { Some(self.passing(found, progress)?) } else { None };
        let finite =
            |leaf| relative_change(found, CompareItem::Leaf(leaf)).filter(|change| change.is_finite());
        let largest = (0..leaves).filter_map(finite).fold(0.0, f64::max).min(FULL_BAR);
        progress.advance(0)?;
        let rows = if self.as_list {
            self.list(found, passing.as_ref())
        } else {
            self.below_layers(found, passing.as_ref(), progress)?
        };
        let matching = passing.map_or(0, |passing| passing.count);
        Ok(MadePairs { key: found.key, rows: rows.into(), matching, largest })
    }

    fn list(&self, found: &Found, passing: Option<&Passing>) -> Vec<CompareRow> {
        let mut list: Vec<(SortKey<'_>, u32)> = (0..found.tree().rows.len() as u32)
            .filter(|&leaf| passing.is_none_or(|passing| passing.has_tensor(TensorId(leaf))))
            .map(|leaf| (self.key(found, CompareItem::Leaf(leaf)), leaf))
            .collect();
        list.sort_by(|a, b| a.0.compare(&b.0, self.descending).then(a.1.cmp(&b.1)));
        let row = |leaf| CompareRow { item: CompareItem::Leaf(leaf), depth: 0, open: false };
        list.into_iter().map(|(_, leaf)| row(leaf)).collect()
    }

    fn below_layers(
        &self,
        found: &Found,
        passing: Option<&Passing>,
        progress: &Progress,
    ) -> Result<Vec<CompareRow>, Cancelled> {
        let tree = &found.tree().tree;
        let first = first_tensors(tree);
        let mut rows = Vec::new();
        let mut stack = vec![(CompareItem::Group(tree.root()), 0u32)];
        while let Some((item, depth)) = stack.pop() {
            if rows.len() % STEPS == 0 {
                progress.advance(0)?;
            }
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
            let mut inside: Vec<(SortKey<'_>, u32, CompareItem)> = groups
                .chain(node.tensors.iter().map(|leaf| CompareItem::Leaf(leaf.0)))
                .filter(|item| match (passing, *item) {
                    (None, _) => true,
                    (Some(passing), CompareItem::Leaf(leaf)) => passing.has_tensor(TensorId(leaf)),
                    (Some(passing), CompareItem::Group(id)) => passing.has_group(id),
                })
                .map(|item| (self.key(found, item), position(&first, item), item))
                .collect();
            inside.sort_by(|a, b| a.0.compare(&b.0, self.descending).then(a.1.cmp(&b.1)));
            stack.extend(inside.into_iter().rev().map(|(_, _, item)| (item, depth + 1)));
        }
        Ok(rows)
    }

    fn passing(&self, found: &Found, progress: &Progress) -> Result<Passing, Cancelled> {
        let sums = found.tree();
        let mut passing = Passing::none(sums.rows.len(), &sums.tree);
        for (leaf, row) in (0..).zip(&sums.rows) {
            if (leaf as usize).is_multiple_of(STEPS) {
                progress.advance(0)?;
            }
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
            if of_kind() && named() {
                passing.pass(&sums.tree, TensorId(leaf));
            }
        }
        Ok(passing)
    }

    fn key<'a>(&self, found: &'a Found, item: CompareItem) -> SortKey<'a> {
        match self.sort {
            CompareColumn::Name => match item {
                CompareItem::Leaf(leaf) if self.as_list => {
                    let places = found.whole().map(|whole| &whole.name_places);
                    if let Some(place) = places.and_then(|places| places.get(leaf as usize)) {
                        return SortKey::Number(Some(f64::from(*place)));
                    }
                    SortKey::Text(found.naming_tensor(leaf).map_or("", |tensor| tensor.name.as_str()))
                }
                item => SortKey::Text(name(found, item)),
            },
            CompareColumn::Relative => SortKey::Number(place_by_change(found, item)),
            column => SortKey::Number(number(found, item, column)),
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

fn position(first: &[u32], item: CompareItem) -> u32 {
    match item {
        CompareItem::Group(id) => first[id.0 as usize],
        CompareItem::Leaf(leaf) => leaf,
    }
}
