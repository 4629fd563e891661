//! The checkpoint as a whole: totals, bytes by dtype, problems.

use egui::{RichText, Ui};

use super::health::health_ui;
use super::layer_table::LayersView;
use super::parts::{Cell, bar_line_ui, grid_ui, name_ui, problems_ui, title_ui};
use super::tensor_table::TensorTable;
use crate::jobs::CheckpointId;
use crate::model::Checkpoint;
use crate::state::session::display_name;
use crate::state::{Command, OpenCheckpoint};
use crate::text;
use crate::ui::widgets::{chip_ui, tabs_ui, tensors};
use crate::ui::{ViewContext, theme};

/// Neighbours that are listed.
const SERIES_SHOWN: usize = 24;
/// Neighbours that one click opens.
const SERIES_OPENED: usize = 32;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Tab {
    #[default]
    Overview,
    Layers,
    Tensors,
}

/// The summary, with sums made when another checkpoint is shown.
#[derive(Default)]
pub(super) struct CheckpointSummary {
    tab: Tab,
    layers: LayersView,
    table: TensorTable,
    breakdown: Option<(CheckpointId, Vec<Share>)>,
}

impl CheckpointSummary {
    /// Draws it.
    pub(super) fn ui(
        &mut self,
        ui: &mut Ui,
        ctx: &ViewContext<'_>,
        entry: &OpenCheckpoint,
        checkpoint: &Checkpoint,
    ) {
        let totals = checkpoint.totals();
        name_ui(ui, ctx, &entry.name);
        ui.horizontal_wrapped(|ui| {
            chip_ui(ui, ctx.theme, checkpoint.format());
            if let Some(framework) = checkpoint.framework() {
                chip_ui(ui, ctx.theme, &text::escape(framework));
            }
            chip_ui(ui, ctx.theme, &text::bytes(totals.file_bytes));
        });
        ui.add_space(theme::STEP);
        let tabs = [(Tab::Overview, "Overview"), (Tab::Layers, "Layers"), (Tab::Tensors, "Tensors")];
        tabs_ui(ui, ctx.theme, &tabs, &mut self.tab);
        ui.add_space(theme::STEP);
        match self.tab {
            Tab::Overview => self.overview_ui(ui, ctx, entry, checkpoint),
            Tab::Layers => self.layers.ui(ui, ctx, entry, checkpoint),
            Tab::Tensors => self.table.ui(ui, ctx, entry, checkpoint, checkpoint.layer_tree().root()),
        }
    }

    fn overview_ui(
        &mut self,
        ui: &mut Ui,
        ctx: &ViewContext<'_>,
        entry: &OpenCheckpoint,
        checkpoint: &Checkpoint,
    ) {
        let totals = checkpoint.totals();
        let known = |value: Option<u64>| value.map_or_else(|| "not told".to_owned(), text::count);
        let cells = [
            ("parameters", known(totals.parameters)),
            ("trainable", known(totals.trainable)),
            ("non-trainable", known(totals.non_trainable)),
            ("buffers", text::count(totals.buffers)),
            ("optimizer", text::count(totals.optimizer)),
            ("tensors", text::count(totals.tensors)),
            ("elements", text::count(totals.elements)),
            ("tensor bytes", text::bytes(totals.tensor_bytes)),
            ("file", text::bytes(totals.file_bytes)),
        ];
        let cells: Vec<Cell> = cells
            .into_iter()
            .map(|(label, value)| Cell { label, exact: value.clone(), value, alarming: false })
            .collect();
        ctx.theme.card().show(ui, |ui| grid_ui(ui, ctx, &cells, 118.0));
        ui.add_space(theme::STEP);
        ctx.theme.card().show(ui, |ui| health_ui(ui, ctx, entry, checkpoint));
        if !entry.series.is_empty() {
            ui.add_space(theme::STEP);
            ctx.theme.card().show(ui, |ui| series_ui(ui, ctx, entry));
        }

        if self.breakdown.as_ref().is_none_or(|(of, _)| *of != entry.id) {
            self.breakdown = Some((entry.id, dtype_shares(checkpoint)));
        }
        if let Some((_, shares)) = &self.breakdown
            && !shares.is_empty()
        {
            ui.add_space(theme::STEP);
            ctx.theme.card().show(ui, |ui| {
                title_ui(ui, ctx, "Bytes by dtype");
                let most = shares.iter().map(|share| share.bytes).max().unwrap_or(1).max(1);
                for share in shares {
                    let fraction = share.bytes as f64 / most as f64;
                    let detail = tensors(share.tensors);
                    bar_line_ui(
                        ui,
                        ctx,
                        &share.label,
                        &detail,
                        &text::bytes(share.bytes),
                        fraction as f32,
                        None,
                    );
                }
            });
        }
        if !checkpoint.problems().is_empty() {
            ui.add_space(theme::STEP);
            ctx.theme.card().show(ui, |ui| problems_ui(ui, ctx, entry, checkpoint));
        }
        ui.add_space(theme::STEP * 2.0);
        let hint = "Select a layer or a tensor to see its values";
        ui.label(RichText::new(hint).font(theme::label()).color(ctx.theme.text_second));
    }
}

/// Checkpoints of the same series: a click opens one, the button all.
fn series_ui(ui: &mut Ui, ctx: &ViewContext<'_>, entry: &OpenCheckpoint) {
    let closed: Vec<&std::path::PathBuf> = entry
        .series
        .iter()
        .filter(|path| ctx.state.session.find(path).is_none())
        .take(SERIES_SHOWN + 1)
        .collect();
    ui.set_width(ui.available_width());
    ui.horizontal(|ui| {
        title_ui(ui, ctx, "Series");
        let text = format!("{} more checkpoints in this folder", text::count(entry.series.len() as u64));
        ui.label(RichText::new(text).font(theme::label()).color(ctx.theme.text_second));
        ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
            if !closed.is_empty() && entry.series.len() <= SERIES_OPENED && ui.button("Open all").clicked() {
                ctx.commands.send(Command::OpenPaths(entry.series.clone()));
                ctx.commands.send(Command::Show(entry.id));
            }
        });
    });
    ui.horizontal_wrapped(|ui| {
        for path in closed.iter().take(SERIES_SHOWN) {
            if ui.link(display_name(path)).on_hover_text(path.to_string_lossy()).clicked() {
                ctx.commands.send(Command::OpenPaths(vec![(*path).clone()]));
            }
        }
        if closed.len() > SERIES_SHOWN {
            ui.label(RichText::new("…").color(ctx.theme.text_second));
        }
    });
}

/// What one dtype has of the file.
struct Share {
    label: String,
    tensors: u64,
    bytes: u64,
}

fn dtype_shares(checkpoint: &Checkpoint) -> Vec<Share> {
    let mut shares: Vec<Share> = Vec::new();
    let mut places = std::collections::HashMap::new();
    for (_, tensor) in checkpoint.tensors() {
        let place = *places.entry(&tensor.dtype).or_insert_with(|| {
            shares.push(Share { label: tensor.dtype.name().to_owned(), tensors: 0, bytes: 0 });
            shares.len() - 1
        });
        if let Some(share) = shares.get_mut(place) {
            share.tensors += 1;
            share.bytes = share.bytes.saturating_add(tensor.stored_bytes);
        }
    }
    shares.sort_by_key(|share| std::cmp::Reverse(share.bytes));
    shares
}
