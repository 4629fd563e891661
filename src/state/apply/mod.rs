//! The only code that changes state. Does no I/O: what must happen outside is returned as [`Effect`]s.

mod analyses;
mod compare;
mod curves;
mod exporting;
mod opening;
mod prepared;

use std::path::PathBuf;

use super::command::{Command, Page};
use super::tree;
use super::{AppState, Dialogs, PathDialog};
use crate::jobs::{CheckpointId, JobEvent, JobKey, JobOutcome, JobOutput, JobRequest, ReportFormat};
use crate::model::Severity;

pub use analyses::statistics_key;
use analyses::{request_scan, request_statistics, scan_reported, want_look, wanted_statistics};
use opening::{close, examine, open_example, open_paths, opened, reload};
use prepared::{change_table, change_tree, count_layers, prepared};

/// Something that must happen outside the state.
#[derive(Debug, Clone)]
pub enum Effect {
    /// Run a job.
    Submit(JobRequest),
    /// Stop a job.
    Cancel(JobKey),
    /// Stop all jobs of an opening.
    CancelAllOf(CheckpointId),
    /// Show the native dialog; for a folder when true.
    PickNative {
        /// Whether a folder is wanted.
        folder: bool,
    },
    /// Put text into the clipboard.
    CopyText(String),
    /// Ask where to save a picture, and save it.
    SavePicture {
        /// Name to suggest.
        name: String,
        /// The bytes of an SVG file.
        picture: String,
    },
    /// Ask where to save an export.
    PickTarget {
        /// Name to suggest.
        path: PathBuf,
        /// Whether a folder is wanted.
        folder: bool,
    },
    /// Ask where to save a table of statistics, and save it.
    SaveStatistics(CheckpointId),
    /// Ask where to save a report of the comparison.
    PickReport {
        /// Name to suggest.
        name: String,
        /// The kind of file.
        format: ReportFormat,
    },
    /// Take a picture of a part of the window.
    Capture {
        /// Name to suggest.
        name: String,
        /// Left, top, right, bottom in points.
        rect: [f32; 4],
        /// To a file; otherwise to the clipboard.
        to_file: bool,
    },
    /// Put the cursor into the filter.
    FocusFilter,
    /// Use the colours and the scale of the settings.
    ApplyAppearance,
    /// The files to watch changed.
    WatchFiles,
    /// End the program.
    Quit,
}

