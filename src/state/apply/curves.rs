//! What happens on the Curves page.

use std::path::PathBuf;
use std::sync::Arc;

use super::Effect;
use super::opening::close;
use super::prepared::submitted;
use crate::analysis::name_pattern::NamePattern;
use crate::jobs::curves::{GatherOptions, Gathered};
use crate::jobs::{CheckpointId, JobOutcome, JobOutput, JobRequest, Loadable, Prepared, Purpose};
use crate::model::Severity;
use crate::state::curves::{CurvesState, CurvesTab, Work, picture};
use crate::state::{AppState, CurvesChange, OpenCheckpoint, Page};

/// Shows the page; with nothing gathered yet, gathers what lies around the shown checkpoint.
pub(super) fn show(state: &mut AppState) -> Vec<Effect> {
    state.page = Page::Curves;
    if !state.curves.is_empty() {
        return Vec::new();
    }
    match state.session.current().map(around) {
        Some(paths) => load(state, paths),
        None => Vec::new(),
    }
}

/// The series that a checkpoint is one of, or else the checkpoint alone.
fn around(entry: &OpenCheckpoint) -> Vec<PathBuf> {
    let is_of_series = !entry.series.is_empty();
    match entry.path.parent().filter(|_| is_of_series) {
        Some(folder) => vec![folder.to_owned()],
        // An example lies elsewhere than its entry says.
        None => {
            vec![entry.checkpoint.value().map_or(&*entry.path, |checkpoint| checkpoint.path()).to_owned()]
        }
    }
}

fn load(state: &mut AppState, paths: Vec<PathBuf>) -> Vec<Effect> {
    state.curves.begin(paths.clone());
    let pattern = state.curves.pattern.parse::<NamePattern>().ok();
    let options = GatherOptions { pattern };
    vec![Effect::Submit(JobRequest::Curves { serial: state.curves.serial, paths, options })]
}

pub(super) fn change(state: &mut AppState, change: CurvesChange) -> Vec<Effect> {
    let curves = &mut state.curves;
    match change {
        CurvesChange::Load(paths) => {
            state.page = Page::Curves;
            return load(state, paths);
        }
        CurvesChange::Reload => {
            let paths = curves.paths.clone();
            return if paths.is_empty() { Vec::new() } else { load(state, paths) };
        }
        CurvesChange::SourceChanged => {
            if curves.follow && !curves.gathered.is_pending() {
                let paths = curves.paths.clone();
                return load(state, paths);
            }
        }
        CurvesChange::Show(tab) => {
            curves.tab = tab;
            if tab == CurvesTab::Histograms {
                let made = curves.make_ridges();
                return submitted(CURVES, Purpose::Ridges, made);
            }
            if tab == CurvesTab::Drift && matches!(curves.drift, Loadable::NotRequested) {
                return want_drift(state, false);
            }
        }
        CurvesChange::Filter(text) => {
            curves.filter = text;
            return jobs(curves.relist());
        }
        CurvesChange::Toggle(line) => return jobs(curves.toggle(line)),
        CurvesChange::ToggleRun(run) => return jobs(curves.toggle_run(run)),
        CurvesChange::Only(line) => return jobs(curves.only(line)),
        CurvesChange::Look(look) => {
            curves.look = look;
            return jobs(curves.relist());
        }
        CurvesChange::Histogram(index) => {
            curves.histogram = Some(index);
            let made = curves.make_ridges();
            return submitted(CURVES, Purpose::Ridges, made);
        }
        CurvesChange::SavePoints => return submitted(CURVES, Purpose::Text, picture::csv(curves)),
        CurvesChange::SaveHistograms => {
            return submitted(CURVES, Purpose::Text, curves.save_histograms());
        }
        CurvesChange::Follow(follow) => {
            curves.follow = follow;
            return vec![Effect::WatchFiles];
        }
        CurvesChange::Metric(metric) => {
            curves.metric = Some(metric);
            return ranked_anew(curves);
        }
        CurvesChange::Direction(direction) => {
            curves.direction = direction;
            return ranked_anew(curves);
        }
        CurvesChange::Pattern(text) => {
            curves.pattern_error = None;
            if !text.trim().is_empty()
                && let Err(error) = text.parse::<NamePattern>()
            {
                curves.pattern_error = Some(error);
                curves.pattern = text;
                return Vec::new();
            }
            curves.pattern = text.trim().to_owned();
            let paths = curves.paths.clone();
            return load(state, paths);
        }
        CurvesChange::ReadDrift => return want_drift(state, true),
        CurvesChange::Measure(measure) => curves.measure = measure,
        CurvesChange::Layer(layer) => curves.layer = layer,
    }
    Vec::new()
}

