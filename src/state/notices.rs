//! Messages to the user; the status line shows the newest.

use std::path::PathBuf;

use crate::model::Severity;

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// How much it matters.
    pub severity: Severity,
    /// One sentence.
    pub text: String,
    /// A file that it tells of, to be opened from it.
    pub path: Option<PathBuf>,
}

/// The newest message. Older ones had their time: failures stay where they happened.
#[derive(Debug, Clone, Default)]
pub struct Notices {
    newest: Option<Notice>,
}

impl Notices {
    /// Tells something.
    pub fn tell(&mut self, severity: Severity, text: impl Into<String>) {
        self.newest = Some(Notice { severity, text: text.into(), path: None });
    }

    /// Tells of a new file.
    pub fn tell_of(&mut self, severity: Severity, text: impl Into<String>, path: PathBuf) {
        self.newest = Some(Notice { severity, text: text.into(), path: Some(path) });
    }

    /// What to show.
    pub fn newest(&self) -> Option<&Notice> {
        self.newest.as_ref()
    }

    /// Takes it away.
    pub fn dismiss(&mut self) {
        self.newest = None;
    }
}