/// Carries out a command.
pub fn apply(command: Command, state: &mut AppState) -> Vec<Effect> {
    match command {
        Command::OpenFile => ask_for_path(state, false),
        Command::OpenFolder => ask_for_path(state, true),
        Command::OpenPaths(paths) => {
            state.path_dialog = None;
            open_paths(state, paths)
        }
        Command::OpenExample(index) => open_example(state, index),
        Command::EditPath(text) => {
            if let Some(dialog) = &mut state.path_dialog {
                dialog.text = text;
            }
            Vec::new()
        }
        Command::ClosePathDialog => {
            state.path_dialog = None;
            state.compare.awaiting = None;
            Vec::new()
        }
        Command::Close(id) => close(state, id),
        Command::CloseCurrent => {
            state.session.current().map(|entry| entry.id).map_or_else(Vec::new, |id| close(state, id))
        }
        Command::Reload(id) => reload(state, id),
        Command::ReloadCurrent => {
            state.session.current().map(|entry| entry.id).map_or_else(Vec::new, |id| reload(state, id))
        }
        Command::Show(id) => {
            state.session.show(id);
            wanted_statistics(state, false)
        }
        Command::ShowPage(Page::Compare) => compare::show(state),
        Command::ShowPage(Page::Curves) => curves::show(state),
        Command::ShowPage(page) => {
            state.page = page;
            Vec::new()
        }
        Command::Compare(change) => compare::change(state, change),
        Command::Curves(change) => curves::change(state, change),
        Command::Tree(id, change) => change_tree(state, id, change),
        Command::TreeCurrent(change) => state
            .session
            .current()
            .map(|entry| entry.id)
            .map_or_else(Vec::new, |id| change_tree(state, id, change)),
        Command::Table(id, change) => change_table(state, id, change),
        Command::CountLayers(id) => count_layers(state, id),
        Command::Summarise(key) => request_statistics(state, key),
        Command::Cancel(key) => {
            if let JobKey::Look(look) = &key {
                state.looks.stop(look.clone());
            }
            vec![Effect::Cancel(key)]
        }
        Command::Copy { what, text } => {
            state.notices.tell(Severity::Info, format!("Copied {what}"));
            vec![Effect::CopyText(text)]
        }
        Command::CopySelectedName => {
            let name = match state.page {
                Page::Compare => state.compare.selected_name(),
                _ => state.session.current().and_then(|entry| {
                    let checkpoint = entry.checkpoint.value()?;
                    Some(tree::full_name(checkpoint, entry.tree.selected()?))
                }),
            };
            name.map_or_else(Vec::new, |text| apply(Command::Copy { what: "name", text }, state))
        }
        Command::FocusFilter => {
            if state.page != Page::Compare {
                state.page = Page::Explore;
            }
            vec![Effect::FocusFilter]
        }
        Command::Mark(id, change) => exporting::mark(state, id, &change),
        Command::MarkCurrent(change) => state
            .session
            .current()
            .map(|entry| entry.id)
            .map_or_else(Vec::new, |id| exporting::mark(state, id, &change)),
        Command::CopySelectedNames => exporting::selected_names(state)
            .map_or_else(Vec::new, |text| apply(Command::Copy { what: "names", text }, state)),
        Command::ShowExport => state
            .session
            .current()
            .map(|entry| entry.id)
            .map_or_else(Vec::new, |id| exporting::show(state, id, &[])),
        Command::ExportRenamed(id, rules) => exporting::show(state, id, &rules),
        Command::EditExport(form) => exporting::edit(state, *form),
        Command::BrowseExport => state.export.as_ref().map_or_else(Vec::new, |dialog| {
            let path = PathBuf::from(&dialog.form.target);
            vec![Effect::PickTarget { path, folder: dialog.form.format.extension().is_empty() }]
        }),
        Command::ExportTo(path) => exporting::save_to(state, &path),
        Command::StartExport => exporting::start(state),
        Command::CloseExport => {
            state.export = None;
            Vec::new()
        }
        Command::SaveStatistics => {
            state.session.current().map_or_else(Vec::new, |entry| vec![Effect::SaveStatistics(entry.id)])
        }
        Command::SetTheme(theme) => {
            state.settings.theme = theme;
            vec![Effect::ApplyAppearance]
        }
        Command::ZoomIn => zoom(state, 0.1),
        Command::ZoomOut => zoom(state, -0.1),
        Command::ZoomReset => {
            state.settings.zoom = 1.0;
            vec![Effect::ApplyAppearance]
        }
        Command::SetHistogramBins(bins) => {
            state.settings.histogram_bins = bins.clamp(2, 1024);
            Vec::new()
        }
        Command::SetHistogramLog(log) => {
            state.settings.histogram_log = log;
            Vec::new()
        }
        Command::SetHistogramScale(scale) => {
            state.settings.histogram_scale = scale;
            Vec::new()
        }
        Command::SetHistogramClip(clip) => {
            state.settings.histogram_clip = clip;
            Vec::new()
        }
        Command::SetScanOnOpen(on) => {
            state.settings.scan_on_open = on;
            Vec::new()
        }
        Command::Scan(id) => request_scan(state, id),
        Command::Examine(id) => examine(state, id),
        Command::Look(key) => want_look(state, key, false),
        Command::LookAgain(key) => want_look(state, key, true),
        Command::SetColourRange(range) => {
            state.settings.colour_range = range;
            Vec::new()
        }
        Command::SavePicture { name, picture } => vec![Effect::SavePicture { name, picture }],
        Command::CapturePicture { name, rect, to_file } => vec![Effect::Capture { name, rect, to_file }],
        Command::Tell(severity, text) => {
            state.notices.tell(severity, text);
            Vec::new()
        }
        Command::ShowStatistic(statistic, show) => {
            let columns = &mut state.settings.statistics_columns;
            columns.retain(|other| *other != statistic);
            if show {
                columns.push(statistic);
                columns.sort_unstable();
            }
            Vec::new()
        }
        Command::SetColumnWidth(column, width) => {
            state.settings.set_column_width(column, width);
            Vec::new()
        }
        Command::ClearRecents => {
            state.settings.recents.clear();
            Vec::new()
        }
        Command::ShowAbout(show) => {
            state.about_open = show;
            Vec::new()
        }
        Command::DismissNotice => {
            state.notices.dismiss();
            Vec::new()
        }
        Command::Quit => vec![Effect::Quit],
        Command::JobEnded(event) => job_ended(state, event),
        Command::FileChanged(id) => {
            if let Some(entry) = state.session.entry_mut(id) {
                entry.changed_on_disk = true;
                let message = format!("{} changed on disk; reload to see what it holds now", entry.name);
                state.notices.tell(Severity::Warning, message);
            }
            Vec::new()
        }
        Command::DialogsChecked(native) => {
            state.dialogs = if native { Dialogs::Native } else { Dialogs::Missing };
            Vec::new()
        }
    }
}

