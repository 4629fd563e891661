//! Pieces of the inspector that two of its subjects use.

use egui::{Align2, Label, Rect, RichText, Role, ScrollArea, Sense, Ui, Vec2, WidgetInfo};

use crate::model::{Checkpoint, TensorId};
use crate::state::tree::{Item, TreeChange};
use crate::state::{Command, OpenCheckpoint, snippet};
use crate::text;
use crate::ui::widgets::{bar, clipped_text, section_ui};
use crate::ui::{ViewContext, theme};

/// Problems listed before the rest becomes a number.
pub(in crate::ui) const PROBLEMS_SHOWN: usize = 50;

/// A label over a number, with the exact value on hover.
pub(in crate::ui) struct Cell {
    pub label: &'static str,
    pub value: String,
    pub exact: String,
    pub alarming: bool,
}

/// The name at the head.
pub(in crate::ui) fn name_ui(ui: &mut Ui, ctx: &ViewContext<'_>, name: &str) {
    let text = RichText::new(text::escape(name)).font(theme::mono_head()).color(ctx.theme.text_strong);
    ui.add(Label::new(text).wrap().selectable(true));
}

/// The title of a card.
pub(in crate::ui) fn title_ui(ui: &mut Ui, ctx: &ViewContext<'_>, text: &str) {
    ui.label(RichText::new(text).font(theme::title(13.0)).color(ctx.theme.text_strong));
}

/// Cells of a label over a number, as many in a line as fit.
pub(in crate::ui) fn grid_ui(ui: &mut Ui, ctx: &ViewContext<'_>, cells: &[Cell], least: f32) {
    let width = ui.available_width();
    let columns = ((width / least).floor() as usize).clamp(2, 6);
    let columns = if columns == 5 { 4 } else { columns }; // twelve cells in full lines
    let cell_width = width / columns as f32;
    for line in cells.chunks(columns) {
        let (whole, _) = ui.allocate_exact_size(Vec2::new(width, 36.0), Sense::hover());
        for (index, cell) in line.iter().enumerate() {
            let rect = Rect::from_min_size(
                whole.min + Vec2::new(index as f32 * cell_width, 0.0),
                Vec2::new(cell_width - 6.0, 36.0),
            );
            let response = ui.interact(rect, ui.scope_id().with(("cell", cell.label)), Sense::hover());
            response.widget_info(|| {
                WidgetInfo::labeled(Role::Label, true, format!("{}: {}", cell.label, cell.value))
            });
            let top = rect.split_top_bottom_at_y(rect.top() + 16.0);
            clipped_text(ui, top.0, Align2::LEFT_CENTER, cell.label, theme::label(), ctx.theme.text_second);
            let color = if cell.alarming { ctx.theme.error } else { ctx.theme.text_strong };
            clipped_text(ui, top.1, Align2::LEFT_CENTER, &cell.value, theme::mono(), color);
            response.on_hover_text(&cell.exact);
        }
    }
}

