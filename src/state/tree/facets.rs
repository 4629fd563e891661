//! Which tensors are shown by what they are, beside the filter by name.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::Item;
use crate::model::{Checkpoint, Dtype, Severity, TensorId, TensorRole};
use crate::state::outline::first_tensors;
use crate::state::scan::{Scan, ValueFacet};

/// Properties to show only. Within one kind any of them suffices; every kind with a choice must be met.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facets {
    /// Element types.
    pub dtypes: HashSet<Dtype>,
    /// Roles.
    pub roles: HashSet<TensorRole>,
    /// Properties of values, as far as the scan knows them.
    pub values: HashSet<ValueFacet>,
}

impl Facets {
    /// Whether nothing is chosen, so that every tensor passes.
    pub fn is_empty(&self) -> bool {
        self.dtypes.is_empty() && self.roles.is_empty() && self.values.is_empty()
    }

    /// Whether a tensor passes.
    pub fn matches(&self, checkpoint: &Checkpoint, scan: &Scan, id: TensorId) -> bool {
        let tensor = checkpoint.tensor(id);
        (self.dtypes.is_empty() || self.dtypes.contains(&tensor.dtype))
            && (self.roles.is_empty() || self.roles.contains(&tensor.role))
            && (self.values.is_empty() || self.values.iter().any(|&facet| scan.matches(id, facet)))
    }
}

/// What a checkpoint has to choose from, counted once when it opens.
#[derive(Debug, Default)]
pub struct Kinds {
    /// Element types, the one with the largest share of the file first.
    pub dtypes: Vec<DtypeShare>,
    /// Roles with the number of their tensors.
    pub roles: Vec<(TensorRole, u64)>,
    /// The worst problem of each tensor that has one.
    pub worst: HashMap<TensorId, Severity>,
    /// Whether the file names the class of a layer.
    pub classes: bool,
    /// For each group the first tensor inside, which is its place in file order.
    first: Vec<u32>,
}

/// What one element type has of a checkpoint.
#[derive(Debug, Clone)]
pub struct DtypeShare {
    /// The type.
    pub dtype: Dtype,
    /// Its tensors.
    pub tensors: u64,
    /// Their bytes in the file.
    pub bytes: u64,
}

impl Kinds {
    pub(super) fn of(checkpoint: &Checkpoint) -> Self {
        let mut dtypes: Vec<DtypeShare> = Vec::new();
        let mut roles: BTreeMap<TensorRole, u64> = BTreeMap::new();
        for (_, tensor) in checkpoint.tensors() {
            // There are few types: looking through them beats hashing.
            let known = dtypes.iter().position(|share| share.dtype == tensor.dtype).unwrap_or_else(|| {
                dtypes.push(DtypeShare { dtype: tensor.dtype.clone(), tensors: 0, bytes: 0 });
                dtypes.len() - 1
            });
            let share = &mut dtypes[known];
            share.tensors += 1;
            share.bytes = share.bytes.saturating_add(tensor.stored_bytes);
            *roles.entry(tensor.role).or_default() += 1;
        }
        dtypes.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.dtype.name().cmp(b.dtype.name())));
        let mut worst: HashMap<TensorId, Severity> = HashMap::new();
        for problem in checkpoint.problems() {
            if let Some(id) = problem.tensor {
                let known = worst.entry(id).or_insert(problem.severity);
                *known = (*known).max(problem.severity);
            }
        }
        let roles = roles.into_iter().collect();
        let classes = checkpoint.layers().iter().any(|layer| layer.class.is_some());
        Self { dtypes, roles, worst, classes, first: first_tensors(checkpoint.layer_tree()) }
    }

    /// Where an item stands in file order.
    pub(super) fn position(&self, item: Item) -> u32 {
        match item {
            Item::Group(id) => self.first.get(id.0 as usize).copied().unwrap_or(u32::MAX),
            Item::Tensor(id) => id.0,
        }
    }
}
