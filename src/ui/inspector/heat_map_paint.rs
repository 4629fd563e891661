//! A heat map's colours, their legend, and the values on its cells.

use egui::{Align2, ColorImage, Pos2, Rect, RichText, Sense, Ui, Vec2};

use crate::analysis::slice::Cell;
use crate::jobs::HeatMap;
use crate::jobs::look::extreme;
use crate::text;
use crate::ui::{ViewContext, theme};

/// The value under a cell, for people.
pub(super) fn cell_text(cell: &Cell) -> String {
    if cell.has_non_finite { "NaN or Inf".to_owned() } else { text::number(f64::from(extreme(cell))) }
}

/// One pixel per cell, with a line between kernels.
pub(super) fn image(ctx: &ViewContext<'_>, map: &HeatMap, range: f32) -> ColorImage {
    let scale = ctx.theme.diverging();
    let middle = (scale.len() / 2) as f32;
    let grid = &map.grid;
    let (height, width) = map.tile.unwrap_or((usize::MAX, usize::MAX));
    let lines = |cells: usize, tile: usize| {
        if tile == usize::MAX { 0 } else { (cells / tile.max(1)).saturating_sub(1) }
    };
    let (tall, wide) = (grid.down + lines(grid.down, height), grid.across + lines(grid.across, width));
    let mut pixels = vec![ctx.theme.line_strong; tall * wide];
    for (index, cell) in grid.cells.iter().enumerate() {
        let (row, column) = (index / grid.across.max(1), index % grid.across.max(1));
        let (y, x) = (row + row / height, column + column / width);
        let value = extreme(cell);
        let color = if cell.has_non_finite {
            ctx.theme.error
        } else {
            let at = if range > 0.0 { (value / range).clamp(-1.0, 1.0) } else { 0.0 };
            scale.get((middle + at * middle).round() as usize).copied().unwrap_or(ctx.theme.line)
        };
        if let Some(pixel) = pixels.get_mut(y * wide + x) {
            *pixel = color;
        }
    }
    ColorImage::new([wide, tall], pixels)
}

/// The colours and what they stand for.
pub(super) fn legend_ui(ui: &mut Ui, ctx: &ViewContext<'_>, range: f32, map: &HeatMap) {
    ui.horizontal(|ui| {
        let label = |ui: &mut Ui, text: String| {
            ui.label(RichText::new(text).font(theme::label()).color(ctx.theme.text_second));
        };
        label(ui, text::number(f64::from(-range)));
        let (rect, _) = ui.allocate_exact_size(Vec2::new(96.0, 8.0), Sense::hover());
        let scale = ctx.theme.diverging();
        let steps = 48;
        for step in 0..steps {
            let left = rect.left() + rect.width() * step as f32 / steps as f32;
            let piece = Rect::from_min_size(
                Pos2::new(left, rect.top()),
                Vec2::new(rect.width() / steps as f32 + 0.5, rect.height()),
            );
            if let Some(&color) = scale.get(step * (scale.len() - 1) / (steps - 1)) {
                ui.painter().rect_filled(piece, 0, color);
            }
        }
        label(ui, text::number(f64::from(range)));
        let what = match map.tile {
            Some((height, width)) => {
                format!("{} × {} kernels", map.grid.down / height.max(1), map.grid.across / width.max(1))
            }
            None if map.grid.is_exact => format!("{} × {} values", map.grid.down, map.grid.across),
            None => "each cell its extreme value".to_owned(),
        };
        ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
            ui.add(
                egui::Label::new(RichText::new(what).font(theme::label()).color(ctx.theme.text_second))
                    .truncate(),
            );
        });
    });
}

/// The values themselves, where cells are large enough.
pub(super) fn values_ui(ui: &Ui, ctx: &ViewContext<'_>, map: &HeatMap, rect: Rect, range: f32) {
    let size = Vec2::new(rect.width() / map.grid.across as f32, rect.height() / map.grid.down as f32);
    for (index, cell) in map.grid.cells.iter().enumerate() {
        let (row, column) = (index / map.grid.across, index % map.grid.across);
        let center = rect.min + Vec2::new((column as f32 + 0.5) * size.x, (row as f32 + 0.5) * size.y);
        let strong = extreme(cell).abs() > range * 0.6 && range > 0.0;
        let color = ctx.theme.on_scale(strong);
        let text = if cell.has_non_finite { "NaN".to_owned() } else { short(extreme(cell)) };
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
