//! The bar at the top: menus at the left, pages in the middle.

use egui::{Align2, Button, MenuBar, Rect, RichText, Role, Sense, Ui, Vec2, WidgetInfo};

use super::widgets::{menu_checkbox_ui, menu_radio_ui};
use super::{ViewContext, theme};
use crate::state::compare::Side;
use crate::state::{Command, CompareChange, MarkChange, Page, ThemeChoice, TreeChange};

/// Draws the bar.
pub fn menu_bar_ui(ui: &mut Ui, ctx: &ViewContext<'_>) {
    let whole = ui.max_rect();
    ui.horizontal_centered(|ui| {
        MenuBar::new().ui(ui, |ui| {
            file_menu_ui(ui, ctx);
            edit_menu_ui(ui, ctx);
            view_menu_ui(ui, ctx);
            ui.menu_button("Help", |ui| {
                item_ui(ui, ctx, Command::ShowAbout(true), true);
                ui.separator();
                for command in Command::with_shortcuts() {
                    if let Some(shortcut) = command.shortcut() {
                        ui.add_enabled(false, Button::new(command.label()).shortcut_text(shortcut.text()));
                    }
                }
            });
        });
    });
    pages_ui(ui, ctx, whole);
}

fn item_ui(ui: &mut Ui, ctx: &ViewContext<'_>, command: Command, enabled: bool) {
    let mut button = Button::new(command.label());
    if let Some(shortcut) = command.shortcut() {
        button = button.shortcut_text(shortcut.text());
    }
    let mut response = ui.add_enabled(enabled, button);
    if !command.tooltip().is_empty() {
        response = response.on_hover_text(command.tooltip());
    }
    if response.clicked() {
        ctx.commands.send(command);
        ui.close();
    }
}

fn file_menu_ui(ui: &mut Ui, ctx: &ViewContext<'_>) {
    ui.menu_button("File", |ui| {
        ui.set_min_width(220.0);
        item_ui(ui, ctx, Command::OpenFile, true);
        item_ui(ui, ctx, Command::OpenFolder, true);
        ui.menu_button("Open recent", |ui| {
            for recent in &ctx.state.settings.recents {
                let name = crate::state::session::display_name(&recent.path);
                if ui.button(name).on_hover_text(recent.path.to_string_lossy()).clicked() {
                    ctx.commands.send(Command::OpenPaths(vec![recent.path.clone()]));
                    ui.close();
                }
            }
            if ctx.state.settings.recents.is_empty() {
                ui.add_enabled(false, Button::new("Nothing yet"));
            } else {
                ui.separator();
                item_ui(ui, ctx, Command::ClearRecents, true);
            }
        });
        ui.menu_button("Open example", |ui| {
            for (index, example) in crate::jobs::EXAMPLES.iter().enumerate() {
                if ui.button(example.name).on_hover_text(example.about).clicked() {
                    ctx.commands.send(Command::OpenExample(index));
                    ui.close();
                }
            }
        });
        ui.separator();
        let open = ctx.state.session.current().is_some();
        ui.menu_button("Compare with…", |ui| {
            let current = ctx.state.session.current().map(|entry| entry.id);
            let others = ctx.state.session.entries.iter().filter(|entry| Some(entry.id) != current);
            for other in others {
                if let Some(current) = current
                    && ui.button(&other.name).clicked()
                {
                    ctx.commands.send(Command::Compare(CompareChange::Between(current, other.id)));
                    ui.close();
                }
            }
            if let Some(current) = current {
                if ui.button("Open another…").clicked() {
                    ctx.commands.send(Command::Compare(CompareChange::Pick(Side::Left, current)));
                    ctx.commands.send(Command::Compare(CompareChange::OpenOn(Side::Right)));
                    ui.close();
                }
            } else {
                ui.add_enabled(false, Button::new("Nothing is open"));
            }
        });
        let loaded = ctx.state.session.current().is_some_and(|entry| entry.checkpoint.value().is_some());
        item_ui(ui, ctx, Command::ShowExport, loaded);
        item_ui(ui, ctx, Command::SaveStatistics, loaded);
        ui.separator();
        item_ui(ui, ctx, Command::ReloadCurrent, open);
        item_ui(ui, ctx, Command::CloseCurrent, open);
        ui.separator();
        item_ui(ui, ctx, Command::Quit, true);
    });
}

