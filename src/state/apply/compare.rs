//! The Compare page: which two, when a comparison starts, and what becomes of it.

use std::path::PathBuf;
use std::sync::Arc;

use super::prepared::submitted;
use super::{Effect, ask_for_path};
use crate::jobs::{
    CheckpointId, ComparisonKey, JobError, JobOutcome, JobOutput, JobRequest, Loadable, Preparation, Purpose,
    ReportFormat,
};
use crate::model::{Checkpoint, Severity};
use crate::state::compare::{
    Asked, CompareChange, CompareItem, CompareStatus, CompareTab, Found, LeafTensors, MadePairs, Side,
};
use crate::state::outline::AT_ONCE;
use crate::state::{AppState, Dialogs, Page, PathDialog};
use crate::text;

/// Two checkpoints are compared without asking up to this many bytes together: about a minute from a fast disk.
const AUTOMATIC_BYTES: u64 = 64 << 30;

/// Carries out a change of the page.
pub(super) fn change(state: &mut AppState, change: CompareChange) -> Vec<Effect> {
    let compare = &mut state.compare;
    match change {
        CompareChange::Pick(side, id) => {
            compare.put(side, id);
            compare.drop_stale();
            wanted(state)
        }
        CompareChange::Between(left, right) => {
            compare.put(Side::Left, left);
            compare.put(Side::Right, right);
            compare.drop_stale();
            compare.tab = CompareTab::Tensors;
            show(state)
        }
        CompareChange::Swap => {
            compare.swap();
            compare.drop_stale();
            wanted(state)
        }
        CompareChange::OpenOn(side) => {
            compare.awaiting = Some(side);
            state.page = Page::Compare;
            ask_for_path(state, false)
        }
        CompareChange::Choose(choices) => {
            compare.choices = choices;
            wanted(state)
        }
        CompareChange::Run => begin(state, true),
        CompareChange::Show(tab) => {
            compare.tab = tab;
            Vec::new()
        }
        CompareChange::Pairs(change) => {
            let Some(found) = &compare.found else { return Vec::new() };
            in_background(found.key, compare.table.change(found, change))
        }
        CompareChange::LoadReversed(reversed) => {
            compare.load.reversed = reversed;
            compare.drop_stale();
            wanted(state)
        }
        CompareChange::ApplyFix => {
            if let Loadable::Ready(answer) = &compare.load.answer {
                for rule in answer.export_rules().iter().map(ToString::to_string) {
                    if !compare.choices.rules.contains(&rule) {
                        compare.choices.rules.push(rule);
                    }
                }
                compare.tab = CompareTab::Tensors;
            }
            wanted(state)
        }
        CompareChange::SaveReport(format) => ask_where(state, format),
        CompareChange::SaveReportTo(format, path) => save(state, format, path),
        CompareChange::DismissOffer => {
            compare.offer = None;
            Vec::new()
        }
    }
}

/// Shows the page, with what is open on its sides.
pub(super) fn show(state: &mut AppState) -> Vec<Effect> {
    state.page = Page::Compare;
    state.compare.offer = None;
    fill_sides(state);
    wanted(state)
}

/// Takes in what is about to be opened, in order.
pub(super) fn opening(state: &mut AppState, ids: &[CheckpointId]) {
    if state.page != Page::Compare {
        if let [left, right] = *ids
            && left != right
        {
            state.compare.offer = Some((left, right));
        }
        return;
    }
    let awaiting = state.compare.awaiting.take();
    for (index, &id) in ids.iter().enumerate() {
        let compare = &mut state.compare;
        let empty = Side::BOTH.into_iter().find(|&side| compare.side(side).is_none());
        let side = awaiting.filter(|_| index == 0).or(empty.filter(|_| compare.side_of(id).is_none()));
        if let Some(side) = side {
            compare.put(side, id);
        }
    }
    fill_sides(state);
    state.compare.drop_stale();
}

