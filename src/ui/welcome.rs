//! What the window shows while nothing is open: ways to open something.

use egui::{Align, Align2, Frame, Layout, Margin, RichText, Role, Sense, Ui, Vec2, WidgetInfo};

use super::widgets::{clipped_text, primary_button_ui, section_ui};
use super::{ViewContext, theme};
use crate::state::session::display_name;
use crate::state::{Command, Recent};

const WIDTH: f32 = 560.0;

/// Draws the page.
pub fn welcome_ui(ui: &mut Ui, ctx: &ViewContext<'_>) {
    let theme = ctx.theme;
    let recents: Vec<&Recent> = ctx.state.settings.recents.iter().take(5).collect();
    let height = 360.0 + if recents.is_empty() { 0.0 } else { 44.0 + 34.0 * recents.len() as f32 };
    egui::ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
        ui.add_space(((ui.available_height() - height) * 0.42).max(24.0));
        let side = ((ui.available_width() - WIDTH) / 2.0).max(24.0);
        ui.horizontal(|ui| {
            ui.add_space(side);
            ui.allocate_ui_with_layout(
                Vec2::new(WIDTH.min(ui.available_width() - 24.0), 0.0),
                Layout::top_down(Align::Min),
                |ui| {
                    ui.label(RichText::new("Ckptscope").font(theme::title(26.0)).color(theme.text_strong));
                    ui.label(
                        RichText::new("See what is inside a checkpoint. Nothing in the file is ever run.")
                            .color(theme.text_second),
                    );
                    ui.add_space(theme::STEP * 5.0);
                    drop_area_ui(ui, ctx);
                    if !recents.is_empty() {
                        ui.add_space(theme::STEP * 6.0);
                        section_ui(ui, theme, "Recent");
                        ui.add_space(theme::STEP);
                        for recent in recents {
                            let name = display_name(&recent.path);
                            let open = Command::OpenPaths(vec![recent.path.clone()]);
                            let folder = recent.path.parent().map(|path| path.to_string_lossy().into_owned());
                            let about = if recent.about.is_empty() {
                                folder.unwrap_or_default()
                            } else {
                                recent.about.clone()
                            };
                            line_ui(ui, ctx, &name, &about, open);
                        }
                    }
                    ui.add_space(theme::STEP * 6.0);
                    section_ui(ui, theme, "Try an example");
                    ui.add_space(theme::STEP);
                    for (index, example) in crate::jobs::EXAMPLES.iter().enumerate() {
                        line_ui(ui, ctx, example.name, example.about, Command::OpenExample(index));
                    }
                },
            );
        });
    });
}

fn drop_area_ui(ui: &mut Ui, ctx: &ViewContext<'_>) {
    let theme = ctx.theme;
    let width = ui.available_width();
    let inner = Frame::new().fill(theme.panel).corner_radius(8).inner_margin(Margin::same(24)).show(ui, |ui| {
        ui.set_width(width - 48.0);
        ui.vertical(|ui| {
            ui.horizontal(|ui| {
                if primary_button_ui(ui, theme, Command::OpenFile.label())
                    .on_hover_text(Command::OpenFile.tooltip())
                    .clicked()
                {
                    ctx.commands.send(Command::OpenFile);
                }
                let folder = Command::OpenFolder;
                if ui.button(folder.label()).on_hover_text(folder.tooltip()).clicked() {
                    ctx.commands.send(folder);
                }
            });
            ui.add_space(theme::STEP * 2.0);
            ui.label(RichText::new("or drop files here, or paste a path").color(theme.text));
            ui.label(
                RichText::new("PyTorch .pt .pth .bin .ckpt · Keras .h5 .keras · TensorFlow .index, SavedModel · safetensors · GGUF, ONNX, NumPy")
                    .font(theme::label())
                    .color(theme.text_second),
            );
        });
    });
    // A dashed frame is the usual sign for a place to drop things.
    let rect = inner.response.rect.shrink(0.5);
    let stroke = egui::Stroke::new(1.0, theme.line_strong);
    let corners =
        [rect.left_top(), rect.right_top(), rect.right_bottom(), rect.left_bottom(), rect.left_top()];
    ui.painter().extend(egui::Shape::dashed_line(&corners, stroke, 6.0, 4.0));
}

fn line_ui(ui: &mut Ui, ctx: &ViewContext<'_>, name: &str, about: &str, command: Command) {
    let (rect, response) = ui.allocate_exact_size(Vec2::new(ui.available_width(), 30.0), Sense::click());
    response.widget_info(|| WidgetInfo::labeled(Role::Button, true, name));
    if response.hovered() || response.has_focus() {
        ui.painter().rect_filled(rect, 6, ctx.theme.raised);
    }
    let (left, right) = rect.shrink2(Vec2::new(10.0, 0.0)).split_left_right_at_fraction(0.5);
    clipped_text(ui, left, Align2::LEFT_CENTER, name, theme::body_medium(), ctx.theme.accent);
    clipped_text(ui, right, Align2::RIGHT_CENTER, about, theme::label(), ctx.theme.text_second);
    if response.clicked() {
        ctx.commands.send(command);
    }
}
