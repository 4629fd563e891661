//! A plane of a tensor value by value: only what is visible is read and drawn.

use std::sync::Arc;

use egui::{Align2, DragValue, Rect, RichText, Role, ScrollArea, Sense, Ui, Vec2, WidgetInfo};

use super::parts::title_ui;
use super::slice_picker::SlicePicker;
use crate::analysis::slice::Window;
use crate::jobs::{Against, CheckpointId, JobKey, Loadable, Look, LookKey, Looked};
use crate::model::TensorId;
use crate::state::Command;
use crate::text;
use crate::ui::widgets::{clipped_text, failed_ui, loading_ui};
use crate::ui::{ViewContext, theme};

/// Rows and columns read at a time; the visible part fits into it from any multiple of its half.
const READ: (u64, u64) = (512, 128);
const CELL: Vec2 = Vec2::new(92.0, 20.0);
const INDEX_WIDTH: f32 = 64.0;
const HEIGHT: f32 = 420.0;
/// Rows that one scroll area spans. Places of more would lose precision; the field for the first row goes further.
const SPAN: u64 = 400_000;

/// The table, and the last values it had.
#[derive(Default)]
pub(in crate::ui) struct ValuesTable {
    /// The tensor that it compares with: cells show both values.
    against: Option<Against>,
    first_row: u64,
    first_column: u64,
    shown: Option<(LookKey, (u64, u64), Arc<Looked>)>,
}

impl ValuesTable {
    /// Shows the values of another tensor below those of the one that is looked at.
    pub(in crate::ui) fn of_both(against: Against) -> Self {
        Self { against: Some(against), ..Self::default() }
    }

    fn cell_size(&self) -> Vec2 {
        if self.against.is_some() { Vec2::new(CELL.x, CELL.y * 1.8) } else { CELL }
    }

