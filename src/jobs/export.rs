//! Exports a checkpoint: writes, reads back where that is asked for, and only then gives the new files their names.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::export::{self, Written};
pub use crate::export::{
    Choice, Conversion, ExportError, ExportFormat, ExportPlan, ExportRequest, MetadataChoice, PlannedTensor,
    Verify,
};
use crate::formats;
use crate::model::{Checkpoint, Progress, ReadError, TensorId};

/// What was exported.
#[derive(Debug, Clone, PartialEq)]
pub struct Exported {
    /// What to open to see it: the file, the folder, or the index of a set.
    pub path: PathBuf,
    /// Names of tensors in it.
    pub tensors: u64,
    /// Bytes of their values.
    pub bytes: u64,
    /// Tensors in which finite numbers became infinite or integers were cut, by name, with how many.
    pub overflowed: Vec<(String, u64)>,
    /// Tensors in which numbers became zero, by name, with how many.
    pub vanished: Vec<(String, u64)>,
    /// Whether it was read back and found to hold what was read.
    pub verified: bool,
}

/// Carries out a plan. Until everything is complete the target is as it was; so it stays on any error. `progress` gets its
/// total here.
pub fn export(
    checkpoint: &Checkpoint,
    plan: &ExportPlan,
    progress: &Progress,
) -> Result<Exported, ExportError> {
    let verify = match plan.request.verify {
        _ if plan.request.format == ExportFormat::Csv => false,
        Verify::WhenConverted => plan.converts(),
        Verify::Always => true,
        Verify::Never => false,
    };
    let read = plan.tensors.iter().filter(|tensor| tensor.alias_of.is_none());
    let read = read.map(|tensor| checkpoint.tensor(tensor.id).bytes()).fold(0, u64::saturating_add);
    progress.set_total(read.saturating_add(if verify { plan.bytes } else { 0 }));
    let written = export::write(checkpoint, plan, verify, progress)?;
    if verify {
        check(&written, progress)?;
    }
    let plan = &written.plan;
    let counted = |count: fn(&export::WrittenTensor) -> u64| {
        let told = written.tensors.iter().filter(|tensor| count(tensor) > 0);
        told.filter_map(|tensor| Some((plan.tensors.get(tensor.index)?.name.clone(), count(tensor))))
            .collect()
    };
    let exported = Exported {
        path: plan.result_path(),
        tensors: plan.tensors.iter().filter(|tensor| plan.is_written(tensor)).count() as u64,
        bytes: plan.bytes,
        overflowed: counted(|tensor| tensor.overflowed),
        vanished: counted(|tensor| tensor.vanished),
        verified: verify,
    };
    written.commit()?;
    Ok(exported)
}

/// Reads the new files with the readers of this program and compares names, dtypes, shapes and values.
fn check(written: &Written, progress: &Progress) -> Result<(), ExportError> {
    let plan = &written.plan;
    let digests: HashMap<usize, [u8; 32]> =
        written.tensors.iter().filter_map(|tensor| Some((tensor.index, tensor.sha256?))).collect();
    for (place, path) in written.reading_paths() {
        let Some(file) = plan.files.get(place) else { continue };
        let found = open(&path, progress)?;
        let by_stored_name: HashMap<&str, TensorId> = match plan.request.format {
            ExportFormat::Hdf5 => found.tensors().map(|(id, tensor)| (tensor.stored_name(), id)).collect(),
            _ => HashMap::new(),
        };
        // Names of tensors under different keys can be the same text.
        let by_path: HashMap<&[String], TensorId> = match plan.request.format {
            ExportFormat::PyTorch => found.tensors().map(|(id, tensor)| (&*tensor.path, id)).collect(),
            _ => HashMap::new(),
        };
        let locate = |tensor: &PlannedTensor| match plan.request.format {
            ExportFormat::Hdf5 => by_stored_name.get(format!("/{}", tensor.keys.join("/")).as_str()).copied(),
            ExportFormat::PyTorch => by_path.get(tensor.keys.as_slice()).copied(),
            ExportFormat::NpyFolder => found.tensors().next().map(|(id, _)| id),
            ExportFormat::Safetensors | ExportFormat::Npz | ExportFormat::Csv => found.find(&tensor.name),
        };
        for &index in &file.tensors {
            let Some(tensor) = plan.tensors.get(index) else { continue };
            let id = locate(tensor)
                .ok_or_else(|| ExportError::Differs(format!("{} is not in it", tensor.name)))?;
            let read = found.tensor(id);
            if read.dtype != tensor.dtype || read.shape != tensor.shape {
                return Err(ExportError::Differs(format!(
                    "{} is {} {} instead of {} {}",
                    tensor.name, read.dtype, read.shape, tensor.dtype, tensor.shape
                )));
            }
            if tensor.alias_of.is_none() && digests.get(&index) != Some(&digest(&found, id, progress)?) {
                return Err(ExportError::Differs(format!("the values of {}", tensor.name)));
            }
        }
    }
    Ok(())
}

fn open(path: &Path, progress: &Progress) -> Result<Checkpoint, ExportError> {
    formats::open(path, progress).map_err(|error| {
        if error.is_cancelled() { ExportError::Cancelled } else { ExportError::Differs(error.to_string()) }
    })
}

fn digest(checkpoint: &Checkpoint, id: TensorId, progress: &Progress) -> Result<[u8; 32], ExportError> {
    let mut hasher = Sha256::new();
    let read = checkpoint.read_chunks(id, progress, &mut |bytes| {
        hasher.update(bytes);
        ControlFlow::Continue(())
    });
    match read {
        Ok(()) => Ok(hasher.finalize().into()),
        Err(ReadError::Cancelled) => Err(ExportError::Cancelled),
        Err(error) => Err(ExportError::Differs(format!("{}: {error}", checkpoint.tensor(id).name))),
    }
}
