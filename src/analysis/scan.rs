//! Reads the values of many tensors of a checkpoint once, on several threads, and says for each what its values are.
//!
//! Results come as they are found, and do not depend on the number of threads: large tensors are shared out in segments
//! of a fixed number of elements, whose sums are merged in order. Rules over the results are in [`super::health`].

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use super::builder::{Memory, SEGMENT};
use super::dead::{self, DeadSlices};
use super::gathered::Gathered;
use super::moments::Moments;
use super::slice::value_dims;
use super::{Statistics, StatisticsBuilder, ValueTable};
use crate::model::{Cancelled, Checkpoint, Progress, ReadError, TensorId};

/// Bytes read at a time: what is read, and where it came from, is still in the second-level cache when it is added up.
const PIECE_BYTES: usize = 128 << 10;

/// What is known of one tensor after its values were read: small enough to be kept for every tensor of a checkpoint.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TensorStatistics {
    /// Of all its values.
    pub statistics: Statistics,
    /// Rows and columns of zeros; `None` where there are none, or all values are zero.
    pub dead: Option<Box<DeadSlices>>,
}

/// What a scan found in one tensor.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Scanned {
    /// To be kept.
    pub found: TensorStatistics,
    /// For histograms and further quantiles; up to 1.5 MB.
    pub values: ValueTable,
}

/// Statistics of several tensors together.
#[derive(Debug, Default)]
pub struct Together {
    /// Of all values.
    pub statistics: Statistics,
    /// For histograms and further quantiles.
    pub values: ValueTable,
    /// Tensors that were read.
    pub tensors: u64,
    /// Tensors that could not be read, and why.
    pub left_out: Vec<(TensorId, ReadError)>,
}

/// Threads that a scan may well use on this machine.
pub fn threads() -> usize {
    thread::available_parallelism().map_or(1, std::num::NonZero::get).min(16)
}

/// Reads `ids` on up to `threads` threads and calls `found` for each one, from any of the threads, in any order.
///
/// Tensors without numbers are counted and not read. One that cannot be read is an error of its own and does not end
/// the scan. Sets the total of `progress` to the bytes to read, and stops within some milliseconds when it is cancelled.
/// Takes about 1 MB per thread, and what the results take.
pub fn scan(
    checkpoint: &Checkpoint,
    ids: &[TensorId],
    threads: usize,
    progress: &Progress,
    found: &(dyn Fn(TensorId, Result<Scanned, ReadError>) + Sync),
) -> Result<(), Cancelled> {
    read_all(checkpoint, ids, threads, progress, &|index, gathered| {
        let id = ids[index];
        let scanned = gathered.and_then(|gathered| {
            let (statistics, values) = gathered.finish();
            let dead = if dead::is_possible(&value_dims(checkpoint.tensor(id)), &statistics) {
                dead::find(checkpoint, id, progress)?
            } else {
                None
            };
            Ok(Scanned { found: TensorStatistics { statistics, dead }, values })
        });
        if !progress.is_cancelled() {
            found(id, scanned);
        }
    })
}

/// Statistics of `ids` as if they were one tensor, read like [`scan`] does.
pub fn scan_together(
    checkpoint: &Checkpoint,
    ids: &[TensorId],
    threads: usize,
    progress: &Progress,
) -> Result<Together, Cancelled> {
    #[derive(Default)]
    struct Merging {
        /// Results whose turn has not come: sums are merged in the order of the tensors.
        waiting: BTreeMap<usize, Result<Gathered, ReadError>>,
        next: usize,
        merged: Option<Gathered>,
        together: Together,
    }
    let merging = Mutex::new(Merging::default());
    read_all(checkpoint, ids, threads, progress, &|index, result| {
        let merging = &mut *lock(&merging);
        merging.waiting.insert(index, result);
        while let Some(result) = merging.waiting.remove(&merging.next) {
            match result {
                Ok(gathered) => {
                    merging.together.tensors += 1;
                    match &mut merging.merged {
                        Some(merged) => merged.merge(&gathered),
                        None => merging.merged = Some(gathered),
                    }
                }
                Err(error) => merging.together.left_out.push((ids[merging.next], error)),
            }
            merging.next += 1;
        }
    })?;
    let Merging { merged, mut together, .. } = merging.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Some(merged) = merged {
        (together.statistics, together.values) = merged.finish();
    }
    Ok(together)
}

