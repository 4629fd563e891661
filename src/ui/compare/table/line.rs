//! One line of the table of pairs: what is on both sides, and what differs.

use egui::{Align2, Color32, Id, Rect, Role, Sense, Ui, Vec2, WidgetInfo};

use crate::analysis::diff::{DiffNode, DiffRow, PairDiff, PairStatus};
use crate::jobs::CheckpointId;
use crate::model::{NodeId, TensorId};
use crate::state::compare::{
    CompareColumn, CompareItem, CompareRow, Found, PairsChange, Side, full_name, leaf_words, name,
    relative_change,
};
use crate::state::tree::{Item, TreeChange};
use crate::state::{Command, Page};
use crate::text;
use crate::ui::compare::columns::{Columns, Kind, RELATIVE_NUMBER};
use crate::ui::compare::{pairs_change, relative_text, select, three_digits};
use crate::ui::widgets::{bar, chevron, clipped_name, clipped_text};
use crate::ui::{ViewContext, theme};

/// Indentation of a level.
const INDENT: f32 = 16.0;

/// One line of the table.
pub(super) struct Line<'a> {
    pub ctx: &'a ViewContext<'a>,
    pub found: &'a Found,
    pub columns: &'a Columns,
    /// Gets the focus when the line is clicked.
    pub table: Id,
}

