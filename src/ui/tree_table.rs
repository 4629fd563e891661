//! The tree table: one line per layer and tensor. Draws only visible rows; the rows themselves are made in state.

use egui::{
    Align2, EventFilter, Frame, Id, Key, Margin, Modifiers, Panel, Rect, Role, ScrollArea, Sense, TextEdit,
    Ui, Vec2, WidgetInfo,
};

use super::widgets::{bar, chevron, clipped_text};
use super::{ViewContext, theme};
use crate::model::{Checkpoint, TensorRole};
use crate::state::tree::{self, Item, Row, SortColumn, TreeChange};
use crate::state::{Command, OpenCheckpoint, TreeState, snippet};
use crate::text;

/// Indentation of a level.
const INDENT: f32 = 16.0;
const GAP: f32 = 8.0;

/// The filter's identity, so that a key can put the cursor there.
pub fn filter_id() -> Id {
    Id::unique("tensor_filter")
}

/// The table of the shown checkpoint.
#[derive(Default)]
pub struct TreeTable {
    /// The last wish to scroll that was granted, of which opening.
    scrolled: Option<(crate::jobs::CheckpointId, u64)>,
    offset: f32,
    height: f32,
}

/// Where columns begin and end. Columns that do not fit are left out, the least needed first.
struct Columns {
    name: (f32, f32),
    class: Option<(f32, f32)>,
    shape: (f32, f32),
    dtype: Option<(f32, f32)>,
    parameters: (f32, f32),
    bar: Option<(f32, f32)>,
    bytes: (f32, f32),
    role: Option<(f32, f32)>,
}

impl Columns {
    /// Columns for a width. Without classes in the file, the role has their place.
    fn new(width: f32, classes: bool) -> Self {
        let room = width - 22.0 - 150.0 - 100.0 - 76.0 - 68.0 - 3.0 * GAP;
        let fits = |needed: f32| room >= needed;
        let bar = fits(40.0 + GAP);
        let dtype = fits(40.0 + 56.0 + 2.0 * GAP);
        let class = classes && fits(40.0 + 56.0 + 80.0 + 3.0 * GAP);
        let role = fits(40.0 + 56.0 + 72.0 + if class { 80.0 + GAP } else { 0.0 } + 3.0 * GAP);
        // Placed from the right; the name takes what is left.
        let mut right = width - 14.0;
        let mut take = |wanted: bool, size: f32| {
            wanted.then(|| {
                let column = (right - size, right);
                right -= size + GAP;
                column
            })
        };
        let role = take(role, 66.0);
        take(role.is_some(), 0.0); // a number and a word need more air between them
        let bytes = take(true, 68.0).unwrap_or_default();
        let bar = take(bar, 40.0);
        let parameters = take(true, 76.0).unwrap_or_default();
        let dtype = take(dtype, 56.0);
        let wide = width > 760.0;
        let shape = take(true, if wide { 130.0 } else { 100.0 }).unwrap_or_default();
        let class = take(class, if wide { 120.0 } else { 80.0 });
        Self { name: (8.0, right), class, shape, dtype, parameters, bar, bytes, role }
    }
}

impl TreeTable {
    /// Draws filter, header, rows and footer.
    pub fn ui(
        &mut self,
        ui: &mut Ui,
        ctx: &ViewContext<'_>,
        entry: &OpenCheckpoint,
        checkpoint: &Checkpoint,
    ) {
        Panel::top("tree_filter")
            .exact_size(theme::TOOL_BAR_HEIGHT)
            .resizable(false)
            .frame(Frame::new().inner_margin(Margin::symmetric(10, 0)))
            .show(ui, |ui| filter_ui(ui, ctx, entry));
        Panel::bottom("tree_footer")
            .exact_size(32.0)
            .resizable(false)
            .frame(Frame::new().inner_margin(Margin::symmetric(12, 0)))
            .show(ui, |ui| footer_ui(ui, ctx, &entry.tree, checkpoint));
        let columns = Columns::new(ui.available_width(), !checkpoint.layers().is_empty());
        ui.spacing_mut().item_spacing.y = 0.0;
        header_ui(ui, ctx, entry, &columns);
        self.rows_ui(ui, ctx, entry, checkpoint, &columns);
    }