    /// Draws the card.
    pub(in crate::ui) fn ui(
        &mut self,
        ui: &mut Ui,
        ctx: &ViewContext<'_>,
        (checkpoint, tensor): (CheckpointId, TensorId),
        picker: &mut SlicePicker,
    ) {
        ctx.theme.card().show(ui, |ui| {
            let (rows, columns) = picker.extent();
            ui.horizontal(|ui| {
                title_ui(ui, ctx, "Values");
                ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                    if ui
                        .button("Copy")
                        .on_hover_text("Copy the values that were read, as lines with tabs")
                        .clicked()
                        && let Some((_, (row, column), looked)) = &self.shown
                    {
                        let text = match &**looked {
                            Looked::Window(window) => copied(window, *row, *column),
                            Looked::Windows(left, right) => {
                                copied(left, *row, *column) + "\n" + &copied(right, *row, *column)
                            }
                            _ => String::new(),
                        };
                        ctx.commands.send(Command::Copy { what: "values", text });
                    }
                    first_ui(ui, "From column", &mut self.first_column, columns);
                    first_ui(ui, "From row", &mut self.first_row, rows);
                });
            });
            picker.ui(ui);
            let (rows, columns) = picker.extent();
            self.first_row = self.first_row.min(rows.saturating_sub(1));
            self.first_column = self.first_column.min(columns.saturating_sub(1));
            if rows == 0 || columns == 0 {
                ui.label(RichText::new("There are no values").color(ctx.theme.text_second));
                return;
            }
            let visible = self.table_ui(ui, ctx, (rows, columns), picker);
            self.want(ui, ctx, (checkpoint, tensor), picker, visible);
        });
    }

    /// Draws what is there; returns the first visible row and column.
    fn table_ui(
        &self,
        ui: &mut Ui,
        ctx: &ViewContext<'_>,
        (rows, columns): (u64, u64),
        picker: &SlicePicker,
    ) -> (u64, u64) {
        let theme = ctx.theme;
        let (down, across) = ((rows - self.first_row).min(SPAN), (columns - self.first_column).min(SPAN / 4));
        let windows = self.shown.as_ref().and_then(|(_, at, looked)| match &**looked {
            Looked::Window(window) => Some((*at, [Some(window), None])),
            Looked::Windows(left, right) => Some((*at, [Some(left), Some(right)])),
            _ => None,
        });
        let cell_size = self.cell_size();
        let size = Vec2::new(INDEX_WIDTH + CELL.x * across as f32, CELL.y + cell_size.y * down as f32);
        let mut visible = (self.first_row, self.first_column);
        let height = size.y.min(HEIGHT);
        ScrollArea::both()
            .id_salt(("values_table", self.first_row, self.first_column))
            .max_height(height)
            .auto_shrink([false, true])
            .show_viewport(ui, |ui, viewport| {
                ui.set_min_size(size);
                let origin = ui.min_rect().min;
                let top = (viewport.top() / cell_size.y).floor().max(0.0) as u64;
                let left = (viewport.left() / CELL.x).floor().max(0.0) as u64;
                let bottom = ((viewport.bottom() / cell_size.y).ceil() as u64).min(down);
                let right = ((viewport.right() / CELL.x).ceil() as u64).min(across);
                visible = (self.first_row + top, self.first_column + left);
                // The heads stay in view while the values move under them.
                let head_y = origin.y + viewport.top();
                let index_x = origin.x + viewport.left();
                let body = Rect::from_min_max(
                    egui::pos2(index_x + INDEX_WIDTH, head_y + CELL.y),
                    egui::pos2(origin.x + viewport.right(), origin.y + viewport.bottom()),
                );
                let clip = ui.clip_rect();
                ui.set_clip_rect(clip.intersect(body));
                for (row, column) in
                    (top..bottom).flat_map(|row| (left..right).map(move |column| (row, column)))
                {
                    let at = origin
                        + Vec2::new(INDEX_WIDTH + CELL.x * column as f32, CELL.y + cell_size.y * row as f32);
                    let cell = Rect::from_min_size(at, cell_size - Vec2::new(8.0, 0.0));
                    let (row, column) = (self.first_row + row, self.first_column + column);
                    let elements = windows.map(|((first_row, first_column), windows)| {
                        windows.map(|window| {
                            let row = row.checked_sub(first_row)? as usize;
                            window?.element(row, column.checked_sub(first_column)? as usize)
                        })
                    });
                    let response = ui.interact(cell, ui.scope_id().with((row, column)), Sense::CLICK);
                    let value = match elements {
                        Some([Some(left), Some(right)]) if self.against.is_some() => {
                            both_ui(ui, theme, cell, &left.to_string(), &right.to_string())
                        }
                        Some([Some(element), _]) => {
                            let value = element.to_string();
                            clipped_text(
                                ui,
                                cell,
                                Align2::RIGHT_CENTER,
                                &value,
                                theme::mono_small(),
                                theme.text,
                            );
                            value
                        }
                        _ => {
                            let (font, color) = (theme::mono_small(), theme.text_disabled);
                            clipped_text(ui, cell, Align2::RIGHT_CENTER, "…", font, color);
                            "…".to_owned()
                        }
                    };
                    response.widget_info(|| WidgetInfo::labeled(Role::Cell, true, &value));
                    if response.clicked() {
                        ctx.commands.send(Command::Copy { what: "value", text: value.clone() });
                    }
                    response.on_hover_text(format!("{}\n{value}\nClick to copy", picker.index(row, column)));
                }
                ui.set_clip_rect(clip);
                for row in top..bottom {
                    let at = egui::pos2(index_x, origin.y + CELL.y + cell_size.y * row as f32);
                    let cell = Rect::from_min_size(at, Vec2::new(INDEX_WIDTH - 10.0, cell_size.y));
                    if cell.top() < head_y + CELL.y * 0.5 {
                        continue;
                    }
                    let text = (self.first_row + row).to_string();
                    clipped_text(
                        ui,
                        cell,
                        Align2::RIGHT_CENTER,
                        &text,
                        theme::mono_small(),
                        theme.text_second,
                    );
                }
                let line = egui::pos2(index_x + INDEX_WIDTH, head_y);
                for column in left..right {
                    let at = egui::pos2(origin.x + INDEX_WIDTH + CELL.x * column as f32, head_y);
                    let cell = Rect::from_min_size(at, CELL - Vec2::new(8.0, 0.0));
                    if cell.left() < line.x - CELL.x * 0.5 {
                        continue;
                    }
                    let text = (self.first_column + column).to_string();
                    clipped_text(
                        ui,
                        cell,
                        Align2::RIGHT_CENTER,
                        &text,
                        theme::mono_small(),
                        theme.text_second,
                    );
                }
                ui.painter().hline(clip.x_range(), head_y + CELL.y, theme.separator());
            });
        visible
    }

    /// Asks for the values around what is visible, where they are not there.
    fn want(
        &mut self,
        ui: &mut Ui,
        ctx: &ViewContext<'_>,
        (checkpoint, tensor): (CheckpointId, TensorId),
        picker: &SlicePicker,
        (row, column): (u64, u64),
    ) {
        let (rows, columns) = picker.extent();
        let start = |first: u64, read: u64| first / (read / 2) * (read / 2);
        let (row, column) = (start(row, READ.0), start(column, READ.1));
        let plane = picker.plane(row..(row + READ.0).min(rows), column..(column + READ.1).min(columns));
        let look = match &self.against {
            Some(against) => Look::Beside(against.clone(), Box::new(Look::Window(plane))),
            None => Look::Window(plane),
        };
        let key = LookKey { checkpoint, tensor, look };
        match ctx.state.looks.get(&key) {
            Loadable::NotRequested => ctx.commands.send(Command::Look(key)),
            Loadable::Pending { since, .. } => {
                if loading_ui(ui, ctx.theme, "Reading values…", *since) {
                    ctx.commands.send(Command::Cancel(JobKey::Look(key)));
                }
            }
            Loadable::Failed { error, .. } => {
                if failed_ui(ui, ctx.theme, "The values could not be read", error) {
                    ctx.commands.send(Command::LookAgain(key));
                }
            }
            Loadable::Ready(looked) => {
                if self.shown.as_ref().is_none_or(|(shown, ..)| *shown != key) {
                    self.shown = Some((key, (row, column), looked.clone()));
                    ui.ctx().request_repaint();
                }
            }
        }
    }
}

