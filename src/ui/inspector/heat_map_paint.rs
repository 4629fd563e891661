//! A heat map's colours, their legend, the values on its cells, and the same as text and SVG.

use std::fmt::Write as _;

use egui::{Align2, ColorImage, Pos2, Rect, Response, RichText, Role, Sense, Ui, Vec2, WidgetInfo};

use crate::analysis::slice::{Cell, NonFinite};
use crate::jobs::HeatMap;
use crate::jobs::look::extreme;
use crate::state::{Clip, Command};
use crate::text;
use crate::ui::{ViewContext, theme};

/// The side of a cell, at most: larger ones look like something else.
const LARGEST_CELL: Vec2 = Vec2::new(64.0, 28.0);
/// The side of a kernel's cell, at most.
const LARGEST_KERNEL_CELL: f32 = 48.0;
const HEIGHT: f32 = 300.0;
/// Pixels of an SVG file, at most: each may become an element.
const SVG_PIXELS: usize = 40_000;

/// Where cells stand in the picture: one pixel each, with a line between kernels.
pub(super) struct Pixels {
    pub down: usize,
    pub across: usize,
    tile: Option<(usize, usize)>,
}

impl Pixels {
    pub(super) fn of(map: &HeatMap) -> Self {
        let lines = |cells: usize, tile: usize| (cells / tile.max(1)).saturating_sub(1);
        let (height, width) = map.tile.unwrap_or((usize::MAX, usize::MAX));
        Self {
            down: map.grid.down + lines(map.grid.down, height),
            across: map.grid.across + lines(map.grid.across, width),
            tile: map.tile,
        }
    }

    /// Row and column of the pixel of a cell.
    fn pixel(&self, row: usize, column: usize) -> (usize, usize) {
        match self.tile {
            Some((height, width)) => (row + row / height.max(1), column + column / width.max(1)),
            None => (row, column),
        }
    }

    /// Row and column of the cell at a place in the picture, in shares of its sides; `None` on a line.
    pub(super) fn cell_at(&self, share: Vec2) -> Option<(usize, usize)> {
        let (y, x) = ((share.y * self.down as f32) as usize, (share.x * self.across as f32) as usize);
        let along = |pixel: usize, tile: usize| {
            (pixel % (tile + 1) < tile).then_some(pixel / (tile + 1) * tile + pixel % (tile + 1))
        };
        match self.tile {
            Some((height, width)) => Some((along(y, height)?, along(x, width)?)),
            None => Some((y, x)),
        }
    }

    /// How large the picture is drawn where so much width is free.
    pub(super) fn size(&self, room: f32) -> Vec2 {
        let (down, across) = (self.down.max(1) as f32, self.across.max(1) as f32);
        if self.tile.is_some() {
            // Kernels keep their shape.
            let side = (room / across).min(HEIGHT / down).min(LARGEST_KERNEL_CELL);
            return Vec2::new(side * across, side * down);
        }
        let width = room.min(LARGEST_CELL.x * across);
        let height = (width * down / across).max(24.0).min(LARGEST_CELL.y * down).min(HEIGHT);
        Vec2::new(width, height)
    }
}

/// The value under a cell, for people.
pub(super) fn cell_text(cell: &Cell) -> String {
    if cell.non_finite.any() {
        non_finite_text(cell.non_finite)
    } else {
        text::number(f64::from(extreme(cell)))
    }
}

/// `NaN`, `+Inf`, or both.
pub(super) fn non_finite_text(found: NonFinite) -> String {
    let names = [(found.nan, "NaN"), (found.positive, "+Inf"), (found.negative, "−Inf")];
    names.into_iter().filter(|(there, _)| *there).map(|(_, name)| name).collect::<Vec<_>>().join(", ")
}

