//! The statistics of all tensors below a layer as a table that sorts by any of them. Draws only visible rows.

use egui::{Align2, Rect, RichText, Role, ScrollArea, Sense, Ui, Vec2, WidgetInfo};

use crate::jobs::{CheckpointId, Loadable};
use crate::model::layer_tree::natural_cmp;
use crate::model::{Checkpoint, NodeId, TensorId};
use crate::state::tree::{Item, TreeChange};
use crate::state::{Command, OpenCheckpoint, ScanStatus, Statistic};
use crate::text;
use crate::ui::widgets::{clipped_text, statistic_text};
use crate::ui::{ViewContext, theme};

const ROW: f32 = 22.0;
const COLUMN: f32 = 82.0;
const NAME: f32 = 190.0;
/// While a scan runs, larger tables are put in order when it ends.
const FOLLOWED: usize = 20_000;

/// What rows are sorted by; `None` is the name.
type Order = (Option<Statistic>, bool);

/// The table, put in order when something changed.
#[derive(Default)]
pub(super) struct TensorTable {
    order: Order,
    made_from: Option<(CheckpointId, NodeId, Order, u64)>,
    rows: Vec<TensorId>,
    /// Characters of the group's own name that rows leave out.
    prefix: usize,
}

impl TensorTable {
    /// Draws the table of a group.
    pub(super) fn ui(
        &mut self,
        ui: &mut Ui,
        ctx: &ViewContext<'_>,
        entry: &OpenCheckpoint,
        checkpoint: &Checkpoint,
        id: NodeId,
    ) {
        self.put_in_order(entry, checkpoint, id);
        note_ui(ui, ctx, entry);
        let height =
            (ui.ctx().content_rect().bottom() - theme::STATUS_HEIGHT - ui.cursor().top() - 16.0).max(240.0);
        ui.spacing_mut().item_spacing.y = 0.0;
        ScrollArea::horizontal().id_salt("tensor_table_across").auto_shrink(false).max_height(height).show(
            ui,
            |ui| {
                let width = NAME + COLUMN * Statistic::ALL.len() as f32 + 12.0;
                ui.set_min_width(width);
                self.header_ui(ui, ctx, width);
                ScrollArea::vertical()
                    .id_salt(("tensor_table", id))
                    .auto_shrink(false)
                    .max_height(height - 40.0)
                    .show_rows(ui, ROW, self.rows.len(), |ui, range| {
                        for index in range {
                            if let Some(&tensor) = self.rows.get(index) {
                                self.row_ui(ui, ctx, entry, checkpoint, (index, tensor, width));
                            }
                        }
                    });
            },
        );
    }

    fn put_in_order(&mut self, entry: &OpenCheckpoint, checkpoint: &Checkpoint, id: NodeId) {
        let running = entry.scan.status == ScanStatus::Running;
        let changes = match self.order.0 {
            Some(_) if !(running && self.rows.len() > FOLLOWED) => entry.scan.changes(),
            _ => 0,
        };
        let made_from = Some((entry.id, id, self.order, changes));
        if self.made_from == made_from {
            return;
        }
        let tree = checkpoint.layer_tree();
        let same = self.made_from.is_some_and(|(entry_id, node, ..)| (entry_id, node) == (entry.id, id));
        self.made_from = made_from;
        if !same {
            self.rows = tree.tensors_under(id);
            let path = tree.path(id);
            self.prefix = if path.is_empty() { 0 } else { path.len() + 1 };
        }
        let (column, descending) = self.order;
        match column {
            None => {
                let name = |id: TensorId| checkpoint.tensor(id).name.as_str();
                self.rows.sort_by(|&a, &b| natural_cmp(name(a), name(b)));
                if descending {
                    self.rows.reverse();
                }
            }
            Some(statistic) => {
                // Unknown values come last, whichever the direction.
                let mut keyed: Vec<(Option<f64>, TensorId)> =
                    self.rows.iter().map(|&id| (entry.scan.value(Item::Tensor(id), statistic), id)).collect();
                keyed.sort_by(|a, b| match (a.0, b.0) {
                    (Some(x), Some(y)) if descending => y.total_cmp(&x).then(a.1.cmp(&b.1)),
                    (Some(x), Some(y)) => x.total_cmp(&y).then(a.1.cmp(&b.1)),
                    (x, y) => y.is_some().cmp(&x.is_some()).then(a.1.cmp(&b.1)),
                });
                self.rows = keyed.into_iter().map(|(_, id)| id).collect();
            }
        }
    }

