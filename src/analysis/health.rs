//! Rules over the statistics of a checkpoint's tensors: what looks wrong, in plain words.
//!
//! What is normal is not reported, or as information only. Nothing here reads values.

use std::collections::BTreeMap;

use super::health_rules::{Subject, apply, siblings};
use super::scan::TensorStatistics;
use crate::model::{Checkpoint, Severity, TensorId};

/// What a rule is about. [`Self::code`] is stable, for scripts and for filters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Rule {
    /// NaN among the values.
    NotANumber,
    /// +∞ or −∞ among the values.
    Infinite,
    /// All values are zero.
    AllZero,
    /// All values are the same, not zero.
    Constant,
    /// Rows or columns of zeros.
    DeadSlices,
    /// A spread far from that of the tensors of the same kind in other layers.
    SpreadAgainstSiblings,
    /// Values so large that arithmetic with them overflows soon.
    ExtremeValues,
    /// Many values at the largest number of a narrow float.
    Saturated,
    /// Many values below the smallest normal number of their type.
    Denormal,
    /// A running variance that is not positive.
    RunningVariance,
    /// Optimizer state that no optimizer leaves behind.
    OptimizerState,
    /// Values that could not be read, so nothing is known of them.
    Unreadable,
}

impl Rule {
    /// Identifier for scripts.
    pub fn code(self) -> &'static str {
        match self {
            Self::NotANumber => "nan",
            Self::Infinite => "infinite",
            Self::AllZero => "all-zero",
            Self::Constant => "constant",
            Self::DeadSlices => "dead-slices",
            Self::SpreadAgainstSiblings => "spread-against-siblings",
            Self::ExtremeValues => "extreme-values",
            Self::Saturated => "saturated",
            Self::Denormal => "denormal",
            Self::RunningVariance => "running-variance",
            Self::OptimizerState => "optimizer-state",
            Self::Unreadable => "unreadable",
        }
    }

    /// A few words for a heading or a filter.
    pub fn title(self) -> &'static str {
        match self {
            Self::NotANumber => "NaN",
            Self::Infinite => "Infinite",
            Self::AllZero => "All zero",
            Self::Constant => "Constant",
            Self::DeadSlices => "Dead rows or columns",
            Self::SpreadAgainstSiblings => "Unlike its siblings",
            Self::ExtremeValues => "Extreme values",
            Self::Saturated => "Saturated",
            Self::Denormal => "Denormal",
            Self::RunningVariance => "Running variance",
            Self::OptimizerState => "Optimizer state",
            Self::Unreadable => "Unreadable",
        }
    }

    /// Why it matters and what it usually comes from.
    pub fn explanation(self) -> &'static str {
        match self {
            Self::NotANumber => {
                "One NaN spreads through every layer behind it. It usually comes from a learning rate that is too high, \
                 from overflow in 16-bit training, or from dividing by zero."
            }
            Self::Infinite => {
                "Arithmetic with an infinite value gives infinity or NaN. It usually comes from overflow, often when a \
                 32-bit model is converted to 16 bits."
            }
            Self::AllZero => {
                "A weight of zeros passes nothing on and, with zeros on both sides, learns nothing. It was never \
                 initialised, never loaded, or pruned."
            }
            Self::Constant => {
                "A trained weight does not keep one value. It was filled, not trained, or not loaded."
            }
            Self::DeadSlices => {
                "A row or column of zeros is a unit that gives or takes nothing. Pruning and padding leave such on \
                 purpose; otherwise the unit has died in training."
            }
            Self::SpreadAgainstSiblings => {
                "The same weight in the other layers has another order of magnitude. The layer has diverged, was \
                 initialised differently, or was scaled on purpose."
            }
            Self::ExtremeValues => {
                "Products of such values overflow in 16-bit arithmetic, and soon in 32-bit."
            }
            Self::Saturated => {
                "Values at the largest number of the type were probably larger before conversion: the scale of the \
                 conversion was too small."
            }
            Self::Denormal => {
                "Numbers this small have lost digits, are slow on many processors and become zero on others. The type's \
                 range does not fit the values, or weight decay has worn them away."
            }
            Self::RunningVariance => {
                "A variance cannot be negative, and zero makes the layer divide by its epsilon: its outputs explode."
            }
            Self::OptimizerState => {
                "Training that resumes from this state takes a wrong step or none. The state was saved before the first \
                 step, damaged, or converted."
            }
            Self::Unreadable => "Nothing is known of these values.",
        }
    }
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// How much it matters.
    pub level: Severity,
    /// What it is about.
    pub rule: Rule,
    /// Where.
    pub tensor: TensorId,
    /// A sentence with the numbers, without the tensor's name.
    pub message: String,
}

/// The health of a checkpoint.
#[derive(Debug, Clone, Default)]
pub struct Health {
    /// The worst first, then in file order.
    pub findings: Vec<Finding>,
    /// Tensors whose values were read.
    pub tensors: u64,
    /// Tensors with NaN.
    pub with_nan: u64,
    /// Tensors with infinite values.
    pub with_infinite: u64,
    /// Tensors of zeros.
    pub all_zero: u64,
    /// Tensors of one value other than zero, and more than one element.
    pub constant: u64,
    /// Tensors that could not be read.
    pub unreadable: u64,
}

impl Health {
    /// The worst level among the findings; `None` where there is none.
    pub fn worst(&self) -> Option<Severity> {
        self.findings.iter().map(|finding| finding.level).max()
    }

    /// Findings of a level.
    pub fn count(&self, level: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.level == level).count()
    }

    /// Findings per rule and level, the worst and most frequent first.
    pub fn by_rule(&self) -> Vec<(Rule, Severity, usize)> {
        let mut counts: BTreeMap<(Rule, Severity), usize> = BTreeMap::new();
        for finding in &self.findings {
            *counts.entry((finding.rule, finding.level)).or_default() += 1;
        }
        let mut list: Vec<_> =
            counts.into_iter().map(|((rule, level), count)| (rule, level, count)).collect();
        list.sort_by(|a, b| b.1.cmp(&a.1).then(b.2.cmp(&a.2)).then(a.0.cmp(&b.0)));
        list
    }
}

/// Applies all rules. `found` gives what a scan found of a tensor: an error as its text, `None` for one that was not
/// scanned.
pub fn judge<'a>(
    checkpoint: &'a Checkpoint,
    found: impl Fn(TensorId) -> Option<Result<&'a TensorStatistics, &'a str>>,
) -> Health {
    let mut health = Health::default();
    let mut subjects = Vec::new();
    for (id, tensor) in checkpoint.tensors() {
        match found(id) {
            None => {}
            Some(Err(reason)) => {
                health.unreadable += 1;
                health.findings.push(Finding {
                    level: Severity::Error,
                    rule: Rule::Unreadable,
                    tensor: id,
                    message: format!("Its values cannot be read: {reason}"),
                });
            }
            Some(Ok(found)) => {
                let statistics = &found.statistics;
                health.tensors += 1;
                health.with_nan += u64::from(statistics.nan > 0);
                health.with_infinite += u64::from(statistics.infinite() > 0);
                health.all_zero += u64::from(statistics.is_all_zero());
                health.constant +=
                    u64::from(statistics.count > 1 && statistics.is_constant() && !statistics.is_all_zero());
                let subject = Subject { id, tensor, found, format: checkpoint.format() };
                apply(&subject, &mut health.findings);
                subjects.push(subject);
            }
        }
    }
    siblings(&subjects, &mut health.findings);
    health.findings.sort_by(|a, b| b.level.cmp(&a.level).then(a.tensor.cmp(&b.tensor)));
    health
}
