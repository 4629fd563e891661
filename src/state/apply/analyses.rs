//! What is computed from values: statistics of the selection, and the scan of a whole checkpoint.

use std::sync::Arc;

use super::Effect;
use super::prepared::submitted;
use crate::jobs::{
    CheckpointId, JobError, JobOutcome, JobOutput, JobRequest, LookKey, Preparation, Purpose, StatisticsKey,
    Subject,
};
use crate::state::AppState;
use crate::state::outline::AT_ONCE;
use crate::state::scan::{Scan, ScanStatus};
use crate::state::tree::{self, Item};
use crate::text;

/// Statistics of a group are computed without asking up to this many bytes: a fraction of a second of reading.
const AUTOMATIC_GROUP_BYTES: u64 = 256 << 20;

/// A whole checkpoint is scanned without asking up to this many bytes: about a minute from a fast disk.
const AUTOMATIC_SCAN_BYTES: u64 = 64 << 30;

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
pub(super) fn wanted_statistics(state: &mut AppState, even_if_large: bool) -> Vec<Effect> {
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

pub(super) fn request_statistics(state: &mut AppState, key: StatisticsKey) -> Vec<Effect> {
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

/// Asks for a closer look, unless it is there, on its way, or failed.
pub(super) fn want_look(state: &mut AppState, key: LookKey, again: bool) -> Vec<Effect> {
    if state.looks.touch(&key) && !again {
        return Vec::new();
    }
    let opened = |id| state.session.entry(id).and_then(|entry| entry.checkpoint.value()).cloned();
    let Some(checkpoint) = opened(key.checkpoint) else { return Vec::new() };
    let other = key.look.against().and_then(|against| opened(against.checkpoint));
    state.looks.begin(key.clone());
    vec![Effect::Submit(JobRequest::Look { key, checkpoint, other })]
}

/// Starts the scan of a freshly opened checkpoint, unless its results are still known or it is turned off.
pub(super) fn begin_scan(state: &mut AppState, id: CheckpointId) -> Vec<Effect> {
    let Some(entry) = state.session.entry_mut(id) else { return Vec::new() };
    let Some(checkpoint) = entry.checkpoint.value().cloned() else { return Vec::new() };
    if let Some(kept) = entry.identity.and_then(|identity| state.kept_scans.get(identity)) {
        entry.scan = kept;
        return rows_follow(state, id, true);
    }
    entry.scan = Arc::default();
    let small = checkpoint.totals().tensor_bytes <= AUTOMATIC_SCAN_BYTES;
    if state.settings.scan_on_open && small { request_scan(state, id) } else { Vec::new() }
}

/// Starts a scan from the beginning.
pub(super) fn request_scan(state: &mut AppState, id: CheckpointId) -> Vec<Effect> {
    let Some(entry) = state.session.entry_mut(id) else { return Vec::new() };
    let Some(checkpoint) = entry.checkpoint.value().cloned() else { return Vec::new() };
    entry.scan = Arc::new(Scan::begin(&checkpoint));
    vec![Effect::Submit(JobRequest::Scan { id, checkpoint })]
}

/// Takes in a part or the end of a scan.
pub(super) fn scan_reported(state: &mut AppState, id: CheckpointId, outcome: JobOutcome) -> Vec<Effect> {
    let Some(entry) = state.session.entry_mut(id) else { return Vec::new() };
    let Some(checkpoint) = entry.checkpoint.value().cloned() else { return Vec::new() };
    let scan = Arc::make_mut(&mut entry.scan);
    let ended = !matches!(outcome, JobOutcome::Partial(_));
    match outcome {
        JobOutcome::Partial(JobOutput::Scanned(portion)) => scan.add(&checkpoint, portion),
        JobOutcome::Finished(JobOutput::Scanned(portion)) => {
            scan.add(&checkpoint, portion);
            scan.status = ScanStatus::Done;
        }
        JobOutcome::Failed(error) => scan.status = ScanStatus::Failed(error),
        JobOutcome::Cancelled => scan.status = ScanStatus::Stopped,
        JobOutcome::Partial(_) | JobOutcome::Finished(_) => {
            scan.status = ScanStatus::Failed(JobError::new("The wrong result came back.", None));
        }
    }
    let mut effects = Vec::new();
    if entry.scan.status == ScanStatus::Done {
        if checkpoint.tensors().len() > AT_ONCE {
            let scan = entry.scan.clone();
            let work = Preparation::new(move |_| Ok(scan.judge(&checkpoint)));
            effects.extend(submitted(id, Purpose::Verdict, Some(work)));
        } else {
            let verdict = Arc::new(entry.scan.judge(&checkpoint));
            Arc::make_mut(&mut entry.scan).judged(verdict);
            keep_scan(state, id);
        }
    }
    effects.extend(rows_follow(state, id, ended));
    effects
}

/// Keeps a scan that has its verdict for the next time the file is opened.
pub(super) fn keep_scan(state: &mut AppState, id: CheckpointId) {
    let Some(entry) = state.session.entry(id) else { return };
    if let (Some(identity), Some(_)) = (entry.identity, entry.scan.verdict()) {
        state.kept_scans.keep(identity, &entry.scan);
    }
}

/// Brings what is ordered or chosen by values up to date.
fn rows_follow(state: &mut AppState, id: CheckpointId, ended: bool) -> Vec<Effect> {
    let Some(entry) = state.session.entry_mut(id) else { return Vec::new() };
    let Some(checkpoint) = entry.checkpoint.value().cloned() else { return Vec::new() };
    let mut effects = submitted(id, Purpose::Tree, entry.tree.scan_changed(&checkpoint, &entry.scan, ended));
    effects.extend(submitted(id, Purpose::Table, entry.table.scan_changed(&checkpoint, &entry.scan, ended)));
    effects
}
