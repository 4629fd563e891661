//! Which columns the table of pairs has, and where they begin and end.

use crate::state::compare::CompareColumn;

/// Between two columns.
const GAP: f32 = 10.0;
/// Left of the name, and right of the last column (beside the scroll bar).
const MARGINS: (f32, f32) = (8.0, 14.0);
/// Width of the number beside the bar of the relative change.
pub(super) const RELATIVE_NUMBER: f32 = 62.0;

/// What a column shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Shape,
    Measure(CompareColumn),
}

/// Where the columns are, from the left of the table.
pub(super) struct Columns {
    /// The name takes what the others leave.
    pub name: (f32, f32),
    /// From left to right.
    pub others: Vec<(Kind, (f32, f32))>,
}

impl Columns {
    /// Columns for a width; the least needed are left out where there is no room.
    pub fn new(width: f32) -> Self {
        use CompareColumn::{Changed, Cosine, MaxAbs, Relative};
        let mut wanted = vec![
            (Kind::Shape, 126.0),
            (Kind::Measure(Relative), if width > 560.0 { 150.0 } else { 118.0 }),
            (Kind::Measure(Changed), 64.0),
            (Kind::Measure(MaxAbs), 60.0),
            (Kind::Measure(Cosine), 58.0),
        ];
        let room = width - MARGINS.0 - MARGINS.1 - (width * 0.34).clamp(140.0, 260.0);
        for least in [Kind::Measure(Changed), Kind::Measure(Cosine), Kind::Shape, Kind::Measure(MaxAbs)] {
            if wanted.iter().map(|(_, width)| width + GAP).sum::<f32>() > room {
                wanted.retain(|(kind, _)| *kind != least);
            }
        }
        let mut right = width - MARGINS.1;
        let mut others = Vec::with_capacity(wanted.len());
        for (kind, width) in wanted.into_iter().rev() {
            others.push((kind, (right - width, right)));
            right -= width + GAP;
        }
        others.reverse();
        Self { name: (MARGINS.0, right), others }
    }
}

/// Head of a column.
pub(super) fn label(kind: Kind) -> &'static str {
    match kind {
        Kind::Shape => "Shape",
        Kind::Measure(CompareColumn::Name) => "Tensor",
        Kind::Measure(CompareColumn::Relative) => "Relative change",
        Kind::Measure(CompareColumn::Changed) => "Changed",
        Kind::Measure(CompareColumn::MaxAbs) => "Max |Δ|",
        Kind::Measure(CompareColumn::Cosine) => "Cosine",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_the_relative_change_are_always_there() {
        for width in [340.0, 480.0, 640.0, 900.0, 1600.0] {
            let columns = Columns::new(width);
            assert!(columns.name.1 - columns.name.0 >= 130.0, "{width}");
            assert!(columns.others.iter().any(|(kind, _)| *kind == Kind::Measure(CompareColumn::Relative)));
        }
    }
}