/// A name, something dim about it, a bar and a number, in one line.
pub(in crate::ui) fn bar_line_ui(
    ui: &mut Ui,
    ctx: &ViewContext<'_>,
    name: &str,
    detail: &str,
    number: &str,
    fraction: f32,
    command: Option<Command>,
) {
    let theme = ctx.theme;
    let sense = if command.is_some() { Sense::click() } else { Sense::hover() };
    let (rect, response) = ui.allocate_exact_size(Vec2::new(ui.available_width(), 20.0), sense);
    let role = if command.is_some() { Role::Button } else { Role::Label };
    response.widget_info(|| WidgetInfo::labeled(role, true, format!("{name}: {number}")));
    if command.is_some() && (response.hovered() || response.has_focus()) {
        ui.painter().rect_filled(rect.expand2(Vec2::new(4.0, 1.0)), 4, theme.raised);
    }
    let number_width = if rect.width() < 300.0 { 74.0 } else { 92.0 };
    let bar_width = (rect.width() * 0.28 - 20.0).clamp(36.0, 180.0);
    let text_rect = Rect::from_min_max(rect.min, rect.max - Vec2::new(number_width + bar_width + 16.0, 0.0));
    let used = clipped_text(ui, text_rect, Align2::LEFT_CENTER, name, theme::body(), theme.text);
    let rest = Rect::from_min_max(text_rect.min + Vec2::new(used + 8.0, 0.0), text_rect.max);
    clipped_text(ui, rest, Align2::LEFT_CENTER, &text::escape(detail), theme::label(), theme.text_second);
    let middle = Rect::from_min_size(
        egui::pos2(text_rect.right() + 8.0, rect.center().y - 2.5),
        Vec2::new(bar_width, 5.0),
    );
    bar(ui, middle, fraction, theme.track, theme.accent);
    clipped_text(ui, rect, Align2::RIGHT_CENTER, number, theme::body(), theme.text);
    if let Some(command) = command
        && response.clicked()
    {
        ctx.commands.send(command);
    }
}

/// The list of findings; one on a tensor leads to it.
pub fn problems_ui(ui: &mut Ui, ctx: &ViewContext<'_>, entry: &OpenCheckpoint, checkpoint: &Checkpoint) {
    let problems = checkpoint.problems();
    section_ui(ui, ctx.theme, &format!("Problems ({})", text::count(problems.len() as u64)));
    ScrollArea::vertical().id_salt("problems").max_height(260.0).auto_shrink([false, true]).show(ui, |ui| {
        for problem in problems.iter().take(PROBLEMS_SHOWN) {
            let response = problem_ui(ui, ctx, problem);
            if let Some(id) = problem.tensor.filter(|id| id.index() < checkpoint.tensors().len()) {
                let name = text::escape(&checkpoint.tensor(id).name);
                if response.interact(Sense::click()).on_hover_text(format!("Show {name}")).clicked() {
                    ctx.commands.send(Command::ShowPage(crate::state::Page::Explore));
                    ctx.commands.send(Command::Tree(entry.id, TreeChange::Select(Some(Item::Tensor(id)))));
                }
            }
        }
        if problems.len() > PROBLEMS_SHOWN {
            let rest = format!("and {} more", text::count((problems.len() - PROBLEMS_SHOWN) as u64));
            ui.label(RichText::new(rest).color(ctx.theme.text_second));
        }
    });
}

/// One finding.
pub(in crate::ui) fn problem_ui(
    ui: &mut Ui,
    ctx: &ViewContext<'_>,
    problem: &crate::model::Problem,
) -> egui::Response {
    ui.horizontal_top(|ui| {
        let (dot, _) = ui.allocate_exact_size(Vec2::new(8.0, 18.0), Sense::hover());
        ui.painter().circle_filled(dot.center(), 3.5, ctx.theme.severity(problem.severity));
        let place = problem.offset.map(|offset| format!(" (at byte {})", text::count(offset)));
        let text = text::escape(&problem.message) + place.as_deref().unwrap_or_default();
        ui.add(Label::new(text).wrap())
    })
    .inner
}

/// Keeps where something is on the screen, for a picture of it in a later frame.
pub(in crate::ui) fn remember_rect(ui: &Ui, what: &'static str, rect: Rect) {
    ui.data_mut(|data| data.insert_temp(picture_id(what), rect));
}

fn picture_id(what: &'static str) -> egui::Id {
    egui::Id::unique(("picture", what))
}

/// A part of a file name made from a tensor's name.
pub(in crate::ui) fn file_name(name: &str) -> String {
    let safe: String = name
        .chars()
        .map(|c| if c.is_alphanumeric() || matches!(c, '.' | '-' | '_') { c } else { '_' })
        .take(80)
        .collect();
    if safe.is_empty() { "tensor".to_owned() } else { safe }
}

/// The tensor that a card is about.
#[derive(Clone, Copy)]
pub(in crate::ui) struct Of<'a> {
    pub checkpoint: &'a Checkpoint,
    pub id: TensorId,
    pub name: &'a str,
}

