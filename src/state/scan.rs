//! What a scan of a whole checkpoint has found so far: statistics per tensor, and summed up per group.

use std::collections::HashMap;

use crate::analysis::Statistics;
use crate::analysis::health::{self, Finding, Health, Rule};
use crate::analysis::scan::TensorStatistics;
use crate::jobs::{JobError, ScannedTensor};
use crate::model::{Checkpoint, Severity, TensorId};

use super::tree::Item;

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

/// How far a scan is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ScanStatus {
    /// Never asked for, or turned off.
    #[default]
    NotRequested,
    /// A job is at it.
    Running,
    /// Every tensor was looked at.
    Done,
    /// Stopped by hand; what was found stays.
    Stopped,
    /// A defect ended it.
    Failed(JobError),
}

/// Sums over a group's tensors, tied ones left out.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    finite: u64,
    non_finite: u64,
    zeros: u64,
    min: Option<f64>,
    max: Option<f64>,
    mean: f64,
    /// Sum of squared distances from the mean.
    spread: f64,
    l1: f64,
    squares: f64,
}

impl Sums {
    fn add(&mut self, statistics: &Statistics) {
        let (old, new) = (self.finite as f64, statistics.finite as f64);
        if let (Some(mean), true) = (statistics.mean, new > 0.0) {
            // Chan's merge of two means and spreads.
            let (all, distance) = (old + new, mean - self.mean);
            self.mean += distance * new / all;
            let own = statistics.std.unwrap_or(0.0).powi(2) * new;
            self.spread += own + distance * distance * old * new / all;
        }
        self.finite += statistics.finite;
        self.non_finite += non_finite(statistics);
        self.zeros += statistics.zeros;
        self.min = least(self.min, statistics.min, f64::min);
        self.max = least(self.max, statistics.max, f64::max);
        self.l1 += statistics.l1;
        self.squares += statistics.l2 * statistics.l2;
    }

    fn value(&self, statistic: Statistic) -> Option<f64> {
        let some = self.finite > 0;
        match statistic {
            Statistic::Min => self.min,
            Statistic::Max => self.max,
            Statistic::Mean => some.then_some(self.mean),
            Statistic::Std => some.then(|| (self.spread / self.finite as f64).sqrt()),
            Statistic::L2 => some.then(|| self.squares.sqrt()),
            Statistic::L1 => some.then_some(self.l1),
            Statistic::Zeros => Some(self.zeros as f64),
            Statistic::NonFinite => Some(self.non_finite as f64),
            // Moments of this order are not kept for groups.
            Statistic::Skewness | Statistic::Kurtosis => None,
        }
    }
}

fn least(a: Option<f64>, b: Option<f64>, pick: fn(f64, f64) -> f64) -> Option<f64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(pick(a, b)),
        (one, other) => one.or(other),
    }
}

/// The rules' findings, sorted for the window.
#[derive(Debug, Clone, Default)]
pub struct Verdict {
    /// All findings.
    pub health: Health,
    /// Findings per rule and level, the worst and most frequent first.
    pub rules: Vec<(Rule, Severity, usize)>,
    by_tensor: HashMap<TensorId, Vec<usize>>,
}

impl Verdict {
    /// The findings about one tensor.
    pub fn of(&self, id: TensorId) -> impl Iterator<Item = &Finding> {
        let indices = self.by_tensor.get(&id).into_iter().flatten();
        indices.filter_map(|&index| self.health.findings.get(index))
    }
}

/// Statistics of a whole checkpoint, as far as they are known.
#[derive(Debug, Clone, Default)]
pub struct Scan {
    /// How far it is.
    pub status: ScanStatus,
    tensors: Vec<Option<TensorStatistics>>,
    unreadable: HashMap<TensorId, String>,
    groups: Vec<Sums>,
    counts: HashMap<ValueFacet, u64>,
    verdict: Option<Verdict>,
    done: usize,
    changes: u64,
}

impl Scan {
    /// A scan of which nothing is known yet.
    pub fn begin(checkpoint: &Checkpoint) -> Self {
        Self {
            status: ScanStatus::Running,
            tensors: vec![None; checkpoint.tensors().len()],
            groups: vec![Sums::default(); checkpoint.layer_tree().len()],
            ..Self::default()
        }
    }

