//! The Curves page: what was gathered, which curves are shown and how, the ranking of checkpoints, and how layers moved.
//!
//! Lines are made ready here when something changes; a frame only cuts them to the screen ([`plot`]).

mod lines;
pub mod picture;
pub mod plot;

pub use lines::{Line, Prepared, Side};

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use crate::analysis::drift::Drift;
use crate::analysis::series::Ranking;
use crate::analysis::series::best::metrics;
use crate::jobs::Loadable;
use crate::jobs::curves::{Gathered, recorded_member};
use crate::model::metric::default_direction;
use crate::model::{AxisKind, Direction};

/// A part of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum CurvesTab {
    /// The curves.
    #[default]
    Curves,
    /// Checkpoints ranked by a metric.
    Best,
    /// How layers moved.
    Drift,
}

/// What curves are drawn over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum Across {
    /// Whatever each source counts by.
    #[default]
    Own,
    /// Steps.
    Step,
    /// Epochs.
    Epoch,
    /// Hours since the first point of the run.
    Relative,
    /// Time of day.
    Wall,
}

impl Across {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Own, Self::Step, Self::Epoch, Self::Relative, Self::Wall];

    /// Its name.
    pub fn label(self) -> &'static str {
        match self {
            Self::Own => "As logged",
            Self::Step => "Step",
            Self::Epoch => "Epoch",
            Self::Relative => "Relative time",
            Self::Wall => "Wall time",
        }
    }

    /// The axis of a series that it needs.
    pub fn kind(self) -> Option<AxisKind> {
        match self {
            Self::Own => None,
            Self::Step => Some(AxisKind::Step),
            Self::Epoch => Some(AxisKind::Epoch),
            Self::Relative | Self::Wall => Some(AxisKind::Time),
        }
    }
}

/// How curves are drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CurvesLook {
    /// Share of what was before, from 0 to below 1.
    pub smoothing: f64,
    /// Over what.
    pub across: Across,
    /// Powers of ten across.
    pub log_x: bool,
    /// Powers of ten up.
    pub log_y: bool,
    /// Whether scores have an axis of their own at the right.
    pub twin: bool,
}

impl Default for CurvesLook {
    fn default() -> Self {
        Self { smoothing: 0.0, across: Across::Own, log_x: false, log_y: false, twin: true }
    }
}

/// What the heat map of layers shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum DriftMeasure {
    /// The change since the checkpoint before, relative to its norm.
    #[default]
    Update,
    /// The change since the first checkpoint, relative to its norm.
    FromFirst,
    /// The norm.
    Norm,
}

impl DriftMeasure {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Update, Self::FromFirst, Self::Norm];

    /// Its name.
    pub fn label(self) -> &'static str {
        match self {
            Self::Update => "Update ratio",
            Self::FromFirst => "Change from the first",
            Self::Norm => "Norm",
        }
    }

    /// Its values for a layer, one for each checkpoint.
    pub fn of(self, layer: &crate::analysis::drift::LayerDrift) -> &[f64] {
        match self {
            Self::Update => &layer.update,
            Self::FromFirst => &layer.from_first,
            Self::Norm => &layer.norm,
        }
    }
}

/// A change of the page.
#[derive(Debug, Clone, PartialEq)]
pub enum CurvesChange {
    /// Gathers from these paths and shows the page.
    Load(Vec<PathBuf>),
    /// Gathers again.
    Reload,
    /// A file that was read has changed.
    SourceChanged,
    /// Shows a part of the page.
    Show(CurvesTab),
    /// Narrows the list down.
    Filter(String),
    /// Shows or hides a line, by its place in the list.
    Toggle(usize),
    /// Shows or hides a run.
    ToggleRun(String),
    /// Shows only one line; all others are hidden.
    Only(usize),
    /// Draws otherwise.
    Look(CurvesLook),
    /// Reads new points as they are written, or stops doing so.
    Follow(bool),
    /// Ranks by another metric.
    Metric(String),
    /// Ranks the other way; `None`: as the name tells.
    Direction(Option<Direction>),
    /// Reads file names otherwise; empty: as found out.
    Pattern(String),
    /// Reads the weights to see how layers moved.
    ReadDrift,
    /// Shows something else of the layers.
    Measure(DriftMeasure),
    /// Shows one layer's lines.
    Layer(Option<usize>),
}

