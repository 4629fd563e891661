//! The Curves page: what was gathered, which curves are shown and how, the ranking of checkpoints, and how layers moved.
//!
//! Lines are made ready when something changes, many points by a job; a frame only cuts them to the screen ([`plot`]).

mod change;
pub mod histograms;
mod lines;
pub mod picture;
pub mod plot;
mod prepared;

pub use change::{Across, CurvesChange, CurvesLook, CurvesTab, DriftMeasure};
pub use lines::Line;
pub use prepared::{Counted, Curve, Prepared, Side};

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use crate::analysis::drift::Drift;
use crate::analysis::series::Ranking;
use crate::analysis::series::best::metrics;
use crate::jobs::curves::{Gathered, recorded_member};
use crate::jobs::{Loadable, Preparation, Purpose};
use crate::model::metric::default_direction;
use crate::model::{Direction, Progress};
use prepared::Plan;

/// Checkpoints by a metric, or why they cannot be ranked.
pub type Ranked = Result<Arc<Ranking>, String>;

/// What is drawn.
#[derive(Debug, Clone, Default)]
pub struct Drawing {
    /// Counts what was to be drawn; of a result of an older one nothing is taken.
    serial: u64,
    /// How it is drawn.
    pub look: CurvesLook,
    /// What is counted across.
    pub counted: Counted,
    /// The lines, ready to be cut to the screen.
    pub lines: Vec<Prepared>,
}

/// A ranking that a job made.
struct MadeRanking {
    serial: u64,
    ranked: Ranked,
}

/// Work for the background, by what it is for.
pub type Work = Vec<(Purpose, Preparation)>;

/// Points that are made ready at once: they take less than a millisecond, and the picture follows the hand.
const AT_ONCE: usize = 20_000;

/// The page.
#[derive(Default)]
pub struct CurvesState {
    /// From where.
    pub paths: Vec<PathBuf>,
    /// What was found there.
    pub gathered: Loadable<Arc<Gathered>>,
    /// Counts requests; results of older ones find no home.
    pub serial: u64,
    /// Counts changes of what is drawn.
    pub generation: u64,
    /// The part that is shown.
    pub tab: CurvesTab,
    /// Narrows the list down.
    pub filter: String,
    /// How curves are drawn.
    pub look: CurvesLook,
    /// All lines of the list, in order.
    pub lines: Vec<Line>,
    /// What is drawn; of the choice before while the lines of the next are made.
    pub drawing: Arc<Drawing>,
    /// Names of all runs.
    pub runs: Vec<String>,
    /// Whether new points are read as they are written.
    pub follow: bool,
    /// Names of metrics to rank by.
    pub metrics: Vec<String>,
    /// The one that is ranked by.
    pub metric: Option<String>,
    /// Which way the user wants it.
    pub direction: Option<Direction>,
    /// The ranking.
    pub ranking: Option<Ranked>,
    /// How file names are read, as typed; empty: as found out.
    pub pattern: String,
    /// What is wrong with it.
    pub pattern_error: Option<String>,
    /// Counts requests for the movement of layers.
    pub drift_serial: u64,
    /// How layers moved.
    pub drift: Loadable<Arc<Drift>>,
    /// The smallest and the largest shade of the heat map, for each measure.
    drift_ranges: [(f64, f64); 3],
    /// What the heat map shows.
    pub measure: DriftMeasure,
    /// The layer whose lines are shown.
    pub layer: Option<usize>,
    /// The quantity whose histograms are shown, by its place among what was gathered.
    pub histogram: Option<usize>,
    /// Quantities with histograms that fit the filter.
    pub histograms: Vec<usize>,
    /// The histograms that are drawn; of the quantity before while those of the next are made.
    pub ridges: Option<Arc<histograms::Made>>,
    drawing_serial: u64,
    ranking_serial: u64,
    hidden: HashSet<(String, String)>,
    known: HashSet<(String, String)>,
    hidden_runs: HashSet<String>,
}

/// Lines that are shown before anyone chooses.
const SHOWN_AT_FIRST: usize = 8;

/// Files and folders that are watched; each is asked for its time every few seconds.
const WATCHED: usize = 256;

