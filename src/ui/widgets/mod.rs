//! Pieces used by two views or more.

pub mod rows;

use std::time::{Duration, Instant};

use egui::{
    Align, Align2, Button, CornerRadius, FontId, Frame, Layout, Margin, Pos2, Rect, Response, RichText,
    Sense, Stroke, Ui, Vec2, WidgetInfo,
};

use super::theme::{self, Theme};
use crate::jobs::JobError;

/// How long a job may take before its view says that it is loading.
const PATIENCE: Duration = Duration::from_millis(100);

/// `1 tensor`, `57 tensors`.
pub fn tensors(count: u64) -> String {
    format!("{} tensor{}", crate::text::count(count), if count == 1 { "" } else { "s" })
}

/// A statistic as tables show it.
pub fn statistic_text(statistic: crate::state::Statistic, value: f64) -> String {
    if statistic.is_count() { crate::text::short_count(value as u64) } else { crate::text::number(value) }
}

/// A small upper-case heading.
pub fn section_ui(ui: &mut Ui, theme: &Theme, text: &str) -> Response {
    ui.label(RichText::new(text.to_uppercase()).font(theme::section()).color(theme.text_second))
}

/// Tabs in a line, the chosen one underlined.
pub fn tabs_ui<T: Copy + PartialEq>(ui: &mut Ui, theme: &Theme, tabs: &[(T, &str)], chosen: &mut T) {
    let height = 28.0;
    let (whole, _) = ui.allocate_exact_size(Vec2::new(ui.available_width(), height), Sense::hover());
    ui.painter().hline(whole.x_range(), whole.bottom() - 0.5, theme.separator());
    let mut left = whole.left();
    for (tab, name) in tabs {
        let lit = *tab == *chosen;
        let galley = ui.painter().layout_no_wrap((*name).to_owned(), theme::body_medium(), theme.text_second);
        let size = Vec2::new(galley.size().x + 4.0, height);
        let rect = Rect::from_min_size(Pos2::new(left, whole.top()), size);
        left += size.x + 18.0;
        let response = ui.interact(rect, ui.scope_id().with(("tab", name)), Sense::click());
        response.widget_info(|| WidgetInfo::selected(egui::Role::Tab, true, lit, *name));
        let color = if lit || response.hovered() || response.has_focus() {
            theme.text_strong
        } else {
            theme.text_second
        };
        ui.painter().text(rect.center(), Align2::CENTER_CENTER, *name, theme::body_medium(), color);
        if lit {
            let line = Rect::from_min_max(Pos2::new(rect.left(), rect.bottom() - 2.0), rect.max);
            ui.painter().rect_filled(line, 1, theme.accent);
        }
        if response.clicked() {
            *chosen = *tab;
        }
    }
}

/// A rounded button that opens a choice; lit while something is chosen.
pub fn pill_ui(ui: &mut Ui, theme: &Theme, text: &str, lit: bool) -> Response {
    let color = if lit { theme.text_strong } else { theme.text };
    let fill = if lit { theme.selection } else { egui::Color32::TRANSPARENT };
    ui.add(Button::new(RichText::new(text).color(color)).fill(fill).corner_radius(12))
}

/// A box to tick in a menu. Menus hide the frames of what is not pointed at; an empty box is nothing without its own.
pub fn menu_checkbox_ui(ui: &mut Ui, theme: &Theme, on: &mut bool, text: impl Into<String>) -> Response {
    let text = text.into();
    ui.scope(|ui| {
        menu_frames(ui, theme);
        ui.checkbox(on, text)
    })
    .inner
}

/// A choice of several in a menu, drawn like [`menu_checkbox_ui`].
pub fn menu_radio_ui(ui: &mut Ui, theme: &Theme, chosen: bool, text: impl Into<String>) -> Response {
    let text = text.into();
    ui.scope(|ui| {
        menu_frames(ui, theme);
        ui.radio(chosen, text)
    })
    .inner
}

fn menu_frames(ui: &mut Ui, theme: &Theme) {
    let widgets = &mut ui.visuals_mut().widgets;
    for widget in [&mut widgets.inactive, &mut widgets.hovered, &mut widgets.active] {
        widget.bg_fill = theme.window;
        widget.bg_stroke = Stroke::new(1.0, theme.text_disabled);
    }
}

/// A small word on a raised ground: dtype, shape, role.
pub fn chip_ui(ui: &mut Ui, theme: &Theme, text: &str) -> Response {
    chip_in(ui, theme, text, theme::label(), theme.text)
}

