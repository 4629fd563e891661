//! Which part of a heat map is looked at, and how it is changed: by dragging, by the wheel, by keys, step by step.

use std::ops::Range;

use egui::{EventFilter, Key, Modifiers, Pos2, Rect, Response, RichText, Role, Ui, WidgetInfo};

use crate::text;
use crate::ui::{ViewContext, theme};

/// A part of a plane.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Part {
    pub rows: Range<u64>,
    pub columns: Range<u64>,
    /// Rows and columns there are.
    pub whole: (u64, u64),
    /// A closer look than this many shows no more.
    least: u64,
    /// More than this many are not shown at once.
    most: u64,
}

impl Part {
    /// As much as may be shown, from the beginning.
    pub(super) fn new(whole: (u64, u64), least: u64, most: u64) -> Self {
        Self { rows: 0..whole.0.min(most), columns: 0..whole.1.min(most), whole, least, most }
    }

    /// Whether there is no more to see by zooming out.
    pub(super) fn is_whole(&self) -> bool {
        let full = |range: &Range<u64>, whole: u64| range.end - range.start >= whole.min(self.most);
        full(&self.rows, self.whole.0) && full(&self.columns, self.whole.1)
    }

    /// Zooms out as far as it goes, and where only a part may be shown at once, stays about where it was.
    pub(super) fn show_whole(&mut self) {
        let from = |range: &Range<u64>, whole: u64| {
            let start = range.start.min(whole.saturating_sub(self.most));
            start..whole.min(start.saturating_add(self.most))
        };
        (self.rows, self.columns) = (from(&self.rows, self.whole.0), from(&self.columns, self.whole.1));
    }

    /// Looks at what lies between two shares of each side.
    fn look(&mut self, (top, bottom): (f32, f32), (left, right): (f32, f32)) {
        self.rows = self.between(&self.rows, top, bottom, self.whole.0);
        self.columns = self.between(&self.columns, left, right, self.whole.1);
    }

    /// The indices between two shares of a range, within `0..whole`.
    fn between(&self, range: &Range<u64>, from: f32, to: f32, whole: u64) -> Range<u64> {
        let length = (range.end - range.start) as f64;
        let start = (range.start as f64 + f64::from(from) * length).floor().max(0.0) as u64;
        let end = (range.start as f64 + f64::from(to) * length).ceil().max(0.0) as u64;
        let start = start.min(whole.saturating_sub(self.least));
        start..end.max(start + self.least).min(start.saturating_add(self.most)).min(whole)
    }

    /// Zooms about a place, given in shares of the sides.
    fn zoom(&mut self, zoom: f32, at: egui::Vec2) {
        let about = |at: f32| (at - at / zoom, at + (1.0 - at) / zoom);
        self.look(about(at.y), about(at.x));
    }

    /// Moves by a part of what is in view.
    fn shift(&mut self, down: i64, across: i64) {
        let moved = |range: &Range<u64>, by: i64, whole: u64| {
            let length = range.end - range.start;
            let step = (length / 4).max(1) as i64 * by;
            let start = range.start.saturating_add_signed(step).min(whole.saturating_sub(length));
            start..start + length
        };
        self.rows = moved(&self.rows, down, self.whole.0);
        self.columns = moved(&self.columns, across, self.whole.1);
    }

    /// Drag a frame to look closer, double click for the whole, Ctrl and wheel about the pointer.
    pub(super) fn zoom_ui(
        &mut self,
        ui: &Ui,
        ctx: &ViewContext<'_>,
        rect: Rect,
        response: &Response,
        drag: &mut Option<Pos2>,
    ) {
        if response.double_clicked() {
            self.show_whole();
            return;
        }
        if response.drag_started() {
            *drag = response.interact_pointer_pos();
        }
        if let Some((from, to)) = drag.zip(response.interact_pointer_pos()) {
            let frame = Rect::from_two_pos(from, to).intersect(rect);
            let stroke = egui::Stroke::new(1.0, ctx.theme.text_strong);
            ui.painter().rect_stroke(frame, 0, stroke, egui::StrokeKind::Inside);
            if response.drag_stopped() && frame.width() > 4.0 && frame.height() > 4.0 {
                let share = |at: Pos2| (at - rect.min) / rect.size();
                let (from, to) = (share(frame.min), share(frame.max));
                self.look((from.y, to.y), (from.x, to.x));
            }
        }
        if response.drag_stopped() || !response.dragged() {
            *drag = None;
        }
        let zoom = ui.input(egui::InputState::zoom_delta);
        if let Some(at) = response.hover_pos().filter(|_| (zoom - 1.0).abs() > 1e-3) {
            self.zoom(zoom, (at - rect.min) / rect.size());
        }
    }

