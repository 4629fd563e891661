//! What survives a restart. Every field has a default, so older and newer settings can be read.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

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
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            theme: ThemeChoice::System,
            zoom: 1.0,
            recents: Vec::new(),
            histogram_bins: 64,
            histogram_log: false,
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
}
