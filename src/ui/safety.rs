//! The Safety page: the verdict with its reason, what was found, what is imported and called, and the numerical health.

use std::sync::Arc;

use egui::{
    Align, Align2, CollapsingHeader, Color32, Frame, Label, Layout, Margin, Rect, RichText, Role, ScrollArea,
    Sense, Ui, Vec2, WidgetInfo,
};

use super::inspector::health_ui;
use super::widgets::{clipped_text, coloured_chip_ui, failed_ui, is_slow, loading_ui};
use super::{ViewContext, theme};
use crate::analysis::safety::{Class, JudgedImport, Safety, Verdict, full_name};
use crate::jobs::{JobKey, Loadable};
use crate::model::{LoadCall, Severity};
use crate::state::safety::{class_counts, groups, looked_at};
use crate::state::{Command, OpenCheckpoint};
use crate::text;

/// Lines of one list before the rest becomes a number.
const LISTED: usize = 200;

/// Text does not get wider than this, so that lines can be read.
const WIDTH: f32 = 1040.0;

/// Draws the page.
pub fn safety_ui(ui: &mut Ui, ctx: &ViewContext<'_>, entry: &OpenCheckpoint) {
    ScrollArea::vertical().id_salt(("safety", entry.id)).auto_shrink(false).show(ui, |ui| {
        Frame::new().inner_margin(Margin::symmetric(24, 20)).show(ui, |ui| {
            ui.set_max_width(WIDTH.min(ui.available_width()));
            ui.spacing_mut().item_spacing = Vec2::new(6.0, 6.0);
            let known = ctx.state.safety.get(entry.id);
            match known {
                Loadable::Failed { error, .. } => {
                    let again = failed_ui(ui, ctx.theme, "This file could not be looked at", error);
                    again.then(|| ctx.commands.send(Command::Examine(entry.id)));
                }
                Loadable::Pending { since, previous: None } if is_slow(ui, *since) => {
                    let stop = loading_ui(ui, ctx.theme, "Looking at what the file would do…", *since);
                    stop.then(|| ctx.commands.send(Command::Cancel(JobKey::Examine(entry.id))));
                }
                Loadable::NotRequested => {
                    ui.label(RichText::new("This file was not looked at").color(ctx.theme.text_second));
                    if ui.button("Look at it").clicked() {
                        ctx.commands.send(Command::Examine(entry.id));
                    }
                }
                _ => {}
            }
            if let Some(safety) = known.value() {
                whole_ui(ui, ctx, entry, safety);
            }
        });
    });
}

fn whole_ui(ui: &mut Ui, ctx: &ViewContext<'_>, entry: &OpenCheckpoint, safety: &Arc<Safety>) {
    verdict_ui(ui, ctx, safety);
    findings_ui(ui, ctx, safety);
    imports_ui(ui, ctx, safety);
    calls_ui(ui, ctx, safety);
    if let Some(checkpoint) = entry.checkpoint.value().filter(|checkpoint| checkpoint.tensors().len() > 0) {
        card(ui, ctx, |ui| health_ui(ui, ctx, entry, checkpoint));
    }
}

fn card(ui: &mut Ui, ctx: &ViewContext<'_>, content: impl FnOnce(&mut Ui)) {
    ui.add_space(theme::STEP);
    ctx.theme.card().show(ui, |ui| {
        ui.set_width(ui.available_width());
        content(ui);
    });
}

fn verdict_colour(ctx: &ViewContext<'_>, verdict: Verdict) -> Color32 {
    match verdict {
        Verdict::Clean => ctx.theme.ok,
        Verdict::UnknownCode | Verdict::Damaged => ctx.theme.partner,
        Verdict::Dangerous => ctx.theme.error,
    }
}

fn class_colour(ctx: &ViewContext<'_>, class: Class) -> Color32 {
    match class {
        Class::Dangerous => ctx.theme.error,
        Class::Unknown => ctx.theme.partner,
        Class::Framework => ctx.theme.accent,
        Class::Container | Class::Tensor => ctx.theme.ok,
    }
}

