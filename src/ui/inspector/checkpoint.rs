//! The checkpoint as a whole: totals, bytes by dtype, problems.

use egui::{RichText, Ui};

use super::health::health_ui;
use super::layer_table::layers_ui;
use super::parts::{Cell, bar_line_ui, grid_ui, name_ui, problems_ui, title_ui};
use super::tensor_table::TensorTable;
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

/// The summary.
#[derive(Default)]
pub(super) struct CheckpointSummary {
    tab: Tab,
    table: TensorTable,
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
            Tab::Overview => overview_ui(ui, ctx, entry, checkpoint),
            Tab::Layers => layers_ui(ui, ctx, entry, checkpoint),
            Tab::Tensors => self.table.ui(ui, ctx, entry, checkpoint, checkpoint.layer_tree().root()),
        }
    }
}

fn overview_ui(ui: &mut Ui, ctx: &ViewContext<'_>, entry: &OpenCheckpoint, checkpoint: &Checkpoint) {
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
    ctx.theme.card().show(ui, |ui| grid_ui(ui, ctx, &cells, (ui.available_width() / 3.0).clamp(76.0, 118.0)));
    ui.add_space(theme::STEP);
    ctx.theme.card().show(ui, |ui| health_ui(ui, ctx, entry, checkpoint));
    if !entry.series.is_empty() {
        ui.add_space(theme::STEP);
        ctx.theme.card().show(ui, |ui| series_ui(ui, ctx, entry));
    }

    if let Some(kinds) = entry.tree.kinds().filter(|kinds| !kinds.dtypes.is_empty()) {
        ui.add_space(theme::STEP);
        ctx.theme.card().show(ui, |ui| {
            title_ui(ui, ctx, "Bytes by dtype");
            let most = kinds.dtypes.iter().map(|share| share.bytes).max().unwrap_or(1).max(1);
            for share in &kinds.dtypes {
                let fraction = share.bytes as f64 / most as f64;
                let detail = tensors(share.tensors);
                bar_line_ui(
                    ui,
                    ctx,
                    share.dtype.name(),
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
        let more = entry.series.len() as u64;
        let noun = if more == 1 { "checkpoint" } else { "checkpoints" };
        let text = format!("{} more {noun} in this folder", text::count(more));
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
