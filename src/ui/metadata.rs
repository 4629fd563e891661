//! The Metadata page: everything that is not a tensor as a searchable tree, and one value in full beside it.

use std::sync::Arc;

use egui::{
    Align2, CentralPanel, Frame, Id, Label, Margin, Panel, Rect, RichText, Role, ScrollArea, Sense, TextEdit,
    Ui, Vec2, WidgetInfo,
};

use super::widgets::{chevron, clipped_text, separator_ui};
use super::{ViewContext, theme};
use crate::jobs::CheckpointId;
use crate::model::{Checkpoint, NameFilter};
use crate::state::metadata::{self, MetadataLine, Unfolding, ValuePath};
use crate::state::{Command, OpenCheckpoint};
use crate::text;

/// Characters shown of one value; a copy has all of them.
const SHOWN: usize = 200_000;

/// Search, folds and chosen value of the page, with the lines they make.
#[derive(Default)]
pub struct MetadataView {
    of: Option<CheckpointId>,
    search: String,
    unfolding: Unfolding,
    chosen: Option<ValuePath>,
    lines: Vec<MetadataLine>,
    detail: Option<Detail>,
}

struct Detail {
    path: ValuePath,
    title: String,
    text: String,
    shortened: bool,
}

impl MetadataView {
    /// Draws the page.
    pub fn ui(
        &mut self,
        ui: &mut Ui,
        ctx: &ViewContext<'_>,
        entry: &OpenCheckpoint,
        checkpoint: &Arc<Checkpoint>,
    ) {
        if self.of != Some(entry.id) {
            *self = Self { of: Some(entry.id), search: std::mem::take(&mut self.search), ..Self::default() };
            self.rebuild(checkpoint);
        }
        let problems = checkpoint.problems();
        if !problems.is_empty() {
            Panel::bottom("metadata_problems")
                .resizable(true)
                .default_size((30.0 + 26.0 * problems.len() as f32).min(150.0))
                .frame(Frame::new().fill(ctx.theme.panel).inner_margin(Margin::symmetric(12, 8)))
                .show(ui, |ui| super::inspector::problems_ui(ui, ctx, entry, checkpoint));
        }
        if checkpoint.metadata().is_empty() {
            empty_ui(ui, ctx);
            return;
        }
        let width = ui.available_width();
        Panel::right("metadata_detail")
            .resizable(true)
            .default_size(width * 0.5)
            .size_range(240.0..=(width - 260.0).max(260.0))
            .frame(Frame::new().fill(ctx.theme.panel).inner_margin(Margin::same(16)))
            .show(ui, |ui| self.detail_ui(ui, ctx, checkpoint));
        CentralPanel::default()
            .frame(Frame::new().fill(ctx.theme.window))
            .show(ui, |ui| self.tree_ui(ui, ctx, checkpoint));
    }

    fn rebuild(&mut self, checkpoint: &Checkpoint) {
        // A malformed expression shows everything; the field turns red.
        let search = NameFilter::parse(&self.search).ok().filter(|search| !search.is_everything());
        self.lines = metadata::lines(checkpoint, &self.unfolding, search.as_ref());
    }

    fn tree_ui(&mut self, ui: &mut Ui, ctx: &ViewContext<'_>, checkpoint: &Checkpoint) {
        let theme = ctx.theme;
        Frame::new().inner_margin(Margin::symmetric(10, 7)).show(ui, |ui| {
            ui.horizontal(|ui| {
                let malformed = NameFilter::parse(&self.search).is_err();
                let mut edit = TextEdit::singleline(&mut self.search)
                    .id(Id::unique("metadata_search"))
                    .hint_text("Search keys and values")
                    .margin(Margin::symmetric(8, 4))
                    .desired_width((ui.available_width() - 140.0).max(100.0));
                if malformed {
                    edit = edit.text_color(theme.error);
                }
                if ui.add(edit).changed() {
                    self.rebuild(checkpoint);
                }
                if ui.button("Copy all as JSON").clicked() {
                    copy_json(ctx, checkpoint, &[]);
                }
            });
        });
        separator_ui(ui, theme);
        ui.spacing_mut().item_spacing.y = 0.0;
        if self.lines.is_empty() {
            ui.add_space(40.0);
            ui.vertical_centered(|ui| ui.label(RichText::new("Nothing found").color(theme.text_second)));
            return;
        }
        let mut toggle = None;
        ScrollArea::vertical().auto_shrink(false).show_rows(
            ui,
            theme::ROW_HEIGHT,
            self.lines.len(),
            |ui, range| {
                for index in range {
                    let Some(line) = self.lines.get(index) else { continue };
                    let size = Vec2::new(ui.available_width(), theme::ROW_HEIGHT);
                    let (rect, _) = ui.allocate_exact_size(size, Sense::hover());
                    let id = ui.scope_id().with(("metadata", &line.path));
                    let response = ui.interact(rect, id, Sense::CLICK);
                    let chosen = self.chosen.as_ref() == Some(&line.path);
                    response.widget_info(|| {
                        WidgetInfo::selected(
                            Role::TreeItem,
                            true,
                            chosen,
                            format!("{}: {}", line.key, line.preview),
                        )
                    });
                    if chosen {
                        ui.painter().rect_filled(rect, 0, theme.selection);
                    } else if response.hovered() {
                        ui.painter().rect_filled(rect, 0, theme.raised);
                    }
                    let left = 12.0 + (line.path.len() - 1) as f32 * 16.0;
                    let middle = (rect.width() * 0.42).max(left + 110.0);
                    if line.has_children {
                        let color = theme.text_second;
                        chevron(ui, rect.left_center() + Vec2::new(left + 5.0, 0.0), line.open, color);
                    }
                    let key = Rect::from_x_y_ranges(
                        rect.left() + left + 16.0..=rect.left() + middle - 8.0,
                        rect.y_range(),
                    );
                    let value =
                        Rect::from_x_y_ranges(rect.left() + middle..=rect.right() - 12.0, rect.y_range());
                    let strong = if chosen { theme.text_strong } else { theme.text };
                    clipped_text(ui, key, Align2::LEFT_CENTER, &line.key, theme::body(), strong);
                    let (font, color) = if line.has_children {
                        (theme::body(), theme.text_second)
                    } else {
                        (theme::mono(), strong)
                    };
                    clipped_text(ui, value, Align2::LEFT_CENTER, &line.preview, font, color);
                    if response.clicked() {
                        self.chosen = Some(line.path.clone());
                        if line.has_children {
                            toggle = Some(line.path.clone());
                        }
                    }
                    let path = line.path.clone();
                    response.context_menu(|ui| {
                        if ui.button("Copy as JSON").clicked() {
                            copy_json(ctx, checkpoint, &path);
                            ui.close();
                        }
                    });
                }
            },
        );
        if let Some(path) = toggle {
            self.unfolding.toggle(&path);
            self.rebuild(checkpoint);
        }
    }

