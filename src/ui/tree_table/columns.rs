//! Which columns the table has, and where they begin and end.

use crate::state::Settings;
use crate::state::scan::Statistic;
use crate::state::tree::SortColumn;

/// Between two columns.
const GAP: f32 = 10.0;
/// Left of the name, and right of the last column (beside the scroll bar).
const MARGINS: (f32, f32) = (8.0, 14.0);
/// Width of a proportion bar.
pub(super) const BAR: f32 = 40.0;
/// From this width on, the column of bytes has a proportion bar.
const BYTES_WITH_BAR: f32 = 116.0;
const BYTES: f32 = 68.0;

/// A column beside the name.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Column {
    pub kind: SortColumn,
    /// Left and right edge, from the left of the table.
    pub span: (f32, f32),
}

impl Column {
    /// Whether its cells are numbers, which stand at the right.
    pub fn is_number(&self) -> bool {
        matches!(self.kind, SortColumn::Parameters | SortColumn::Bytes | SortColumn::Statistic(_))
    }

    /// Whether there is room for a bar beside the number.
    pub fn has_bar(&self) -> bool {
        self.kind == SortColumn::Bytes && self.span.1 - self.span.0 >= BYTES_WITH_BAR - 8.0
    }
}

/// Head of a column.
pub(super) fn label(kind: SortColumn) -> &'static str {
    match kind {
        SortColumn::File => "",
        SortColumn::Name => "Name",
        SortColumn::Class => "Class",
        SortColumn::Shape => "Shape",
        SortColumn::Dtype => "Dtype",
        SortColumn::Parameters => "Parameters",
        SortColumn::Bytes => "Bytes",
        SortColumn::Role => "Role",
        SortColumn::Statistic(statistic) => statistic.label(),
    }
}

/// Where the columns are.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Columns {
    /// The name takes what the others leave.
    pub name: (f32, f32),
    /// From left to right.
    pub others: Vec<Column>,
}

impl Columns {
    /// Columns for a width. Those that do not fit are left out, the least needed first, so that names keep their room.
    pub fn new(width: f32, classes: bool, settings: &Settings) -> Self {
        let roomy = width > 760.0;
        let own = |kind| match kind {
            SortColumn::Class => {
                if roomy {
                    120.0
                } else {
                    92.0
                }
            }
            SortColumn::Shape => {
                if roomy {
                    130.0
                } else {
                    104.0
                }
            }
            SortColumn::Dtype => 60.0,
            SortColumn::Parameters => 80.0,
            SortColumn::Bytes => BYTES_WITH_BAR,
            SortColumn::Role | SortColumn::Statistic(Statistic::NonFinite | Statistic::Zeros) => 68.0,
            SortColumn::Statistic(_) => 78.0,
            SortColumn::File | SortColumn::Name => 0.0,
        };
        let fixed = [
            SortColumn::Class,
            SortColumn::Shape,
            SortColumn::Dtype,
            SortColumn::Parameters,
            SortColumn::Bytes,
        ];
        let statistics =
            settings.statistics_columns.iter().map(|&statistic| SortColumn::Statistic(statistic));
        let mut wanted: Vec<(SortColumn, f32)> = fixed
            .into_iter()
            .filter(|kind| classes || *kind != SortColumn::Class)
            .chain(statistics)
            .chain([SortColumn::Role])
            .map(|kind| (kind, settings.column_width(kind).unwrap_or_else(|| own(kind))))
            .collect();
        let room = width - MARGINS.0 - MARGINS.1 - (width * 0.36).clamp(140.0, 250.0);
        let taken = |columns: &[(SortColumn, f32)]| columns.iter().map(|(_, width)| width + GAP).sum::<f32>();
        if taken(&wanted) > room
            && settings.column_width(SortColumn::Bytes).is_none()
            && let Some(bytes) = wanted.iter_mut().find(|(kind, _)| *kind == SortColumn::Bytes)
        {
            bytes.1 = BYTES;
        }
        while taken(&wanted) > room {
            // Among equals the last one goes.
            let Some((index, _)) = wanted
                .iter()
                .enumerate()
                .rev()
                .min_by_key(|(_, (kind, _))| need(*kind))
                .filter(|(_, (kind, _))| *kind != SortColumn::Bytes)
            else {
                break;
            };
            wanted.remove(index);
        }
        // Placed from the right.
        let mut right = width - MARGINS.1;
        let mut others = Vec::with_capacity(wanted.len());
        for (kind, width) in wanted.into_iter().rev() {
            others.push(Column { kind, span: (right - width, right) });
            right -= width + GAP;
        }
        others.reverse();
        Self { name: (MARGINS.0, right), others }
    }

    /// One column, where it is shown.
    pub fn find(&self, kind: SortColumn) -> Option<&Column> {
        self.others.iter().find(|column| column.kind == kind)
    }
}

/// How much a column is needed; statistics were asked for by hand.
fn need(kind: SortColumn) -> u8 {
    match kind {
        SortColumn::Role => 1,
        SortColumn::Class => 2,
        SortColumn::Dtype => 3,
        SortColumn::Shape => 4,
        SortColumn::Parameters => 5,
        SortColumn::Statistic(_) => 6,
        SortColumn::Bytes | SortColumn::Name | SortColumn::File => 7,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_their_room_however_many_columns_are_asked_for() {
        let settings = Settings { statistics_columns: Statistic::ALL.to_vec(), ..Settings::default() };
        for settings in [Settings::default(), settings] {
            for width in [300.0, 340.0, 520.0, 650.0, 1000.0, 2400.0] {
                let columns = Columns::new(width, true, &settings);
                assert!(columns.name.1 - columns.name.0 >= 130.0, "{width}: {columns:?}");
                assert!(columns.find(SortColumn::Bytes).is_some());
            }
        }
    }

    #[test]
    fn the_least_needed_column_goes_first() {
        let kinds = |width| {
            let columns = Columns::new(width, true, &Settings::default());
            columns.others.iter().map(|column| column.kind).collect::<Vec<_>>()
        };
        assert!(kinds(1000.0).contains(&SortColumn::Role));
        assert!(!kinds(640.0).contains(&SortColumn::Role));
        assert!(kinds(640.0).contains(&SortColumn::Shape));
        assert_eq!(kinds(320.0), [SortColumn::Bytes]);
    }
}