fn verdict_ui(ui: &mut Ui, ctx: &ViewContext<'_>, safety: &Safety) {
    let colour = verdict_colour(ctx, safety.verdict);
    card(ui, ctx, |ui| {
        ui.horizontal(|ui| {
            let (dot, _) = ui.allocate_exact_size(Vec2::new(16.0, 26.0), Sense::hover());
            ui.painter().circle_filled(dot.center(), 6.0, colour);
            let title = match safety.verdict {
                Verdict::Clean => "Nothing in it runs",
                Verdict::UnknownCode if safety.count(Class::Unknown) == 0 => "Not certain to be harmless",
                Verdict::UnknownCode => "Loading it runs something unknown",
                Verdict::Damaged => "Damaged, or contradicts itself",
                Verdict::Dangerous => "Dangerous to load",
            };
            ui.label(RichText::new(title).font(theme::title(18.0)).color(ctx.theme.text_strong));
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                coloured_chip_ui(ui, ctx.theme, safety.verdict.code(), colour);
            });
        });
        ui.add(
            Label::new(RichText::new(text::escape(&safety.reason)).color(ctx.theme.text))
                .wrap()
                .selectable(true),
        );
        let second = format!("{}. Nothing of the file is ever run.", looked_at(safety));
        ui.add(Label::new(RichText::new(second).font(theme::label()).color(ctx.theme.text_second)).wrap());
    });
}

fn title_ui(ui: &mut Ui, ctx: &ViewContext<'_>, title: &str) {
    ui.label(RichText::new(title).font(theme::title(13.0)).color(ctx.theme.text_strong));
}

fn findings_ui(ui: &mut Ui, ctx: &ViewContext<'_>, safety: &Safety) {
    if safety.findings.is_empty() {
        return;
    }
    card(ui, ctx, |ui| {
        title_ui(ui, ctx, "Findings");
        for (index, group) in groups(safety).iter().enumerate() {
            ui.horizontal_top(|ui| {
                let (dot, _) = ui.allocate_exact_size(Vec2::new(8.0, 20.0), Sense::hover());
                ui.painter().circle_filled(dot.center(), 3.5, ctx.theme.severity(group.level));
                ui.vertical(|ui| {
                    let count = group.findings.len() as u64;
                    let head = if count > 1 {
                        format!("{}  ·  {}", group.title, text::count(count))
                    } else {
                        group.title.to_owned()
                    };
                    let head = RichText::new(head).font(theme::body_medium()).color(ctx.theme.text);
                    let open = group.level >= Severity::Warning;
                    CollapsingHeader::new(head).id_salt(("finding", index)).default_open(open).show(
                        ui,
                        |ui| {
                            let why = RichText::new(group.explanation).font(theme::label());
                            ui.add(Label::new(why.color(ctx.theme.text_second)).wrap());
                            for finding in group.findings.iter().take(LISTED) {
                                let message =
                                    RichText::new(text::escape(&finding.message)).font(theme::mono_small());
                                ui.add(Label::new(message.color(ctx.theme.text)).wrap().selectable(true));
                                if let Some(place) = place(&finding.place, finding.offset) {
                                    let place = RichText::new(place)
                                        .font(theme::label())
                                        .color(ctx.theme.text_second);
                                    ui.add(Label::new(place).wrap());
                                }
                            }
                            more_ui(ui, ctx, group.findings.len().saturating_sub(LISTED) as u64);
                        },
                    );
                });
            });
        }
        more_ui(ui, ctx, safety.more);
    });
}

/// `archive/data.pkl, byte 1,024`.
fn place(place: &str, offset: Option<u64>) -> Option<String> {
    let at = offset.map(|offset| format!("at byte {}", text::count(offset)));
    match (place, at) {
        ("", at) => at,
        (place, None) => Some(text::escape(place)),
        (place, Some(at)) => Some(format!("{}, {at}", text::escape(place))),
    }
}

fn more_ui(ui: &mut Ui, ctx: &ViewContext<'_>, count: u64) {
    if count > 0 {
        let rest = format!("and {} more", text::count(count));
        ui.label(RichText::new(rest).font(theme::label()).color(ctx.theme.text_second));
    }
}

fn imports_ui(ui: &mut Ui, ctx: &ViewContext<'_>, safety: &Safety) {
    if safety.imports.is_empty() {
        return;
    }
    card(ui, ctx, |ui| {
        ui.horizontal_wrapped(|ui| {
            title_ui(ui, ctx, "Imports");
            for (class, count) in class_counts(safety) {
                let text = format!("{}  {}", class.title(), text::count(count as u64));
                coloured_chip_ui(ui, ctx.theme, &text, class_colour(ctx, class));
            }
        });
        let one_place = safety.imports.windows(2).all(|pair| match pair {
            [a, b] => a.import.place == b.import.place,
            _ => true,
        });
        if let (true, Some(first)) = (one_place, safety.imports.first())
            && !first.import.place.is_empty()
        {
            let place = RichText::new(format!("all in {}", text::escape(&first.import.place)));
            ui.add(Label::new(place.font(theme::label()).color(ctx.theme.text_second)).truncate());
        }
        for judged in safety.imports.iter().take(LISTED) {
            import_ui(ui, ctx, judged, !one_place);
        }
        more_ui(ui, ctx, safety.imports.len().saturating_sub(LISTED) as u64);
    });
}