    fn header_ui(&mut self, ui: &mut Ui, ctx: &ViewContext<'_>, width: f32) {
        let (rect, _) = ui.allocate_exact_size(Vec2::new(width, 26.0), Sense::hover());
        ui.painter().hline(rect.x_range(), rect.bottom() - 0.5, ctx.theme.separator());
        let columns = std::iter::once(None).chain(Statistic::ALL.map(Some));
        for (index, column) in columns.enumerate() {
            let label = column.map_or("Name", Statistic::label);
            let cell = cell(rect, index);
            let response = ui.interact(cell, ui.scope_id().with(("order", label)), Sense::click());
            response
                .widget_info(|| WidgetInfo::labeled(Role::ColumnHeader, true, format!("Order by {label}")));
            let chosen = self.order.0 == column;
            let arrow = match (chosen, self.order.1) {
                (false, _) => "",
                (true, false) => " ↑",
                (true, true) => " ↓",
            };
            let lit = chosen || response.hovered() || response.has_focus();
            let color = if lit { ctx.theme.text_strong } else { ctx.theme.text_second };
            let align = if index == 0 { Align2::LEFT_CENTER } else { Align2::RIGHT_CENTER };
            clipped_text(ui, cell, align, &format!("{label}{arrow}"), theme::label(), color);
            if response.clicked() {
                // Numbers from large to small first, names from a to z.
                self.order = (column, if chosen { !self.order.1 } else { column.is_some() });
            }
        }
    }

    fn row_ui(
        &self,
        ui: &mut Ui,
        ctx: &ViewContext<'_>,
        entry: &OpenCheckpoint,
        checkpoint: &Checkpoint,
        (index, id, width): (usize, TensorId, f32),
    ) {
        let theme = ctx.theme;
        let (rect, response) = ui.allocate_exact_size(Vec2::new(width, ROW), Sense::CLICK);
        let name = &checkpoint.tensor(id).name;
        response.widget_info(|| WidgetInfo::labeled(Role::Row, true, format!("Statistics of {name}")));
        if response.hovered() {
            ui.painter().rect_filled(rect, 0, theme.raised);
        } else if index % 2 == 1 {
            ui.painter().rect_filled(rect, 0, theme.hover.gamma_multiply(0.45));
        }
        let short = text::escape(name.get(self.prefix..).filter(|rest| !rest.is_empty()).unwrap_or(name));
        clipped_text(ui, cell(rect, 0), Align2::LEFT_CENTER, &short, theme::body(), theme.text);
        if let Some(reason) = entry.scan.unreadable(id) {
            let mut rest = rect;
            rest.min.x += NAME + 12.0;
            clipped_text(ui, rest, Align2::LEFT_CENTER, &text::escape(reason), theme::label(), theme.error);
        } else {
            for (index, statistic) in Statistic::ALL.into_iter().enumerate() {
                let Some(value) = entry.scan.value(Item::Tensor(id), statistic) else { continue };
                let alarming = statistic == Statistic::NonFinite && value > 0.0;
                let color = if alarming { theme.error } else { theme.text };
                let text = statistic_text(statistic, value);
                clipped_text(ui, cell(rect, index + 1), Align2::RIGHT_CENTER, &text, theme::body(), color);
            }
        }
        if response.clicked() {
            ctx.commands.send(Command::Tree(entry.id, TreeChange::Select(Some(Item::Tensor(id)))));
        }
        response.on_hover_text(text::escape(name));
    }
}

/// Column 0 is the name.
fn cell(line: Rect, index: usize) -> Rect {
    let (left, width) = match index {
        0 => (4.0, NAME - 8.0),
        index => (NAME + COLUMN * (index - 1) as f32, COLUMN - 8.0),
    };
    Rect::from_min_size(line.min + Vec2::new(left, 0.0), Vec2::new(width, line.height()))
}

/// Says why numbers are missing, and offers to have them.
fn note_ui(ui: &mut Ui, ctx: &ViewContext<'_>, entry: &OpenCheckpoint) {
    let note = match &entry.scan.status {
        ScanStatus::Done => return,
        ScanStatus::Running => {
            let all = entry.checkpoint.value().map_or(0, |checkpoint| checkpoint.tensors().len());
            let done = text::count(entry.scan.done() as u64);
            format!("Reading values: {done} of {}", text::count(all as u64))
        }
        ScanStatus::NotRequested => "Values were not looked at yet".to_owned(),
        ScanStatus::Stopped => "The scan was stopped".to_owned(),
        ScanStatus::Failed(error) => error.message.clone(),
    };
    ui.horizontal(|ui| {
        ui.label(RichText::new(note).color(ctx.theme.text_second));
        let can = matches!(entry.checkpoint, Loadable::Ready(_)) && entry.scan.status != ScanStatus::Running;
        if can && ui.button("Scan values").clicked() {
            ctx.commands.send(Command::Scan(entry.id));
        }
    });
}
