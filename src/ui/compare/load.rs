//! Will it load? What the framework would say, listed; how much of the model it would fill; and the renaming that would help.

use egui::{Align2, Frame, Label, Margin, Rect, RichText, Role, ScrollArea, Sense, Ui, Vec2, WidgetInfo};

use crate::analysis::compatibility::{Compatibility, Fix, LoadReport};
use crate::jobs::{JobKey, Loadable};
use crate::model::{Checkpoint, TensorId};
use crate::state::compare::{Found, Side};
use crate::state::{Command, CompareChange};
use crate::text;
use crate::ui::inspector::parts::title_ui;
use crate::ui::widgets::{bar, clipped_text, failed_ui, loading_ui, pill_ui, primary_button_ui, tensors};
use crate::ui::{ViewContext, theme};

/// Rules shown of a renaming.
const RULES_SHOWN: usize = 8;

/// A kind of finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Section {
    Missing,
    Unexpected,
    Shapes,
    Dtypes,
    ByDefault,
    LayersMissing,
    LayersOtherSize,
    LayersUnknown,
}

const SECTIONS: [Section; 8] = [
    Section::LayersMissing,
    Section::LayersOtherSize,
    Section::Missing,
    Section::Unexpected,
    Section::Shapes,
    Section::LayersUnknown,
    Section::Dtypes,
    Section::ByDefault,
];

impl Section {
    fn title(self) -> &'static str {
        match self {
            Self::Missing => "Missing: the model wants them, the checkpoint has them not",
            Self::Unexpected => "Unexpected: the checkpoint has them, the model does not know them",
            Self::Shapes => "Other shape",
            Self::Dtypes => "Other dtype: loaded, and converted to the model's",
            Self::ByDefault => "Not there, and filled by the framework itself",
            Self::LayersMissing => "Layers without weights in the checkpoint",
            Self::LayersOtherSize => "Layers with another number of elements",
            Self::LayersUnknown => "Layers whose weights the configuration does not determine",
        }
    }

    /// Whether it stands against loading.
    fn is_bad(self) -> bool {
        !matches!(self, Self::Dtypes | Self::ByDefault | Self::LayersUnknown)
    }

    fn count(self, answer: &Compatibility) -> usize {
        let report = &answer.report;
        if let Some(layers) = &answer.configuration {
            return match self {
                Self::LayersMissing => layers.missing.len(),
                Self::LayersOtherSize => layers.other_size.len(),
                Self::LayersUnknown => layers.not_known.len(),
                Self::Unexpected => layers.unexpected.len(),
                _ => 0,
            };
        }
        match self {
            Self::Missing => report.missing.len(),
            Self::Unexpected => report.unexpected.len(),
            Self::Shapes => report.shape_mismatches.len(),
            Self::Dtypes => report.dtype_mismatches.len(),
            Self::ByDefault => report.filled_by_default.len(),
            Self::LayersMissing | Self::LayersOtherSize | Self::LayersUnknown => 0,
        }
    }
}

/// One line of the list.
#[derive(Debug, Clone, Copy)]
enum Line {
    Head(Section, usize),
    Entry(Section, usize),
}

/// The list, made when the answer changes.
#[derive(Default)]
pub(super) struct LoadView {
    made_from: Option<std::sync::Arc<Compatibility>>,
    lines: Vec<Line>,
}

