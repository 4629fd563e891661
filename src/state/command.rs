//! Everything a user can do, each with its label, tooltip and shortcut.
//!
//! Menus, keys and buttons all send a [`Command`]; only [`super::apply()`] carries one out. Shortcuts are
//! a type of our own, so that this layer knows no window.

use std::path::PathBuf;

use super::compare::CompareChange;
use super::curves::CurvesChange;
use super::export::ExportForm;
use super::scan::Statistic;
use super::selection::MarkChange;
use super::settings::{Clip, ThemeChoice, ValueScale};
use super::table::TableChange;
use super::tree::{SortColumn, TreeChange};
use crate::jobs::{CheckpointId, JobEvent, JobKey, LookKey, StatisticsKey};
use crate::model::{RenameRule, Severity};

/// A page of the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum Page {
    /// Tree and inspector.
    #[default]
    Explore,
    /// Two checkpoints side by side.
    Compare,
    /// Training curves, the best checkpoint, how layers moved.
    Curves,
    /// Everything that is not a tensor.
    Metadata,
    /// What the file would do when it is loaded.
    Safety,
}

impl Page {
    /// All pages, in the order of the control and of the keys Ctrl+1, Ctrl+2, ….
    pub const ALL: [Page; 5] = [Page::Explore, Page::Compare, Page::Curves, Page::Metadata, Page::Safety];

    /// Its name.
    pub fn label(self) -> &'static str {
        match self {
            Self::Explore => "Explore",
            Self::Compare => "Compare",
            Self::Curves => "Curves",
            Self::Metadata => "Metadata",
            Self::Safety => "Safety",
        }
    }
}

/// Something a user can do, or that happened outside.
#[derive(Debug, Clone)]
pub enum Command {
    /// Asks for a file.
    OpenFile,
    /// Asks for a folder.
    OpenFolder,
    /// Opens paths.
    OpenPaths(Vec<PathBuf>),
    /// Opens an embedded example.
    OpenExample(usize),
    /// Changes the text of the dialog that stands in for a native one.
    EditPath(String),
    /// Closes that dialog.
    ClosePathDialog,
    /// Closes a checkpoint.
    Close(CheckpointId),
    /// Closes the one that is shown.
    CloseCurrent,
    /// Reads a checkpoint again.
    Reload(CheckpointId),
    /// Reads the shown one again.
    ReloadCurrent,
    /// Shows a checkpoint.
    Show(CheckpointId),
    /// Shows a page.
    ShowPage(Page),
    /// Changes rows or selection of a tree.
    Tree(CheckpointId, TreeChange),
    /// The same, for the one that is shown.
    TreeCurrent(TreeChange),
    /// Changes the table of statistics.
    Table(CheckpointId, TableChange),
    /// Asks for the layers as a summary prints them.
    CountLayers(CheckpointId),
    /// Asks for statistics, also after a failure or for a large group.
    Summarise(StatisticsKey),
    /// Stops a job.
    Cancel(JobKey),
    /// Puts text into the clipboard; `what` names it.
    Copy {
        /// What it is, such as `name`.
        what: &'static str,
        /// The text.
        text: String,
    },
    /// Copies the full name of what is selected.
    CopySelectedName,
    /// Changes what is selected for export.
    Mark(CheckpointId, MarkChange),
    /// The same, for the checkpoint that is shown.
    MarkCurrent(MarkChange),
    /// Copies the names of what is selected for export.
    CopySelectedNames,
    /// Opens the export dialog.
    ShowExport,
    /// Opens the export dialog for what a model needs of a checkpoint, under other names: with the rules that
    /// [`crate::analysis::compatibility::Compatibility::export_rules`] gives.
    ExportRenamed(CheckpointId, Vec<RenameRule>),
    /// Changes what the export dialog holds.
    EditExport(Box<ExportForm>),
    /// Asks where to save the export.
    BrowseExport,
    /// Saves the export there.
    ExportTo(PathBuf),
    /// Starts the export.
    StartExport,
    /// Closes the export dialog.
    CloseExport,
    /// Asks where to save a table of statistics.
    SaveStatistics,
    /// Puts the cursor into the filter.
    FocusFilter,
    /// Chooses the colours.
    SetTheme(ThemeChoice),
    /// Enlarges everything.
    ZoomIn,
    /// Makes everything smaller.
    ZoomOut,
    /// Back to the size the desktop asks for.
    ZoomReset,
    /// Sets the bins of histograms.
    SetHistogramBins(usize),
    /// Sets the scale of counts in histograms.
    SetHistogramLog(bool),
    /// Sets how histograms lay out values.
    SetHistogramScale(ValueScale),
    /// Sets which values histograms leave out.
    SetHistogramClip(Clip),
    /// Turns the scan of checkpoints that are opened on or off.
    SetScanOnOpen(bool),
    /// Computes the statistics of every tensor.
    Scan(CheckpointId),
    /// Looks again at what the file would do when it is loaded.
    Examine(CheckpointId),
    /// Asks for a closer look at a tensor, where it is not known yet.
    Look(LookKey),
    /// Asks for it again, after a failure.
    LookAgain(LookKey),
    /// Sets which values the colours of heat maps span.
    SetColourRange(Clip),
    /// Asks where to save a picture.
    SavePicture {
        /// File name to suggest.
        name: String,
        /// The text of an SVG file.
        picture: String,
    },
    /// Copies or saves a part of the window as a picture.
    CapturePicture {
        /// File name to suggest.
        name: String,
        /// Left, top, right, bottom in points.
        rect: [f32; 4],
        /// To a file; otherwise to the clipboard.
        to_file: bool,
    },
    /// Changes what is compared, how, and what is shown of it.
    Compare(CompareChange),
    /// Changes the Curves page.
    Curves(CurvesChange),
    /// Says something in the status line.
    Tell(Severity, String),
    /// Shows or hides a statistic as a column of the tree.
    ShowStatistic(Statistic, bool),
    /// Sets the width of a column of the tree, in points; `None` for its own.
    SetColumnWidth(SortColumn, Option<f32>),
    /// Forgets the recent files.
    ClearRecents,
    /// Shows or hides what the program is.
    ShowAbout(bool),
    /// Removes the notice in the status line.
    DismissNotice,
    /// Ends the program.
    Quit,
    /// A job ended.
    JobEnded(JobEvent),
    /// The file of an opening changed on disk.
    FileChanged(CheckpointId),
    /// Whether native dialogs work was found out.
    DialogsChecked(bool),
}

