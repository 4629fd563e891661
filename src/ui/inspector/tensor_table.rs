//! The statistics of all tensors below a layer as a table that sorts by any of them. Draws only visible rows; their
//! order is made in state.

use egui::{Align2, Rect, RichText, Role, ScrollArea, Sense, Ui, Vec2, WidgetInfo};

use super::parts::{Copies, remember_rect, table_head_ui};
use crate::jobs::Loadable;
use crate::model::{Checkpoint, NodeId, TensorId};
use crate::state::tree::{Item, TreeChange};
use crate::state::{Command, OpenCheckpoint, ScanStatus, Statistic, TableChange};
use crate::text;
use crate::ui::widgets::{clipped_name, clipped_text, statistic_text, tensors};
use crate::ui::{ViewContext, theme};

const ROW: f32 = 22.0;
const HEAD: f32 = 26.0;
const COLUMN: f32 = 78.0;
/// Rows that are copied as text, at most.
const COPIED: usize = 50_000;

/// The table of a group.
#[derive(Default)]
pub(super) struct TensorTable {
    /// How far the numbers are scrolled. The name stays in view.
    across: f32,
}

impl TensorTable {
    /// Draws the table.
    pub(super) fn ui(
        &mut self,
        ui: &mut Ui,
        ctx: &ViewContext<'_>,
        entry: &OpenCheckpoint,
        checkpoint: &Checkpoint,
        id: NodeId,
    ) {
        if entry.table.group() != Some(id) {
            ctx.commands.send(Command::Table(entry.id, TableChange::Show(id)));
        }
        let path = checkpoint.layer_tree().path(id);
        let table = Table {
            ctx,
            entry,
            checkpoint,
            // Characters of the group's own name that rows leave out.
            prefix: if path.is_empty() { 0 } else { path.len() + 1 },
            name: (ui.available_width() * 0.4).clamp(130.0, 260.0),
        };
        let text = || table.text();
        let copies = Copies { text: Some(&text), ..Copies::default() };
        let name = if path.is_empty() { &entry.name } else { &path };
        table_head_ui(ui, ctx, (name, "statistics"), &copies, |ui| note_ui(ui, ctx, entry));
        let bottom = ui.ctx().content_rect().bottom() - theme::STATUS_HEIGHT - 12.0;
        let height = (bottom - ui.cursor().top()).max(240.0);
        ui.spacing_mut().item_spacing.y = 0.0;
        let top = ui.cursor().top();
        let (head, _) = ui.allocate_exact_size(Vec2::new(ui.available_width(), HEAD), Sense::hover());
        table.header_ui(ui, head, self.across);
        let rows = entry.table.rows();
        let total =
            Vec2::new(table.name + COLUMN * Statistic::ALL.len() as f32 + 12.0, ROW * rows.len() as f32);
        let output = ScrollArea::both()
            .id_salt(("tensor_table", id))
            .auto_shrink([false, true])
            .max_height(height - HEAD)
            .show_viewport(ui, |ui, viewport| {
                ui.set_min_size(total);
                let origin = ui.min_rect().min + viewport.min.to_vec2();
                let first = (viewport.top() / ROW).max(0.0) as usize;
                let last = (viewport.bottom() / ROW).ceil() as usize;
                for (index, &tensor) in rows.iter().enumerate().take(last).skip(first) {
                    let y = (f64::from(ROW) * index as f64 - f64::from(viewport.top())) as f32;
                    let rect =
                        Rect::from_min_size(origin + Vec2::new(0.0, y), Vec2::new(viewport.width(), ROW));
                    table.row_ui(ui, rect, (index, tensor), viewport.left());
                }
            });
        self.across = output.state.clamped_offset().x;
        remember_rect(ui, "statistics", output.inner_rect.with_min_y(top));
    }
}

/// What head and rows share.
struct Table<'a> {
    ctx: &'a ViewContext<'a>,
    entry: &'a OpenCheckpoint,
    checkpoint: &'a Checkpoint,
    prefix: usize,
    /// Width of the names.
    name: f32,
}

