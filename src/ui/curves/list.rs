//! The list of curves: a search, runs, and for each curve its colour, its name, and its value under the pointer.

use egui::{
    Align2, Frame, Margin, Pos2, Rect, Role, ScrollArea, Sense, Shape, Stroke, TextEdit, Ui, Vec2, WidgetInfo,
};

use super::{color, send};
use crate::state::CurvesChange;
use crate::state::curves::Line;
use crate::text;
use crate::ui::widgets::{clipped_name, clipped_text};
use crate::ui::{ViewContext, theme};

const ROW: f32 = 24.0;

/// Draws the list. `under_pointer`: the values at the pointer, by position in the list.
pub(super) fn list_ui(ui: &mut Ui, ctx: &ViewContext<'_>, under_pointer: &[(usize, f64)]) {
    let curves = &ctx.state.curves;
    search_ui(ui, ctx, "Search curves");
    // A heading for each run, then its lines.
    let mut rows: Vec<Row<'_>> = Vec::new();
    let mut run = None;
    for (index, line) in curves.lines.iter().enumerate().filter(|(_, line)| line.listed) {
        if run != Some(&line.run) {
            run = Some(&line.run);
            rows.push(Row::Run(&line.run, line.color));
        }
        rows.push(Row::Line(index, line));
    }
    let many = curves.runs.len() > 1;
    ScrollArea::vertical().auto_shrink(false).show_rows(ui, ROW, rows.len(), |ui, range| {
        ui.spacing_mut().item_spacing.y = 0.0;
        for row in rows.get(range).unwrap_or_default() {
            match row {
                Row::Run(run, color) => run_ui(ui, ctx, run, many.then_some(*color)),
                Row::Line(index, line) => line_ui(ui, ctx, *index, line, under_pointer),
            }
        }
    });
}

fn search_ui(ui: &mut Ui, ctx: &ViewContext<'_>, hint: &str) {
    Frame::new().inner_margin(Margin::symmetric(10, 8)).show(ui, |ui| {
        let mut filter = ctx.state.curves.filter.clone();
        let edit = TextEdit::singleline(&mut filter).hint_text(hint).desired_width(f32::INFINITY);
        let response = ui.add(edit);
        response.widget_info(|| WidgetInfo::labeled(Role::TextInput, true, hint));
        if response.changed() {
            send(ctx, CurvesChange::Filter(filter));
        }
    });
}

/// Draws the list of quantities with histograms.
pub(super) fn histograms_ui(ui: &mut Ui, ctx: &ViewContext<'_>) {
    let curves = &ctx.state.curves;
    search_ui(ui, ctx, "Search histograms");
    let Some(gathered) = curves.gathered.value() else { return };
    let many = curves.runs.len() > 1 || gathered.histograms.windows(2).any(|pair| pair[0].run != pair[1].run);
    ScrollArea::vertical().auto_shrink(false).show_rows(ui, ROW, curves.histograms.len(), |ui, range| {
        ui.spacing_mut().item_spacing.y = 0.0;
        for &index in curves.histograms.get(range).unwrap_or_default() {
            let Some(series) = gathered.histograms.get(index) else { continue };
            let (rect, response) =
                ui.allocate_exact_size(Vec2::new(ui.available_width(), ROW), Sense::click());
            let chosen = curves.histogram == Some(index);
            let name = if many { format!("{} · {}", series.run, series.name) } else { series.name.clone() };
            response.widget_info(|| {
                WidgetInfo::selected(Role::Button, true, chosen, format!("Histograms of {name}"))
            });
            if chosen || response.hovered() || response.has_focus() {
                let ground = if chosen { ctx.theme.selection } else { ctx.theme.hover };
                ui.painter().rect_filled(rect, 4, ground);
            }
            let inner = rect.shrink2(Vec2::new(12.0, 0.0));
            let steps = text::count(series.frames.len() as u64);
            let right = clipped_text(
                ui,
                inner.with_min_x(inner.right() - 64.0),
                Align2::RIGHT_CENTER,
                &steps,
                theme::mono_small(),
                ctx.theme.text_second,
            );
            let place = inner.with_max_x(inner.right() - right - 8.0);
            let color = if chosen { ctx.theme.text_strong } else { ctx.theme.text };
            clipped_text(ui, place, Align2::LEFT_CENTER, &text::escape(&name), theme::body(), color);
            let plural = if series.frames.len() == 1 { "" } else { "s" };
            let response = response.on_hover_text(format!("{}\n{steps} step{plural}", text::escape(&name)));
            if response.clicked() {
                send(ctx, CurvesChange::Histogram(index));
            }
        }
    });
}

