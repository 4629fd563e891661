//! The bar over the table: filter by name, by dtype, by role, by properties of the values.

use std::collections::HashSet;
use std::hash::Hash;

use egui::{Key, Margin, Popup, PopupCloseBehavior, Role, TextEdit, Ui, WidgetInfo};

use super::filter_id;
use super::header::columns_menu_ui;
use crate::model::{Dtype, TensorRole};
use crate::state::tree::{Facets, TreeChange};
use crate::state::{Command, OpenCheckpoint, ScanStatus, ValueFacet};
use crate::text;
use crate::ui::widgets::{menu_checkbox_ui, pill_ui};
use crate::ui::{ViewContext, theme};

/// Narrower bars have one button for all kinds.
const WIDE: f32 = 470.0;

/// Draws the bar.
pub(super) fn filter_bar_ui(ui: &mut Ui, ctx: &ViewContext<'_>, entry: &OpenCheckpoint) {
    let wide = ui.available_width() >= WIDE;
    ui.horizontal_centered(|ui| {
        ui.spacing_mut().item_spacing.x = 6.0;
        let found = entry.tree.matching().map(|matching| format!("{} found", text::count(matching as u64)));
        let room = if wide { 290.0 } else { 132.0 } + if found.is_some() && wide { 70.0 } else { 0.0 };
        name_filter_ui(ui, ctx, entry, (ui.available_width() - room).max(90.0));
        if let Some(found) = found.filter(|_| wide) {
            ui.label(egui::RichText::new(found).font(theme::label()).color(ctx.theme.text_second));
        }
        let facets = entry.tree.facets();
        if wide {
            menu_ui(ui, ctx, "dtype", facets.dtypes.len(), |ui| dtypes_ui(ui, ctx, entry));
            menu_ui(ui, ctx, "role", facets.roles.len(), |ui| roles_ui(ui, ctx, entry));
            menu_ui(ui, ctx, "values", facets.values.len(), |ui| values_ui(ui, ctx, entry));
        } else {
            let chosen = facets.dtypes.len() + facets.roles.len() + facets.values.len();
            menu_ui(ui, ctx, "kinds", chosen, |ui| {
                dtypes_ui(ui, ctx, entry);
                ui.separator();
                roles_ui(ui, ctx, entry);
                ui.separator();
                values_ui(ui, ctx, entry);
            });
        }
        menu_ui(ui, ctx, "columns", ctx.state.settings.statistics_columns.len(), |ui| {
            columns_menu_ui(ui, ctx);
        });
    });
}

fn name_filter_ui(ui: &mut Ui, ctx: &ViewContext<'_>, entry: &OpenCheckpoint, width: f32) {
    let mut text = entry.tree.filter_text().to_owned();
    let mut edit = TextEdit::singleline(&mut text)
        .id(filter_id())
        .hint_text("Filter: name, *glob*, /regex/")
        .margin(Margin::symmetric(8, 4))
        .desired_width(width);
    if entry.tree.filter_error().is_some() {
        edit = edit.text_color(ctx.theme.error);
    }
    let response = ui.add(edit);
    response.widget_info(|| {
        let mut info = WidgetInfo::text_edit(true, &text, &text, "Filter: name, *glob*, /regex/");
        info.label = Some("Filter names".to_owned());
        info
    });
    if response.changed() {
        ctx.commands.send(Command::Tree(entry.id, TreeChange::Filter(text.clone())));
    }
    if response.lost_focus() && ui.input(|input| input.key_pressed(Key::Escape)) {
        ctx.commands.send(Command::Tree(entry.id, TreeChange::Filter(String::new())));
    }
    if let Some(error) = entry.tree.filter_error() {
        response.on_hover_text(error);
    }
}

/// A button with a menu that stays open while choices are made.
fn menu_ui(ui: &mut Ui, ctx: &ViewContext<'_>, name: &str, chosen: usize, content: impl FnOnce(&mut Ui)) {
    let text = if chosen > 0 { format!("{name} · {chosen}") } else { name.to_owned() };
    let response = pill_ui(ui, ctx.theme, &text, chosen > 0);
    response.widget_info(|| WidgetInfo::labeled(Role::Button, true, format!("Choose {name}")));
    Popup::menu(&response).close_behavior(PopupCloseBehavior::CloseOnClickOutside).show(|ui| {
        ui.set_min_width(180.0);
        content(ui);
    });
}

fn dtypes_ui(ui: &mut Ui, ctx: &ViewContext<'_>, entry: &OpenCheckpoint) {
    for share in entry.tree.kinds().map_or(&[][..], |kinds| &kinds.dtypes) {
        choice_ui(
            ui,
            ctx,
            entry,
            share.dtype.name(),
            share.tensors,
            &share.dtype,
            |facets: &mut Facets| -> &mut HashSet<Dtype> { &mut facets.dtypes },
        );
    }
}

fn roles_ui(ui: &mut Ui, ctx: &ViewContext<'_>, entry: &OpenCheckpoint) {
    for (role, count) in entry.tree.kinds().map_or(&[][..], |kinds| &kinds.roles) {
        choice_ui(
            ui,
            ctx,
            entry,
            role.name(),
            *count,
            role,
            |facets: &mut Facets| -> &mut HashSet<TensorRole> { &mut facets.roles },
        );
    }
}

fn values_ui(ui: &mut Ui, ctx: &ViewContext<'_>, entry: &OpenCheckpoint) {
    for facet in ValueFacet::ALL {
        let count = entry.scan.count(facet);
        choice_ui(
            ui,
            ctx,
            entry,
            facet.label(),
            count,
            &facet,
            |facets: &mut Facets| -> &mut HashSet<ValueFacet> { &mut facets.values },
        );
    }
    let note = match &entry.scan.status {
        ScanStatus::Done => return,
        ScanStatus::Running => "The scan is still running",
        ScanStatus::NotRequested => "Values have not been scanned",
        ScanStatus::Stopped => "The scan was stopped",
        ScanStatus::Failed(_) => "The scan failed",
    };
    ui.label(egui::RichText::new(note).font(theme::label()).color(ctx.theme.text_second));
    if entry.scan.status != ScanStatus::Running && ui.button(Command::Scan(entry.id).label()).clicked() {
        ctx.commands.send(Command::Scan(entry.id));
    }
}

fn choice_ui<T: Clone + Eq + Hash>(
    ui: &mut Ui,
    ctx: &ViewContext<'_>,
    entry: &OpenCheckpoint,
    name: &str,
    count: u64,
    value: &T,
    set: fn(&mut Facets) -> &mut HashSet<T>,
) {
    let mut facets = entry.tree.facets().clone();
    let mut on = set(&mut facets).contains(value);
    if menu_checkbox_ui(ui, ctx.theme, &mut on, format!("{name}  ({})", text::count(count))).changed() {
        let chosen = set(&mut facets);
        if on {
            chosen.insert(value.clone());
        } else {
            chosen.remove(value);
        }
        ctx.commands.send(Command::Tree(entry.id, TreeChange::Facets(facets)));
    }
}