impl CurvesState {
    /// Takes in what was gathered, keeping what is shown and hidden.
    #[must_use = "what is left to do is done by jobs"]
    pub fn take(&mut self, gathered: &Arc<Gathered>) -> Work {
        let is_first = self.known.is_empty();
        let mut shown = 0;
        let judged =
            gathered.curves().any(|series| default_direction(&series.name).is_some() && series.len() > 1);
        for series in &gathered.series {
            let key = (series.run.clone(), series.name.clone());
            if !self.known.insert(key.clone()) {
                continue;
            }
            let is_wanted = series.is_curve
                && series.len() > 1
                && (!judged || default_direction(&series.name).is_some())
                && (!is_first || shown < SHOWN_AT_FIRST);
            if is_wanted {
                shown += 1;
            } else {
                self.hidden.insert(key);
            }
        }
        let before = self.gathered.value().cloned();
        self.gathered = Loadable::Ready(gathered.clone());
        self.runs = gathered.runs().into_iter().map(str::to_owned).collect();
        let ranked = gathered.main_checkpoints();
        self.metrics = ranked
            .map(|checkpoints| metrics(&checkpoints.members, &gathered.logs_for(checkpoints)))
            .unwrap_or_default();
        self.keep_histogram(before.as_deref(), gathered);
        let mut work = self.rank();
        work.extend(self.relist());
        if self.tab == CurvesTab::Histograms {
            work.extend(self.make_ridges().map(|made| (Purpose::Ridges, made)));
        }
        work
    }

    /// Forgets everything but how things are drawn: other paths are gathered from.
    pub fn begin(&mut self, paths: Vec<PathBuf>) {
        if paths != self.paths {
            let look = self.look;
            let drift_serial = self.drift_serial + 1;
            *self = Self {
                serial: self.serial,
                drift_serial,
                generation: self.generation,
                look,
                follow: true,
                paths,
                ..Self::default()
            };
        }
        self.serial += 1;
        self.gathered.begin();
    }