/// Where only two are open there is nothing to choose; where more are, the left is the one that is shown.
fn fill_sides(state: &mut AppState) {
    let ids: Vec<CheckpointId> = state.session.entries.iter().map(|entry| entry.id).collect();
    let compare = &mut state.compare;
    if let [_, _] = *ids {
        for side in Side::BOTH {
            let free = ids.iter().copied().find(|&id| compare.side_of(id).is_none());
            if let (None, Some(id)) = (compare.side(side), free) {
                compare.put(side, id);
            }
        }
    } else if let (None, None, Some(current)) =
        (compare.side(Side::Left), compare.side(Side::Right), state.session.current())
    {
        compare.put(Side::Left, current.id);
    }
}

/// A checkpoint that is there; one that is being read again is not.
fn opened(state: &AppState, id: CheckpointId) -> Option<Arc<Checkpoint>> {
    let checkpoint = &state.session.entry(id)?.checkpoint;
    checkpoint.value().filter(|_| !checkpoint.is_pending()).cloned()
}

/// Starts what the page needs: the comparison, and the question whether one would load into the other.
pub(super) fn wanted(state: &mut AppState) -> Vec<Effect> {
    if state.page != Page::Compare {
        return Vec::new();
    }
    let mut effects = if state.compare.is_asked() { Vec::new() } else { begin(state, false) };
    effects.extend(ask_whether_it_loads(state));
    effects
}

fn begin(state: &mut AppState, even_if_large: bool) -> Vec<Effect> {
    let Some((left, right)) = state.compare.both() else { return Vec::new() };
    let (Some(left), Some(right)) = (opened(state, left), opened(state, right)) else { return Vec::new() };
    let options = match state.compare.choices.options() {
        Ok(options) => options,
        Err(error) => {
            state.notices.tell(Severity::Error, error);
            return Vec::new();
        }
    };
    let bytes = left.totals().tensor_bytes.saturating_add(right.totals().tensor_bytes);
    if bytes > AUTOMATIC_BYTES && !even_if_large {
        return Vec::new();
    }
    let compare = &mut state.compare;
    let Some(key) = compare.next_key() else { return Vec::new() };
    compare.broken_off = None;
    compare.asked =
        Some(Asked { key, left: left.clone(), right: right.clone(), choices: compare.choices.clone() });
    vec![Effect::Submit(JobRequest::Compare { key, left, right, options })]
}

fn ask_whether_it_loads(state: &mut AppState) -> Vec<Effect> {
    let Some(both) = state.compare.both() else { return Vec::new() };
    let ids = state.compare.load_pair(both);
    if state.compare.load.of == Some(ids) {
        return Vec::new();
    }
    let (Some(checkpoint), Some(model)) = (opened(state, ids.0), opened(state, ids.1)) else {
        return Vec::new();
    };
    state.compare.load.of = Some(ids);
    state.compare.load.answer.begin();
    vec![Effect::Submit(JobRequest::Compatibility { ids, checkpoint, model })]
}

/// A job for rows that are not made at once.
fn in_background(key: ComparisonKey, work: Option<Preparation>) -> Vec<Effect> {
    submitted(key.right, Purpose::Pairs, work)
}

/// Takes in rows that a job made.
pub(super) fn prepared(state: &mut AppState, made: &MadePairs) {
    let compare = &mut state.compare;
    if compare.found.as_ref().is_some_and(|found| found.key == made.key) {
        compare.table.prepared(made);
    }
}

/// Takes in a part or the end of a comparison.
pub(super) fn reported(state: &mut AppState, key: ComparisonKey, outcome: JobOutcome) -> Vec<Effect> {
    let compare = &mut state.compare;
    let is_asked = compare.asked.as_ref().is_some_and(|asked| asked.key == key);
    let is_found = compare.found.as_ref().is_some_and(|found| found.key == key);
    let error = match outcome {
        JobOutcome::Partial(JobOutput::Paired(paired)) => {
            if let Some(asked) = compare.asked.take_if(|_| is_asked) {
                return replace(state, Found::paired(asked, paired));
            }
            return Vec::new();
        }
        JobOutcome::Partial(JobOutput::PairsCompared(portion)) => {
            if let Some(found) = compare.found.as_mut().filter(|_| is_found) {
                Arc::make_mut(found).add(&portion);
                if found.tree().rows.len() <= AT_ONCE {
                    return in_background(key, compare.table.found_changed(found, None));
                }
            }
            return Vec::new();
        }
        JobOutcome::Finished(JobOutput::Compared(compared)) => {
            if let Some(asked) = compare.asked.take_if(|_| is_asked) {
                return replace(state, Found::whole_at_once(asked, compared));
            } else if let Some(found) = compare.found.as_mut().filter(|_| is_found) {
                Arc::make_mut(found).complete(compared);
                return in_background(key, compare.table.found_changed(found, None));
            }
            return Vec::new();
        }
        JobOutcome::Partial(_) | JobOutcome::Finished(_) => {
            Some(JobError::new("The wrong result came back.", None))
        }
        JobOutcome::Failed(error) => Some(error),
        JobOutcome::Cancelled => None,
    };
    if let Some(asked) = compare.asked.take_if(|_| is_asked) {
        compare.broken_off = Some((asked, error));
    } else if let Some(found) = compare.found.as_mut().filter(|_| is_found) {
        Arc::make_mut(found).status = error.map_or(CompareStatus::Stopped, CompareStatus::Failed);
    }
    Vec::new()
}