/// What the page prepares is of no opening.
const CURVES: CheckpointId = CheckpointId(0);

fn jobs(work: Work) -> Vec<Effect> {
    work.into_iter()
        .map(|(purpose, work)| Effect::Submit(JobRequest::Prepare { id: CURVES, purpose, work }))
        .collect()
}

/// Another ranking puts the stars elsewhere.
fn ranked_anew(curves: &mut CurvesState) -> Vec<Effect> {
    let mut work = curves.rank();
    work.extend(curves.relist());
    jobs(work)
}

/// Takes in what a job made for this page; `None` where it is something else.
pub(super) fn prepared(state: &mut AppState, made: &Prepared) -> Option<Vec<Effect>> {
    state.curves.prepared(made).map(jobs)
}

/// Bytes of checkpoints that are read for their drift without being asked.
const DRIFT_UNASKED: u64 = 512 << 20;

fn want_drift(state: &mut AppState, is_asked: bool) -> Vec<Effect> {
    let curves = &mut state.curves;
    let Some(gathered) = curves.gathered.value().cloned() else { return Vec::new() };
    let Some(checkpoints) = gathered.main_checkpoints().filter(|series| series.members.len() > 1) else {
        return Vec::new();
    };
    if !is_asked && checkpoints.bytes.iter().sum::<u64>() > DRIFT_UNASKED {
        return Vec::new();
    }
    curves.drift.begin();
    curves.drift_serial += 1;
    vec![Effect::Submit(JobRequest::Drift { serial: curves.drift_serial, gathered })]
}

/// A path that was to be opened turned out to be a log or a folder of checkpoints.
pub(super) fn opened(state: &mut AppState, id: CheckpointId, gathered: &Arc<Gathered>) -> Vec<Effect> {
    let Some(path) = state.session.entry(id).map(|entry| entry.path.clone()) else { return Vec::new() };
    let mut effects = close(state, id);
    state.settings.remember(&path, format!("{} curves", gathered.curves().count()));
    state.curves.begin(vec![path]);
    effects.extend(jobs(state.curves.take(gathered)));
    state.page = Page::Curves;
    let curves = &mut state.curves;
    if curves.lines.is_empty() {
        let has_histograms = !gathered.histograms.is_empty();
        let tab = if has_histograms { CurvesTab::Histograms } else { CurvesTab::Best };
        effects.extend(change(state, CurvesChange::Show(tab)));
    }
    // With the page, its files are watched: closing says so already.
    effects
}

pub(super) fn gathered(state: &mut AppState, serial: u64, outcome: JobOutcome) -> Vec<Effect> {
    if serial != state.curves.serial {
        return Vec::new();
    }
    match outcome {
        JobOutcome::Finished(JobOutput::Gathered(gathered)) => {
            let checkpoints =
                |gathered: &Gathered| gathered.main_checkpoints().map(|series| series.paths.clone());
            let before = state.curves.gathered.value().and_then(|gathered| checkpoints(gathered));
            let mut effects = jobs(state.curves.take(&gathered));
            effects.push(Effect::WatchFiles);
            // More or other checkpoints: how layers moved is not known of these.
            if before != checkpoints(&gathered) {
                state.curves.drift = Loadable::NotRequested;
                state.curves.drift_serial += 1;
                state.curves.layer = None;
                if state.curves.tab == CurvesTab::Drift {
                    effects.extend(want_drift(state, false));
                }
            }
            return effects;
        }
        JobOutcome::Failed(error) => {
            state.notices.tell(Severity::Error, "Failed to read curves".to_owned());
            state.curves.gathered.fail(error);
        }
        JobOutcome::Cancelled => state.curves.gathered.cancel(),
        JobOutcome::Partial(_) | JobOutcome::Finished(_) => {}
    }
    Vec::new()
}

pub(super) fn moved(state: &mut AppState, serial: u64, outcome: JobOutcome) {
    if serial != state.curves.drift_serial {
        return;
    }
    match outcome {
        JobOutcome::Finished(JobOutput::Moved(drift)) => state.curves.take_drift(drift),
        JobOutcome::Failed(error) => state.curves.drift.fail(error),
        JobOutcome::Cancelled => state.curves.drift.cancel(),
        JobOutcome::Partial(_) | JobOutcome::Finished(_) => {}
    }
}
