//! A plane of a tensor as colours: blue above zero, amber below. Kernels of a convolution stand side by side.

use std::ops::Range;
use std::sync::Arc;

use egui::{Pos2, Rect, RichText, Role, Sense, TextureHandle, TextureOptions, Ui, Vec2, WidgetInfo};

use super::heat_map_paint::{Pixels, as_text, cell_text, image, non_finite_text, range_ui, svg, values_ui};
use super::heat_map_view::{Part, step_ui};
use super::parts::{Copies, Of, card_head_ui, remember_rect};
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

/// The picture, where one looks at it, and what it was made from.
pub(in crate::ui) struct HeatMapView {
    /// The tensor that the picture compares with: it shows the difference.
    against: Option<Against>,
    /// Of the plane.
    slice: Part,
    /// Kernels with what is looked at of them, where there are any.
    kernels: Option<(Kernels, Part)>,
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
    /// Whether a value is NaN or infinite.
    has_non_finite: bool,
    image: Arc<egui::ColorImage>,
    texture: TextureHandle,
}

impl HeatMapView {
    pub(in crate::ui) fn new(dims: &[u64], picker: &SlicePicker) -> Self {
        let whole = |axis: usize| dims.get(axis).copied().unwrap_or(1);
        let kernels = Kernels::of(dims).map(|kernels| {
            let extent = (whole(kernels.axes[0]), whole(kernels.axes[1]));
            let part = Part::new(extent, 1, Kernels::SHOWN);
            (kernels, part)
        });
        Self {
            against: None,
            slice: Part::new(picker.extent(), 4, u64::MAX),
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
        self.slice = Part::new(picker.extent(), 4, u64::MAX);
    }

    fn part(&mut self) -> &mut Part {
        match &mut self.kernels {
            Some((_, part)) if self.as_kernels => part,
            _ => &mut self.slice,
        }
    }

    fn key(&self, checkpoint: CheckpointId, tensor: TensorId, picker: &SlicePicker) -> LookKey {
        let look = match &self.kernels {
            Some((kernels, part)) if self.as_kernels => {
                let (rows, columns) = (part.rows.clone(), part.columns.clone());
                Look::Kernels(Kernels { rows, columns, ..kernels.clone() })
            }
            _ => {
                let plane = picker.plane(self.slice.rows.clone(), self.slice.columns.clone());
                Look::Picture(plane, CELLS, CELLS)
            }
        };
        let look = match &self.against {
            Some(against) => Look::Beside(against.clone(), Box::new(look)),
            None => look,
        };
        LookKey { checkpoint, tensor, look }
    }

    /// What the picture would read, for a type of so many bits.
    fn bytes_to_read(&self, bits: u32) -> u64 {
        if self.as_kernels {
            return 0; // a few planes of a few kernels
        }
        let count = |range: &Range<u64>| range.end - range.start;
        let values = count(&self.slice.rows).saturating_mul(count(&self.slice.columns));
        values.saturating_mul(u64::from(bits.max(8) / 8))
    }

    /// Draws the card. `bits` are those of an element.
    pub(in crate::ui) fn ui(
        &mut self,
        ui: &mut Ui,
        ctx: &ViewContext<'_>,
        (checkpoint, bits): (CheckpointId, u32),
        picker: &mut SlicePicker,
        of: &Of<'_>,
    ) {
        let tensor = of.id;
        let card = ctx.theme.card().show(ui, |ui| {
            self.head_ui(ui, ctx, picker, of);
            self.choices_ui(ui, ctx, picker);
            let key = self.key(checkpoint, tensor, picker);
            match ctx.state.looks.get(&key) {
                Loadable::NotRequested => {
                    let bytes = self.bytes_to_read(bits);
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
            self.picture_ui(ui, ctx, &key, picker);
        });
        remember_rect(ui, "heat map", card.response.rect);
    }

    /// Title, colours, and the menu that copies.
    fn head_ui(&self, ui: &mut Ui, ctx: &ViewContext<'_>, picker: &SlicePicker, of: &Of<'_>) {
        let painted = self.painted.as_ref().filter(|painted| painted.key.tensor == of.id);
        let map = painted.and_then(|painted| match &*painted.looked {
            Looked::Picture(map) => Some((painted, map)),
            _ => None,
        });
        let text = || map.map_or_else(String::new, |(_, map)| as_text(map));
        let svg = || map.and_then(|(painted, map)| svg(&painted.image, Pixels::of(map).size(720.0)));
        let (svg_text, python) = (|| svg().unwrap_or_default(), || self.python(picker, of));
        let small = map.is_some_and(|(painted, _)| painted.image.pixels.len() <= 40_000);
        let copies = Copies {
            text: map.is_some().then_some(&text),
            // For a difference there is no short way.
            python: self.against.is_none().then_some(&python),
            svg: small.then_some(&svg_text),
        };
        let title = if self.against.is_some() { "Right − left" } else { "Heat map" };
        card_head_ui(ui, ctx, title, (of.name, "heat map"), &copies, |ui| {
            if let Some((painted, _)) = map {
                range_ui(ui, ctx, painted.range);
            }
        });
    }

    /// Python that draws the same part.
    fn python(&self, picker: &SlicePicker, of: &Of<'_>) -> String {
        let plane = match &self.kernels {
            Some((kernels, part)) if self.as_kernels => {
                let mut index = [":".to_owned(), ":".to_owned(), ":".to_owned(), ":".to_owned()];
                for (axis, range) in kernels.axes.into_iter().zip([&part.rows, &part.columns]) {
                    if let Some(index) = index.get_mut(axis) {
                        *index = format!("{}:{}", range.start, range.end);
                    }
                }
                let [a, b, c, d] = [kernels.axes[0], kernels.inner[0], kernels.axes[1], kernels.inner[1]];
                format!(
                    "kernels = values[{}].transpose({a}, {b}, {c}, {d})\n\
                     plane = kernels.reshape(kernels.shape[0] * kernels.shape[1], -1)\n",
                    index.join(", ")
                )
            }
            _ => {
                let plane = picker.python(&self.slice.rows, &self.slice.columns);
                format!("plane = np.atleast_2d({plane})\n")
            }
        };
        let range = self.painted.as_ref().map_or(1.0, |painted| painted.range);
        format!(
            "{}{plane}\nimport matplotlib.pyplot as plt\n\n\
             plt.imshow(plane, cmap=\"PuOr\", vmin={:e}, vmax={range:e}, aspect=\"auto\")\nplt.colorbar()\nplt.show()\n",
            of.numpy(),
            -range
        )
    }

    /// Which part of the tensor: kernels or a slice, and where in it.
    fn choices_ui(&mut self, ui: &mut Ui, ctx: &ViewContext<'_>, picker: &mut SlicePicker) {
        if let Some((kernels, part)) = &mut self.kernels {
            ui.horizontal_wrapped(|ui| {
                ui.spacing_mut().item_spacing.x = 2.0;
                for (choice, label, hint) in [
                    (true, "Kernels", "Whole kernels side by side"),
                    (false, "Slice", "One value of each kernel, or any two axes"),
                ] {
                    if ui.selectable_label(self.as_kernels == choice, label).on_hover_text(hint).clicked() {
                        self.as_kernels = choice;
                    }
                }
                if self.as_kernels {
                    let (down, across) =
                        if kernels.outputs_across { ("inputs", "outputs") } else { ("outputs", "inputs") };
                    ui.add_space(6.0);
                    step_ui(ui, ctx, across, &mut part.columns, part.whole.1, Kernels::SHOWN);
                    ui.add_space(6.0);
                    step_ui(ui, ctx, down, &mut part.rows, part.whole.0, Kernels::SHOWN);
                }
            });
        }
        if self.kernels.is_none() || !self.as_kernels {
            let before = picker.clone();
            picker.ui(ui);
            if *picker != before {
                self.show_all(picker);
            }
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
        let image = Arc::new(image(ctx, map, range));
        let texture = ui.ctx().load_texture("heat_map", image.clone(), TextureOptions::NEAREST);
        let has_non_finite = map.grid.cells.iter().any(|cell| cell.non_finite.any());
        self.painted =
            Some(Painted { key, looked: looked.clone(), range, dark, has_non_finite, image, texture });
    }

    fn picture_ui(&mut self, ui: &mut Ui, ctx: &ViewContext<'_>, key: &LookKey, picker: &SlicePicker) {
        let Some(painted) = &self.painted else {
            ui.allocate_space(Vec2::new(ui.available_width(), 160.0));
            return;
        };
        // Held by itself, so that zooming may change the view meanwhile.
        let looked = painted.looked.clone();
        let Looked::Picture(map) = &*looked else { return };
        let pixels = Pixels::of(map);
        let size = pixels.size(ui.available_width());
        let (rect, response) = ui.allocate_exact_size(size, Sense::click_and_drag());
        let name =
            if self.against.is_some() { "Heat map of the differences" } else { "Heat map of the values" };
        response.widget_info(|| WidgetInfo::labeled(Role::Image, true, name));
        let stale = painted.key != *key;
        let mut mesh = egui::Mesh::with_texture(painted.texture.id());
        let uv = Rect::from_min_max(Pos2::ZERO, Pos2::new(1.0, 1.0));
        mesh.add_rect_with_uv(rect, uv, theme::untinted(if stale { 0.5 } else { 1.0 }));
        ui.painter().add(mesh);
        let cell = Vec2::new(rect.width() / pixels.across as f32, rect.height() / pixels.down as f32);
        if map.grid.is_exact && cell.x >= TEXT_WIDTH && cell.y >= 13.0 {
            values_ui(ui, ctx, map, rect, painted.range);
        }
        if response.has_focus() {
            let stroke = egui::Stroke::new(1.0, ctx.theme.accent);
            ui.painter().rect_stroke(rect, 0, stroke, egui::StrokeKind::Outside);
        }
        let has_non_finite = painted.has_non_finite;
        self.part().keys_ui(ui, &response);
        // What is dragged over is what is drawn: not while another part is on its way.
        if !stale {
            let mut drag = self.drag.take();
            self.part().zoom_ui(ui, ctx, rect, &response, &mut drag);
            self.drag = drag;
        }
        self.foot_ui(ui, ctx, map, has_non_finite);
        let Some(at) = response.hover_pos().filter(|at| !stale && rect.contains(*at) && self.drag.is_none())
        else {
            return;
        };
        let place = pixels.cell_at((at - rect.min) / rect.size());
        if let Some(note) = place.and_then(|place| self.note(map, place, picker)) {
            response.on_hover_text_at_pointer(note);
        }
    }

    /// What the picture shows, and how to see more of it.
    fn foot_ui(&mut self, ui: &mut Ui, ctx: &ViewContext<'_>, map: &HeatMap, has_non_finite: bool) {
        let part = self.part();
        let (rows, columns) = (part.rows.end - part.rows.start, part.columns.end - part.columns.start);
        let size = format!("{} × {}", text::count(rows), text::count(columns));
        let what = match map.tile {
            Some(_) => format!("{size} kernels"),
            None if map.grid.is_exact => format!("{size} values"),
            None => format!("{size} values, each cell its extreme"),
        };
        let zoomed = !part.is_whole();
        ui.horizontal(|ui| {
            ui.label(RichText::new(what).font(theme::label()).color(ctx.theme.text_second));
            if has_non_finite {
                ui.label(RichText::new("■ NaN or Inf").font(theme::label()).color(ctx.theme.error));
            }
            ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                ui.spacing_mut().button_padding.y = 1.0;
                if zoomed {
                    let whole = ui.button(RichText::new("Whole").font(theme::label()));
                    if whole.on_hover_text("Show the whole; or double click, or press 0").clicked() {
                        self.part().show_whole();
                    }
                } else if rows > 4 || columns > 4 {
                    let hint = "drag or + to look closer";
                    let text = RichText::new(hint).font(theme::label()).color(ctx.theme.text_disabled);
                    ui.add(egui::Label::new(text).truncate()).on_hover_text(
                        "Drag a frame, or turn the wheel with Ctrl. With the picture focused: + and − zoom, arrows move, 0 shows the whole",
                    );
                }
            });
        });
    }

    /// What is under the pointer: index and value, or the values that share a cell.
    fn note(&self, map: &HeatMap, (row, column): (usize, usize), picker: &SlicePicker) -> Option<String> {
        let cell = map.grid.cell(row, column)?;
        if let (Some((height, width)), Some((kernels, part))) = (map.tile, &self.kernels) {
            let (height, width) = (height.max(1), width.max(1));
            let (first, second) =
                (part.rows.start + (row / height) as u64, part.columns.start + (column / width) as u64);
            let mut index = [0; 4];
            for (axis, at) in kernels.axes.into_iter().zip([first, second]) {
                *index.get_mut(axis)? = at;
            }
            for (axis, at) in kernels.inner.into_iter().zip([row % height, column % width]) {
                *index.get_mut(axis)? = at as u64;
            }
            let (output, input) = if kernels.outputs_across { (second, first) } else { (first, second) };
            return Some(format!("{index:?}\noutput {output}, input {input}\n{}", cell_text(cell)));
        }
        let from = |index: usize, cells: usize, range: &Range<u64>| {
            let length = u128::from(range.end - range.start);
            range.start + (index as u128 * length).div_ceil(cells.max(1) as u128) as u64
        };
        let (rows, columns) = (&self.slice.rows, &self.slice.columns);
        let (first_row, first_column) =
            (from(row, map.grid.down, rows), from(column, map.grid.across, columns));
        if map.grid.is_exact {
            return Some(format!("{}\n{}", picker.index(first_row, first_column), cell_text(cell)));
        }
        let (next_row, next_column) =
            (from(row + 1, map.grid.down, rows), from(column + 1, map.grid.across, columns));
        let non_finite = if cell.non_finite.any() {
            format!("\nwith {}", non_finite_text(cell.non_finite))
        } else {
            String::new()
        };
        Some(format!(
            "{} … {}\n{} … {}, mean {}{non_finite}",
            picker.index(first_row, first_column),
            picker.index(next_row.saturating_sub(1), next_column.saturating_sub(1)),
            text::number(f64::from(cell.min)),
            text::number(f64::from(cell.max)),
            text::number(f64::from(cell.mean)),
        ))
    }
}
