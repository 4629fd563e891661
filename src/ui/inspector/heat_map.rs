//! A plane of a tensor as colours: blue above zero, amber below.

use std::sync::Arc;

use egui::{
    ComboBox, Pos2, Rect, Response, RichText, Role, Sense, TextureHandle, TextureOptions, Ui, Vec2,
    WidgetInfo,
};

use super::heat_map_paint::{cell_text, image, legend_ui, values_ui};
use super::parts::{picture_menu_ui, remember_rect, title_ui};
use super::slice_picker::SlicePicker;
use crate::jobs::look::Kernels;
use crate::jobs::{Against, CheckpointId, HeatMap, JobKey, Loadable, Look, LookKey, Looked};
use crate::model::TensorId;
use crate::state::{Clip, Command};
use crate::text;
use crate::ui::widgets::{failed_ui, loading_ui};
use crate::ui::{ViewContext, theme};

/// Cells asked for, each way: about the pixels there are.
const CELLS: usize = 320;
/// Larger planes are read when asked for: a second or more of reading.
const AUTOMATIC_BYTES: u64 = 1 << 30;
/// From this width on a cell has room for its value.
const TEXT_WIDTH: f32 = 44.0;
/// A closer look than this shows no more.
const LEAST: u64 = 4;

/// The picture, where one looks at it, and what it was made from.
pub(in crate::ui) struct HeatMapView {
    /// The tensor that the picture compares with: it shows the difference.
    against: Option<Against>,
    /// Rows and columns that are looked at.
    rows: std::ops::Range<u64>,
    columns: std::ops::Range<u64>,
    kernels: Option<Kernels>,
    as_kernels: bool,
    drag: Option<Pos2>,
    painted: Option<Painted>,
}

/// A picture that is ready to draw.
struct Painted {
    key: LookKey,
    looked: Arc<Looked>,
    range: f32,
    dark: bool,
    texture: TextureHandle,
}

impl HeatMapView {
    pub(in crate::ui) fn new(dims: &[u64], picker: &SlicePicker) -> Self {
        let (rows, columns) = picker.extent();
        let kernels = Kernels::of(dims);
        Self {
            against: None,
            rows: 0..rows,
            columns: 0..columns,
            as_kernels: kernels.is_some(),
            kernels,
            drag: None,
            painted: None,
        }
    }

    /// Shows the difference of another tensor to the one that is looked at. `dims` and the plane are the other's.
    pub(in crate::ui) fn of_difference(dims: &[u64], picker: &SlicePicker, against: Against) -> Self {
        Self { against: Some(against), ..Self::new(dims, picker) }
    }

    /// Goes back to the whole plane: after another one was chosen.
    pub(in crate::ui) fn show_all(&mut self, picker: &SlicePicker) {
        let (rows, columns) = picker.extent();
        (self.rows, self.columns) = (0..rows, 0..columns);
    }

    fn key(&self, checkpoint: CheckpointId, tensor: TensorId, picker: &SlicePicker) -> LookKey {
        let look = match &self.kernels {
            Some(kernels) if self.as_kernels => Look::Kernels(kernels.clone()),
            _ => Look::Picture(picker.plane(self.rows.clone(), self.columns.clone()), CELLS, CELLS),
        };
        let look = match &self.against {
            Some(against) => Look::Beside(against.clone(), Box::new(look)),
            None => look,
        };
        LookKey { checkpoint, tensor, look }
    }

    /// What the picture would read, for a type of so many bits.
    fn bytes_to_read(&self, bits: u32, picker: &SlicePicker) -> u64 {
        if self.kernels.is_some() && self.as_kernels {
            return 0; // a few planes of a few kernels
        }
        let (rows, columns) = picker.extent();
        let rows = rows.min(self.rows.end - self.rows.start);
        let columns = columns.min(self.columns.end - self.columns.start);
        rows.saturating_mul(columns).saturating_mul(u64::from(bits.max(8) / 8))
    }

