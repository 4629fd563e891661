//! The entries of the metadata, and of the configuration of layers, that are not the same on both sides.

use egui::{
    Align2, Frame, Label, Margin, Panel, Rect, RichText, Role, ScrollArea, Sense, TextEdit, Ui, Vec2,
    WidgetInfo,
};

use super::sides::side_color;
use crate::jobs::{ComparisonKey, MetadataLine};
use crate::model::{Checkpoint, Value};
use crate::state::compare::{Found, Side};
use crate::text;
use crate::ui::widgets::clipped_text;
use crate::ui::{ViewContext, theme};

/// Characters shown of one value in full.
const SHOWN: usize = 20_000;

/// Search and chosen entry, with the lines that they make.
#[derive(Default)]
pub(super) struct MetadataDifferences {
    of: Option<ComparisonKey>,
    search: String,
    lines: Vec<usize>,
    chosen: Option<(usize, [Option<String>; 2])>,
}

impl MetadataDifferences {
    /// Draws the list, and the chosen entry in full.
    pub(super) fn ui(&mut self, ui: &mut Ui, ctx: &ViewContext<'_>, found: &Found) {
        let Some(whole) = found.whole() else {
            note_ui(ui, ctx, "Metadata is compared at the end; the values are still being read.");
            return;
        };
        if whole.metadata.is_empty() {
            let same = "No difference in what both files hold beside their tensors.";
            note_ui(ui, ctx, same);
            return;
        }
        if self.of != Some(found.key) {
            self.of = Some(found.key);
            self.chosen = None;
            self.find(&whole.metadata);
        }
        Frame::new().inner_margin(Margin::symmetric(10, 7)).show(ui, |ui| {
            let edit = TextEdit::singleline(&mut self.search)
                .hint_text("Search keys and values")
                .margin(Margin::symmetric(8, 4))
                .desired_width(260.0);
            if ui.add(edit).changed() {
                self.find(&whole.metadata);
            }
        });
        if let Some((_, texts)) = &self.chosen {
            Panel::bottom("metadata_difference")
                .resizable(true)
                .default_size(220.0)
                .frame(Frame::new().fill(ctx.theme.panel).inner_margin(Margin::symmetric(12, 4)))
                .show(ui, |ui| full_ui(ui, ctx, texts));
        }
        self.list_ui(ui, ctx, found, &whole.metadata);
    }

    fn find(&mut self, lines: &[MetadataLine]) {
        let wanted = self.search.trim().to_lowercase();
        let has = |text: &str| text.to_lowercase().contains(&wanted);
        let is_found = |line: &MetadataLine| {
            wanted.is_empty()
                || has(&line.path)
                || [&line.left, &line.right].into_iter().flatten().any(|text| has(text))
        };
        self.lines = (0..lines.len()).filter(|&index| lines.get(index).is_some_and(is_found)).collect();
    }