/// The left value over the right one, in their colours where they differ; returns what the cell says.
fn both_ui(ui: &Ui, theme: &theme::Theme, cell: Rect, left: &str, right: &str) -> String {
    if left == right {
        clipped_text(ui, cell, Align2::RIGHT_CENTER, left, theme::mono_small(), theme.text_second);
        return left.to_owned();
    }
    let (top, bottom) = cell.shrink2(Vec2::new(0.0, 2.0)).split_top_bottom_at_fraction(0.5);
    clipped_text(ui, top, Align2::RIGHT_CENTER, left, theme::mono_small(), theme.accent);
    clipped_text(ui, bottom, Align2::RIGHT_CENTER, right, theme::mono_small(), theme.partner);
    format!("{left} → {right}")
}

fn first_ui(ui: &mut Ui, name: &str, value: &mut u64, whole: u64) {
    if whole > 24 {
        let drag = DragValue::new(value).range(0..=whole - 1);
        let response = ui.add(drag).on_hover_text(format!("{name}, of {}", text::count(whole)));
        response.widget_info(|| WidgetInfo::labeled(Role::SpinButton, true, name));
    }
}

/// Lines with tabs; the first line and column are indices.
fn copied(window: &Window, first_row: u64, first_column: u64) -> String {
    let mut text = String::new();
    for column in 0..window.columns as u64 {
        text.push('\t');
        text.push_str(&(first_column + column).to_string());
    }
    for row in 0..window.rows {
        text.push('\n');
        text.push_str(&(first_row + row as u64).to_string());
        for column in 0..window.columns {
            text.push('\t');
            if let Some(element) = window.element(row, column) {
                text.push_str(&element.to_string());
            }
        }
    }
    text.push('\n');
    text
}
