//! What the program knows, without any drawing or I/O.
//!
//! [`apply()`] is the only code that changes it: a command in, effects out. Views read it.

pub mod apply;
pub mod chart;
pub mod command;
pub mod compare;
pub mod curves;
pub mod export;
pub mod looks;
pub mod metadata;
pub mod notices;
pub mod outline;
pub mod safety;
mod saved_text;
pub mod scan;
pub mod selection;
pub mod session;
pub mod settings;
pub mod snippet;
pub mod statistics;
pub mod table;
pub mod tree;
pub mod treemap;

pub use apply::{Effect, apply, statistics_key};
pub use command::{Command, Page, Shortcut};
pub use compare::{CompareChange, CompareState};
pub use curves::{CurvesChange, CurvesState};
pub use export::{ExportDialog, ExportForm, Scope};
pub use looks::LookStore;
pub use notices::{Notice, Notices};
pub use safety::SafetyStore;
pub use saved_text::SavedText;
pub use scan::{Scan, ScanStatus, Statistic, ValueFacet};
pub use selection::{MarkChange, MarkTotals, Marked, Marks};
pub use session::{OpenCheckpoint, Session};
pub use settings::{Clip, Recent, Settings, ThemeChoice, ValueScale};
pub use statistics::StatisticsStore;
pub use table::{TableChange, TableState};
pub use tree::{Facets, Item, Row, SortColumn, TreeChange, TreeState};

use std::sync::Arc;

use crate::jobs::{Cache, JobStatus, ReportFormat};
use crate::model::Checkpoint;
use crate::text;

/// Whether the desktop's own file dialogs can be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dialogs {
    /// Not found out yet.
    #[default]
    Unknown,
    /// They can.
    Native,
    /// Neither a portal nor zenity is there; the window asks for a path itself.
    Missing,
}

/// The dialog that stands in where the desktop has none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PathDialog {
    /// Whether a folder is wanted.
    pub folder: bool,
    /// What was typed.
    pub text: String,
    /// The kind of report that is to be saved there, where nothing is to be opened.
    pub report: Option<ReportFormat>,
}

/// Everything the window shows.
#[derive(Default)]
pub struct AppState {
    /// Open checkpoints.
    pub session: Session,
    /// The page that is shown.
    pub page: Page,
    /// What survives a restart.
    pub settings: Settings,
    /// Messages.
    pub notices: Notices,
    /// Statistics by what they are of.
    pub statistics: StatisticsStore,
    /// Closer looks at tensors.
    pub looks: LookStore,
    /// Complete scans of files that were open before, by what the files are recognised by.
    pub kept_scans: KeptScans,
    /// What is compared with what.
    pub compare: CompareState,
    /// Training curves.
    pub curves: CurvesState,
    /// What open files would do when they are loaded.
    pub safety: SafetyStore,
    /// Jobs as of this frame.
    pub jobs: Vec<JobStatus>,
    /// Whether native dialogs work.
    pub dialogs: Dialogs,
    /// The stand-in dialog, when it is open.
    pub path_dialog: Option<PathDialog>,
    /// The export dialog, or the export that it started.
    pub export: Option<ExportDialog>,
    /// Whether the window that says what the program is is open.
    pub about_open: bool,
}

/// Memory for scans of files that are no longer open.
const KEPT_SCANS_BYTES: usize = 64 << 20;

/// Complete scans by [`crate::jobs::FileIdentity`].
pub struct KeptScans(Cache<u64, Arc<Scan>>);

impl Default for KeptScans {
    fn default() -> Self {
        Self(Cache::new(KEPT_SCANS_BYTES))
    }
}

impl KeptScans {
    /// The scan of a file that was open before and has not changed since.
    pub fn get(&mut self, identity: u64) -> Option<Arc<Scan>> {
        self.0.touch(&identity);
        self.0.get(&identity).cloned()
    }

    /// Keeps a complete scan.
    pub fn keep(&mut self, identity: u64, scan: &Arc<Scan>) {
        self.0.insert(identity, scan.clone(), scan.memory_bytes());
    }
}

/// A checkpoint in a few words: `11.7 M parameters · 44.6 MiB`.
pub fn about(checkpoint: &Checkpoint) -> String {
    let totals = checkpoint.totals();
    let count = match totals.parameters {
        Some(parameters) => format!("{} parameters", text::short_count(parameters)),
        None => format!("{} elements", text::short_count(totals.elements)),
    };
    format!("{count} · {}", text::bytes(totals.file_bytes))
}

/// What the list calls a format, from its identifier: the framework, and the layout where that matters.
pub fn format_badge(format: &str) -> &str {
    match format {
        "pytorch-zip" | "pytorch-pickle" => "torch",
        "pytorch-legacy" | "pytorch-tar" => "torch legacy",
        "pytorch-sharded" => "torch sharded",
        "pytorch-distributed" => "torch dist",
        "keras-h5" => "Keras h5",
        "keras-archive" => "Keras 3",
        "tf-checkpoint" | "tf-checkpoint-v1" => "TensorFlow",
        "keras-config" => "Keras config",
        "tf-saved-model" => "SavedModel",
        "tf-graph" | "tf-meta-graph" => "TF graph",
        "gguf" => "GGUF",
        "onnx" => "ONNX",
        "safetensors-sharded" => "safetensors sharded",
        other => other,
    }
}