fn ask_for_path(state: &mut AppState, folder: bool) -> Vec<Effect> {
    if state.dialogs == Dialogs::Missing {
        state.path_dialog = Some(PathDialog { folder, ..PathDialog::default() });
        return Vec::new();
    }
    vec![Effect::PickNative { folder }]
}

fn zoom(state: &mut AppState, by: f32) -> Vec<Effect> {
    // Rounded, so that in and out again gives the same number.
    state.settings.zoom = ((state.settings.zoom + by) * 10.0).round().clamp(5.0, 30.0) / 10.0;
    vec![Effect::ApplyAppearance]
}

fn job_ended(state: &mut AppState, event: JobEvent) -> Vec<Effect> {
    match (event.key, event.outcome) {
        (JobKey::Open(id), JobOutcome::Finished(JobOutput::Opened(checkpoint, around))) => {
            opened(state, id, &checkpoint, around)
        }
        (JobKey::Open(id), JobOutcome::Finished(JobOutput::Gathered(gathered))) => {
            curves::opened(state, id, &gathered)
        }
        (JobKey::Curves(serial), outcome) => curves::gathered(state, serial, outcome),
        (JobKey::Drift(serial), outcome) => {
            curves::moved(state, serial, outcome);
            Vec::new()
        }
        (JobKey::Look(key), outcome) => {
            if state.session.entry(key.checkpoint).is_some() {
                state.looks.end(key, outcome);
            }
            Vec::new()
        }
        (JobKey::Compare(key), outcome) => compare::reported(state, key, outcome),
        (JobKey::Compatibility(checkpoint, model), outcome) => {
            compare::fitted(state, (checkpoint, model), outcome);
            Vec::new()
        }
        (JobKey::SaveReport(_), outcome) => {
            compare::saved(state, outcome);
            Vec::new()
        }
        (JobKey::Examine(id), outcome) => {
            if state.session.entry(id).is_some() {
                state.safety.end(id, outcome);
            }
            Vec::new()
        }
        (JobKey::Scan(id), outcome) => scan_reported(state, id, outcome),
        (JobKey::Prepare(id, _), JobOutcome::Finished(JobOutput::Prepared(made))) => {
            prepared(state, id, &made)
        }
        (JobKey::PlanExport(id), outcome) => {
            exporting::planned(state, id, outcome);
            Vec::new()
        }
        (JobKey::Export(id), outcome) => {
            exporting::ended(state, id, outcome);
            Vec::new()
        }
        (JobKey::Open(id), JobOutcome::Failed(error)) => {
            if let Some(entry) = state.session.entry_mut(id) {
                entry.checkpoint.fail(error);
                state.notices.tell(Severity::Error, format!("Failed to open {}", entry.name));
            }
            // What does not open here may still run elsewhere.
            examine(state, id)
        }
        (JobKey::Open(id), JobOutcome::Cancelled) => {
            if let Some(entry) = state.session.entry_mut(id) {
                entry.checkpoint.cancel();
                if entry.checkpoint.value().is_none() {
                    state.session.remove(id);
                    state.compare.forget(id);
                }
            }
            Vec::new()
        }
        (JobKey::Statistics(key), outcome) => {
            // A closed or reloaded checkpoint's results have no home.
            if state.session.entry(key.checkpoint).is_some() {
                state.statistics.end(key, outcome);
            }
            Vec::new()
        }
        // Of what was to be prepared, a newer one is on its way.
        (JobKey::Open(_), JobOutcome::Finished(_) | JobOutcome::Partial(_)) | (JobKey::Prepare(..), _) => {
            Vec::new()
        }
    }
}
