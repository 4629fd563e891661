//! Selecting tensors for export, and exporting them.

use std::path::Path;
use std::sync::Arc;

use super::Effect;
use crate::jobs::export::ExportFormat;
use crate::jobs::{CheckpointId, JobKey, JobOutcome, JobOutput, JobRequest, Loadable};
use crate::model::{Checkpoint, RenameRule, Severity};
use crate::state::AppState;
use crate::state::export::{ExportDialog, ExportForm};
use crate::state::selection::MarkChange;

pub(super) fn mark(state: &mut AppState, id: CheckpointId, change: &MarkChange) -> Vec<Effect> {
    let Some(entry) = state.session.entry_mut(id) else { return Vec::new() };
    let Some(checkpoint) = entry.checkpoint.value().cloned() else { return Vec::new() };
    let (tree, scan) = (&entry.tree, &entry.scan);
    let passes = |tensor| tree.passes(&checkpoint, scan, tensor);
    entry.marks.change(&checkpoint, change, tree.rows(), tree.selected(), &passes);
    Vec::new()
}

/// The names of the selected tensors, one a line.
pub(super) fn selected_names(state: &AppState) -> Option<String> {
    let entry = state.session.current()?;
    let checkpoint = entry.checkpoint.value()?;
    let names: Vec<&str> =
        entry.marks.tensors().into_iter().map(|id| checkpoint.tensor(id).name.as_str()).collect();
    (!names.is_empty()).then(|| names.join("\n"))
}

/// Opens the dialog; with rules, for the checkpoint under other names.
pub(super) fn show(state: &mut AppState, id: CheckpointId, rules: &[RenameRule]) -> Vec<Effect> {
    if state.export.as_ref().is_some_and(|dialog| dialog.running) {
        state.notices.tell(Severity::Warning, "An export is running; wait for it or cancel it");
        return Vec::new();
    }
    let Some((checkpoint, has_selection)) = open_checkpoint(state, id) else { return Vec::new() };
    let form = if rules.is_empty() {
        ExportForm::new(&checkpoint, has_selection)
    } else {
        ExportForm::renamed(&checkpoint, rules)
    };
    state.export = Some(ExportDialog {
        checkpoint: id,
        form,
        preview: Loadable::NotRequested,
        fault: None,
        failure: None,
        running: false,
    });
    preview(state)
}

fn open_checkpoint(state: &AppState, id: CheckpointId) -> Option<(Arc<Checkpoint>, bool)> {
    let entry = state.session.entry(id)?;
    Some((entry.checkpoint.value()?.clone(), !entry.marks.is_empty()))
}

pub(super) fn edit(state: &mut AppState, form: ExportForm) -> Vec<Effect> {
    let Some(dialog) = &mut state.export else { return Vec::new() };
    dialog.form = form;
    dialog.failure = None;
    preview(state)
}

/// A place was chosen in the desktop's own dialog, which asks before it replaces a file.
pub(super) fn save_to(state: &mut AppState, path: &Path) -> Vec<Effect> {
    let Some(dialog) = &mut state.export else { return Vec::new() };
    let mut form = dialog.form.clone();
    if let Some(format) = ExportFormat::of_path(path).filter(|_| form.format != ExportFormat::NpyFolder) {
        form.format = format;
    }
    form.replace = true;
    form.target = path.to_string_lossy().into_owned();
    edit(state, form)
}

/// Asks for a new preview.
fn preview(state: &mut AppState) -> Vec<Effect> {
    let Some(dialog) = &mut state.export else { return Vec::new() };
    let id = dialog.checkpoint;
    let Some(entry) = state.session.entry(id) else {
        state.export = None;
        return Vec::new();
    };
    let Some(checkpoint) = entry.checkpoint.value().cloned() else { return Vec::new() };
    match dialog.form.request(&checkpoint, entry.marks.tensors()) {
        Ok(request) => {
            dialog.fault = None;
            dialog.preview.begin();
            vec![Effect::Submit(JobRequest::PlanExport { id, checkpoint, request: Box::new(request) })]
        }
        Err(fault) => {
            dialog.fault = Some(fault);
            dialog.preview.cancel();
            vec![Effect::Cancel(JobKey::PlanExport(id))]
        }
    }
}

pub(super) fn planned(state: &mut AppState, id: CheckpointId, outcome: JobOutcome) {
    let Some(dialog) = state.export.as_mut().filter(|dialog| dialog.checkpoint == id) else { return };
    match outcome {
        JobOutcome::Finished(JobOutput::Planned(plan)) => dialog.preview = Loadable::Ready(plan),
        JobOutcome::Failed(error) => dialog.preview.fail(error),
        // Replaced by the job for the next change.
        _ => {}
    }
}

/// Starts the export that the preview shows.
pub(super) fn start(state: &mut AppState) -> Vec<Effect> {
    let Some(dialog) = &mut state.export else { return Vec::new() };
    let id = dialog.checkpoint;
    let (Loadable::Ready(plan), None) = (&dialog.preview, &dialog.fault) else { return Vec::new() };
    let Some(checkpoint) = state.session.entry(id).and_then(|entry| entry.checkpoint.value()) else {
        return Vec::new();
    };
    dialog.running = true;
    dialog.failure = None;
    vec![Effect::Submit(JobRequest::Export { id, checkpoint: checkpoint.clone(), plan: plan.clone() })]
}

pub(super) fn ended(state: &mut AppState, id: CheckpointId, outcome: JobOutcome) {
    let dialog = state.export.as_mut().filter(|dialog| dialog.checkpoint == id);
    match outcome {
        JobOutcome::Finished(JobOutput::Exported(exported)) => {
            state.export = None;
            let verified = if exported.verified { ", read back and equal" } else { "" };
            let mut text = format!(
                "Exported {} tensors ({}){verified} to {}",
                crate::text::count(exported.tensors),
                crate::text::bytes(exported.bytes),
                crate::state::session::display_name(&exported.path)
            );
            let lost: u64 = exported.overflowed.iter().map(|(_, count)| count).sum();
            let severity = if lost > 0 { Severity::Warning } else { Severity::Info };
            if lost > 0 {
                text = format!("{text}; {} values did not fit", crate::text::count(lost));
            }
            state.notices.tell_of(severity, text, exported.path.clone());
        }
        JobOutcome::Failed(error) => {
            if let Some(dialog) = dialog {
                dialog.running = false;
                dialog.failure = Some(error.message);
            }
        }
        _ => {
            state.export = None;
            state.notices.tell(Severity::Info, "Export cancelled; nothing was written");
        }
    }
}
