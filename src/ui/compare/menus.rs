//! How the two are compared: how far values may be apart, and what tensors are called on the other side.

use egui::{DragValue, Label, RichText, TextEdit, Ui};

use crate::analysis::pairing::AppliedRule;
use crate::model::RenameRule;
use crate::state::compare::{Choices, CompareState};
use crate::state::{Command, CompareChange};
use crate::text;
use crate::ui::widgets::section_ui;
use crate::ui::{ViewContext, theme};

/// Tolerances to choose from: absolute and relative.
const TOLERANCES: [(f64, f64, &str); 5] = [
    (0.0, 0.0, "exact"),
    (1e-8, 1e-5, "as numpy.allclose"),
    (0.0, 1e-3, "0.1 % of the value"),
    (0.0, 8e-3, "rounding to bfloat16"),
    (1e-6, 0.0, "1e-6 in all"),
];

/// Beyond this many rules a menu says how many more there are.
const RULES_SHOWN: usize = 12;

/// What is being typed.
#[derive(Default)]
pub(super) struct Menus {
    rule: String,
    transpose: Option<String>,
}

/// What the button of the tolerance says.
pub(super) fn tolerance_label(choices: &Choices) -> String {
    match (choices.absolute > 0.0, choices.relative > 0.0) {
        (false, false) => "exact".to_owned(),
        (true, false) => format!("± {}", text::number(choices.absolute)),
        (false, true) => format!("± {} %", text::number(choices.relative * 100.0)),
        (true, true) => {
            format!("± {} ± {} %", text::number(choices.absolute), text::number(choices.relative * 100.0))
        }
    }
}

/// What the button of the naming rules says.
pub(super) fn rules_label(compare: &CompareState) -> String {
    let count = match &compare.found {
        Some(found) => found.pairing().rules.len(),
        None => compare.choices.rules.len(),
    };
    if count == 0 { "rules".to_owned() } else { format!("rules · {count}") }
}

impl Menus {
    /// How far values may be apart.
    pub(super) fn tolerance_ui(ui: &mut Ui, ctx: &ViewContext<'_>) {
        ui.set_width(230.0);
        let choices = &ctx.state.compare.choices;
        section_ui(ui, ctx.theme, "Count as unchanged");
        for (absolute, relative, label) in TOLERANCES {
            let chosen = (choices.absolute, choices.relative) == (absolute, relative);
            if ui.radio(chosen, label).clicked() && !chosen {
                send(ctx, Choices { absolute, relative, ..choices.clone() });
            }
        }
        ui.add_space(theme::STEP);
        for (label, value, is_relative) in
            [("absolute", choices.absolute, false), ("relative", choices.relative, true)]
        {
            ui.horizontal(|ui| {
                let name = ui.label(label);
                let mut typed = value;
                let edit = DragValue::new(&mut typed)
                    .range(0.0..=1e300)
                    .speed(0.0)
                    .custom_formatter(|value, _| text::number(value))
                    .custom_parser(|typed| typed.trim().parse().ok());
                let response = ui.add(edit.update_while_editing(false)).labelled_by(name.id);
                if response.changed() && typed != value {
                    let mut choices = choices.clone();
                    *(if is_relative { &mut choices.relative } else { &mut choices.absolute }) = typed;
                    send(ctx, choices);
                }
            });
        }
        let note =
            "A value is unchanged when it moved by no more than absolute + relative × the larger of the two.";
        ui.label(RichText::new(note).font(theme::label()).color(ctx.theme.text_second));
    }