/// One pixel per cell, with a line between kernels.
pub(super) fn image(ctx: &ViewContext<'_>, map: &HeatMap, range: f32) -> ColorImage {
    let scale = ctx.theme.diverging();
    let middle = (scale.len() / 2) as f32;
    let grid = &map.grid;
    let places = Pixels::of(map);
    let mut pixels = vec![ctx.theme.line_strong; places.down * places.across];
    for (index, cell) in grid.cells.iter().enumerate() {
        let (y, x) = places.pixel(index / grid.across.max(1), index % grid.across.max(1));
        let color = if cell.non_finite.any() {
            ctx.theme.error
        } else {
            let at = if range > 0.0 { (extreme(cell) / range).clamp(-1.0, 1.0) } else { 0.0 };
            scale.get((middle + at * middle).round() as usize).copied().unwrap_or(ctx.theme.line)
        };
        if let Some(pixel) = pixels.get_mut(y * places.across + x) {
            *pixel = color;
        }
    }
    ColorImage::new([places.across, places.down], pixels)
}

/// The same picture as an SVG file, where it is not too large for one.
pub(super) fn svg(image: &ColorImage, size: Vec2) -> Option<String> {
    let [across, down] = image.size;
    if across * down > SVG_PIXELS {
        return None;
    }
    let (width, height) = (size.x, size.y);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {across} {down}\" \
         preserveAspectRatio=\"none\" shape-rendering=\"crispEdges\">\n"
    );
    for (y, row) in image.pixels.chunks(across.max(1)).enumerate() {
        let mut x = 0;
        for run in row.chunk_by(|a, b| a == b) {
            let (wide, [r, g, b, _]) = (run.len(), run.first().copied().unwrap_or_default().to_array());
            let _ = writeln!(
                svg,
                "<rect x=\"{x}\" y=\"{y}\" width=\"{wide}\" height=\"1\" fill=\"#{r:02x}{g:02x}{b:02x}\"/>"
            );
            x += wide;
        }
    }
    svg.push_str("</svg>\n");
    Some(svg)
}

/// The cells as lines with tabs: single values, or of each cell the one farthest from zero.
pub(super) fn as_text(map: &HeatMap) -> String {
    let mut text = String::new();
    for row in map.grid.cells.chunks(map.grid.across.max(1)) {
        let cells: Vec<String> = row
            .iter()
            .map(|cell| {
                if cell.non_finite.any() {
                    non_finite_text(cell.non_finite)
                } else {
                    extreme(cell).to_string()
                }
            })
            .collect();
        text.push_str(&cells.join("\t"));
        text.push('\n');
    }
    text
}

/// The colours and what they stand for, as something to click. Drawn from right to left.
fn legend_ui(ui: &mut Ui, ctx: &ViewContext<'_>, range: f32, name: &str) -> Response {
    const BAR: f32 = 88.0;
    let theme = ctx.theme;
    let label = |value: f32| {
        ui.painter().layout_no_wrap(text::number(f64::from(value)), theme::label(), theme.text_second)
    };
    let (low, high) = (label(-range), label(range));
    let size = Vec2::new(low.size().x + high.size().x + BAR + 24.0, 22.0);
    let (rect, response) = ui.allocate_exact_size(size, Sense::click());
    response.widget_info(|| WidgetInfo::labeled(Role::ComboBox, true, name));
    if response.hovered() || response.has_focus() {
        ui.painter().rect_filled(rect, theme::RADIUS, theme.raised);
    }
    let at = Align2::LEFT_CENTER.align_size_within_rect(low.size(), rect.shrink2(Vec2::new(6.0, 0.0)));
    let left = at.right() + 6.0;
    ui.painter().galley(at.min, low, theme.text_second);
    let at = Align2::RIGHT_CENTER.align_size_within_rect(high.size(), rect.shrink2(Vec2::new(6.0, 0.0)));
    ui.painter().galley(at.min, high, theme.text_second);
    let bar = Rect::from_min_size(Pos2::new(left, rect.center().y - 4.0), Vec2::new(BAR, 8.0));
    let scale = theme.diverging();
    let steps = 44;
    for step in 0..steps {
        let x = bar.left() + BAR * step as f32 / steps as f32;
        let size = Vec2::new(BAR / steps as f32 + 0.5, bar.height());
        if let Some(&color) = scale.get(step * (scale.len() - 1) / (steps - 1)) {
            ui.painter().rect_filled(Rect::from_min_size(Pos2::new(x, bar.top()), size), 0, color);
        }
    }
    response
}

