//! A tensor: its head line.

use egui::{Label, RichText, Sense, Ui};

use super::parts::{PROBLEMS_SHOWN, name_ui, problem_ui};
use crate::model::{Checkpoint, TensorId};
use crate::state::tree::{Item, TreeChange};
use crate::state::{Command, OpenCheckpoint};
use crate::text;
use crate::ui::widgets::{chip_ui, coloured_chip_ui, mono_chip_ui};
use crate::ui::{ViewContext, theme};

/// Name, dtype, shape, size, role, what it is tied with, where it is in the file, and what is wrong with it.
pub(super) fn head_ui(
    ui: &mut Ui,
    ctx: &ViewContext<'_>,
    entry: &OpenCheckpoint,
    checkpoint: &Checkpoint,
    id: TensorId,
) {
    let tensor = checkpoint.tensor(id);
    let theme = ctx.theme;
    name_ui(ui, ctx, &tensor.name);
    ui.horizontal_wrapped(|ui| {
        chip_ui(ui, theme, tensor.dtype.name());
        mono_chip_ui(ui, theme, &tensor.shape.to_string());
        chip_ui(ui, theme, &format!("{} elements", text::count(tensor.elements())));
        chip_ui(ui, theme, &text::bytes(tensor.bytes())).on_hover_text(format!(
            "{} bytes of values, {} in the file",
            text::count(tensor.bytes()),
            text::count(tensor.stored_bytes)
        ));
        if tensor.role != crate::model::TensorRole::Unknown {
            chip_ui(ui, theme, tensor.role.name());
        }
        if tensor.trainable == Some(false) {
            chip_ui(ui, theme, "not trainable");
        }
        if let Some(first) = tensor.tied_to {
            let name = text::escape(&checkpoint.tensor(first).name);
            let chip = coloured_chip_ui(ui, theme, &format!("tied with {name}"), theme.accent);
            if chip.interact(Sense::click()).on_hover_text("Show that tensor").clicked() {
                ctx.commands.send(Command::Tree(entry.id, TreeChange::Select(Some(Item::Tensor(first)))));
            }
        }
        if let Some(offset) = tensor.offset {
            chip_ui(ui, theme, &format!("at byte {}", text::count(offset)));
        }
    });
    if let Some(stored) = tensor.stored_name.as_ref().filter(|stored| **stored != tensor.name) {
        let text = RichText::new(format!("stored as {}", text::escape(stored))).font(theme::label());
        ui.add(Label::new(text.color(theme.text_second)).truncate());
    }
    for problem in checkpoint.problems_of(id).take(PROBLEMS_SHOWN) {
        problem_ui(ui, ctx, problem);
    }
}
