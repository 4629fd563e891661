//! Points of a line, prepared so that cutting it to the screen looks at as many of them as the screen has columns.
//!
//! [`Points`] knows where x only grows, so that a range of x is found by halving; [`Pyramid`] knows the lowest and the highest
//! point of blocks of points, and of blocks of those. Making both is one pass; whoever draws then asks per column.

use std::ops::Range;

use super::curves::{Segment, decimate};
use crate::model::{Cancelled, Progress};

/// Places of points across, and the parts within which they only grow.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Points {
    xs: Vec<f64>,
    parts: Vec<Range<usize>>,
}

/// Parts of a long line that are kept apart. With more of them (a count that begins anew in each epoch) drawing every part
/// would cost more than the screen shows: the points are then drawn in the order of x, as a band.
const PARTS: usize = 32;

/// Lines with fewer points are drawn as they are, whatever their parts.
const SHORT: usize = 20_000;

/// Points between two questions whether to stop.
const PORTION: usize = 1 << 16;

impl Points {
    /// Takes points; those whose x is not finite are left out of both. Returns also the order in which values are kept, as
    /// positions in `xs`, where it differs from theirs.
    pub fn new(xs: Vec<f64>, progress: &Progress) -> Result<(Self, Option<Vec<u32>>), Cancelled> {
        progress.advance(0)?;
        let mut kept = None;
        let mut xs = xs;
        if xs.iter().any(|x| !x.is_finite()) {
            let order: Vec<u32> =
                (0u32..).zip(&xs).filter(|(_, x)| x.is_finite()).map(|(at, _)| at).collect();
            xs = order.iter().filter_map(|&at| xs.get(at as usize).copied()).collect();
            kept = Some(order);
        }
        progress.advance(0)?;
        let mut parts = parts(&xs);
        if parts.len() > PARTS && xs.len() > SHORT {
            let mut order: Vec<u32> = (0u32..).take(xs.len()).collect();
            order.sort_by(|&a, &b| at(&xs, a as usize).total_cmp(&at(&xs, b as usize)));
            xs = order.iter().map(|&index| at(&xs, index as usize)).collect();
            kept = Some(match kept {
                Some(kept) => order.iter().filter_map(|&index| kept.get(index as usize).copied()).collect(),
                None => order,
            });
            parts.truncate(1);
            if let Some(whole) = parts.first_mut() {
                *whole = 0..xs.len();
            }
        }
        Ok((Self { xs, parts }, kept))
    }

    /// Places of the points.
    pub fn xs(&self) -> &[f64] {
        &self.xs
    }

    /// The least and the largest x; `None` without points.
    pub fn range(&self) -> Option<(f64, f64)> {
        let low = self.parts.iter().filter_map(|part| self.xs.get(part.start)).copied().reduce(f64::min)?;
        let high =
            self.parts.iter().filter_map(|part| self.xs.get(part.end - 1)).copied().reduce(f64::max)?;
        Some((low, high))
    }

    /// The position of the point nearest to `x`; of equally near ones the later.
    pub fn nearest(&self, x: f64) -> Option<usize> {
        let near = self.parts.iter().flat_map(|part| {
            let after = self.position(part, |other| other < x);
            [after.checked_sub(1), Some(after)].into_iter().flatten().filter(|index| part.contains(index))
        });
        near.rev().min_by(|&a, &b| (at(&self.xs, a) - x).abs().total_cmp(&(at(&self.xs, b) - x).abs()))
    }

    /// The first position in a part for which `is_before` does not hold.
    fn position(&self, part: &Range<usize>, is_before: impl Fn(f64) -> bool) -> usize {
        let xs = self.xs.get(part.clone()).unwrap_or_default();
        part.start + xs.partition_point(|&x| is_before(x))
    }
}