/// The colours; a click chooses which values they span.
pub(super) fn range_ui(ui: &mut Ui, ctx: &ViewContext<'_>, span: f32) {
    let range = ctx.state.settings.colour_range;
    let response = legend_ui(ui, ctx, span, &format!("Colours span {}", range.label()));
    egui::Popup::menu(&response).show(|ui| {
        ui.set_min_width(150.0);
        ui.label(RichText::new("Colours span").font(theme::label()).color(ctx.theme.text_second));
        for choice in Clip::ALL {
            if ui.selectable_label(choice == range, choice.label()).clicked() {
                ctx.commands.send(Command::SetColourRange(choice));
                ui.close();
            }
        }
    });
    response
        .on_hover_text("Click to choose the values that the colours span; beyond, the colour stays the same");
}

/// The values themselves, where cells are large enough.
pub(super) fn values_ui(ui: &Ui, ctx: &ViewContext<'_>, map: &HeatMap, rect: Rect, range: f32) {
    let places = Pixels::of(map);
    let size = Vec2::new(rect.width() / places.across as f32, rect.height() / places.down as f32);
    for (index, cell) in map.grid.cells.iter().enumerate() {
        let (y, x) = places.pixel(index / map.grid.across.max(1), index % map.grid.across.max(1));
        let center = rect.min + Vec2::new((x as f32 + 0.5) * size.x, (y as f32 + 0.5) * size.y);
        let strong = cell.non_finite.any() || (extreme(cell).abs() > range * 0.6 && range > 0.0);
        let text =
            if cell.non_finite.any() { non_finite_text(cell.non_finite) } else { short(extreme(cell)) };
        let color = ctx.theme.on_scale(strong);
        ui.painter().text(center, Align2::CENTER_CENTER, text, theme::mono_small(), color);
    }
}

/// Three digits: more have no room.
fn short(value: f32) -> String {
    let magnitude = value.abs();
    if magnitude != 0.0 && !(1e-3..1e4).contains(&magnitude) {
        return format!("{value:.0e}");
    }
    let decimals = if magnitude >= 100.0 {
        0
    } else if magnitude >= 10.0 {
        1
    } else {
        3
    };
    let text = format!("{value:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pointer_finds_cells_and_the_lines_between_kernels() {
        let pixels = Pixels { down: 7, across: 7, tile: Some((3, 3)) };
        let at = |x: f32, y: f32| pixels.cell_at(Vec2::new(x, y) / 7.0);
        assert_eq!(at(0.5, 2.5), Some((2, 0)));
        assert_eq!(at(3.5, 2.5), None);
        assert_eq!(at(4.5, 6.5), Some((5, 3)));
        assert_eq!(pixels.pixel(5, 3), (6, 4));
    }

    #[test]
    fn a_picture_of_few_cells_stays_small() {
        let size = |down, across| Pixels { down, across, tile: None }.size(360.0);
        assert_eq!(size(2, 1), Vec2::new(64.0, 56.0));
        assert_eq!(size(1, 64), Vec2::new(360.0, 24.0));
        assert_eq!(size(320, 320), Vec2::new(360.0, 300.0));
    }

    #[test]
    fn what_is_not_finite_is_called_by_its_name() {
        let found = NonFinite { nan: false, positive: true, negative: false };
        assert_eq!(non_finite_text(found), "+Inf");
        assert_eq!(non_finite_text(NonFinite { nan: true, ..found }), "NaN, +Inf");
    }
}
