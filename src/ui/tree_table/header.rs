//! The head of the table: sorts by a click, changes widths by dragging, chooses columns by the right button.

use egui::{Align2, CursorIcon, Rect, Role, Sense, Ui, Vec2, WidgetInfo};

use super::columns::{Column, Columns, beside_name, label};
use crate::state::tree::{SortColumn, TreeChange};
use crate::state::{Command, OpenCheckpoint, Statistic};
use crate::ui::widgets::{clipped_text, menu_checkbox_ui};
use crate::ui::{ViewContext, theme};

const HEIGHT: f32 = 26.0;

/// Draws the head; what is beside the name stands `across` points further left.
pub(super) fn header_ui(
    ui: &mut Ui,
    ctx: &ViewContext<'_>,
    entry: &OpenCheckpoint,
    columns: &Columns,
    across: f32,
) {
    let (rect, _) = ui.allocate_exact_size(Vec2::new(ui.available_width(), HEIGHT), Sense::hover());
    ui.painter().hline(rect.x_range(), rect.bottom() - 0.5, ctx.theme.separator());
    title_ui(ui, ctx, entry, rect, SortColumn::Name, columns.name, Align2::LEFT_CENTER);
    let clip = ui.clip_rect();
    ui.set_clip_rect(clip.intersect(beside_name(rect, columns)));
    let moved = rect.translate(Vec2::new(-across, 0.0));
    for column in &columns.others {
        let align = if column.is_number() { Align2::RIGHT_CENTER } else { Align2::LEFT_CENTER };
        title_ui(ui, ctx, entry, moved, column.kind, column.span, align);
        width_ui(ui, ctx, moved, column);
    }
    ui.set_clip_rect(clip);
}

fn title_ui(
    ui: &mut Ui,
    ctx: &ViewContext<'_>,
    entry: &OpenCheckpoint,
    rect: Rect,
    kind: SortColumn,
    (from, to): (f32, f32),
    align: Align2,
) {
    let (theme, name) = (ctx.theme, label(kind));
    let (sorted, descending) = entry.tree.sort();
    let cell = Rect::from_x_y_ranges(rect.left() + from..=rect.left() + to, rect.y_range());
    let response = ui.interact(cell, ui.scope_id().with(("sort", name)), Sense::click());
    response.widget_info(|| WidgetInfo::labeled(Role::ColumnHeader, true, format!("Sort by {name}")));
    let mut shown = name.to_owned();
    if kind == sorted {
        shown.push_str(if descending { " ↓" } else { " ↑" });
    }
    let lit = response.hovered() || response.has_focus() || kind == sorted;
    let color = if lit { theme.text_strong } else { theme.text_second };
    clipped_text(ui, cell, align, &shown, theme::label(), color);
    response.context_menu(|ui| columns_menu_ui(ui, ctx));
    let hint = "Sort within each group; the third click restores file order. Right click for more columns";
    if response.on_hover_text(hint).clicked() {
        ctx.commands.send(Command::Tree(entry.id, TreeChange::SortBy(kind)));
    }
}

/// The edge between a column and what is left of it: drag to change the width, double click for its own.
fn width_ui(ui: &Ui, ctx: &ViewContext<'_>, rect: Rect, column: &Column) {
    let x = rect.left() + column.span.0 - 5.0;
    let grip = Rect::from_center_size(egui::pos2(x, rect.center().y), Vec2::new(8.0, HEIGHT));
    let id = ui.scope_id().with(("width", label(column.kind)));
    // Not reached by Tab: the keyboard has no use for it.
    let response = ui.interact(grip, id, Sense::CLICK | Sense::DRAG);
    response.widget_info(|| {
        WidgetInfo::labeled(Role::Splitter, true, format!("Width of column {}", label(column.kind)))
    });
    if response.hovered() || response.dragged() {
        ui.ctx().set_cursor_icon(CursorIcon::ResizeHorizontal);
        let color = if response.dragged() { ctx.theme.accent } else { ctx.theme.line_strong };
        ui.painter().vline(x, rect.y_range().shrink(5.0), egui::Stroke::new(1.0, color));
    }
    let by = response.drag_delta().x;
    if response.double_clicked() {
        ctx.commands.send(Command::SetColumnWidth(column.kind, None));
    } else if by != 0.0 {
        let width = column.span.1 - column.span.0 - by;
        ctx.commands.send(Command::SetColumnWidth(column.kind, Some(width)));
    }
}

/// Which statistics are columns.
pub(super) fn columns_menu_ui(ui: &mut Ui, ctx: &ViewContext<'_>) {
    ui.set_min_width(160.0);
    let shown = &ctx.state.settings.statistics_columns;
    for statistic in Statistic::ALL {
        let mut on = shown.contains(&statistic);
        if menu_checkbox_ui(ui, ctx.theme, &mut on, statistic.label()).changed() {
            ctx.commands.send(Command::ShowStatistic(statistic, on));
        }
    }
}
