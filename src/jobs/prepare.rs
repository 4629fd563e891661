//! Work of the window's own on what was read before: rows in their order, findings over a whole catalogue.
//!
//! Jobs know no rows: whoever asks hands over a function, and is handed back what it made. Files are not touched here.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use crate::model::{Cancelled, Progress};

/// What is prepared. A newer preparation for the same purpose replaces an older one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// The rows of the tree.
    Tree,
    /// The rows of the table of statistics.
    Table,
    /// The rows of a comparison.
    Pairs,
    /// The layers as a summary prints them.
    Layers,
    /// What the rules of health say.
    Verdict,
    /// The lines of the Curves page.
    Curves,
    /// Checkpoints ranked by a metric.
    Ranking,
    /// Histograms that were logged, as they are drawn.
    Ridges,
    /// A text that is to be saved.
    Text,
}

impl Purpose {
    /// What the status line calls it.
    pub fn label(self) -> &'static str {
        match self {
            Self::Tree => "Putting the tree in order",
            Self::Table => "Putting tensors in order",
            Self::Pairs => "Putting pairs in order",
            Self::Layers => "Counting layers",
            Self::Verdict => "Judging what was found",
            Self::Curves => "Drawing curves",
            Self::Ranking => "Ranking checkpoints",
            Self::Ridges => "Drawing histograms",
            Self::Text => "Writing a table",
        }
    }
}

/// What was made; whoever asked knows its type.
pub type Prepared = Arc<dyn Any + Send + Sync>;

type Work = dyn Fn(&Progress) -> Result<Prepared, Cancelled> + Send + Sync;

/// A function for a job to run.
#[derive(Clone)]
pub struct Preparation(Arc<Work>);

impl Preparation {
    /// Wraps a function. It looks at the progress every few thousand steps, so that a newer one need not wait.
    pub fn new<T: Send + Sync + 'static>(
        work: impl Fn(&Progress) -> Result<T, Cancelled> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(move |progress| work(progress).map(|made| Arc::new(made) as Prepared)))
    }

    /// Runs it.
    pub fn run(&self, progress: &Progress) -> Result<Prepared, Cancelled> {
        (self.0)(progress)
    }
}

impl fmt::Debug for Preparation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Preparation")
    }
}
