//! Makes sure that tensors said to be tied have the same values in the same order.
//!
//! Two views of one storage can differ in their strides: a square matrix and its transpose share every byte.

use std::ops::ControlFlow;

use sha2::{Digest, Sha256};

use super::{ExportError, ExportPlan};
use crate::model::{Checkpoint, Progress, ReadError, TensorId};

/// Unties those of the plan that differ, by reading them.
pub(super) fn confirm(
    checkpoint: &Checkpoint,
    plan: &mut ExportPlan,
    progress: &Progress,
) -> Result<(), ExportError> {
    let mut digests: Vec<Option<[u8; 32]>> = vec![None; plan.tensors.len()];
    let mut untied = false;
    for index in 0..plan.tensors.len() {
        let Some(first) = plan.tensors.get(index).and_then(|tensor| tensor.alias_of) else { continue };
        if plan.tensors.get(index).is_some_and(|tensor| tensor.shape.rank() < 2) {
            continue; // one order only
        }
        let mut digest_of = |place: usize| -> Result<[u8; 32], ExportError> {
            if let Some(Some(digest)) = digests.get(place) {
                return Ok(*digest);
            }
            let Some(tensor) = plan.tensors.get(place) else { return Ok([0; 32]) };
            let digest = digest(checkpoint, tensor.id, progress)?;
            if let Some(known) = digests.get_mut(place) {
                *known = Some(digest);
            }
            Ok(digest)
        };
        if digest_of(first)? == digest_of(index)? {
            continue;
        }
        untied = true;
        if let Some(tensor) = plan.tensors.get_mut(index) {
            tensor.alias_of = None;
            let elements = tensor.shape.checked_elements();
            tensor.bytes = elements.and_then(|elements| tensor.dtype.bytes_for(elements)).unwrap_or(0);
        }
    }
    if untied {
        plan.lay_out();
    }
    Ok(())
}

fn digest(checkpoint: &Checkpoint, id: TensorId, progress: &Progress) -> Result<[u8; 32], ExportError> {
    let mut hasher = Sha256::new();
    let mut cancelled = false;
    let read = checkpoint.read_chunks(id, &Progress::new(), &mut |bytes| {
        hasher.update(bytes);
        cancelled = progress.is_cancelled();
        if cancelled { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    match read {
        _ if cancelled => Err(ExportError::Cancelled),
        Ok(()) => Ok(hasher.finalize().into()),
        Err(ReadError::Cancelled) => Err(ExportError::Cancelled),
        Err(source) => Err(ExportError::Read { tensor: checkpoint.tensor(id).name.clone(), source }),
    }
}
