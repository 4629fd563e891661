//! Reads tensors on several threads for `--stats`, `--hash` and `--verify`, and delivers the results in order.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use sha2::{Digest, Sha256};

use crate::analysis::scan::{self, Scanned};
use crate::analysis::{Histogram, Statistics, StatisticsBuilder, ValueTable};
use crate::model::{Checkpoint, Problem, Progress, ReadError, TensorId};

/// What to find out about each tensor.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wanted {
    /// Statistics, quantiles and a histogram.
    pub statistics: bool,
    /// SHA-256 of the values.
    pub hash: bool,
    /// Only that the values can be read.
    pub verify: bool,
}

impl Wanted {
    /// Whether values must be read at all.
    pub fn any(self) -> bool {
        self.statistics || self.hash || self.verify
    }
}

/// Bins of the histogram.
const BINS: usize = 256;

/// What was found out about one tensor's values.
pub struct Measurement {
    /// Count, moments, norms, quantiles.
    pub statistics: Statistics,
    /// Over the range of the finite values; `None` when there is none.
    pub histogram: Option<Histogram>,
}

/// The results for one tensor.
#[derive(Default)]
pub struct Measured {
    /// `None` when not wanted, not readable or not numbers.
    pub statistics: Option<Box<Measurement>>,
    /// In lower-case hexadecimal; `None` when not wanted or not readable.
    pub sha256: Option<String>,
    /// Why the values could not be read.
    pub unreadable: Option<Unreadable>,
}

/// Why values could not be read.
pub struct Unreadable {
    /// A sentence.
    reason: String,
    /// Whether something is wrong with the file; otherwise this program does not read such values.
    is_damage: bool,
}

impl Unreadable {
    fn new(error: &ReadError) -> Self {
        Self { reason: error.to_string(), is_damage: !matches!(error, ReadError::Unsupported(_)) }
    }

    /// The finding about a tensor.
    pub fn problem(&self, id: TensorId) -> Problem {
        let reason = self.reason.as_str();
        let problem = if self.is_damage {
            Problem::error("unreadable", reason)
        } else {
            Problem::info("unreadable", reason)
        };
        problem.on(id)
    }
}

/// Tensors whose results are held at a time: bounds memory whatever the size of the catalogue.
const BATCH: usize = 8192;

/// Reads `ids` and passes the results to `deliver` in the same order, which may end the work with an error.
pub fn measure<E>(
    checkpoint: &Checkpoint,
    ids: &[TensorId],
    wanted: Wanted,
    mut deliver: impl FnMut(TensorId, Measured) -> Result<(), E>,
) -> Result<(), E> {
    for batch in ids.chunks(BATCH) {
        // A hash needs the bytes in order; statistics alone share out a large tensor over the threads.
        let measured = if wanted.statistics && !wanted.hash {
            scan_batch(checkpoint, batch)
        } else {
            measure_batch(checkpoint, batch, wanted, scan::threads())
        };
        for (&id, measured) in batch.iter().zip(measured) {
            deliver(id, measured)?;
        }
    }
    Ok(())
}

fn scan_batch(checkpoint: &Checkpoint, batch: &[TensorId]) -> Vec<Measured> {
    let results: Vec<OnceLock<Measured>> = batch.iter().map(|_| OnceLock::new()).collect();
    let places: HashMap<TensorId, usize> = batch.iter().copied().zip(0..).collect();
    let found = |id: TensorId, scanned: Result<Scanned, ReadError>| {
        let measured = match scanned {
            Ok(scanned) => Measured {
                statistics: checkpoint
                    .tensor(id)
                    .dtype
                    .is_numeric()
                    .then(|| Box::new(Measurement::new(scanned.found.statistics, &scanned.values))),
                ..Measured::default()
            },
            Err(error) => Measured { unreadable: Some(Unreadable::new(&error)), ..Measured::default() },
        };
        if let Some(result) = places.get(&id).and_then(|&place| results.get(place)) {
            let _ = result.set(measured); // a tensor is found once
        }
    };
    // Nobody cancels this.
    let _ = scan::scan(checkpoint, batch, scan::threads(), &Progress::new(), &found);
    results.into_iter().map(|result| result.into_inner().unwrap_or_default()).collect()
}

fn measure_batch(
    checkpoint: &Checkpoint,
    batch: &[TensorId],
    wanted: Wanted,
    threads: usize,
) -> Vec<Measured> {
    let mut results: Vec<Measured> = Vec::new();
    results.resize_with(batch.len(), Measured::default);
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(&id) = batch.get(index) else { return done };
            done.push((index, measure_one(checkpoint, id, wanted)));
        }
    };
    let threads = threads.min(batch.len());
    let parts = thread::scope(|scope| {
        // The calling thread works too, so a system that starts no threads is only slower.
        let started: Vec<_> = (1..threads)
            .filter_map(|index| {
                thread::Builder::new().name(format!("measure-{index}")).spawn_scoped(scope, work).ok()
            })
            .collect();
        let mut parts = vec![work()];
        for handle in started {
            match handle.join() {
                Ok(part) => parts.push(part),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        parts
    });
    for (index, measured) in parts.into_iter().flatten() {
        results[index] = measured;
    }
    results
}

fn measure_one(checkpoint: &Checkpoint, id: TensorId, wanted: Wanted) -> Measured {
    let dtype = &checkpoint.tensor(id).dtype;
    let mut statistics = (wanted.statistics && dtype.is_numeric()).then(|| StatisticsBuilder::new(dtype));
    let mut hasher = wanted.hash.then(Sha256::new);
    let read = checkpoint.read_chunks(id, &Progress::new(), &mut |bytes| {
        if let Some(statistics) = &mut statistics {
            statistics.push(bytes);
        }
        if let Some(hasher) = &mut hasher {
            hasher.update(bytes);
        }
        ControlFlow::Continue(())
    });
    match read {
        Ok(()) => Measured {
            statistics: statistics.map(|builder| {
                let (statistics, values) = builder.finish();
                Box::new(Measurement::new(statistics, &values))
            }),
            sha256: hasher.map(|hasher| hex(&hasher.finalize())),
            unreadable: None,
        },
        Err(error) => Measured { unreadable: Some(Unreadable::new(&error)), ..Measured::default() },
    }
}

impl Measurement {
    fn new(statistics: Statistics, values: &ValueTable) -> Self {
        Self { statistics, histogram: values.full_histogram(BINS) }
    }
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|digit| char::from(DIGITS[usize::from(digit)]))
        .collect()
}
