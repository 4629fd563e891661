//! Runs effects: submits jobs, shows native dialogs, copies, quits.

use std::path::Path;

use super::ExplorerApp;
use crate::formats::FORMATS;
use crate::jobs::ReportFormat;
use crate::jobs::watch::Watched;
use crate::state::{Command, CompareChange, Effect, ThemeChoice};
use crate::ui::tree_table;

impl ExplorerApp {
    /// Makes an effect happen. Nothing here waits.
    pub(super) fn run_effect(&mut self, effect: Effect, ctx: &egui::Context) {
        match effect {
            Effect::Submit(request) => self.jobs.submit(request),
            Effect::Cancel(key) => self.jobs.cancel(&key),
            Effect::CancelAllOf(id) => self.jobs.cancel_all_of(id),
            Effect::PickNative { folder } => self.pick(folder, ctx),
            Effect::CopyText(text) => ctx.copy_text(text),
            Effect::SavePicture { name, picture } => self.save_svg(name, picture, ctx),
            Effect::PickReport { name, format } => self.pick_report(name, format, ctx),
            Effect::PickTarget { path, folder } => self.pick_target(path, folder, ctx),
            Effect::SaveStatistics(id) => self.save_statistics(id, ctx),
            Effect::Capture { name, rect, to_file } => self.capture(name, rect, to_file, ctx),
            Effect::FocusFilter => ctx.memory_mut(|memory| memory.request_focus(tree_table::filter_id())),
            Effect::ApplyAppearance => self.apply_appearance(ctx),
            Effect::WatchFiles => {
                let entries = self.state.session.entries.iter();
                let real = entries.filter(|entry| entry.example.is_none());
                let mut files: Vec<_> =
                    real.map(|entry| (Watched::Checkpoint(entry.id), entry.path.clone())).collect();
                files.extend(self.state.curves.watched().into_iter().map(|path| (Watched::Curves, path)));
                self.watch.set(files);
            }
            Effect::Quit => ctx.send_viewport_cmd(egui::ViewportCommand::Close),
        }
    }

    /// Uses the colours and the scale of the settings.
    pub(super) fn apply_appearance(&self, ctx: &egui::Context) {
        ctx.set_theme(match self.state.settings.theme {
            ThemeChoice::System => egui::ThemePreference::System,
            ThemeChoice::Dark => egui::ThemePreference::Dark,
            ThemeChoice::Light => egui::ThemePreference::Light,
        });
        ctx.set_zoom_factor(self.state.settings.zoom);
    }

    /// Shows the desktop's dialog on a thread of its own; the answer comes as a command.
    fn pick(&self, folder: bool, ctx: &egui::Context) {
        let (answers, ctx) = (self.answers.0.clone(), ctx.clone());
        let recent = self.state.settings.recents.first();
        let start = recent.and_then(|recent| recent.path.parent()).map(Path::to_owned);
        let spawned = std::thread::Builder::new().name("file-dialog".to_owned()).spawn(move || {
            let mut dialog = rfd::FileDialog::new();
            if let Some(start) = start.filter(|start| start.is_dir()) {
                dialog = dialog.set_directory(start);
            }
            let picked = if folder {
                dialog.set_title("Open folder").pick_folder().map(|path| vec![path])
            } else {
                let all: Vec<&str> = FORMATS.iter().flat_map(|format| format.extensions()).copied().collect();
                // Checkpoints often have no ending, so everything is offered too.
                dialog
                    .set_title("Open checkpoint")
                    .add_filter("All files", &["*"])
                    .add_filter("Checkpoints", &all)
                    .pick_files()
            };
            if let Some(paths) = picked {
                // The window is closed when nobody listens.
                let _ = answers.send(Command::OpenPaths(paths));
                ctx.request_repaint();
            }
        });
        if spawned.is_err() {
            let _ = self.answers.0.send(Command::DialogsChecked(false));
        }
    }

    /// Asks on a thread of its own where to save a report.
    fn pick_report(&self, name: String, format: ReportFormat, ctx: &egui::Context) {
        let (answers, ctx) = (self.answers.0.clone(), ctx.clone());
        let spawned = std::thread::Builder::new().name("save-dialog".to_owned()).spawn(move || {
            let extension = format.extension();
            let dialog = rfd::FileDialog::new()
                .set_title("Save report")
                .set_file_name(name)
                .add_filter(extension.to_uppercase(), &[extension]);
            if let Some(path) = dialog.save_file() {
                // The window is closed when nobody listens.
                let _ = answers.send(Command::Compare(CompareChange::SaveReportTo(format, path)));
                ctx.request_repaint();
            }
        });
        if spawned.is_err() {
            let _ = self.answers.0.send(Command::DialogsChecked(false));
        }
    }

    /// Finds out once whether native dialogs can be shown, without keeping the window waiting.
    pub(super) fn check_dialogs(&self, ctx: &egui::Context) {
        let (answers, ctx) = (self.answers.0.clone(), ctx.clone());
        // Without the thread the answer stays unknown, and dialogs are tried.
        let _ = std::thread::Builder::new().name("dialog-check".to_owned()).spawn(move || {
            let _ = answers.send(Command::DialogsChecked(dialogs_exist()));
            ctx.request_repaint();
        });
    }
}

/// On Linux a dialog comes from a portal on the session bus or from zenity; elsewhere the system always has one.
fn dialogs_exist() -> bool {
    if cfg!(any(target_os = "windows", target_os = "macos")) {
        return true;
    }
    let bus = std::env::var_os("DBUS_SESSION_BUS_ADDRESS").is_some_and(|address| !address.is_empty())
        || std::env::var_os("XDG_RUNTIME_DIR").is_some_and(|folder| Path::new(&folder).join("bus").exists());
    let portal = ["/usr/libexec", "/usr/lib", "/usr/lib/xdg-desktop-portal"]
        .iter()
        .any(|folder| Path::new(folder).join("xdg-desktop-portal").exists());
    let zenity = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join("zenity").is_file()));
    (bus && portal) || zenity
}