    fn list_ui(&mut self, ui: &mut Ui, ctx: &ViewContext<'_>, found: &Found, lines: &[MetadataLine]) {
        let theme = ctx.theme;
        ui.spacing_mut().item_spacing.y = 0.0;
        let spans = |rect: Rect| {
            let inner = rect.shrink2(Vec2::new(12.0, 0.0));
            let at = |share: f32| inner.left() + inner.width() * share;
            let part = |from: f32, to: f32| Rect::from_x_y_ranges(at(from)..=at(to) - 12.0, rect.y_range());
            [part(0.0, 0.34), part(0.34, 0.67), part(0.67, 1.0)]
        };
        let (head, _) = ui.allocate_exact_size(Vec2::new(ui.available_width(), 26.0), Sense::hover());
        ui.painter().hline(head.x_range(), head.bottom() - 0.5, theme.separator());
        for (cell, text) in spans(head).into_iter().zip(["Entry", "Left", "Right"]) {
            clipped_text(ui, cell, Align2::LEFT_CENTER, text, theme::label(), theme.text_second);
        }
        if self.lines.is_empty() {
            note_ui(ui, ctx, "Nothing found");
            return;
        }
        let mut clicked = None;
        ScrollArea::vertical().auto_shrink(false).show_rows(
            ui,
            theme::ROW_HEIGHT,
            self.lines.len(),
            |ui, range| {
                for row in range {
                    let Some((index, line)) =
                        self.lines.get(row).and_then(|&index| Some((index, lines.get(index)?)))
                    else {
                        continue;
                    };
                    let size = Vec2::new(ui.available_width(), theme::ROW_HEIGHT);
                    let (rect, response) = ui.allocate_exact_size(size, Sense::CLICK);
                    let chosen = self.chosen.as_ref().is_some_and(|(other, _)| *other == index);
                    let path = text::escape(&line.path);
                    response.widget_info(|| WidgetInfo::selected(Role::Row, true, chosen, &path));
                    let ground = if chosen {
                        Some(theme.selection)
                    } else if response.hovered() {
                        Some(theme.raised)
                    } else {
                        (row % 2 == 1).then(|| theme.hover.gamma_multiply(0.45))
                    };
                    if let Some(color) = ground {
                        ui.painter().rect_filled(rect, 0, color);
                    }
                    let [name, left, right] = spans(rect);
                    clipped_text(ui, name, Align2::LEFT_CENTER, &path, theme::body(), theme.text);
                    for (cell, side, value) in
                        [(left, Side::Left, &line.left), (right, Side::Right, &line.right)]
                    {
                        let (shown, font, color) = match value {
                            Some(value) => (text::escape(value), theme::mono_small(), side_color(ctx, side)),
                            None => ("not there".to_owned(), theme::body(), theme.text_second),
                        };
                        clipped_text(ui, cell, Align2::LEFT_CENTER, &shown, font, color);
                    }
                    if response.clicked() {
                        clicked = Some(index);
                    }
                }
            },
        );
        if let Some(index) = clicked {
            let entry = found.whole().and_then(|whole| whole.comparison.metadata.get(index));
            self.chosen = entry.map(|entry| {
                let full = |value: &Option<Value>, checkpoint: &Checkpoint| {
                    value.as_ref().map(|value| readable(value, checkpoint))
                };
                (index, [full(&entry.left, &found.left), full(&entry.right, &found.right)])
            });
        }
    }
}

/// A value as indented JSON, safe to show.
fn readable(value: &Value, checkpoint: &Checkpoint) -> String {
    let json = value.to_json(&|id| checkpoint.tensor(id).name.clone());
    let text = serde_json::to_string_pretty(&json).unwrap_or_default();
    let cut: String = text.chars().take(SHOWN).collect();
    let safe: Vec<String> = cut.lines().map(text::escape).collect();
    safe.join("\n") + if cut.len() < text.len() { "\n…" } else { "" }
}

/// Both sides of one entry beside each other.
fn full_ui(ui: &mut Ui, ctx: &ViewContext<'_>, texts: &[Option<String>; 2]) {
    ui.add_space(theme::STEP * 2.0);
    ui.columns(2, |columns| {
        for ((ui, text), side) in columns.iter_mut().zip(texts).zip(Side::BOTH) {
            ScrollArea::vertical().id_salt(side).auto_shrink(false).show(ui, |ui| {
                let shown = text.as_deref().unwrap_or("not there");
                let color = side_color(ctx, side);
                ui.add(
                    Label::new(RichText::new(shown).font(theme::mono_small()).color(color))
                        .wrap()
                        .selectable(true),
                );
            });
        }
    });
}

fn note_ui(ui: &mut Ui, ctx: &ViewContext<'_>, text: &str) {
    ui.add_space(40.0);
    ui.vertical_centered(|ui| ui.label(RichText::new(text).color(ctx.theme.text_second)));
}
