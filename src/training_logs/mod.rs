//! Training logs to curves: recognises what a file logs and reads it into [`Series`].
//!
//! [`read`] is the only way in for files. What checkpoints hold in their metadata becomes series by [`tree::series_in`],
//! by the same rules as JSON. History pickles are read as checkpoints without tensors, so no pickle is read here.
//!
//! Left out: which files belong together, in which order they were written, and which checkpoint is the best; those are
//! for `analysis::series` and `jobs::curves`.

pub mod csv;
pub mod json;
mod json_text;
mod table;
pub mod tensorboard;
pub mod tree;

use std::path::{Path, PathBuf};

use crate::model::{BestRecord, HistogramSeries, Problem, Progress, ReadError, Series};
use crate::raw::ByteSource;

/// One way to write down a training.
pub trait LogFormat: Sync {
    /// Name for people, such as `TensorBoard`.
    fn name(&self) -> &'static str;
    /// File name endings, for dialogs.
    fn extensions(&self) -> &'static [&'static str];
    /// Whether the file is one. Looks at the first bytes and, for text, at the name.
    fn detect(&self, head: &[u8], name: &str) -> bool;
    /// Reads all of it. What can be read of a damaged log is kept and the damage is a problem of the log; an error means
    /// that nothing could be read.
    fn read(&self, source: &ByteSource, progress: &Progress) -> Result<Log, ReadError>;
}

/// Every format, the more certain ones first.
pub static LOG_FORMATS: &[&dyn LogFormat] = &[&tensorboard::TensorBoard, &json::Json, &csv::Csv];

/// What one log holds.
#[derive(Debug, Default)]
pub struct Log {
    /// Which way it is written, for people.
    pub format: &'static str,
    /// Scalars, in the order of their first mention. Sources and runs are not filled in by readers.
    pub series: Vec<Series>,
    /// Histograms.
    pub histograms: Vec<HistogramSeries>,
    /// Numbers that hold for the log as a whole, such as `global_step`.
    pub scalars: Vec<(String, f64)>,
    /// What the framework noted as its best checkpoint.
    pub best: Option<BestRecord>,
    /// The step from which this log takes over from an earlier one of the same run, as a restart notes it.
    pub restarts_at: Option<f64>,
    /// Whether its content alone shows that it is a training log: a CSV file of other numbers is not.
    pub is_certain: bool,
    /// What could not be read or should be known.
    pub problems: Vec<Problem>,
}

impl Log {
    /// Points over all series.
    pub fn points(&self) -> usize {
        self.series.iter().map(Series::len).sum()
    }
}

/// Why a file could not be read as a log. The text is one line with the path last.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// No format claims it.
    #[error("Not a training log that Ckptscope reads: {looks_like}. File: {}", path.display())]
    Unrecognised {
        /// What it seems to be.
        looks_like: &'static str,
        /// What was opened.
        path: PathBuf,
    },
    /// A format claims it, but nothing could be read.
    #[error("Failed to read the {format} log: {source}. File: {}", path.display())]
    Failed {
        /// The format that claims it.
        format: &'static str,
        /// What went wrong.
        source: ReadError,
        /// What was opened.
        path: PathBuf,
    },
    /// The file could not be opened.
    #[error("Failed to open: {source}. File: {}", path.display())]
    Inaccessible {
        /// What the system said.
        source: ReadError,
        /// What was opened.
        path: PathBuf,
    },
}

impl LogError {
    /// Whether reading stopped because someone asked it to.
    pub fn is_cancelled(&self) -> bool {
        matches!(self, Self::Failed { source, .. } | Self::Inaccessible { source, .. } if source.is_cancelled())
    }
}

/// Bytes that [`LogFormat::detect`] sees.
const HEAD_BYTES: u64 = 4096;

/// Reads a log. Its series carry `path` as their source.
pub fn read(path: &Path, progress: &Progress) -> Result<Log, LogError> {
    let inaccessible = |source| LogError::Inaccessible { source, path: path.to_owned() };
    let source = ByteSource::open(path).map_err(inaccessible)?;
    let head = source.read_up_to("the start of the file", 0, HEAD_BYTES).map_err(inaccessible)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let Some(format) = LOG_FORMATS.iter().find(|format| format.detect(&head, &name)) else {
        let looks_like =
            if head.is_empty() { "the file is empty" } else { "it is neither an event file nor text" };
        return Err(LogError::Unrecognised { looks_like, path: path.to_owned() });
    };
    let failed = |source| LogError::Failed { format: format.name(), source, path: path.to_owned() };
    let mut log = format.read(&source, progress).map_err(failed)?;
    log.format = format.name();
    for series in &mut log.series {
        path.clone_into(&mut series.source);
    }
    for histogram in &mut log.histograms {
        path.clone_into(&mut histogram.source);
    }
    if let Some(best) = &mut log.best {
        path.clone_into(&mut best.source);
    }
    Ok(log)
}

/// Whether bytes are the start of a text: no control characters but white space. UTF-8 is not asked for.
fn is_text(head: &[u8]) -> bool {
    !head.is_empty()
        && !head.iter().any(|&byte| byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r' | 0x0c | 0x1b))
}
