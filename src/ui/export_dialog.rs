//! The export dialog: what to write and how at the left, what will come of it at the right.

use egui::{
    Align, Align2, ComboBox, Frame, Grid, Id, Layout, Margin, Modal, RichText, ScrollArea, Sense, TextEdit,
    Ui, Vec2, WidgetInfo,
};

use super::widgets::{clipped_text, primary_button_ui, section_ui, tensors};
use super::{ViewContext, theme};
use crate::jobs::Loadable;
use crate::jobs::export::{Conversion, ExportFormat, ExportPlan, PlannedTensor};
use crate::model::{Checkpoint, Dtype};
use crate::state::{Command, Dialogs, ExportDialog, ExportForm, OpenCheckpoint, Scope};
use crate::text;

/// Width of the fields.
const FORM: f32 = 318.0;
/// Width of one field behind its name.
const FIELD: f32 = 232.0;
/// Width of the whole, where the window has it.
const WIDTH: f32 = 900.0;
/// Left and right of the text in the preview.
const MARGIN: f32 = 6.0;
/// Height of fields and preview.
const HEIGHT: f32 = 420.0;

/// Dtypes that floating-point tensors can be cast to.
const CASTS: [(Option<Dtype>, &str); 5] = [
    (None, "Keep dtypes"),
    (Some(Dtype::Float16), "float16"),
    (Some(Dtype::Bfloat16), "bfloat16"),
    (Some(Dtype::Float32), "float32"),
    (Some(Dtype::Float64), "float64"),
];

/// Draws the dialog, when it is open.
pub fn export_dialog_ui(ui: &mut Ui, ctx: &ViewContext<'_>) {
    let Some(dialog) = ctx.state.export.as_ref().filter(|dialog| !dialog.running) else { return };
    let Some(entry) = ctx.state.session.entry(dialog.checkpoint) else { return };
    let Some(checkpoint) = entry.checkpoint.value() else { return };
    let room = ui.ctx().content_rect().size();
    let (width, height) = ((room.x - 72.0).min(WIDTH), (room.y - 250.0).min(HEIGHT));
    let mut form = dialog.form.clone();
    let response = Modal::new(Id::unique("export"))
        .backdrop_color(ctx.theme.backdrop())
        .frame(ctx.theme.dialog())
        .show(ui.ctx(), |ui| {
            ui.set_width(width);
            ui.horizontal(|ui| {
                ui.label(RichText::new("Export").font(theme::title(16.0)));
                let name = RichText::new(text::escape(&entry.name)).color(ctx.theme.text_second);
                ui.add(egui::Label::new(name).truncate());
            });
            ui.add_space(theme::STEP * 2.0);
            ui.allocate_ui_with_layout(Vec2::new(width, height), Layout::left_to_right(Align::Min), |ui| {
                ui.allocate_ui_with_layout(Vec2::new(FORM, height), Layout::top_down(Align::Min), |ui| {
                    ui.set_width(FORM);
                    ScrollArea::vertical()
                        .id_salt("export_form")
                        .show(ui, |ui| form_ui(ui, entry, &mut form));
                });
                ui.add_space(theme::STEP * 3.0);
                ui.vertical(|ui| {
                    ui.set_height(height);
                    preview_ui(ui, ctx, dialog, checkpoint);
                });
            });
            ui.add_space(theme::STEP * 2.0);
            target_ui(ui, ctx, &mut form);
            fault_ui(ui, ctx, dialog);
            ui.add_space(theme::STEP * 2.0);
            buttons_ui(ui, ctx, dialog);
        });
    if form != dialog.form {
        ctx.commands.send(Command::EditExport(Box::new(form)));
    }
    if response.should_close() {
        ctx.commands.send(Command::CloseExport);
    }
}

/// One of a few, with its name before it.
fn choice_ui<T: PartialEq + Clone>(ui: &mut Ui, label: &str, value: &mut T, choices: &[(T, String)]) {
    let name = ui.label(RichText::new(label).font(theme::label()));
    let shown = choices.iter().find(|(choice, _)| choice == value).map_or("", |(_, text)| text.as_str());
    let response = ComboBox::from_id_salt(label).width(FIELD).selected_text(shown).show_ui(ui, |ui| {
        for (choice, text) in choices {
            ui.selectable_value(value, choice.clone(), text);
        }
    });
    response.response.labelled_by(name.id);
    ui.end_row();
}

fn text_ui(ui: &mut Ui, label: &str, value: &mut String, hint: &str, lines: usize) {
    let name = ui.label(RichText::new(label).font(theme::label()));
    let edit =
        if lines > 1 { TextEdit::multiline(value).desired_rows(lines) } else { TextEdit::singleline(value) };
    ui.add(edit.font(theme::mono_small()).hint_text(hint).desired_width(FIELD)).labelled_by(name.id);
    ui.end_row();
}

