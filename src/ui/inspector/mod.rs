//! What is selected, in detail: a tensor, a layer, or the checkpoint as a whole.

mod checkpoint;
mod health;
pub(super) mod heat_map;
mod heat_map_paint;
mod heat_map_view;
mod layer;
mod layer_table;
mod norms;
pub(super) mod parts;
pub(super) mod slice_picker;
mod spectrum;
mod tensor;
mod tensor_table;
mod treemap;
pub(super) mod values;
pub(super) mod values_table;

use std::sync::Arc;

use egui::{Frame, Margin, RichText, ScrollArea, Ui, Vec2};

use super::ViewContext;
use super::widgets::{failed_ui, loading_ui};
use crate::jobs::{JobKey, Loadable};
use crate::model::Checkpoint;
use crate::state::{Command, Item, OpenCheckpoint};

pub use health::health_ui;
pub use parts::problems_ui;

/// The inspector, with numbers made when what they are of changes.
#[derive(Default)]
pub struct Inspector {
    checkpoint: checkpoint::CheckpointSummary,
    layer: layer::LayerView,
    tensor: tensor::TensorView,
    values: values::ValuesView,
}

impl Inspector {
    /// Draws it.
    pub fn ui(
        &mut self,
        ui: &mut Ui,
        ctx: &ViewContext<'_>,
        entry: &OpenCheckpoint,
        checkpoint: &Arc<Checkpoint>,
    ) {
        ScrollArea::vertical()
            .id_salt(("inspector", entry.id, entry.tree.selected()))
            .auto_shrink(false)
            .show(ui, |ui| {
                Frame::new().inner_margin(Margin::same(16)).show(ui, |ui| {
                    ui.spacing_mut().item_spacing = Vec2::new(6.0, 6.0);
                    banner_ui(ui, ctx, entry);
                    match entry.tree.selected() {
                        Some(Item::Tensor(id)) => {
                            self.tensor.ui(ui, ctx, &mut self.values, entry, checkpoint, id);
                        }
                        Some(Item::Group(id)) => {
                            self.layer.ui(ui, ctx, &mut self.values, entry, checkpoint, id);
                        }
                        None => self.checkpoint.ui(ui, ctx, entry, checkpoint),
                    }
                });
            });
    }
}

/// What concerns the entry as a whole: reloading, a failed reload, a changed file.
fn banner_ui(ui: &mut Ui, ctx: &ViewContext<'_>, entry: &OpenCheckpoint) {
    match &entry.checkpoint {
        Loadable::Failed { error, .. } => {
            let retry = failed_ui(ui, ctx.theme, "Reloading failed; what was read before is shown", error);
            if retry {
                ctx.commands.send(Command::Reload(entry.id));
            }
        }
        Loadable::Pending { since, .. } => {
            let cancel = loading_ui(ui, ctx.theme, "Reloading…", *since);
            if cancel {
                ctx.commands.send(Command::Cancel(JobKey::Open(entry.id)));
            }
        }
        _ if entry.changed_on_disk => {
            ui.horizontal(|ui| {
                ui.label(RichText::new("The file changed on disk").color(ctx.theme.partner));
                if ui.button("Reload").clicked() {
                    ctx.commands.send(Command::Reload(entry.id));
                }
            });
        }
        _ => {}
    }
}