fn import_ui(ui: &mut Ui, ctx: &ViewContext<'_>, judged: &JudgedImport, with_place: bool) {
    let name = text::escape(&full_name(&judged.import));
    let (rect, response) = ui.allocate_exact_size(Vec2::new(ui.available_width(), 22.0), Sense::hover());
    response
        .widget_info(|| WidgetInfo::labeled(Role::Label, true, format!("{}: {name}", judged.class.title())));
    ui.painter().circle_filled(
        rect.left_center() + Vec2::new(5.0, 0.0),
        3.5,
        class_colour(ctx, judged.class),
    );
    let class = Rect::from_min_max(rect.min + Vec2::new(16.0, 0.0), rect.max);
    clipped_text(ui, class, Align2::LEFT_CENTER, judged.class.title(), theme::label(), ctx.theme.text_second);
    let right = if with_place { rect.width() * 0.62 } else { rect.width() - 90.0 };
    let middle = Rect::from_min_max(
        rect.min + Vec2::new(140.0, 0.0),
        rect.min + Vec2::new(right - 8.0, rect.height()),
    );
    let strong = if judged.class >= Class::Unknown { ctx.theme.text_strong } else { ctx.theme.text };
    clipped_text(ui, middle, Align2::LEFT_CENTER, &name, theme::mono(), strong);
    if with_place {
        let place = Rect::from_min_max(rect.min + Vec2::new(right, 0.0), rect.max - Vec2::new(70.0, 0.0));
        let text = text::escape(&judged.import.place);
        clipped_text(ui, place, Align2::LEFT_CENTER, &text, theme::label(), ctx.theme.text_second);
    }
    let count = format!("{} ×", text::count(judged.import.count));
    clipped_text(ui, rect, Align2::RIGHT_CENTER, &count, theme::body(), ctx.theme.text_second);
    let at =
        place(&judged.import.place, judged.import.offset).map(|at| format!("\n{at}")).unwrap_or_default();
    response.on_hover_text(format!("{name}\n{}{at}", judged.reason));
}

fn calls_ui(ui: &mut Ui, ctx: &ViewContext<'_>, safety: &Safety) {
    if safety.calls.is_empty() {
        return;
    }
    let (notable, ordinary): (Vec<_>, Vec<_>) =
        safety.calls.iter().partition(|(_, class)| *class >= Class::Framework);
    card(ui, ctx, |ui| {
        title_ui(ui, ctx, "What loading would call");
        if notable.is_empty() {
            let text = "Only what rebuilds tensors and plain values";
            ui.label(RichText::new(text).color(ctx.theme.text_second));
        }
        for (call, class) in notable.iter().take(LISTED) {
            call_ui(ui, ctx, call, *class);
        }
        more_ui(ui, ctx, notable.len().saturating_sub(LISTED) as u64);
        if !ordinary.is_empty() {
            let head = format!("Tensors and plain values  ·  {}", text::count(ordinary.len() as u64));
            let head = RichText::new(head).color(ctx.theme.text);
            CollapsingHeader::new(head).id_salt("ordinary_calls").show(ui, |ui| {
                for (call, class) in ordinary.iter().take(LISTED) {
                    call_ui(ui, ctx, call, *class);
                }
                more_ui(ui, ctx, ordinary.len().saturating_sub(LISTED) as u64);
            });
        }
    });
}

fn call_ui(ui: &mut Ui, ctx: &ViewContext<'_>, call: &LoadCall, class: Class) {
    ui.horizontal_top(|ui| {
        let (dot, _) = ui.allocate_exact_size(Vec2::new(10.0, 18.0), Sense::hover());
        ui.painter().circle_filled(dot.center(), 3.5, class_colour(ctx, class));
        ui.vertical(|ui| {
            let times =
                if call.count > 1 { format!("  {} ×", text::count(call.count)) } else { String::new() };
            let head = format!("{}{times}  by {}", text::escape(&call.target), call.opcode);
            ui.add(
                Label::new(RichText::new(head).font(theme::mono()).color(ctx.theme.text))
                    .wrap()
                    .selectable(true),
            );
            for arguments in &call.arguments {
                let arguments = RichText::new(text::escape(arguments)).font(theme::mono_small());
                ui.add(Label::new(arguments.color(ctx.theme.text_second)).wrap().selectable(true));
            }
        });
    });
}