impl Table<'_> {
    fn header_ui(&self, ui: &mut Ui, rect: Rect, across: f32) {
        ui.painter().hline(rect.x_range(), rect.bottom() - 0.5, self.ctx.theme.separator());
        self.title_ui(ui, self.name_cell(rect), None);
        let clip = ui.clip_rect();
        ui.set_clip_rect(clip.intersect(self.numbers(rect)));
        for (index, statistic) in Statistic::ALL.into_iter().enumerate() {
            self.title_ui(ui, self.cell(rect, index, across), Some(statistic));
        }
        ui.set_clip_rect(clip);
    }

    fn title_ui(&self, ui: &Ui, cell: Rect, column: Option<Statistic>) {
        let theme = self.ctx.theme;
        let label = column.map_or("Name", Statistic::label);
        let response = ui.interact(cell, ui.scope_id().with(("order", label)), Sense::click());
        response.widget_info(|| WidgetInfo::labeled(Role::ColumnHeader, true, format!("Order by {label}")));
        let (chosen, descending) = self.entry.table.order();
        let arrow = match (chosen == column, descending) {
            (false, _) => "",
            (true, false) => " ↑",
            (true, true) => " ↓",
        };
        let lit = chosen == column || response.hovered() || response.has_focus();
        let color = if lit { theme.text_strong } else { theme.text_second };
        let align = if column.is_none() { Align2::LEFT_CENTER } else { Align2::RIGHT_CENTER };
        clipped_text(ui, cell, align, &format!("{label}{arrow}"), theme::label(), color);
        if response.clicked() {
            self.ctx.commands.send(Command::Table(self.entry.id, TableChange::OrderBy(column)));
        }
    }

    fn row_ui(&self, ui: &mut Ui, rect: Rect, (index, id): (usize, TensorId), across: f32) {
        let (theme, entry) = (self.ctx.theme, self.entry);
        let name = &self.checkpoint.tensor(id).name;
        let response = ui.interact(rect, ui.scope_id().with(id), Sense::CLICK);
        response.widget_info(|| WidgetInfo::labeled(Role::Row, true, format!("Statistics of {name}")));
        if response.hovered() {
            ui.painter().rect_filled(rect, 0, theme.raised);
        } else if index % 2 == 1 {
            ui.painter().rect_filled(rect, 0, theme.hover.gamma_multiply(0.45));
        }
        clipped_name(ui, self.name_cell(rect), &text::escape(self.short(id)), &theme::body(), theme.text);
        let clip = ui.clip_rect();
        ui.set_clip_rect(clip.intersect(self.numbers(rect)));
        if let Some(reason) = entry.scan.unreadable(id) {
            let rest = self.numbers(rect);
            clipped_text(ui, rest, Align2::LEFT_CENTER, &text::escape(reason), theme::label(), theme.error);
        } else {
            for (index, statistic) in Statistic::ALL.into_iter().enumerate() {
                let Some(value) = entry.scan.value(Item::Tensor(id), statistic) else { continue };
                let alarming = statistic == Statistic::NonFinite && value > 0.0;
                let color = if alarming { theme.error } else { theme.text };
                let text = statistic_text(statistic, value);
                let cell = self.cell(rect, index, across);
                clipped_text(ui, cell, Align2::RIGHT_CENTER, &text, theme::body(), color);
            }
        }
        ui.set_clip_rect(clip);
        if response.clicked() {
            self.ctx.commands.send(Command::Tree(entry.id, TreeChange::Select(Some(Item::Tensor(id)))));
        }
        if response.contains_pointer() {
            response.on_hover_text(text::escape(name));
        }
    }

    /// A tensor's name without that of the group.
    fn short(&self, id: TensorId) -> &str {
        let name = &self.checkpoint.tensor(id).name;
        name.get(self.prefix..).filter(|rest| !rest.is_empty()).unwrap_or(name)
    }

    fn name_cell(&self, line: Rect) -> Rect {
        Rect::from_min_size(line.min + Vec2::new(4.0, 0.0), Vec2::new(self.name - 12.0, line.height()))
    }

    /// The part of a line where the numbers are.
    fn numbers(&self, line: Rect) -> Rect {
        line.with_min_x(line.left() + self.name)
    }

    fn cell(&self, line: Rect, index: usize, across: f32) -> Rect {
        let left = line.left() + self.name + COLUMN * index as f32 - across;
        Rect::from_min_size(egui::pos2(left, line.top()), Vec2::new(COLUMN - 8.0, line.height()))
    }

    /// Lines with tabs: the names and all statistics, exactly.
    fn text(&self) -> String {
        let mut text = "name".to_owned();
        for statistic in Statistic::ALL {
            text.push('\t');
            text.push_str(statistic.label());
        }
        for &id in self.entry.table.rows().iter().take(COPIED) {
            text.push('\n');
            text.push_str(&self.checkpoint.tensor(id).name);
            for statistic in Statistic::ALL {
                text.push('\t');
                if let Some(value) = self.entry.scan.value(Item::Tensor(id), statistic) {
                    text.push_str(&value.to_string());
                }
            }
        }
        text.push('\n');
        text
    }
}

/// Says why numbers are missing, and offers to have them.
fn note_ui(ui: &mut Ui, ctx: &ViewContext<'_>, entry: &OpenCheckpoint) {
    let note = match &entry.scan.status {
        ScanStatus::Done => {
            let shown = entry.table.rows().len() as u64;
            ui.label(RichText::new(tensors(shown)).color(ctx.theme.text_second));
            return;
        }
        ScanStatus::Running => {
            let all = entry.checkpoint.value().map_or(0, |checkpoint| checkpoint.tensors().len());
            let done = text::count(entry.scan.done() as u64);
            format!("Reading values: {done} of {}", text::count(all as u64))
        }
        ScanStatus::NotRequested => "Values were not looked at yet".to_owned(),
        ScanStatus::Stopped => "The scan was stopped".to_owned(),
        ScanStatus::Failed(error) => error.message.clone(),
    };
    ui.add(egui::Label::new(RichText::new(note).color(ctx.theme.text_second)).truncate());
    let can = matches!(entry.checkpoint, Loadable::Ready(_)) && entry.scan.status != ScanStatus::Running;
    if can && ui.button("Scan values").clicked() {
        ctx.commands.send(Command::Scan(entry.id));
    }
}
