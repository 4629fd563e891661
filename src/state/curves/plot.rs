//! Lines cut to the screen: what a frame draws, and what stands under the pointer.

use super::prepared::{Prepared, Side};
use crate::analysis::curves::Segment;
use crate::analysis::pyramid;

/// Colours that lines take by turns.
pub const COLORS: usize = 8;

/// From where to where, without gaps. `None` where nothing is finite.
pub fn range(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    let (low, high) = values
        .filter(|value| value.is_finite())
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
    (low <= high).then_some((low, high))
}

/// How places on the right axis are drawn on the left one's scale.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Twin {
    /// Left place of the right axis's zero.
    pub offset: f64,
    /// Left places for one of the right.
    pub scale: f64,
}

impl Twin {
    /// So that both axes fill about the same height, and that round places on the left are round on the right, unless they are
    /// logarithms (`is_log`). `None` without lines on the right.
    pub fn of(prepared: &[Prepared], is_log: bool) -> Option<Self> {
        let on = |side: Side| {
            let lines = prepared.iter().filter(move |line| line.side == side);
            range(lines.filter_map(|line| line.curve.range).flat_map(|(low, high)| [low, high]))
        };
        let right = on(Side::Right)?;
        let left = on(Side::Left).unwrap_or((0.0, 1.0));
        let wide = |(low, high): (f64, f64)| if high > low { (low, high) } else { (low - 0.5, high + 0.5) };
        let (left, right) = (wide(left), wide(right));
        let ratio = (right.1 - right.0) / (left.1 - left.0);
        let unit = 10f64.powf((left.1 - left.0).log10().floor());
        if is_log || !ratio.is_normal() || !unit.is_normal() {
            return Some(Self { offset: left.0 - right.0 / ratio, scale: 1.0 / ratio });
        }
        let ratio = round_up(ratio);
        let twin = |zero: f64| Self { offset: -zero / ratio, scale: 1.0 / ratio };
        // What stands on the right at the left zero: as round as leaves the lines in the middle.
        let middle = (right.0 + right.1 - (left.0 + left.1) * ratio) / 2.0;
        let margin = (left.1 - left.0) * 0.06;
        let fits = |twin: &Self| {
            twin.to_left(right.0) >= left.0 - margin && twin.to_left(right.1) <= left.1 + margin
        };
        let steps = [1.0, 0.5, 0.2, 0.1].map(|part| part * unit * ratio);
        let all = steps.map(|step| twin((middle / step).round() * step));
        all.iter().copied().find(fits).or_else(|| all.last().copied())
    }

    /// A place of the right axis on the left one.
    pub fn to_left(self, value: f64) -> f64 {
        value * self.scale + self.offset
    }

    /// A place of the left axis on the right one.
    pub fn to_right(self, place: f64) -> f64 {
        (place - self.offset) / self.scale
    }
}

/// The next larger one of 1, 2 and 5 times a power of ten.
fn round_up(value: f64) -> f64 {
    let power = 10f64.powf(value.log10().floor());
    [1.0, 2.0, 5.0]
        .map(|times| times * power)
        .into_iter()
        .find(|round| *round >= value * 0.999)
        .unwrap_or(10.0 * power)
}

/// A line as it is drawn.
#[derive(Debug, Clone, Default)]
pub struct Drawn {
    /// Position among the prepared lines.
    pub prepared: usize,
    /// The line.
    pub line: Vec<Segment>,
    /// The raw points behind a smoothed line.
    pub faint: Vec<Segment>,
}

/// What a picture of lines depends on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cut {
    /// Of the state's lines.
    pub generation: u64,
    /// The part of x that is seen; everything where it is not finite.
    pub range: (f64, f64),
    /// Columns of the screen.
    pub columns: usize,
}

/// Cuts all lines. Costs as much as the screen has columns, whatever their points.
pub fn cut(prepared: &[Prepared], twin: Option<Twin>, cut: &Cut) -> Vec<Drawn> {
    let ends = prepared.iter().filter_map(|line| line.curve.points.range());
    let whole = range(ends.flat_map(|(low, high)| [low, high])).unwrap_or((0.0, 1.0));
    let seen = if cut.range.0.is_finite() && cut.range.1.is_finite() { cut.range } else { whole };
    let place = |side: Side, mut segments: Vec<Segment>| {
        if let (Side::Right, Some(twin)) = (side, twin) {
            segments.iter_mut().flatten().for_each(|point| point[1] = twin.to_left(point[1]));
        }
        segments
    };
    let lines = prepared.iter().enumerate().map(|(index, line)| {
        let curve = &line.curve;
        let cut = |values| place(line.side, pyramid::cut(&curve.points, values, seen, cut.columns));
        Drawn {
            prepared: index,
            line: cut(curve.values()),
            faint: curve.smoothed.as_ref().map_or_else(Vec::new, |_| cut(&curve.raw)),
        }
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::prepared::Curve;
    use super::*;

    fn prepared(values: &[f64], side: Side) -> Prepared {
        Prepared { line: 0, side, curve: Arc::new(Curve::for_tests(values)) }
    }

    #[test]
    fn both_axes_fill_the_same_height() {
        let lines = [prepared(&[4.0, 2.0], Side::Left), prepared(&[0.5, 0.75], Side::Right)];
        let twin = Twin::of(&lines, true).expect("both");
        assert_eq!((twin.to_left(0.5), twin.to_left(0.75), twin.to_right(3.0)), (2.0, 4.0, 0.625));
        let all = Cut { generation: 0, range: (f64::NAN, f64::NAN), columns: 100 };
        let drawn = cut(&lines, Some(twin), &all);
        assert_eq!(drawn[1].line, [vec![[0.0, 2.0], [1.0, 4.0]]]);
        assert_eq!(Twin::of(&lines[..1], true), None);
    }

    #[test]
    fn round_places_on_the_left_are_round_on_the_right() {
        let lines = [prepared(&[4.0, 2.0], Side::Left), prepared(&[0.5, 0.75], Side::Right)];
        let twin = Twin::of(&lines, false).expect("both");
        for (left, right) in [(2.0, 0.4), (3.0, 0.6), (4.0, 0.8)] {
            assert!((twin.to_right(left) - right).abs() < 1e-12, "{left} is {}", twin.to_right(left));
        }
    }
}
