//! What the rules found: in short for a checkpoint, in words for a tensor.

use egui::{Align2, Frame, Label, Margin, RichText, Role, Sense, Ui, Vec2, WidgetInfo};

use super::parts::title_ui;
use crate::analysis::health::{Finding, Health, Rule};
use crate::jobs::JobKey;
use crate::model::{Checkpoint, Severity};
use crate::state::scan::{RuleFindings, Verdict};
use crate::state::tree::{Facets, Item, TreeChange};
use crate::state::{Command, OpenCheckpoint, ScanStatus, ValueFacet};
use crate::text;
use crate::ui::widgets::{bar, chevron, clipped_name, clipped_text, tensors};
use crate::ui::{ViewContext, theme};

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
        (ScanStatus::Done, None) => second(ui, "Judging what was found…".to_owned()),
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
            ui.label(format!("Nothing unusual in {}", tensors(health.tensors)));
        });
        return;
    }
    ui.spacing_mut().item_spacing.y = 2.0;
    let few = verdict.rules.len() <= 2;
    for of in &verdict.rules {
        let (rule, level, count) = (of.rule, of.level, of.count);
        let id = egui::Id::unique(("finding", entry.id, rule.code(), level as u8));
        let open = ui.data(|data| data.get_temp(id)).unwrap_or(few || level == Severity::Error);
        if rule_ui(ui, ctx, (rule, level, count), open) {
            ui.data_mut(|data| data.insert_temp(id, !open));
        }
        if !open {
            continue;
        }
        Frame::new().inner_margin(Margin { left: 22, bottom: 6, ..Margin::ZERO }).show(ui, |ui| {
            let why = RichText::new(rule.explanation()).font(theme::label());
            ui.add(Label::new(why.color(ctx.theme.text_second)).wrap());
            tensors_ui(ui, ctx, entry, checkpoint, health, of);
            if let Some(facet) = facet(rule)
                && ui.link("Show only these in the tree").clicked()
            {
                let facets = Facets { values: [facet].into(), ..Facets::default() };
                ctx.commands.send(Command::Tree(entry.id, TreeChange::Facets(facets)));
            }
        });
    }
}

/// A rule with the number of its findings; true when it was clicked, to open or close it.
fn rule_ui(
    ui: &mut Ui,
    ctx: &ViewContext<'_>,
    (rule, level, count): (Rule, Severity, usize),
    open: bool,
) -> bool {
    let theme = ctx.theme;
    let (rect, response) = ui.allocate_exact_size(Vec2::new(ui.available_width(), 24.0), Sense::click());
    let count = tensors(count as u64);
    response
        .widget_info(|| WidgetInfo::selected(Role::Button, true, open, format!("{}: {count}", rule.title())));
    if response.hovered() || response.has_focus() {
        ui.painter().rect_filled(rect.expand2(Vec2::new(6.0, 0.0)), 4, theme.raised);
    }
    let left = rect.left_center();
    ui.painter().circle_filled(left + Vec2::new(4.0, 0.0), 3.5, theme.severity(level));
    let text = rect.with_min_x(rect.left() + 16.0).with_max_x(rect.right() - 16.0);
    let used = clipped_text(ui, text, Align2::LEFT_CENTER, rule.title(), theme::body(), theme.text);
    let rest = text.with_min_x(text.left() + used + 8.0);
    clipped_text(ui, rest, Align2::RIGHT_CENTER, &count, theme::label(), theme.text_second);
    chevron(ui, rect.right_center() - Vec2::new(6.0, 0.0), open, theme.text_second);
    response.clicked()
}

/// The property of values that a rule is about, where the tree can be filtered by it.
fn facet(rule: Rule) -> Option<ValueFacet> {
    match rule {
        Rule::NotANumber => Some(ValueFacet::Nan),
        Rule::Infinite => Some(ValueFacet::Infinite),
        Rule::AllZero => Some(ValueFacet::AllZero),
        Rule::Constant => Some(ValueFacet::Constant),
        Rule::Unreadable => Some(ValueFacet::Unreadable),
        _ => None,
    }
}

fn tensors_ui(
    ui: &mut Ui,
    ctx: &ViewContext<'_>,
    entry: &OpenCheckpoint,
    checkpoint: &Checkpoint,
    health: &Health,
    of: &RuleFindings,
) {
    for finding in of.first.iter().filter_map(|&index| health.findings.get(index)) {
        let name = text::escape(&checkpoint.tensor(finding.tensor).name);
        let (rect, response) = ui.allocate_exact_size(Vec2::new(ui.available_width(), 20.0), Sense::click());
        response.widget_info(|| WidgetInfo::labeled(Role::Button, true, format!("Show {name}")));
        if response.hovered() || response.has_focus() {
            ui.painter().rect_filled(rect, 4, ctx.theme.raised);
        }
        let short = rect.with_max_x(rect.left() + rect.width() * 0.5);
        let used = clipped_name(ui, short, &name, &theme::mono_small(), ctx.theme.text);
        let rest = rect.with_min_x(rect.left() + used + 8.0);
        clipped_text(ui, rest, Align2::LEFT_CENTER, &finding.message, theme::label(), ctx.theme.text_second);
        if response.on_hover_text(format!("{name}\n{}", text::escape(&finding.message))).clicked() {
            let select = TreeChange::Select(Some(Item::Tensor(finding.tensor)));
            ctx.commands.send(Command::Tree(entry.id, select));
        }
    }
    let more = of.count.saturating_sub(of.first.len());
    if more > 0 {
        let rest = format!("and {} more", text::count(more as u64));
        ui.label(RichText::new(rest).font(theme::label()).color(ctx.theme.text_second));
    }
}
