//! The charts of a pair: both histograms over the same bins, and the sizes of the differences.

use std::sync::Arc;

use crate::analysis::diff::ValueDiff;
use crate::analysis::{Histogram, Scale, ValueTable};
use crate::jobs::Looked;
use crate::state::chart::{Axis, Chart, Marks, log_count, short_count};
use crate::state::{Clip, Settings, ValueScale};
use crate::text;

/// Bins of the differences; even, so that zero is an edge.
const DELTA_BINS: usize = 64;

/// Everything that a histogram depends on beside the values.
type Options = (usize, bool, ValueScale, Clip);

fn options(settings: &Settings) -> Options {
    (settings.histogram_bins, settings.histogram_log, settings.histogram_scale, settings.histogram_clip)
}

/// Histograms of both sides over the same bins.
pub(super) struct Both {
    made_from: (Arc<Looked>, Options),
    histograms: [Histogram; 2],
    pub chart: Chart,
}

impl Both {
    /// `None` where neither side has a finite number.
    pub fn new(looked: &Arc<Looked>, settings: &Settings) -> Option<Self> {
        let Looked::Both(both) = &**looked else { return None };
        let [left, right] = &**both;
        let (bins, log, scale, clip) = options(settings);
        let ranges = [range(&left.values, clip), range(&right.values, clip)];
        let known = || ranges.iter().flatten();
        let mut lo = known().map(|range| range.0).reduce(f64::min)?;
        let mut hi = known().map(|range| range.1).reduce(f64::max)?;
        if lo == hi {
            // All values equal: one bar of its own.
            let half = if lo == 0.0 { 0.5 } else { lo.abs() * 0.5 };
            (lo, hi) = (lo - half, hi + half);
        }
        let scale = match scale {
            ValueScale::Linear => Scale::Linear,
            ValueScale::Symlog => Scale::symlog_of(&left.values),
        };
        let histograms = [&left.values, &right.values].map(|values| values.histogram_on(scale, lo, hi, bins));
        let top = histograms.iter().flat_map(|histogram| &histogram.counts).copied().max().unwrap_or(0);
        let heights =
            |histogram: &Histogram| histogram.counts.iter().map(|&count| height(count, log)).collect();
        let chart = Chart {
            title: "Histograms of both sides".to_owned(),
            x: Axis::on_scale(scale, lo, hi),
            y: if log { Axis::log_counts(top) } else { Axis::from_zero(top as f64, short_count) },
            marks: Marks::Overlaid(heights(&histograms[0]), heights(&histograms[1])),
            rules: Vec::new(),
        };
        Some(Self { made_from: (looked.clone(), options(settings)), histograms, chart })
    }

    /// Whether it shows just that.
    pub fn is_of(&self, looked: &Arc<Looked>, settings: &Settings) -> bool {
        Arc::ptr_eq(&self.made_from.0, looked) && self.made_from.1 == options(settings)
    }

    /// What is in a bin.
    pub fn note(&self, bin: usize) -> String {
        let [left, right] = &self.histograms;
        let (from, to) = left.edges(bin);
        let count = |histogram: &Histogram| text::count(histogram.counts.get(bin).copied().unwrap_or(0));
        format!("{} … {}\nleft {}\nright {}", text::number(from), text::number(to), count(left), count(right))
    }
}

fn range(values: &ValueTable, clip: Clip) -> Option<(f64, f64)> {
    let whole = values.range()?;
    let inner = clip.tail().and_then(|tail| values.quantile(tail).zip(values.quantile(1.0 - tail)));
    Some(inner.filter(|(low, high)| low < high).unwrap_or(whole))
}

fn height(count: u64, log: bool) -> f64 {
    if log { log_count(count) } else { count as f64 }
}

/// A histogram of the differences.
pub(super) struct Deltas {
    made_from: (bool, bool),
    limit: f64,
    counts: Vec<u64>,
    /// `None` where the sizes are not known, or there is one only.
    pub chart: Option<Chart>,
}

impl Deltas {
    /// `is_whole`: whether the comparison is complete, before which the sizes may be missing.
    pub fn new(values: &ValueDiff, log: bool, is_whole: bool) -> Self {
        let limit = values.max_abs;
        let counts = values.deltas.histogram(limit, DELTA_BINS);
        let top = counts.iter().copied().max().unwrap_or(0);
        let chart = (values.deltas.total() > 1 && top > 0).then(|| {
            let heights = |counts: &[u64]| counts.iter().map(|&count| height(count, log)).collect();
            let (minus, plus) = counts.split_at(DELTA_BINS / 2);
            Chart {
                title: "Histogram of the differences".to_owned(),
                x: Axis::between(-limit, limit, 4.5),
                y: if log { Axis::log_counts(top) } else { Axis::from_zero(top as f64, short_count) },
                marks: Marks::Signed(heights(minus), heights(plus)),
                rules: Vec::new(),
            }
        });
        Self { made_from: (log, is_whole), limit, counts, chart }
    }

    /// Whether it shows just that.
    pub fn is_of(&self, log: bool, is_whole: bool) -> bool {
        self.made_from == (log, is_whole)
    }

    /// What is in a bin.
    pub fn note(&self, bin: usize) -> String {
        let edge = |bin: usize| (bin as f64 / DELTA_BINS as f64 * 2.0 - 1.0) * self.limit;
        let count = self.counts.get(bin).copied().unwrap_or(0);
        format!(
            "{} … {}\n{} values",
            text::number(edge(bin)),
            text::number(edge(bin + 1)),
            text::count(count)
        )
    }
}
