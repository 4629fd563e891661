//! Logged histograms made ready for a ridgeline: the same bins for every step, and no more steps than can be told apart.
//!
//! Counts are spread evenly over their buckets, as TensorBoard does when it lays histograms of different buckets over
//! each other. Buckets whose limits or counts are no numbers are left out and counted; nothing else is dropped.

use crate::model::{Cancelled, HistogramSeries, LoggedBucket, Progress};

/// Bins across. TensorBoard's writers make 30 buckets; finer bins would show the edges of those instead of the shape.
pub const BINS: usize = 60;

/// Steps that are drawn: more of them would hide each other.
pub const RIDGES: usize = 40;

/// One step.
#[derive(Debug, Clone, PartialEq)]
pub struct Ridge {
    /// Position in [`HistogramSeries::frames`].
    pub frame: usize,
    /// Its step.
    pub step: f64,
    /// Values in each bin.
    pub heights: Vec<f64>,
    /// The largest of them.
    pub highest: f64,
}

/// All steps that are drawn, in the order in which they were logged.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Ridges {
    /// The lower edge of the first bin.
    pub low: f64,
    /// The upper edge of the last one.
    pub high: f64,
    /// The largest height of any step.
    pub highest: f64,
    /// The steps.
    pub ridges: Vec<Ridge>,
    /// Steps that were logged.
    pub logged: usize,
    /// Buckets of the drawn steps whose limits or counts are no numbers.
    pub left_out: u64,
}

impl Ridges {
    /// Lays the steps of a series over the same bins. `progress` is asked between steps.
    pub fn of(series: &HistogramSeries, progress: &Progress) -> Result<Self, Cancelled> {
        let chosen = spread(series.frames.len(), RIDGES);
        let frames = || chosen.iter().filter_map(|&at| Some((at, series.frames.get(at)?)));
        let mut made = Self { logged: series.frames.len(), ..Self::default() };
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for (_, (_, buckets)) in frames() {
            progress.advance(0)?;
            for bucket in buckets {
                if !is_usable(bucket) {
                    made.left_out += 1;
                } else if bucket.count > 0.0 {
                    low = low.min(bucket.left);
                    high = high.max(bucket.right);
                }
            }
        }
        if low > high {
            return Ok(made);
        }
        // A single value has no width; one bin of some is needed to show it.
        if low == high {
            let around = if low == 0.0 { 0.5 } else { low.abs() * 0.5 };
            (low, high) = (low - around, high + around);
        }
        (made.low, made.high) = (low, high);
        for (frame, (step, buckets)) in frames() {
            progress.advance(0)?;
            let mut heights = vec![0.0; BINS];
            for bucket in buckets.iter().filter(|bucket| is_usable(bucket)) {
                spread_over(bucket, low, (high - low) / BINS as f64, &mut heights);
            }
            let highest = heights.iter().copied().fold(0.0, f64::max);
            made.highest = made.highest.max(highest);
            made.ridges.push(Ridge { frame, step: *step, heights, highest });
        }
        Ok(made)
    }

    /// The bin that holds a value; `None` outside.
    pub fn bin_at(&self, value: f64) -> Option<usize> {
        let share = (value - self.low) / (self.high - self.low);
        (0.0..=1.0).contains(&share).then(|| ((share * BINS as f64) as usize).min(BINS - 1))
    }
}

/// The logged bucket of a step that holds a value; buckets that do not ascend are not searched.
pub fn bucket_at(buckets: &[LoggedBucket], value: f64) -> Option<&LoggedBucket> {
    let at = buckets.partition_point(|bucket| bucket.right < value);
    buckets.get(at).filter(|bucket| (bucket.left..=bucket.right).contains(&value))
}

/// The largest edges whose distance is still a number.
const EDGE: f64 = f64::MAX / 4.0;

fn is_usable(bucket: &LoggedBucket) -> bool {
    let is_edge = |edge: f64| edge.abs() <= EDGE;
    is_edge(bucket.left)
        && is_edge(bucket.right)
        && bucket.left <= bucket.right
        && bucket.count.is_finite()
        && bucket.count >= 0.0
}