    fn detail_ui(&mut self, ui: &mut Ui, ctx: &ViewContext<'_>, checkpoint: &Checkpoint) {
        let path = self.chosen.clone().unwrap_or_default();
        if self.detail.as_ref().is_none_or(|detail| detail.path != path) {
            let root = checkpoint.metadata();
            let full = metadata::at(root, &path)
                .map(|value| metadata::readable(checkpoint, value))
                .unwrap_or_default();
            let shown: String = full.chars().take(SHOWN).collect();
            let title =
                if path.is_empty() { "All metadata".to_owned() } else { metadata::path_text(root, &path) };
            let shortened = shown.len() < full.len();
            // One line per line: only line breaks and tabs may steer the layout.
            let text = shown
                .split('\n')
                .map(|line| text::escape(&line.replace('\t', "    ")))
                .collect::<Vec<_>>()
                .join("\n");
            self.detail = Some(Detail { path: path.clone(), title, text, shortened });
        }
        let Some(detail) = &self.detail else { return };
        let theme = ctx.theme;
        ui.horizontal(|ui| {
            ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                if ui.button("Copy as JSON").clicked() {
                    copy_json(ctx, checkpoint, &path);
                }
                ui.with_layout(egui::Layout::left_to_right(egui::Align::Center), |ui| {
                    let title =
                        RichText::new(&detail.title).font(theme::mono_head()).color(theme.text_strong);
                    ui.add(Label::new(title).truncate());
                });
            });
        });
        ui.add_space(theme::STEP * 2.0);
        theme.card().show(ui, |ui| {
            let lines = detail.text.lines().count().max(1);
            if lines > 400 || detail.text.len() > 20_000 {
                // Long texts line by line, so that only what is visible is laid out.
                let all: Vec<&str> = detail.text.lines().collect();
                ScrollArea::both().auto_shrink(false).show_rows(ui, 16.0, all.len(), |ui, range| {
                    for line in all.get(range).unwrap_or_default() {
                        ui.add(Label::new(RichText::new(*line).font(theme::mono())).extend());
                    }
                });
            } else {
                ScrollArea::vertical().auto_shrink([false, true]).show(ui, |ui| {
                    ui.add(
                        Label::new(RichText::new(&detail.text).font(theme::mono())).wrap().selectable(true),
                    );
                });
            }
        });
        if detail.shortened {
            ui.label(
                RichText::new("Shortened here; a copy has all of it")
                    .font(theme::label())
                    .color(theme.text_second),
            );
        }
    }
}

fn copy_json(ctx: &ViewContext<'_>, checkpoint: &Checkpoint, path: &[u32]) {
    if let Some(value) = metadata::at(checkpoint.metadata(), path) {
        let json = metadata::to_json(checkpoint, value);
        let text = serde_json::to_string_pretty(&json).unwrap_or_default();
        ctx.commands.send(Command::Copy { what: "JSON", text });
    }
}

fn empty_ui(ui: &mut Ui, ctx: &ViewContext<'_>) {
    ui.add_space(80.0);
    ui.vertical_centered(|ui| {
        ui.label(RichText::new("No metadata").font(theme::title(15.0)));
        ui.label(
            RichText::new("This file holds tensors and nothing beside them").color(ctx.theme.text_second),
        );
    });
}