impl Of<'_> {
    /// Python that loads it as a numpy array, `values`.
    pub(in crate::ui) fn numpy(&self) -> String {
        snippet::numpy(self.checkpoint, self.id)
    }
}

/// What a card offers beside a picture of itself. Made when it is asked for.
#[derive(Default)]
pub(in crate::ui) struct Copies<'a> {
    /// Lines with tabs.
    pub text: Option<&'a dyn Fn() -> String>,
    /// Python that makes the same.
    pub python: Option<&'a dyn Fn() -> String>,
    /// An SVG file.
    pub svg: Option<&'a dyn Fn() -> String>,
}

/// A menu that copies or saves what a card shows, as a picture, as text or as Python.
pub(in crate::ui) fn copies_ui(
    ui: &mut Ui,
    ctx: &ViewContext<'_>,
    name: &str,
    what: &'static str,
    copies: &Copies<'_>,
) {
    let response = ui.add(egui::Button::new(RichText::new("···")).frame_when_inactive(false));
    response.widget_info(|| WidgetInfo::labeled(Role::Button, true, format!("Copy or save the {what}")));
    let rect: Option<Rect> = ui.data(|data| data.get_temp(picture_id(what)));
    if let (Some(rect), true) = (rect, response.clicked()) {
        // A picture shows what is in view.
        ui.scroll_to_rect(rect, None);
    }
    let visible = rect.map(|rect| rect.intersect(ui.clip_rect()));
    egui::Popup::menu(&response).show(|ui| {
        ui.set_min_width(150.0);
        let item = |ui: &mut Ui, label: &str, command: &dyn Fn() -> Command| {
            if ui.button(label).clicked() {
                ctx.commands.send(command());
                ui.close();
            }
        };
        let capture = |rect: Rect, to_file: bool| Command::CapturePicture {
            name: format!("{} {what}.png", file_name(name)),
            rect: [rect.left(), rect.top(), rect.right(), rect.bottom()],
            to_file,
        };
        if let Some(rect) = visible {
            item(ui, "Copy picture", &|| capture(rect, false));
        }
        if let Some(text) = copies.text {
            item(ui, "Copy as text", &|| Command::Copy { what, text: text() });
        }
        if let Some(python) = copies.python {
            item(ui, "Copy as Python", &|| Command::Copy { what: "Python snippet", text: python() });
        }
        ui.separator();
        if let Some(rect) = visible {
            item(ui, "Save as PNG…", &|| capture(rect, true));
        }
        if let Some(svg) = copies.svg {
            item(ui, "Save as SVG…", &|| Command::SavePicture {
                name: format!("{} {what}.svg", file_name(name)),
                picture: svg(),
            });
        }
    });
}

/// The title of a card, and at its other end the menu that copies it. `between` draws what stands beside the menu, from
/// right to left.
pub(in crate::ui) fn card_head_ui(
    ui: &mut Ui,
    ctx: &ViewContext<'_>,
    title: &str,
    (name, what): (&str, &'static str),
    copies: &Copies<'_>,
    between: impl FnOnce(&mut Ui),
) {
    ui.horizontal(|ui| {
        title_ui(ui, ctx, title);
        ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
            ui.spacing_mut().item_spacing.x = 4.0;
            copies_ui(ui, ctx, name, what, copies);
            between(ui);
        });
    });
}

/// What stands over a table, with the menu that copies it at the other end.
pub(in crate::ui) fn table_head_ui(
    ui: &mut Ui,
    ctx: &ViewContext<'_>,
    (name, what): (&str, &'static str),
    copies: &Copies<'_>,
    before: impl FnOnce(&mut Ui),
) {
    ui.horizontal(|ui| {
        ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
            copies_ui(ui, ctx, name, what, copies);
            ui.with_layout(egui::Layout::left_to_right(egui::Align::Center), before);
        });
    });
}
