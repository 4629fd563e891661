//! Kinds of rows: counted over the whole comparison, and chosen to be shown only.

use crate::analysis::diff::{DiffRow, PairDiff, PairStatus};

/// A kind of row. The first six of a pair exclude each other; the other two count across them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Chip {
    /// The values differ by more than the tolerance.
    Changed,
    /// Nothing differs but perhaps the name.
    Identical,
    /// Only on the left.
    OnlyLeft,
    /// Only on the right.
    OnlyRight,
    /// The names differ.
    Renamed,
    /// The shapes differ.
    Reshaped,
    /// The dtypes differ.
    DtypeChanged,
    /// Values that are NaN or infinite, on either side.
    NotFinite,
    /// The values of one side cannot be read.
    Unreadable,
}

impl Chip {
    /// All of them, in the order of the page.
    pub const ALL: [Self; 9] = [
        Self::Changed,
        Self::Identical,
        Self::OnlyLeft,
        Self::OnlyRight,
        Self::Renamed,
        Self::Reshaped,
        Self::DtypeChanged,
        Self::NotFinite,
        Self::Unreadable,
    ];

    /// What it is called.
    pub fn label(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Identical => "identical",
            Self::OnlyLeft => "only left",
            Self::OnlyRight => "only right",
            Self::Renamed => "renamed",
            Self::Reshaped => "reshaped",
            Self::DtypeChanged => "dtype changed",
            Self::NotFinite => "has NaN",
            Self::Unreadable => "unreadable",
        }
    }

    /// What it means, for hovering.
    pub fn tooltip(self) -> &'static str {
        match self {
            Self::Changed => "Same shape and dtype, other values",
            Self::Identical => "Nothing differs, but perhaps the name",
            Self::OnlyLeft => "Without a partner on the right",
            Self::OnlyRight => "Without a partner on the left",
            Self::Renamed => "Taken for the same under another name",
            Self::Reshaped => "The shapes differ",
            Self::DtypeChanged => "The element types differ; values are compared as numbers",
            Self::NotFinite => "NaN or infinite values on either side",
            Self::Unreadable => "The values of one side cannot be read",
        }
    }

    /// Whether a row is of this kind, as far as it is known. `pair` is what was found about it.
    pub fn matches(self, row: DiffRow, pair: Option<&PairDiff>) -> bool {
        let of_pair = |holds: fn(&PairDiff) -> bool| pair.is_some_and(holds);
        match self {
            Self::OnlyLeft => matches!(row, DiffRow::OnlyLeft(_)),
            Self::OnlyRight => matches!(row, DiffRow::OnlyRight(_)),
            Self::Changed => of_pair(|pair| pair.status == PairStatus::Changed),
            Self::Identical => of_pair(|pair| pair.status == PairStatus::Identical),
            Self::Renamed => of_pair(|pair| pair.renamed),
            Self::Reshaped => of_pair(|pair| pair.status == PairStatus::Reshaped),
            Self::DtypeChanged => of_pair(|pair| pair.status == PairStatus::DtypeChanged),
            Self::NotFinite => {
                of_pair(|pair| pair.values.as_ref().is_some_and(|values| values.not_finite > 0))
            }
            Self::Unreadable => of_pair(|pair| pair.status == PairStatus::Unreadable),
        }
    }
}

/// Rows of each kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts([u64; Chip::ALL.len()]);

impl Counts {
    /// Counts one row.
    pub fn add(&mut self, row: DiffRow, pair: Option<&PairDiff>) {
        for (count, chip) in self.0.iter_mut().zip(Chip::ALL) {
            *count += u64::from(chip.matches(row, pair));
        }
    }

    /// Rows of a kind.
    pub fn of(&self, chip: Chip) -> u64 {
        self.0.iter().zip(Chip::ALL).find(|(_, other)| *other == chip).map_or(0, |(count, _)| *count)
    }
}