    /// What tensors are called on the other side.
    pub(super) fn rules_ui(&mut self, ui: &mut Ui, ctx: &ViewContext<'_>) {
        ui.set_width(380.0);
        let compare = &ctx.state.compare;
        let choices = &compare.choices;
        let applied: &[AppliedRule] = compare.found.as_ref().map_or(&[], |found| &found.pairing().rules);
        section_ui(ui, ctx.theme, "Rules in force");
        if applied.is_empty() {
            let none = "None: tensors are paired by their names.";
            ui.label(RichText::new(none).color(ctx.theme.text_second));
        }
        for rule in applied.iter().take(RULES_SHOWN) {
            let text = rule.rule.to_string();
            ui.horizontal(|ui| {
                ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                    if !rule.found
                        && ui.small_button("Remove").on_hover_text(format!("Remove {text}")).clicked()
                    {
                        let mut choices = choices.clone();
                        // A rule may be typed in one way and written in another.
                        let written = |typed: &String| RenameRule::parse(typed).map(|rule| rule.to_string());
                        choices.rules.retain(|typed| written(typed).as_ref() != Ok(&text));
                        send(ctx, choices);
                    }
                    let origin = if rule.found { "found" } else { "given" };
                    let matched = format!("{origin}, {} paired", text::count(rule.matched as u64));
                    ui.label(RichText::new(matched).font(theme::label()).color(ctx.theme.text_second));
                    ui.with_layout(egui::Layout::left_to_right(egui::Align::Center), |ui| {
                        let shown = RichText::new(text::escape(&text)).font(theme::mono_small());
                        ui.add(Label::new(shown).truncate());
                    });
                });
            });
        }
        if applied.len() > RULES_SHOWN {
            ui.label(format!("and {} more", applied.len() - RULES_SHOWN));
        }
        ui.add_space(theme::STEP * 2.0);
        section_ui(ui, ctx.theme, "Add a rule");
        let mut add = false;
        ui.horizontal(|ui| {
            let edit = TextEdit::singleline(&mut self.rule)
                .font(theme::mono_small())
                .hint_text("module.=>  or  s/regex/replacement/")
                .desired_width(290.0);
            let response = ui.add(edit);
            response.widget_info(|| {
                let mut info = egui::WidgetInfo::text_edit(true, &self.rule, &self.rule, "");
                info.label = Some("Naming rule".to_owned());
                info
            });
            add = response.lost_focus() && ui.input(|input| input.key_pressed(egui::Key::Enter));
            add |= ui.button("Add").clicked();
        });
        let rule = self.rule.trim();
        match RenameRule::parse(rule) {
            _ if rule.is_empty() => {
                let note = "OLD=>NEW replaces the beginning of a name, on either side. Groups of an expression are \\1 or $1.";
                ui.label(RichText::new(note).font(theme::label()).color(ctx.theme.text_second));
            }
            Err(error) => {
                ui.label(RichText::new(error).font(theme::label()).color(ctx.theme.error));
            }
            Ok(_) if add => {
                let mut choices = choices.clone();
                choices.rules.push(rule.to_owned());
                send(ctx, choices);
                self.rule.clear();
            }
            Ok(_) => {}
        }
        ui.add_space(theme::STEP * 2.0);
        self.transpose_ui(ui, ctx);
    }

    fn transpose_ui(&mut self, ui: &mut Ui, ctx: &ViewContext<'_>) {
        let choices = &ctx.state.compare.choices;
        section_ui(ui, ctx.theme, "Turn the axes of kernels");
        let typed = self.transpose.get_or_insert_with(|| choices.transpose.clone());
        let edit = TextEdit::singleline(typed)
            .font(theme::mono_small())
            .hint_text("names: text, *glob*, /regex/")
            .desired_width(290.0);
        let response = ui.add(edit);
        response.widget_info(|| {
            let mut info = egui::WidgetInfo::text_edit(true, &*typed, &*typed, "");
            info.label = Some("Turn the axes of".to_owned());
            info
        });
        let changed = Choices { transpose: typed.clone(), ..choices.clone() };
        if let Err(error) = changed.options() {
            ui.label(RichText::new(error).font(theme::label()).color(ctx.theme.error));
        } else if response.lost_focus() && changed != *choices {
            send(ctx, changed);
        }
        let note = "Kernels of Keras and PyTorch are recognised and turned without this.";
        ui.label(RichText::new(note).font(theme::label()).color(ctx.theme.text_second));
    }
}

fn send(ctx: &ViewContext<'_>, choices: Choices) {
    ctx.commands.send(Command::Compare(CompareChange::Choose(choices)));
}
