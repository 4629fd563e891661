//! Statistics that were asked for, within a budget of memory.

use std::sync::Arc;

use crate::jobs::{
    Cache, CheckpointId, JobError, JobOutcome, JobOutput, Loadable, StatisticsKey, ValueSummary,
};

/// Memory for results. One takes up to 1.5 MB; most take some kilobytes.
const BUDGET_BYTES: usize = 256 << 20;

static NOT_REQUESTED: Loadable<Arc<ValueSummary>> = Loadable::NotRequested;

/// Statistics by what they are of.
pub struct StatisticsStore {
    results: Cache<StatisticsKey, Loadable<Arc<ValueSummary>>>,
}

impl Default for StatisticsStore {
    fn default() -> Self {
        Self { results: Cache::new(BUDGET_BYTES) }
    }
}

impl StatisticsStore {
    /// What is known.
    pub fn get(&self, key: &StatisticsKey) -> &Loadable<Arc<ValueSummary>> {
        self.results.get(key).unwrap_or(&NOT_REQUESTED)
    }

    /// Marks as used; says whether it was asked for.
    pub fn touch(&mut self, key: &StatisticsKey) -> bool {
        self.results.touch(key)
    }

    /// Marks as asked for.
    pub fn begin(&mut self, key: StatisticsKey) {
        let mut value = self.results.remove(&key).unwrap_or_default();
        value.begin();
        self.results.insert(key, value, 0);
    }

    /// Takes in how a job ended.
    pub fn end(&mut self, key: StatisticsKey, outcome: JobOutcome) {
        let mut value = self.results.remove(&key).unwrap_or_default();
        match outcome {
            JobOutcome::Finished(JobOutput::Summarised(summary)) => {
                let bytes = summary.memory_bytes();
                self.results.insert(key, Loadable::Ready(summary), bytes);
                return;
            }
            JobOutcome::Finished(_) | JobOutcome::Partial(_) => {
                value.fail(JobError::new("The wrong result came back.", None));
            }
            JobOutcome::Failed(error) => value.fail(error),
            JobOutcome::Cancelled => return,
        }
        self.results.insert(key, value, 0);
    }

    /// Drops everything of one opening.
    pub fn forget(&mut self, checkpoint: CheckpointId) {
        self.results.retain(|key| key.checkpoint != checkpoint);
    }
}