impl LoadView {
    /// Draws the answer.
    pub(super) fn ui(&mut self, ui: &mut Ui, ctx: &ViewContext<'_>, found: &Found) {
        let load = &ctx.state.compare.load;
        Frame::new().inner_margin(Margin::symmetric(16, 12)).show(ui, |ui| {
            direction_ui(ui, ctx, load.reversed);
            ui.add_space(theme::STEP * 2.0);
            match &load.answer {
                Loadable::Pending { since, .. } => {
                    if loading_ui(ui, ctx.theme, "Fitting names…", *since)
                        && let Some((checkpoint, model)) = load.of
                    {
                        ctx.commands.send(Command::Cancel(JobKey::Compatibility(checkpoint, model)));
                    }
                }
                Loadable::Failed { error, .. } => {
                    if failed_ui(ui, ctx.theme, "It could not be found out", error) {
                        ctx.commands.send(Command::Compare(CompareChange::LoadReversed(load.reversed)));
                    }
                }
                Loadable::NotRequested => {}
                Loadable::Ready(answer) => {
                    let (checkpoint, model) =
                        if load.reversed { (&found.right, &found.left) } else { (&found.left, &found.right) };
                    verdict_ui(ui, ctx, answer);
                    fix_ui(ui, ctx, answer);
                    let same =
                        self.made_from.as_ref().is_some_and(|made| std::sync::Arc::ptr_eq(made, answer));
                    if !same {
                        self.made_from = Some(answer.clone());
                        self.lines = lines(answer);
                    }
                    ui.add_space(theme::STEP * 2.0);
                    self.list_ui(ui, ctx, answer, (checkpoint, model));
                }
            }
        });
    }

    fn list_ui(
        &self,
        ui: &mut Ui,
        ctx: &ViewContext<'_>,
        answer: &Compatibility,
        sides: (&Checkpoint, &Checkpoint),
    ) {
        ui.spacing_mut().item_spacing.y = 0.0;
        ScrollArea::vertical().id_salt("load_list").auto_shrink(false).show_rows(
            ui,
            22.0,
            self.lines.len(),
            |ui, range| {
                for line in self.lines.get(range).unwrap_or_default() {
                    let (rect, response) =
                        ui.allocate_exact_size(Vec2::new(ui.available_width(), 22.0), Sense::hover());
                    match *line {
                        Line::Head(section, count) => {
                            let color =
                                if section.is_bad() { ctx.theme.partner } else { ctx.theme.text_second };
                            let text = format!("{} ({})", section.title(), text::count(count as u64));
                            response.widget_info(|| WidgetInfo::labeled(Role::Heading, true, &text));
                            clipped_text(ui, rect, Align2::LEFT_BOTTOM, &text, theme::body_medium(), color);
                        }
                        Line::Entry(section, index) => {
                            let Some((name, detail)) = entry(answer, section, index, sides) else { continue };
                            let name = text::escape(&name);
                            response.widget_info(|| WidgetInfo::labeled(Role::Row, true, &name));
                            let (left, right) = rect.split_left_right_at_fraction(0.6);
                            let left = left.with_min_x(left.left() + 14.0).with_max_x(left.right() - 8.0);
                            clipped_text(
                                ui,
                                left,
                                Align2::LEFT_CENTER,
                                &name,
                                theme::mono_small(),
                                ctx.theme.text,
                            );
                            let second = ctx.theme.text_second;
                            clipped_text(
                                ui,
                                right,
                                Align2::LEFT_CENTER,
                                &detail,
                                theme::mono_small(),
                                second,
                            );
                        }
                    }
                }
            },
        );
    }
}

fn lines(answer: &Compatibility) -> Vec<Line> {
    let mut lines = Vec::new();
    for section in SECTIONS {
        let count = section.count(answer);
        if count > 0 {
            lines.push(Line::Head(section, count));
            lines.extend((0..count).map(|index| Line::Entry(section, index)));
        }
    }
    lines
}

