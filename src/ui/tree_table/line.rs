//! One line of the table.

use egui::{Align2, Color32, Id, Rect, Role, Sense, Ui, Vec2, WidgetInfo};

use super::columns::{BAR, Columns, beside_name};
use super::mark;
use crate::model::{Checkpoint, Severity, TensorId, TensorInfo, TensorRole};
use crate::state::scan::Statistic;
use crate::state::tree::{self, Item, Row, SortColumn, TreeChange};
use crate::state::{Command, OpenCheckpoint, snippet};
use crate::text;
use crate::ui::widgets::{bar, chevron, clipped_name, clipped_text, statistic_text};
use crate::ui::{ViewContext, theme};

/// Indentation of a level.
const INDENT: f32 = 16.0;

/// What all lines of the table share.
pub(super) struct Line<'a> {
    pub ctx: &'a ViewContext<'a>,
    pub entry: &'a OpenCheckpoint,
    pub checkpoint: &'a Checkpoint,
    pub columns: &'a Columns,
    /// Bytes of the whole, which fill a bar.
    pub largest: u64,
    /// Gets the focus when the line is clicked.
    pub table: Id,
    /// How far the columns beside the name are scrolled.
    pub across: f32,
}

impl Line<'_> {
    /// Draws it.
    pub(super) fn ui(&self, ui: &mut Ui, rect: Rect, index: usize, row: Row) {
        let (theme, checkpoint, columns) = (self.ctx.theme, self.checkpoint, self.columns);
        let id = ui.scope_id().with((self.entry.id, row.item));
        // Not reached by Tab: the table as a whole is, and arrow keys walk it.
        let response = ui.interact(rect, id, Sense::CLICK);
        let selected = self.entry.tree.selected() == Some(row.item);
        let name = text::escape(tree::name(checkpoint, row.item));
        response.widget_info(|| WidgetInfo::selected(Role::TreeItem, true, selected, &name));
        if selected {
            ui.painter().rect_filled(rect, 0, theme.selection);
        } else if response.hovered() {
            ui.painter().rect_filled(rect, 0, theme.raised);
        } else if index % 2 == 1 {
            ui.painter().rect_filled(rect, 0, theme.hover.gamma_multiply(0.45));
        }
        let strong = if selected { theme.text_strong } else { theme.text };
        let second = if selected { theme.text } else { theme.text_second };

        let mut name_cell = cell(rect, columns.name);
        name_cell.min.x = (name_cell.min.x + row.depth as f32 * INDENT).min(name_cell.max.x - 40.0);
        let mut toggled = false;
        if let Item::Group(group) = row.item {
            let hit =
                Rect::from_center_size(name_cell.left_center() + Vec2::new(5.0, 0.0), Vec2::splat(20.0));
            chevron(ui, hit.center(), row.open, second);
            let arrow = ui.interact(hit, id.with("arrow"), Sense::CLICK);
            arrow.widget_info(|| {
                WidgetInfo::labeled(
                    Role::Button,
                    true,
                    format!("{} {name}", if row.open { "Close" } else { "Open" }),
                )
            });
            if arrow.clicked() {
                toggled = true;
                self.ctx.commands.send(Command::Tree(self.entry.id, TreeChange::Toggle(group)));
            }
        }
        name_cell.min.x += 16.0;
        let (taken, marked) =
            mark::mark_ui(ui, self.ctx, (self.entry, checkpoint), row.item, (rect, name_cell), id);
        name_cell.max.x -= taken;
        let name_width = clipped_name(ui, name_cell, &name, &theme::body(), strong);

        let clip = ui.clip_rect();
        ui.set_clip_rect(clip.intersect(beside_name(rect, columns)));
        self.cells_ui(ui, rect, row.item, (strong, second));
        ui.set_clip_rect(clip);
        if let Item::Tensor(tensor) = row.item
            && let Some(worst) = self.worst(tensor)
        {
            let x = (name_cell.left() + name_width + 10.0).min(name_cell.right() + 4.0);
            ui.painter().circle_filled(egui::pos2(x, rect.center().y), 3.0, theme.severity(worst));
        }

        if response.clicked() && !toggled && !marked {
            ui.memory_mut(|memory| memory.request_focus(self.table));
            if let Some(change) = mark::of_click(ui, row.item) {
                self.ctx.commands.send(Command::Mark(self.entry.id, change));
            }
            self.ctx.commands.send(Command::Tree(self.entry.id, TreeChange::Select(Some(row.item))));
        }
        if response.double_clicked()
            && let Item::Group(group) = row.item
        {
            self.ctx.commands.send(Command::Tree(self.entry.id, TreeChange::Toggle(group)));
        }
        if response.secondary_clicked() {
            self.ctx.commands.send(Command::Tree(self.entry.id, TreeChange::Select(Some(row.item))));
        }
        response.context_menu(|ui| self.menu_ui(ui, row.item));
        if response.contains_pointer() {
            response.on_hover_ui(|ui| {
                ui.label(text::escape(&tree::full_name(checkpoint, row.item)));
                ui.label(
                    egui::RichText::new(format!(
                        "{} elements · {} bytes",
                        text::count(tree::elements(checkpoint, row.item)),
                        text::count(tree::bytes(checkpoint, row.item))
                    ))
                    .color(theme.text_second),
                );
            });
        }
    }

    /// How much the worst that is known of a tensor matters: problems of the file, and what a scan found.
    fn worst(&self, id: TensorId) -> Option<Severity> {
        let problem = self.entry.tree.kinds().and_then(|kinds| kinds.worst.get(&id).copied());
        let found = self.entry.scan.verdict().and_then(|verdict| verdict.worst(id));
        problem.max(found.filter(|level| *level > Severity::Info))
    }

    /// Everything beside the name.
    fn cells_ui(&self, ui: &Ui, rect: Rect, item: Item, (strong, second): (Color32, Color32)) {
        let (theme, checkpoint) = (self.ctx.theme, self.checkpoint);
        let tensor = match item {
            Item::Tensor(id) => Some(checkpoint.tensor(id)),
            Item::Group(_) => None,
        };
        let has_role_column = self.columns.shows(SortColumn::Role, rect.width());
        let moved = rect.translate(Vec2::new(-self.across, 0.0));
        for column in &self.columns.others {
            let cell = cell(moved, column.span);
            if !cell.intersects(ui.clip_rect()) {
                continue;
            }
            let left = |text: &str, font, color| {
                clipped_text(ui, cell, Align2::LEFT_CENTER, text, font, color);
            };
            let right = |text: &str, color| {
                clipped_text(ui, cell, Align2::RIGHT_CENTER, text, theme::body(), color);
            };
            match (column.kind, item) {
                (SortColumn::Class, Item::Group(group)) => {
                    if let Some(class) = &checkpoint.layer_tree().node(group).class {
                        left(&text::escape(class), theme::body(), second);
                    }
                }
                // Without a column of its own, the role is said where it is out of the ordinary.
                (SortColumn::Class, Item::Tensor(_)) => {
                    if let Some(role) =
                        tensor.and_then(role).filter(|role| !has_role_column && *role != "parameter")
                    {
                        left(role, theme::body(), second);
                    }
                }
                (SortColumn::Role, Item::Tensor(_)) => {
                    if let Some(role) = tensor.and_then(role) {
                        left(role, theme::body(), second);
                    }
                }
                (SortColumn::Shape, Item::Tensor(id)) => {
                    left(&checkpoint.tensor(id).shape.to_string(), theme::mono_small(), second);
                }
                (SortColumn::Dtype, Item::Tensor(id)) => {
                    left(checkpoint.tensor(id).dtype.name(), theme::body(), second);
                }
                (SortColumn::Parameters, item) => {
                    right(&text::count(tree::parameters(checkpoint, item)), strong);
                }
                (SortColumn::Bytes, Item::Tensor(id)) if shares(checkpoint.tensor(id)) => {
                    clipped_text(ui, cell, Align2::RIGHT_CENTER, "shared", theme::body(), second);
                }
                (SortColumn::Bytes, item) => {
                    let bytes = tree::bytes(checkpoint, item);
                    right(&text::bytes(bytes), strong);
                    let fraction = (bytes as f64 / self.largest as f64) as f32;
                    if column.has_bar() {
                        let place = Rect::from_center_size(
                            cell.left_center() + Vec2::new(BAR / 2.0, 0.0),
                            Vec2::new(BAR, 5.0),
                        );
                        bar(ui, place, fraction, theme.track, theme.accent);
                    }
                }
                (SortColumn::Statistic(statistic), item) => {
                    if let Some(value) = self.entry.scan.value(item, statistic) {
                        let alarming = statistic == Statistic::NonFinite && value > 0.0;
                        right(&statistic_text(statistic, value), if alarming { theme.error } else { strong });
                    }
                }
                _ => {}
            }
        }
    }

    fn menu_ui(&self, ui: &mut Ui, item: Item) {
        mark::menu_ui(ui, self.ctx, self.entry, self.checkpoint, item);
        ui.separator();
        let copy = |ui: &mut Ui, label: &str, what: &'static str, text: String| {
            if ui.button(label).clicked() {
                self.ctx.commands.send(Command::Copy { what, text });
                ui.close();
            }
        };
        copy(ui, "Copy name", "name", tree::full_name(self.checkpoint, item));
        if let Item::Tensor(id) = item {
            copy(ui, "Copy shape", "shape", self.checkpoint.tensor(id).shape.to_string());
            copy(ui, "Copy Python snippet", "Python snippet", snippet::python(self.checkpoint, id));
        }
    }
}

fn cell(line: Rect, (left, right): (f32, f32)) -> Rect {
    Rect::from_x_y_ranges(line.left() + left..=line.left() + right, line.y_range())
}

/// Whether its values stand in the file as part of another tensor's.
fn shares(tensor: &TensorInfo) -> bool {
    tensor.stored_bytes == 0 && tensor.bytes() > 0 && (tensor.tied_to.is_some() || tensor.offset.is_some())
}

/// What a tensor is for, where the file tells.
fn role(tensor: &TensorInfo) -> Option<&'static str> {
    match (tensor.tied_to, tensor.role) {
        (Some(_), _) => Some("tied"),
        (None, TensorRole::Unknown) => None,
        (None, role) => Some(role.name()),
    }
}
