//! What is put together from what was read before: rows in their order, layers, findings.

use std::sync::Arc;

use super::Effect;
use super::analyses::wanted_statistics;
use crate::analysis::summary::LayerTable;
use crate::jobs::{CheckpointId, JobRequest, Preparation, Prepared, Purpose};
use crate::state::compare::MadePairs;
use crate::state::scan::Verdict;
use crate::state::table::{MadeTable, TableChange};
use crate::state::tree::{Made, TreeChange};
use crate::state::{AppState, SavedText};

/// A job for what is not made at once.
pub(super) fn submitted(id: CheckpointId, purpose: Purpose, work: Option<Preparation>) -> Vec<Effect> {
    work.map(|work| Effect::Submit(JobRequest::Prepare { id, purpose, work })).into_iter().collect()
}

pub(super) fn change_tree(state: &mut AppState, id: CheckpointId, change: TreeChange) -> Vec<Effect> {
    let Some(entry) = state.session.entry_mut(id) else { return Vec::new() };
    let Some(checkpoint) = entry.checkpoint.value().cloned() else { return Vec::new() };
    let before = entry.tree.selected();
    let mut effects = submitted(id, Purpose::Tree, entry.tree.change(&checkpoint, &entry.scan, change));
    if entry.tree.selected() != before {
        effects.extend(wanted_statistics(state, false));
    }
    effects
}

pub(super) fn change_table(state: &mut AppState, id: CheckpointId, change: TableChange) -> Vec<Effect> {
    let Some(entry) = state.session.entry_mut(id) else { return Vec::new() };
    let Some(checkpoint) = entry.checkpoint.value().cloned() else { return Vec::new() };
    submitted(id, Purpose::Table, entry.table.change(&checkpoint, &entry.scan, change))
}

/// Counts layers, unless they are known.
pub(super) fn count_layers(state: &mut AppState, id: CheckpointId) -> Vec<Effect> {
    let Some(entry) = state.session.entry_mut(id).filter(|entry| entry.layers.is_none()) else {
        return Vec::new();
    };
    let Some(checkpoint) = entry.checkpoint.value().cloned() else { return Vec::new() };
    // Empty until they are counted, so that they are asked for once.
    entry.layers = Some(Arc::default());
    submitted(id, Purpose::Layers, Some(Preparation::new(move |_| Ok(LayerTable::of(&checkpoint)))))
}

/// Takes in what a job made.
pub(super) fn prepared(state: &mut AppState, id: CheckpointId, made: &Prepared) -> Vec<Effect> {
    if let Some(text) = made.downcast_ref::<SavedText>() {
        let SavedText { name, text } = text.clone();
        return vec![Effect::SavePicture { name, picture: text }];
    }
    if let Some(effects) = super::curves::prepared(state, made) {
        return effects;
    }
    if let Some(made) = made.downcast_ref::<MadePairs>() {
        super::compare::prepared(state, made);
        return Vec::new();
    }
    let Some(entry) = state.session.entry_mut(id) else { return Vec::new() };
    if let Some(made) = made.downcast_ref::<Made>() {
        entry.tree.prepared(made);
    } else if let Some(made) = made.downcast_ref::<MadeTable>() {
        entry.table.prepared(made);
    } else if let Ok(layers) = made.clone().downcast::<LayerTable>() {
        entry.layers = Some(layers);
    } else if let Ok(verdict) = made.clone().downcast::<Verdict>() {
        Arc::make_mut(&mut entry.scan).judged(verdict);
        super::analyses::keep_scan(state, id);
    }
    Vec::new()
}
