//! Asks where exports go, on threads of their own; the answers come as commands.

use std::path::PathBuf;

use super::ExplorerApp;
use crate::export::save_statistics;
use crate::jobs::CheckpointId;
use crate::model::Severity;
use crate::state::Command;

impl ExplorerApp {
    /// Asks for the file, or the folder, that an export becomes.
    pub(super) fn pick_target(&self, path: PathBuf, folder: bool, ctx: &egui::Context) {
        let (answers, ctx) = (self.answers.0.clone(), ctx.clone());
        let spawned = std::thread::Builder::new().name("save-dialog".to_owned()).spawn(move || {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let mut dialog = rfd::FileDialog::new().set_title("Export").set_file_name(name.clone());
            if let Some(start) = path.parent().filter(|start| start.is_dir()) {
                dialog = dialog.set_directory(start);
            }
            // A new folder is made inside the one that is picked.
            let picked = if folder {
                dialog.pick_folder().map(|parent| parent.join(&*name))
            } else {
                dialog.save_file()
            };
            if let Some(path) = picked {
                // The window is closed when nobody listens.
                let _ = answers.send(Command::ExportTo(path));
                ctx.request_repaint();
            }
        });
        if spawned.is_err() {
            let _ = self.answers.0.try_send(Command::DialogsChecked(false));
        }
    }

    /// Asks for a name and writes what the scan knows of each tensor there.
    pub(super) fn save_statistics(&self, id: CheckpointId, ctx: &egui::Context) {
        let Some(entry) = self.state.session.entry(id) else { return };
        let Some(checkpoint) = entry.checkpoint.value().cloned() else { return };
        let scan = entry.scan.clone();
        let (answers, ctx) = (self.answers.0.clone(), ctx.clone());
        let name = format!("{}-statistics.csv", entry.path.file_stem().unwrap_or_default().to_string_lossy());
        let spawned = std::thread::Builder::new().name("save-dialog".to_owned()).spawn(move || {
            let dialog = rfd::FileDialog::new().set_title("Save statistics").set_file_name(name);
            let Some(path) = dialog.add_filter("CSV", &["csv"]).save_file() else { return };
            let rows = checkpoint.tensors().map(|(id, _)| (id, scan.tensor(id)));
            let shown = crate::text::escape(&path.to_string_lossy());
            let _ = answers.send(match save_statistics(&checkpoint, rows, &path, true) {
                Ok(()) => Command::Tell(Severity::Info, format!("Saved {shown}")),
                Err(error) => Command::Tell(Severity::Error, format!("Failed to save {shown}: {error}")),
            });
            ctx.request_repaint();
        });
        if spawned.is_err() {
            let _ = self.answers.0.try_send(Command::DialogsChecked(false));
        }
    }
}
