//! A text that a job wrote and the window asks where to save.

/// A text with the name of a file for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavedText {
    /// File name to suggest.
    pub name: String,
    /// What to write.
    pub text: String,
}