    /// Plus, minus, arrows and 0, while the picture has the focus: a click gives it.
    pub(super) fn keys_ui(&mut self, ui: &Ui, response: &Response) {
        if response.clicked() {
            response.request_focus();
        }
        if !response.has_focus() {
            return;
        }
        let filter = EventFilter { vertical_arrows: true, horizontal_arrows: true, ..EventFilter::default() };
        ui.memory_mut(|memory| memory.set_focus_lock_filter(response.id, filter));
        let pressed = |key| ui.input_mut(|input| input.consume_key(Modifiers::NONE, key));
        if pressed(Key::Plus) || pressed(Key::Equals) {
            self.zoom(2.0, egui::Vec2::splat(0.5));
        }
        if pressed(Key::Minus) {
            self.zoom(0.5, egui::Vec2::splat(0.5));
        }
        if pressed(Key::Num0) || pressed(Key::Home) {
            self.show_whole();
        }
        for (key, down, across) in
            [(Key::ArrowUp, -1, 0), (Key::ArrowDown, 1, 0), (Key::ArrowLeft, 0, -1), (Key::ArrowRight, 0, 1)]
        {
            if pressed(key) {
                self.shift(down, across);
            }
        }
    }
}

/// Which of many are shown, with a step to those before and after where not all are.
pub(super) fn step_ui(
    ui: &mut Ui,
    ctx: &ViewContext<'_>,
    what: &str,
    range: &mut Range<u64>,
    whole: u64,
    most: u64,
) {
    let (start, end) = (range.start, range.end);
    let length = end - start;
    if length >= whole {
        let text = format!("{what} {}", text::count(whole));
        ui.label(RichText::new(text).font(theme::label()).color(ctx.theme.text_second));
        return;
    }
    let mut step = |ui: &mut Ui, label: &str, name: &str, start: u64, possible: bool| {
        let button = egui::Button::new(label).small().frame_when_inactive(false);
        let response = ui.add_enabled(possible, button);
        response.widget_info(|| WidgetInfo::labeled(Role::Button, possible, format!("{name} {what}")));
        if response.clicked() {
            *range = start..(start + length.min(most)).min(whole);
        }
    };
    step(ui, "‹", "Previous", start.saturating_sub(length), start > 0);
    let text = format!("{what} {start}–{} of {}", end - 1, text::count(whole));
    ui.label(RichText::new(text).font(theme::label()).color(ctx.theme.text_second));
    step(ui, "›", "Next", (start + length).min(whole - length), end < whole);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closer_look_stays_within_the_plane_and_never_becomes_empty() {
        let part = Part::new((100, 100), 4, u64::MAX);
        let between = |range: Range<u64>, from, to, whole| part.between(&range, from, to, whole);
        assert_eq!(between(0..100, 0.25, 0.5, 100), 25..50);
        assert_eq!(between(0..100, 0.5, 0.5, 100), 50..54);
        assert_eq!(between(96..100, -1.0, 3.0, 100), 92..100);
        assert_eq!(between(0..2, 0.4, 0.6, 2), 0..2);
    }

    #[test]
    fn kernels_are_shown_so_many_at_a_time_and_moved_through() {
        let mut part = Part::new((3, 512), 1, 24);
        assert_eq!((part.rows.clone(), part.columns.clone()), (0..3, 0..24));
        assert!(part.is_whole());
        part.zoom(2.0, egui::Vec2::splat(0.5));
        assert_eq!(part.columns, 6..18);
        part.shift(0, 1);
        assert_eq!(part.columns, 9..21);
        part.shift(0, 1000);
        assert_eq!(part.columns, 500..512);
        part.show_whole();
        assert_eq!(part.columns, 488..512);
    }
}
