//! One match from request to the function that does it. Knows no threads.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::export::{ExportError, ExportPlan, export};
use super::request::{Example, JobError, JobOutcome, JobOutput, JobRequest, Subject, ValueSummary};
use super::surroundings::surroundings;
use super::{compare, curves, examine, look, scan};
use crate::analysis::compatibility::Compatibility;
use crate::analysis::scan::{scan_together, threads};
use crate::export::report::Report;
use crate::formats::{self, OpenError};
use crate::model::{Cancelled, Checkpoint, Progress, ReadError, TensorId};

/// Reasons for left-out tensors that are kept; the rest is a number.
const REASONS_KEPT: usize = 5;

/// Does the work. Blocks; stops soon after `progress` is cancelled.
/// `report` takes results that are ready before the end.
pub fn run(request: &JobRequest, progress: &Progress, report: &(dyn Fn(JobOutput) + Sync)) -> JobOutcome {
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
        JobRequest::PlanExport { checkpoint, request, .. } => {
            ExportPlan::new(checkpoint, (**request).clone())
                .map(|plan| JobOutput::Planned(Arc::new(plan)))
                .map_err(|error| export_failed(&error))
        }
        JobRequest::Export { checkpoint, plan, .. } => export(checkpoint, plan, progress)
            .map(|exported| JobOutput::Exported(Arc::new(exported)))
            .map_err(|error| export_failed(&error)),
        JobRequest::Prepare { work, .. } => {
            work.run(progress).map(JobOutput::Prepared).map_err(|Cancelled| JobOutcome::Cancelled)
        }
        JobRequest::Examine { path, checkpoint, .. } => {
            examine::examine(path, checkpoint.as_deref(), progress).map(JobOutput::Examined)
        }
        JobRequest::Look { key, checkpoint, other } => {
            look::look(checkpoint, other.as_deref(), key, progress).map(JobOutput::Looked)
        }
        JobRequest::Compare { left, right, options, .. } => {
            compare::job::run(left, right, options, progress, report)
        }
        JobRequest::Compatibility { checkpoint, model, .. } => {
            Ok(JobOutput::Fitted(Arc::new(Compatibility::of(checkpoint, model))))
        }
        JobRequest::SaveReport { left, right, compared, format, path, .. } => {
            let report = Report { left, right, comparison: &compared.comparison };
            report.save(*format, path).map(|()| JobOutput::Saved(path.clone())).map_err(|error| {
                JobOutcome::Failed(JobError::new(
                    format!("Failed to write the report: {error}."),
                    Some("Choose a folder that can be written to and has space"),
                ))
            })
        }
        JobRequest::Curves { paths, options, .. } => curves::gather(paths, options, progress)
            .map(|gathered| JobOutput::Gathered(Arc::new(gathered)))
            .map_err(|error| JobOutcome::Failed(JobError::new(format!("{error}."), None))),
        JobRequest::Drift { gathered, .. } => moved(gathered, progress),
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
            Ok(JobOutput::Opened(Arc::new(checkpoint), surroundings(path)))
        }
        Err(error) if error.is_cancelled() => Err(JobOutcome::Cancelled),
        Err(error) => {
            if let Some(gathered) = curves_instead(path, &error, progress) {
                return Ok(JobOutput::Gathered(gathered));
            }
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

/// What is no checkpoint may be a log, or a folder with checkpoints and logs in it: then its curves are what can be shown.
fn curves_instead(path: &Path, error: &OpenError, progress: &Progress) -> Option<Arc<curves::Gathered>> {
    if !matches!(error, OpenError::Unrecognised { .. }) {
        return None;
    }
    let gathered = curves::gather(&[path.to_owned()], &curves::GatherOptions::default(), progress).ok()?;
    let has_series = gathered.checkpoints.iter().any(|series| series.members.len() > 1);
    (has_series || gathered.curves().next().is_some()).then(|| Arc::new(gathered))
}

fn moved(gathered: &curves::Gathered, progress: &Progress) -> Result<JobOutput, JobOutcome> {
    let series = gathered.main_checkpoints().filter(|series| series.members.len() > 1);
    let series = series.ok_or_else(|| {
        JobOutcome::Failed(JobError::new("There are not two checkpoints to compare.", None))
    })?;
    let drift = curves::drift(series, progress, &|_| {}).map_err(|_| JobOutcome::Cancelled)?;
    Ok(JobOutput::Moved(Arc::new(drift)))
}

fn export_failed(error: &ExportError) -> JobOutcome {
    if error.is_cancelled() {
        return JobOutcome::Cancelled;
    }
    JobOutcome::Failed(JobError::new(format!("Nothing was exported: {error}"), None))
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
    let together = scan_together(checkpoint, &tensors, threads(), progress)
        .map_err(|Cancelled| JobOutcome::Cancelled)?;
    if let (Subject::Tensor(id), Some((_, error))) = (subject, together.left_out.first()) {
        return Err(JobOutcome::Failed(JobError::new(
            format!("Failed to read {}: {error}.", checkpoint.tensor(id).name),
            matches!(error, ReadError::FileChanged).then_some("Reload the checkpoint"),
        )));
    }
    let failures = together.left_out.len();
    let named = together.left_out.iter().take(REASONS_KEPT);
    let mut left_out: Vec<String> =
        named.map(|(id, error)| format!("{}: {error}", checkpoint.tensor(*id).name)).collect();
    if failures > left_out.len() {
        left_out.push(format!("and {} more", failures - left_out.len()));
    }
    Ok(Arc::new(ValueSummary {
        statistics: together.statistics,
        values: together.values,
        tensors: together.tensors,
        left_out,
    }))
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
