//! Statistics of every tensor of a checkpoint, reported in portions while the scan goes on.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::request::{JobOutcome, JobOutput, ScannedTensor};
use crate::analysis::scan;
use crate::model::{Cancelled, Checkpoint, Progress, TensorId};

/// How long results are held back. Shorter would keep the window busy with a table that nobody can read that fast.
const PORTION: Duration = Duration::from_millis(200);

/// Results that are reported at once, at most: the window takes a portion in within one frame.
const PORTION_TENSORS: usize = 2048;

/// Reads every tensor once. A tensor that cannot be read is reported with its reason.
pub(super) fn scan(
    checkpoint: &Checkpoint,
    progress: &Progress,
    report: &(dyn Fn(JobOutput) + Sync),
) -> Result<JobOutput, JobOutcome> {
    let ids: Vec<TensorId> = checkpoint.tensors().map(|(id, _)| id).collect();
    let portion: Mutex<(Vec<ScannedTensor>, Instant)> = Mutex::new((Vec::new(), Instant::now()));
    scan::scan(checkpoint, &ids, scan::threads(), progress, &|id, result| {
        let found = result.map(|scanned| scanned.found).map_err(|error| error.to_string());
        let mut portion = portion.lock().unwrap_or_else(PoisonError::into_inner);
        portion.0.push((id, found));
        if portion.1.elapsed() >= PORTION || portion.0.len() >= PORTION_TENSORS {
            let (ready, _) = std::mem::replace(&mut *portion, (Vec::new(), Instant::now()));
            drop(portion);
            report(JobOutput::Scanned(ready));
        }
    })
    .map_err(|Cancelled| JobOutcome::Cancelled)?;
    Ok(JobOutput::Scanned(portion.into_inner().unwrap_or_else(PoisonError::into_inner).0))
}
