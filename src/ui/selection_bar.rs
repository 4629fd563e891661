//! What is selected for export, in numbers, under the tree.

use egui::{RichText, Ui};

use super::widgets::{primary_button_ui, tensors};
use super::{ViewContext, theme};
use crate::state::{Command, MarkChange, OpenCheckpoint};
use crate::text;

/// Width below which the count of elements is left to the tooltip.
const WHOLE: f32 = 280.0;

/// Draws the bar.
pub fn selection_bar_ui(ui: &mut Ui, ctx: &ViewContext<'_>, entry: &OpenCheckpoint) {
    let totals = entry.marks.totals();
    ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
        ui.spacing_mut().item_spacing.x = theme::STEP * 1.5;
        ui.spacing_mut().button_padding.y = 1.0;
        if primary_button_ui(ui, ctx.theme, Command::ShowExport.label()).clicked() {
            ctx.commands.send(Command::ShowExport);
        }
        if ui.button("Clear").on_hover_text(MarkChange::Clear.label()).clicked() {
            ctx.commands.send(Command::Mark(entry.id, MarkChange::Clear));
        }
        let copy = ui.button("Copy names").on_hover_text(Command::CopySelectedNames.label());
        if copy.clicked() {
            ctx.commands.send(Command::CopySelectedNames);
        }
        ui.with_layout(egui::Layout::left_to_right(egui::Align::Center), |ui| {
            let (count, bytes) = (tensors(totals.tensors), text::bytes(totals.bytes));
            let words = if ui.available_width() < WHOLE {
                format!("{count} · {bytes}")
            } else {
                format!("{count} selected · {} elements · {bytes}", text::short_count(totals.elements))
            };
            let words = RichText::new(words).color(ctx.theme.text_strong);
            ui.add(egui::Label::new(words).truncate()).on_hover_text(format!(
                "{} bytes in {} elements",
                text::count(totals.bytes),
                text::count(totals.elements)
            ));
        });
    });
}