/// Name and detail of one finding.
fn entry(
    answer: &Compatibility,
    section: Section,
    index: usize,
    (checkpoint, model): (&Checkpoint, &Checkpoint),
) -> Option<(String, String)> {
    let report = &answer.report;
    let tensor = |checkpoint: &Checkpoint, id: TensorId| {
        let tensor = checkpoint.tensor(id);
        (tensor.name.clone(), format!("{} {}", tensor.dtype.name(), tensor.shape))
    };
    let layers = answer.configuration.as_ref();
    let layer = |index: usize| {
        let layer = model.layers().get(index)?;
        let wanted = layer.configured.map(|count| format!("{} elements", text::count(count.parameters)));
        Some((layer.path.clone(), wanted.unwrap_or_default()))
    };
    match section {
        Section::Missing => report.missing.get(index).map(|&id| tensor(model, id)),
        Section::Unexpected => {
            let unexpected = layers.map_or(&report.unexpected, |layers| &layers.unexpected);
            unexpected.get(index).map(|&id| tensor(checkpoint, id))
        }
        Section::Shapes => report.shape_mismatches.get(index).map(|&(found, wanted)| {
            let (a, b) = (checkpoint.tensor(found), model.tensor(wanted));
            (b.name.clone(), format!("{} in the checkpoint, {} in the model", a.shape, b.shape))
        }),
        Section::Dtypes => report.dtype_mismatches.get(index).map(|&(found, wanted)| {
            let (a, b) = (checkpoint.tensor(found), model.tensor(wanted));
            (b.name.clone(), format!("{} in the checkpoint, {} in the model", a.dtype.name(), b.dtype.name()))
        }),
        Section::ByDefault => report.filled_by_default.get(index).map(|&id| tensor(model, id)),
        Section::LayersMissing => layer(*layers?.missing.get(index)?),
        Section::LayersUnknown => layer(*layers?.not_known.get(index)?),
        Section::LayersOtherSize => {
            let &(index, found) = layers?.other_size.get(index)?;
            let (name, wanted) = layer(index)?;
            Some((name, format!("{} in the checkpoint, {wanted} in the model", text::count(found))))
        }
    }
}

fn direction_ui(ui: &mut Ui, ctx: &ViewContext<'_>, reversed: bool) {
    ui.horizontal(|ui| {
        ui.label("Would");
        for (label, wanted) in
            [("the left load into the right", false), ("the right load into the left", true)]
        {
            if pill_ui(ui, ctx.theme, label, reversed == wanted).clicked() && reversed != wanted {
                ctx.commands.send(Command::Compare(CompareChange::LoadReversed(wanted)));
            }
        }
        ui.label("?");
        let side = if reversed { Side::Left } else { Side::Right };
        let note = format!("The model is taken to be the one that the {} was saved from.", side.label());
        ui.add(Label::new(RichText::new(note).font(theme::label()).color(ctx.theme.text_second)).truncate());
    });
}

/// Yes or no, what stands against it, and how much of the model would be filled.
fn verdict_ui(ui: &mut Ui, ctx: &ViewContext<'_>, answer: &Compatibility) {
    let theme = ctx.theme;
    let loads = answer.loads();
    let call = answer.loader.call();
    let headline =
        if loads { format!("Yes: {call} would succeed") } else { format!("No: {call} would refuse it") };
    let color = if loads { theme.ok } else { theme.error };
    ui.label(RichText::new(headline).font(theme::title(17.0)).color(color));
    ui.label(RichText::new(reasons(answer)).color(theme.text));
    let (filled, elements) = match &answer.configuration {
        Some(layers) => (layers.elements_filled, layers.elements),
        None => (answer.report.elements_filled, answer.report.elements),
    };
    filled_ui(ui, ctx, "As it is, it fills", filled, elements);
    if answer.report.by_position > 0 || answer.configuration.as_ref().is_some_and(|layers| layers.by_order) {
        let note = "Keras takes weights in the order of the layers, whatever these are called.";
        ui.label(RichText::new(note).font(theme::label()).color(theme.text_second));
    }
    let inside: Vec<String> = [("checkpoint", &answer.checkpoint_prefix), ("model", &answer.model_prefix)]
        .into_iter()
        .filter(|(_, prefix)| !prefix.is_empty())
        .map(|(of, prefix)| format!("“{}” of the {of}", text::escape(prefix.trim_end_matches('.'))))
        .collect();
    if !inside.is_empty() {
        let note = format!("The state dictionary is {}.", inside.join(", and "));
        ui.label(RichText::new(note).font(theme::label()).color(theme.text_second));
    }
}

