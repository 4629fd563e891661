//! Statistics of every tensor of a checkpoint, reported in portions while the scan goes on.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use super::request::{JobOutcome, JobOutput, ScannedTensor};
use crate::analysis::StatisticsBuilder;
use crate::model::{Checkpoint, Progress, ReadError, TensorId};

/// How long results are held back. Shorter would keep the window busy with a table that nobody can read that fast.
const PORTION: Duration = Duration::from_millis(200);

/// Reads every tensor in file order. A tensor that cannot be read is reported with its reason.
pub fn scan(
    checkpoint: &Checkpoint,
    progress: &Progress,
    report: &dyn Fn(JobOutput),
) -> Result<JobOutput, JobOutcome> {
    progress.set_total(checkpoint.totals().tensor_bytes);
    let mut portion: Vec<ScannedTensor> = Vec::new();
    let mut reported = Instant::now();
    let ids: Vec<TensorId> = checkpoint.tensors().map(|(id, _)| id).collect();
    for id in ids {
        let mut builder = StatisticsBuilder::new(&checkpoint.tensor(id).dtype);
        let read = checkpoint.read_chunks(id, progress, &mut |bytes| {
            builder.push(bytes);
            if progress.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        if progress.is_cancelled() || matches!(&read, Err(ReadError::Cancelled)) {
            return Err(JobOutcome::Cancelled);
        }
        let result = read.map(|()| builder.finish().0).map_err(|error| error.to_string());
        portion.push((id, result));
        if reported.elapsed() >= PORTION {
            report(JobOutput::Scanned(std::mem::take(&mut portion)));
            reported = Instant::now();
        }
    }
    Ok(JobOutput::Scanned(portion))
}