/// A chip with a colour that means something.
pub fn coloured_chip_ui(ui: &mut Ui, theme: &Theme, text: &str, color: egui::Color32) -> Response {
    chip_in(ui, theme, text, theme::label(), color)
}

/// A chip in the type of names and shapes.
pub fn mono_chip_ui(ui: &mut Ui, theme: &Theme, text: &str) -> Response {
    chip_in(ui, theme, text, FontId::monospace(11.5), theme.text)
}

fn chip_in(ui: &mut Ui, theme: &Theme, text: &str, font: FontId, color: egui::Color32) -> Response {
    // Measured first, so that a chip that does not fit moves to the next line.
    let widest = (ui.max_rect().width() - 12.0).max(24.0);
    let mut job = egui::text::LayoutJob::simple_singleline(text.to_owned(), font, color);
    job.wrap = egui::text::TextWrapping::truncate_at_width(widest);
    let galley = ui.painter().layout_job(job);
    let (rect, response) = ui.allocate_exact_size(galley.size() + Vec2::new(12.0, 6.0), Sense::hover());
    response.widget_info(|| WidgetInfo::labeled(egui::Role::Label, true, text));
    let stroke = if theme.dark { Stroke::NONE } else { theme.separator() };
    ui.painter().rect(rect, 4, theme.raised, stroke, egui::StrokeKind::Inside);
    let at = Align2::CENTER_CENTER.align_size_within_rect(galley.size(), rect);
    ui.painter().galley(at.min, galley, color);
    response
}

/// Text in one line, cut with `…` to a width; the rest on hover. Returns the width it took.
pub fn clipped_text(
    ui: &Ui,
    rect: Rect,
    align: Align2,
    text: &str,
    font: FontId,
    color: egui::Color32,
) -> f32 {
    if rect.width() < 4.0 {
        return 0.0;
    }
    let mut job = egui::text::LayoutJob::simple_singleline(text.to_owned(), font, color);
    job.wrap = egui::text::TextWrapping::truncate_at_width(rect.width());
    let galley = ui.painter().layout_job(job);
    let at = align.align_size_within_rect(galley.size(), rect);
    let width = galley.size().x;
    ui.painter().galley(at.min, galley, color);
    width
}

/// Characters at the end of a name that say most: the number of a layer, its part, `weight` or `bias`.
const TELLING_END: usize = 24;

/// A name in one line. One too long for its room is cut near its beginning: names of tensors differ at their ends. Returns
/// the width it took.
pub fn clipped_name(ui: &Ui, rect: Rect, text: &str, font: &FontId, color: egui::Color32) -> f32 {
    let layout = |text: String| ui.painter().layout_no_wrap(text, font.clone(), color);
    let mut galley = layout(text.to_owned());
    if galley.size().x > rect.width() {
        let places: Vec<usize> = text.char_indices().map(|(place, _)| place).collect();
        // About what fits, and from there less by one until it does.
        let share = f64::from(rect.width() / galley.size().x);
        let mut kept = ((places.len() as f64 * share) as usize).min(places.len().saturating_sub(1));
        loop {
            let from_head = kept.saturating_sub(TELLING_END) / 2;
            let head = places.get(from_head).and_then(|&end| text.get(..end)).unwrap_or_default();
            let tail = places.len() - (kept - from_head);
            let tail = places.get(tail).and_then(|&start| text.get(start..)).unwrap_or_default();
            galley = layout(format!("{head}…{tail}"));
            if galley.size().x <= rect.width() || kept == 0 {
                break;
            }
            kept -= 1;
        }
    }
    let at = Align2::LEFT_CENTER.align_size_within_rect(galley.size(), rect);
    let width = galley.size().x;
    ui.painter().galley(at.min, galley, color);
    width
}

/// The triangle of a group: to the right when closed, down when open.
pub fn chevron(ui: &Ui, center: Pos2, open: bool, color: egui::Color32) {
    let points = if open {
        vec![center + Vec2::new(-4.0, -2.0), center + Vec2::new(4.0, -2.0), center + Vec2::new(0.0, 3.0)]
    } else {
        vec![center + Vec2::new(-2.0, -4.0), center + Vec2::new(-2.0, 4.0), center + Vec2::new(3.0, 0.0)]
    };
    ui.painter().add(egui::Shape::convex_polygon(points, color, Stroke::NONE));
}

/// A filled star: the best one.
pub fn star(ui: &Ui, center: Pos2, radius: f32, color: egui::Color32) {
    let tip = |index: usize, radius: f32| {
        let angle = std::f32::consts::PI * (index as f32 / 5.0 - 0.5);
        center + Vec2::angled(angle) * radius
    };
    // A star is not convex: five kites around its middle are.
    for index in (0..10).step_by(2) {
        let kite =
            vec![center, tip(index + 9, radius * 0.45), tip(index, radius), tip(index + 1, radius * 0.45)];
        ui.painter().add(egui::Shape::convex_polygon(kite, color, Stroke::NONE));
    }
}