impl Line<'_> {
    /// Draws it.
    pub(super) fn ui(&self, ui: &mut Ui, rect: Rect, index: usize, row: CompareRow) {
        let (theme, found) = (self.ctx.theme, self.found);
        let table = &self.ctx.state.compare.table;
        let id = ui.scope_id().with((found.key, row.item));
        // Not reached by Tab: the table as a whole is, and arrow keys walk it.
        let response = ui.interact(rect, id, Sense::CLICK);
        let selected = table.selected() == Some(row.item);
        let shown = match row.item {
            CompareItem::Leaf(_) if table.is_list() => text::escape(&full_name(found, row.item)),
            item => text::escape(name(found, item)),
        };
        response.widget_info(|| WidgetInfo::selected(Role::TreeItem, true, selected, &shown));
        if selected {
            ui.painter().rect_filled(rect, 0, theme.selection);
        } else if response.hovered() {
            ui.painter().rect_filled(rect, 0, theme.raised);
        } else if index % 2 == 1 {
            ui.painter().rect_filled(rect, 0, theme.hover.gamma_multiply(0.45));
        }
        let toggled = self.name_ui(ui, rect, id, row, &shown, selected);
        match row.item {
            CompareItem::Group(group) => self.group_cells_ui(ui, rect, group, selected),
            CompareItem::Leaf(leaf) => self.leaf_cells_ui(ui, rect, leaf, selected),
        }
        if response.clicked() && !toggled {
            ui.memory_mut(|memory| memory.request_focus(self.table));
            self.ctx.commands.send(select(Some(row.item)));
        }
        if let CompareItem::Group(group) = row.item
            && response.double_clicked()
        {
            self.ctx.commands.send(pairs_change(PairsChange::Toggle(group)));
        }
        if response.secondary_clicked() {
            self.ctx.commands.send(select(Some(row.item)));
        }
        response.context_menu(|ui| self.menu_ui(ui, row.item));
        if response.contains_pointer() {
            response.on_hover_text(self.hint(row.item));
        }
    }

    /// Draws the name; says whether the group's arrow was clicked.
    fn name_ui(&self, ui: &Ui, rect: Rect, id: Id, row: CompareRow, shown: &str, selected: bool) -> bool {
        let theme = self.ctx.theme;
        let mut place = cell(rect, self.columns.name);
        place.min.x = (place.min.x + row.depth as f32 * INDENT).min(place.max.x - 40.0);
        let mut toggled = false;
        if let CompareItem::Group(group) = row.item {
            let hit = Rect::from_center_size(place.left_center() + Vec2::new(5.0, 0.0), Vec2::splat(20.0));
            chevron(ui, hit.center(), row.open, theme.text_second);
            let arrow = ui.interact(hit, id.with("arrow"), Sense::CLICK);
            let verb = if row.open { "Close" } else { "Open" };
            arrow.widget_info(|| WidgetInfo::labeled(Role::Button, true, format!("{verb} {shown}")));
            if arrow.clicked() {
                toggled = true;
                self.ctx.commands.send(pairs_change(PairsChange::Toggle(group)));
            }
        }
        if !self.ctx.state.compare.table.is_list() {
            place.min.x += 16.0;
        }
        let strong = if selected { theme.text_strong } else { theme.text };
        let color = match row.item {
            CompareItem::Leaf(leaf) if is_calm(self.found, leaf) && !selected => theme.text_second,
            _ => strong,
        };
        let right = match row.item {
            CompareItem::Leaf(leaf) if self.found.leaf_pair(leaf).is_some_and(|pair| pair.renamed) => {
                self.found.tensors(leaf).right
            }
            _ => None,
        };
        let Some(right) = right else {
            clipped_name(ui, place, shown, &theme::body(), color);
            return toggled;
        };
        // Both names share the room.
        let half = place.with_max_x(place.center().x);
        place.min.x += clipped_name(ui, half, shown, &theme::body(), color);
        place.min.x += clipped_text(ui, place, Align2::LEFT_CENTER, " → ", theme::body(), theme.partner);
        let name = text::escape(&self.found.right.tensor(right).name);
        clipped_name(ui, place, &name, &theme::body(), theme.partner);
        toggled
    }

    fn leaf_cells_ui(&self, ui: &Ui, rect: Rect, leaf: u32, selected: bool) {
        let (theme, found) = (self.ctx.theme, self.found);
        let item = CompareItem::Leaf(leaf);
        let pair = found.leaf_pair(leaf);
        let values = pair.and_then(|pair| pair.values.as_ref());
        let strong = if selected { theme.text_strong } else { theme.text };
        let second = if selected { theme.text } else { theme.text_second };
        for (kind, span) in &self.columns.others {
            let cell = cell(rect, *span);
            let number = |text: &str| {
                clipped_text(ui, cell, Align2::RIGHT_CENTER, text, theme::body(), strong);
            };
            let differs = pair.is_some_and(|pair| pair.status != PairStatus::Identical);
            match (kind, values.filter(|_| differs)) {
                (Kind::Shape, _) => self.shape_ui(ui, cell, leaf, pair, second),
                (Kind::Measure(CompareColumn::Relative), _) => match relative_change(found, item) {
                    Some(change) => self.change_ui(ui, cell, change, strong),
                    None => {
                        let color = words_color(self.ctx, found, leaf, pair, second);
                        clipped_text(
                            ui,
                            cell,
                            Align2::LEFT_CENTER,
                            leaf_words(found, leaf),
                            theme::body(),
                            color,
                        );
                    }
                },
                (Kind::Measure(CompareColumn::Changed), Some(values)) => {
                    number(&share_text(values.changed, values.elements));
                }
                (Kind::Measure(CompareColumn::MaxAbs), Some(values)) => {
                    if values.nan_appeared > 0 {
                        clipped_text(ui, cell, Align2::RIGHT_CENTER, "NaN", theme::body(), theme.error);
                    } else {
                        number(&three_digits(values.max_abs));
                    }
                }
                (Kind::Measure(CompareColumn::Cosine), Some(values)) => {
                    if let Some(cosine) = values.cosine {
                        number(&format!("{cosine:.4}"));
                    }
                }
                _ => {}
            }
        }
    }

    fn group_cells_ui(&self, ui: &Ui, rect: Rect, group: NodeId, selected: bool) {
        let (theme, found) = (self.ctx.theme, self.found);
        let sums = found.tree().node(group);
        let strong = if selected { theme.text_strong } else { theme.text };
        let second = if selected { theme.text } else { theme.text_second };
        let (identical, different) = (sums.identical, sums.different + sums.only_left + sums.only_right);
        for (kind, span) in &self.columns.others {
            let cell = cell(rect, *span);
            let number = |text: &str| {
                clipped_text(ui, cell, Align2::RIGHT_CENTER, text, theme::body(), strong);
            };
            match kind {
                Kind::Shape if different > 0 => {
                    let all = text::count(identical + different);
                    let text = format!("{} of {all} differ", text::count(different));
                    clipped_text(ui, cell, Align2::LEFT_CENTER, &text, theme::body(), second);
                }
                Kind::Measure(CompareColumn::Relative) => {
                    match relative_change(found, CompareItem::Group(group)) {
                        Some(change) if sums.changed > 0 => self.change_ui(ui, cell, change, strong),
                        _ => {
                            let words = group_words(sums);
                            clipped_text(ui, cell, Align2::LEFT_CENTER, &words, theme::body(), second);
                        }
                    }
                }
                Kind::Measure(CompareColumn::Changed) if sums.changed > 0 => {
                    number(&share_text(sums.changed, sums.elements));
                }
                Kind::Measure(CompareColumn::MaxAbs) if sums.nan > 0 => {
                    clipped_text(ui, cell, Align2::RIGHT_CENTER, "NaN", theme::body(), theme.error);
                }
                Kind::Measure(CompareColumn::MaxAbs) if sums.changed > 0 => {
                    number(&three_digits(sums.max_abs));
                }
                _ => {}
            }
        }
    }

    /// The shape, or both where they differ; then the dtypes where these do.
    fn shape_ui(&self, ui: &Ui, cell: Rect, leaf: u32, pair: Option<&PairDiff>, second: Color32) {
        let found = self.found;
        let tensors = found.tensors(leaf);
        let left = tensors.left.map(|id| found.left.tensor(id));
        let right = tensors.right.map(|id| found.right.tensor(id));
        let (text, differs) = match (left, right, pair.map(|pair| pair.status)) {
            (Some(a), Some(b), Some(PairStatus::Reshaped)) => (format!("{} → {}", a.shape, b.shape), true),
            (Some(a), Some(b), Some(PairStatus::DtypeChanged)) => {
                (format!("{} → {}", a.dtype.name(), b.dtype.name()), true)
            }
            (_, Some(b), _) => (b.shape.to_string(), false),
            (Some(a), None, _) => (a.shape.to_string(), false),
            (None, None, _) => (String::new(), false),
        };
        let color = if differs { self.ctx.theme.partner } else { second };
        clipped_text(ui, cell, Align2::LEFT_CENTER, &text, theme::mono_small(), color);
    }

    /// The bar of a relative change with its number.
    fn change_ui(&self, ui: &Ui, cell: Rect, change: f64, strong: Color32) {
        let theme = self.ctx.theme;
        let largest = self.ctx.state.compare.table.largest().max(f64::MIN_POSITIVE);
        let width = cell.width() - RELATIVE_NUMBER;
        if width >= 20.0 {
            let place = Rect::from_center_size(
                cell.left_center() + Vec2::new(width / 2.0, 0.0),
                Vec2::new(width, 6.0),
            );
            let fraction = if change.is_finite() { (change / largest).min(1.0) as f32 } else { 1.0 };
            bar(ui, place, fraction, theme.track, theme.partner);
        }
        clipped_text(ui, cell, Align2::RIGHT_CENTER, &relative_text(change), theme::body(), strong);
    }

    fn hint(&self, item: CompareItem) -> String {
        let found = self.found;
        let CompareItem::Leaf(leaf) = item else {
            let CompareItem::Group(id) = item else { return String::new() };
            let sums = found.tree().node(id);
            return format!(
                "{}\n{} identical, {} different, {} only left, {} only right",
                text::escape(&full_name(found, item)),
                text::count(sums.identical),
                text::count(sums.different),
                text::count(sums.only_left),
                text::count(sums.only_right)
            );
        };
        let tensors = found.tensors(leaf);
        let mut lines = Vec::new();
        for (side, checkpoint, id) in
            [(Side::Left, &found.left, tensors.left), (Side::Right, &found.right, tensors.right)]
        {
            if let Some(id) = id {
                let tensor = checkpoint.tensor(id);
                let name = text::escape(&tensor.name);
                lines.push(format!("{}: {name} {} {}", side.label(), tensor.dtype.name(), tensor.shape));
            }
        }
        lines.push(leaf_words(found, leaf).to_owned());
        if let Some(problem) = found.leaf_pair(leaf).and_then(|pair| pair.problem.as_ref()) {
            lines.push(text::escape(problem));
        }
        lines.join("\n")
    }

    fn menu_ui(&self, ui: &mut Ui, item: CompareItem) {
        let found = self.found;
        if ui.button("Copy name").clicked() {
            self.ctx.commands.send(Command::Copy { what: "name", text: full_name(found, item) });
            ui.close();
        }
        let CompareItem::Leaf(leaf) = item else { return };
        let tensors = found.tensors(leaf);
        for (label, checkpoint, tensor) in [
            ("Explore the left one", found.key.left, tensors.left),
            ("Explore the right one", found.key.right, tensors.right),
        ] {
            if let Some(tensor) = tensor
                && ui.button(label).clicked()
            {
                explore(self.ctx, checkpoint, tensor);
                ui.close();
            }
        }
    }
}

