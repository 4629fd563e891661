//! The only code that changes state. Does no I/O: what must happen outside is returned as [`Effect`]s.

use std::path::PathBuf;
use std::sync::Arc;

use super::command::{Command, Page};
use super::tree::{self, Item, TreeChange, TreeState};
use super::{AppState, Dialogs, PathDialog};
use crate::jobs::{
    CheckpointId, EXAMPLES, JobEvent, JobKey, JobOutcome, JobOutput, JobRequest, Loadable, StatisticsKey,
    Subject,
};
use crate::model::{Checkpoint, Severity};
use crate::text;

/// Statistics of a group are computed without asking up to this many bytes: a fraction of a second of reading.
const AUTOMATIC_GROUP_BYTES: u64 = 256 << 20;

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
        Command::ShowPage(page) => {
            state.page = page;
            Vec::new()
        }
        Command::Tree(id, change) => change_tree(state, id, change),
        Command::TreeCurrent(change) => state
            .session
            .current()
            .map(|entry| entry.id)
            .map_or_else(Vec::new, |id| change_tree(state, id, change)),
        Command::Summarise(key) => request_statistics(state, key),
        Command::Cancel(key) => vec![Effect::Cancel(key)],
        Command::Copy { what, text } => {
            state.notices.tell(Severity::Info, format!("Copied {what}"));
            vec![Effect::CopyText(text)]
        }
        Command::CopySelectedName => {
            let name = state.session.current().and_then(|entry| {
                let checkpoint = entry.checkpoint.value()?;
                Some(tree::full_name(checkpoint, entry.tree.selected()?))
            });
            name.map_or_else(Vec::new, |text| apply(Command::Copy { what: "name", text }, state))
        }
        Command::FocusFilter => {
            state.page = Page::Explore;
            vec![Effect::FocusFilter]
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
        state.path_dialog = Some(PathDialog { folder, text: String::new() });
        return Vec::new();
    }
    vec![Effect::PickNative { folder }]
}

fn open_paths(state: &mut AppState, paths: Vec<PathBuf>) -> Vec<Effect> {
    let mut effects = Vec::new();
    for path in paths {
        if let Some(entry) = state.session.find(&path) {
            let (id, failed) = (entry.id, matches!(entry.checkpoint, Loadable::Failed { .. }));
            state.session.show(id);
            if failed {
                effects.extend(reload(state, id));
            }
            continue;
        }
        let id = state.session.add(path.clone(), None);
        effects.push(Effect::Submit(JobRequest::Open { id, path }));
    }
    effects
}

fn open_example(state: &mut AppState, index: usize) -> Vec<Effect> {
    let Some(example) = EXAMPLES.get(index) else { return Vec::new() };
    if let Some(entry) = state.session.entries.iter().find(|entry| entry.example == Some(index)) {
        let id = entry.id;
        state.session.show(id);
        return Vec::new();
    }
    let id = state.session.add(PathBuf::from(example.name), Some(index));
    vec![Effect::Submit(JobRequest::OpenExample { id, example: *example })]
}

fn close(state: &mut AppState, id: CheckpointId) -> Vec<Effect> {
    state.session.remove(id);
    state.statistics.forget(id);
    let mut effects = vec![Effect::CancelAllOf(id), Effect::WatchFiles];
    effects.extend(wanted_statistics(state, false));
    effects
}

fn reload(state: &mut AppState, id: CheckpointId) -> Vec<Effect> {
    let Some(new) = state.session.renew(id) else { return Vec::new() };
    state.statistics.forget(id);
    let Some(entry) = state.session.entry_mut(new) else { return Vec::new() };
    entry.checkpoint.begin();
    entry.changed_on_disk = false;
    let request = match entry.example.and_then(|index| EXAMPLES.get(index)) {
        Some(example) => JobRequest::OpenExample { id: new, example: *example },
        None => JobRequest::Open { id: new, path: entry.path.clone() },
    };
    vec![Effect::CancelAllOf(id), Effect::Submit(request)]
}