/// A share of the work.
#[derive(Clone, Copy)]
enum Unit {
    /// A tensor as a whole.
    Whole { index: usize },
    /// A segment of a tensor that several threads read.
    Segment { index: usize, split: usize, segment: u64 },
}

/// A tensor that several threads read, as far as it is done.
#[derive(Default)]
struct Split {
    /// Segments in all.
    total: u64,
    /// Segments that are in here.
    done: u64,
    gathered: Option<Gathered>,
    /// In no order.
    moments: Vec<(u64, Moments)>,
    failure: Option<ReadError>,
}

type Found<'a> = &'a (dyn Fn(usize, Result<Gathered, ReadError>) + Sync);

fn read_all(
    checkpoint: &Checkpoint,
    ids: &[TensorId],
    threads: usize,
    progress: &Progress,
    found: Found<'_>,
) -> Result<(), Cancelled> {
    progress.set_total(ids.iter().map(|&id| checkpoint.tensor(id).bytes()).sum());
    let mut units = Vec::with_capacity(ids.len());
    let mut splits: Vec<Mutex<Split>> = Vec::new();
    for (index, &id) in ids.iter().enumerate() {
        let segments = checkpoint.tensor(id).bytes().div_ceil(segment_bytes(checkpoint, id));
        // The parts of complex numbers are not summed by segments.
        let is_split = threads > 1
            && segments > 1
            && !checkpoint.tensor(id).dtype.is_complex()
            && checkpoint.is_random_access(id);
        if is_split {
            let split = splits.len();
            splits.push(Mutex::new(Split { total: segments, ..Split::default() }));
            units.extend((0..segments).map(|segment| Unit::Segment { index, split, segment }));
        } else {
            units.push(Unit::Whole { index });
        }
    }
    let next = AtomicUsize::new(0);
    let scan = Scan { checkpoint, ids, splits: &splits, progress, found };
    let work = || {
        let mut worker = Worker { scan: &scan, memory: Memory::default(), buffer: Vec::new(), share: None };
        while let Some(&unit) = units.get(next.fetch_add(1, Ordering::Relaxed)) {
            worker.work(unit);
            if progress.is_cancelled() {
                return;
            }
        }
        worker.hand_in();
    };
    thread::scope(|scope| {
        for index in 1..threads.min(units.len()) {
            // The calling thread works too: a system that starts no threads is only slower.
            let _ = thread::Builder::new().name(format!("scan-{index}")).spawn_scoped(scope, work);
        }
        work();
    });
    if progress.is_cancelled() { Err(Cancelled) } else { Ok(()) }
}

/// Bytes of [`SEGMENT`] elements.
fn segment_bytes(checkpoint: &Checkpoint, id: TensorId) -> u64 {
    let dtype = &checkpoint.tensor(id).dtype;
    dtype.bytes_for(SEGMENT as u64).unwrap_or(SEGMENT as u64)
}

/// What all threads share.
struct Scan<'a> {
    checkpoint: &'a Checkpoint,
    ids: &'a [TensorId],
    splits: &'a [Mutex<Split>],
    progress: &'a Progress,
    found: Found<'a>,
}

struct Worker<'a> {
    scan: &'a Scan<'a>,
    memory: Memory,
    buffer: Vec<u8>,
    /// What this thread has of a tensor that others read too.
    share: Option<Share>,
}

struct Share {
    index: usize,
    split: usize,
    builder: StatisticsBuilder,
    moments: Vec<(u64, Moments)>,
    segments: u64,
    failure: Option<ReadError>,
}

