//! The PyTorch format: which layout, then its catalogue.

use super::{Format, Probe};
use crate::model::{CheckpointParts, Progress, ReadError};

/// PyTorch checkpoints.
pub struct PyTorch;

impl Format for PyTorch {
    fn name(&self) -> &'static str {
        "PyTorch"
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
