//! The panel at the left: open checkpoints, and below them recent files.

use egui::{Align2, FontId, Frame, Margin, Panel, Rect, Role, ScrollArea, Sense, Ui, Vec2, WidgetInfo};

use super::widgets::{clipped_text, close_button_ui, section_ui};
use super::{ViewContext, theme};
use crate::analysis::safety::Verdict;
use crate::jobs::Loadable;
use crate::model::Severity;
use crate::state::compare::Side;
use crate::state::session::display_name;
use crate::state::{Command, CompareChange, OpenCheckpoint, Page, about, format_badge};

const ENTRY_HEIGHT: f32 = 48.0;

/// Draws the panel.
pub fn checkpoint_list_ui(ui: &mut Ui, ctx: &ViewContext<'_>) {
    Panel::bottom("open_buttons")
        .resizable(false)
        .show_separator_line(false)
        .frame(Frame::new().inner_margin(Margin::symmetric(12, 12)))
        .show(ui, |ui| {
            ui.horizontal_wrapped(|ui| {
                for command in [Command::OpenFile, Command::OpenFolder] {
                    let label =
                        if matches!(command, Command::OpenFolder) { "Folder…" } else { command.label() };
                    if ui.button(label).on_hover_text(command.tooltip()).clicked() {
                        ctx.commands.send(command);
                    }
                }
            });
        });
    ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
        Frame::new().inner_margin(Margin::symmetric(8, 12)).show(ui, |ui| {
            ui.spacing_mut().item_spacing.y = 2.0;
            heading_ui(ui, ctx, "Open");
            for entry in &ctx.state.session.entries {
                entry_ui(ui, ctx, entry);
            }
            let recents = ctx.state.settings.recents.iter();
            let mut closed =
                recents.filter(|recent| ctx.state.session.find(&recent.path).is_none()).peekable();
            if closed.peek().is_some() {
                ui.add_space(theme::STEP * 4.0);
                heading_ui(ui, ctx, "Recent");
                for recent in closed {
                    recent_ui(ui, ctx, recent);
                }
            }
        });
    });
}

fn heading_ui(ui: &mut Ui, ctx: &ViewContext<'_>, text: &str) {
    ui.horizontal(|ui| {
        ui.add_space(6.0);
        section_ui(ui, ctx.theme, text);
    });
    ui.add_space(theme::STEP);
}

fn entry_ui(ui: &mut Ui, ctx: &ViewContext<'_>, entry: &OpenCheckpoint) {
    let theme = ctx.theme;
    // On the Compare page the two sides are what is shown.
    let side = ctx.state.compare.side_of(entry.id).filter(|_| ctx.state.page == Page::Compare);
    let chosen = match ctx.state.page {
        Page::Compare => side.is_some(),
        _ => ctx.state.session.current().is_some_and(|current| current.id == entry.id),
    };
    let size = Vec2::new(ui.available_width(), ENTRY_HEIGHT);
    let (rect, _) = ui.allocate_exact_size(size, Sense::hover());
    let id = ui.scope_id().with(("checkpoint", entry.id));
    let response = ui.interact(rect, id, Sense::click());
    response.widget_info(|| WidgetInfo::selected(Role::Button, true, chosen, &entry.name));
    let close_rect = Rect::from_center_size(rect.right_top() + Vec2::new(-14.0, 14.0), Vec2::splat(18.0));
    let hovered = ui.rect_contains_pointer(rect) || response.has_focus();
    if chosen {
        ui.painter().rect_filled(rect, 6, theme.hover.lerp_to_gamma(theme.selection, 0.35));
        let mark = Rect::from_min_size(rect.min + Vec2::new(0.0, 4.0), Vec2::new(2.0, rect.height() - 8.0));
        let color = if side == Some(Side::Right) { theme.partner } else { theme.accent };
        ui.painter().rect_filled(mark, 1, color);
    } else if hovered {
        ui.painter().rect_filled(rect, 6, theme.hover);
    }
    let inner = rect.shrink2(Vec2::new(10.0, 7.0));
    let (top, bottom) = inner.split_top_bottom_at_fraction(0.53);

    // At the right: a badge of the format, or under the pointer the cross that closes.
    let checkpoint = entry.checkpoint.value();
    let mut name_rect = top;
    if hovered {
        name_rect.max.x = close_rect.left() - 4.0;
    } else if let Some(checkpoint) = checkpoint {
        let galley = ui.painter().layout_no_wrap(
            format_badge(checkpoint.format()).to_owned(),
            FontId::proportional(10.5),
            theme.text_second,
        );
        let width = galley.size().x + 10.0;
        if width < top.width() * 0.6 {
            let badge = Rect::from_min_max(
                top.right_top() - Vec2::new(width, 0.0),
                top.right_bottom() - Vec2::new(0.0, 2.0),
            );
            ui.painter().rect_stroke(badge, 4, theme.separator(), egui::StrokeKind::Inside);
            let at = Align2::CENTER_CENTER.align_size_within_rect(galley.size(), badge);
            ui.painter().galley(at.min, galley, theme.text_second);
            name_rect.max.x = badge.left() - 6.0;
        }
    }
    let text = if chosen { theme.text_strong } else { theme.text };
    if ctx.state.curves.best_paths().any(|path| *path == entry.path) {
        super::widgets::star(ui, name_rect.left_center() + Vec2::new(5.0, 0.0), 5.5, theme.partner);
        name_rect.min.x += 15.0;
    }
    clipped_text(ui, name_rect, Align2::LEFT_CENTER, &entry.name, theme::body_medium(), text);

    let mut detail_rect = bottom;
    let health = entry.scan.verdict().and_then(crate::state::scan::Verdict::worst_of_all);
    let is_dangerous = ctx.state.safety.verdict(entry.id) == Some(Verdict::Dangerous);
    let dot = match (&entry.checkpoint, checkpoint.and_then(|checkpoint| checkpoint.worst_problem())) {
        (Loadable::Failed { .. }, _) => Some(theme.error),
        _ if is_dangerous => Some(theme.error),
        _ if entry.changed_on_disk => Some(theme.partner),
        (_, problem) if problem.max(health) > Some(Severity::Info) => {
            problem.max(health).map(|severity| theme.severity(severity))
        }
        _ => None,
    };
    if let Some(color) = dot {
        ui.painter().circle_filled(bottom.left_center() + Vec2::new(3.5, 0.0), 3.5, color);
        detail_rect.min.x += 13.0;
    }
    let detail = match (&entry.checkpoint, checkpoint) {
        (Loadable::Pending { .. }, _) => "Opening…".to_owned(),
        (Loadable::Failed { .. }, _) => "Could not be opened".to_owned(),
        _ if is_dangerous => "Dangerous to load in Python".to_owned(),
        _ if entry.changed_on_disk => "Changed on disk".to_owned(),
        (_, Some(checkpoint)) => about(checkpoint),
        _ => String::new(),
    };
    clipped_text(ui, detail_rect, Align2::LEFT_CENTER, &detail, theme::label(), theme.text_second);

    if response.clicked() {
        ctx.commands.send(Command::Show(entry.id));
    }
    if hovered {
        let name = format!("Close {}", entry.name);
        if close_button_ui(ui, close_rect, id.with("close"), theme, &name).clicked() {
            ctx.commands.send(Command::Close(entry.id));
        }
    }
    response.context_menu(|ui| {
        compare_menu_ui(ui, ctx, entry);
        for (label, command) in [
            ("Reload", Command::Reload(entry.id)),
            ("Copy path", Command::Copy { what: "path", text: entry.path.to_string_lossy().into_owned() }),
            ("Close", Command::Close(entry.id)),
        ] {
            if ui.button(label).clicked() {
                ctx.commands.send(command);
                ui.close();
            }
        }
    });
    response.on_hover_text(entry.path.to_string_lossy());
}