impl Worker<'_> {
    fn work(&mut self, unit: Unit) {
        match unit {
            Unit::Whole { index } => {
                self.hand_in();
                let result = self.read_whole(self.scan.ids[index]);
                if !self.scan.progress.is_cancelled() {
                    (self.scan.found)(index, result);
                }
            }
            Unit::Segment { index, split, segment } => {
                if self.share.as_ref().is_some_and(|share| share.index != index) {
                    self.hand_in();
                }
                let id = self.scan.ids[index];
                let mut share = self.share.take().unwrap_or_else(|| {
                    let dtype = &self.scan.checkpoint.tensor(id).dtype;
                    let builder = StatisticsBuilder::with_memory(dtype, std::mem::take(&mut self.memory));
                    Share { index, split, builder, moments: Vec::new(), segments: 0, failure: None }
                });
                share.segments += 1;
                if share.failure.is_none() {
                    share.failure = self.read_segment(id, segment, &mut share.builder).err();
                    let moments = share.builder.take_segment();
                    share.moments.extend(moments.map(|moments| (segment, moments)));
                }
                self.share = Some(share);
            }
        }
    }

    fn read_whole(&mut self, id: TensorId) -> Result<Gathered, ReadError> {
        let Scan { checkpoint, progress, .. } = self.scan;
        let tensor = checkpoint.tensor(id);
        let mut builder = StatisticsBuilder::with_memory(&tensor.dtype, std::mem::take(&mut self.memory));
        if !tensor.dtype.is_numeric() {
            builder.count_only(tensor.elements());
        } else if !self.read(id, 0, tensor.bytes(), &mut builder)? {
            checkpoint.read_chunks(id, progress, &mut |bytes| {
                builder.push(bytes);
                if progress.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })?;
        }
        let (gathered, memory) = builder.gather();
        self.memory = memory;
        Ok(gathered)
    }

    fn read_segment(
        &mut self,
        id: TensorId,
        segment: u64,
        builder: &mut StatisticsBuilder,
    ) -> Result<(), ReadError> {
        let checkpoint = self.scan.checkpoint;
        let length = segment_bytes(checkpoint, id);
        let start = segment * length;
        let is_read = self.read(id, start, (start + length).min(checkpoint.tensor(id).bytes()), builder)?;
        if is_read { Ok(()) } else { Err(ReadError::FileChanged) }
    }

    /// Reads bytes `start … end` of a tensor in pieces of whole groups. False: they can be had in order only, and
    /// nothing was read.
    fn read(
        &mut self,
        id: TensorId,
        mut start: u64,
        end: u64,
        builder: &mut StatisticsBuilder,
    ) -> Result<bool, ReadError> {
        let Scan { checkpoint, progress, .. } = self.scan;
        if start == end {
            return Ok(checkpoint.is_random_access(id));
        }
        // Not asked beforehand: of many small tensors every question to the system counts.
        let first = start;
        let group = checkpoint.tensor(id).dtype.group_bytes().max(1);
        let piece_bytes = (PIECE_BYTES / group).max(1) * group;
        while start < end {
            let length = (end - start).min(piece_bytes as u64) as usize;
            if self.buffer.len() < length {
                self.buffer.resize(length, 0);
            }
            let piece = &mut self.buffer[..length];
            match checkpoint.read_at(id, start, piece) {
                Some(result) => result?,
                None if start == first => return Ok(false),
                None => return Err(ReadError::FileChanged),
            }
            progress.advance(length as u64)?;
            builder.push(piece);
            start += length as u64;
        }
        Ok(true)
    }

    /// Adds this thread's share of a tensor to those of the others; whoever is last has the result.
    fn hand_in(&mut self) {
        let Some(share) = self.share.take() else { return };
        let (gathered, memory) = share.builder.gather();
        self.memory = memory;
        let mut split = lock(&self.scan.splits[share.split]);
        match &mut split.gathered {
            Some(all) => all.merge(&gathered),
            None => split.gathered = Some(gathered),
        }
        split.moments.extend(share.moments);
        split.failure = split.failure.take().or(share.failure);
        split.done += share.segments;
        if split.done < split.total {
            return;
        }
        let Split { gathered, mut moments, failure, .. } = std::mem::take(&mut *split);
        drop(split);
        moments.sort_by_key(|&(segment, _)| segment);
        let result = match (failure, gathered) {
            (Some(failure), _) => Err(failure),
            (None, Some(mut gathered)) => {
                gathered.add_segments(moments.into_iter().map(|(_, moments)| moments));
                Ok(gathered)
            }
            (None, None) => return,
        };
        (self.scan.found)(share.index, result);
    }
}

/// A panic elsewhere ends the scan by itself; what it left is not looked at.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
