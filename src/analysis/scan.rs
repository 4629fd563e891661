//! Reads the values of many tensors of a checkpoint once, on several threads, and says for each what its values are.
//!
//! Results come as they are found, and do not depend on the number of threads. Rules over the results are in
//! [`super::health`].

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::{Statistics, StatisticsBuilder, ValueTable};
use crate::model::{Cancelled, Checkpoint, Progress, ReadError, TensorId};

/// What is known of one tensor after its values were read: small enough to be kept for every tensor of a checkpoint.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TensorStatistics {
    /// Of all its values.
    pub statistics: Statistics,
    /// Rows and columns of zeros; `None` where there are none.
    pub dead: Option<Box<DeadSlices>>,
}

/// Rows and columns of a tensor of two dimensions or more whose values are all zero.
///
/// A row is everything at one index of the first axis (an output of a PyTorch layer, a word of an embedding), a column
/// everything at one index of the last (an output of a Keras layer).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeadSlices {
    /// Rows of zeros.
    pub rows: u64,
    /// The first of them, at most [`Self::LISTED`].
    pub first_rows: Vec<u64>,
    /// Columns of zeros.
    pub columns: u64,
    /// The first of them, at most [`Self::LISTED`].
    pub first_columns: Vec<u64>,
}

impl DeadSlices {
    /// Indices that are listed of each kind.
    pub const LISTED: usize = 16;
}

/// What a scan found in one tensor.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Scanned {
    /// To be kept.
    pub found: TensorStatistics,
    /// For histograms and further quantiles; up to 1.5 MB.
    pub values: ValueTable,
}

/// Reads `ids` on up to `threads` threads and calls `found` for each one, from any of the threads, in any order.
///
/// Tensors without numbers are counted and not read. One that cannot be read is an error of its own and does not end
/// the scan. Sets the total of `progress` to the bytes to read, and stops within some milliseconds when it is cancelled.
pub fn scan(
    checkpoint: &Checkpoint,
    ids: &[TensorId],
    threads: usize,
    progress: &Progress,
    found: &(dyn Fn(TensorId, Result<Scanned, ReadError>) + Sync),
) -> Result<(), Cancelled> {
    progress.set_total(ids.iter().map(|&id| checkpoint.tensor(id).bytes()).sum());
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some(&id) = ids.get(next.fetch_add(1, Ordering::Relaxed)) {
            let result = read(checkpoint, id, progress).map(|builder| {
                let (statistics, values) = builder.finish();
                Scanned { found: TensorStatistics { statistics, dead: None }, values }
            });
            if progress.is_cancelled() {
                return;
            }
            found(id, result);
        }
    };
    thread::scope(|scope| {
        for index in 1..threads {
            // A system that starts no threads is only slower.
            let _ = thread::Builder::new().name(format!("scan-{index}")).spawn_scoped(scope, work);
        }
        work();
    });
    if progress.is_cancelled() { Err(Cancelled) } else { Ok(()) }
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

/// Statistics of `ids` as if they were one tensor, read like [`scan`] does.
pub fn scan_together(
    checkpoint: &Checkpoint,
    ids: &[TensorId],
    threads: usize,
    progress: &Progress,
) -> Result<Together, Cancelled> {
    let _ = threads;
    progress.set_total(ids.iter().map(|&id| checkpoint.tensor(id).bytes()).sum());
    let mut merged: Option<StatisticsBuilder> = None;
    let mut together = Together::default();
    for &id in ids {
        match read(checkpoint, id, progress) {
            _ if progress.is_cancelled() => return Err(Cancelled),
            Ok(builder) => {
                together.tensors += 1;
                match &mut merged {
                    Some(all) => all.merge(&builder),
                    None => merged = Some(builder),
                }
            }
            Err(error) => together.left_out.push((id, error)),
        }
    }
    if let Some(builder) = merged {
        (together.statistics, together.values) = builder.finish();
    }
    Ok(together)
}

fn read(checkpoint: &Checkpoint, id: TensorId, progress: &Progress) -> Result<StatisticsBuilder, ReadError> {
    let mut builder = StatisticsBuilder::new(&checkpoint.tensor(id).dtype);
    checkpoint.read_chunks(id, progress, &mut |bytes| {
        builder.push(bytes);
        if progress.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    Ok(builder)
}