/// Shows a tensor on the Explore page.
pub(in crate::ui::compare) fn explore(ctx: &ViewContext<'_>, checkpoint: CheckpointId, tensor: TensorId) {
    ctx.commands.send(Command::Show(checkpoint));
    ctx.commands.send(Command::Tree(checkpoint, TreeChange::Select(Some(Item::Tensor(tensor)))));
    ctx.commands.send(Command::ShowPage(Page::Explore));
}

/// Whether there is nothing to be seen at a leaf.
fn is_calm(found: &Found, leaf: u32) -> bool {
    match found.tree().rows.get(leaf as usize) {
        Some(DiffRow::Pair(index)) => found.pair(*index).is_none_or(|pair| !pair.differs()),
        _ => false,
    }
}

fn words_color(
    ctx: &ViewContext<'_>,
    found: &Found,
    leaf: u32,
    pair: Option<&PairDiff>,
    second: Color32,
) -> Color32 {
    match (found.tree().rows.get(leaf as usize), pair.map(|pair| pair.status)) {
        (Some(DiffRow::OnlyLeft(_)), _) => ctx.theme.accent,
        (Some(DiffRow::OnlyRight(_)), _) | (_, Some(PairStatus::Reshaped | PairStatus::DtypeChanged)) => {
            ctx.theme.partner
        }
        (_, Some(PairStatus::Unreadable)) => ctx.theme.error,
        (_, Some(PairStatus::Changed)) => ctx.theme.text,
        _ => second,
    }
}

