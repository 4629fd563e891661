//! The differences rolled up by layer: one tree over both sides.

use super::values::relative;
use super::{Comparison, PairDiff, PairStatus};
use crate::analysis::pairing::Pairing;
use crate::model::{Checkpoint, LayerTree, NodeId, TensorId, TensorInfo};

/// One leaf of the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiffRow {
    /// Index into [`Comparison::pairs`].
    Pair(usize),
    /// A tensor that is only on the left.
    OnlyLeft(TensorId),
    /// A tensor that is only on the right.
    OnlyRight(TensorId),
}

/// What is known about all tensors below a group.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct DiffNode {
    /// Pairs in which nothing differs.
    pub identical: u64,
    /// Pairs that differ in any way.
    pub different: u64,
    /// Those of them whose values were not compared: another number of elements, unreadable, no numbers.
    pub without_values: u64,
    /// Tensors that are only on the left.
    pub only_left: u64,
    /// Tensors that are only on the right.
    pub only_right: u64,
    /// Elements compared.
    pub elements: u64,
    /// Elements that changed.
    pub changed: u64,
    /// Largest magnitude of a difference.
    pub max_abs: f64,
    /// NaN that appeared or went.
    pub nan: u64,
    squares: f64,
    left_squares: f64,
}

impl DiffNode {
    /// Euclidean norm of all differences below.
    pub fn l2(&self) -> f64 {
        self.squares.sqrt()
    }

    /// The same as a fraction of the norm of the left values; infinite where these are all zero.
    pub fn relative_l2(&self) -> f64 {
        relative(self.squares.sqrt(), self.left_squares.sqrt())
    }

    /// Fraction of the elements that changed, from 0 to 1.
    pub fn changed_fraction(&self) -> f64 {
        if self.elements == 0 { 0.0 } else { self.changed as f64 / self.elements as f64 }
    }

    fn add(&mut self, other: &Self) {
        self.identical += other.identical;
        self.different += other.different;
        self.without_values += other.without_values;
        self.only_left += other.only_left;
        self.only_right += other.only_right;
        self.elements += other.elements;
        self.changed += other.changed;
        self.max_abs = self.max_abs.max(other.max_abs);
        self.nan += other.nan;
        self.squares += other.squares;
        self.left_squares += other.left_squares;
    }
}

/// Groups of both sides by the left names (right names for what is only there), with sums.
#[derive(Debug, Clone, Default)]
pub struct DiffTree {
    /// The groups. A [`TensorId`] in it is an index into `rows`.
    pub tree: LayerTree,
    /// The leaves: pairs in file order, then what is only left, then what is only right.
    pub rows: Vec<DiffRow>,
    nodes: Vec<DiffNode>,
}

impl DiffTree {
    /// Groups and leaves of a pairing of the two, before anything is known about the pairs.
    pub fn of_pairing(left: &Checkpoint, right: &Checkpoint, pairing: &Pairing) -> Self {
        let pairs = (0..pairing.pairs.len()).map(DiffRow::Pair);
        let only_left = pairing.only_left.iter().map(|&id| DiffRow::OnlyLeft(id));
        let only_right = pairing.only_right.iter().map(|&id| DiffRow::OnlyRight(id));
        let rows: Vec<DiffRow> = pairs.chain(only_left).chain(only_right).collect();
        let info = |row: &DiffRow| -> TensorInfo {
            match *row {
                DiffRow::Pair(index) => left.tensor(pairing.pairs[index].left).clone(),
                DiffRow::OnlyLeft(id) => left.tensor(id).clone(),
                DiffRow::OnlyRight(id) => right.tensor(id).clone(),
            }
        };
        let tensors: Vec<TensorInfo> = rows.iter().map(info).collect();
        let tree = LayerTree::build(&tensors, left.layers());
        let nodes = vec![DiffNode::default(); tree.len().max(1)];
        let mut sums = Self { tree, rows, nodes };
        for index in pairing.pairs.len()..sums.rows.len() {
            let is_left = matches!(sums.rows[index], DiffRow::OnlyLeft(_));
            let (only_left, only_right) = (u64::from(is_left), u64::from(!is_left));
            sums.add_leaf(index, &DiffNode { only_left, only_right, ..DiffNode::default() });
        }
        sums
    }

    /// Sums over a comparison of the two.
    pub fn of(left: &Checkpoint, right: &Checkpoint, comparison: &Comparison) -> Self {
        let mut tree = Self::of_pairing(left, right, &comparison.pairing);
        for (index, pair) in comparison.pairs.iter().enumerate() {
            tree.add(index, pair);
        }
        tree
    }

    /// Adds what was found about the pair of that index. Each pair is added once.
    pub fn add(&mut self, index: usize, pair: &PairDiff) {
        let identical = pair.status == PairStatus::Identical && !pair.renamed;
        let mut leaf = DiffNode {
            identical: u64::from(identical),
            different: u64::from(!identical),
            without_values: u64::from(pair.status != PairStatus::Identical && pair.values.is_none()),
            ..DiffNode::default()
        };
        if let Some(values) = &pair.values {
            leaf.elements = values.elements;
            leaf.changed = values.changed;
            leaf.max_abs = values.max_abs;
            leaf.nan = values.nan_appeared + values.nan_gone;
            leaf.squares = values.l2 * values.l2;
            leaf.left_squares = values.l2_left * values.l2_left;
        }
        self.add_leaf(index, &leaf);
    }

    fn add_leaf(&mut self, index: usize, leaf: &DiffNode) {
        let mut at = Some(self.tree.parent_of(TensorId(index as u32)));
        while let Some(id) = at {
            self.nodes[id.0 as usize].add(leaf);
            at = self.tree.node(id).parent;
        }
    }

    /// The sums of one group. `id` must come from [`Self::tree`].
    pub fn node(&self, id: NodeId) -> &DiffNode {
        &self.nodes[id.0 as usize]
    }
}
