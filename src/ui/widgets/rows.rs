//! What the tree of one checkpoint and the table of a comparison have in common as widgets: keys that walk the rows, and
//! the part of them that is in view.

use egui::scroll_area::ScrollAreaOutput;
use egui::{Align2, EventFilter, Id, Key, Modifiers, Rect, ScrollArea, Ui, Vec2};

use crate::ui::ViewContext;
use crate::ui::theme;

/// A step through rows by key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Walk {
    /// By so many rows.
    Move(i64),
    /// Into a group, or opens it.
    Expand,
    /// Out of a group, or closes it.
    Collapse,
    /// Opens or closes the selected group.
    Toggle,
}

const KEYS: [(Key, Walk); 7] = [
    (Key::ArrowDown, Walk::Move(1)),
    (Key::ArrowUp, Walk::Move(-1)),
    (Key::Home, Walk::Move(i64::MIN / 2)),
    (Key::End, Walk::Move(i64::MAX / 2)),
    (Key::ArrowRight, Walk::Expand),
    (Key::ArrowLeft, Walk::Collapse),
    (Key::Enter, Walk::Toggle),
];

/// Whether keys are for these rows: they have the focus, or nothing has.
pub fn has_keys(ui: &Ui, id: Id) -> bool {
    let focused = ui.memory(egui::Memory::focused);
    if focused.is_some_and(|focused| focused != id) || egui::Popup::is_any_open(ui.ctx()) {
        return false;
    }
    if focused == Some(id) {
        let filter = EventFilter { vertical_arrows: true, horizontal_arrows: true, ..EventFilter::default() };
        ui.memory_mut(|memory| memory.set_focus_lock_filter(id, filter));
    }
    true
}

/// The message in place of rows.
pub fn no_rows_ui(ui: &Ui, ctx: &ViewContext<'_>, whole: Rect, message: &str) {
    let at = whole.center_top() + Vec2::new(0.0, 48.0);
    ui.painter().text(at, Align2::CENTER_CENTER, message, theme::body(), ctx.theme.text_second);
}

/// Which rows are in view, from frame to frame. `K` names what the rows are of.
pub struct RowsInView<K> {
    /// The last wish to scroll that was granted.
    granted: Option<(K, u64)>,
    offset: f32,
    height: f32,
}

impl<K> Default for RowsInView<K> {
    fn default() -> Self {
        Self { granted: None, offset: 0.0, height: 0.0 }
    }
}

impl<K: Copy + PartialEq> RowsInView<K> {
    /// The steps that were asked for by key since the last frame; `group` says whether a group is selected.
    pub fn walked(&self, ui: &Ui, group: bool) -> Vec<Walk> {
        let page = ((self.height / theme::ROW_HEIGHT) as i64 - 1).max(1);
        let pages = [(Key::PageDown, Walk::Move(page)), (Key::PageUp, Walk::Move(-page))];
        KEYS.into_iter()
            .chain(pages)
            .filter(|(_, walk)| group || *walk != Walk::Toggle)
            .filter(|(key, _)| ui.input_mut(|input| input.consume_key(Modifiers::NONE, *key)))
            .map(|(_, walk)| walk)
            .collect()
    }

    /// Scrolls as far as a row's coming into view needs; each wish, named by a number, once.
    pub fn scrolled(&mut self, area: ScrollArea, of: K, wish: Option<(u64, usize)>) -> ScrollArea {
        let Some((serial, row)) = wish.filter(|(serial, _)| self.granted != Some((of, *serial))) else {
            return area;
        };
        self.granted = Some((of, serial));
        let top = row as f32 * theme::ROW_HEIGHT;
        if top < self.offset {
            area.vertical_scroll_offset(top)
        } else if top + theme::ROW_HEIGHT > self.offset + self.height {
            area.vertical_scroll_offset(top + theme::ROW_HEIGHT - self.height)
        } else {
            area
        }
    }

    /// Remembers what was shown, and frames rows that have the focus.
    pub fn shown<R>(
        &mut self,
        ui: &Ui,
        ctx: &ViewContext<'_>,
        id: Id,
        whole: Rect,
        output: &ScrollAreaOutput<R>,
    ) {
        self.offset = output.state.clamped_offset().y;
        self.height = output.inner_rect.height();
        if ui.memory(|memory| memory.has_focus(id)) {
            let stroke = egui::Stroke::new(1.0, ctx.theme.accent.gamma_multiply(0.7));
            ui.painter().rect_stroke(whole.shrink(0.5), 0, stroke, egui::StrokeKind::Inside);
        }
    }
}
