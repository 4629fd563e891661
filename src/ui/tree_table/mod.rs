//! The tree table: one line per layer and tensor. Draws only visible rows; the rows themselves are made in state.

mod columns;
mod filter_bar;
mod header;
mod line;
mod mark;

use egui::{Frame, Id, Margin, Panel, Rect, Role, ScrollArea, Sense, Ui, Vec2, WidgetInfo};

use super::widgets::rows::{RowsInView, Walk, has_keys, no_rows_ui};
use super::widgets::tensors;
use super::{ViewContext, selection_bar, theme};
use crate::jobs::CheckpointId;
use crate::model::Checkpoint;
use crate::state::tree::{self, Item, TreeChange};
use crate::state::{Command, OpenCheckpoint, ScanStatus, TreeState};
use crate::text;
use columns::{Columns, Telling};
use line::Line;

/// The filter's identity, so that a key can put the cursor there.
pub fn filter_id() -> Id {
    Id::unique("tensor_filter")
}

/// The table of the shown checkpoint.
#[derive(Default)]
pub struct TreeTable {
    view: RowsInView<CheckpointId>,
    /// How far the columns beside the name are scrolled.
    across: f32,
}

impl TreeTable {
    /// Draws filter, header, rows and footer.
    pub fn ui(
        &mut self,
        ui: &mut Ui,
        ctx: &ViewContext<'_>,
        entry: &OpenCheckpoint,
        checkpoint: &Checkpoint,
    ) {
        Panel::top("tree_filter")
            .exact_size(theme::TOOL_BAR_HEIGHT)
            .resizable(false)
            .frame(Frame::new().inner_margin(Margin::symmetric(10, 0)))
            .show(ui, |ui| filter_bar::filter_bar_ui(ui, ctx, entry));
        Panel::bottom("tree_footer")
            .exact_size(32.0)
            .resizable(false)
            .frame(Frame::new().inner_margin(Margin::symmetric(12, 0)))
            .show(ui, |ui| {
                if entry.marks.is_empty() {
                    footer_ui(ui, ctx, entry, checkpoint);
                } else {
                    selection_bar::selection_bar_ui(ui, ctx, entry);
                }
            });
        let telling = Telling {
            classes: entry.tree.kinds().is_some_and(|kinds| kinds.classes),
            roles: entry.tree.kinds().is_some_and(|kinds| kinds.roles.len() > 1),
        };
        let columns = Columns::new(ui.available_width(), telling, &ctx.state.settings);
        self.across = self.across.min(columns.total - ui.available_width());
        ui.spacing_mut().item_spacing.y = 0.0;
        header::header_ui(ui, ctx, entry, &columns, self.across);
        self.rows_ui(ui, ctx, entry, checkpoint, &columns);
    }

    fn rows_ui(
        &mut self,
        ui: &mut Ui,
        ctx: &ViewContext<'_>,
        entry: &OpenCheckpoint,
        checkpoint: &Checkpoint,
        columns: &Columns,
    ) {
        let rows = entry.tree.rows();
        let whole = ui.available_rect_before_wrap();
        let id = Id::unique(("tree_rows", entry.id));
        let table = ui.interact(whole, id, Sense::click());
        table.widget_info(|| WidgetInfo::labeled(Role::Tree, true, "Tensors"));
        // Not by a key: Space selects for export.
        if table.clicked_by(egui::PointerButton::Primary) {
            ctx.commands.send(Command::Tree(entry.id, TreeChange::Select(None)));
        }
        self.keys(ui, ctx, entry, id);
        if rows.is_empty() {
            let message = if entry.tree.is_awaiting_rows() {
                "Putting the tree in order…"
            } else if entry.tree.matching().is_some() {
                "No tensor passes the filter"
            } else {
                "This file holds no tensors"
            };
            no_rows_ui(ui, ctx, whole, message);
            return;
        }
        let area = ScrollArea::both().id_salt(("tree_scroll", entry.id)).auto_shrink(false);
        let area = self.view.scrolled(area, entry.id, entry.tree.scroll_to());
        let largest = tree::bytes(checkpoint, Item::Group(checkpoint.layer_tree().root())).max(1);
        let output = area.show_viewport(ui, |ui, viewport| {
            ui.set_min_size(Vec2::new(columns.total, rows.len() as f32 * theme::ROW_HEIGHT));
            let row_height = f64::from(theme::ROW_HEIGHT);
            let (top, bottom) = (f64::from(viewport.top()).max(0.0), f64::from(viewport.bottom()));
            let (first, last) = ((top / row_height) as usize, (bottom / row_height).ceil() as usize);
            for (index, row) in rows.iter().enumerate().take(last).skip(first) {
                // From the first visible row: places of a million rows have no room for fractions in 32 bits.
                let y = whole.top() + (index as f64 * row_height - f64::from(viewport.top())) as f32;
                let size = Vec2::new(whole.width(), theme::ROW_HEIGHT);
                let rect = Rect::from_min_size(egui::pos2(whole.left(), y), size);
                let line =
                    Line { ctx, entry, checkpoint, columns, largest, table: id, across: viewport.left() };
                line.ui(ui, rect, index, *row);
            }
        });
        self.across = output.state.clamped_offset().x;
        self.view.shown(ui, ctx, id, whole, &output);
    }

    /// Keys that walk the table.
    fn keys(&self, ui: &Ui, ctx: &ViewContext<'_>, entry: &OpenCheckpoint, id: Id) {
        if !has_keys(ui, id) {
            return;
        }
        mark::keys(ui, ctx, entry);
        let group = match entry.tree.selected() {
            Some(Item::Group(group)) => Some(group),
            _ => None,
        };
        for walk in self.view.walked(ui, group.is_some()) {
            let change = match (walk, group) {
                (Walk::Move(by), _) => TreeChange::Move(by),
                (Walk::Expand, _) => TreeChange::Expand,
                (Walk::Collapse, _) => TreeChange::Collapse,
                (Walk::Toggle, Some(group)) => TreeChange::Toggle(group),
                (Walk::Toggle, None) => continue,
            };
            ctx.commands.send(Command::Tree(entry.id, change));
        }
    }
}

fn footer_ui(ui: &mut Ui, ctx: &ViewContext<'_>, entry: &OpenCheckpoint, checkpoint: &Checkpoint) {
    let state: &TreeState = &entry.tree;
    let totals = checkpoint.totals();
    let mut parts = Vec::new();
    match totals.parameters {
        Some(parameters) => parts.push(format!("{} parameters", text::count(parameters))),
        None => parts.push(format!("{} elements", text::count(totals.elements))),
    }
    parts.push(tensors(totals.tensors));
    parts.push(text::bytes(totals.stored_bytes));
    for (count, what) in [(totals.buffers, "in buffers"), (totals.optimizer, "in optimizer state")] {
        if count > 0 {
            parts.push(format!("{} {what}", text::short_count(count)));
        }
    }
    if let Some(matching) = state.matching() {
        parts.insert(0, format!("{} match the filter", text::count(matching as u64)));
    }
    if state.is_awaiting_rows() {
        parts.insert(0, "Putting in order…".to_owned());
    }
    if entry.scan.status == ScanStatus::Running && !ctx.state.settings.statistics_columns.is_empty() {
        let done = text::count(entry.scan.done() as u64);
        parts.insert(0, format!("{done} of {} tensors scanned", text::count(totals.tensors)));
    }
    ui.horizontal_centered(|ui| {
        let text = egui::RichText::new(parts.join(" · ")).color(ctx.theme.text_second);
        ui.add(egui::Label::new(text).truncate());
    });
}
