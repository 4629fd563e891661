//! The Compare page: which two checkpoints, how they are compared, and what is known about them so far.
//!
//! Results arrive while the comparison runs. Rows of the table are made when something changes, never per frame.

mod chip;
mod found;
mod item;
mod table;

pub use chip::{Chip, Counts};
pub use found::{CompareStatus, Found};
pub use item::{CompareItem, LeafTensors, full_name, leaf_words, name, relative_change};
pub use table::{CompareColumn, CompareRow, CompareTable, MadePairs, PairsChange};

use std::path::PathBuf;
use std::sync::Arc;

use crate::analysis::compatibility::Compatibility;
use crate::analysis::diff::Tolerance;
use crate::analysis::pairing::PairingOptions;
use crate::jobs::{CheckpointId, CompareOptions, ComparisonKey, JobError, Loadable, ReportFormat};
use crate::model::{Checkpoint, NameFilter, RenameRule};

/// One of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// What it was.
    Left,
    /// What it became.
    Right,
}

impl Side {
    /// Both.
    pub const BOTH: [Self; 2] = [Self::Left, Self::Right];

    /// Its name, for sentences.
    pub fn label(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Right => "right",
        }
    }

    /// The opposite one.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Left => Self::Right,
            Self::Right => Self::Left,
        }
    }
}

/// A part of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum CompareTab {
    /// The table of pairs.
    #[default]
    Tensors,
    /// Entries of the metadata and configuration that differ.
    Metadata,
    /// Whether one would load into the other.
    Load,
}

/// How to compare, as typed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Choices {
    /// Values this far apart count as unchanged.
    pub absolute: f64,
    /// The same, as a fraction of the larger of the two.
    pub relative: f64,
    /// Rules that rename tensors before they are paired.
    pub rules: Vec<String>,
    /// Tensors whose name matches are compared with their axes turned round; empty for none.
    pub transpose: String,
}

impl Choices {
    /// Whether values must be equal.
    pub fn is_exact(&self) -> bool {
        self.tolerance().is_exact()
    }

    fn tolerance(&self) -> Tolerance {
        Tolerance { absolute: self.absolute, relative: self.relative }
    }

    /// What a comparison needs; or what is wrong, as a sentence.
    pub fn options(&self) -> Result<CompareOptions, String> {
        let rules: Result<Vec<RenameRule>, String> =
            self.rules.iter().map(|rule| RenameRule::parse(rule)).collect();
        let transpose = Some(self.transpose.trim()).filter(|pattern| !pattern.is_empty());
        Ok(CompareOptions {
            pairing: PairingOptions {
                rules: rules?,
                transpose: transpose.map(NameFilter::parse).transpose()?,
            },
            tolerance: self.tolerance(),
            threads: 0,
        })
    }
}

/// A change of the page.
#[derive(Debug, Clone, PartialEq)]
pub enum CompareChange {
    /// Puts an opening on a side.
    Pick(Side, CheckpointId),
    /// Puts two openings on the sides, and shows the page.
    Between(CheckpointId, CheckpointId),
    /// Exchanges the sides.
    Swap,
    /// Asks for a file to open on a side.
    OpenOn(Side),
    /// Compares otherwise.
    Choose(Choices),
    /// Compares (again), however large the files are.
    Run,
    /// Shows a part of the page.
    Show(CompareTab),
    /// Changes rows or selection of the table.
    Pairs(PairsChange),
    /// Asks whether the right would load into the left rather than the left into the right.
    LoadReversed(bool),
    /// Compares under the renaming that would make it load.
    ApplyFix,
    /// Asks where to save a report.
    SaveReport(ReportFormat),
    /// Saves a report there.
    SaveReportTo(ReportFormat, PathBuf),
    /// Takes away the offer to compare what was opened together.
    DismissOffer,
}

/// Whether one would load into the other.
#[derive(Debug, Default)]
pub struct LoadQuestion {
    /// Whether it is the right that would load into the left.
    pub reversed: bool,
    /// What would load into what.
    pub of: Option<(CheckpointId, CheckpointId)>,
    /// The answer.
    pub answer: Loadable<Arc<Compatibility>>,
}

/// A comparison that has been asked for.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Names it.
    pub key: ComparisonKey,
    /// The left checkpoint.
    pub left: Arc<Checkpoint>,
    /// The right checkpoint.
    pub right: Arc<Checkpoint>,
    /// How they are compared.
    pub choices: Choices,
}

