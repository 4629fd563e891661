//! The one pass over both files: segments of pairs on several threads, results in order.
//!
//! What a thread works on is cut by the tensors alone, never by how many threads there are, and partial sums are merged in
//! order: the numbers are the same on every machine.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use sha2::{Digest, Sha256};

use super::pieces::{self, Buffers, PIECE_ELEMENTS, Side, SideError};
use super::{CompareObserver, CompareOptions};
use crate::analysis::diff::{DiffBuilder, PairDiff, PairValues};
use crate::analysis::pairing::Pair;
use crate::model::{Cancelled, Checkpoint, Progress};

/// Elements that one thread compares at a time where both sides can be read at positions.
const SEGMENT_ELEMENTS: u64 = 128 * PIECE_ELEMENTS;

/// What one thread takes up.
struct Unit {
    /// Index of the pair.
    pair: usize,
    /// Which of its segments; `None` for the whole pair in order.
    segment: Option<u64>,
}

/// A pair in work.
struct Slot {
    /// Results of the segments that are done.
    parts: Vec<Option<Result<DiffBuilder, PairValues>>>,
    /// Segments that are not.
    open: usize,
    result: Option<PairDiff>,
}

struct Scan<'a> {
    left: &'a Checkpoint,
    right: &'a Checkpoint,
    pairs: &'a [Pair],
    options: &'a CompareOptions,
    progress: &'a Progress,
    observer: &'a dyn CompareObserver,
    units: Vec<Unit>,
    next: AtomicUsize,
    slots: Vec<Mutex<Slot>>,
}

/// Compares the values of all pairs.
pub(super) fn scan(
    left: &Checkpoint,
    right: &Checkpoint,
    pairs: &[Pair],
    options: &CompareOptions,
    progress: &Progress,
    observer: &dyn CompareObserver,
) -> Result<Vec<PairDiff>, Cancelled> {
    let bytes = |pair: &Pair| left.tensor(pair.left).bytes().saturating_add(right.tensor(pair.right).bytes());
    let total = pairs.iter().map(bytes).fold(0u64, u64::saturating_add);
    progress.set_total(progress.done().saturating_add(total));
    let mut units = Vec::with_capacity(pairs.len());
    let mut slots = Vec::with_capacity(pairs.len());
    for (index, pair) in pairs.iter().enumerate() {
        let segments = segments(left, right, pair);
        match segments {
            Some(count) => {
                units.extend((0..count).map(|segment| Unit { pair: index, segment: Some(segment) }));
            }
            None => units.push(Unit { pair: index, segment: None }),
        }
        let open = segments.unwrap_or(1) as usize;
        let mut parts = Vec::new();
        parts.resize_with(open, || None);
        slots.push(Mutex::new(Slot { parts, open, result: None }));
    }
    // In the order of the file, so that a disk reads on instead of back and forth.
    units.sort_by_key(|unit| (left.tensor(pairs[unit.pair].left).offset, unit.pair, unit.segment));
    let scan =
        Scan { left, right, pairs, options, progress, observer, units, next: AtomicUsize::new(0), slots };
    scan.run()?;
    let results = scan.slots.into_iter().filter_map(|slot| slot.into_inner().ok()?.result);
    Ok(results.collect())
}

/// How many segments a pair is cut into; `None` when it is read in order.
fn segments(left: &Checkpoint, right: &Checkpoint, pair: &Pair) -> Option<u64> {
    let (a, b) = (left.tensor(pair.left), right.tensor(pair.right));
    let by_position = pair.axes.is_none()
        && a.elements() == b.elements()
        && a.elements() > 0
        && left.is_random_access(pair.left)
        && right.is_random_access(pair.right)
        && DiffBuilder::new(&a.dtype, &b.dtype, crate::analysis::diff::Tolerance::default(), 0).is_some();
    by_position.then(|| a.elements().div_ceil(SEGMENT_ELEMENTS))
}

