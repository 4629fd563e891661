//! What the rules found: in short for a checkpoint, in words for a tensor.

use egui::{CollapsingHeader, Label, RichText, Role, Sense, Ui, Vec2, WidgetInfo};

use super::parts::title_ui;
use crate::analysis::health::{Finding, Health, Rule};
use crate::jobs::JobKey;
use crate::model::{Checkpoint, Severity};
use crate::state::scan::Verdict;
use crate::state::tree::{Item, TreeChange};
use crate::state::{Command, OpenCheckpoint, ScanStatus};
use crate::text;
use crate::ui::widgets::{bar, clipped_text};
use crate::ui::{ViewContext, theme};

/// Findings of one rule that are listed before the rest becomes a number.
const LISTED: usize = 40;
/// One finding, with its explanation on hover.
pub(super) fn finding_ui(ui: &mut Ui, ctx: &ViewContext<'_>, finding: &Finding) {
    ui.horizontal_top(|ui| {
        dot_ui(ui, ctx, finding.level);
        let text = format!("{}: {}", finding.rule.title(), text::escape(&finding.message));
        ui.add(Label::new(text).wrap()).on_hover_text(finding.rule.explanation());
    });
}

fn dot_ui(ui: &mut Ui, ctx: &ViewContext<'_>, level: Severity) {
    let (dot, _) = ui.allocate_exact_size(Vec2::new(8.0, 18.0), Sense::hover());
    ui.painter().circle_filled(dot.center(), 3.5, ctx.theme.severity(level));
}

/// The health of a checkpoint: the scan's progress, then its verdict with reasons.
pub fn health_ui(ui: &mut Ui, ctx: &ViewContext<'_>, entry: &OpenCheckpoint, checkpoint: &Checkpoint) {
    ui.set_width(ui.available_width());
    let all = checkpoint.tensors().len();
    ui.horizontal(|ui| {
        title_ui(ui, ctx, "Health");
        ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| match &entry.scan.status {
            ScanStatus::Running => {
                if ui.button("Stop").clicked() {
                    ctx.commands.send(Command::Cancel(JobKey::Scan(entry.id)));
                }
            }
            ScanStatus::NotRequested | ScanStatus::Stopped | ScanStatus::Failed(_) => {
                let command = Command::Scan(entry.id);
                if ui.button(command.label()).on_hover_text(command.tooltip()).clicked() {
                    ctx.commands.send(command);
                }
            }
            ScanStatus::Done => {}
        });
    });
    let second = |ui: &mut Ui, text: String| {
        ui.label(RichText::new(text).color(ctx.theme.text_second));
    };
    let done = text::count(entry.scan.done() as u64);
    match (&entry.scan.status, entry.scan.verdict()) {
        (ScanStatus::Running, _) => {
            let (rect, _) = ui.allocate_exact_size(Vec2::new(ui.available_width(), 6.0), Sense::hover());
            let fraction = entry.scan.done() as f32 / all.max(1) as f32;
            bar(ui, rect, fraction, ctx.theme.track, ctx.theme.accent);
            second(ui, format!("{done} of {} tensors read", text::count(all as u64)));
        }
        (ScanStatus::NotRequested, _) => {
            let bytes = text::bytes(checkpoint.totals().tensor_bytes);
            second(ui, format!("Values were not looked at yet; that reads {bytes}"));
        }
        (ScanStatus::Stopped, _) => second(ui, format!("Stopped after {done} tensors")),
        (ScanStatus::Failed(error), _) => {
            ui.label(RichText::new(&error.message).color(ctx.theme.error));
        }
        (ScanStatus::Done, Some(verdict)) => findings_ui(ui, ctx, entry, checkpoint, verdict),
        (ScanStatus::Done, None) => {}
    }
}

fn findings_ui(
    ui: &mut Ui,
    ctx: &ViewContext<'_>,
    entry: &OpenCheckpoint,
    checkpoint: &Checkpoint,
    verdict: &Verdict,
) {
    let health = &verdict.health;
    if health.findings.is_empty() {
        ui.horizontal(|ui| {
            let (dot, _) = ui.allocate_exact_size(Vec2::new(8.0, 18.0), Sense::hover());
            ui.painter().circle_filled(dot.center(), 3.5, ctx.theme.ok);
            ui.label(format!("Nothing unusual in {} tensors", text::count(health.tensors)));
        });
        return;
    }
    for &(rule, level, count) in &verdict.rules {
        let head = format!("{}  ·  {}", rule.title(), text::count(count as u64));
        ui.horizontal_top(|ui| {
            dot_ui(ui, ctx, level);
            ui.vertical(|ui| {
                let salt = ("finding", rule.code(), level as u8);
                CollapsingHeader::new(RichText::new(head).color(ctx.theme.text)).id_salt(salt).show(
                    ui,
                    |ui| {
                        let why = RichText::new(rule.explanation()).font(theme::label());
                        ui.add(Label::new(why.color(ctx.theme.text_second)).wrap());
                        tensors_ui(ui, ctx, entry, checkpoint, health, (rule, level, count));
                    },
                );
            });
        });
    }
}

fn tensors_ui(
    ui: &mut Ui,
    ctx: &ViewContext<'_>,
    entry: &OpenCheckpoint,
    checkpoint: &Checkpoint,
    health: &Health,
    (rule, level, count): (Rule, Severity, usize),
) {
    let findings = health.findings.iter().filter(|finding| (finding.rule, finding.level) == (rule, level));
    for finding in findings.take(LISTED) {
        let name = text::escape(&checkpoint.tensor(finding.tensor).name);
        let (rect, response) = ui.allocate_exact_size(Vec2::new(ui.available_width(), 20.0), Sense::click());
        response.widget_info(|| WidgetInfo::labeled(Role::Button, true, format!("Show {name}")));
        if response.hovered() || response.has_focus() {
            ui.painter().rect_filled(rect, 4, ctx.theme.raised);
        }
        let align = egui::Align2::LEFT_CENTER;
        let used = clipped_text(ui, rect, align, &name, theme::mono_small(), ctx.theme.text);
        let mut rest = rect;
        rest.min.x += used + 8.0;
        clipped_text(ui, rest, align, &finding.message, theme::label(), ctx.theme.text_second);
        if response.on_hover_text(format!("{name}\n{}", text::escape(&finding.message))).clicked() {
            let select = TreeChange::Select(Some(Item::Tensor(finding.tensor)));
            ctx.commands.send(Command::Tree(entry.id, select));
        }
    }
    if count > LISTED {
        let rest = format!("and {} more", text::count((count - LISTED) as u64));
        ui.label(RichText::new(rest).font(theme::label()).color(ctx.theme.text_second));
    }
}