/// What the page shows.
#[derive(Debug, Default)]
pub struct CompareState {
    sides: [Option<CheckpointId>; 2],
    /// Where the next file that is opened goes.
    pub awaiting: Option<Side>,
    /// How to compare.
    pub choices: Choices,
    /// The part of the page that is shown.
    pub tab: CompareTab,
    /// Asked for, and no pairs known yet. What was found before stays visible meanwhile.
    pub asked: Option<Asked>,
    /// Asked for, and stopped or failed before pairs were known; the reason of a failure.
    pub broken_off: Option<(Asked, Option<JobError>)>,
    /// What was found.
    pub found: Option<Arc<Found>>,
    /// Rows and selection.
    pub table: CompareTable,
    /// Whether one would load into the other.
    pub load: LoadQuestion,
    /// Two that were opened together, which may be meant to be compared.
    pub offer: Option<(CheckpointId, CheckpointId)>,
    serial: u64,
}

impl CompareState {
    /// What is on a side.
    pub fn side(&self, side: Side) -> Option<CheckpointId> {
        match side {
            Side::Left => self.sides[0],
            Side::Right => self.sides[1],
        }
    }

    /// On which side an opening is.
    pub fn side_of(&self, id: CheckpointId) -> Option<Side> {
        Side::BOTH.into_iter().find(|&side| self.side(side) == Some(id))
    }

    /// Both sides, where both are chosen.
    pub fn both(&self) -> Option<(CheckpointId, CheckpointId)> {
        Some((self.side(Side::Left)?, self.side(Side::Right)?))
    }

    /// Puts an opening on a side. One that is on the other side changes places with what was here.
    pub fn put(&mut self, side: Side, id: CheckpointId) {
        let [left, right] = &mut self.sides;
        let (here, there) = match side {
            Side::Left => (left, right),
            Side::Right => (right, left),
        };
        if *there == Some(id) {
            *there = *here;
        }
        *here = Some(id);
    }

    /// Exchanges the sides.
    pub fn swap(&mut self) {
        self.sides.swap(0, 1);
    }

    /// Gives an opening that is read again its new identity.
    pub fn renew(&mut self, old: CheckpointId, new: CheckpointId) {
        for side in self.sides.iter_mut().filter(|side| **side == Some(old)) {
            *side = Some(new);
        }
    }

    /// Forgets an opening.
    pub fn forget(&mut self, id: CheckpointId) {
        for side in self.sides.iter_mut().filter(|side| **side == Some(id)) {
            *side = None;
        }
        self.offer = self.offer.filter(|(a, b)| *a != id && *b != id);
        self.drop_stale();
    }

    /// Drops results that are not of what is on the sides now.
    pub fn drop_stale(&mut self) {
        let both = self.both();
        let is_current = |key: &ComparisonKey| both == Some((key.left, key.right));
        if self.asked.as_ref().is_some_and(|asked| !is_current(&asked.key)) {
            self.asked = None;
        }
        if self.broken_off.as_ref().is_some_and(|(asked, _)| !is_current(&asked.key)) {
            self.broken_off = None;
        }
        if self.found.as_ref().is_some_and(|found| !is_current(&found.key)) {
            self.found = None;
            self.table.clear();
        }
        if self.load.of != both.map(|both| self.load_pair(both)) {
            self.load.of = None;
            self.load.answer = Loadable::NotRequested;
        }
    }

    /// What would load into what.
    pub fn load_pair(&self, (left, right): (CheckpointId, CheckpointId)) -> (CheckpointId, CheckpointId) {
        if self.load.reversed { (right, left) } else { (left, right) }
    }

    /// The whole name of what is selected.
    pub fn selected_name(&self) -> Option<String> {
        Some(full_name(self.found.as_ref()?, self.table.selected()?))
    }

    /// A new name for a comparison of what is on the sides.
    pub fn next_key(&mut self) -> Option<ComparisonKey> {
        let (left, right) = self.both()?;
        self.serial += 1;
        Some(ComparisonKey { left, right, serial: self.serial })
    }

    /// Whether a comparison of what is on the sides is there or under way, under the present choices.
    pub fn is_asked(&self) -> bool {
        let both = self.both();
        let is_it = |key: &ComparisonKey, choices: &Choices| {
            both == Some((key.left, key.right)) && *choices == self.choices
        };
        match (&self.asked, &self.broken_off, &self.found) {
            (Some(asked), ..) | (None, Some((asked, _)), _) => is_it(&asked.key, &asked.choices),
            (None, None, Some(found)) => is_it(&found.key, &found.choices),
            (None, None, None) => false,
        }
    }
}