    fn rows_ui(
        &mut self,
        ui: &mut Ui,
        ctx: &ViewContext<'_>,
        entry: &OpenCheckpoint,
        checkpoint: &Checkpoint,
        columns: &Columns,
    ) {
        let rows = entry.tree.rows();
        let whole = ui.available_rect_before_wrap();
        let id = Id::unique(("tree_rows", entry.id));
        let table = ui.interact(whole, id, Sense::click());
        table.widget_info(|| WidgetInfo::labeled(Role::Tree, true, "Tensors"));
        if table.clicked() {
            ctx.commands.send(Command::Tree(entry.id, TreeChange::Select(None)));
        }
        keys(ui, ctx, entry, id, (self.height / theme::ROW_HEIGHT) as i64 - 1);
        if rows.is_empty() {
            let message = if entry.tree.matching().is_some() {
                "No tensor has a name like this"
            } else {
                "This file holds no tensors"
            };
            let at = whole.center_top() + Vec2::new(0.0, 48.0);
            ui.painter().text(at, Align2::CENTER_CENTER, message, theme::body(), ctx.theme.text_second);
            return;
        }
        let mut area = ScrollArea::vertical().id_salt(("tree_scroll", entry.id)).auto_shrink(false);
        if let Some((serial, row)) = entry.tree.scroll_to()
            && self.scrolled != Some((entry.id, serial))
        {
            self.scrolled = Some((entry.id, serial));
            let top = row as f32 * theme::ROW_HEIGHT;
            if top < self.offset {
                area = area.vertical_scroll_offset(top);
            } else if top + theme::ROW_HEIGHT > self.offset + self.height {
                area = area.vertical_scroll_offset(top + theme::ROW_HEIGHT - self.height);
            }
        }
        ui.spacing_mut().item_spacing.y = 0.0;
        let largest = tree::bytes(checkpoint, Item::Group(checkpoint.layer_tree().root())).max(1);
        let output = area.show_rows(ui, theme::ROW_HEIGHT, rows.len(), |ui, range| {
            for index in range {
                if let Some(row) = rows.get(index) {
                    let size = Vec2::new(ui.available_width(), theme::ROW_HEIGHT);
                    let (rect, _) = ui.allocate_exact_size(size, Sense::hover());
                    let line = Line { ctx, entry, checkpoint, columns, largest, table: id };
                    line.ui(ui, rect, index, *row);
                }
            }
        });
        self.offset = output.state.clamped_offset().y;
        self.height = output.inner_rect.height();
    }
}

/// What all lines of the table share.
struct Line<'a> {
    ctx: &'a ViewContext<'a>,
    entry: &'a OpenCheckpoint,
    checkpoint: &'a Checkpoint,
    columns: &'a Columns,
    largest: u64,
    table: Id,
}

