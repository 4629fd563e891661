//! The Keras format: which layout, then its catalogue.

use super::{Format, Probe};
use crate::model::{CheckpointParts, Progress, ReadError};

/// Keras checkpoints.
pub struct Keras;

impl Format for Keras {
    fn name(&self) -> &'static str {
        "Keras"
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
