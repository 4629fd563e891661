//! One match from request to the function that does it. Knows no threads.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::request::{
    Example, FileIdentity, JobError, JobOutcome, JobOutput, JobRequest, Subject, ValueSummary,
};
use super::scan;
use crate::analysis::StatisticsBuilder;
use crate::formats::{self, OpenError};
use crate::model::{Checkpoint, Progress, ReadError, TensorId};

/// Reasons for left-out tensors that are kept; the rest is a number.
const REASONS_KEPT: usize = 5;

/// Does the work. Blocks; stops soon after `progress` is cancelled.
/// `report` takes results that are ready before the end.
pub fn run(request: &JobRequest, progress: &Progress, report: &dyn Fn(JobOutput)) -> JobOutcome {
    let result = match request {
        JobRequest::Open { path, .. } => open(path, progress),
        JobRequest::OpenExample { example, .. } => write_example(example)
            .map_err(|error| {
                JobError::new(
                    format!("Failed to write the example to the temporary folder: {error}."),
                    Some("Check that the temporary folder can be written to and has space."),
                )
            })
            .map_err(JobOutcome::Failed)
            .and_then(|path| open(&path, progress)),
        JobRequest::Statistics { key, checkpoint, .. } => {
            summarise(checkpoint, key.subject, progress).map(JobOutput::Summarised)
        }
        JobRequest::Scan { checkpoint, .. } => scan::scan(checkpoint, progress, report),
    };
    match result {
        _ if progress.is_cancelled() => JobOutcome::Cancelled,
        Ok(output) => JobOutcome::Finished(output),
        Err(outcome) => outcome,
    }
}

fn open(path: &Path, progress: &Progress) -> Result<JobOutput, JobOutcome> {
    match formats::open(path, progress) {
        Ok(checkpoint) => {
            checkpoint.layer_tree(); // built here, so that the first frame need not
            Ok(JobOutput::Opened(Arc::new(checkpoint), identity(path)))
        }
        Err(error) if error.is_cancelled() => Err(JobOutcome::Cancelled),
        Err(error) => {
            let advice = match &error {
                OpenError::Unrecognised { .. } => {
                    "Ckptscope opens PyTorch (.pt, .pth, .bin, .ckpt), Keras (.h5, .keras), TensorFlow (.index, SavedModel) and safetensors files, \
                     recognised by their content"
                }
                OpenError::Failed { .. } => {
                    "If the file is still being written or downloaded, wait for it to finish and retry"
                }
                OpenError::Inaccessible { .. } => "Check that the path exists and may be read, then retry",
            };
            Err(JobOutcome::Failed(JobError::new(error.to_string(), Some(advice))))
        }
    }
}

/// Files of a folder that are looked at for its identity.
const FILES_LOOKED_AT: usize = 4096;

/// What a file or folder is recognised by: changes when a file is written, added or removed.
fn identity(path: &Path) -> FileIdentity {
    let mut hasher = DefaultHasher::new();
    let mut look = |path: &Path| -> Option<()> {
        let metadata = std::fs::metadata(path).ok()?;
        (path, metadata.len(), metadata.modified().ok()?).hash(&mut hasher);
        Some(())
    };
    look(path)?;
    if path.is_dir() {
        let entries = std::fs::read_dir(path).ok()?.take(FILES_LOOKED_AT);
        let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        files.sort();
        files.iter().try_for_each(|file| look(file))?;
    }
    Some(hasher.finish())
}

fn write_example(example: &Example) -> std::io::Result<PathBuf> {
    // Kept until the system clears its temporary files: values are read from it as long as it is open.
    let path = tempfile::Builder::new().prefix("ckptscope-example-").tempdir()?.keep().join(example.name);
    std::fs::write(&path, example.bytes)?;
    Ok(path)
}

/// Statistics of one tensor, or of all tensors of a group together. A group's unreadable tensors are left out and named.
pub fn summarise(
    checkpoint: &Checkpoint,
    subject: Subject,
    progress: &Progress,
) -> Result<Arc<ValueSummary>, JobOutcome> {
    let tensors: Vec<TensorId> = match subject {
        Subject::Tensor(id) => vec![id],
        Subject::Group(node) => {
            let mut tensors = checkpoint.layer_tree().tensors_under(node);
            tensors.retain(|&id| {
                checkpoint.tensor(id).tied_to.is_none_or(|first| !is_under(checkpoint, first, node))
            });
            tensors
        }
    };
    progress.set_total(tensors.iter().map(|&id| checkpoint.tensor(id).bytes()).sum());
    let mut merged: Option<StatisticsBuilder> = None;
    let mut summary = ValueSummary::default();
    let mut failures = 0usize;
    for id in tensors {
        let tensor = checkpoint.tensor(id);
        let mut builder = StatisticsBuilder::new(&tensor.dtype);
        let read = checkpoint.read_chunks(id, progress, &mut |bytes| {
            builder.push(bytes);
            if progress.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        if progress.is_cancelled() || matches!(&read, Err(ReadError::Cancelled)) {
            return Err(JobOutcome::Cancelled);
        }
        match (read, subject) {
            (Ok(()), _) => {
                summary.tensors += 1;
                match &mut merged {
                    Some(all) => all.merge(&builder),
                    None => merged = Some(builder),
                }
            }
            (Err(error), Subject::Tensor(_)) => {
                return Err(JobOutcome::Failed(JobError::new(
                    format!("Failed to read {}: {error}.", tensor.name),
                    matches!(error, ReadError::FileChanged).then_some("Reload the checkpoint"),
                )));
            }
            (Err(error), Subject::Group(_)) => {
                failures += 1;
                if summary.left_out.len() < REASONS_KEPT {
                    summary.left_out.push(format!("{}: {error}", tensor.name));
                }
            }
        }
    }
    if failures > summary.left_out.len() {
        summary.left_out.push(format!("and {} more", failures - summary.left_out.len()));
    }
    if let Some(builder) = merged {
        (summary.statistics, summary.values) = builder.finish();
    }
    Ok(Arc::new(summary))
}

fn is_under(checkpoint: &Checkpoint, tensor: TensorId, node: crate::model::NodeId) -> bool {
    let tree = checkpoint.layer_tree();
    let mut at = Some(tree.parent_of(tensor));
    while let Some(id) = at {
        if id == node {
            return true;
        }
        at = tree.node(id).parent;
    }
    false
}