fn change_tree(state: &mut AppState, id: CheckpointId, change: TreeChange) -> Vec<Effect> {
    let Some(entry) = state.session.entry_mut(id) else { return Vec::new() };
    let Some(checkpoint) = entry.checkpoint.value().cloned() else { return Vec::new() };
    let before = entry.tree.selected();
    entry.tree.change(&checkpoint, change);
    if entry.tree.selected() == before { Vec::new() } else { wanted_statistics(state, false) }
}

/// What the statistics of the current selection are named; `None` where nothing is selected.
pub fn statistics_key(state: &AppState) -> Option<StatisticsKey> {
    let entry = state.session.current()?;
    entry.checkpoint.value()?;
    let subject = match entry.tree.selected()? {
        Item::Tensor(id) => Subject::Tensor(id),
        Item::Group(id) => Subject::Group(id),
    };
    Some(StatisticsKey { checkpoint: entry.id, subject })
}

/// Asks for the statistics of what is selected, where they are missing and cheap enough.
fn wanted_statistics(state: &mut AppState, even_if_large: bool) -> Vec<Effect> {
    let Some(key) = statistics_key(state) else { return Vec::new() };
    if state.statistics.touch(&key) {
        return Vec::new();
    }
    if let (Subject::Group(node), Some(checkpoint)) =
        (key.subject, state.session.current().and_then(|entry| entry.checkpoint.value()))
        && !even_if_large
        && checkpoint.layer_tree().node(node).bytes > AUTOMATIC_GROUP_BYTES
    {
        return Vec::new();
    }
    request_statistics(state, key)
}

fn request_statistics(state: &mut AppState, key: StatisticsKey) -> Vec<Effect> {
    let Some(checkpoint) =
        state.session.entry(key.checkpoint).and_then(|entry| entry.checkpoint.value()).cloned()
    else {
        return Vec::new();
    };
    state.statistics.begin(key);
    let item = match key.subject {
        Subject::Tensor(id) => Item::Tensor(id),
        Subject::Group(id) => Item::Group(id),
    };
    let label = text::escape(&tree::full_name(&checkpoint, item));
    vec![Effect::Submit(JobRequest::Statistics { key, checkpoint, label })]
}

fn zoom(state: &mut AppState, by: f32) -> Vec<Effect> {
    // Rounded, so that in and out again gives the same number.
    state.settings.zoom = ((state.settings.zoom + by) * 10.0).round().clamp(5.0, 30.0) / 10.0;
    vec![Effect::ApplyAppearance]
}

fn job_ended(state: &mut AppState, event: JobEvent) -> Vec<Effect> {
    match (event.key, event.outcome) {
        (JobKey::Open(id), JobOutcome::Finished(JobOutput::Opened(checkpoint))) => {
            opened(state, id, &checkpoint)
        }
        (JobKey::Open(id), JobOutcome::Failed(error)) => {
            if let Some(entry) = state.session.entry_mut(id) {
                entry.checkpoint.fail(error);
                state.notices.tell(Severity::Error, format!("Failed to open {}", entry.name));
            }
            Vec::new()
        }
        (JobKey::Open(id), JobOutcome::Cancelled) => {
            if let Some(entry) = state.session.entry_mut(id) {
                entry.checkpoint.cancel();
                if entry.checkpoint.value().is_none() {
                    state.session.remove(id);
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
        (JobKey::Open(_), JobOutcome::Finished(JobOutput::Summarised(_))) => Vec::new(),
    }
}

fn opened(state: &mut AppState, id: CheckpointId, checkpoint: &Arc<Checkpoint>) -> Vec<Effect> {
    let Some(entry) = state.session.entry_mut(id) else { return Vec::new() };
    entry.tree = match entry.checkpoint.value() {
        Some(before) => entry.tree.carry_over(before, checkpoint),
        None => TreeState::new(checkpoint),
    };
    entry.checkpoint = Loadable::Ready(checkpoint.clone());
    if entry.example.is_none() {
        let path = entry.path.clone();
        state.settings.remember(&path, super::about(checkpoint));
    }
    let mut effects = vec![Effect::WatchFiles];
    effects.extend(wanted_statistics(state, false));
    effects
}
