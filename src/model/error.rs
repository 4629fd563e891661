//! Why bytes could not be read as what they claim to be.

use std::borrow::Cow;
use std::io;

use super::Cancelled;

/// A failure while reading a file's structure or a tensor's values.
///
/// The text says what is wrong and where; the path is added once, by whoever shows the error.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The system refused or failed a read.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The file is shorter than it says.
    #[error(
        "the file ends early: {what} needs {needed} bytes at offset {offset}, but {available} are left; the download may be incomplete"
    )]
    Truncated {
        /// What was being read.
        what: Cow<'static, str>,
        /// Where, in bytes from the start of the file or member.
        offset: u64,
        /// Bytes needed from there.
        needed: u64,
        /// Bytes that are there.
        available: u64,
    },
    /// The bytes do not follow the format.
    #[error("{what} is malformed at offset {offset}: {reason}")]
    Malformed {
        /// What was being read.
        what: Cow<'static, str>,
        /// Where, in bytes from the start of the file or member.
        offset: u64,
        /// What is wrong with it.
        reason: Cow<'static, str>,
    },
    /// A count or size above the limit that protects this program.
    #[error("{what} is {value}, more than the limit of {limit}")]
    OverLimit {
        /// What was counted.
        what: Cow<'static, str>,
        /// What the file says.
        value: u64,
        /// What is accepted; see [`crate::raw::limits`].
        limit: u64,
    },
    /// Legal, but not something this program reads.
    #[error("{0}")]
    Unsupported(Cow<'static, str>),
    /// The file is not the one that was opened.
    #[error("the file changed on disk since it was opened; reload it")]
    FileChanged,
    /// The work was cancelled.
    #[error("cancelled")]
    Cancelled,
}

impl ReadError {
    /// A [`ReadError::Malformed`].
    pub fn malformed(
        what: impl Into<Cow<'static, str>>,
        offset: u64,
        reason: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::Malformed { what: what.into(), offset, reason: reason.into() }
    }

    /// A [`ReadError::Unsupported`].
    pub fn unsupported(feature: impl Into<Cow<'static, str>>) -> Self {
        Self::Unsupported(feature.into())
    }

    /// Whether the work stopped because someone asked it to.
    pub fn is_cancelled(&self) -> bool {
        matches!(self, Self::Cancelled)
    }
}

impl From<Cancelled> for ReadError {
    fn from(_: Cancelled) -> Self {
        Self::Cancelled
    }
}