/// Ranges of positions in which x does not turn back.
fn parts(xs: &[f64]) -> Vec<Range<usize>> {
    let mut parts = Vec::new();
    let mut start = 0;
    for (position, pair) in xs.windows(2).enumerate() {
        if pair[1] < pair[0] {
            parts.push(start..position + 1);
            start = position + 1;
        }
    }
    if start < xs.len() {
        parts.push(start..xs.len());
    }
    parts
}

fn at(values: &[f64], position: usize) -> f64 {
    values.get(position).copied().unwrap_or(f64::NAN)
}

/// Points of a block on the lowest level.
const BLOCK: usize = 32;
/// Blocks of a block of the next level.
const FACTOR: usize = 8;

/// Positions of the lowest and the highest value; `None` in a block without a finite one.
type Extremes = Option<(u32, u32)>;

/// Values, and the lowest and highest of every block of them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Pyramid {
    values: Vec<f64>,
    levels: Vec<Vec<Extremes>>,
}

impl Pyramid {
    /// Over values; NaN and infinite ones are gaps.
    pub fn new(values: Vec<f64>, progress: &Progress) -> Result<Self, Cancelled> {
        let mut made = Self { values, levels: Vec::new() };
        let mut level: Vec<Extremes> = Vec::with_capacity(made.values.len() / BLOCK + 1);
        for start in (0..made.values.len()).step_by(BLOCK) {
            if start % PORTION == 0 {
                progress.advance(0)?;
            }
            level.push(made.scan(start..(start + BLOCK).min(made.values.len()), None));
        }
        while level.len() > FACTOR {
            let next = level
                .chunks(FACTOR)
                .map(|blocks| blocks.iter().fold(None, |so_far, block| made.join(so_far, *block)))
                .collect();
            made.levels.push(std::mem::replace(&mut level, next));
        }
        made.levels.push(level);
        Ok(made)
    }

    /// The values.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// The lowest and the highest value; `None` where none is finite.
    pub fn range(&self) -> Option<(f64, f64)> {
        let (low, high) = self.extremes(0..self.values.len())?;
        Some((at(&self.values, low as usize), at(&self.values, high as usize)))
    }

    fn join(&self, a: Extremes, b: Extremes) -> Extremes {
        let (Some((low, high)), Some((other_low, other_high))) = (a, b) else { return a.or(b) };
        let value = |position: u32| at(&self.values, position as usize);
        Some((
            if value(other_low) < value(low) { other_low } else { low },
            if value(other_high) > value(high) { other_high } else { high },
        ))
    }

    fn scan(&self, range: Range<usize>, so_far: Extremes) -> Extremes {
        let values = self.values.get(range.clone()).unwrap_or_default();
        let (mut least, mut most) = (f64::INFINITY, f64::NEG_INFINITY);
        let mut found = None;
        for (position, &value) in range.zip(values) {
            if value.is_finite() && (value < least || value > most) {
                let (low, high) = found.unwrap_or((position as u32, position as u32));
                found = Some((
                    if value < least { position as u32 } else { low },
                    if value > most { position as u32 } else { high },
                ));
                (least, most) = (least.min(value), most.max(value));
            }
        }
        self.join(so_far, found)
    }

    /// Positions of the lowest and the highest value in a range of positions. Looks at few points and blocks of each level.
    fn extremes(&self, range: Range<usize>) -> Extremes {
        let (mut from, mut to) = (range.start.div_ceil(BLOCK), range.end / BLOCK);
        if from >= to {
            return self.scan(range, None);
        }
        let mut found = self.scan(range.start..from * BLOCK, None);
        found = self.scan(to * BLOCK..range.end, found);
        for (index, level) in self.levels.iter().enumerate() {
            let (inner_from, inner_to) = (from.div_ceil(FACTOR), to / FACTOR);
            if index + 1 == self.levels.len() || inner_from >= inner_to {
                let rest = level.get(from..to).unwrap_or_default();
                return rest.iter().fold(found, |so_far, block| self.join(so_far, *block));
            }
            let sides = [from..inner_from * FACTOR, inner_to * FACTOR..to];
            for block in sides.into_iter().flat_map(|side| level.get(side).unwrap_or_default()) {
                found = self.join(found, *block);
            }
            (from, to) = (inner_from, inner_to);
        }
        found
    }
}

