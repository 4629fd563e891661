//! The box in a line that selects it for export.

use egui::{Id, Key, Modifiers, Pos2, Rect, Role, Sense, Stroke, StrokeKind, Ui, Vec2, WidgetInfo};

use crate::model::Checkpoint;
use crate::state::tree::{Item, TreeChange};
use crate::state::{Command, MarkChange, Marked, OpenCheckpoint};
use crate::ui::ViewContext;

/// Width that a box takes from the name.
const WIDTH: f32 = 22.0;

/// Draws the box of a line where it is selected or pointed at, at the right end of the name. Returns how much of the
/// name's width it takes, and whether it was clicked.
pub(super) fn mark_ui(
    ui: &Ui,
    ctx: &ViewContext<'_>,
    (entry, checkpoint): (&OpenCheckpoint, &Checkpoint),
    item: Item,
    (line, name): (Rect, Rect),
    id: Id,
) -> (f32, bool) {
    let marked = entry.marks.of(checkpoint, item);
    let theme = ctx.theme;
    if marked != Marked::No {
        let strength = if marked == Marked::Yes { 1.0 } else { 0.45 };
        let stripe = Rect::from_min_size(line.min, Vec2::new(3.0, line.height()));
        ui.painter().rect_filled(stripe, 0, theme.accent.gamma_multiply(strength));
    }
    let pointed = ui.rect_contains_pointer(line);
    if marked == Marked::No && !pointed && entry.marks.is_empty() {
        return (0.0, false);
    }
    let hit =
        Rect::from_center_size(Pos2::new(name.right() - WIDTH / 2.0, name.center().y), Vec2::splat(20.0));
    let response = ui.interact(hit, id.with("mark"), Sense::CLICK | Sense::DRAG);
    // Dragged from a box over others, the pointer selects them too.
    let sweep = Id::unique("sweep");
    if response.drag_started() {
        ui.data_mut(|data| data.insert_temp(sweep, response.id));
        ctx.commands.send(Command::Mark(entry.id, MarkChange::Begin(item)));
    } else if pointed
        && marked != Marked::Yes
        && ui.data(|data| data.get_temp(sweep)).is_some_and(|from| ui.ctx().is_being_dragged(from))
    {
        ctx.commands.send(Command::Mark(entry.id, MarkChange::Extend(item)));
    }
    let text = crate::text::escape(crate::state::tree::name(checkpoint, item));
    response.widget_info(|| {
        WidgetInfo::selected(Role::CheckBox, true, marked == Marked::Yes, format!("Select {text} for export"))
    });
    let square = Rect::from_center_size(hit.center(), Vec2::splat(13.0));
    let lit = response.hovered();
    if marked == Marked::No {
        let color = if lit { theme.text } else { theme.line_strong };
        ui.painter().rect_stroke(square, 3, Stroke::new(1.0, color), StrokeKind::Inside);
    } else {
        ui.painter().rect_filled(square, 3, theme.accent_fill);
        let stroke = Stroke::new(1.6, theme.accent_text);
        let at = |x: f32, y: f32| square.min + Vec2::new(x, y);
        if marked == Marked::Yes {
            ui.painter().line_segment([at(3.0, 6.8), at(5.6, 9.4)], stroke);
            ui.painter().line_segment([at(5.6, 9.4), at(10.2, 3.8)], stroke);
        } else {
            ui.painter().line_segment([at(3.4, 6.5), at(9.6, 6.5)], stroke);
        }
    }
    let clicked = response.clicked();
    if clicked {
        let change = if ui.input(|input| input.modifiers.shift) {
            MarkChange::Extend(item)
        } else {
            MarkChange::Toggle(item)
        };
        ctx.commands.send(Command::Mark(entry.id, change));
    }
    (WIDTH, clicked)
}

/// What a click on a line with a modifier does: Ctrl toggles it, Shift selects up to it.
pub(super) fn of_click(ui: &Ui, item: Item) -> Option<MarkChange> {
    let modifiers = ui.input(|input| input.modifiers);
    if modifiers.shift {
        Some(MarkChange::Extend(item))
    } else if modifiers.command {
        Some(MarkChange::Toggle(item))
    } else {
        None
    }
}

/// Space toggles the row; Shift with the arrows selects along; Ctrl+A takes all that pass the filter.
pub(super) fn keys(ui: &Ui, ctx: &ViewContext<'_>, entry: &OpenCheckpoint) {
    if ctx.state.export.is_some() {
        return;
    }
    let pressed = |modifiers, key| ui.input_mut(|input| input.consume_key(modifiers, key));
    if pressed(Modifiers::COMMAND, Key::A) {
        ctx.commands.send(Command::Mark(entry.id, MarkChange::Matching));
    }
    for (key, by) in [(Key::ArrowDown, 1), (Key::ArrowUp, -1)] {
        if pressed(Modifiers::SHIFT, key) {
            if let Some(item) = entry.tree.selected().filter(|_| entry.marks.is_empty()) {
                ctx.commands.send(Command::Mark(entry.id, MarkChange::Toggle(item)));
            }
            ctx.commands.send(Command::Tree(entry.id, TreeChange::Move(by)));
            ctx.commands.send(Command::Mark(entry.id, MarkChange::ExtendShown));
        }
    }
    if pressed(Modifiers::NONE, Key::Space) {
        ctx.commands.send(Command::Mark(entry.id, MarkChange::ToggleShown));
    }
}

/// The entries of a line's menu.
pub(super) fn menu_ui(
    ui: &mut Ui,
    ctx: &ViewContext<'_>,
    entry: &OpenCheckpoint,
    checkpoint: &Checkpoint,
    item: Item,
) {
    let label = if entry.marks.of(checkpoint, item) == Marked::Yes {
        "Take out of the selection"
    } else {
        "Select for export"
    };
    if ui.button(label).clicked() {
        ctx.commands.send(Command::Mark(entry.id, MarkChange::Toggle(item)));
        ui.close();
    }
}
