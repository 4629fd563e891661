//! What differs between two checkpoints: per pair of tensors, per layer, in all, and in the metadata.
//!
//! Runs after [`super::pairing`] has said which tensor is which. Here are the results and the arithmetic; reading both
//! sides on several threads is `jobs::compare`.

mod buckets;
mod exact;
mod kernels;
mod lanes;
pub mod layers;
pub mod metadata;
mod values;

pub use buckets::Deltas;
pub use layers::{DiffNode, DiffRow, DiffTree};
pub use metadata::MetadataDifference;
pub use values::{Change, DiffBuilder, LARGEST_CHANGES, Tolerance, ValueDiff};

use super::pairing::{MatchedBy, Pair, Pairing};
use crate::model::Checkpoint;

/// What is to be said first about a pair. Later ones are told apart only where no earlier one holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PairStatus {
    /// The values of one side cannot be read.
    Unreadable,
    /// The shapes differ.
    Reshaped,
    /// The dtypes differ.
    DtypeChanged,
    /// The values differ by more than the tolerance.
    Changed,
    /// Nothing differs but perhaps the name.
    Identical,
}

impl PairStatus {
    /// The word used in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::Reshaped => "reshaped",
            Self::DtypeChanged => "dtype_changed",
            Self::Changed => "changed",
            Self::Identical => "identical",
        }
    }
}

/// The differences of one pair.
#[derive(Debug, Clone, PartialEq)]
pub struct PairDiff {
    /// Which tensors.
    pub pair: Pair,
    /// What is to be said first.
    pub status: PairStatus,
    /// Whether the names differ otherwise than by a rule that the user gave.
    pub renamed: bool,
    /// Differences of the values; `None` where they have no numbers, cannot be read or differ in number.
    pub values: Option<ValueDiff>,
    /// Why there are no values, as a sentence.
    pub problem: Option<String>,
}

impl PairDiff {
    /// Whether the two sides are not the same.
    pub fn differs(&self) -> bool {
        self.status != PairStatus::Identical || self.renamed
    }

    /// By what the table is sorted: the norm of the change relative to the left, infinite where nothing can be said.
    pub fn relative_change(&self) -> f64 {
        match (&self.values, self.status) {
            (Some(values), _) if values.nan_appeared + values.nan_gone > 0 => f64::INFINITY,
            (Some(values), _) => values.relative_l2(),
            (None, PairStatus::Identical) => 0.0,
            (None, _) => f64::INFINITY,
        }
    }
}

/// What was found about the values of a pair, before it is judged together with names and shapes.
#[derive(Debug, Clone, PartialEq)]
pub enum PairValues {
    /// Compared number by number.
    Numbers(Box<ValueDiff>),
    /// No numbers: only whether all bytes are the same.
    Bytes {
        /// Whether they are.
        equal: bool,
    },
    /// Not compared, and why.
    NotCompared(String),
    /// The values of one side cannot be read, and why.
    Unreadable(String),
}

impl PairDiff {
    /// Judges a pair.
    pub fn new(left: &Checkpoint, right: &Checkpoint, pair: &Pair, values: PairValues) -> Self {
        let (a, b) = (left.tensor(pair.left), right.tensor(pair.right));
        let changed = match &values {
            PairValues::Numbers(values) => values.changed > 0,
            PairValues::Bytes { equal } => !equal,
            PairValues::NotCompared(_) | PairValues::Unreadable(_) => true,
        };
        let status = if pair.shape_as_right(&a.shape) != b.shape {
            PairStatus::Reshaped
        } else if matches!(values, PairValues::Unreadable(_)) {
            PairStatus::Unreadable
        } else if a.dtype != b.dtype {
            PairStatus::DtypeChanged
        } else if changed {
            PairStatus::Changed
        } else {
            PairStatus::Identical
        };
        let renamed = a.name != b.name && pair.by != MatchedBy::GivenRule;
        let (values, problem) = match values {
            PairValues::Numbers(values) => (Some(*values), None),
            PairValues::Bytes { .. } => (None, None),
            PairValues::NotCompared(reason) | PairValues::Unreadable(reason) => (None, Some(reason)),
        };
        Self { pair: pair.clone(), status, renamed, values, problem }
    }
}

/// Everything that was found about two checkpoints.
#[derive(Debug, Clone, Default)]
pub struct Comparison {
    /// Which tensor is which, and which have no partner.
    pub pairing: Pairing,
    /// One result per pair, in the order of [`Pairing::pairs`].
    pub pairs: Vec<PairDiff>,
    /// Entries that are not the same on both sides.
    pub metadata: Vec<MetadataDifference>,
}

/// Counts over a comparison. A pair is in exactly one of the first five; `renamed` counts across them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
#[expect(missing_docs, reason = "named as in the JSON that documents them")]
pub struct DiffSummary {
    pub identical: u64,
    pub changed: u64,
    pub only_left: u64,
    pub only_right: u64,
    pub reshaped: u64,
    pub dtype_changed: u64,
    pub renamed: u64,
    pub unreadable: u64,
}

impl Comparison {
    /// The counts.
    pub fn summary(&self) -> DiffSummary {
        let mut summary = DiffSummary {
            only_left: self.pairing.only_left.len() as u64,
            only_right: self.pairing.only_right.len() as u64,
            ..DiffSummary::default()
        };
        for pair in &self.pairs {
            *match pair.status {
                PairStatus::Unreadable => &mut summary.unreadable,
                PairStatus::Reshaped => &mut summary.reshaped,
                PairStatus::DtypeChanged => &mut summary.dtype_changed,
                PairStatus::Changed => &mut summary.changed,
                PairStatus::Identical => &mut summary.identical,
            } += 1;
            summary.renamed += u64::from(pair.renamed);
        }
        summary
    }

    /// Whether any tensor differs, is renamed or has no partner. Metadata and the order of tensors do not count.
    pub fn differs(&self) -> bool {
        !self.pairing.only_left.is_empty()
            || !self.pairing.only_right.is_empty()
            || self.pairs.iter().any(PairDiff::differs)
    }

    /// Indices of the pairs, those with the largest relative change first; equal ones in file order.
    pub fn by_relative_change(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.pairs.len()).collect();
        let key = |index: &usize| (self.pairs[*index].status, self.pairs[*index].renamed);
        order.sort_by(|a, b| {
            let (left, right) = (&self.pairs[*a], &self.pairs[*b]);
            right.relative_change().total_cmp(&left.relative_change()).then_with(|| key(a).cmp(&key(b)))
        });
        order
    }
}
