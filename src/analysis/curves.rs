//! What is done to points before they are drawn: smoothing, relative time, and no more points than the screen has columns.
//!
//! NaN and infinite values are gaps: smoothing passes over them and leaves them in their place, decimation keeps the break.

/// Smooths values exponentially: `weight` from 0 (none) to below 1 is the share of what was before.
///
/// Debiased as TensorBoard does, so that the first points are not drawn towards zero: each is divided by
/// `1 − weight^n`. Source: `_vz_line_chart2` in TensorBoard 2.16,
/// <https://github.com/tensorflow/tensorboard/blob/2.16.2/tensorboard/components/vz_line_chart2/line-chart.ts> (`resmoothDataset`).
/// A series whose finite values are all the same is returned as it is.
pub fn smooth(values: &[f64], weight: f64) -> Vec<f64> {
    let weight = if weight.is_finite() { weight.clamp(0.0, 0.9999) } else { 0.0 };
    let mut finite = values.iter().filter(|value| value.is_finite());
    let first = finite.next().copied().unwrap_or(0.0);
    if weight == 0.0 || finite.all(|&value| value == first) {
        return values.to_vec();
    }
    let (mut last, mut rest_of_bias) = (0.0, 1.0);
    let smoothed = values.iter().map(|&value| {
        if !value.is_finite() {
            return value;
        }
        last = last * weight + (1.0 - weight) * value;
        rest_of_bias *= weight;
        last / (1.0 - rest_of_bias)
    });
    smoothed.collect()
}

/// A drawn line: points between two gaps.
pub type Segment = Vec<[f64; 2]>;

/// The points within `range` of x, at most four for each of `columns`: the first, lowest, highest and last of each column,
/// so that no extreme is lost. A point beyond either end is kept where the line leaves the range.
///
/// The line breaks at values that are not finite and where x turns back (a restart). Points whose x is not finite are left
/// out. Costs one pass over the points.
pub fn decimate(xs: &[f64], values: &[f64], range: (f64, f64), columns: usize) -> Vec<Segment> {
    let (low, high) = range;
    let columns = columns.max(1);
    let width = (high - low) / columns as f64;
    let mut segments: Vec<Segment> = Vec::new();
    let mut line = Line { columns: columns as i64, ..Line::default() };
    let mut last_x = f64::NEG_INFINITY;
    for (&x, &value) in xs.iter().zip(values) {
        if !x.is_finite() {
            continue;
        }
        if !value.is_finite() || x < last_x {
            line.end(&mut segments);
        }
        last_x = x;
        if !value.is_finite() {
            continue;
        }
        let column = if x < low {
            -1
        } else if x > high {
            columns as i64
        } else if width > 0.0 {
            (((x - low) / width) as i64).min(columns as i64 - 1)
        } else {
            0
        };
        line.add(column, [x, value]);
    }
    line.end(&mut segments);
    segments
}

/// The line that is being drawn.
#[derive(Default)]
struct Line {
    /// Columns inside the range; -1 and this number are the sides of it.
    columns: i64,
    points: Segment,
    column: Option<i64>,
    first: [f64; 2],
    low: [f64; 2],
    high: [f64; 2],
    last: [f64; 2],
}

impl Line {
    fn add(&mut self, column: i64, point: [f64; 2]) {
        if self.column == Some(column) {
            if point[1] < self.low[1] {
                self.low = point;
            }
            if point[1] > self.high[1] {
                self.high = point;
            }
            self.last = point;
            return;
        }
        self.flush();
        self.column = Some(column);
        (self.first, self.low, self.high, self.last) = (point, point, point, point);
    }

    /// Adds what the column needs: outside of the range only the point next to it.
    fn flush(&mut self) {
        match self.column.take() {
            None => {}
            Some(-1) => self.points.push(self.last),
            Some(column) if column == self.columns => self.points.push(self.first),
            Some(_) => {
                let mut middle = [self.low, self.high];
                middle.sort_by(|a, b| a[0].total_cmp(&b[0]));
                for point in [self.first, middle[0], middle[1], self.last] {
                    if self.points.last() != Some(&point) {
                        self.points.push(point);
                    }
                }
            }
        }
    }

    fn end(&mut self, segments: &mut Vec<Segment>) {
        let is_inside = self.column.is_some_and(|column| column != -1 && column != self.columns);
        self.flush();
        let points = std::mem::take(&mut self.points);
        // A single point beside the range leads nowhere.
        if points.len() > 1 || (is_inside && !points.is_empty()) {
            segments.push(points);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smoothing_is_debiased_and_passes_over_gaps() {
        let smoothed = smooth(&[1.0, f64::NAN, 3.0], 0.5);
        assert_eq!(smoothed[0], 1.0);
        assert!(smoothed[1].is_nan());
        // (0.5·(0.5·1) + 0.5·3) / (1 − 0.25)
        assert!((smoothed[2] - 1.75 / 0.75).abs() < 1e-12);
        assert_eq!(smooth(&[2.0, 2.0, 2.0], 0.9), [2.0, 2.0, 2.0]);
        assert_eq!(smooth(&[2.0, 1.0], 0.0), [2.0, 1.0]);
    }

    #[test]
    fn decimation_keeps_every_extreme_and_bounds_the_points() {
        let xs: Vec<f64> = (0..100_000).map(f64::from).collect();
        let mut values = vec![1.0; xs.len()];
        (values[55_555], values[77_777]) = (9.0, -9.0);
        let segments = decimate(&xs, &values, (0.0, 99_999.0), 300);
        assert_eq!(segments.len(), 1);
        assert!(segments[0].len() <= 1200, "{}", segments[0].len());
        assert!(segments[0].contains(&[55_555.0, 9.0]) && segments[0].contains(&[77_777.0, -9.0]));
        assert_eq!((segments[0].first(), segments[0].last()), (Some(&[0.0, 1.0]), Some(&[99_999.0, 1.0])));
        assert!(segments[0].windows(2).all(|pair| pair[0][0] <= pair[1][0]));
    }

    #[test]
    fn lines_break_at_gaps_and_where_training_restarted() {
        let segments = decimate(&[0.0, 1.0, 2.0, 3.0], &[1.0, f64::NAN, 2.0, 3.0], (0.0, 3.0), 10);
        assert_eq!(segments, [vec![[0.0, 1.0]], vec![[2.0, 2.0], [3.0, 3.0]]]);
        let restarted = decimate(&[0.0, 1.0, 0.5, 2.0], &[4.0, 3.0, 2.0, 1.0], (0.0, 2.0), 10);
        assert_eq!(restarted, [vec![[0.0, 4.0], [1.0, 3.0]], vec![[0.5, 2.0], [2.0, 1.0]]]);
    }

    #[test]
    fn the_line_leaves_a_zoomed_range_on_both_sides() {
        let xs: Vec<f64> = (0..100).map(f64::from).collect();
        let segments = decimate(&xs, &xs, (40.5, 42.5), 10);
        assert_eq!(segments, [vec![[40.0, 40.0], [41.0, 41.0], [42.0, 42.0], [43.0, 43.0]]]);
    }
}
