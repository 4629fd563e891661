//! The Explore page: the tree table at the left, the inspector of what is selected at the right.

use std::sync::Arc;

use egui::{CentralPanel, Frame, Margin, Panel, Ui};

use super::widgets::{failed_ui, loading_ui};
use super::{ViewContext, Views};
use crate::jobs::{JobKey, Loadable};
use crate::model::Checkpoint;
use crate::state::{Command, OpenCheckpoint};

/// Draws the page of a checkpoint that is there.
pub fn explore_ui(
    views: &mut Views,
    ui: &mut Ui,
    ctx: &ViewContext<'_>,
    entry: &OpenCheckpoint,
    checkpoint: &Arc<Checkpoint>,
) {
    let width = ui.available_width();
    Panel::right("inspector")
        .default_size((width * 0.39).clamp(300.0, 560.0))
        .size_range((width * 0.32).clamp(280.0, 400.0)..=(width - 380.0).max(300.0))
        .resizable(true)
        .frame(Frame::new().fill(ctx.theme.panel))
        .show(ui, |ui| views.inspector.ui(ui, ctx, entry, checkpoint));
    CentralPanel::default()
        .frame(Frame::new().fill(ctx.theme.window))
        .show(ui, |ui| views.tree_table.ui(ui, ctx, entry, checkpoint));
}

/// Draws what is known of a checkpoint that is not there: on its way, or failed.
pub fn not_ready_ui(ui: &mut Ui, ctx: &ViewContext<'_>, entry: &OpenCheckpoint) {
    Frame::new().inner_margin(Margin::same(24)).show(ui, |ui| {
        ui.set_max_width(640.0);
        match &entry.checkpoint {
            Loadable::Pending { since, .. } => {
                if loading_ui(ui, ctx.theme, &format!("Opening {}…", entry.name), *since) {
                    ctx.commands.send(Command::Cancel(JobKey::Open(entry.id)));
                }
            }
            Loadable::Failed { error, .. } => {
                if failed_ui(ui, ctx.theme, &format!("{} could not be opened", entry.name), error) {
                    ctx.commands.send(Command::Reload(entry.id));
                }
            }
            Loadable::NotRequested | Loadable::Ready(_) => {}
        }
    });
}