fn form_ui(ui: &mut Ui, entry: &OpenCheckpoint, form: &mut ExportForm) {
    Grid::new("export_fields").num_columns(2).spacing(Vec2::new(10.0, 8.0)).show(ui, |ui| {
        let selected = entry.marks.totals().tensors;
        let scopes: Vec<(Scope, String)> = Scope::ALL
            .into_iter()
            .filter(|&scope| scope != Scope::Selection || selected > 0)
            .map(|scope| match scope {
                Scope::Selection => (scope, format!("{} ({})", scope.label(), text::count(selected))),
                _ => (scope, scope.label().to_owned()),
            })
            .collect();
        choice_ui(ui, "Tensors", &mut form.scope, &scopes);
        let mut format = form.format;
        choice_ui(
            ui,
            "Format",
            &mut format,
            &ExportFormat::ALL.map(|format| (format, format.name().to_owned())),
        );
        if format != form.format {
            form.set_format(format);
        }
        choice_ui(ui, "Numbers", &mut form.cast, &CASTS.map(|(dtype, name)| (dtype, name.to_owned())));
        text_ui(ui, "Strip prefix", &mut form.strip, "module.", 1);
        text_ui(ui, "Add prefix", &mut form.add, "model.", 1);
        text_ui(ui, "Rename", &mut form.rules, "s/REGEX/NEW/ or OLD=>NEW\none rule a line", 2);
        if form.format == ExportFormat::Safetensors {
            text_ui(ui, "Split at GB", &mut form.shard, "one file", 1);
        }
    });
    ui.add_space(theme::STEP * 2.0);
    ui.checkbox(&mut form.metadata, "Keep metadata").on_hover_text("As far as the format holds it");
    if !matches!(form.format, ExportFormat::PyTorch | ExportFormat::Hdf5) {
        ui.checkbox(&mut form.drop_duplicates, "Write tied tensors once")
            .on_hover_text("Only safetensors can record which tensor a name was tied to");
    }
    if form.format != ExportFormat::Csv {
        ui.checkbox(&mut form.verify, "Read back and compare")
            .on_hover_text("Done in any case when values are converted");
    }
}

fn preview_ui(ui: &mut Ui, ctx: &ViewContext<'_>, dialog: &ExportDialog, checkpoint: &Checkpoint) {
    let theme = ctx.theme;
    let plan = dialog.preview.value();
    ui.horizontal(|ui| {
        ui.add_space(MARGIN);
        section_ui(ui, theme, "Preview");
        if let Some(plan) = plan {
            let files = if plan.files.len() > 1 {
                format!(" · {} files", text::count(plan.files.len() as u64))
            } else {
                String::new()
            };
            let words =
                format!("{} · {}{files}", tensors(plan.tensors.len() as u64), text::bytes(plan.bytes));
            ui.label(RichText::new(words).color(theme.text_strong));
        }
        if dialog.preview.is_pending() {
            ui.add(egui::Spinner::new().size(12.0).color(theme.accent));
        }
    });
    let Some(plan) = plan else { return };
    if !plan.warnings.is_empty() {
        let frame = Frame::new().fill(theme.raised).corner_radius(6).inner_margin(Margin::symmetric(8, 5));
        frame.show(ui, |ui| {
            ui.set_width(ui.available_width());
            ScrollArea::vertical().id_salt("export_warnings").max_height(76.0).show(ui, |ui| {
                ui.spacing_mut().item_spacing.y = 2.0;
                for warning in &plan.warnings {
                    ui.horizontal(|ui| {
                        let (dot, _) = ui.allocate_exact_size(Vec2::splat(8.0), Sense::hover());
                        ui.painter().circle_filled(dot.center(), 3.0, theme.partner);
                        let words = RichText::new(text::escape(warning)).font(theme::label());
                        ui.add(egui::Label::new(words).wrap());
                    });
                }
            });
        });
    }
    ui.spacing_mut().item_spacing.y = 0.0;
    let area = ScrollArea::vertical().id_salt("export_rows").auto_shrink(false);
    area.show_rows(ui, theme::ROW_HEIGHT, plan.tensors.len(), |ui, range| {
        for index in range {
            if let Some(tensor) = plan.tensors.get(index) {
                row_ui(ui, ctx, checkpoint, plan, (index, tensor));
            }
        }
    });
}