    /// Takes in what a job found. A tensor that is reported twice counts once.
    pub fn add(&mut self, checkpoint: &Checkpoint, portion: Vec<ScannedTensor>) {
        let tree = checkpoint.layer_tree();
        self.changes += 1;
        for (id, result) in portion {
            let Some(slot @ None) = self.tensors.get_mut(id.index()) else { continue };
            let found = match result {
                Ok(found) => found,
                Err(reason) => {
                    if self.unreadable.insert(id, reason).is_none() {
                        self.done += 1;
                        *self.counts.entry(ValueFacet::Unreadable).or_default() += 1;
                    }
                    continue;
                }
            };
            self.done += 1;
            let statistics = &found.statistics;
            for facet in ValueFacet::ALL {
                if facet.matches(statistics) {
                    *self.counts.entry(facet).or_default() += 1;
                }
            }
            if checkpoint.tensor(id).tied_to.is_none() {
                let mut group = Some(tree.parent_of(id));
                while let Some(at) = group {
                    if let Some(sums) = self.groups.get_mut(at.0 as usize) {
                        sums.add(statistics);
                    }
                    group = tree.node(at).parent;
                }
            }
            *slot = Some(found);
        }
    }

    /// About how much memory it takes.
    pub fn memory_bytes(&self) -> usize {
        self.tensors.capacity() * size_of::<Option<TensorStatistics>>()
            + self.groups.capacity() * size_of::<Sums>()
    }

    /// Tensors looked at.
    pub fn done(&self) -> usize {
        self.done
    }

    /// Grows with everything that is taken in: what was made from an older number is out of date.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// Statistics of a tensor.
    pub fn tensor(&self, id: TensorId) -> Option<&Statistics> {
        Some(&self.tensors.get(id.index())?.as_ref()?.statistics)
    }

    /// The rules' findings, once the scan has ended.
    pub fn verdict(&self) -> Option<&Verdict> {
        self.verdict.as_ref()
    }

    /// Applies the rules to what was found. Once at the end: some of them compare tensors with each other.
    pub fn judge(&mut self, checkpoint: &Checkpoint) {
        let health = health::judge(checkpoint, |id| match self.unreadable.get(&id) {
            Some(reason) => Some(Err(reason.as_str())),
            None => self.tensors.get(id.index())?.as_ref().map(Ok),
        });
        let mut by_tensor: HashMap<TensorId, Vec<usize>> = HashMap::new();
        for (index, finding) in health.findings.iter().enumerate() {
            by_tensor.entry(finding.tensor).or_default().push(index);
        }
        self.verdict = Some(Verdict { rules: health.by_rule(), by_tensor, health });
    }

    /// Why a tensor has no statistics.
    pub fn unreadable(&self, id: TensorId) -> Option<&str> {
        self.unreadable.get(&id).map(String::as_str)
    }

    /// A number of a tensor, or of a group's tensors together; `None` as long as it is not known, or not defined.
    pub fn value(&self, item: Item, statistic: Statistic) -> Option<f64> {
        match item {
            Item::Tensor(id) => statistic.of(self.tensor(id)?),
            Item::Group(id) => self.groups.get(id.0 as usize)?.value(statistic),
        }
    }

    /// Tensors found with a property.
    pub fn count(&self, facet: ValueFacet) -> u64 {
        self.counts.get(&facet).copied().unwrap_or(0)
    }

    /// Whether a tensor is known to have a property.
    pub fn matches(&self, id: TensorId, facet: ValueFacet) -> bool {
        match facet {
            ValueFacet::Unreadable => self.unreadable.contains_key(&id),
            _ => self.tensor(id).is_some_and(|statistics| facet.matches(statistics)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::StatisticsBuilder;
    use crate::model::Dtype;

    fn statistics(values: &[f32]) -> Statistics {
        let mut builder = StatisticsBuilder::new(&Dtype::Float32);
        builder.push(&values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>());
        builder.finish().0
    }

    #[test]
    fn a_group_has_the_statistics_of_all_its_values_together() {
        let (left, right) = ([1.0, 2.0, 4.0], [-3.0, f32::NAN, 0.0, 8.0]);
        let mut sums = Sums::default();
        sums.add(&statistics(&left));
        sums.add(&statistics(&right));
        let whole = statistics(&[left.as_slice(), &right].concat());
        for statistic in Statistic::ALL {
            let Some(value) = sums.value(statistic) else { continue };
            let wanted = statistic.of(&whole).unwrap();
            assert!((value - wanted).abs() < 1e-12, "{}: {value} is not {wanted}", statistic.label());
        }
    }

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
