//! What a scan of a whole checkpoint has found so far: statistics per tensor, and summed up per group.

mod statistic;
mod sums;

use std::collections::HashMap;
use std::sync::Arc;

use super::tree::Item;
use crate::analysis::Statistics;
use crate::analysis::health::{self, Finding, Health, Rule};
use crate::analysis::scan::TensorStatistics;
use crate::jobs::{JobError, ScannedTensor};
use crate::model::{Checkpoint, Severity, TensorId};
use sums::Sums;

pub use statistic::{Statistic, ValueFacet, non_finite};

/// Tensors that are kept together. A scan that goes on while a job still looks at an earlier state of it copies the
/// pieces that change, not the whole.
const PIECE: usize = 512;

type Piece = Arc<Vec<Option<TensorStatistics>>>;

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

/// Findings of a rule that are listed before the rest becomes a number.
const LISTED: usize = 40;

/// The rules' findings, sorted for the window: there may be one for every tensor.
#[derive(Debug, Clone, Default)]
pub struct Verdict {
    /// All findings.
    pub health: Health,
    /// Findings per rule and level, the worst and most frequent first.
    pub rules: Vec<RuleFindings>,
    by_tensor: HashMap<TensorId, Vec<usize>>,
}

/// What one rule found.
#[derive(Debug, Clone)]
pub struct RuleFindings {
    /// Which.
    pub rule: Rule,
    /// How much it matters.
    pub level: Severity,
    /// How often it was found.
    pub count: usize,
    /// The first findings, as indices; at most a screenful.
    pub first: Vec<usize>,
}

impl Verdict {
    fn new(health: Health) -> Self {
        let by_rule = health.by_rule().into_iter();
        let mut rules: Vec<RuleFindings> = by_rule
            .map(|(rule, level, count)| RuleFindings { rule, level, count, first: Vec::new() })
            .collect();
        let mut by_tensor: HashMap<TensorId, Vec<usize>> = HashMap::new();
        for (index, finding) in health.findings.iter().enumerate() {
            by_tensor.entry(finding.tensor).or_default().push(index);
            let of = rules.iter_mut().find(|of| (of.rule, of.level) == (finding.rule, finding.level));
            if let Some(of) = of.filter(|of| of.first.len() < LISTED) {
                of.first.push(index);
            }
        }
        Self { health, rules, by_tensor }
    }

    /// How much the worst of all findings matters; `None` where there is none.
    pub fn worst_of_all(&self) -> Option<Severity> {
        self.rules.first().map(|of| of.level)
    }

    /// How much the worst finding about a tensor matters.
    pub fn worst(&self, id: TensorId) -> Option<Severity> {
        self.of(id).map(|finding| finding.level).max()
    }

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
    /// In pieces; one of which nothing is known yet takes no memory.
    pieces: Vec<Option<Piece>>,
    unreadable: HashMap<TensorId, String>,
    groups: Vec<Sums>,
    counts: HashMap<ValueFacet, u64>,
    verdict: Option<Arc<Verdict>>,
    done: usize,
    changes: u64,
}

impl Scan {
    /// A scan of which nothing is known yet.
    pub fn begin(checkpoint: &Checkpoint) -> Self {
        Self {
            status: ScanStatus::Running,
            pieces: vec![None; checkpoint.tensors().len().div_ceil(PIECE)],
            groups: vec![Sums::default(); checkpoint.layer_tree().len()],
            ..Self::default()
        }
    }

    /// Takes in what a job found. A tensor that is reported twice counts once.
    pub fn add(&mut self, checkpoint: &Checkpoint, portion: Vec<ScannedTensor>) {
        let tree = checkpoint.layer_tree();
        self.changes += 1;
        for (id, result) in portion {
            if id.index() >= checkpoint.tensors().len() || self.found(id).is_some() {
                continue;
            }
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
            let (piece, place) = (id.index() / PIECE, id.index() % PIECE);
            if let Some(piece) = self.pieces.get_mut(piece) {
                let piece = Arc::make_mut(piece.get_or_insert_with(|| Arc::new(vec![None; PIECE])));
                if let Some(slot) = piece.get_mut(place) {
                    *slot = Some(found);
                }
            }
        }
    }

    /// About how much memory it takes.
    pub fn memory_bytes(&self) -> usize {
        self.pieces.iter().flatten().count() * PIECE * size_of::<Option<TensorStatistics>>()
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

    fn found(&self, id: TensorId) -> Option<&TensorStatistics> {
        self.pieces.get(id.index() / PIECE)?.as_ref()?.get(id.index() % PIECE)?.as_ref()
    }

    /// Statistics of a tensor.
    pub fn tensor(&self, id: TensorId) -> Option<&Statistics> {
        Some(&self.found(id)?.statistics)
    }

    /// The rules' findings, once the scan has ended.
    pub fn verdict(&self) -> Option<&Verdict> {
        self.verdict.as_deref()
    }

    /// Applies the rules to what was found. At the end: some of them compare tensors with each other. Costs time in
    /// proportion to the tensors.
    pub fn judge(&self, checkpoint: &Checkpoint) -> Verdict {
        let health = health::judge(checkpoint, |id| match self.unreadable.get(&id) {
            Some(reason) => Some(Err(reason.as_str())),
            None => self.found(id).map(Ok),
        });
        Verdict::new(health)
    }

    /// Takes in what the rules said.
    pub fn judged(&mut self, verdict: Arc<Verdict>) {
        self.verdict = Some(verdict);
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

    pub(super) fn statistics(values: &[f32]) -> Statistics {
        let mut builder = StatisticsBuilder::new(&Dtype::Float32);
        builder.push(&values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<_>>());
        builder.finish().0
    }
}
