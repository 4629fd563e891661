//! Bytes to [`Checkpoint`]: recognises what a path holds and opens it.
//!
//! [`open`] is the only way in. A file is recognised by its bytes; once a format claims it, that format's error is the answer.

pub mod containers;
pub mod evidence;
pub mod gguf;
pub mod keras;
pub mod numpy;
pub mod onnx;
mod packed;
mod places;
pub mod probe;
pub mod pytorch;
pub mod recognise;
pub mod safetensors;
mod shard_index;
pub mod tensorflow;

use std::path::{Path, PathBuf};

pub use evidence::{examine, examine_bytes, with_opened};
pub use probe::Probe;

use crate::model::{Checkpoint, CheckpointParts, Progress, ReadError};

/// One family of checkpoint files.
pub trait Format: Sync {
    /// Name for people, such as `PyTorch`.
    fn name(&self) -> &'static str;
    /// File name endings, for dialogs; never used to decide what a file is.
    fn extensions(&self) -> &'static [&'static str];
    /// Whether the probed bytes (or folder) are of this format. Cheap: looks at the probe, reads nothing else.
    /// At most one format answers yes.
    fn detect(&self, probe: &Probe) -> bool;
    /// Reads the catalogue.
    fn open(&self, probe: &Probe, progress: &Progress) -> Result<CheckpointParts, ReadError>;
    /// The series of checkpoints that the probed folder holds, the oldest first; `open` shows the newest. Empty: no series.
    fn siblings(&self, probe: &Probe) -> Vec<PathBuf> {
        let _ = probe;
        Vec::new()
    }
}

/// Every format, in no significant order.
pub static FORMATS: &[&dyn Format] = &[
    &safetensors::Safetensors,
    &pytorch::PyTorch,
    &keras::Keras,
    &tensorflow::TensorFlow,
    &numpy::Numpy,
    &gguf::Gguf,
    &onnx::Onnx,
];

/// Why a path could not be opened. The text is one line with the path last.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// No format claims it.
    #[error("Not a checkpoint that Ckptscope reads: {looks_like}. File: {}", path.display())]
    Unrecognised {
        /// What it seems to be, and what to do.
        looks_like: String,
        /// What was opened.
        path: PathBuf,
    },
    /// A format claims it, but could not read it.
    #[error("Failed to open as {format}: {source}. File: {}", path.display())]
    Failed {
        /// The format that claims it.
        format: &'static str,
        /// What went wrong.
        source: ReadError,
        /// What was opened.
        path: PathBuf,
    },
    /// The path itself could not be looked at.
    #[error("Failed to open: {source}. File: {}", path.display())]
    Inaccessible {
        /// What the system said.
        source: ReadError,
        /// What was opened.
        path: PathBuf,
    },
}

impl OpenError {
    /// Whether opening stopped because someone asked it to.
    pub fn is_cancelled(&self) -> bool {
        matches!(self, Self::Failed { source, .. } | Self::Inaccessible { source, .. } if source.is_cancelled())
    }
}

/// Opens a file, a folder or a TensorFlow prefix. Reads the catalogue and the metadata, no tensor values.
pub fn open(path: &Path, progress: &Progress) -> Result<Checkpoint, OpenError> {
    let probe =
        Probe::new(path).map_err(|source| OpenError::Inaccessible { source, path: path.to_owned() })?;
    let failed = |format, source| OpenError::Failed { format, source, path: path.to_owned() };
    if let Some(format) = claimant(&probe) {
        let parts = format.open(&probe, progress).map_err(|source| failed(format.name(), source))?;
        return Ok(Checkpoint::new(path, parts).with_siblings(format.siblings(&probe)));
    }
    // Only a file: a folder in the folder would be asked the same again.
    if let Some(file) = probe
        .folder()
        .and_then(recognise::stands_for)
        .map(|name| path.join(name))
        .filter(|file| file.is_file())
    {
        return open(&file, progress);
    }
    match packed::inside(&probe, progress).map_err(|source| failed("an archive", source))? {
        Some(packed::Inside { probe: inner, format, notice }) => {
            let mut parts = format.open(&inner, progress).map_err(|source| failed(format.name(), source))?;
            parts.problems.push(notice);
            parts.file_bytes = probe.source().map_or(parts.file_bytes, crate::raw::ByteSource::len);
            Ok(Checkpoint::new(path, parts))
        }
        None => {
            Err(OpenError::Unrecognised { looks_like: recognise::looks_like(&probe), path: path.to_owned() })
        }
    }
}

/// The format that the probed bytes (or folder) are of.
fn claimant(probe: &Probe) -> Option<&'static dyn Format> {
    FORMATS.iter().copied().find(|format| format.detect(probe))
}