    /// Whether there is anything to show or to wait for.
    pub fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }

    /// What to watch while new points are followed: the files that were read, and their folders for new ones.
    pub fn watched(&self) -> Vec<PathBuf> {
        let Some(gathered) = self.gathered.value().filter(|_| self.follow) else { return Vec::new() };
        let mut paths = self.paths.clone();
        for source in &gathered.sources {
            if paths.len() >= WATCHED {
                break;
            }
            let folder = source.parent().map(PathBuf::from);
            for path in folder.into_iter().chain([source.clone()]) {
                if !paths.contains(&path) {
                    paths.push(path);
                }
            }
        }
        paths
    }

    /// Ranks the checkpoints anew. Long logs are searched by a job.
    #[must_use = "what is left to do is done by jobs"]
    pub fn rank(&mut self) -> Work {
        let Some(gathered) = self.gathered.value().cloned() else { return Work::new() };
        self.ranking_serial += 1;
        let Some(checkpoints) = gathered.main_checkpoints() else {
            self.ranking = None;
            return Work::new();
        };
        let points: usize = gathered.logs_for(checkpoints).iter().map(|series| series.len()).sum();
        let (metric, direction) = (self.metric.clone(), self.direction);
        if points <= AT_ONCE {
            self.ranking = Some(ranked(&gathered, metric.as_deref(), direction));
            return Work::new();
        }
        let serial = self.ranking_serial;
        let work =
            move |_: &_| Ok(MadeRanking { serial, ranked: ranked(&gathered, metric.as_deref(), direction) });
        vec![(Purpose::Ranking, Preparation::new(work))]
    }

    /// Takes in what a job made for this page; `None` where it is something else.
    #[must_use = "what is left to do is done by jobs"]
    pub fn prepared(&mut self, made: &crate::jobs::Prepared) -> Option<Work> {
        if let Ok(made) = made.clone().downcast::<histograms::Made>() {
            self.ridges = Some(made);
        } else if let Ok(drawing) = made.clone().downcast::<Drawing>() {
            if drawing.serial == self.drawing_serial {
                self.drawing = drawing;
                self.generation += 1;
            }
        } else if let Some(made) = made.downcast_ref::<MadeRanking>() {
            if made.serial == self.ranking_serial {
                self.ranking = Some(made.ranked.clone());
                return Some(self.relist());
            }
        } else {
            return None;
        }
        Some(Work::new())
    }

    /// The files of the best checkpoints.
    pub fn best_paths(&self) -> impl Iterator<Item = &PathBuf> {
        let checkpoints = self.gathered.value().and_then(|gathered| gathered.main_checkpoints());
        let ranking = self.ranking.as_ref().and_then(|ranking| ranking.as_ref().ok());
        let best = ranking.into_iter().flat_map(|ranking| ranking.best());
        best.filter_map(move |score| checkpoints?.paths.get(score.member))
    }

    /// What the framework noted as best for the metric that is ranked by, and which member that is.
    pub fn recorded(&self) -> Option<(&crate::model::BestRecord, Option<usize>)> {
        let gathered = self.gathered.value()?;
        let checkpoints = gathered.main_checkpoints()?;
        let record = gathered.records.last()?;
        Some((record, recorded_member(record, checkpoints)))
    }

    /// Shows or hides a line.
    #[must_use = "what is left to do is done by jobs"]
    pub fn toggle(&mut self, line: usize) -> Work {
        if let Some(key) = self.lines.get(line).map(Line::key) {
            self.hidden_runs.remove(&key.0);
            if !self.hidden.remove(&key) {
                self.hidden.insert(key);
            }
        }
        self.relist()
    }

    /// Shows one line only.
    #[must_use = "what is left to do is done by jobs"]
    pub fn only(&mut self, line: usize) -> Work {
        if let Some(key) = self.lines.get(line).map(Line::key) {
            self.hidden_runs.remove(&key.0);
            self.hidden = self.lines.iter().map(Line::key).filter(|other| *other != key).collect();
        }
        self.relist()
    }

    /// Shows or hides a run.
    #[must_use = "what is left to do is done by jobs"]
    pub fn toggle_run(&mut self, run: String) -> Work {
        if !self.hidden_runs.remove(&run) {
            self.hidden_runs.insert(run);
        }
        self.relist()
    }

    /// Whether a run is hidden as a whole.
    pub fn is_hidden_run(&self, run: &str) -> bool {
        self.hidden_runs.contains(run)
    }

    /// Makes the list and what is drawn anew.
    #[must_use = "what is left to do is done by jobs"]
    pub fn relist(&mut self) -> Work {
        let Some(gathered) = self.gathered.value().cloned() else { return Work::new() };
        let drawn: Vec<_> = self
            .drawing
            .lines
            .iter()
            .filter_map(|prepared| Some((self.lines.get(prepared.line)?.key(), prepared.clone())))
            .collect();
        self.lines = lines::lines(&gathered, &self.filter, &|run, name| {
            !self.hidden_runs.contains(run) && !self.hidden.contains(&(run.to_owned(), name.to_owned()))
        });
        self.relist_histograms(&gathered);
        // What is drawn stays until there is more, but for what was hidden or is gone.
        let kept = drawn.into_iter().filter_map(|(key, prepared)| {
            let line = self
                .lines
                .iter()
                .position(|line| line.shown && (&line.run, &line.name) == (&key.0, &key.1))?;
            Some(Prepared { line, ..prepared })
        });
        let kept: Vec<Prepared> = kept.collect();
        let counted = Counted::of(&gathered, &self.lines, self.look.across);
        let best: Option<(String, Vec<f64>)> = match &self.ranking {
            Some(Ok(ranking)) => {
                Some((ranking.metric.clone(), ranking.best().map(|score| score.value).collect()))
            }
            _ => None,
        };
        let best = best.as_ref().map(|(name, values)| (name.as_str(), values.as_slice()));
        let plan = Plan::new(&gathered, &self.lines, &counted, self.look, best, &kept);
        self.drawing_serial += 1;
        self.generation += 1;
        let mut drawing =
            Drawing { serial: self.drawing_serial, look: self.look, counted, lines: Vec::new() };
        if plan.points() > AT_ONCE {
            self.drawing = Arc::new(Drawing { lines: kept, ..(*self.drawing).clone() });
            let work = move |progress: &_| Ok(Drawing { lines: plan.make(progress)?, ..drawing.clone() });
            return vec![(Purpose::Curves, Preparation::new(work))];
        }
        // Nobody cancels what is made at once.
        drawing.lines = plan.make(&Progress::new()).unwrap_or_default();
        self.drawing = Arc::new(drawing);
        Work::new()
    }

    /// Takes in how layers moved.
    pub fn take_drift(&mut self, drift: Arc<Drift>) {
        self.drift_ranges = DriftMeasure::ALL.map(|measure| {
            let values = drift.layers.iter().flat_map(|layer| measure.of(layer).iter().copied());
            let positive = values.filter(|value| value.is_finite() && *value > 0.0);
            // Four powers of ten: what is smaller is as good as nothing.
            plot::range(positive).map_or((0.0, 0.0), |(low, high)| (low.max(high * 1e-4), high))
        });
        self.drift = Loadable::Ready(drift);
    }

    /// Which values of the shown measure have the faintest and the strongest shade; two equal ones where all are alike.
    pub fn drift_range(&self) -> (f64, f64) {
        let shown = DriftMeasure::ALL.iter().zip(self.drift_ranges);
        shown
            .filter(|(measure, _)| **measure == self.measure)
            .map(|(_, range)| range)
            .next()
            .unwrap_or_default()
    }

    /// Whether what is drawn is not yet what is chosen.
    pub fn is_drawing(&self) -> bool {
        self.drawing.serial != self.drawing_serial
    }
}

fn ranked(gathered: &Gathered, metric: Option<&str>, direction: Option<Direction>) -> Ranked {
    let checkpoints = gathered.main_checkpoints().ok_or_else(|| "there are no checkpoints".to_owned())?;
    gathered.rank(checkpoints, metric, direction).map(Arc::new).map_err(|error| error.to_string())
}
