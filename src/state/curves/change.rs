//! What can be chosen on the Curves page, and the changes that choose it.

use std::path::PathBuf;

use crate::model::{AxisKind, Direction};

/// A part of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum CurvesTab {
    /// The curves.
    #[default]
    Curves,
    /// Histograms that were logged.
    Histograms,
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
    /// Shows the histograms of one quantity, by their place among what was gathered.
    Histogram(usize),
    /// Asks where to save every point of the shown lines.
    SavePoints,
    /// Asks where to save every bucket of the shown histograms.
    SaveHistograms,
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