/// A horizontal bar that is filled to a fraction.
pub fn bar(ui: &Ui, rect: Rect, fraction: f32, track: egui::Color32, fill: egui::Color32) {
    let radius = CornerRadius::same((rect.height() / 2.0) as u8);
    ui.painter().rect_filled(rect, radius, track);
    if fraction > 0.0 {
        // At least a sliver, so that a little is not nothing.
        let width = (rect.width() * fraction.min(1.0)).max(1.5);
        let filled = Rect::from_min_size(rect.min, Vec2::new(width, rect.height()));
        ui.painter().rect_filled(filled, radius, fill);
    }
}

/// A button that stands out, for the one thing to do.
pub fn primary_button_ui(ui: &mut Ui, theme: &Theme, text: &str) -> Response {
    ui.add(
        Button::new(RichText::new(text).color(theme.accent_text).font(theme::body_medium()))
            .fill(theme.accent_fill)
            .stroke(Stroke::NONE),
    )
}

/// A frameless button with a drawn cross.
pub fn close_button_ui(ui: &mut Ui, rect: Rect, id: egui::Id, theme: &Theme, name: &str) -> Response {
    let response = ui.interact(rect, id, Sense::click());
    response.widget_info(|| WidgetInfo::labeled(egui::accesskit::Role::Button, true, name));
    let color =
        if response.hovered() || response.has_focus() { theme.text_strong } else { theme.text_second };
    if response.hovered() || response.has_focus() {
        ui.painter().rect_filled(rect, 4, theme.line);
    }
    let (center, arm) = (rect.center(), 3.5);
    let stroke = Stroke::new(1.3, color);
    ui.painter().line_segment([center + Vec2::splat(-arm), center + Vec2::splat(arm)], stroke);
    ui.painter().line_segment([center + Vec2::new(-arm, arm), center + Vec2::new(arm, -arm)], stroke);
    response.on_hover_text(name)
}

/// A line between two areas of a column, over its whole width.
pub fn separator_ui(ui: &mut Ui, theme: &Theme) {
    let rect = ui.available_rect_before_wrap();
    ui.painter().hline(rect.x_range(), rect.top(), theme.separator());
    ui.add_space(1.0);
}

/// Whether something asked for at `since` has taken long enough to say so. Otherwise asks for a frame at that moment.
pub fn is_slow(ui: &Ui, since: Instant) -> bool {
    match PATIENCE.checked_sub(since.elapsed()) {
        Some(rest) if !rest.is_zero() => {
            ui.ctx().request_repaint_after(rest);
            false
        }
        _ => true,
    }
}

/// Says that something loads; true when the user wants it cancelled.
pub fn loading_ui(ui: &mut Ui, theme: &Theme, what: &str, since: Instant) -> bool {
    if !is_slow(ui, since) {
        return false;
    }
    let mut cancel = false;
    ui.horizontal(|ui| {
        ui.add(egui::Spinner::new().size(14.0).color(theme.accent));
        ui.add(egui::Label::new(RichText::new(what).color(theme.text_second)).truncate());
        cancel = ui.button("Cancel").clicked();
    });
    cancel
}

/// Says that something failed: what, why, what to do. True when the user wants to try again.
pub fn failed_ui(ui: &mut Ui, theme: &Theme, what: &str, error: &JobError) -> bool {
    let mut retry = false;
    Frame::new()
        .fill(if theme.dark { theme.panel } else { theme.window })
        .stroke(Stroke::new(1.0, theme.error.gamma_multiply(0.6)))
        .corner_radius(8)
        .inner_margin(Margin::same(16))
        .show(ui, |ui| {
            ui.with_layout(Layout::top_down(Align::Min), |ui| {
                ui.label(RichText::new(what).font(theme::title(14.0)).color(theme.error));
                ui.add_space(theme::STEP);
                ui.label(RichText::new(crate::text::escape(&error.message)).color(theme.text));
                if let Some(advice) = &error.advice {
                    ui.label(RichText::new(advice).color(theme.text_second));
                }
                ui.add_space(theme::STEP * 2.0);
                ui.horizontal(|ui| {
                    retry = ui.button("Retry").clicked();
                    if ui.button("Copy message").clicked() {
                        ui.ctx().copy_text(error.message.clone());
                    }
                });
            });
        });
    retry
}