/// A key with its modifiers. `command` is Ctrl, or ⌘ on a Mac.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shortcut {
    /// Ctrl or ⌘.
    pub command: bool,
    /// Shift.
    pub shift: bool,
    /// Name of the key, as egui spells it.
    pub key: &'static str,
}

impl Shortcut {
    const fn command(key: &'static str) -> Self {
        Self { command: true, shift: false, key }
    }

    /// For menus: `Ctrl+Shift+O`.
    pub fn text(self) -> String {
        let key = match self.key {
            "Plus" => "+",
            "Minus" => "−",
            key => key,
        };
        let modifier = match (self.command, cfg!(target_os = "macos")) {
            (false, _) => "",
            (true, false) => "Ctrl+",
            (true, true) => "⌘",
        };
        format!("{modifier}{}{key}", if self.shift { "Shift+" } else { "" })
    }
}

impl Command {
    /// The commands that have keys, for the key handler and the list of shortcuts.
    pub fn with_shortcuts() -> Vec<Command> {
        let mut commands = vec![
            Self::OpenFile,
            Self::OpenFolder,
            Self::CloseCurrent,
            Self::ReloadCurrent,
            Self::ShowExport,
            Self::FocusFilter,
            Self::ZoomIn,
            Self::ZoomOut,
            Self::ZoomReset,
            Self::TreeCurrent(TreeChange::ExpandAll),
            Self::TreeCurrent(TreeChange::CollapseAll),
            Self::Quit,
        ];
        commands.extend(Page::ALL.map(Self::ShowPage));
        commands
    }

