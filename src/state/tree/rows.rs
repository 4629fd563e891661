//! Makes the rows: what passes the filter, in order, below the groups that are open.

use std::cmp::Ordering;

use super::item::{bytes, elements, name, parameters};
use super::{Item, Row, SortColumn, TreeState};
use crate::model::layer_tree::natural_cmp;
use crate::model::{Checkpoint, LayerTree, NodeId};
use crate::state::scan::Scan;

/// What an item is sorted by.
enum Key<'a> {
    Text(&'a str),
    Count(u64),
    /// Unknown ones come last, whichever the direction.
    Number(Option<f64>),
    None,
}

/// What passes the filter, per tensor and per group.
struct Passing {
    tensors: Vec<bool>,
    groups: Vec<bool>,
    count: usize,
}

impl TreeState {
    /// Makes the rows anew. Costs time in proportion to the open part of the tree, and with a filter to all tensors.
    pub(super) fn rebuild(&mut self, checkpoint: &Checkpoint, scan: &Scan) {
        self.rebuilds += 1;
        let tree = checkpoint.layer_tree();
        let passing = self.is_filtered().then(|| self.passing(checkpoint, scan));
        self.matching = passing.as_ref().map_or(0, |passing| passing.count);
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
            let mut inside: Vec<(Key<'_>, u32, Item)> = node
                .children
                .iter()
                .map(|&child| Item::Group(child))
                .chain(node.tensors.iter().map(|&tensor| Item::Tensor(tensor)))
                .filter(|item| match (&passing, item) {
                    (None, _) => true,
                    (Some(passing), Item::Tensor(id)) => passing.tensors[id.index()],
                    (Some(passing), Item::Group(id)) => passing.groups[id.0 as usize],
                })
                .map(|item| (self.key(checkpoint, scan, item), position(&first, item), item))
                .collect();
            // Stable and already in file order where nothing else is asked for.
            inside.sort_by(|a, b| compare(&a.0, &b.0, self.descending).then(a.1.cmp(&b.1)));
            stack.extend(inside.into_iter().rev().map(|(_, _, item)| (item, depth + 1)));
        }
        self.rows = rows.into();
    }

    fn passing(&self, checkpoint: &Checkpoint, scan: &Scan) -> Passing {
        let tree = checkpoint.layer_tree();
        let mut passing = Passing {
            tensors: vec![false; checkpoint.tensors().len()],
            groups: vec![false; tree.len()],
            count: 0,
        };
        for (id, _) in checkpoint.tensors() {
            if !self.passes(checkpoint, scan, id) {
                continue;
            }
            passing.tensors[id.index()] = true;
            passing.count += 1;
            let mut at = Some(tree.parent_of(id));
            while let Some(group) = at {
                if std::mem::replace(&mut passing.groups[group.0 as usize], true) {
                    break;
                }
                at = tree.node(group).parent;
            }
        }
        passing
    }

    fn key<'a>(&self, checkpoint: &'a Checkpoint, scan: &Scan, item: Item) -> Key<'a> {
        let tensor = match item {
            Item::Tensor(id) => Some(checkpoint.tensor(id)),
            Item::Group(_) => None,
        };
        match self.sort {
            SortColumn::File => Key::None,
            SortColumn::Name => Key::Text(name(checkpoint, item)),
            SortColumn::Class => Key::Text(match item {
                Item::Group(id) => checkpoint.layer_tree().node(id).class.as_deref().unwrap_or("\u{10ffff}"),
                Item::Tensor(_) => "\u{10ffff}",
            }),
            SortColumn::Dtype => Key::Text(tensor.map_or("", |tensor| tensor.dtype.name())),
            SortColumn::Role => Key::Text(tensor.map_or("", |tensor| tensor.role.name())),
            SortColumn::Shape => Key::Count(elements(checkpoint, item)),
            SortColumn::Parameters => Key::Count(parameters(checkpoint, item)),
            SortColumn::Bytes => Key::Count(bytes(checkpoint, item)),
            SortColumn::Statistic(statistic) => Key::Number(scan.value(item, statistic)),
        }
    }
}

fn compare(a: &Key<'_>, b: &Key<'_>, descending: bool) -> Ordering {
    let order = match (a, b) {
        (Key::Text(a), Key::Text(b)) => natural_cmp(a, b),
        (Key::Count(a), Key::Count(b)) => a.cmp(b),
        (Key::Number(Some(a)), Key::Number(Some(b))) => a.total_cmp(b),
        (Key::Number(Some(_)), Key::Number(None)) => return Ordering::Less,
        (Key::Number(None), Key::Number(Some(_))) => return Ordering::Greater,
        _ => Ordering::Equal,
    };
    if descending { order.reverse() } else { order }
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
