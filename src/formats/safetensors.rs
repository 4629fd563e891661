//! Safetensors files.

use super::{Format, Probe};
use crate::model::{CheckpointParts, Progress, ReadError};

/// Safetensors files.
pub struct Safetensors;

impl Format for Safetensors {
    fn name(&self) -> &'static str {
        "safetensors"
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
