//! The bar at the top of the page: what is compared with what, how, and where the result may be saved.

use egui::{
    Align, Color32, ComboBox, Layout, Popup, Pos2, Rect, RichText, Role, Sense, Stroke, Ui, Vec2, WidgetInfo,
};

use super::menus::{Menus, rules_label, tolerance_label};
use crate::jobs::ReportFormat;
use crate::state::compare::Side;
use crate::state::{Command, CompareChange};
use crate::ui::widgets::pill_ui;
use crate::ui::{ViewContext, theme};

/// Draws the bar.
pub(super) fn sides_ui(ui: &mut Ui, ctx: &ViewContext<'_>, menus: &mut Menus) {
    let compare = &ctx.state.compare;
    let wide = ui.available_width();
    ui.horizontal_centered(|ui| {
        ui.spacing_mut().item_spacing.x = 8.0;
        let width = ((wide - 330.0) / 2.0).clamp(96.0, 230.0);
        picker_ui(ui, ctx, Side::Left, width);
        swap_ui(ui, ctx);
        picker_ui(ui, ctx, Side::Right, width);
        ui.add_space(theme::STEP);
        for (label, name, rules) in [
            (tolerance_label(&compare.choices), "Tolerance", false),
            (rules_label(compare), "Naming rules", true),
        ] {
            let lit = if rules { !compare.choices.rules.is_empty() } else { !compare.choices.is_exact() };
            let response = pill_ui(ui, ctx.theme, &label, lit);
            response.widget_info(|| WidgetInfo::labeled(Role::Button, true, format!("{name}: {label}")));
            Popup::from_toggle_button_response(&response)
                .close_behavior(egui::PopupCloseBehavior::CloseOnClickOutside)
                .show(|ui| if rules { menus.rules_ui(ui, ctx) } else { Menus::tolerance_ui(ui, ctx) });
        }
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| save_ui(ui, ctx));
    });
}

/// The colour of a side.
pub(super) fn side_color(ctx: &ViewContext<'_>, side: Side) -> Color32 {
    match side {
        Side::Left => ctx.theme.accent,
        Side::Right => ctx.theme.partner,
    }
}

fn picker_ui(ui: &mut Ui, ctx: &ViewContext<'_>, side: Side, width: f32) {
    let (dot, _) = ui.allocate_exact_size(Vec2::splat(10.0), Sense::hover());
    ui.painter().circle_filled(dot.center(), 4.5, side_color(ctx, side));
    let compare = &ctx.state.compare;
    let chosen = compare.side(side).and_then(|id| ctx.state.session.entry(id));
    let name = chosen.map_or("Choose…", |entry| entry.name.as_str());
    let menu = ComboBox::from_id_salt(("compare_side", side))
        .width(width)
        .truncate()
        .selected_text(name)
        .show_ui(ui, |ui| {
            ui.set_min_width(width.max(200.0));
            for entry in &ctx.state.session.entries {
                let here = compare.side(side) == Some(entry.id);
                let mark = match compare.side_of(entry.id) {
                    Some(other) if other != side => format!("{}  (now {})", entry.name, other.label()),
                    _ => entry.name.clone(),
                };
                if ui.selectable_label(here, mark).on_hover_text(entry.path.to_string_lossy()).clicked()
                    && !here
                {
                    ctx.commands.send(Command::Compare(CompareChange::Pick(side, entry.id)));
                }
            }
            ui.separator();
            if ui.button("Open another…").clicked() {
                ctx.commands.send(Command::Compare(CompareChange::OpenOn(side)));
            }
        });
    let label = format!("On the {}: {name}", side.label());
    menu.response.widget_info(|| WidgetInfo::labeled(Role::ComboBox, true, &label));
    let path = chosen.map(|entry| entry.path.to_string_lossy().into_owned()).unwrap_or_default();
    menu.response.on_hover_text(format!("{label}\n{path}").trim_end());
}

fn swap_ui(ui: &mut Ui, ctx: &ViewContext<'_>) {
    let swap = Command::Compare(CompareChange::Swap);
    let (rect, response) = ui.allocate_exact_size(Vec2::new(30.0, 24.0), Sense::click());
    response.widget_info(|| WidgetInfo::labeled(Role::Button, true, swap.label()));
    let lit = response.hovered() || response.has_focus();
    let (theme, painter) = (ctx.theme, ui.painter());
    let fill = if lit { theme.hover } else { theme.raised };
    let frame = Stroke::new(1.0, theme.line_strong);
    painter.rect(rect, theme::RADIUS, fill, frame, egui::StrokeKind::Inside);
    let stroke = Stroke::new(1.3, if lit { theme.text_strong } else { theme.text });
    for (y, to_right) in [(-3.5, true), (3.5, false)] {
        let middle = rect.center() + Vec2::new(0.0, y);
        let (from, to) = if to_right { (-6.5, 6.5) } else { (6.5, -6.5) };
        let tip = Pos2::new(middle.x + to, middle.y);
        painter.line_segment([Pos2::new(middle.x + from, middle.y), tip], stroke);
        let back = if to_right { -3.0 } else { 3.0 };
        painter.line_segment([tip, tip + Vec2::new(back, -2.5)], stroke);
        painter.line_segment([tip, tip + Vec2::new(back, 2.5)], stroke);
    }
    if response.on_hover_text(swap.label()).clicked() {
        ctx.commands.send(swap);
    }
}

fn save_ui(ui: &mut Ui, ctx: &ViewContext<'_>) {
    let whole = ctx.state.compare.found.as_ref().and_then(|found| found.whole());
    let can = whole.is_some() && ctx.state.compare.asked.is_none();
    ui.add_enabled_ui(can, |ui| {
        ui.menu_button("Save report…", |ui| {
            ui.set_min_width(220.0);
            for (format, label) in [
                (ReportFormat::Html, "HTML, with pictures…"),
                (ReportFormat::Csv, "CSV, one row per pair…"),
                (ReportFormat::Json, "JSON, everything…"),
            ] {
                if ui.button(label).clicked() {
                    ctx.commands.send(Command::Compare(CompareChange::SaveReport(format)));
                    ui.close();
                }
            }
        });
    });
}

/// Two words with the colours of the sides, at the right of a line.
pub(super) fn legend_ui(ui: &mut Ui, ctx: &ViewContext<'_>) {
    for side in [Side::Right, Side::Left] {
        ui.label(RichText::new(side.label()).font(theme::label()).color(ctx.theme.text_second));
        let (square, _) = ui.allocate_exact_size(Vec2::splat(10.0), Sense::hover());
        ui.painter().rect_filled(
            Rect::from_center_size(square.center(), Vec2::splat(9.0)),
            2,
            side_color(ctx, side),
        );
        ui.add_space(2.0);
    }
}
