//! A plane of a tensor value by value: only what is visible is read and drawn.

use std::sync::Arc;

use egui::{Align2, DragValue, Pos2, Rect, RichText, Role, ScrollArea, Sense, Ui, Vec2, WidgetInfo};

use super::parts::{Copies, Of, card_head_ui, remember_rect};
use super::slice_picker::SlicePicker;
use crate::analysis::element::Element;
use crate::analysis::slice::Window;
use crate::jobs::{Against, CheckpointId, JobKey, Loadable, Look, LookKey, Looked};
use crate::model::TensorId;
use crate::state::Command;
use crate::text;
use crate::ui::widgets::{clipped_text, failed_ui, loading_ui};
use crate::ui::{ViewContext, theme};

/// Rows and columns read at a time; the visible part fits into it from any multiple of its half.
const READ: (u64, u64) = (512, 128);
const CELL: Vec2 = Vec2::new(84.0, 20.0);
const LEAST_HEIGHT: f32 = 240.0;
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
        checkpoint: CheckpointId,
        picker: &mut SlicePicker,
        of: &Of<'_>,
    ) {
        let card = ctx.theme.card().show(ui, |ui| {
            let (rows, columns) = picker.extent();
            let (mut first_row, mut first_column) = (self.first_row, self.first_column);
            let windows = self.windows();
            let text = || {
                let texts = windows.iter().flat_map(|((row, column), windows)| {
                    windows.iter().flatten().map(|window| copied(window, *row, *column))
                });
                texts.collect::<Vec<_>>().join("\n")
            };
            let python = || {
                let part = windows.and_then(|((row, column), [window, _])| {
                    let window = window?;
                    Some((row..row + window.rows as u64, column..column + window.columns as u64))
                });
                let (rows, columns) = part.unwrap_or((0..rows, 0..columns));
                format!("{}part = {}\n", of.numpy(), picker.python(&rows, &columns))
            };
            let copies = Copies {
                text: windows.is_some().then_some(&text),
                // For two tensors there is no short way.
                python: self.against.is_none().then_some(&python),
                svg: None,
            };
            card_head_ui(ui, ctx, "Values", (of.name, "values"), &copies, |ui| {
                first_ui(ui, "column", &mut first_column, columns);
                first_ui(ui, "row", &mut first_row, rows);
            });
            (self.first_row, self.first_column) = (first_row, first_column);
            picker.ui(ui);
            let (rows, columns) = picker.extent();
            self.first_row = self.first_row.min(rows.saturating_sub(1));
            self.first_column = self.first_column.min(columns.saturating_sub(1));
            if rows == 0 || columns == 0 {
                ui.label(RichText::new("There are no values").color(ctx.theme.text_second));
                return;
            }
            let visible = self.table_ui(ui, ctx, (rows, columns), picker);
            self.want(ui, ctx, (checkpoint, of.id), picker, visible);
        });
        remember_rect(ui, "values", card.response.rect);
    }

    /// What was read last, of one tensor or of two, and where it begins.
    fn windows(&self) -> Option<((u64, u64), [Option<&Window>; 2])> {
        let (_, at, looked) = self.shown.as_ref()?;
        match &**looked {
            Looked::Window(window) => Some((*at, [Some(window), None])),
            Looked::Windows(left, right) => Some((*at, [Some(left), Some(right)])),
            _ => None,
        }
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
        let windows = self.windows();
        let cell_size = self.cell_size();
        let index_width = index_width((rows - 1).max(10));
        let size = Vec2::new(index_width + CELL.x * across as f32, CELL.y + cell_size.y * down as f32);
        let mut visible = (self.first_row, self.first_column);
        // Down to the end of the panel.
        let bottom = ui.ctx().content_rect().bottom() - theme::STATUS_HEIGHT - 44.0;
        let height = size.y.min((bottom - ui.cursor().top()).max(LEAST_HEIGHT));
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
                let head = origin + viewport.min.to_vec2();
                let body = Rect::from_min_max(
                    head + Vec2::new(index_width, CELL.y),
                    origin + viewport.max.to_vec2(),
                );
                let at = |row: u64, column: u64| {
                    origin
                        + Vec2::new(index_width + CELL.x * column as f32, CELL.y + cell_size.y * row as f32)
                };
                let clip = ui.clip_rect();
                ui.set_clip_rect(clip.intersect(body));
                for (row, column) in
                    (top..bottom).flat_map(|row| (left..right).map(move |column| (row, column)))
                {
                    let cell = Rect::from_min_size(at(row, column), cell_size - Vec2::new(8.0, 0.0));
                    let (row, column) = (self.first_row + row, self.first_column + column);
                    let elements = windows.map(|((first_row, first_column), windows)| {
                        windows.map(|window| {
                            let row = row.checked_sub(first_row)? as usize;
                            window?.element(row, column.checked_sub(first_column)? as usize)
                        })
                    });
                    let response = ui.interact(cell, ui.scope_id().with((row, column)), Sense::CLICK);
                    let exact =
                        cell_ui(ui, theme, cell, elements.unwrap_or_default(), self.against.is_some());
                    response.widget_info(|| WidgetInfo::labeled(Role::Cell, true, &exact));
                    if response.clicked() {
                        ctx.commands.send(Command::Copy { what: "value", text: exact.clone() });
                    }
                    if response.contains_pointer() {
                        response
                            .on_hover_text(format!("{}\n{exact}\nClick to copy", picker.index(row, column)));
                    }
                }
                // Indices of the rows, then of the columns: each moves along one axis only.
                let indices =
                    |ui: &mut Ui, strip: Rect, cells: &mut dyn Iterator<Item = (Pos2, Vec2, u64)>| {
                        ui.set_clip_rect(clip.intersect(strip));
                        for (at, size, index) in cells {
                            let cell = Rect::from_min_size(at, size);
                            let (font, color) = (theme::mono_small(), theme.text_second);
                            clipped_text(ui, cell, Align2::RIGHT_CENTER, &index.to_string(), font, color);
                        }
                    };
                let strip =
                    Rect::from_min_max(Pos2::new(head.x, body.top()), Pos2::new(body.left(), body.bottom()));
                let size = Vec2::new(index_width - 10.0, cell_size.y);
                let first = self.first_row;
                indices(
                    ui,
                    strip,
                    &mut (top..bottom).map(|row| (Pos2::new(head.x, at(row, 0).y), size, first + row)),
                );
                let strip =
                    Rect::from_min_max(Pos2::new(body.left(), head.y), Pos2::new(body.right(), body.top()));
                let size = CELL - Vec2::new(8.0, 0.0);
                let first = self.first_column;
                indices(
                    ui,
                    strip,
                    &mut (left..right)
                        .map(|column| (Pos2::new(at(0, column).x, head.y), size, first + column)),
                );
                ui.set_clip_rect(clip);
                ui.painter().hline(clip.x_range(), body.top(), theme.separator());
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

/// One value, or the left one over the right one, in their colours where they differ. Returns what the cell says exactly.
fn cell_ui(ui: &Ui, theme: &theme::Theme, cell: Rect, elements: [Option<Element>; 2], both: bool) -> String {
    let write = |place: Rect, text: &str, color| {
        clipped_text(ui, place, Align2::RIGHT_CENTER, text, theme::mono_small(), color);
    };
    match elements {
        [Some(left), Some(right)] if both => {
            let (exact_left, exact_right) = (left.to_string(), right.to_string());
            if exact_left == exact_right {
                write(cell, &short(left), theme.text_second);
                return exact_left;
            }
            let (top, bottom) = cell.shrink2(Vec2::new(0.0, 2.0)).split_top_bottom_at_fraction(0.5);
            write(top, &short(left), theme.accent);
            write(bottom, &short(right), theme.partner);
            format!("{exact_left} → {exact_right}")
        }
        [Some(element), _] => {
            write(cell, &short(element), theme.text);
            element.to_string()
        }
        _ => {
            write(cell, "…", theme.text_disabled);
            "…".to_owned()
        }
    }
}

/// Where the table begins, along an axis that is too long to scroll through.
fn first_ui(ui: &mut Ui, name: &str, value: &mut u64, whole: u64) {
    if whole > 24 {
        let drag = DragValue::new(value).range(0..=whole - 1).prefix(format!("{name} "));
        let response = ui.add(drag);
        response.widget_info(|| WidgetInfo::labeled(Role::SpinButton, true, format!("From {name}")));
        response.on_hover_text(format!(
            "The first {name} of the table, of {}: drag, or click and type",
            text::count(whole)
        ));
    }
}

/// Room for the numbers of rows.
fn index_width(last: u64) -> f32 {
    18.0 + 7.0 * (last.ilog10() + 1) as f32
}

/// Six digits of a number: more have no room, and stand in the note.
fn short(element: Element) -> String {
    let number = |value: f64| {
        let magnitude = value.abs();
        if !value.is_finite() || magnitude == 0.0 || !(1e-4..1e7).contains(&magnitude) {
            return if magnitude == 0.0 || !value.is_finite() {
                text::number(value)
            } else {
                format!("{value:.4e}")
            };
        }
        let decimals = (5 - magnitude.log10().floor() as i32).clamp(0, 6) as usize;
        format!("{value:.decimals$}")
    };
    match element {
        Element::Float(value) => number(value),
        Element::Complex(real, imaginary) => {
            let sign = if imaginary < 0.0 { "−" } else { "+" };
            format!("{}{sign}{}i", text::number(real), text::number(imaginary.abs()))
        }
        other => other.to_string(),
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