/// What an open checkpoint can be compared with. It becomes the left side.
fn compare_menu_ui(ui: &mut Ui, ctx: &ViewContext<'_>, entry: &OpenCheckpoint) {
    ui.menu_button("Compare with…", |ui| {
        for other in ctx.state.session.entries.iter().filter(|other| other.id != entry.id) {
            if ui.button(&other.name).on_hover_text(other.path.to_string_lossy()).clicked() {
                ctx.commands.send(Command::Compare(CompareChange::Between(entry.id, other.id)));
                ui.close();
            }
        }
        if ui.button("Open another…").clicked() {
            ctx.commands.send(Command::Compare(CompareChange::Pick(Side::Left, entry.id)));
            ctx.commands.send(Command::Compare(CompareChange::OpenOn(Side::Right)));
            ui.close();
        }
    });
    if ctx.state.page == Page::Compare {
        for side in Side::BOTH {
            if ui.button(format!("Put on the {}", side.label())).clicked() {
                ctx.commands.send(Command::Compare(CompareChange::Pick(side, entry.id)));
                ui.close();
            }
        }
    }
    ui.separator();
}

fn recent_ui(ui: &mut Ui, ctx: &ViewContext<'_>, recent: &crate::state::Recent) {
    let theme = ctx.theme;
    let height = if recent.about.is_empty() { 28.0 } else { 42.0 };
    let (rect, response) = ui.allocate_exact_size(Vec2::new(ui.available_width(), height), Sense::click());
    let name = display_name(&recent.path);
    response.widget_info(|| WidgetInfo::labeled(Role::Button, true, format!("Open recent {name}")));
    if response.hovered() || response.has_focus() {
        ui.painter().rect_filled(rect, 6, theme.hover);
    }
    let inner = rect.shrink2(Vec2::new(10.0, 5.0));
    if recent.about.is_empty() {
        clipped_text(ui, inner, Align2::LEFT_CENTER, &name, theme::body(), theme.text);
    } else {
        clipped_text(ui, inner, Align2::LEFT_TOP, &name, theme::body(), theme.text);
        clipped_text(ui, inner, Align2::LEFT_BOTTOM, &recent.about, theme::label(), theme.text_second);
    }
    if response.on_hover_text(recent.path.to_string_lossy()).clicked() {
        ctx.commands.send(Command::OpenPaths(vec![recent.path.clone()]));
    }
}
