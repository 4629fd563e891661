//! Closer looks at tensors that were asked for, within a budget of memory.

use std::sync::Arc;

use crate::jobs::{Cache, CheckpointId, JobError, JobOutcome, JobOutput, Loadable, LookKey, Looked};

/// Memory for results. A picture takes up to 2 MB, a window of values as much.
const BUDGET_BYTES: usize = 96 << 20;

static NOT_REQUESTED: Loadable<Arc<Looked>> = Loadable::NotRequested;

/// Looks by what they are at.
pub struct LookStore {
    results: Cache<LookKey, Loadable<Arc<Looked>>>,
}

impl Default for LookStore {
    fn default() -> Self {
        Self { results: Cache::new(BUDGET_BYTES) }
    }
}

impl LookStore {
    /// What is known.
    pub fn get(&self, key: &LookKey) -> &Loadable<Arc<Looked>> {
        self.results.get(key).unwrap_or(&NOT_REQUESTED)
    }

    /// Marks as used; says whether it was asked for.
    pub fn touch(&mut self, key: &LookKey) -> bool {
        self.results.touch(key)
    }

    /// Marks as asked for.
    pub fn begin(&mut self, key: LookKey) {
        let mut value = self.results.remove(&key).unwrap_or_default();
        value.begin();
        self.results.insert(key, value, 0);
    }

    /// Remembers that a look was stopped by hand, so that it is not asked for again at once.
    pub fn stop(&mut self, key: LookKey) {
        let mut value = self.results.remove(&key).unwrap_or_default();
        value.fail(JobError::new("It was stopped.", None));
        self.results.insert(key, value, 0);
    }

    /// Takes in how a job ended. A cancelled look is as if never asked for.
    pub fn end(&mut self, key: LookKey, outcome: JobOutcome) {
        let mut value = self.results.remove(&key).unwrap_or_default();
        match outcome {
            JobOutcome::Finished(JobOutput::Looked(looked)) => {
                let bytes = looked.memory_bytes();
                self.results.insert(key, Loadable::Ready(looked), bytes);
                return;
            }
            JobOutcome::Finished(_) | JobOutcome::Partial(_) => {
                value.fail(JobError::new("The wrong result came back.", None));
            }
            JobOutcome::Failed(error) => value.fail(error),
            // Replaced by another look; unless it was stopped by hand, which is remembered.
            JobOutcome::Cancelled if value.is_pending() => return,
            JobOutcome::Cancelled => {}
        }
        self.results.insert(key, value, 0);
    }

    /// Drops everything of one opening.
    pub fn forget(&mut self, checkpoint: CheckpointId) {
        let concerns = |key: &LookKey| {
            key.checkpoint == checkpoint
                || key.look.against().is_some_and(|against| against.checkpoint == checkpoint)
        };
        self.results.retain(|key| !concerns(key));
    }
}