/// The points within `range` of x, as [`decimate`] gives them, at the cost of the columns instead of the points.
///
/// Where columns hold many points, the extremes of each stand in its middle, so that a dense line is an even band, and a gap
/// that is narrower than a column does not break the line.
pub fn cut(points: &Points, values: &Pyramid, range: (f64, f64), columns: usize) -> Vec<Segment> {
    let mut segments = Vec::new();
    for part in &points.parts {
        let inside = points.position(part, |x| x < range.0)..points.position(part, |x| x <= range.1);
        // One more on either side, where the line leaves the picture.
        let seen = inside.start.saturating_sub(1).max(part.start)..(inside.end + 1).min(part.end);
        if inside.len() <= 4 * columns {
            let xs = points.xs.get(seen.clone()).unwrap_or_default();
            segments.extend(decimate(xs, values.values.get(seen).unwrap_or_default(), range, columns));
        } else {
            columns_of(points, values, &seen, &inside, range, columns, &mut segments);
        }
    }
    segments
}

fn columns_of(
    points: &Points,
    values: &Pyramid,
    seen: &Range<usize>,
    inside: &Range<usize>,
    (low, high): (f64, f64),
    columns: usize,
    segments: &mut Vec<Segment>,
) {
    let is_gap = |position: usize| !at(&values.values, position).is_finite();
    let point = |position: usize| [at(&points.xs, position), at(&values.values, position)];
    let mut line: Segment = Vec::new();
    let end = |line: &mut Segment, segments: &mut Vec<Segment>| {
        if !line.is_empty() {
            segments.push(std::mem::take(line));
        }
    };
    if seen.start < inside.start && !is_gap(seen.start) {
        line.push(point(seen.start));
    }
    let width = (high - low) / columns as f64;
    let mut start = inside.start;
    for column in 1..=columns {
        let edge = low + width * column as f64;
        let to =
            if column == columns { inside.end } else { points.position(&(start..inside.end), |x| x < edge) };
        let own = start..to;
        start = to;
        if own.is_empty() {
            continue;
        }
        if is_gap(own.start) {
            end(&mut line, segments);
        }
        let Some((lowest, highest)) = values.extremes(own.clone()) else {
            end(&mut line, segments);
            continue;
        };
        let middle = edge - width / 2.0;
        let mut extremes = [lowest as usize, highest as usize];
        extremes.sort_unstable();
        let extremes = extremes.map(|position| [middle, at(&values.values, position)]);
        let ends = [own.start, own.end - 1].map(|position| (!is_gap(position)).then(|| point(position)));
        for point in ends[0].into_iter().chain(extremes).chain(ends[1]) {
            if line.last() != Some(&point) {
                line.push(point);
            }
        }
        if is_gap(own.end - 1) {
            end(&mut line, segments);
        }
    }
    if inside.end < seen.end && !is_gap(inside.end) {
        line.push(point(inside.end));
    }
    end(&mut line, segments);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(xs: Vec<f64>, values: Vec<f64>) -> (Points, Pyramid) {
        let progress = Progress::new();
        let (points, order) = Points::new(xs, &progress).expect("not cancelled");
        let values = match order {
            Some(order) => order.iter().map(|&position| values[position as usize]).collect(),
            None => values,
        };
        (points, Pyramid::new(values, &progress).expect("not cancelled"))
    }

    /// Numbers without a pattern, the same each time.
    fn noise(count: usize) -> Vec<f64> {
        let mut state = 1u64;
        let next = |_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as f64 / f64::from(1u32 << 31)
        };
        (0..count).map(next).collect()
    }

    #[test]
    fn extremes_of_any_range_are_those_of_its_values() {
        let mut values = noise(20_011);
        for position in (0..values.len()).step_by(7) {
            values[position] = f64::NAN;
        }
        values[5000..6000].fill(f64::NAN);
        let (_, pyramid) = line((0..values.len()).map(|x| x as f64).collect(), values.clone());
        let edges = [0, 1, 31, 32, 33, 255, 256, 4999, 5003, 5990, 8191, 8192, 20_010, 20_011];
        for from in edges {
            for to in edges.into_iter().filter(|to| *to > from) {
                let finite = || values[from..to].iter().copied().filter(|value| value.is_finite());
                let expected = finite().next().map(|_| {
                    (finite().fold(f64::INFINITY, f64::min), finite().fold(f64::NEG_INFINITY, f64::max))
                });
                let found = pyramid.extremes(from..to);
                let found = found.map(|(low, high)| (values[low as usize], values[high as usize]));
                assert_eq!(found, expected, "{from}..{to}");
            }
        }
    }

    #[test]
    fn a_long_line_is_cut_as_a_pass_over_all_its_points_cuts_it() {
        let values = noise(50_000);
        let xs: Vec<f64> = (0..50_000).map(f64::from).collect();
        let (points, pyramid) = line(xs.clone(), values.clone());
        for range in [(0.0, 49_999.0), (100.5, 20_000.0), (49_000.0, 60_000.0)] {
            let (cut, whole) = (cut(&points, &pyramid, range, 300), decimate(&xs, &values, range, 300));
            assert_eq!(cut.len(), whole.len());
            // The heights are the same; what is an end of its column and an extreme is drawn twice.
            let heights = |segment: &Segment| {
                let mut heights: Vec<f64> = segment.iter().map(|point| point[1]).collect();
                heights.dedup();
                heights
            };
            assert_eq!(heights(&cut[0]), heights(&whole[0]), "{range:?}");
        }
    }

    #[test]
    fn a_wide_gap_breaks_a_long_line_and_restarts_begin_lines_of_their_own() {
        let mut values = noise(50_000);
        values[20_000..30_000].fill(f64::NAN);
        let mut xs: Vec<f64> = (0..50_000).map(f64::from).collect();
        let (points, pyramid) = line(xs.clone(), values.clone());
        assert_eq!(cut(&points, &pyramid, (0.0, 49_999.0), 300).len(), 2);
        xs[40_000..].iter_mut().for_each(|x| *x -= 25_000.0);
        let (points, pyramid) = line(xs, values);
        assert_eq!((points.range(), points.nearest(15_001.2)), (Some((0.0, 39_999.0)), Some(40_001)));
        assert_eq!(cut(&points, &pyramid, (0.0, 39_999.0), 300).len(), 3);
    }

    #[test]
    fn a_count_that_begins_anew_very_often_is_drawn_as_a_band() {
        let xs: Vec<f64> = (0..100_000).map(|step| f64::from(step % 100)).collect();
        let mut values = noise(100_000);
        values[77_777] = 9.0;
        let (points, pyramid) = line(xs, values);
        let segments = cut(&points, &pyramid, (0.0, 99.0), 50);
        assert_eq!(segments.len(), 1);
        let highest = segments[0].iter().copied().max_by(|a, b| a[1].total_cmp(&b[1])).expect("points");
        assert!(segments[0].len() <= 200 && highest[1] == 9.0 && (highest[0] - 77.0).abs() < 2.0);
    }

    #[test]
    fn points_without_a_place_are_left_out() {
        let (points, pyramid) = line(vec![0.0, f64::NAN, 2.0], vec![5.0, 6.0, 7.0]);
        assert_eq!((points.xs(), pyramid.values()), (&[0.0, 2.0][..], &[5.0, 7.0][..]));
        assert_eq!((pyramid.range(), points.nearest(1.4)), (Some((5.0, 7.0)), Some(1)));
        assert_eq!(Points::default().nearest(0.0), None);
    }
}
