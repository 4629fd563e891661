//! The table of pairs: one line per layer and tensor, both sides in one. Draws only visible rows, which are made in state.

mod line;

use egui::{
    Align, Align2, Id, Key, Layout, Margin, RichText, Role, ScrollArea, Sense, TextEdit, Ui, Vec2, WidgetInfo,
};

use super::columns::{Columns, Kind, label};
use super::{pairs_change, select};
use crate::jobs::ComparisonKey;
use crate::state::compare::{Chip, CompareColumn, CompareItem, Found, PairsChange};
use crate::text;
use crate::ui::tree_table::filter_id;
use crate::ui::widgets::rows::{RowsInView, Walk, has_keys, no_rows_ui};
use crate::ui::widgets::{clipped_text, pill_ui};
use crate::ui::{ViewContext, theme};
use line::{Line, cell};

pub(super) use line::{explore, share_text};

const HEADER_HEIGHT: f32 = 26.0;

/// The table's passing state.
#[derive(Default)]
pub(super) struct Table {
    view: RowsInView<ComparisonKey>,
}

/// What narrows the table down beside the chips: by name, and as a list or by layer. From right to left.
pub(super) fn narrowing_ui(ui: &mut Ui, ctx: &ViewContext<'_>) {
    let table = &ctx.state.compare.table;
    ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
        ui.spacing_mut().item_spacing.x = 6.0;
        let list = table.is_list();
        for (label, wanted) in [("List", true), ("Layers", false)] {
            let hint =
                if wanted { "One row per tensor" } else { "Tensors below their layers, which sum them up" };
            if pill_ui(ui, ctx.theme, label, list == wanted).on_hover_text(hint).clicked() && list != wanted {
                ctx.commands.send(pairs_change(PairsChange::AsList(wanted)));
            }
        }
        let mut text = table.filter_text().to_owned();
        let mut edit = TextEdit::singleline(&mut text)
            .id(filter_id())
            .hint_text("Filter: name, *glob*, /regex/")
            .margin(Margin::symmetric(8, 4))
            .desired_width((ui.available_width() - 24.0).clamp(60.0, 220.0));
        if table.filter_error().is_some() {
            edit = edit.text_color(ctx.theme.error);
        }
        let response = ui.add(edit);
        response.widget_info(|| {
            let mut info = WidgetInfo::text_edit(true, &text, &text, "Filter: name, *glob*, /regex/");
            info.label = Some("Filter pairs".to_owned());
            info
        });
        if response.changed() {
            ctx.commands.send(pairs_change(PairsChange::Filter(text)));
        } else if response.lost_focus() && ui.input(|input| input.key_pressed(Key::Escape)) {
            ctx.commands.send(pairs_change(PairsChange::Filter(String::new())));
        }
        if let Some(error) = table.filter_error() {
            response.on_hover_text(error);
        }
    });
}

/// Kinds of rows with their counts; each shows only its own when it is lit.
fn chips_ui(ui: &mut Ui, ctx: &ViewContext<'_>, found: &Found) {
    let table = &ctx.state.compare.table;
    egui::Frame::new().inner_margin(Margin::symmetric(10, 7)).show(ui, |ui| {
        ui.horizontal_wrapped(|ui| {
            ui.spacing_mut().item_spacing = Vec2::new(5.0, 5.0);
            ui.spacing_mut().button_padding = Vec2::new(9.0, 2.0);
            ui.spacing_mut().interact_size.y = 22.0;
            for chip in Chip::ALL {
                let count = found.counts().of(chip);
                let chosen = table.is_chosen(chip);
                // What there is none of need not be offered, but for the two that are news either way.
                if count == 0 && !chosen && !matches!(chip, Chip::Changed | Chip::Identical) {
                    continue;
                }
                let label = format!("{} {}", text::count(count), chip.label());
                let response = pill_ui(ui, ctx.theme, &label, chosen).on_hover_text(chip.tooltip());
                response.widget_info(|| WidgetInfo::selected(Role::Button, true, chosen, &label));
                if response.clicked() {
                    ctx.commands.send(pairs_change(PairsChange::Chip(chip)));
                }
            }
            if let Some(matching) = table.matching() {
                let shown = format!("{} shown", text::count(matching as u64));
                ui.label(RichText::new(shown).font(theme::label()).color(ctx.theme.text_second));
            }
        });
    });
}

impl Table {
    /// Draws chips, header and rows.
    pub(super) fn ui(&mut self, ui: &mut Ui, ctx: &ViewContext<'_>, found: &Found) {
        ui.spacing_mut().item_spacing.y = 0.0;
        chips_ui(ui, ctx, found);
        let columns = Columns::new(ui.available_width());
        header_ui(ui, ctx, &columns);
        self.rows_ui(ui, ctx, found, &columns);
    }