fn edit_menu_ui(ui: &mut Ui, ctx: &ViewContext<'_>) {
    ui.menu_button("Edit", |ui| {
        ui.set_min_width(200.0);
        let open = ctx.state.session.current();
        let selected = open.is_some_and(|entry| entry.tree.selected().is_some());
        item_ui(ui, ctx, Command::CopySelectedName, selected);
        item_ui(ui, ctx, Command::TreeCurrent(TreeChange::Select(None)), selected);
        ui.separator();
        item_ui(ui, ctx, Command::FocusFilter, open.is_some());
        ui.separator();
        let loaded = open.filter(|entry| entry.checkpoint.value().is_some());
        for change in [
            MarkChange::All,
            MarkChange::Matching,
            MarkChange::Parameters,
            MarkChange::WithoutOptimizer,
            MarkChange::Averages,
            MarkChange::Invert,
        ] {
            item_ui(ui, ctx, Command::MarkCurrent(change), loaded.is_some());
        }
        let marked = loaded.is_some_and(|entry| !entry.marks.is_empty());
        item_ui(ui, ctx, Command::MarkCurrent(MarkChange::Clear), marked);
        item_ui(ui, ctx, Command::CopySelectedNames, marked);
    });
}

fn view_menu_ui(ui: &mut Ui, ctx: &ViewContext<'_>) {
    ui.menu_button("View", |ui| {
        ui.set_min_width(220.0);
        for page in Page::ALL {
            item_ui(ui, ctx, Command::ShowPage(page), true);
        }
        ui.separator();
        let open = ctx.state.session.current().is_some();
        for change in
            [TreeChange::ExpandAll, TreeChange::ExpandTo(1), TreeChange::ExpandTo(2), TreeChange::CollapseAll]
        {
            item_ui(ui, ctx, Command::TreeCurrent(change), open);
        }
        ui.separator();
        let mut scan = ctx.state.settings.scan_on_open;
        let command = Command::SetScanOnOpen(!scan);
        if menu_checkbox_ui(ui, ctx.theme, &mut scan, command.label()).changed() {
            ctx.commands.send(command);
        }
        ui.menu_button("Theme", |ui| {
            for choice in [ThemeChoice::System, ThemeChoice::Dark, ThemeChoice::Light] {
                let command = Command::SetTheme(choice);
                if menu_radio_ui(ui, ctx.theme, ctx.state.settings.theme == choice, command.label()).clicked()
                {
                    ctx.commands.send(command);
                    ui.close();
                }
            }
        });
        for command in [Command::ZoomIn, Command::ZoomOut, Command::ZoomReset] {
            item_ui(ui, ctx, command, true);
        }
    });
}

/// The segmented control in the middle.
fn pages_ui(ui: &mut Ui, ctx: &ViewContext<'_>, whole: Rect) {
    const SEGMENT: Vec2 = Vec2::new(92.0, 24.0);
    let size = Vec2::new(SEGMENT.x * Page::ALL.len() as f32 + 6.0, SEGMENT.y + 6.0);
    let frame = Rect::from_center_size(whole.center(), size);
    let theme = ctx.theme;
    ui.painter().rect(frame, 7, theme.window, theme.separator(), egui::StrokeKind::Inside);
    for (index, page) in Page::ALL.into_iter().enumerate() {
        let rect = Rect::from_min_size(frame.min + Vec2::new(3.0 + SEGMENT.x * index as f32, 3.0), SEGMENT);
        let chosen = ctx.state.page == page;
        let response = ui.interact(rect, ui.scope_id().with(("page", index)), Sense::click());
        response.widget_info(|| WidgetInfo::selected(Role::Tab, true, chosen, page.label()));
        let color = if chosen {
            ui.painter().rect_filled(rect, 5, theme.accent_fill);
            theme.accent_text
        } else if response.hovered() || response.has_focus() {
            ui.painter().rect_filled(rect, 5, theme.raised);
            theme.text_strong
        } else {
            theme.text
        };
        ui.painter().text(rect.center(), Align2::CENTER_CENTER, page.label(), theme::body_medium(), color);
        let shortcut =
            Command::ShowPage(page).shortcut().map(crate::state::Shortcut::text).unwrap_or_default();
        if response.on_hover_text(RichText::new(shortcut)).clicked() {
            ctx.commands.send(Command::ShowPage(page));
        }
    }
}
