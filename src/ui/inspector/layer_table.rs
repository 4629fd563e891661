//! The layers as the framework's own summary prints them: name, class, output shape, parameters.

use egui::{Align2, Rect, Role, ScrollArea, Sense, Ui, Vec2, WidgetInfo};

use super::parts::{Copies, remember_rect, table_head_ui};
use crate::analysis::summary::{LayerRow, LayerTable};
use crate::model::Checkpoint;
use crate::state::tree::{Item, TreeChange};
use crate::state::{Command, OpenCheckpoint};
use crate::text;
use crate::ui::widgets::{clipped_name, clipped_text};
use crate::ui::{ViewContext, theme};

const ROW: f32 = 22.0;

/// Draws the table; asks for it where it was not made yet.
pub(super) fn layers_ui(ui: &mut Ui, ctx: &ViewContext<'_>, entry: &OpenCheckpoint, checkpoint: &Checkpoint) {
    let Some(table) = &entry.layers else {
        ctx.commands.send(Command::CountLayers(entry.id));
        return;
    };
    let text = || as_text(table);
    let copies = Copies { text: Some(&text), ..Copies::default() };
    table_head_ui(ui, ctx, (&entry.name, "layers"), &copies, |ui| {
        let totals = egui::RichText::new(totals(checkpoint)).color(ctx.theme.text_second);
        ui.add(egui::Label::new(totals).truncate());
    });
    let shapes = table.rows.iter().any(|row| row.output_shape.is_some());
    ui.spacing_mut().item_spacing.y = 0.0;
    let (head, _) = ui.allocate_exact_size(Vec2::new(ui.available_width(), 26.0), Sense::hover());
    ui.painter().hline(head.x_range(), head.bottom() - 0.5, ctx.theme.separator());
    for (index, label) in ["Layer (class)", "Output shape", "Parameters"].into_iter().enumerate() {
        if index != 1 || shapes {
            let cell = cell(head, index, shapes);
            clipped_text(ui, cell, align(index), label, theme::label(), ctx.theme.text_second);
        }
    }
    let height =
        (ui.ctx().content_rect().bottom() - theme::STATUS_HEIGHT - ui.cursor().top() - 12.0).max(220.0);
    let output = ScrollArea::vertical()
        .id_salt("layer_table")
        .auto_shrink([false, true])
        .max_height(height)
        .show_rows(ui, ROW, table.rows.len(), |ui, range| {
            for row in table.rows.get(range).unwrap_or_default() {
                row_ui(ui, ctx, entry, checkpoint, row, shapes);
            }
        });
    remember_rect(ui, "layers", output.inner_rect.union(head));
}

fn row_ui(
    ui: &mut Ui,
    ctx: &ViewContext<'_>,
    entry: &OpenCheckpoint,
    checkpoint: &Checkpoint,
    row: &LayerRow,
    shapes: bool,
) {
    let theme = ctx.theme;
    let (rect, response) = ui.allocate_exact_size(Vec2::new(ui.available_width(), ROW), Sense::CLICK);
    let path = text::escape(if row.path.is_empty() { "(no layer)" } else { &row.path });
    let class = text::escape(row.class.as_deref().unwrap_or_default());
    response.widget_info(|| WidgetInfo::labeled(Role::Row, true, format!("Layer {path}")));
    if response.hovered() {
        ui.painter().rect_filled(rect, 0, theme.raised);
    }
    let name = cell(rect, 0, shapes);
    if class.is_empty() {
        clipped_name(ui, name, &path, &theme::body(), theme.text);
    } else {
        let used = clipped_text(ui, name, align(0), &path, theme::body(), theme.text);
        let rest = name.with_min_x(name.left() + used + 8.0);
        clipped_text(ui, rest, align(0), &class, theme::label(), theme.accent);
    }
    let shape = row.output_shape.as_ref().map(|shape| shape_text(shape)).unwrap_or_default();
    let place = cell(rect, 1, shapes);
    clipped_text(ui, place, align(1), &shape, theme::mono_small(), theme.text_second);
    let parameters = known(row.parameters);
    clipped_text(ui, cell(rect, 2, shapes), align(2), &parameters, theme::body(), theme.text);
    if response.clicked() {
        // The group of the first tensor that the layer holds; a layer without tensors has none.
        let first = checkpoint.tensors().find(|(_, tensor)| tensor.layer == row.path);
        if let Some((id, _)) = first.filter(|_| !row.path.is_empty()) {
            let group = Item::Group(checkpoint.layer_tree().parent_of(id));
            ctx.commands.send(Command::Tree(entry.id, TreeChange::Select(Some(group))));
        }
    }
    if response.contains_pointer() {
        response.on_hover_text(format!(
            "{path} {class} {shape}\n{} parameters, {} trainable, {} in buffers",
            parameters,
            known(row.trainable),
            text::count(row.buffers)
        ));
    }
}

fn totals(checkpoint: &Checkpoint) -> String {
    let totals = checkpoint.totals();
    match (totals.parameters, totals.trainable, totals.non_trainable) {
        (Some(all), Some(trainable), Some(fixed)) => format!(
            "{} parameters · {} trainable · {} not",
            text::short_count(all),
            text::short_count(trainable),
            text::short_count(fixed)
        ),
        _ => "The file does not tell which tensors are parameters".to_owned(),
    }
}

/// Lines with tabs.
fn as_text(table: &LayerTable) -> String {
    let mut text = "layer\tclass\toutput shape\tparameters\ttrainable\tbuffers\n".to_owned();
    for row in &table.rows {
        let shape = row.output_shape.as_ref().map(|shape| shape_text(shape)).unwrap_or_default();
        let number = |count: Option<u64>| count.map_or_else(String::new, |count| count.to_string());
        let class = row.class.as_deref().unwrap_or_default();
        let (parameters, trainable) = (number(row.parameters), number(row.trainable));
        let line = [&row.path, class, &shape, &parameters, &trainable, &row.buffers.to_string()].join("\t");
        text.push_str(&line);
        text.push('\n');
    }
    text
}

/// What the file does not tell is not claimed.
fn known(count: Option<u64>) -> String {
    count.map_or_else(|| "?".to_owned(), text::count)
}

fn align(index: usize) -> Align2 {
    if index == 2 { Align2::RIGHT_CENTER } else { Align2::LEFT_CENTER }
}

/// Without output shapes the name has their room.
fn cell(line: Rect, index: usize, shapes: bool) -> Rect {
    let numbers = 92.0;
    let shape = if shapes { (line.width() * 0.3).clamp(80.0, 150.0) } else { 0.0 };
    let (left, right) = match index {
        0 => (4.0, line.width() - numbers - shape - 8.0),
        1 => (line.width() - numbers - shape, line.width() - numbers - 8.0),
        _ => (line.width() - numbers, line.width() - 12.0),
    };
    Rect::from_x_y_ranges(line.left() + left..=line.left() + right, line.y_range())
}

/// `(None, 26, 26, 32)`, as Keras prints it.
fn shape_text(shape: &[Option<u64>]) -> String {
    let dims: Vec<String> =
        shape.iter().map(|dim| dim.map_or_else(|| "None".to_owned(), |dim| dim.to_string())).collect();
    format!("({})", dims.join(", "))
}
