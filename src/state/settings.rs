//! What survives a restart. Every field has a default, so older and newer settings can be read.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::scan::Statistic;
use super::tree::SortColumn;

/// Recent files that are remembered.
const RECENTS_KEPT: usize = 12;

/// Which colours to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum ThemeChoice {
    /// As the desktop has it.
    #[default]
    System,
    /// Dark surfaces.
    Dark,
    /// Light surfaces.
    Light,
}

/// How an axis lays out values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, Serialize, Deserialize)]
pub enum ValueScale {
    /// Evenly.
    #[default]
    Linear,
    /// Logarithmically to both sides of zero, evenly around it.
    Symlog,
}

/// Which values a histogram leaves out at its ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash, Serialize, Deserialize)]
pub enum Clip {
    /// None.
    #[default]
    None,
    /// All but the middle 99.8 %.
    Thousandth,
    /// All but the middle 98 %.
    Hundredth,
}

impl Clip {
    /// All choices.
    pub const ALL: [Self; 3] = [Self::None, Self::Thousandth, Self::Hundredth];

    /// What it is called.
    pub fn label(self) -> &'static str {
        match self {
            Self::None => "all values",
            Self::Thousandth => "0.1–99.9 %",
            Self::Hundredth => "1–99 %",
        }
    }

    /// The part that is left out at each end.
    pub fn tail(self) -> Option<f64> {
        match self {
            Self::None => None,
            Self::Thousandth => Some(0.001),
            Self::Hundredth => Some(0.01),
        }
    }
}

/// A file that was open before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recent {
    /// Where it was.
    pub path: PathBuf,
    /// What it was, in a few words.
    #[serde(default)]
    pub about: String,
}

/// What survives a restart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Colours.
    pub theme: ThemeChoice,
    /// Scale of everything; 1 is the size the desktop asks for.
    pub zoom: f32,
    /// Files that were open before, the latest first.
    pub recents: Vec<Recent>,
    /// Bins of histograms.
    pub histogram_bins: usize,
    /// Whether histograms show counts on a logarithmic scale.
    pub histogram_log: bool,
    /// How histograms lay out values.
    pub histogram_scale: ValueScale,
    /// Which values histograms leave out.
    pub histogram_clip: Clip,
    /// Which values the colours of heat maps span.
    pub colour_range: Clip,
    /// Whether the statistics of a whole checkpoint are computed when it opens.
    pub scan_on_open: bool,
    /// Statistics that the tree shows as columns.
    pub statistics_columns: Vec<Statistic>,
    /// Widths of columns that were changed, in points.
    pub column_widths: Vec<(SortColumn, f32)>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            theme: ThemeChoice::System,
            zoom: 1.0,
            recents: Vec::new(),
            histogram_bins: 64,
            histogram_log: false,
            histogram_scale: ValueScale::Linear,
            histogram_clip: Clip::None,
            colour_range: Clip::Hundredth,
            scan_on_open: true,
            statistics_columns: Vec::new(),
            column_widths: Vec::new(),
        }
    }
}

impl Settings {
    /// Moves a file to the front of the recent ones.
    pub fn remember(&mut self, path: &Path, about: String) {
        self.recents.retain(|recent| recent.path != path);
        self.recents.insert(0, Recent { path: path.to_owned(), about });
        self.recents.truncate(RECENTS_KEPT);
    }

    /// The width that was chosen for a column.
    pub fn column_width(&self, column: SortColumn) -> Option<f32> {
        self.column_widths.iter().find(|(other, _)| *other == column).map(|(_, width)| *width)
    }

    /// Chooses a width for a column, or goes back to its own.
    pub fn set_column_width(&mut self, column: SortColumn, width: Option<f32>) {
        self.column_widths.retain(|(other, _)| *other != column);
        if let Some(width) = width.filter(|width| width.is_finite()) {
            self.column_widths.push((column, width.clamp(36.0, 600.0)));
        }
    }
}