/// Adds a bucket's count to the bins that it lies over, each its share.
fn spread_over(bucket: &LoggedBucket, low: f64, width: f64, heights: &mut [f64]) {
    let last = heights.len().saturating_sub(1);
    let place = |edge: f64| ((edge - low) / width).clamp(0.0, heights.len() as f64);
    let (from, to) = (place(bucket.left), place(bucket.right));
    let (first, end) = ((from as usize).min(last), (to as usize).min(last));
    for (at, height) in heights.iter_mut().enumerate().take(end + 1).skip(first) {
        let share = if to > from {
            (to.min(at as f64 + 1.0) - from.max(at as f64)) / (to - from)
        } else {
            f64::from(u8::from(at == first))
        };
        *height += bucket.count * share.max(0.0);
    }
}

/// At most `most` of `count` positions, evenly, with the first and the last.
fn spread(count: usize, most: usize) -> Vec<usize> {
    if count <= most {
        return (0..count).collect();
    }
    (0..most).map(|at| at * (count - 1) / (most - 1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A step with its buckets.
    type Frame = (f64, Vec<(f64, f64, f64)>);

    fn series(frames: Vec<Frame>) -> HistogramSeries {
        let bucket = |(left, right, count)| LoggedBucket { left, right, count };
        let frames =
            frames.into_iter().map(|(step, buckets)| (step, buckets.into_iter().map(bucket).collect()));
        HistogramSeries {
            name: "weights".into(),
            run: String::new(),
            source: std::path::PathBuf::new(),
            frames: frames.collect(),
        }
    }

    fn made(frames: Vec<Frame>) -> Ridges {
        Ridges::of(&series(frames), &Progress::new()).expect("not cancelled")
    }

    #[test]
    fn counts_are_spread_over_the_same_bins_and_none_is_lost() {
        let ridges =
            made(vec![(0.0, vec![(-1.0, 0.0, 30.0), (0.0, 0.0, 5.0)]), (9.0, vec![(0.5, 2.0, 90.0)])]);
        assert_eq!((ridges.low, ridges.high), (-1.0, 2.0));
        let sums: Vec<f64> = ridges.ridges.iter().map(|ridge| ridge.heights.iter().sum()).collect();
        assert!((sums[0] - 35.0).abs() < 1e-9 && (sums[1] - 90.0).abs() < 1e-9, "{sums:?}");
        assert_eq!((ridges.bin_at(-1.0), ridges.bin_at(2.0), ridges.bin_at(2.1)), (Some(0), Some(59), None));
        assert!((ridges.ridges[1].heights[59] - 3.0).abs() < 1e-9);
    }

    #[test]
    fn buckets_that_are_no_numbers_are_counted_and_left_out() {
        let nan = f64::NAN;
        let ridges = made(vec![(
            1.0,
            vec![
                (nan, 1.0, 1.0),
                (0.0, f64::INFINITY, 1.0),
                (2.0, 1.0, 1.0),
                (0.0, 1.0, -4.0),
                (0.0, 1.0, 2.0),
            ],
        )]);
        assert_eq!((ridges.left_out, ridges.highest > 0.0), (4, true));
        let huge = made(vec![(1.0, vec![(-4e307, 4e307, 1.0)])]);
        assert!(huge.highest.is_finite() && huge.highest > 0.0);
        assert!(made(vec![(1.0, Vec::new())]).ridges.is_empty());
        let one = made(vec![(1.0, vec![(3.0, 3.0, 7.0)])]);
        assert_eq!((one.low, one.high, one.highest), (1.5, 4.5, 7.0));
    }

    #[test]
    fn many_steps_keep_the_first_and_the_last() {
        let ridges = made((0..1000).map(|step| (f64::from(step), vec![(0.0, 1.0, 1.0)])).collect());
        let steps: Vec<f64> = ridges.ridges.iter().map(|ridge| ridge.step).collect();
        assert_eq!((steps.len(), steps[0], steps[RIDGES - 1], ridges.logged), (RIDGES, 0.0, 999.0, 1000));
    }
}
