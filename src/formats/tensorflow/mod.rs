//! The TensorFlow format: which layout, then its catalogue.

use super::{Format, Probe};
use crate::model::{CheckpointParts, Progress, ReadError};

/// TensorFlow checkpoints.
pub struct TensorFlow;

impl Format for TensorFlow {
    fn name(&self) -> &'static str {
        "TensorFlow"
    }

    fn extensions(&self) -> &'static [&'static str] {
        &[]
    }

    fn detect(&self, _probe: &Probe) -> bool {
        false
    }

    fn open(&self, _probe: &Probe, _progress: &Progress) -> Result<CheckpointParts, ReadError> {
        Err(ReadError::unsupported("not yet"))
    }
}
