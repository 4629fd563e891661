//! Opening, closing and reloading checkpoints.

use std::path::PathBuf;
use std::sync::Arc;

use super::Effect;
use super::analyses::{begin_scan, wanted_statistics};
use super::compare;
use super::prepared::submitted;
use crate::jobs::{CheckpointId, EXAMPLES, JobRequest, Loadable, Purpose, Surroundings};
use crate::model::Checkpoint;
use crate::state::selection::Marks;
use crate::state::table::TableState;
use crate::state::tree::TreeState;
use crate::state::{AppState, about};

pub(super) fn open_paths(state: &mut AppState, paths: Vec<PathBuf>) -> Vec<Effect> {
    let mut effects = Vec::new();
    let mut ids = Vec::new();
    for path in paths {
        if let Some(entry) = state.session.find(&path) {
            let (id, failed) = (entry.id, matches!(entry.checkpoint, Loadable::Failed { .. }));
            state.session.show(id);
            if failed {
                effects.extend(reload(state, id));
            }
            ids.extend(state.session.current().map(|entry| entry.id));
            continue;
        }
        let id = state.session.add(path.clone(), None);
        ids.push(id);
        effects.push(Effect::Submit(JobRequest::Open { id, path }));
    }
    compare::opening(state, &ids);
    effects.extend(compare::wanted(state));
    effects
}

pub(super) fn open_example(state: &mut AppState, index: usize) -> Vec<Effect> {
    let Some(example) = EXAMPLES.get(index) else { return Vec::new() };
    if let Some(entry) = state.session.entries.iter().find(|entry| entry.example == Some(index)) {
        let id = entry.id;
        state.session.show(id);
        compare::opening(state, &[id]);
        return compare::wanted(state);
    }
    let id = state.session.add(PathBuf::from(example.name), Some(index));
    compare::opening(state, &[id]);
    vec![Effect::Submit(JobRequest::OpenExample { id, example: *example })]
}

pub(super) fn close(state: &mut AppState, id: CheckpointId) -> Vec<Effect> {
    state.session.remove(id);
    state.statistics.forget(id);
    state.looks.forget(id);
    state.compare.forget(id);
    state.safety.forget(id);
    let mut effects = vec![Effect::CancelAllOf(id), Effect::WatchFiles];
    effects.extend(wanted_statistics(state, false));
    effects
}

pub(super) fn reload(state: &mut AppState, id: CheckpointId) -> Vec<Effect> {
    let Some(new) = state.session.renew(id) else { return Vec::new() };
    state.statistics.forget(id);
    state.looks.forget(id);
    state.safety.forget(id);
    state.compare.renew(id, new);
    state.compare.drop_stale();
    let Some(entry) = state.session.entry_mut(new) else { return Vec::new() };
    entry.checkpoint.begin();
    entry.changed_on_disk = false;
    let request = match entry.example.and_then(|index| EXAMPLES.get(index)) {
        Some(example) => JobRequest::OpenExample { id: new, example: *example },
        None => JobRequest::Open { id: new, path: entry.path.clone() },
    };
    vec![Effect::CancelAllOf(id), Effect::Submit(request)]
}

pub(super) fn opened(
    state: &mut AppState,
    id: CheckpointId,
    checkpoint: &Arc<Checkpoint>,
    around: Surroundings,
) -> Vec<Effect> {
    let Some(entry) = state.session.entry_mut(id) else { return Vec::new() };
    entry.marks = Marks::default();
    let (tree, work) = match entry.checkpoint.value() {
        Some(before) => entry.tree.carry_over(before, checkpoint),
        None => TreeState::new(checkpoint),
    };
    entry.tree = tree;
    entry.table = TableState::default();
    entry.layers = None;
    entry.checkpoint = Loadable::Ready(checkpoint.clone());
    entry.identity = around.identity;
    entry.series = around.series;
    if entry.example.is_none() {
        let path = entry.path.clone();
        state.settings.remember(&path, about(checkpoint));
    }
    let mut effects = vec![Effect::WatchFiles];
    effects.extend(submitted(id, Purpose::Tree, work));
    effects.extend(begin_scan(state, id));
    effects.extend(wanted_statistics(state, false));
    effects.extend(compare::wanted(state));
    effects.extend(examine(state, id));
    effects
}

/// Looks at what the file of an entry would do when it is loaded.
pub(super) fn examine(state: &mut AppState, id: CheckpointId) -> Vec<Effect> {
    let Some(entry) = state.session.entry(id) else { return Vec::new() };
    let checkpoint = entry.checkpoint.value().cloned();
    // An example has a place of its own on the disk.
    let path = checkpoint.as_ref().map_or_else(|| entry.path.clone(), |opened| opened.path().to_owned());
    state.safety.begin(id);
    vec![Effect::Submit(JobRequest::Examine { id, path, checkpoint })]
}