/// Shows a new comparison; what was selected stays so where it is there again.
fn replace(state: &mut AppState, found: Found) -> Vec<Effect> {
    let compare = &mut state.compare;
    let kept = match (&compare.found, compare.table.selected()) {
        (Some(before), Some(CompareItem::Leaf(leaf))) => before.tensors(leaf),
        _ => LeafTensors { left: None, right: None },
    };
    let found = Arc::new(found);
    let work = compare.table.found_changed(&found, Some(kept));
    let key = found.key;
    compare.found = Some(found);
    in_background(key, work)
}

/// Takes in whether one would load into the other.
pub(super) fn fitted(state: &mut AppState, ids: (CheckpointId, CheckpointId), outcome: JobOutcome) {
    let load = &mut state.compare.load;
    if load.of != Some(ids) {
        return;
    }
    match outcome {
        JobOutcome::Finished(JobOutput::Fitted(answer)) => load.answer = Loadable::Ready(answer),
        JobOutcome::Finished(_) | JobOutcome::Partial(_) => {
            load.answer.fail(JobError::new("The wrong result came back.", None));
        }
        JobOutcome::Failed(error) => load.answer.fail(error),
        JobOutcome::Cancelled => load.answer.fail(JobError::new("It was stopped.", None)),
    }
}

fn ask_where(state: &mut AppState, format: ReportFormat) -> Vec<Effect> {
    let Some(found) = state.compare.found.as_ref().filter(|found| found.whole().is_some()) else {
        return Vec::new();
    };
    let stem = |path: &std::path::Path| path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let name = format!("{} vs {}.{}", stem(found.left.path()), stem(found.right.path()), format.extension());
    if state.dialogs == Dialogs::Missing {
        let folder = found.right.path().parent().map(std::path::Path::to_owned).unwrap_or_default();
        let text = folder.join(name).to_string_lossy().into_owned();
        state.path_dialog = Some(PathDialog { text, report: Some(format), ..PathDialog::default() });
        return Vec::new();
    }
    vec![Effect::PickReport { name, format }]
}

fn save(state: &mut AppState, format: ReportFormat, path: PathBuf) -> Vec<Effect> {
    state.path_dialog = None;
    let Some(found) = &state.compare.found else { return Vec::new() };
    let Some(compared) = found.whole().cloned() else { return Vec::new() };
    // The name may say another kind than the one that was chosen first, or none.
    let format = ReportFormat::of_path(&path).unwrap_or(format);
    let path = if path.extension().is_some() { path } else { path.with_extension(format.extension()) };
    let (key, left, right) = (found.key, found.left.clone(), found.right.clone());
    vec![Effect::Submit(JobRequest::SaveReport { key, left, right, compared, format, path })]
}

/// Says what became of a report.
pub(super) fn saved(state: &mut AppState, outcome: JobOutcome) {
    match outcome {
        JobOutcome::Finished(JobOutput::Saved(path)) => {
            state.notices.tell(Severity::Info, format!("Saved {}", text::escape(&path.to_string_lossy())));
        }
        JobOutcome::Failed(error) => state.notices.tell(Severity::Error, error.message),
        JobOutcome::Cancelled | JobOutcome::Finished(_) | JobOutcome::Partial(_) => {}
    }
}