fn row_ui(
    ui: &mut Ui,
    ctx: &ViewContext<'_>,
    checkpoint: &Checkpoint,
    plan: &ExportPlan,
    (index, tensor): (usize, &PlannedTensor),
) {
    let theme = ctx.theme;
    let size = Vec2::new(ui.available_width(), theme::ROW_HEIGHT);
    let (rect, response) = ui.allocate_exact_size(size, Sense::hover());
    if index % 2 == 1 {
        ui.painter().rect_filled(rect, 0, theme.hover.gamma_multiply(0.45));
    }
    let source = &checkpoint.tensor(tensor.id).name;
    let name = if *source == tensor.name {
        text::escape(source)
    } else {
        text::escape(&format!("{source} → {}", tensor.name))
    };
    let dtype = match tensor.conversion {
        Conversion::None => tensor.dtype.to_string(),
        _ => format!("{} → {}", tensor.from, tensor.dtype),
    };
    let bytes = match tensor.alias_of.and_then(|first| plan.tensors.get(first)) {
        Some(_) => "shared".to_owned(),
        None => text::bytes(tensor.bytes),
    };
    response
        .widget_info(|| WidgetInfo::labeled(egui::Role::Label, true, format!("{name}, {dtype}, {bytes}")));
    let inner = rect.shrink2(Vec2::new(MARGIN, 0.0));
    let part = |from: f32, to: f32| {
        egui::Rect::from_x_y_ranges(
            inner.left() + inner.width() * from..=inner.left() + inner.width() * to,
            inner.y_range(),
        )
    };
    let converted = match tensor.conversion {
        Conversion::None => theme.text_second,
        Conversion::Exact => theme.text,
        Conversion::Rounding => theme.partner,
    };
    clipped_text(ui, part(0.0, 0.6), Align2::LEFT_CENTER, &name, theme::mono_small(), theme.text);
    clipped_text(ui, part(0.61, 0.86), Align2::LEFT_CENTER, &dtype, theme::label(), converted);
    clipped_text(ui, part(0.87, 1.0), Align2::RIGHT_CENTER, &bytes, theme::label(), theme.text_second);
    if response.contains_pointer() {
        response.on_hover_ui(|ui| {
            ui.label(text::escape(source));
            if *source != tensor.name {
                ui.label(text::escape(&format!("becomes {}", tensor.name)));
            }
            ui.label(RichText::new(format!("{} {}", tensor.dtype, tensor.shape)).color(theme.text_second));
        });
    }
}

fn target_ui(ui: &mut Ui, ctx: &ViewContext<'_>, form: &mut ExportForm) {
    ui.horizontal(|ui| {
        let name = ui.label(RichText::new("Save as").font(theme::label()));
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            let browse = ui.add_enabled(
                ctx.state.dialogs != Dialogs::Missing,
                egui::Button::new(Command::BrowseExport.label()),
            );
            if browse.on_disabled_hover_text("This desktop has no file dialog: type the path").clicked() {
                ctx.commands.send(Command::BrowseExport);
            }
            let edit = TextEdit::singleline(&mut form.target).font(theme::mono_small());
            let response = ui.add(edit.desired_width(f32::INFINITY)).labelled_by(name.id);
            if response.changed() {
                form.replace = false;
            }
        });
    });
    ui.horizontal(|ui| {
        ui.add_space(50.0);
        ui.checkbox(&mut form.replace, "Replace an existing file");
    });
}

fn fault_ui(ui: &mut Ui, ctx: &ViewContext<'_>, dialog: &ExportDialog) {
    let fault = match (&dialog.fault, &dialog.preview) {
        (Some(fault), _) => Some(fault),
        (None, Loadable::Failed { error, .. }) => Some(&error.message),
        _ => dialog.failure.as_ref(),
    };
    if let Some(fault) = fault {
        ui.add(egui::Label::new(RichText::new(text::escape(fault)).color(ctx.theme.error)).wrap());
    }
}

fn buttons_ui(ui: &mut Ui, ctx: &ViewContext<'_>, dialog: &ExportDialog) {
    // Of its own height: the rest of a window that was larger before is not to be filled.
    let size = Vec2::new(ui.available_width(), ui.spacing().interact_size.y);
    ui.allocate_ui_with_layout(size, Layout::right_to_left(Align::Center), |ui| {
        let ready = dialog.fault.is_none() && matches!(dialog.preview, Loadable::Ready(_));
        ui.add_enabled_ui(ready, |ui| {
            if primary_button_ui(ui, ctx.theme, Command::StartExport.label()).clicked() {
                ctx.commands.send(Command::StartExport);
            }
        });
        if ui.button(Command::CloseExport.label()).clicked() {
            ctx.commands.send(Command::CloseExport);
        }
    });
}
