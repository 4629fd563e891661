//! Which tensors are shown by what they are, beside the filter by name.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::model::{Checkpoint, Dtype, Severity, TensorId, TensorRole};
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
    /// Element types with the number of their tensors, the most frequent first.
    pub dtypes: Vec<(Dtype, u64)>,
    /// Roles with the number of their tensors.
    pub roles: Vec<(TensorRole, u64)>,
    /// The worst finding of each tensor that has one.
    pub worst: HashMap<TensorId, Severity>,
}

impl Kinds {
    pub(super) fn of(checkpoint: &Checkpoint) -> Self {
        let mut dtypes: HashMap<&Dtype, u64> = HashMap::new();
        let mut roles: BTreeMap<TensorRole, u64> = BTreeMap::new();
        for (_, tensor) in checkpoint.tensors() {
            *dtypes.entry(&tensor.dtype).or_default() += 1;
            *roles.entry(tensor.role).or_default() += 1;
        }
        let mut dtypes: Vec<(Dtype, u64)> =
            dtypes.into_iter().map(|(dtype, count)| (dtype.clone(), count)).collect();
        dtypes.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.name().cmp(b.0.name())));
        let mut worst: HashMap<TensorId, Severity> = HashMap::new();
        for problem in checkpoint.problems() {
            if let Some(id) = problem.tensor {
                let known = worst.entry(id).or_insert(problem.severity);
                *known = (*known).max(problem.severity);
            }
        }
        Self { dtypes, roles: roles.into_iter().collect(), worst }
    }
}
