//! Compares two checkpoints: pairs their tensors, reads both sides on several threads, and gathers what differs.
//!
//! The arithmetic is `analysis::pairing` and `analysis::diff`; here is the reading. Used by the window's jobs and by the
//! command line alike.

mod content;
pub(super) mod job;
mod pieces;
mod scan;
mod turned;

use crate::analysis::diff::metadata::metadata_differences;
use crate::analysis::diff::{Comparison, PairDiff, Tolerance};
use crate::analysis::pairing::{Pair, Pairing, PairingOptions};
use crate::model::{Cancelled, Checkpoint, Progress};

pub use job::{Compared, ComparisonKey, MetadataLine, Paired};

/// What is compared, and how.
#[derive(Debug, Clone, Default)]
pub struct CompareOptions {
    /// How tensors are paired.
    pub pairing: PairingOptions,
    /// How far values may be apart and still count as unchanged.
    pub tolerance: Tolerance,
    /// Threads; 0 for as many as the machine has, up to 8. Decides nothing but the time.
    pub threads: usize,
}

/// Told what is found while the comparison runs.
pub trait CompareObserver: Sync {
    /// The pairs are known; their values have not been compared yet.
    fn paired(&self, pairing: &Pairing);
    /// One pair is done; `index` is into [`Pairing::pairs`]. Comes from several threads, in any order.
    fn compared(&self, index: usize, pair: &PairDiff);
}

/// Nobody watches.
impl CompareObserver for () {
    fn paired(&self, _: &Pairing) {}
    fn compared(&self, _: usize, _: &PairDiff) {}
}

/// Compares everything. Memory is bounded whatever the tensors' size; a tensor that cannot be read is a result of its pair.
pub fn compare(
    left: &Checkpoint,
    right: &Checkpoint,
    options: &CompareOptions,
    progress: &Progress,
    observer: &dyn CompareObserver,
) -> Result<Comparison, Cancelled> {
    let pairing = pair(left, right, &options.pairing, progress)?;
    observer.paired(&pairing);
    let metadata = metadata_differences(left, right);
    let pairs = scan::scan(left, right, &pairing.pairs, options, progress, observer)?;
    Ok(Comparison { pairing, pairs, metadata })
}

/// Says which tensor is which. Reads values only of tensors that have no partner by name or rule.
pub fn pair(
    left: &Checkpoint,
    right: &Checkpoint,
    options: &PairingOptions,
    progress: &Progress,
) -> Result<Pairing, Cancelled> {
    let mut pairing = Pairing::of(left, right, options);
    let same = content::same_content(left, right, &pairing, progress)?;
    pairing.add_by_content(&same);
    pairing.add_guesses(left, right, options);
    Ok(pairing)
}

/// Compares the values of these pairs only.
pub fn compare_pairs(
    left: &Checkpoint,
    right: &Checkpoint,
    pairs: &[Pair],
    options: &CompareOptions,
    progress: &Progress,
) -> Result<Vec<PairDiff>, Cancelled> {
    scan::scan(left, right, pairs, options, progress, &())
}
