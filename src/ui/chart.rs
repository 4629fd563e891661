//! Paints a [`Chart`], with what is under the pointer.

use egui::{Align2, Pos2, Rect, Response, Role, Sense, Shape, Stroke, Ui, Vec2, WidgetInfo};

use super::theme::{self, Theme};
use crate::state::chart::{Axis, Chart, Marks};

/// Room for labels left of and below the chart.
const LEFT: f32 = 38.0;
const BELOW: f32 = 18.0;
const ABOVE: f32 = 4.0;

/// Draws a chart over the whole width. `note` says what is at a bar or point.
pub fn chart_ui(
    ui: &mut Ui,
    theme: &Theme,
    chart: &Chart,
    height: f32,
    note: impl Fn(usize) -> String,
) -> Response {
    let (whole, response) = ui.allocate_exact_size(Vec2::new(ui.available_width(), height), Sense::hover());
    response.widget_info(|| WidgetInfo::labeled(Role::Image, true, &chart.title));
    let inner = Rect::from_min_max(whole.min + Vec2::new(LEFT, ABOVE), whole.max - Vec2::new(2.0, BELOW));
    axes(ui, theme, chart, inner);
    let x = |place: f64| inner.left() + chart.x.share(place) as f32 * inner.width();
    let y = |place: f64| inner.bottom() - chart.y.share(place).clamp(0.0, 1.0) as f32 * inner.height();
    let pointer = response.hover_pos().filter(|at| inner.x_range().contains(at.x));
    let mut under = None;
    match &chart.marks {
        Marks::Bars(bars) if !bars.is_empty() => {
            let step = inner.width() / bars.len() as f32;
            under = bar_under(ui, theme, pointer, inner, bars.len());
            let gap = if step > 4.0 { 1.0 } else { 0.0 };
            for (index, &(low, high)) in bars.iter().enumerate() {
                if high <= chart.y.from {
                    continue;
                }
                let left = inner.left() + step * index as f32;
                // At least a sliver, so that a few are not none.
                let top = y(high).min(y(low) - 1.0);
                let bar = Rect::from_min_max(Pos2::new(left, top), Pos2::new(left + step - gap, y(low)));
                let color = if under.is_some_and(|(under, _)| under == index) {
                    theme.text_strong
                } else {
                    theme.accent
                };
                ui.painter().rect_filled(bar, 0, color);
            }
        }
        Marks::Line(points) if !points.is_empty() => {
            let placed: Vec<Pos2> = points.iter().map(|&(a, b)| Pos2::new(x(a), y(b))).collect();
            under = pointer.and_then(|at| {
                let near = placed.iter().enumerate();
                near.min_by(|a, b| (a.1.x - at.x).abs().total_cmp(&(b.1.x - at.x).abs()))
                    .map(|(index, place)| (index, place.x))
            });
            let few = placed.len() <= 80;
            ui.painter().add(Shape::line(placed.clone(), Stroke::new(1.5, theme.accent)));
            for (index, place) in placed.iter().enumerate() {
                let lit = under.is_some_and(|(under, _)| under == index);
                if few || lit {
                    let color = if lit { theme.text_strong } else { theme.accent };
                    ui.painter().circle_filled(*place, if lit { 3.5 } else { 2.0 }, color);
                }
            }
        }
        Marks::Overlaid(left, right) if !left.is_empty() => {
            let step = inner.width() / left.len() as f32;
            under = bar_under(ui, theme, pointer, inner, left.len());
            heights(ui, inner, (0, step), left, &y, theme.accent);
            heights(ui, inner, (0, step), right, &y, theme.over(theme.partner));
        }
        Marks::Signed(minus, plus) if minus.len() + plus.len() > 0 => {
            let step = inner.width() / (minus.len() + plus.len()) as f32;
            under = bar_under(ui, theme, pointer, inner, minus.len() + plus.len());
            heights(ui, inner, (0, step), minus, &y, theme.partner);
            heights(ui, inner, (minus.len(), step), plus, &y, theme.accent);
        }
        _ => {}
    }
    rules(ui, theme, chart, inner);
    match under {
        Some((index, _)) => response.on_hover_text_at_pointer(note(index)),
        None => response,
    }
}

