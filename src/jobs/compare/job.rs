//! A comparison as a job of the window: the pairs first, then results in portions, at last everything together.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{CompareObserver, CompareOptions, compare};
use crate::analysis::diff::{Comparison, Deltas, DiffRow, DiffTree, PairDiff};
use crate::analysis::pairing::Pairing;
use crate::jobs::request::{CheckpointId, JobOutcome, JobOutput};
use crate::model::layer_tree::natural_cmp;
use crate::model::{Cancelled, Checkpoint, Progress, Value};

/// How long results are held back. Shorter would keep the window busy with a table that nobody can read that fast.
const PORTION: Duration = Duration::from_millis(200);

/// Up to this many pairs, portions hold everything about each; beyond, details come with the end, so that they are not held twice.
const PAIRS_IN_FULL: usize = 4096;

/// Characters of a metadata value that a line shows.
const VALUE_CHARACTERS: usize = 400;

/// Names a comparison of two openings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ComparisonKey {
    /// The left one.
    pub left: CheckpointId,
    /// The right one.
    pub right: CheckpointId,
    /// Larger for each newer comparison.
    pub serial: u64,
}

/// What is known before values are compared.
#[derive(Debug, Clone, Default)]
pub struct Paired {
    /// Which tensor is which.
    pub pairing: Pairing,
    /// The leaves by layer.
    pub tree: DiffTree,
}

/// A complete comparison.
#[derive(Debug, Clone, Default)]
pub struct Compared {
    /// What was found.
    pub comparison: Comparison,
    /// The same, by layer.
    pub tree: DiffTree,
    /// The place of each leaf among all when these are ordered by name, numbers by their value.
    pub name_places: Box<[u32]>,
    /// The differences of the metadata, ready to show.
    pub metadata: Vec<MetadataLine>,
    /// Bytes that were read.
    pub bytes_read: u64,
    /// How long it took.
    pub elapsed: Duration,
}

/// An entry of the metadata that differs: both sides as JSON in one line, cut where it is long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetadataLine {
    /// Keys and indices that lead to it.
    pub path: String,
    /// `None` where the entry is not there.
    pub left: Option<String>,
    /// `None` where the entry is not there.
    pub right: Option<String>,
}

/// Compares, and reports what is found on the way.
pub(in crate::jobs) fn run(
    left: &Checkpoint,
    right: &Checkpoint,
    options: &CompareOptions,
    progress: &Progress,
    report: &(dyn Fn(JobOutput) + Sync),
) -> Result<JobOutput, JobOutcome> {
    let start = Instant::now();
    let reporter = Reporter {
        left,
        right,
        report,
        in_full: AtomicBool::new(true),
        portion: Mutex::new((Vec::new(), Instant::now())),
    };
    let comparison =
        compare(left, right, options, progress, &reporter).map_err(|Cancelled| JobOutcome::Cancelled)?;
    let tree = DiffTree::of(left, right, &comparison);
    let name_places = name_places(left, right, &comparison, &tree);
    let metadata = metadata_lines(left, right, &comparison);
    let (bytes_read, elapsed) = (progress.done(), start.elapsed());
    Ok(JobOutput::Compared(Arc::new(Compared {
        comparison,
        tree,
        name_places,
        metadata,
        bytes_read,
        elapsed,
    })))
}

struct Reporter<'a> {
    left: &'a Checkpoint,
    right: &'a Checkpoint,
    report: &'a (dyn Fn(JobOutput) + Sync),
    in_full: AtomicBool,
    portion: Mutex<(Vec<(usize, PairDiff)>, Instant)>,
}

impl CompareObserver for Reporter<'_> {
    fn paired(&self, pairing: &Pairing) {
        self.in_full.store(pairing.pairs.len() <= PAIRS_IN_FULL, Ordering::Relaxed);
        let tree = DiffTree::of_pairing(self.left, self.right, pairing);
        (self.report)(JobOutput::Paired(Arc::new(Paired { pairing: pairing.clone(), tree })));
    }

    fn compared(&self, index: usize, pair: &PairDiff) {
        let mut pair = pair.clone();
        if !self.in_full.load(Ordering::Relaxed)
            && let Some(values) = &mut pair.values
        {
            values.deltas = Deltas::default();
            values.largest = Vec::new();
        }
        let mut portion = self.portion.lock().unwrap_or_else(PoisonError::into_inner);
        portion.0.push((index, pair));
        if portion.1.elapsed() >= PORTION {
            let (ready, _) = std::mem::replace(&mut *portion, (Vec::new(), Instant::now()));
            drop(portion);
            (self.report)(JobOutput::PairsCompared(Arc::new(ready)));
        }
    }
}

/// Ordered here, for comparing 100,000 names takes longer than a frame may.
fn name_places(
    left: &Checkpoint,
    right: &Checkpoint,
    comparison: &Comparison,
    tree: &DiffTree,
) -> Box<[u32]> {
    let name = |row: &DiffRow| match *row {
        DiffRow::Pair(index) => left.tensor(comparison.pairs[index].pair.left).name.as_str(),
        DiffRow::OnlyLeft(id) => left.tensor(id).name.as_str(),
        DiffRow::OnlyRight(id) => right.tensor(id).name.as_str(),
    };
    let mut order: Vec<(&str, usize)> = tree.rows.iter().map(name).zip(0..).collect();
    order.sort_by(|a, b| natural_cmp(a.0, b.0));
    let mut places = vec![0; order.len()];
    for (place, (_, leaf)) in order.into_iter().enumerate() {
        places[leaf] = place as u32;
    }
    places.into()
}

fn metadata_lines(left: &Checkpoint, right: &Checkpoint, comparison: &Comparison) -> Vec<MetadataLine> {
    let line = |value: &Value, checkpoint: &Checkpoint| {
        let json = value.to_json(&|id| checkpoint.tensor(id).name.clone()).to_string();
        match json.char_indices().nth(VALUE_CHARACTERS) {
            Some((end, _)) => format!("{}…", &json[..end]),
            None => json,
        }
    };
    let differences = comparison.metadata.iter();
    differences
        .map(|entry| MetadataLine {
            path: entry.path.clone(),
            left: entry.left.as_ref().map(|value| line(value, left)),
            right: entry.right.as_ref().map(|value| line(value, right)),
        })
        .collect()
}