    /// What menus and buttons call it. `…` where it asks for more.
    pub fn label(&self) -> &'static str {
        match self {
            Self::OpenFile => "Open file…",
            Self::OpenFolder => "Open folder…",
            Self::OpenPaths(_) => "Open",
            Self::OpenExample(_) => "Open example",
            Self::EditPath(_) => "Edit path",
            Self::ClosePathDialog | Self::CloseExport | Self::Cancel(_) => "Cancel",
            Self::Close(_) | Self::CloseCurrent => "Close",
            Self::Reload(_) | Self::ReloadCurrent => "Reload",
            Self::Show(_) => "Show",
            Self::ShowPage(page) => page.label(),
            Self::Tree(_, change) | Self::TreeCurrent(change) => match change {
                TreeChange::ExpandAll => "Expand all",
                TreeChange::CollapseAll => "Collapse all",
                TreeChange::ExpandTo(1) => "Expand one level",
                TreeChange::ExpandTo(_) => "Expand two levels",
                TreeChange::Select(None) => "Show checkpoint summary",
                _ => "Change tree",
            },
            Self::Table(..) => "Change table",
            Self::CountLayers(_) => "Layers",
            Self::Summarise(_) => "Compute statistics",
            Self::Copy { .. } => "Copy",
            Self::CopySelectedName => "Copy name",
            Self::Mark(_, change) | Self::MarkCurrent(change) => change.label(),
            Self::CopySelectedNames => "Copy names of selected tensors",
            Self::ShowExport | Self::ExportRenamed(..) => "Export…",
            Self::EditExport(_) => "Edit export",
            Self::BrowseExport => "Browse…",
            Self::ExportTo(_) | Self::StartExport => "Export",
            Self::SaveStatistics => "Save statistics table…",
            Self::FocusFilter => "Filter names",
            Self::SetTheme(ThemeChoice::System) => "Follow system",
            Self::SetTheme(ThemeChoice::Dark) => "Dark",
            Self::SetTheme(ThemeChoice::Light) => "Light",
            Self::ZoomIn => "Zoom in",
            Self::ZoomOut => "Zoom out",
            Self::ZoomReset => "Actual size",
            Self::SetHistogramBins(_) => "Bins",
            Self::SetHistogramLog(_) => "Logarithmic counts",
            Self::SetHistogramScale(_) => "Scale of values",
            Self::SetHistogramClip(_) => "Values shown",
            Self::SetScanOnOpen(_) => "Scan values when a checkpoint opens",
            Self::Scan(_) => "Scan values",
            Self::Examine(_) => "Look again",
            Self::Look(_) | Self::LookAgain(_) => "Look",
            Self::SetColourRange(_) => "Colour range",
            Self::SavePicture { .. } | Self::CapturePicture { to_file: true, .. } => "Save picture…",
            Self::CapturePicture { .. } => "Copy picture",
            Self::Curves(change) => match change {
                CurvesChange::Reload => "Read again",
                CurvesChange::ReadDrift => "Read how layers moved",
                CurvesChange::Follow(_) => "Follow new points",
                _ => "Change curves",
            },
            Self::Compare(change) => match change {
                CompareChange::Swap => "Swap sides",
                CompareChange::OpenOn(_) => "Open another…",
                CompareChange::Run => "Compare",
                CompareChange::DismissOffer => "Not now",
                _ => "Compare",
            },
            Self::ShowStatistic(statistic, _) => statistic.label(),
            Self::SetColumnWidth(..) => "Column width",
            Self::ClearRecents => "Clear recent files",
            Self::ShowAbout(_) => "About Ckptscope",
            Self::DismissNotice => "Dismiss",
            Self::Quit => "Quit",
            Self::Tell(..) | Self::JobEnded(_) | Self::FileChanged(_) | Self::DialogsChecked(_) => "",
        }
    }

    /// What it does, for hovering; empty where the label says it all.
    pub fn tooltip(&self) -> &'static str {
        match self {
            Self::OpenFile => "Open a PyTorch, Keras, TensorFlow or safetensors file",
            Self::OpenFolder => "Open a SavedModel, a sharded set or a distributed checkpoint",
            Self::Reload(_) | Self::ReloadCurrent => "Read the file again, keeping what is open and selected",
            Self::Close(_) | Self::CloseCurrent => "Close the checkpoint; the file stays as it is",
            Self::ShowExport => "Write selected tensors, or all, as another file",
            Self::SaveStatistics => "Save the statistics of every tensor as CSV",
            Self::Scan(_) => "Read all values once, for statistics columns and the health summary",
            Self::FocusFilter => {
                "Show only tensors whose name contains a text, fits a * pattern or a /regex/"
            }
            _ => "",
        }
    }

    /// Its key.
    pub fn shortcut(&self) -> Option<Shortcut> {
        match self {
            Self::OpenFile => Some(Shortcut::command("O")),
            Self::OpenFolder => Some(Shortcut { command: true, shift: true, key: "O" }),
            Self::CloseCurrent => Some(Shortcut::command("W")),
            Self::ReloadCurrent => Some(Shortcut::command("R")),
            Self::ShowExport => Some(Shortcut::command("E")),
            Self::FocusFilter => Some(Shortcut::command("K")),
            Self::ZoomIn => Some(Shortcut::command("Plus")),
            Self::ZoomOut => Some(Shortcut::command("Minus")),
            Self::ZoomReset => Some(Shortcut::command("0")),
            Self::ShowPage(Page::Explore) => Some(Shortcut::command("1")),
            Self::ShowPage(Page::Compare) => Some(Shortcut::command("2")),
            Self::ShowPage(Page::Curves) => Some(Shortcut::command("3")),
            Self::ShowPage(Page::Metadata) => Some(Shortcut::command("4")),
            Self::ShowPage(Page::Safety) => Some(Shortcut::command("5")),
            Self::TreeCurrent(TreeChange::ExpandAll) => {
                Some(Shortcut { command: true, shift: true, key: "E" })
            }
            Self::TreeCurrent(TreeChange::CollapseAll) => {
                Some(Shortcut { command: true, shift: true, key: "W" })
            }
            Self::Quit => Some(Shortcut::command("Q")),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_commands_share_a_shortcut() {
        let mut seen = std::collections::HashMap::new();
        for command in Command::with_shortcuts() {
            let shortcut = command.shortcut().unwrap_or_else(|| panic!("{} has no key", command.label()));
            if let Some(other) = seen.insert(shortcut, command.label()) {
                panic!("{} and {other} share {}", command.label(), shortcut.text());
            }
        }
    }
}