/// The bar under the pointer with its middle, on a lighter ground.
fn bar_under(
    ui: &Ui,
    theme: &Theme,
    pointer: Option<Pos2>,
    inner: Rect,
    bars: usize,
) -> Option<(usize, f32)> {
    let step = inner.width() / bars as f32;
    let index = (((pointer?.x - inner.left()) / step) as usize).min(bars - 1);
    let left = inner.left() + step * index as f32;
    let band = Rect::from_x_y_ranges(left..=left + step.max(1.0), inner.y_range());
    ui.painter().rect_filled(band, 0, theme.raised);
    Some((index, left + step * 0.5))
}

/// Bars from zero up, from the place of the first bar on.
fn heights(
    ui: &Ui,
    inner: Rect,
    (first, step): (usize, f32),
    heights: &[f64],
    y: &dyn Fn(f64) -> f32,
    color: egui::Color32,
) {
    let gap = if step > 4.0 { 1.0 } else { 0.0 };
    for (index, &height) in heights.iter().enumerate().filter(|(_, height)| **height > 0.0) {
        let left = inner.left() + step * (first + index) as f32;
        // At least a sliver, so that a few are not none.
        let top = y(height).min(inner.bottom() - 1.0);
        let bar = Rect::from_min_max(Pos2::new(left, top), Pos2::new(left + step - gap, inner.bottom()));
        ui.painter().rect_filled(bar, 0, color);
    }
}

fn axes(ui: &Ui, theme: &Theme, chart: &Chart, inner: Rect) {
    let label = |at: Pos2, align, text: &str| {
        ui.painter().text(at, align, text, theme::axis(), theme.text_second);
    };
    for (place, text) in &chart.y.ticks {
        let y = inner.bottom() - chart.y.share(*place) as f32 * inner.height();
        ui.painter().hline(inner.x_range(), y, theme.separator());
        label(Pos2::new(inner.left() - 6.0, y), Align2::RIGHT_CENTER, text);
    }
    ui.painter().hline(inner.x_range(), inner.bottom(), Stroke::new(1.0, theme.line_strong));
    let Axis { ticks, .. } = &chart.x;
    for (place, text) in ticks {
        let share = chart.x.share(*place) as f32;
        let x = inner.left() + share * inner.width();
        // A label at an end stays within the chart.
        let align = match share {
            share if share < 0.06 => Align2::LEFT_TOP,
            share if share > 0.94 => Align2::RIGHT_TOP,
            _ => Align2::CENTER_TOP,
        };
        ui.painter().vline(x, inner.bottom()..=inner.bottom() + 3.0, Stroke::new(1.0, theme.line_strong));
        label(Pos2::new(x, inner.bottom() + 4.0), align, text);
    }
}

fn rules(ui: &Ui, theme: &Theme, chart: &Chart, inner: Rect) {
    // Where rules stand close, the name of the middle one is kept.
    let middle = chart.rules.get(chart.rules.len() / 2).map(|(place, _)| chart.x.share(*place) as f32);
    for (index, (place, name)) in chart.rules.iter().enumerate() {
        let share = chart.x.share(*place) as f32;
        if !(0.0..=1.0).contains(&share) {
            continue;
        }
        let x = inner.left() + share * inner.width();
        let line = [Pos2::new(x, inner.top()), Pos2::new(x, inner.bottom())];
        ui.painter().extend(Shape::dashed_line(&line, Stroke::new(1.0, theme.text_second), 3.0, 3.0));
        let near = middle.is_some_and(|middle| (share - middle).abs() * inner.width() < 22.0);
        if near && index != chart.rules.len() / 2 {
            continue;
        }
        let at = Pos2::new(x + 3.0, inner.top() - 2.0);
        let (at, align) =
            if share > 0.93 { (at - Vec2::new(6.0, 0.0), Align2::RIGHT_TOP) } else { (at, Align2::LEFT_TOP) };
        ui.painter().text(at, align, name, theme::label(), theme.text_second);
    }
}