    /// Draws the card. `bits` are those of an element.
    pub(in crate::ui) fn ui(
        &mut self,
        ui: &mut Ui,
        ctx: &ViewContext<'_>,
        (checkpoint, tensor, bits): (CheckpointId, TensorId, u32),
        picker: &mut SlicePicker,
        name: &str,
    ) {
        let card = ctx.theme.card().show(ui, |ui| {
            ui.horizontal(|ui| {
                title_ui(ui, ctx, if self.against.is_some() { "Right − left" } else { "Heat map" });
                ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                    ui.spacing_mut().item_spacing.x = 4.0;
                    picture_menu_ui(ui, ctx, name, "heat map", |_| {});
                    self.controls_ui(ui, ctx, picker);
                });
            });
            let is_kernels = self.kernels.is_some() && self.as_kernels;
            if !is_kernels {
                let before = picker.clone();
                picker.ui(ui);
                if *picker != before {
                    self.show_all(picker);
                }
            }
            let key = self.key(checkpoint, tensor, picker);
            match ctx.state.looks.get(&key) {
                Loadable::NotRequested => {
                    let bytes = self.bytes_to_read(bits, picker);
                    if bytes <= AUTOMATIC_BYTES {
                        ctx.commands.send(Command::Look(key.clone()));
                    } else {
                        ui.horizontal(|ui| {
                            if ui.button("Show").clicked() {
                                ctx.commands.send(Command::Look(key.clone()));
                            }
                            let text = format!("reads {}", text::bytes(bytes));
                            ui.label(RichText::new(text).color(ctx.theme.text_second));
                        });
                        return;
                    }
                }
                Loadable::Pending { since, .. } => {
                    let since = *since;
                    if self.painted.as_ref().is_none_or(|painted| painted.key.tensor != tensor) {
                        self.painted = None;
                    }
                    if loading_ui(ui, ctx.theme, "Reading values…", since) {
                        ctx.commands.send(Command::Cancel(JobKey::Look(key.clone())));
                    }
                }
                Loadable::Failed { error, .. } => {
                    self.painted = None;
                    if failed_ui(ui, ctx.theme, "The values could not be read", error) {
                        ctx.commands.send(Command::LookAgain(key));
                    }
                    return;
                }
                Loadable::Ready(looked) => self.paint(ui, ctx, key.clone(), looked),
            }
            self.picture_ui(ui, ctx, tensor, picker);
        });
        remember_rect(ui, "heat map", card.response.rect);
    }

    /// From right to left.
    fn controls_ui(&mut self, ui: &mut Ui, ctx: &ViewContext<'_>, picker: &SlicePicker) {
        let range = ctx.state.settings.colour_range;
        let menu =
            ComboBox::from_id_salt("colours").width(78.0).selected_text(range.label()).show_ui(ui, |ui| {
                for choice in Clip::ALL {
                    if ui.selectable_label(choice == range, choice.label()).clicked() {
                        ctx.commands.send(Command::SetColourRange(choice));
                    }
                }
            });
        menu.response.widget_info(|| {
            WidgetInfo::labeled(Role::ComboBox, true, format!("Colours span {}", range.label()))
        });
        menu.response.on_hover_text("The values that the colours span; beyond, the colour stays the same");
        if self.kernels.is_some() {
            ui.checkbox(&mut self.as_kernels, "kernels")
                .on_hover_text("Show whole kernels side by side: outputs down, inputs across");
        }
        let (rows, columns) = picker.extent();
        if (self.rows.clone(), self.columns.clone()) != (0..rows, 0..columns)
            && ui.button("Whole").on_hover_text("Show the whole slice; or double click").clicked()
        {
            self.show_all(picker);
        }
    }

    /// Makes the picture when what it shows changed.
    fn paint(&mut self, ui: &Ui, ctx: &ViewContext<'_>, key: LookKey, looked: &Arc<Looked>) {
        let Looked::Picture(map) = &**looked else { return };
        let range = match ctx.state.settings.colour_range {
            Clip::None => map.ranges[0],
            Clip::Thousandth => map.ranges[1],
            Clip::Hundredth => map.ranges[2],
        };
        // Most values zero: the range of the others.
        let range = if range > 0.0 { range } else { map.ranges[0] };
        let dark = ctx.theme.dark;
        if self.painted.as_ref().is_some_and(|painted| {
            painted.range == range && painted.dark == dark && Arc::ptr_eq(&painted.looked, looked)
        }) {
            return;
        }
        let image = image(ctx, map, range);
        let texture = ui.ctx().load_texture("heat_map", image, TextureOptions::NEAREST);
        self.painted = Some(Painted { key, looked: looked.clone(), range, dark, texture });
    }

    fn picture_ui(&mut self, ui: &mut Ui, ctx: &ViewContext<'_>, tensor: TensorId, picker: &SlicePicker) {
        let Some(painted) = &self.painted else {
            ui.allocate_space(Vec2::new(ui.available_width(), 160.0));
            return;
        };
        // Held by itself, so that zooming may change the view meanwhile.
        let looked = painted.looked.clone();
        let Looked::Picture(map) = &*looked else { return };
        legend_ui(ui, ctx, painted.range, map);
        let width = ui.available_width();
        let (down, across) = (map.grid.down.max(1) as f32, map.grid.across.max(1) as f32);
        let height = (width * down / across).clamp(24.0, 300.0);
        let (rect, response) = ui.allocate_exact_size(Vec2::new(width, height), Sense::click_and_drag());
        let name =
            if self.against.is_some() { "Heat map of the differences" } else { "Heat map of the values" };
        response.widget_info(|| WidgetInfo::labeled(Role::Image, true, name));
        let stale = painted.key != self.key(painted.key.checkpoint, tensor, picker);
        let mut mesh = egui::Mesh::with_texture(painted.texture.id());
        let uv = Rect::from_min_max(Pos2::ZERO, Pos2::new(1.0, 1.0));
        mesh.add_rect_with_uv(rect, uv, theme::untinted(if stale { 0.5 } else { 1.0 }));
        ui.painter().add(mesh);
        let cell = Vec2::new(rect.width() / across, rect.height() / down);
        if map.grid.is_exact && cell.x >= TEXT_WIDTH && cell.y >= 13.0 && map.tile.is_none() {
            values_ui(ui, ctx, map, rect, painted.range);
        }
        if stale {
            return;
        }
        if map.tile.is_none() {
            self.zoom_ui(ui, ctx, rect, &response, picker);
        }
        let Some(at) = response.hover_pos().filter(|at| rect.contains(*at) && self.drag.is_none()) else {
            return;
        };
        let share = (at - rect.min) / rect.size();
        let place = ((share.y * down) as usize, (share.x * across) as usize);
        if let Some(note) = self.note(map, place, picker) {
            response.on_hover_text_at_pointer(note);
        }
    }

    /// What is under the pointer: index and value, or the values that share a cell.
    fn note(&self, map: &HeatMap, (row, column): (usize, usize), picker: &SlicePicker) -> Option<String> {
        let cell = map.grid.cell(row, column)?;
        if let (Some((height, width)), Some(kernels)) = (map.tile, &self.kernels) {
            let output = kernels.outputs.start + (row / height) as u64;
            let input = kernels.inputs.start + (column / width) as u64;
            return Some(format!(
                "output {output}, input {input}, kernel [{}, {}]\n{}",
                row % height,
                column % width,
                cell_text(cell)
            ));
        }
        let from = |index: usize, cells: usize, range: &std::ops::Range<u64>| {
            let length = u128::from(range.end - range.start);
            range.start + (index as u128 * length).div_ceil(cells.max(1) as u128) as u64
        };
        let (first_row, first_column) =
            (from(row, map.grid.down, &self.rows), from(column, map.grid.across, &self.columns));
        if map.grid.is_exact {
            return Some(format!("{}\n{}", picker.index(first_row, first_column), cell_text(cell)));
        }
        let (next_row, next_column) =
            (from(row + 1, map.grid.down, &self.rows), from(column + 1, map.grid.across, &self.columns));
        Some(format!(
            "{} … {}\n{} … {}, mean {}{}",
            picker.index(first_row, first_column),
            picker.index(next_row.saturating_sub(1), next_column.saturating_sub(1)),
            text::number(f64::from(cell.min)),
            text::number(f64::from(cell.max)),
            text::number(f64::from(cell.mean)),
            if cell.has_non_finite { ", with NaN or Inf" } else { "" }
        ))
    }

    /// Drag a frame to look closer, double click for the whole, Ctrl and wheel about the pointer.
    fn zoom_ui(
        &mut self,
        ui: &Ui,
        ctx: &ViewContext<'_>,
        rect: Rect,
        response: &Response,
        picker: &SlicePicker,
    ) {
        if response.double_clicked() {
            self.show_all(picker);
            return;
        }
        if response.drag_started() {
            self.drag = response.interact_pointer_pos();
        }
        let frame = self.drag.zip(response.interact_pointer_pos());
        if let Some((from, to)) = frame {
            let frame = Rect::from_two_pos(from, to).intersect(rect);
            let stroke = egui::Stroke::new(1.0, ctx.theme.text_strong);
            ui.painter().rect_stroke(frame, 0, stroke, egui::StrokeKind::Inside);
            if response.drag_stopped() && frame.width() > 4.0 && frame.height() > 4.0 {
                let share = |at: Pos2| (at - rect.min) / rect.size();
                let (from, to) = (share(frame.min), share(frame.max));
                self.rows = part(&self.rows, from.y, to.y, picker.extent().0);
                self.columns = part(&self.columns, from.x, to.x, picker.extent().1);
            }
        }
        if response.drag_stopped() || !response.dragged() {
            self.drag = None;
        }
        let zoom = ui.input(egui::InputState::zoom_delta);
        if let Some(at) = response.hover_pos().filter(|_| (zoom - 1.0).abs() > 1e-3) {
            let at = (at - rect.min) / rect.size();
            let about = |at: f32| (at - at / zoom, at + (1.0 - at) / zoom);
            let ((top, bottom), (left, right)) = (about(at.y), about(at.x));
            self.rows = part(&self.rows, top, bottom, picker.extent().0);
            self.columns = part(&self.columns, left, right, picker.extent().1);
        }
    }
}

/// The indices between two shares of a range, within `0..whole`.
fn part(range: &std::ops::Range<u64>, from: f32, to: f32, whole: u64) -> std::ops::Range<u64> {
    let length = (range.end - range.start) as f64;
    let start = (range.start as f64 + f64::from(from) * length).floor().max(0.0) as u64;
    let end = (range.start as f64 + f64::from(to) * length).ceil().max(0.0) as u64;
    let start = start.min(whole.saturating_sub(LEAST));
    start..end.max(start + LEAST).min(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closer_look_stays_within_the_plane_and_never_becomes_empty() {
        assert_eq!(part(&(0..100), 0.25, 0.5, 100), 25..50);
        assert_eq!(part(&(0..100), 0.5, 0.5, 100), 50..54);
        assert_eq!(part(&(96..100), -1.0, 3.0, 100), 92..100);
        assert_eq!(part(&(0..2), 0.4, 0.6, 2), 0..2);
    }
}
