//! The line at the bottom: messages and selection at the left, running jobs at the right.

use egui::{Align, Button, Layout, Rect, RichText, Ui, Vec2};

use super::widgets::bar;
use super::{ViewContext, theme};
use crate::state::{Command, Item, Page};
use crate::text;

/// Draws the line.
pub fn status_line_ui(ui: &mut Ui, ctx: &ViewContext<'_>) {
    let theme = ctx.theme;
    ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
        if let Some(job) = ctx.state.jobs.first().filter(|job| job.elapsed.as_millis() >= 100) {
            let label = if ctx.state.jobs.len() > 1 { "Cancel all" } else { "Cancel" };
            let cancel =
                Button::new(RichText::new(label).font(theme::label())).min_size(Vec2::new(0.0, 18.0));
            ui.spacing_mut().button_padding.y = 1.0;
            if ui.add(cancel).on_hover_text(&job.label).clicked() {
                for job in &ctx.state.jobs {
                    ctx.commands.send(Command::Cancel(job.key.clone()));
                }
            }
            let seconds = job.elapsed.as_secs_f64().max(0.001);
            let speed = text::bytes((job.done as f64 / seconds) as u64);
            if let Some(fraction) = job.fraction {
                quiet(ui, ctx, &format!("{:.0} % · {speed}/s", fraction * 100.0));
                let (rect, _) = ui.allocate_exact_size(Vec2::new(120.0, 18.0), egui::Sense::hover());
                bar(
                    ui,
                    Rect::from_center_size(rect.center(), Vec2::new(120.0, 6.0)),
                    fraction,
                    theme.track,
                    theme.accent,
                );
            } else {
                ui.add(egui::Spinner::new().size(12.0).color(theme.accent));
            }
            let more = ctx.state.jobs.len() - 1;
            let label = if more > 0 { format!("{} and {more} more", job.label) } else { job.label.clone() };
            quiet(ui, ctx, &text::escape(&label));
        }
        ui.with_layout(Layout::left_to_right(Align::Center), |ui| message_ui(ui, ctx));
    });
}

fn message_ui(ui: &mut Ui, ctx: &ViewContext<'_>) {
    if let Some(notice) = ctx.state.notices.newest() {
        let (dot, _) = ui.allocate_exact_size(Vec2::splat(8.0), egui::Sense::hover());
        ui.painter().circle_filled(dot.center(), 3.5, ctx.theme.severity(notice.severity));
        if let Some(path) = &notice.path
            && ui
                .add(Button::new(RichText::new("Open").font(theme::label())).min_size(Vec2::new(0.0, 18.0)))
                .clicked()
        {
            ctx.commands.send(Command::OpenPaths(vec![path.clone()]));
            ctx.commands.send(Command::DismissNotice);
        }
        let text = RichText::new(&notice.text).font(theme::label()).color(ctx.theme.text);
        let response = ui.add(egui::Label::new(text).truncate().sense(egui::Sense::click()));
        if response.on_hover_text("Click to dismiss").clicked() {
            ctx.commands.send(Command::DismissNotice);
        }
        return;
    }
    if let (Page::Compare, Some(found)) = (ctx.state.page, &ctx.state.compare.found) {
        let compared = || format!("{} pairs compared", text::count(found.done() as u64));
        let name = ctx.state.compare.selected_name().map_or_else(compared, |name| text::escape(&name));
        quiet(ui, ctx, &name);
        return;
    }
    let Some(entry) = ctx.state.session.current() else {
        quiet(ui, ctx, "No checkpoint open");
        return;
    };
    let Some(checkpoint) = entry.checkpoint.value() else { return };
    let text = match entry.tree.selected() {
        Some(item @ Item::Tensor(_)) => text::escape(&crate::state::tree::full_name(checkpoint, item)),
        Some(item @ Item::Group(id)) => format!(
            "{} · {}",
            text::escape(&crate::state::tree::full_name(checkpoint, item)),
            super::widgets::tensors(checkpoint.layer_tree().node(id).total_tensors)
        ),
        None => text::escape(&entry.path.to_string_lossy()),
    };
    quiet(ui, ctx, &text);
}

fn quiet(ui: &mut Ui, ctx: &ViewContext<'_>, text: &str) {
    let text = RichText::new(text).font(theme::label()).color(ctx.theme.text_second);
    ui.add(egui::Label::new(text).truncate());
}
