//! The open checkpoints, their order, and which one is shown.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::scan::Scan;
use super::selection::Marks;
use super::table::TableState;
use super::tree::TreeState;
use crate::analysis::summary::LayerTable;
use crate::jobs::{CheckpointId, FileIdentity, Loadable};
use crate::model::Checkpoint;

/// One entry of the list of open checkpoints: on its way, failed, or here.
#[derive(Debug)]
pub struct OpenCheckpoint {
    /// Identifies this opening.
    pub id: CheckpointId,
    /// What was opened.
    pub path: PathBuf,
    /// File or folder name.
    pub name: String,
    /// The checkpoint.
    pub checkpoint: Loadable<Arc<Checkpoint>>,
    /// Rows and selection of its tree.
    pub tree: TreeState,
    /// What is selected for export.
    pub marks: Marks,
    /// Rows of the table of statistics.
    pub table: TableState,
    /// The layers as a summary prints them, once somebody wanted to see them.
    pub layers: Option<Arc<LayerTable>>,
    /// Statistics of all tensors, as far as they are known.
    pub scan: Arc<Scan>,
    /// What the file is recognised by when it is opened again.
    pub identity: FileIdentity,
    /// Files beside it that are named alike but for their numbers.
    pub series: Vec<PathBuf>,
    /// Whether the file is no longer the one that was read.
    pub changed_on_disk: bool,
    /// Index among the embedded examples, where it is one.
    pub example: Option<usize>,
}

/// The open checkpoints.
#[derive(Debug, Default)]
pub struct Session {
    /// In the order in which they were opened.
    pub entries: Vec<OpenCheckpoint>,
    current: Option<CheckpointId>,
    last_id: u64,
}

impl Session {
    /// A new identity.
    pub fn next_id(&mut self) -> CheckpointId {
        self.last_id += 1;
        CheckpointId(self.last_id)
    }

    /// Adds an entry that is being opened, and shows it.
    pub fn add(&mut self, path: PathBuf, example: Option<usize>) -> CheckpointId {
        let id = self.next_id();
        let mut checkpoint = Loadable::NotRequested;
        checkpoint.begin();
        let name = display_name(&path);
        self.entries.push(OpenCheckpoint {
            id,
            path,
            name,
            checkpoint,
            tree: TreeState::default(),
            marks: Marks::default(),
            table: TableState::default(),
            layers: None,
            scan: Arc::default(),
            identity: None,
            series: Vec::new(),
            changed_on_disk: false,
            example,
        });
        self.current = Some(id);
        id
    }

    /// The entry that is shown.
    pub fn current(&self) -> Option<&OpenCheckpoint> {
        self.entry(self.current?)
    }

    /// Shows an entry.
    pub fn show(&mut self, id: CheckpointId) {
        if self.entry(id).is_some() {
            self.current = Some(id);
        }
    }

    /// One entry.
    pub fn entry(&self, id: CheckpointId) -> Option<&OpenCheckpoint> {
        self.entries.iter().find(|entry| entry.id == id)
    }

    /// One entry, to be changed.
    pub fn entry_mut(&mut self, id: CheckpointId) -> Option<&mut OpenCheckpoint> {
        self.entries.iter_mut().find(|entry| entry.id == id)
    }

    /// The entry of a path.
    pub fn find(&self, path: &Path) -> Option<&OpenCheckpoint> {
        self.entries.iter().find(|entry| entry.path == path)
    }

    /// Gives an entry that is to be reloaded a new identity.
    pub fn renew(&mut self, id: CheckpointId) -> Option<CheckpointId> {
        let new = self.next_id();
        let entry = self.entry_mut(id)?;
        entry.id = new;
        if self.current == Some(id) {
            self.current = Some(new);
        }
        Some(new)
    }

    /// Takes an entry out; its neighbour is shown instead.
    pub fn remove(&mut self, id: CheckpointId) {
        let Some(index) = self.entries.iter().position(|entry| entry.id == id) else { return };
        self.entries.remove(index);
        if self.current == Some(id) {
            let neighbour = index.min(self.entries.len().saturating_sub(1));
            self.current = self.entries.get(neighbour).map(|entry| entry.id);
        }
    }
}

/// The last part of a path, safe to show in one line.
pub fn display_name(path: &Path) -> String {
    let name = path.file_name().map_or_else(|| path.to_string_lossy(), |name| name.to_string_lossy());
    crate::text::escape(&name)
}
