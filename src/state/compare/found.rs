//! What is known about two checkpoints so far: pairs first, results as they arrive, at last everything.

use std::sync::Arc;

use super::{Asked, Choices, Counts};
use crate::analysis::diff::{DiffTree, PairDiff};
use crate::analysis::pairing::Pairing;
use crate::jobs::{Compared, ComparisonKey, JobError, Paired};
use crate::model::Checkpoint;

/// How far a comparison is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CompareStatus {
    /// Under way.
    Running,
    /// Complete.
    Done,
    /// Stopped by hand; what was found until then stays.
    Stopped,
    /// Broken off, and why.
    Failed(JobError),
}

/// A comparison as far as it is known.
#[derive(Debug, Clone)]
pub struct Found {
    /// Names it.
    pub key: ComparisonKey,
    /// The left checkpoint.
    pub left: Arc<Checkpoint>,
    /// The right checkpoint.
    pub right: Arc<Checkpoint>,
    /// How they are compared.
    pub choices: Choices,
    /// How far it is.
    pub status: CompareStatus,
    /// While values are being compared.
    arriving: Arriving,
    /// In the end.
    whole: Option<Arc<Compared>>,
    counts: Counts,
    changes: u64,
}

#[derive(Debug, Clone, Default)]
struct Arriving {
    pairing: Pairing,
    tree: DiffTree,
    pairs: Vec<Option<PairDiff>>,
    done: usize,
}

impl Found {
    /// What is known once the pairs are.
    pub fn paired(asked: Asked, paired: Arc<Paired>) -> Self {
        let Paired { pairing, tree } = Arc::unwrap_or_clone(paired);
        let mut pairs = Vec::new();
        pairs.resize_with(pairing.pairs.len(), || None);
        let mut counts = Counts::default();
        for row in tree.rows.iter().skip(pairs.len()) {
            counts.add(*row, None);
        }
        let Asked { key, left, right, choices } = asked;
        let arriving = Arriving { pairing, tree, pairs, done: 0 };
        Self {
            key,
            left,
            right,
            choices,
            status: CompareStatus::Running,
            arriving,
            whole: None,
            counts,
            changes: 0,
        }
    }

    /// What is known when everything comes at once.
    pub fn whole_at_once(asked: Asked, compared: Arc<Compared>) -> Self {
        let mut found = Self::paired(asked, Arc::default());
        found.complete(compared);
        found
    }

    /// Takes in some pairs.
    pub fn add(&mut self, portion: &[(usize, PairDiff)]) {
        self.changes += 1;
        for (index, pair) in portion {
            let arriving = &mut self.arriving;
            let Some(place) = arriving.pairs.get_mut(*index).filter(|place| place.is_none()) else {
                continue;
            };
            arriving.tree.add(*index, pair);
            if let Some(row) = arriving.tree.rows.get(*index) {
                self.counts.add(*row, Some(pair));
            }
            *place = Some(pair.clone());
            arriving.done += 1;
        }
    }

    /// Takes in the whole.
    pub fn complete(&mut self, compared: Arc<Compared>) {
        self.changes += 1;
        self.status = CompareStatus::Done;
        let mut counts = Counts::default();
        for (index, row) in compared.tree.rows.iter().enumerate() {
            counts.add(*row, compared.comparison.pairs.get(index));
        }
        self.counts = counts;
        self.arriving = Arriving::default();
        self.whole = Some(compared);
    }

    /// Everything, once it is there.
    pub fn whole(&self) -> Option<&Arc<Compared>> {
        self.whole.as_ref()
    }

    /// The leaves by layer, with sums over what has been compared.
    pub fn tree(&self) -> &DiffTree {
        self.whole.as_ref().map_or(&self.arriving.tree, |whole| &whole.tree)
    }

    /// Which tensor is which.
    pub fn pairing(&self) -> &Pairing {
        self.whole.as_ref().map_or(&self.arriving.pairing, |whole| &whole.comparison.pairing)
    }

    /// What was found about the pair of that index.
    pub fn pair(&self, index: usize) -> Option<&PairDiff> {
        match &self.whole {
            Some(whole) => whole.comparison.pairs.get(index),
            None => self.arriving.pairs.get(index)?.as_ref(),
        }
    }

    /// Rows of each kind, as far as they are known.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Pairs that have been compared.
    pub fn done(&self) -> usize {
        self.whole.as_ref().map_or(self.arriving.done, |whole| whole.comparison.pairs.len())
    }

    /// Grows whenever something was taken in.
    pub fn changes(&self) -> u64 {
        self.changes
    }
}