impl Scan<'_> {
    fn run(&self) -> Result<(), Cancelled> {
        let wanted = match self.options.threads {
            0 => thread::available_parallelism().map_or(2, std::num::NonZero::get).min(8),
            threads => threads,
        };
        let work = || -> Result<(), Cancelled> {
            let mut buffers = Buffers::default();
            while let Some(unit) = self.units.get(self.next.fetch_add(1, Ordering::Relaxed)) {
                let part = self.compare(unit, &mut buffers)?;
                self.deliver(unit, part);
            }
            Ok(())
        };
        thread::scope(|scope| {
            // The calling thread works too, so a system that starts no threads is only slower.
            let started: Vec<_> = (1..wanted.min(self.units.len()))
                .filter_map(|index| {
                    thread::Builder::new().name(format!("compare-{index}")).spawn_scoped(scope, work).ok()
                })
                .collect();
            let mut result = work();
            for handle in started {
                match handle.join() {
                    Ok(other) => result = result.and(other),
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            result
        })
    }

    fn compare(
        &self,
        unit: &Unit,
        buffers: &mut Buffers,
    ) -> Result<Result<DiffBuilder, PairValues>, Cancelled> {
        let pair = &self.pairs[unit.pair];
        let (a, b) = (self.left.tensor(pair.left), self.right.tensor(pair.right));
        if a.elements() != b.elements() {
            self.progress.advance(a.bytes().saturating_add(b.bytes()))?;
            let reason = "not compared: the two have different numbers of elements";
            return Ok(Err(PairValues::NotCompared(reason.to_owned())));
        }
        let start = unit.segment.unwrap_or(0) * SEGMENT_ELEMENTS;
        let sides = (Side::new(self.left, pair.left), Side::new(self.right, pair.right));
        let builder = DiffBuilder::new(&a.dtype, &b.dtype, self.options.tolerance, start);
        let (Some(left), Some(right), Some(mut builder)) = (sides.0, sides.1, builder) else {
            return self.compare_bytes(pair);
        };
        let read = match unit.segment {
            Some(_) => {
                let first = start / PIECE_ELEMENTS;
                let end = a.elements().min(start + SEGMENT_ELEMENTS).div_ceil(PIECE_ELEMENTS);
                let mut each = |left: &[u8], right: &[u8]| builder.push(left, right);
                pieces::read_range(left, right, first..end, buffers, self.progress, &mut each)
            }
            None => self.compare_in_order(pair, left, right, &mut builder),
        };
        match read {
            Ok(()) => Ok(Ok(builder)),
            Err(failure) if failure.error.is_cancelled() || self.progress.is_cancelled() => Err(Cancelled),
            Err(SideError { is_left, error }) => {
                let side = if is_left { "left" } else { "right" };
                Ok(Err(PairValues::Unreadable(format!("the {side} values cannot be read: {error}"))))
            }
        }
    }

    /// Reads a whole pair; cut into the same segments as a pair that is read at positions, for the same numbers.
    fn compare_in_order(
        &self,
        pair: &Pair,
        left: Side<'_>,
        right: Side<'_>,
        builder: &mut DiffBuilder,
    ) -> Result<(), SideError> {
        let mut segment = builder.clone();
        let mut piece = 0;
        let mut each = |left: &[u8], right: &[u8]| {
            segment.push(left, right);
            piece += 1;
            if piece % (SEGMENT_ELEMENTS / PIECE_ELEMENTS) == 0 {
                builder.merge(&segment);
                segment = segment.another(piece * PIECE_ELEMENTS);
            }
        };
        pieces::read_in_order(left, pair.axes.as_deref(), right, self.progress, &mut each)?;
        builder.merge(&segment);
        Ok(())
    }

    /// Elements without numbers: only whether all bytes are the same.
    fn compare_bytes(&self, pair: &Pair) -> Result<Result<DiffBuilder, PairValues>, Cancelled> {
        let (a, b) = (self.left.tensor(pair.left), self.right.tensor(pair.right));
        if a.dtype != b.dtype || pair.axes.is_some() {
            return Ok(Err(PairValues::NotCompared("not compared: the elements are not numbers".to_owned())));
        }
        let hash = |checkpoint: &Checkpoint, id| {
            let mut hasher = Sha256::new();
            let mut add = |bytes: &[u8]| {
                hasher.update(bytes);
                std::ops::ControlFlow::Continue(())
            };
            checkpoint.read_chunks(id, self.progress, &mut add).map(|()| hasher.finalize())
        };
        let hashes = (hash(self.left, pair.left), hash(self.right, pair.right));
        Ok(Err(match hashes {
            _ if self.progress.is_cancelled() => return Err(Cancelled),
            (Ok(left), Ok(right)) => PairValues::Bytes { equal: left == right },
            (Err(error), _) => PairValues::Unreadable(format!("the left values cannot be read: {error}")),
            (_, Err(error)) => PairValues::Unreadable(format!("the right values cannot be read: {error}")),
        }))
    }

    /// Stores a part; the last one of a pair completes it.
    fn deliver(&self, unit: &Unit, part: Result<DiffBuilder, PairValues>) {
        let mut slot = self.slots[unit.pair].lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        slot.parts[unit.segment.unwrap_or(0) as usize] = Some(part);
        slot.open -= 1;
        if slot.open > 0 {
            return;
        }
        let parts = std::mem::take(&mut slot.parts);
        let values = merge(parts.into_iter().flatten());
        let result = PairDiff::new(self.left, self.right, &self.pairs[unit.pair], values);
        self.observer.compared(unit.pair, &result);
        slot.result = Some(result);
    }
}

fn merge(mut parts: impl Iterator<Item = Result<DiffBuilder, PairValues>>) -> PairValues {
    let mut merged = match parts.next() {
        Some(Ok(first)) => first,
        Some(Err(values)) => return values,
        None => return PairValues::NotCompared("not compared".to_owned()),
    };
    for part in parts {
        match part {
            Ok(next) => merged.merge(&next),
            Err(values) => return values,
        }
    }
    PairValues::Numbers(Box::new(merged.finish()))
}