enum Row<'a> {
    Run(&'a str, usize),
    Line(usize, &'a Line),
}

fn run_ui(ui: &mut Ui, ctx: &ViewContext<'_>, run: &str, run_color: Option<usize>) {
    let (rect, response) = ui.allocate_exact_size(Vec2::new(ui.available_width(), ROW), Sense::click());
    let hidden = ctx.state.curves.is_hidden_run(run);
    let name = if run.is_empty() { "(here)" } else { run };
    response.widget_info(|| WidgetInfo::selected(Role::CheckBox, true, !hidden, format!("Run {name}")));
    if response.hovered() || response.has_focus() {
        ui.painter().rect_filled(rect, 4, ctx.theme.hover);
    }
    let mut inner = rect.shrink2(Vec2::new(12.0, 0.0));
    if let Some(run_color) = run_color {
        let dot = ctx.theme.curve(run_color);
        let center = inner.left_center() + Vec2::new(4.0, 0.0);
        if hidden {
            ui.painter().circle_stroke(center, 4.0, Stroke::new(1.2, dot));
        } else {
            ui.painter().circle_filled(center, 4.0, dot);
        }
        inner.min.x += 16.0;
    }
    let text_color = if hidden { ctx.theme.text_disabled } else { ctx.theme.text_second };
    clipped_text(ui, inner, Align2::LEFT_CENTER, &text::escape(name), theme::body_medium(), text_color);
    if response.on_hover_text("Show or hide the whole run").clicked() {
        send(ctx, CurvesChange::ToggleRun(run.to_owned()));
    }
}

fn line_ui(ui: &mut Ui, ctx: &ViewContext<'_>, index: usize, line: &Line, under_pointer: &[(usize, f64)]) {
    let (rect, response) = ui.allocate_exact_size(Vec2::new(ui.available_width(), ROW), Sense::click());
    response.widget_info(|| {
        WidgetInfo::selected(Role::CheckBox, true, line.shown, format!("{} {}", line.run, line.name))
    });
    if response.hovered() || response.has_focus() {
        ui.painter().rect_filled(rect, 4, ctx.theme.hover);
    }
    let inner = rect.shrink2(Vec2::new(12.0, 0.0));
    let left = inner.left() + 6.0;
    let (from, to) = (Pos2::new(left, inner.center().y), Pos2::new(left + 18.0, inner.center().y));
    if line.shown {
        let stroke = Stroke::new(2.0, color(ctx, line));
        match line.dash % 3 {
            0 => ui.painter().line_segment([from, to], stroke),
            1 => ui.painter().add(Shape::Vec(Shape::dashed_line(&[from, to], stroke, 5.0, 3.0))),
            _ => ui.painter().add(Shape::Vec(Shape::dotted_line(&[from, to], stroke.color, 4.0, 1.3))),
        };
    } else {
        ui.painter().line_segment([from, to], Stroke::new(1.0, ctx.theme.line_strong));
    }
    let value = under_pointer.iter().find(|(line, _)| *line == index).map_or(line.last, |(_, value)| *value);
    let shown = if value.is_nan() { String::new() } else { text::number(value) };
    let text_color = if line.shown { ctx.theme.text } else { ctx.theme.text_disabled };
    let right = clipped_text(
        ui,
        inner.with_min_x(inner.right() - 74.0),
        Align2::RIGHT_CENTER,
        &shown,
        theme::mono_small(),
        text_color,
    );
    let name = Rect::from_min_max(
        Pos2::new(to.x + 8.0, rect.top()),
        Pos2::new(inner.right() - right - 8.0, rect.bottom()),
    );
    // The last keys of a name tell most.
    clipped_name(ui, name, &text::escape(&line.name), &theme::body(), text_color);
    let gaps = match line.gaps {
        0 => String::new(),
        count => {
            format!("\n{count} point{} NaN or infinite: a gap", if count == 1 { " is" } else { "s are" })
        }
    };
    let response =
        response.on_hover_text(format!("{}{gaps}\nDouble-click to show it alone", text::escape(&line.name)));
    if response.double_clicked() {
        send(ctx, CurvesChange::Only(index));
    } else if response.clicked() {
        send(ctx, CurvesChange::Toggle(index));
    }
}
