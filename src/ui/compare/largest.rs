//! The largest changes of a pair, with their indices.

use egui::{Align2, Rect, RichText, Role, Sense, Ui, Vec2, WidgetInfo};

use crate::analysis::diff::Change;
use crate::state::Command;
use crate::text;
use crate::ui::inspector::parts::title_ui;
use crate::ui::widgets::clipped_text;
use crate::ui::{ViewContext, theme};

/// Changes listed.
const LISTED: usize = 10;

/// Draws the card. `dims` are those that the indices count over.
pub(super) fn largest_ui(ui: &mut Ui, ctx: &ViewContext<'_>, changes: &[Change], dims: &[u64]) {
    if changes.is_empty() {
        return;
    }
    ui.add_space(theme::STEP);
    ctx.theme.card().show(ui, |ui| {
        ui.spacing_mut().item_spacing.y = 0.0;
        ui.horizontal(|ui| {
            title_ui(ui, ctx, "Largest changes");
            ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                if ui.button("Copy").on_hover_text("Copy all of them as lines with tabs").clicked() {
                    ctx.commands.send(Command::Copy { what: "changes", text: copied(changes, dims) });
                }
            });
        });
        let theme = ctx.theme;
        let second = theme.text_second;
        line_ui(ui, &["index", "left", "right", "right − left"], [second; 4], false);
        for change in changes.iter().take(LISTED) {
            let delta = change.right - change.left;
            let cells = [
                &index_text(change.index, dims),
                &text::number(change.left),
                &text::number(change.right),
                &text::number(delta),
            ];
            line_ui(
                ui,
                &cells.map(String::as_str),
                [theme.text, theme.accent, theme.partner, theme.text],
                true,
            );
        }
        if changes.len() > LISTED {
            let more = format!("{} more in a copy", changes.len() - LISTED);
            ui.label(RichText::new(more).font(theme::label()).color(second));
        }
    });
}

fn line_ui(ui: &mut Ui, cells: &[&str; 4], colors: [egui::Color32; 4], mono: bool) {
    let (rect, response) = ui.allocate_exact_size(Vec2::new(ui.available_width(), 20.0), Sense::hover());
    if mono {
        response.widget_info(|| {
            let [index, left, right, delta] = cells;
            WidgetInfo::labeled(Role::Row, true, format!("{index}: {left} → {right}, {delta}"))
        });
    }
    let font = || if mono { theme::mono_small() } else { theme::label() };
    let at = |share: f32| rect.left() + rect.width() * share;
    for (index, (from, to)) in [(0.0, 0.34), (0.34, 0.56), (0.56, 0.78), (0.78, 1.0)].into_iter().enumerate()
    {
        let cell = Rect::from_x_y_ranges(at(from)..=at(to) - 2.0, rect.y_range());
        let align = if index == 0 { Align2::LEFT_CENTER } else { Align2::RIGHT_CENTER };
        clipped_text(ui, cell, align, cells[index], font(), colors[index]);
    }
}

/// The index of the element at a row-major position, as Python writes it.
fn index_text(position: u64, dims: &[u64]) -> String {
    let mut rest = position;
    let mut parts: Vec<String> = Vec::with_capacity(dims.len());
    for &length in dims.iter().rev() {
        parts.push((rest % length.max(1)).to_string());
        rest /= length.max(1);
    }
    parts.reverse();
    format!("[{}]", parts.join(", "))
}

fn copied(changes: &[Change], dims: &[u64]) -> String {
    let mut lines = vec!["index\tleft\tright\tdifference".to_owned()];
    for change in changes {
        let index = index_text(change.index, dims);
        let (left, right) = (change.left, change.right);
        lines.push(format!("{index}\t{left:?}\t{right:?}\t{:?}", right - left));
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_becomes_the_index_of_each_axis() {
        assert_eq!(index_text(0, &[]), "[]");
        assert_eq!(index_text(23, &[2, 3, 4]), "[1, 2, 3]");
        assert_eq!(index_text(5, &[0, 4]), "[0, 1]");
    }
}
