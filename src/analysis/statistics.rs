//! What is known of a tensor's or a group's values once they were all seen.

use super::ValueTable;
use super::moments::Moments;

/// Statistics of a tensor's or a group's values.
///
/// `min` … `kurtosis`, `l1` and `l2` are over the finite values, in `f64`; `None` where there is none.
/// Complex values count by their magnitude; [`Self::parts`] has their real and imaginary parts.
/// Quantised types count by their stored integers, integers beyond 2^53 by the nearest `f64`.
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
    /// Elements that are not zero but smaller than the smallest normal number of their type. 0 for integers.
    pub denormals: u64,
    /// Elements at plus or minus the largest finite number of their type; `None` for types of more than 16 bits,
    /// `bfloat16` and integers, where a value there by conversion is not to be expected.
    pub saturated: Option<u64>,
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
    /// How many different finite values there are.
    pub distinct: Distinct,
    /// Values below which certain fractions lie; `None` where there is no finite value.
    pub quantiles: Option<Quantiles>,
    /// Of complex types: the real and the imaginary parts.
    pub parts: Option<Box<[PartStatistics; 2]>>,
}

impl Statistics {
    /// Largest magnitude among the finite values.
    pub fn max_abs(&self) -> Option<f64> {
        Some(self.min?.abs().max(self.max?.abs()))
    }

    /// Elements of +∞ and −∞.
    pub fn infinite(&self) -> u64 {
        self.positive_infinity + self.negative_infinity
    }

    /// Whether there are elements and all are zero.
    pub fn is_all_zero(&self) -> bool {
        self.count > 0 && self.zeros == self.count
    }

    /// Whether there are elements, all finite and of one value.
    pub fn is_constant(&self) -> bool {
        self.count > 0 && self.finite == self.count && self.min == self.max
    }

    /// Puts together what was gathered. `exact`: every bucket of the table is one value.
    pub(super) fn new(moments: &Moments, table: &ValueTable) -> Self {
        let occupied = table.buckets.len() as u64;
        let exact = table.buckets.iter().all(|&(low, high, _)| low == high);
        Self {
            distinct: if exact { Distinct::Exactly(occupied) } else { Distinct::AtLeast(occupied) },
            quantiles: Quantiles::of(table),
            ..moments.statistics()
        }
    }
}

/// The real or the imaginary parts of complex values, over the finite ones.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PartStatistics {
    /// Smallest.
    pub min: f64,
    /// Largest.
    pub max: f64,
    /// Arithmetic mean.
    pub mean: f64,
    /// Standard deviation with divisor n.
    pub std: f64,
}

/// How many different values there are, as far as the table of buckets tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Distinct {
    /// This many: types of at most 16 bits, small tensors.
    Exactly(u64),
    /// As many buckets have a value; one bucket may hold several values.
    AtLeast(u64),
}

impl Distinct {
    /// The number, whether exact or a lower bound.
    pub fn count(self) -> u64 {
        match self {
            Self::Exactly(count) | Self::AtLeast(count) => count,
        }
    }
}

impl Default for Distinct {
    fn default() -> Self {
        Self::Exactly(0)
    }
}

/// Values below which certain fractions of the finite elements lie; see [`ValueTable::quantile`] for how exact they are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quantiles {
    /// In the order of [`Self::FRACTIONS`].
    pub values: [f64; 7],
}

impl Quantiles {
    /// The fractions.
    pub const FRACTIONS: [f64; 7] = [0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99];

    /// From a table; `None` where it is empty.
    pub fn of(table: &ValueTable) -> Option<Self> {
        Some(Self { values: table.quantiles(Self::FRACTIONS)? })
    }

    /// The middle value.
    pub fn median(&self) -> f64 {
        self.values[3]
    }
}