/// What a group without changed values has to say.
fn group_words(sums: &DiffNode) -> String {
    let both = sums.identical + sums.different;
    match (both, sums.only_left, sums.only_right) {
        (0, 0, 0) => "…".to_owned(),
        (0, left, 0) => format!("{} only left", text::count(left)),
        (0, 0, right) => format!("{} only right", text::count(right)),
        (_, 0, 0) if sums.different == 0 => "identical".to_owned(),
        (_, 0, 0) => format!("{} differ", text::count(sums.different)),
        (_, left, right) => format!("{} on one side only", text::count(left + right)),
    }
}

/// A part of a whole as a percentage; never rounded to none or all.
pub(in crate::ui::compare) fn share_text(part: u64, whole: u64) -> String {
    match part {
        0 => "0".to_owned(),
        part if part == whole => "all".to_owned(),
        part => {
            let percent = part as f64 / whole.max(1) as f64 * 100.0;
            if percent < 0.1 { "< 0.1 %".to_owned() } else { format!("{:.1} %", percent.min(99.9)) }
        }
    }
}

/// The part of a line between two places, from the left of the table.
pub(super) fn cell(line: Rect, (left, right): (f32, f32)) -> Rect {
    Rect::from_x_y_ranges(line.left() + left..=line.left() + right, line.y_range())
}