impl Line<'_> {
    fn ui(&self, ui: &mut Ui, rect: Rect, index: usize, row: Row) {
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
        let cell = |(left, right): (f32, f32)| {
            Rect::from_x_y_ranges(rect.left() + left..=rect.left() + right, rect.y_range())
        };
        let strong = if selected { theme.text_strong } else { theme.text };
        let second = if selected { theme.text } else { theme.text_second };

        let mut name_cell = cell(columns.name);
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
        let name_width = clipped_text(ui, name_cell, Align2::LEFT_CENTER, &name, theme::body(), strong);

        match row.item {
            Item::Group(group) => {
                let node = checkpoint.layer_tree().node(group);
                if let (Some(column), Some(class)) = (columns.class, &node.class) {
                    clipped_text(
                        ui,
                        cell(column),
                        Align2::LEFT_CENTER,
                        &text::escape(class),
                        theme::body(),
                        second,
                    );
                }
            }
            Item::Tensor(tensor) => {
                let info = checkpoint.tensor(tensor);
                if let Some(worst) = checkpoint.problems_of(tensor).map(|problem| problem.severity).max() {
                    let at = name_cell.left_center() + Vec2::new(name_width + 10.0, 0.0);
                    ui.painter().circle_filled(at, 3.0, theme.severity(worst));
                }
                let shape = info.shape.to_string();
                clipped_text(ui, cell(columns.shape), Align2::LEFT_CENTER, &shape, theme::mono(), second);
                if let Some(column) = columns.dtype {
                    clipped_text(
                        ui,
                        cell(column),
                        Align2::LEFT_CENTER,
                        info.dtype.name(),
                        theme::body(),
                        second,
                    );
                }
                let role = if info.tied_to.is_some() { "tied" } else { info.role.name() };
                let quiet = matches!(info.role, TensorRole::Unknown) && info.tied_to.is_none();
                // Without a column of its own, the role is said where it is out of the ordinary.
                let column = match (columns.role, columns.class) {
                    (None, Some(class)) if info.role != TensorRole::Parameter || info.tied_to.is_some() => {
                        Some(class)
                    }
                    (role, _) => role,
                };
                if let Some(column) = column.filter(|_| !quiet) {
                    clipped_text(ui, cell(column), Align2::LEFT_CENTER, role, theme::body(), second);
                }
            }
        }
        let parameters = text::count(tree::parameters(checkpoint, row.item));
        clipped_text(ui, cell(columns.parameters), Align2::RIGHT_CENTER, &parameters, theme::body(), strong);
        let bytes = tree::bytes(checkpoint, row.item);
        clipped_text(
            ui,
            cell(columns.bytes),
            Align2::RIGHT_CENTER,
            &text::bytes(bytes),
            theme::body(),
            strong,
        );
        if let Some(column) = columns.bar {
            let rect = Rect::from_center_size(cell(column).center(), Vec2::new(40.0, 5.0));
            bar(ui, rect, (bytes as f64 / self.largest as f64) as f32, theme.track, theme.accent);
        }

        if response.clicked() && !toggled {
            ui.memory_mut(|memory| memory.request_focus(self.table));
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
                        text::count(bytes)
                    ))
                    .color(theme.text_second),
                );
            });
        }
    }

    fn menu_ui(&self, ui: &mut Ui, item: Item) {
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

fn filter_ui(ui: &mut Ui, ctx: &ViewContext<'_>, entry: &OpenCheckpoint) {
    let theme = ctx.theme;
    ui.horizontal_centered(|ui| {
        let mut text = entry.tree.filter_text().to_owned();
        let counts = entry.tree.matching().map(|matching| format!("{} found", text::count(matching as u64)));
        let room = if counts.is_some() { 250.0 } else { 170.0 };
        let mut edit = TextEdit::singleline(&mut text)
            .id(filter_id())
            .hint_text("Filter: name, *glob*, /regex/")
            .margin(Margin::symmetric(8, 4))
            .desired_width((ui.available_width() - room).max(120.0));
        if entry.tree.filter_error().is_some() {
            edit = edit.text_color(theme.error);
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
        if let Some(counts) = counts {
            ui.label(egui::RichText::new(counts).font(theme::label()).color(theme.text_second));
        }
        for (label, change) in [("Expand", TreeChange::ExpandAll), ("Collapse", TreeChange::CollapseAll)] {
            let command = Command::Tree(entry.id, change);
            if ui.button(label).on_hover_text(command.label()).clicked() {
                ctx.commands.send(command);
            }
        }
    });
}

fn header_ui(ui: &mut Ui, ctx: &ViewContext<'_>, entry: &OpenCheckpoint, columns: &Columns) {
    let theme = ctx.theme;
    let (rect, _) = ui.allocate_exact_size(Vec2::new(ui.available_width(), 26.0), Sense::hover());
    ui.painter().hline(rect.x_range(), rect.bottom() - 0.5, theme.separator());
    let (sorted, descending) = entry.tree.sort();
    let left = Align2::LEFT_CENTER;
    let right = Align2::RIGHT_CENTER;
    for (label, column, place, align) in [
        ("Name", SortColumn::Name, Some(columns.name), left),
        ("Class", SortColumn::Class, columns.class, left),
        ("Shape", SortColumn::Shape, Some(columns.shape), left),
        ("Dtype", SortColumn::Dtype, columns.dtype, left),
        ("Parameters", SortColumn::Parameters, Some(columns.parameters), right),
        ("Bytes", SortColumn::Bytes, Some(columns.bytes), right),
        ("Role", SortColumn::Role, columns.role, left),
    ] {
        let Some((from, to)) = place else { continue };
        let cell = Rect::from_x_y_ranges(rect.left() + from..=rect.left() + to, rect.y_range());
        let response = ui.interact(cell, ui.scope_id().with(("sort", label)), Sense::click());
        response.widget_info(|| WidgetInfo::labeled(Role::ColumnHeader, true, format!("Sort by {label}")));
        let mut shown = label.to_owned();
        if column == sorted {
            shown.push_str(if descending { " ↓" } else { " ↑" });
        }
        let color = if response.hovered() || response.has_focus() || column == sorted {
            theme.text_strong
        } else {
            theme.text_second
        };
        clipped_text(ui, cell, align, &shown, theme::label(), color);
        if response.on_hover_text("Sort within each group; the third click restores file order").clicked() {
            ctx.commands.send(Command::Tree(entry.id, TreeChange::SortBy(column)));
        }
    }
}

fn footer_ui(ui: &mut Ui, ctx: &ViewContext<'_>, state: &TreeState, checkpoint: &Checkpoint) {
    let totals = checkpoint.totals();
    let mut parts = Vec::new();
    match totals.parameters {
        Some(parameters) => parts.push(format!("{} parameters", text::count(parameters))),
        None => parts.push(format!("{} elements", text::count(totals.elements))),
    }
    parts.push(format!("{} tensors", text::count(totals.tensors)));
    parts.push(text::bytes(totals.stored_bytes));
    for (count, what) in [(totals.buffers, "in buffers"), (totals.optimizer, "in optimizer state")] {
        if count > 0 {
            parts.push(format!("{} {what}", text::short_count(count)));
        }
    }
    if let Some(matching) = state.matching() {
        parts.push(format!("{} match the filter", text::count(matching as u64)));
    }
    ui.horizontal_centered(|ui| {
        let text = egui::RichText::new(parts.join(" · ")).color(ctx.theme.text_second);
        ui.add(egui::Label::new(text).truncate());
    });
}

/// Keys that walk the table: while it has the focus, or nothing has.
fn keys(ui: &Ui, ctx: &ViewContext<'_>, entry: &OpenCheckpoint, id: Id, page: i64) {
    let focused = ui.memory(egui::Memory::focused);
    if focused.is_some_and(|focused| focused != id) || egui::Popup::is_any_open(ui.ctx()) {
        return;
    }
    if focused == Some(id) {
        let filter = EventFilter { vertical_arrows: true, horizontal_arrows: true, ..EventFilter::default() };
        ui.memory_mut(|memory| memory.set_focus_lock_filter(id, filter));
    }
    for (key, change) in [
        (Key::ArrowDown, TreeChange::Move(1)),
        (Key::ArrowUp, TreeChange::Move(-1)),
        (Key::PageDown, TreeChange::Move(page.max(1))),
        (Key::PageUp, TreeChange::Move(-page.max(1))),
        (Key::Home, TreeChange::Move(i64::MIN / 2)),
        (Key::End, TreeChange::Move(i64::MAX / 2)),
        (Key::ArrowRight, TreeChange::Expand),
        (Key::ArrowLeft, TreeChange::Collapse),
    ] {
        if ui.input_mut(|input| input.consume_key(Modifiers::NONE, key)) {
            ctx.commands.send(Command::Tree(entry.id, change));
        }
    }
    if let Some(Item::Group(group)) = entry.tree.selected()
        && ui.input_mut(|input| input.consume_key(Modifiers::NONE, Key::Enter))
    {
        ctx.commands.send(Command::Tree(entry.id, TreeChange::Toggle(group)));
    }
}
