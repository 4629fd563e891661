//! What asks something over the whole window: the path field where the desktop has no dialogs, the drop overlay, about.

use std::path::PathBuf;

use egui::{Align2, Id, LayerId, Modal, Order, RichText, TextEdit, Ui};

use super::export_dialog::export_dialog_ui;
use super::widgets::primary_button_ui;
use super::{ViewContext, theme};
use crate::state::{Command, CompareChange};

/// Draws whichever is open.
pub fn dialogs_ui(ui: &mut Ui, ctx: &ViewContext<'_>) {
    if ctx.state.path_dialog.is_some() {
        path_dialog_ui(ui, ctx);
    }
    if ctx.state.about_open {
        about_ui(ui, ctx);
    }
    export_dialog_ui(ui, ctx);
    drop_overlay_ui(ui, ctx);
}

fn path_dialog_ui(ui: &mut Ui, ctx: &ViewContext<'_>) {
    let Some(dialog) = &ctx.state.path_dialog else { return };
    let response = Modal::new(Id::unique("path_dialog")).backdrop_color(ctx.theme.backdrop()).frame(ctx.theme.dialog()).show(ui.ctx(), |ui| {
        ui.set_width(520.0);
        let (title, drop) = match (dialog.report, dialog.folder) {
            (Some(_), _) => ("Save report", "."),
            (None, true) => ("Open folder", ", or drop the file on the window."),
            (None, false) => ("Open file", ", or drop the file on the window."),
        };
        ui.label(RichText::new(title).font(theme::title(16.0)));
        let why = "This desktop has no file dialog: neither a portal nor zenity is installed. Type or paste a path";
        ui.label(RichText::new(format!("{why}{drop}")).color(ctx.theme.text_second));
        ui.add_space(theme::STEP * 2.0);
        let mut text = dialog.text.clone();
        let label = ui.label(RichText::new("Path").font(theme::label()));
        let edit = ui
            .add(TextEdit::singleline(&mut text).font(theme::mono()).desired_width(f32::INFINITY).hint_text("/home/me/model.safetensors"))
            .labelled_by(label.id);
        if edit.changed() {
            ctx.commands.send(Command::EditPath(text.clone()));
        }
        let entered = edit.lost_focus() && ui.input(|input| input.key_pressed(egui::Key::Enter));
        if !edit.has_focus() && !entered {
            edit.request_focus();
        }
        ui.add_space(theme::STEP * 2.0);
        ui.horizontal(|ui| {
            let verb = if dialog.report.is_some() { "Save" } else { "Open" };
            let go = primary_button_ui(ui, ctx.theme, verb).clicked() || entered;
            let path = text.trim();
            if go && !path.is_empty() {
                let path = PathBuf::from(path);
                ctx.commands.send(match dialog.report {
                    Some(format) => Command::Compare(CompareChange::SaveReportTo(format, path)),
                    None => Command::OpenPaths(vec![path]),
                });
            }
            if ui.button(Command::ClosePathDialog.label()).clicked() {
                ctx.commands.send(Command::ClosePathDialog);
            }
        });
    });
    if response.should_close() {
        ctx.commands.send(Command::ClosePathDialog);
    }
}

fn about_ui(ui: &mut Ui, ctx: &ViewContext<'_>) {
    let response = Modal::new(Id::unique("about")).backdrop_color(ctx.theme.backdrop()).frame(ctx.theme.dialog()).show(ui.ctx(), |ui| {
        ui.set_width(420.0);
        ui.label(RichText::new(format!("Ckptscope {}", env!("CARGO_PKG_VERSION"))).font(theme::title(16.0)));
        ui.label("An explorer of machine-learning checkpoints: PyTorch, Keras, TensorFlow and safetensors.");
        ui.label(
            RichText::new("Pickles are read, never executed. Licensed MIT or Apache-2.0; the fonts Inter and JetBrains Mono under the SIL Open Font License.")
                .color(ctx.theme.text_second),
        );
        ui.add_space(theme::STEP * 2.0);
        if ui.button("Close").clicked() {
            ctx.commands.send(Command::ShowAbout(false));
        }
    });
    if response.should_close() {
        ctx.commands.send(Command::ShowAbout(false));
    }
}

/// While files hover over the window, says what dropping them does.
fn drop_overlay_ui(ui: &mut Ui, ctx: &ViewContext<'_>) {
    let hovering = ui.input(|input| input.raw.hovered_files.len());
    if hovering == 0 {
        return;
    }
    let painter = ui.ctx().layer_painter(LayerId::new(Order::Foreground, Id::unique("drop_overlay")));
    let rect = ui.ctx().content_rect();
    painter.rect_filled(rect, 0, ctx.theme.backdrop());
    let inside = rect.shrink(24.0);
    painter.rect(
        inside,
        12,
        ctx.theme.selection.gamma_multiply(0.6),
        egui::Stroke::new(2.0, ctx.theme.accent),
        egui::StrokeKind::Inside,
    );
    let text = match hovering {
        1 => "Drop to open".to_owned(),
        2 => "Drop to open both, and to compare them if you like".to_owned(),
        more => format!("Drop to open {more} files"),
    };
    painter.text(inside.center(), Align2::CENTER_CENTER, text, theme::title(22.0), ctx.theme.text_strong);
}
