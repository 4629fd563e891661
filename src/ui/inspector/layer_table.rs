//! The layers as the framework's own summary prints them: name, class, output shape, parameters.

use egui::{Align2, Rect, Role, ScrollArea, Sense, Ui, Vec2, WidgetInfo};

use crate::analysis::summary::LayerTable;
use crate::jobs::CheckpointId;
use crate::model::Checkpoint;
use crate::state::OpenCheckpoint;
use crate::text;
use crate::ui::widgets::clipped_text;
use crate::ui::{ViewContext, theme};

const ROW: f32 = 22.0;

/// The table, made when another checkpoint is shown.
#[derive(Default)]
pub(super) struct LayersView {
    table: Option<(CheckpointId, LayerTable)>,
}

impl LayersView {
    /// Draws it.
    pub(super) fn ui(
        &mut self,
        ui: &mut Ui,
        ctx: &ViewContext<'_>,
        entry: &OpenCheckpoint,
        checkpoint: &Checkpoint,
    ) {
        if self.table.as_ref().is_none_or(|(of, _)| *of != entry.id) {
            self.table = Some((entry.id, LayerTable::of(checkpoint)));
        }
        let Some((_, table)) = &self.table else { return };
        let shapes = table.rows.iter().any(|row| row.output_shape.is_some());
        ui.spacing_mut().item_spacing.y = 0.0;
        let width = ui.available_width();
        let (head, _) = ui.allocate_exact_size(Vec2::new(width, 26.0), Sense::hover());
        ui.painter().hline(head.x_range(), head.bottom() - 0.5, ctx.theme.separator());
        for (index, label) in ["Layer (class)", "Output shape", "Parameters"].into_iter().enumerate() {
            if index != 1 || shapes {
                clipped_text(
                    ui,
                    cell(head, index, shapes),
                    align(index),
                    label,
                    theme::label(),
                    ctx.theme.text_second,
                );
            }
        }
        let height =
            (ui.ctx().content_rect().bottom() - theme::STATUS_HEIGHT - ui.cursor().top() - 40.0).max(220.0);
        ScrollArea::vertical().id_salt("layer_table").auto_shrink(false).max_height(height).show_rows(
            ui,
            ROW,
            table.rows.len(),
            |ui, range| {
                for row in table.rows.get(range).unwrap_or_default() {
                    let (rect, response) = ui.allocate_exact_size(Vec2::new(width, ROW), Sense::hover());
                    let path = text::escape(if row.path.is_empty() { "(no layer)" } else { &row.path });
                    let class = text::escape(row.class.as_deref().unwrap_or_default());
                    response.widget_info(|| WidgetInfo::labeled(Role::Row, true, format!("Layer {path}")));
                    let name = cell(rect, 0, shapes);
                    let used = clipped_text(ui, name, align(0), &path, theme::body(), ctx.theme.text);
                    let mut rest = name;
                    rest.min.x += used + 8.0;
                    clipped_text(ui, rest, align(0), &class, theme::label(), ctx.theme.accent);
                    let shape = row.output_shape.as_ref().map(|shape| shape_text(shape)).unwrap_or_default();
                    clipped_text(
                        ui,
                        cell(rect, 1, shapes),
                        align(1),
                        &shape,
                        theme::mono_small(),
                        ctx.theme.text_second,
                    );
                    let parameters = text::count(row.parameters);
                    clipped_text(
                        ui,
                        cell(rect, 2, shapes),
                        align(2),
                        &parameters,
                        theme::body(),
                        ctx.theme.text,
                    );
                    response.on_hover_text(format!(
                        "{path} {class} {shape}\n{} parameters, {} trainable, {} in buffers",
                        parameters,
                        text::count(row.trainable),
                        text::count(row.buffers)
                    ));
                }
            },
        );
        let totals = checkpoint.totals();
        let line = match (totals.parameters, totals.trainable, totals.non_trainable) {
            (Some(all), Some(trainable), Some(fixed)) => format!(
                "{} parameters · {} trainable · {} non-trainable",
                text::count(all),
                text::count(trainable),
                text::count(fixed)
            ),
            _ => "The file does not tell which tensors are parameters".to_owned(),
        };
        ui.add_space(theme::STEP * 2.0);
        ui.label(egui::RichText::new(line).font(theme::label()).color(ctx.theme.text_second));
    }
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