/// Checkpoints by a metric, or why they cannot be ranked.
pub type Ranked = Result<Arc<Ranking>, String>;

/// The page.
#[derive(Default)]
pub struct CurvesState {
    /// From where.
    pub paths: Vec<PathBuf>,
    /// What was found there.
    pub gathered: Loadable<Arc<Gathered>>,
    /// Counts requests; results of older ones find no home.
    pub serial: u64,
    /// Counts results and every change of what is drawn.
    pub generation: u64,
    /// The part that is shown.
    pub tab: CurvesTab,
    /// Narrows the list down.
    pub filter: String,
    /// How curves are drawn.
    pub look: CurvesLook,
    /// All lines of the list, in order.
    pub lines: Vec<Line>,
    /// The lines that are drawn, ready to be cut to the screen.
    pub prepared: Arc<Vec<Prepared>>,
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
    /// What the heat map shows.
    pub measure: DriftMeasure,
    /// The layer whose lines are shown.
    pub layer: Option<usize>,
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
    pub fn take(&mut self, gathered: &Arc<Gathered>) {
        let is_first = self.known.is_empty();
        let mut shown = 0;
        let logged: Vec<&crate::model::Series> = gathered.curves().collect();
        let judged =
            logged.iter().any(|series| default_direction(&series.name).is_some() && series.len() > 1);
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
        self.gathered = Loadable::Ready(gathered.clone());
        let ranked = gathered.main_checkpoints();
        self.metrics = ranked
            .map(|checkpoints| metrics(&checkpoints.members, &gathered.logs_for(checkpoints)))
            .unwrap_or_default();
        self.rank();
        self.relist();
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

    /// Ranks the checkpoints anew.
    pub fn rank(&mut self) {
        let Some(gathered) = self.gathered.value() else { return };
        self.ranking = gathered.main_checkpoints().map(|checkpoints| {
            gathered
                .rank(checkpoints, self.metric.as_deref(), self.direction)
                .map(Arc::new)
                .map_err(|error| error.to_string())
        });
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
    pub fn toggle(&mut self, line: usize) {
        let Some(key) = self.lines.get(line).map(Line::key) else { return };
        self.hidden_runs.remove(&key.0);
        if !self.hidden.remove(&key) {
            self.hidden.insert(key);
        }
        self.relist();
    }

    /// Shows one line only.
    pub fn only(&mut self, line: usize) {
        let Some(key) = self.lines.get(line).map(Line::key) else { return };
        self.hidden_runs.remove(&key.0);
        self.hidden = self.lines.iter().map(Line::key).filter(|other| *other != key).collect();
        self.relist();
    }

    /// Shows or hides a run.
    pub fn toggle_run(&mut self, run: String) {
        if !self.hidden_runs.remove(&run) {
            self.hidden_runs.insert(run);
        }
        self.relist();
    }

    /// Whether a run is hidden as a whole.
    pub fn is_hidden_run(&self, run: &str) -> bool {
        self.hidden_runs.contains(run)
    }

    /// Makes the list and what is drawn anew.
    pub fn relist(&mut self) {
        let Some(gathered) = self.gathered.value().cloned() else { return };
        self.lines = lines::lines(&gathered, &self.filter, &|run, name| {
            !self.hidden_runs.contains(run) && !self.hidden.contains(&(run.to_owned(), name.to_owned()))
        });
        self.prepared = Arc::new(lines::prepare(&gathered, &self.lines, &self.look));
        self.generation += 1;
    }
}
