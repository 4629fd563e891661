//! The numbers of a tensor or group that tables show and sort by, and the properties by which tensors are found.

use crate::analysis::Statistics;

/// A number of a tensor or group that tables can show and sort by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[expect(missing_docs, reason = "each is the statistic it is named after")]
pub enum Statistic {
    Min,
    Max,
    Mean,
    Std,
    L2,
    Zeros,
    NonFinite,
    Skewness,
    Kurtosis,
    L1,
}

impl Statistic {
    /// All, in the order in which tables show them.
    pub const ALL: [Self; 10] = [
        Self::Min,
        Self::Max,
        Self::Mean,
        Self::Std,
        Self::L2,
        Self::Zeros,
        Self::NonFinite,
        Self::Skewness,
        Self::Kurtosis,
        Self::L1,
    ];

    /// Head of its column.
    pub fn label(self) -> &'static str {
        match self {
            Self::Min => "Min",
            Self::Max => "Max",
            Self::Mean => "Mean",
            Self::Std => "Std",
            Self::L2 => "L2 norm",
            Self::Zeros => "Zeros",
            Self::NonFinite => "NaN / Inf",
            Self::Skewness => "Skewness",
            Self::Kurtosis => "Kurtosis",
            Self::L1 => "L1 norm",
        }
    }

    /// Whether it is a number of elements.
    pub fn is_count(self) -> bool {
        matches!(self, Self::Zeros | Self::NonFinite)
    }

    /// Its value for one tensor.
    pub fn of(self, statistics: &Statistics) -> Option<f64> {
        let some = statistics.finite > 0;
        match self {
            Self::Min => statistics.min,
            Self::Max => statistics.max,
            Self::Mean => statistics.mean,
            Self::Std => statistics.std,
            Self::L2 => some.then_some(statistics.l2),
            Self::L1 => some.then_some(statistics.l1),
            Self::Zeros => Some(statistics.zeros as f64),
            Self::NonFinite => Some(non_finite(statistics) as f64),
            Self::Skewness => statistics.skewness,
            Self::Kurtosis => statistics.kurtosis,
        }
    }
}

/// NaN and infinite elements.
pub fn non_finite(statistics: &Statistics) -> u64 {
    statistics.nan + statistics.infinite()
}

/// A property of values by which tensors are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ValueFacet {
    /// At least one NaN.
    Nan,
    /// At least one infinite value.
    Infinite,
    /// Nothing but zeros.
    AllZero,
    /// One value throughout, and not zero.
    Constant,
    /// Could not be read.
    Unreadable,
}

impl ValueFacet {
    /// All, the most alarming first.
    pub const ALL: [Self; 5] = [Self::Nan, Self::Infinite, Self::Unreadable, Self::AllZero, Self::Constant];

    /// What the filter calls it.
    pub fn label(self) -> &'static str {
        match self {
            Self::Nan => "has NaN",
            Self::Infinite => "has Inf",
            Self::AllZero => "all zero",
            Self::Constant => "constant",
            Self::Unreadable => "unreadable",
        }
    }

    /// Whether a tensor has it.
    pub fn matches(self, statistics: &Statistics) -> bool {
        match self {
            Self::Nan => statistics.nan > 0,
            Self::Infinite => statistics.infinite() > 0,
            Self::AllZero => statistics.is_all_zero(),
            Self::Constant => statistics.count > 1 && statistics.is_constant() && !statistics.is_all_zero(),
            Self::Unreadable => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::statistics;
    use super::*;

    #[test]
    fn properties_of_values_are_told_apart() {
        let has = |values: &[f32]| {
            let statistics = statistics(values);
            ValueFacet::ALL.into_iter().filter(|facet| facet.matches(&statistics)).collect::<Vec<_>>()
        };
        assert_eq!(has(&[0.0, 0.0]), [ValueFacet::AllZero]);
        assert_eq!(has(&[2.0, 2.0]), [ValueFacet::Constant]);
        assert_eq!(has(&[f32::NAN, f32::INFINITY]), [ValueFacet::Nan, ValueFacet::Infinite]);
        assert_eq!(has(&[]), []);
        assert_eq!(has(&[1.0, 0.0]), []);
    }
}
