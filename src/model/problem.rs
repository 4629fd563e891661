//! Something in a file that could not be read or should be known, without costing the rest.

use super::TensorId;

/// How much a [`Problem`] matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Something is odd, but what is shown is right.
    Warning,
    /// Something could not be read.
    Error,
}

/// One finding about a file, shown where it belongs: on its tensor, or on the checkpoint.
#[derive(Debug, Clone)]
pub struct Problem {
    /// How much it matters.
    pub severity: Severity,
    /// Stable identifier for scripts, such as `missing-shard`.
    pub code: &'static str,
    /// One sentence for people.
    pub message: String,
    /// The tensor it concerns; `None` for the whole checkpoint.
    pub tensor: Option<TensorId>,
    /// Byte offset in the file, where one is known.
    pub offset: Option<u64>,
}

impl Problem {
    /// An error about the whole checkpoint.
    pub fn error(code: &'static str, message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, code, message: message.into(), tensor: None, offset: None }
    }

    /// A warning about the whole checkpoint.
    pub fn warning(code: &'static str, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(code, message) }
    }

    /// A remark about the whole checkpoint.
    pub fn info(code: &'static str, message: impl Into<String>) -> Self {
        Self { severity: Severity::Info, ..Self::error(code, message) }
    }

    /// The same, about one tensor.
    #[must_use]
    pub fn on(mut self, tensor: TensorId) -> Self {
        self.tensor = Some(tensor);
        self
    }

    /// The same, at a byte offset.
    #[must_use]
    pub fn at(mut self, offset: u64) -> Self {
        self.offset = Some(offset);
        self
    }
}
