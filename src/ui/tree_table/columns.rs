//! Which columns the table has, and where they begin and end.

use egui::Rect;

use crate::state::Settings;
use crate::state::scan::Statistic;
use crate::state::tree::SortColumn;

/// Between two columns.
const GAP: f32 = 10.0;
/// Left of the name, and right of the last column (beside the scroll bar).
const MARGINS: (f32, f32) = (8.0, 14.0);
/// Width of a proportion bar.
pub(super) const BAR: f32 = 40.0;
/// From this width on, the column of bytes has a proportion bar beside the number.
const BYTES_WITH_BAR: f32 = 114.0;
const BYTES: f32 = 66.0;

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

/// Which columns tell something about a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Telling {
    /// The file names classes of layers.
    pub classes: bool,
    /// Tensors differ in their role.
    pub roles: bool,
}

/// Where the columns are.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Columns {
    /// The name takes what the others leave, and stays in view.
    pub name: (f32, f32),
    /// From left to right. Those that do not fit follow beyond the right edge, where scrolling reaches them.
    pub others: Vec<Column>,
    /// Width of all together: that of the table, or more.
    pub total: f32,
}

impl Columns {
    /// Columns for a width. The least needed give way first, so that names keep their room.
    pub fn new(width: f32, telling: Telling, settings: &Settings) -> Self {
        let roomy = width > 780.0;
        let pick = |wide, narrow| if roomy { wide } else { narrow };
        let own = |kind| match kind {
            SortColumn::Class => pick(120.0, 88.0),
            SortColumn::Shape => pick(130.0, 104.0),
            SortColumn::Dtype => 58.0,
            SortColumn::Parameters => 78.0,
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
        let mut within: Vec<(SortColumn, f32)> = fixed
            .into_iter()
            .filter(|kind| telling.classes || *kind != SortColumn::Class)
            .chain(statistics)
            .chain([SortColumn::Role])
            .map(|kind| (kind, settings.column_width(kind).unwrap_or_else(|| own(kind))))
            .collect();
        let room = width - MARGINS.0 - MARGINS.1 - (width * 0.26).clamp(175.0, 280.0);
        let taken = |columns: &[(SortColumn, f32)]| columns.iter().map(|(_, width)| width + GAP).sum::<f32>();
        let mut beyond: Vec<(SortColumn, f32)> = Vec::new();
        // A role that all tensors share tells less than the bar does.
        if taken(&within) > room && !telling.roles {
            beyond.extend(within.pop());
        }
        if taken(&within) > room
            && settings.column_width(SortColumn::Bytes).is_none()
            && let Some(bytes) = within.iter_mut().find(|(kind, _)| *kind == SortColumn::Bytes)
        {
            bytes.1 = BYTES;
        }
        while taken(&within) > room {
            // Among equals the last one goes.
            let Some((index, _)) = within
                .iter()
                .enumerate()
                .rev()
                .min_by_key(|(_, (kind, _))| need(*kind))
                .filter(|(_, (kind, _))| *kind != SortColumn::Bytes)
            else {
                break;
            };
            beyond.push(within.remove(index));
        }
        // Placed from the right, and those beyond from there on.
        let mut right = width - MARGINS.1;
        let mut others = Vec::with_capacity(within.len() + beyond.len());
        for (kind, width) in within.into_iter().rev() {
            others.push(Column { kind, span: (right - width, right) });
            right -= width + GAP;
        }
        others.reverse();
        let name = (MARGINS.0, right);
        beyond.sort_by_key(|(kind, _)| std::cmp::Reverse(need(*kind)));
        let mut total = width;
        for (kind, width) in beyond {
            others.push(Column { kind, span: (total, total + width) });
            total += width + GAP;
        }
        Self { name, others, total }
    }

    /// One column.
    #[cfg(test)]
    fn find(&self, kind: SortColumn) -> Option<&Column> {
        self.others.iter().find(|column| column.kind == kind)
    }

    /// Whether a column is in view as long as nobody scrolls.
    pub fn shows(&self, kind: SortColumn, width: f32) -> bool {
        self.others.iter().any(|column| column.kind == kind && column.span.1 <= width)
    }
}

/// The part of a line where the columns beside the name are.
pub(super) fn beside_name(line: Rect, columns: &Columns) -> Rect {
    Rect::from_x_y_ranges(line.left() + columns.name.1 + GAP / 2.0..=line.right(), line.y_range())
}

/// How much a column is needed; statistics were asked for by hand.
fn need(kind: SortColumn) -> u8 {
    match kind {
        SortColumn::Role => 1,
        SortColumn::Dtype => 2,
        SortColumn::Class => 3,
        SortColumn::Shape => 4,
        SortColumn::Parameters => 5,
        SortColumn::Statistic(_) => 6,
        SortColumn::Bytes | SortColumn::Name | SortColumn::File => 7,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: Telling = Telling { classes: true, roles: true };

    #[test]
    fn names_keep_their_room_and_no_column_is_lost_however_many_are_asked_for() {
        let settings = Settings { statistics_columns: Statistic::ALL.to_vec(), ..Settings::default() };
        for (settings, count) in [(Settings::default(), 6), (settings, 16)] {
            for width in [300.0, 340.0, 520.0, 650.0, 1000.0, 2400.0] {
                let columns = Columns::new(width, ALL, &settings);
                assert!(columns.name.1 - columns.name.0 >= 170.0, "{width}: {columns:?}");
                assert_eq!(columns.others.len(), count);
                assert!(columns.others.iter().all(|column| column.span.1 <= columns.total));
                assert!(columns.others.is_sorted_by(|a, b| a.span.1 < b.span.0));
                assert!(columns.shows(SortColumn::Bytes, width));
            }
        }
    }

    #[test]
    fn the_least_needed_column_goes_first() {
        let shown =
            |width, telling, kind| Columns::new(width, telling, &Settings::default()).shows(kind, width);
        assert!(shown(1000.0, ALL, SortColumn::Role));
        assert!(!shown(649.0, ALL, SortColumn::Role));
        assert!(shown(649.0, ALL, SortColumn::Class), "a window of 1280 points shows classes");
        assert!(!shown(330.0, ALL, SortColumn::Shape));
        let same = Telling { classes: false, roles: false };
        let columns = Columns::new(649.0, same, &Settings::default());
        assert!(columns.find(SortColumn::Bytes).is_some_and(Column::has_bar));
    }
}
