//! Makes the rows: what passes the filter, in order, below the groups that are open.
//!
//! Pure, so that a job can do it for a large checkpoint while the window goes on.

use std::sync::Arc;

use super::facets::{Facets, Kinds};
use super::item::{bytes, elements, name, parameters};
use super::{Item, Row, SortColumn};
use crate::model::filter::NameFilter;
use crate::model::{Cancelled, Checkpoint, LayerTree, NodeId, Progress, TensorId};
use crate::state::outline::{Folds, Passing, STEPS, SortKey};
use crate::state::scan::Scan;

/// Everything that rows follow from, beside the checkpoint and its scan.
#[derive(Debug, Clone, Default)]
pub(super) struct Spec {
    pub folds: Folds,
    pub filter: Option<NameFilter>,
    pub facets: Facets,
    pub sort: SortColumn,
    pub descending: bool,
}

/// Rows, with what was found out on the way.
#[derive(Debug, Clone, Default)]
pub struct Made {
    pub(super) rows: Arc<[Row]>,
    /// Tensors that pass the filter.
    pub(super) matching: usize,
    pub(super) kinds: Arc<Kinds>,
}

impl Spec {
    pub(super) fn is_filtered(&self) -> bool {
        self.filter.is_some() || !self.facets.is_empty()
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

    /// All rows. Costs time in proportion to the open part of the tree, and with a filter to all tensors. `kinds` are
    /// made where they are not known yet.
    pub(super) fn make(
        &self,
        checkpoint: &Checkpoint,
        scan: &Scan,
        kinds: Option<Arc<Kinds>>,
        progress: &Progress,
    ) -> Result<Made, Cancelled> {
        let kinds = kinds.unwrap_or_else(|| Arc::new(Kinds::of(checkpoint)));
        let passing = if self.is_filtered() { Some(self.passing(checkpoint, scan, progress)?) } else { None };
        let root = checkpoint.layer_tree().root();
        let inside = Inside { spec: self, checkpoint, scan, kinds: &kinds, passing: passing.as_ref() };
        let rows = inside.rows(root, 0, progress)?.into();
        Ok(Made { rows, matching: passing.map_or(0, |passing| passing.count), kinds })
    }

    /// The rows inside one open group, without a filter.
    pub(super) fn make_inside(
        &self,
        checkpoint: &Checkpoint,
        scan: &Scan,
        kinds: &Kinds,
        (group, depth): (NodeId, u32),
    ) -> Vec<Row> {
        let inside = Inside { spec: self, checkpoint, scan, kinds, passing: None };
        inside.rows(group, depth, &Progress::new()).unwrap_or_default()
    }

    /// Whether a tensor passes the filter and the facets.
    pub(super) fn passes(&self, checkpoint: &Checkpoint, scan: &Scan, id: TensorId) -> bool {
        let named = self.filter.as_ref().is_none_or(|filter| filter.matches(&checkpoint.tensor(id).name));
        named && self.facets.matches(checkpoint, scan, id)
    }

    fn passing(
        &self,
        checkpoint: &Checkpoint,
        scan: &Scan,
        progress: &Progress,
    ) -> Result<Passing, Cancelled> {
        let tree = checkpoint.layer_tree();
        let mut passing = Passing::none(checkpoint.tensors().len(), tree);
        for (id, _) in checkpoint.tensors() {
            if id.index() % STEPS == 0 {
                progress.advance(0)?;
            }
            if self.passes(checkpoint, scan, id) {
                passing.pass(tree, id);
            }
        }
        Ok(passing)
    }
}

/// What the rows of a part of the tree are made from.
struct Inside<'a> {
    spec: &'a Spec,
    checkpoint: &'a Checkpoint,
    scan: &'a Scan,
    kinds: &'a Kinds,
    passing: Option<&'a Passing>,
}

impl<'a> Inside<'a> {
    /// The rows below a group; those directly inside stand at `depth`.
    fn rows(&self, group: NodeId, depth: u32, progress: &Progress) -> Result<Vec<Row>, Cancelled> {
        let mut rows = Vec::new();
        let mut stack = Vec::new();
        self.push(group, depth, &mut stack);
        while let Some((item, depth)) = stack.pop() {
            if rows.len() % STEPS == 0 {
                progress.advance(0)?;
            }
            let open = matches!(item, Item::Group(id) if self.spec.is_open(id));
            rows.push(Row { item, depth, open });
            if let (Item::Group(id), true) = (item, open) {
                self.push(id, depth + 1, &mut stack);
            }
        }
        Ok(rows)
    }

    /// What is directly inside a group, the first on top.
    fn push(&self, group: NodeId, depth: u32, stack: &mut Vec<(Item, u32)>) {
        let node = self.checkpoint.layer_tree().node(group);
        let mut inside: Vec<(SortKey<'a>, u32, Item)> = node
            .children
            .iter()
            .map(|&child| Item::Group(child))
            .chain(node.tensors.iter().map(|&tensor| Item::Tensor(tensor)))
            .filter(|&item| match (self.passing, item) {
                (None, _) => true,
                (Some(passing), Item::Tensor(id)) => passing.has_tensor(id),
                (Some(passing), Item::Group(id)) => passing.has_group(id),
            })
            .map(|item| (self.key(item), self.kinds.position(item), item))
            .collect();
        let descending = self.spec.descending;
        inside.sort_unstable_by(|a, b| a.0.compare(&b.0, descending).then(a.1.cmp(&b.1)));
        stack.extend(inside.into_iter().rev().map(|(_, _, item)| (item, depth)));
    }

    fn key(&self, item: Item) -> SortKey<'a> {
        let checkpoint = self.checkpoint;
        let tensor = match item {
            Item::Tensor(id) => Some(checkpoint.tensor(id)),
            Item::Group(_) => None,
        };
        match self.spec.sort {
            SortColumn::File => SortKey::None,
            SortColumn::Name => SortKey::Text(name(checkpoint, item)),
            SortColumn::Class => SortKey::Text(match item {
                Item::Group(id) => checkpoint.layer_tree().node(id).class.as_deref().unwrap_or("\u{10ffff}"),
                Item::Tensor(_) => "\u{10ffff}",
            }),
            SortColumn::Dtype => SortKey::Text(tensor.map_or("", |tensor| tensor.dtype.name())),
            SortColumn::Role => SortKey::Text(tensor.map_or("", |tensor| tensor.role.name())),
            SortColumn::Shape => SortKey::Count(elements(checkpoint, item)),
            SortColumn::Parameters => SortKey::Count(parameters(checkpoint, item)),
            SortColumn::Bytes => SortKey::Count(bytes(checkpoint, item)),
            SortColumn::Statistic(statistic) => SortKey::Number(self.scan.value(item, statistic)),
        }
    }
}
