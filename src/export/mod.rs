//! Checkpoints and results to files.
//!
//! ```text
//! ExportRequest ─ plan ─▶ ExportPlan (names, dtypes, sizes, warnings: nothing is written)
//!                              │ write
//! Checkpoint ─ values (read ahead, cast) ─▶ one writer per format ─▶ staged files ─ commit ─▶ the target
//! ```
//!
//! Values are streamed: whatever the size of a tensor, a few pieces of it are in memory. The target appears, or is replaced,
//! only when everything is written and flushed to the disk. Reading back what was written is for
//! [`crate::jobs`], for this layer knows no readers. Comparisons become [`report`]s.

mod cast;
mod csv;
mod dtypes;
mod hdf5;
mod numpy;
mod plan;
mod pytorch;
pub mod report;
mod request;
mod safetensors;
mod staged;
mod statistics;
mod superseded;
mod ties;
mod unbroken;
mod values;
mod write;

use std::io;

pub use plan::{Conversion, ExportPlan, LeftOut, PlannedFile, PlannedTensor};
pub use request::{Choice, ExportFormat, ExportRequest, MetadataChoice, Verify};
pub use statistics::save_statistics;
pub use write::{Written, WrittenTensor, write};

use crate::model::ReadError;

/// Why nothing was exported. The text is one clause; the path is added by whoever shows it.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The request cannot be met; said before anything is written.
    #[error("{0}")]
    Refused(String),
    /// A tensor could not be read.
    #[error("{tensor} cannot be read: {source}")]
    Read {
        /// Its name in the checkpoint.
        tensor: String,
        /// What went wrong.
        source: ReadError,
    },
    /// The system refused or failed a write.
    #[error("cannot write: {0}")]
    Write(#[from] io::Error),
    /// What was written does not read back as what was read.
    #[error("the new file does not hold what was read: {0}; it was removed")]
    Differs(String),
    /// The work was cancelled.
    #[error("cancelled")]
    Cancelled,
}

impl ExportError {
    /// Whether the work stopped because someone asked it to.
    pub fn is_cancelled(&self) -> bool {
        matches!(self, Self::Cancelled | Self::Read { source: ReadError::Cancelled, .. })
    }

    fn refused(reason: impl Into<String>) -> Self {
        Self::Refused(reason.into())
    }
}