    fn rows_ui(&mut self, ui: &mut Ui, ctx: &ViewContext<'_>, found: &Found, columns: &Columns) {
        let table = &ctx.state.compare.table;
        let rows = table.rows();
        let whole = ui.available_rect_before_wrap();
        let id = Id::unique("compare_rows");
        let response = ui.interact(whole, id, Sense::click());
        response.widget_info(|| WidgetInfo::labeled(Role::Tree, true, "Pairs"));
        if response.clicked() {
            ctx.commands.send(select(None));
        }
        self.keys(ui, ctx, id);
        if rows.is_empty() {
            let message = if table.is_awaiting_rows() {
                "Putting pairs in order…"
            } else if table.matching().is_some() {
                "No pair passes the filter"
            } else {
                "Neither side holds tensors"
            };
            no_rows_ui(ui, ctx, whole, message);
            return;
        }
        let area = ScrollArea::vertical().id_salt(("compare_scroll", found.key)).auto_shrink(false);
        let area = self.view.scrolled(area, found.key, table.scroll_to());
        let output = area.show_rows(ui, theme::ROW_HEIGHT, rows.len(), |ui, range| {
            for index in range {
                if let Some(row) = rows.get(index) {
                    let size = Vec2::new(ui.available_width(), theme::ROW_HEIGHT);
                    let (rect, _) = ui.allocate_exact_size(size, Sense::hover());
                    Line { ctx, found, columns, table: id }.ui(ui, rect, index, *row);
                }
            }
        });
        self.view.shown(ui, ctx, id, whole, &output);
    }

    /// Keys that walk the table.
    fn keys(&self, ui: &Ui, ctx: &ViewContext<'_>, id: Id) {
        if !has_keys(ui, id) {
            return;
        }
        let group = match ctx.state.compare.table.selected() {
            Some(CompareItem::Group(group)) => Some(group),
            _ => None,
        };
        for walk in self.view.walked(ui, group.is_some()) {
            ctx.commands.send(pairs_change(match (walk, group) {
                (Walk::Move(by), _) => PairsChange::Move(by),
                (Walk::Expand, _) => PairsChange::Expand,
                (Walk::Collapse, _) => PairsChange::Collapse,
                (Walk::Toggle, Some(group)) => PairsChange::Toggle(group),
                (Walk::Toggle, None) => continue,
            }));
        }
    }
}

fn header_ui(ui: &mut Ui, ctx: &ViewContext<'_>, columns: &Columns) {
    let (rect, _) = ui.allocate_exact_size(Vec2::new(ui.available_width(), HEADER_HEIGHT), Sense::hover());
    ui.painter().hline(rect.x_range(), rect.top() + 0.5, ctx.theme.separator());
    ui.painter().hline(rect.x_range(), rect.bottom() - 0.5, ctx.theme.separator());
    let (sorted, descending) = ctx.state.compare.table.sort();
    let name = (Kind::Measure(CompareColumn::Name), columns.name);
    for (kind, span) in std::iter::once(name).chain(columns.others.iter().copied()) {
        let cell = cell(rect, span);
        let text = label(kind);
        let Kind::Measure(column) = kind else {
            clipped_text(ui, cell, Align2::LEFT_CENTER, text, theme::label(), ctx.theme.text_second);
            continue;
        };
        let response = ui.interact(cell, ui.scope_id().with(("sort", text)), Sense::click());
        response.widget_info(|| WidgetInfo::labeled(Role::ColumnHeader, true, format!("Sort by {text}")));
        let arrow = match (column == sorted, descending) {
            (false, _) => "",
            (true, true) => " ↓",
            (true, false) => " ↑",
        };
        let lit = response.hovered() || response.has_focus() || column == sorted;
        let color = if lit { ctx.theme.text_strong } else { ctx.theme.text_second };
        let align = match column {
            CompareColumn::Name | CompareColumn::Relative => Align2::LEFT_CENTER,
            _ => Align2::RIGHT_CENTER,
        };
        clipped_text(ui, cell, align, &format!("{text}{arrow}"), theme::label(), color);
        let hint = match column {
            CompareColumn::Relative => {
                "Length of the change as a fraction of the length of the left values: ‖right − left‖ / ‖left‖"
            }
            CompareColumn::Changed => "Elements that differ by more than the tolerance",
            CompareColumn::MaxAbs => "The largest difference of one element",
            CompareColumn::Cosine => "Cosine of the angle between both: 1 where only the length changed",
            CompareColumn::Name => "Sort by name",
        };
        if response.on_hover_text(hint).clicked() {
            ctx.commands.send(pairs_change(PairsChange::SortBy(column)));
        }
    }
}
