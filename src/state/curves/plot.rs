//! Lines cut to the screen: what a frame draws, and what stands under the pointer.

use super::lines::{Prepared, Side};
use crate::analysis::curves::{Segment, decimate};

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
    /// So that both axes fill the same height. `None` without lines on the right.
    pub fn of(prepared: &[Prepared]) -> Option<Self> {
        let on = |side: Side| {
            let lines = prepared.iter().filter(move |line| line.side == side);
            range(lines.flat_map(|line| line.values().iter().copied()))
        };
        let right = on(Side::Right)?;
        let left = on(Side::Left).unwrap_or((0.0, 1.0));
        let wide = |(low, high): (f64, f64)| if high > low { (low, high) } else { (low - 0.5, high + 0.5) };
        let (left, right) = (wide(left), wide(right));
        let scale = (left.1 - left.0) / (right.1 - right.0);
        Some(Self { offset: left.0 - right.0 * scale, scale })
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

/// Cuts all lines. Costs a pass over their points, so it is done when the cut changes.
pub fn cut(prepared: &[Prepared], twin: Option<Twin>, cut: &Cut) -> Vec<Drawn> {
    let whole = range(prepared.iter().flat_map(|line| line.xs.iter().copied())).unwrap_or((0.0, 1.0));
    let seen = if cut.range.0.is_finite() && cut.range.1.is_finite() { cut.range } else { whole };
    let place = |side: Side, mut segments: Vec<Segment>| {
        if let (Side::Right, Some(twin)) = (side, twin) {
            segments.iter_mut().flatten().for_each(|point| point[1] = twin.to_left(point[1]));
        }
        segments
    };
    let lines = prepared.iter().enumerate().map(|(index, line)| Drawn {
        prepared: index,
        line: place(line.side, decimate(&line.xs, line.values(), seen, cut.columns)),
        faint: if line.smoothed.is_empty() {
            Vec::new()
        } else {
            place(line.side, decimate(&line.xs, &line.raw, seen, cut.columns))
        },
    });
    lines.collect()
}

/// The position of the point nearest to `x`. Looks at few points where x only grows, else at all.
pub fn nearest(xs: &[f64], x: f64) -> Option<usize> {
    let at = xs.partition_point(|other| *other < x);
    let near = [at.checked_sub(1), Some(at)].into_iter().flatten().filter(|&index| index < xs.len());
    near.filter(|&index| xs[index].is_finite())
        .min_by(|&a, &b| (xs[a] - x).abs().total_cmp(&(xs[b] - x).abs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prepared(values: &[f64], side: Side) -> Prepared {
        let xs = (0..values.len()).map(|x| x as f64).collect();
        Prepared { line: 0, xs, raw: values.to_vec(), smoothed: Vec::new(), side, marked: false }
    }

    #[test]
    fn both_axes_fill_the_same_height() {
        let lines = [prepared(&[4.0, 2.0], Side::Left), prepared(&[0.5, 0.75], Side::Right)];
        let twin = Twin::of(&lines).expect("both");
        assert_eq!((twin.to_left(0.5), twin.to_left(0.75), twin.to_right(3.0)), (2.0, 4.0, 0.625));
        let all = Cut { generation: 0, range: (f64::NAN, f64::NAN), columns: 100 };
        let drawn = cut(&lines, Some(twin), &all);
        assert_eq!(drawn[1].line, [vec![[0.0, 2.0], [1.0, 4.0]]]);
        assert_eq!(Twin::of(&lines[..1]), None);
    }

    #[test]
    fn the_point_under_the_pointer_is_the_nearest_one() {
        assert_eq!(nearest(&[0.0, 10.0, 20.0], 14.0), Some(1));
        assert_eq!(nearest(&[0.0, 10.0, 20.0], 99.0), Some(2));
        assert_eq!(nearest(&[], 1.0), None);
    }
}