fn reasons(answer: &Compatibility) -> String {
    if let Some(layers) = &answer.configuration {
        let matched = format!(
            "{} of {} layers match",
            text::count(layers.matched.len() as u64),
            text::count(layers.layers as u64)
        );
        let parts = [
            (layers.missing.len(), "without weights"),
            (layers.other_size.len(), "of another size"),
            (layers.unexpected.len(), "tensors unexpected"),
        ];
        return listed(matched, &parts);
    }
    let report = &answer.report;
    let matched = format!("{} match", tensors(report.matched.len() as u64));
    let parts = [
        (report.missing.len(), "missing"),
        (report.unexpected.len(), "unexpected"),
        (report.shape_mismatches.len(), "of another shape"),
        (report.dtype_mismatches.len(), "of another dtype"),
    ];
    listed(matched, &parts)
}

fn listed(first: String, parts: &[(usize, &str)]) -> String {
    let rest = parts.iter().filter(|(count, _)| *count > 0);
    let rest = rest.map(|(count, label)| format!("{} {label}", text::count(*count as u64)));
    std::iter::once(first).chain(rest).collect::<Vec<_>>().join(" · ")
}

/// A bar with words: how much of the model is filled.
fn filled_ui(ui: &mut Ui, ctx: &ViewContext<'_>, what: &str, filled: u64, elements: u64) {
    if elements == 0 {
        return;
    }
    ui.horizontal(|ui| {
        let (rect, _) = ui.allocate_exact_size(Vec2::new(180.0, 16.0), Sense::hover());
        let place = Rect::from_center_size(rect.center(), Vec2::new(180.0, 6.0));
        let share = filled as f64 / elements as f64;
        bar(ui, place, share as f32, ctx.theme.track, ctx.theme.accent);
        let percent =
            if filled == elements { "all".to_owned() } else { format!("{:.1} %", (share * 100.0).min(99.9)) };
        let text = format!("{what} {percent} of the model's {} elements", text::short_count(elements));
        ui.label(RichText::new(text).color(ctx.theme.text_second));
    });
}

/// The renaming that would help, and what it would give.
fn fix_ui(ui: &mut Ui, ctx: &ViewContext<'_>, answer: &Compatibility) {
    let Some(Fix { rules, report }) = &answer.fix else { return };
    ui.add_space(theme::STEP * 2.0);
    ctx.theme.card().show(ui, |ui| {
        ui.set_width(ui.available_width());
        let title = if report.loads() { "Renaming would make it load" } else { "Renaming would help" };
        title_ui(ui, ctx, title);
        for rule in rules.iter().take(RULES_SHOWN) {
            let shown = RichText::new(text::escape(&rule.to_string()))
                .font(theme::mono())
                .color(ctx.theme.text_strong);
            ui.add(Label::new(shown).truncate().selectable(true));
        }
        filled_ui(ui, ctx, "Then it fills", report.elements_filled, report.elements);
        if !report.loads() {
            ui.label(RichText::new(fix_left(report)).color(ctx.theme.text_second));
        }
        ui.horizontal(|ui| {
            let apply = Command::Compare(CompareChange::ApplyFix);
            let hint = "Compare the two under these rules";
            if primary_button_ui(ui, ctx.theme, "Use in the comparison").on_hover_text(hint).clicked() {
                ctx.commands.send(apply);
            }
            if let Some((checkpoint, _)) = ctx.state.compare.load.of {
                let hint = "Write what the model needs of the checkpoint under the new names";
                if ui.button("Export renamed…").on_hover_text(hint).clicked() {
                    ctx.commands.send(Command::ExportRenamed(checkpoint, answer.export_rules()));
                }
            }
            if ui.button("Copy rules").clicked() {
                let text: Vec<String> = answer.export_rules().iter().map(ToString::to_string).collect();
                ctx.commands.send(Command::Copy { what: "rules", text: text.join("\n") });
            }
        });
    });
}

fn fix_left(report: &LoadReport) -> String {
    let parts = [
        (report.missing.len(), "missing"),
        (report.unexpected.len(), "unexpected"),
        (report.shape_mismatches.len(), "of another shape"),
    ];
    let rest = parts.iter().filter(|(count, _)| *count > 0);
    let rest: Vec<String> =
        rest.map(|(count, label)| format!("{} {label}", text::count(*count as u64))).collect();
    format!("Still {}", rest.join(", "))
}
