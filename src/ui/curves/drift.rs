//! How layers moved: a heat map of layers and checkpoints, what happened to which, and the lines of one layer.

use egui::{Align2, Pos2, Rect, RichText, Role, ScrollArea, Sense, Stroke, Ui, Vec2, WidgetInfo};
use egui_plot::{AxisHints, Line as PlotLine, Plot, PlotPoints};

use super::send;
use crate::analysis::drift::{Drift, LayerDrift};
use crate::jobs::{JobKey, Loadable};
use crate::state::curves::DriftMeasure;
use crate::state::{Command, CurvesChange};
use crate::text;
use crate::ui::widgets::{clipped_text, failed_ui, loading_ui, primary_button_ui};
use crate::ui::{ViewContext, theme};

const ROW: f32 = 20.0;
const NAMES: f32 = 220.0;

pub(super) fn drift_ui(ui: &mut Ui, ctx: &ViewContext<'_>) {
    let curves = &ctx.state.curves;
    let Some(checkpoints) = curves.gathered.value().and_then(|gathered| gathered.main_checkpoints()) else {
        ui.label(RichText::new("There are no checkpoints beside these logs").color(ctx.theme.text_second));
        return;
    };
    if checkpoints.members.len() < 2 {
        let text = "One checkpoint does not move: open a folder with several of one training";
        ui.label(RichText::new(text).color(ctx.theme.text_second));
        return;
    }
    match &curves.drift {
        Loadable::Pending { since, previous: None } => {
            if loading_ui(ui, ctx.theme, "Reading the weights of all checkpoints…", *since) {
                ctx.commands.send(Command::Cancel(JobKey::Drift(curves.drift_serial)));
            }
        }
        Loadable::Failed { error, previous: None } => {
            if failed_ui(ui, ctx.theme, "The weights could not be read", error) {
                send(ctx, CurvesChange::ReadDrift);
            }
        }
        Loadable::NotRequested => {
            let bytes = text::bytes(checkpoints.bytes.iter().sum());
            let text =
                format!("Reads the weights of {} checkpoints: {bytes}, twice.", checkpoints.members.len());
            ui.label(RichText::new(text).color(ctx.theme.text_second));
            ui.add_space(theme::STEP);
            if primary_button_ui(ui, ctx.theme, "Read how layers moved").clicked() {
                send(ctx, CurvesChange::ReadDrift);
            }
        }
        drift => {
            if let Some(drift) = drift.value() {
                ready_ui(ui, ctx, drift);
            }
        }
    }
}

fn ready_ui(ui: &mut Ui, ctx: &ViewContext<'_>, drift: &Drift) {
    let curves = &ctx.state.curves;
    ui.horizontal(|ui| {
        for measure in DriftMeasure::ALL {
            if ui.radio(curves.measure == measure, measure.label()).clicked() {
                send(ctx, CurvesChange::Measure(measure));
            }
        }
        ui.add_space(theme::STEP * 2.0);
        scale_ui(ui, ctx, curves.drift_range());
    });
    for event in drift.events.iter().take(4) {
        let (Some(layer), Some(name)) = (drift.layers.get(event.layer), drift.checkpoints.get(event.at))
        else {
            continue;
        };
        let words =
            format!("{} {} (from {})", text::escape(&layer.layer), event.kind.words(), text::escape(name));
        ui.label(RichText::new(words).font(theme::label()).color(ctx.theme.partner));
    }
    let rest = drift.events.len().saturating_sub(4) + drift.problems.len();
    if rest > 0 {
        let all = drift.problems.iter().map(|problem| text::escape(problem)).collect::<Vec<_>>().join("\n");
        ui.label(
            RichText::new(format!("{rest} more notes")).font(theme::label()).color(ctx.theme.text_second),
        )
        .on_hover_text(all);
    }
    ui.add_space(theme::STEP);
    // Before anyone chooses, the layer to which something happened.
    let chosen = curves.layer.or_else(|| drift.events.first().map(|event| event.layer)).unwrap_or(0);
    let lines = drift.layers.get(chosen);
    let room = ui.available_height() - if lines.is_some() { 210.0 } else { 0.0 };
    heat_map_ui(ui, ctx, drift, chosen, room.max(60.0));
    if let Some(layer) = lines {
        lines_ui(ui, ctx, drift, layer);
    }
}

/// Columns of the heat map: checkpoints, or several together where they would be narrower than two points.
#[derive(Clone, Copy)]
struct Columns {
    checkpoints: usize,
    shown: usize,
    width: f32,
}

impl Columns {
    fn over(room: f32, checkpoints: usize) -> Self {
        let checkpoints = checkpoints.max(1);
        let shown = checkpoints.min((room / 2.0) as usize).max(1);
        Self { checkpoints, shown, width: room / shown as f32 }
    }

    /// The checkpoints of a column.
    fn of(self, column: usize) -> std::ops::Range<usize> {
        column * self.checkpoints / self.shown..(column + 1) * self.checkpoints / self.shown
    }

    /// The checkpoint of a column that matters most: the one with the largest value.
    fn largest(self, column: usize, values: &[f64]) -> Option<usize> {
        let value = |at: &usize| values.get(*at).copied().unwrap_or(f64::NAN);
        self.of(column).max_by(|a, b| {
            let (a, b) = (value(a), value(b));
            // A NaN is less than every number here.
            b.is_nan().cmp(&a.is_nan()).then(a.total_cmp(&b))
        })
    }
}

/// Which shade a value has: over powers of ten, since values differ by many.
fn shade((low, high): (f64, f64), value: f64) -> f32 {
    if !value.is_finite() || value <= 0.0 || low >= high {
        return if value > 0.0 { 1.0 } else { 0.0 };
    }
    (0.12 + 0.88 * (value.max(low) / low).ln() / (high / low).ln()) as f32
}

/// Shades of the scale that is shown.
const STEPS: usize = 24;

/// What the shades stand for.
fn scale_ui(ui: &mut Ui, ctx: &ViewContext<'_>, (low, high): (f64, f64)) {
    if low >= high {
        return;
    }
    let number =
        |value: f64| RichText::new(text::number(value)).font(theme::axis()).color(ctx.theme.text_second);
    ui.label(number(low));
    let (rect, response) = ui.allocate_exact_size(Vec2::new(96.0, 10.0), Sense::hover());
    response.widget_info(|| WidgetInfo::labeled(Role::Image, true, "Scale of the heat map"));
    for step in 0..STEPS {
        let width = rect.width() / STEPS as f32;
        let left = rect.left() + width * step as f32;
        let part = Rect::from_x_y_ranges(left..=left + width + 0.5, rect.y_range());
        let share = 0.12 + 0.88 * step as f32 / (STEPS - 1) as f32;
        ui.painter().rect_filled(part, 0, ctx.theme.sequential(share));
    }
    ui.label(number(high));
}

fn heat_map_ui(ui: &mut Ui, ctx: &ViewContext<'_>, drift: &Drift, shown: usize, height: f32) {
    let measure = ctx.state.curves.measure;
    let range = ctx.state.curves.drift_range();
    let wide = ui.available_width();
    let names = NAMES.min(wide * 0.35);
    let columns = Columns::over((wide - names - 12.0).max(40.0), drift.checkpoints.len());
    let (head, _) = ui.allocate_exact_size(Vec2::new(wide, 18.0), Sense::hover());
    let part = Rect::from_x_y_ranges(
        head.left() + names..=head.left() + names + columns.width * columns.shown as f32,
        head.y_range(),
    );
    for (at, align) in [(0, Align2::LEFT_CENTER), (columns.checkpoints - 1, Align2::RIGHT_CENTER)] {
        let half = if at == 0 { part.with_max_x(part.center().x) } else { part.with_min_x(part.center().x) };
        let name = drift.checkpoints.get(at).map(|name| text::escape(name)).unwrap_or_default();
        clipped_text(ui, half, align, &name, theme::label(), ctx.theme.text_second);
    }
    ScrollArea::vertical()
        .id_salt("drift_map")
        .max_height(height - 24.0)
        .auto_shrink([false, true])
        .show_rows(ui, ROW, drift.layers.len(), |ui, rows| {
            ui.spacing_mut().item_spacing.y = 0.0;
            for index in rows {
                let Some(layer) = drift.layers.get(index) else { continue };
                let (rect, response) = ui.allocate_exact_size(Vec2::new(wide, ROW), Sense::click());
                let chosen = index == shown;
                response.widget_info(|| {
                    WidgetInfo::selected(Role::Button, true, chosen, format!("Layer {}", layer.layer))
                });
                if chosen || response.hovered() || response.has_focus() {
                    let ground = if chosen { ctx.theme.selection } else { ctx.theme.hover };
                    ui.painter().rect_filled(rect, 4, ground);
                }
                let name = rect.with_max_x(rect.left() + names - 8.0).with_min_x(rect.left() + 6.0);
                let words = text::escape(&layer.layer);
                clipped_text(ui, name, Align2::LEFT_CENTER, &words, theme::mono_small(), ctx.theme.text);
                let cells = rect.with_min_x(rect.left() + names);
                cells_ui(ui, ctx, (drift, index), columns, range, cells);
                let column = response.hover_pos().map(|pos| ((pos.x - cells.left()) / columns.width).floor());
                let column = column.filter(|column| *column >= 0.0 && (*column as usize) < columns.shown);
                let values = measure.of(layer);
                let under = column.and_then(|column| columns.largest(column as usize, values));
                let response = match under.and_then(|at| Some((drift.checkpoints.get(at)?, values.get(at)?)))
                {
                    Some((name, value)) => {
                        response.on_hover_text(format!("{}: {}", text::escape(name), text::number(*value)))
                    }
                    None => response.on_hover_text("Click to see its lines"),
                };
                if response.clicked() {
                    send(ctx, CurvesChange::Layer(Some(index)));
                }
            }
        });
}

/// The cells of one layer.
fn cells_ui(
    ui: &Ui,
    ctx: &ViewContext<'_>,
    (drift, index): (&Drift, usize),
    columns: Columns,
    range: (f64, f64),
    rect: Rect,
) {
    let Some(layer) = drift.layers.get(index) else { return };
    let values = ctx.state.curves.measure.of(layer);
    let events: Vec<usize> =
        drift.events.iter().filter(|event| event.layer == index).map(|event| event.at).collect();
    for column in 0..columns.shown {
        let from = rect.left() + columns.width * column as f32;
        let gap = if columns.width > 3.0 { 1.0 } else { 0.0 };
        let part = Rect::from_min_max(
            Pos2::new(from, rect.top() + 1.0),
            Pos2::new(from + columns.width - gap, rect.bottom() - 1.0),
        );
        let value = columns.largest(column, values).and_then(|at| values.get(at)).copied();
        let is_bad = columns.of(column).any(|at| {
            layer.not_finite.get(at).is_some_and(|&count| count > 0)
                || values.get(at).is_some_and(|value| value.is_infinite())
        });
        let share = shade(range, value.unwrap_or(f64::NAN));
        let fill = if is_bad { ctx.theme.error } else { ctx.theme.sequential(share) };
        ui.painter().rect_filled(part, 2, fill);
        if events.iter().any(|at| columns.of(column).contains(at)) {
            let stroke = Stroke::new(1.5, ctx.theme.partner);
            ui.painter().rect_stroke(part, 2, stroke, egui::StrokeKind::Inside);
        }
    }
}

/// Names without what all of them begin and end with, so that more of them have room.
fn short(names: &[String]) -> Vec<String> {
    let [first, rest @ ..] = names else { return Vec::new() };
    let shared = |a: &str, b: &str, backwards: bool| -> usize {
        let pairs: Vec<(char, char)> = if backwards {
            a.chars().rev().zip(b.chars().rev()).collect()
        } else {
            a.chars().zip(b.chars()).collect()
        };
        // A number stays whole.
        pairs.into_iter().take_while(|(a, b)| a == b && !a.is_ascii_digit()).count()
    };
    let least = |backwards| rest.iter().map(|name| shared(first, name, backwards)).min().unwrap_or(0);
    let (start, end) = (least(false), least(true));
    let cut = |name: &String| -> String {
        let len = name.chars().count();
        let kept: String = name.chars().skip(start).take(len.saturating_sub(start + end)).collect();
        if kept.is_empty() { name.clone() } else { kept }
    };
    names.iter().map(cut).collect()
}

fn lines_ui(ui: &mut Ui, ctx: &ViewContext<'_>, drift: &Drift, layer: &LayerDrift) {
    ui.add_space(theme::STEP);
    // A norm has another scale than the ratios.
    let is_norm = ctx.state.curves.measure == DriftMeasure::Norm;
    let measures = move || {
        let all = DriftMeasure::ALL.into_iter().enumerate();
        all.filter(move |(_, measure)| (*measure == DriftMeasure::Norm) == is_norm)
    };
    ui.horizontal(|ui| {
        ui.label(RichText::new(text::escape(&layer.layer)).font(theme::mono()).color(ctx.theme.text_strong));
        for (index, measure) in measures() {
            ui.label(RichText::new(measure.label()).font(theme::label()).color(ctx.theme.curve(index)));
        }
    });
    let columns = drift.checkpoints.len();
    let names = short(&drift.checkpoints);
    let x_axis = AxisHints::new_x().tick_label_font(theme::axis()).formatter(move |mark, _| {
        let at = mark.value.round();
        let is_whole = (mark.value - at).abs() < 1e-6 && at >= 0.0;
        names.get(at as usize).filter(|_| is_whole).map(|name| text::escape(name)).unwrap_or_default()
    });
    let y_axis = AxisHints::new_y()
        .tick_label_font(theme::axis())
        .min_thickness(44.0)
        .formatter(|mark, _| text::number(if mark.value.abs() < 1e-12 { 0.0 } else { mark.value }));
    let shown = Plot::new("drift_lines")
        .custom_x_axes(vec![x_axis])
        .custom_y_axes(vec![y_axis])
        .allow_drag(false)
        .allow_scroll(false)
        .allow_zoom(false)
        .show_background(false)
        .grid_color(ctx.theme.line_strong)
        .height((ui.available_height() - 4.0).max(80.0))
        .include_x(0.0)
        .include_x(columns.saturating_sub(1) as f64)
        .label_formatter(|_| None)
        .show(ui, |plot_ui| {
            for (index, measure) in measures() {
                let values = measure.of(layer).iter().enumerate().filter(|(_, value)| value.is_finite());
                let points: PlotPoints<'_> = values.map(|(at, value)| [at as f64, *value]).collect();
                plot_ui.line(
                    PlotLine::new(measure.label(), points)
                        .color(ctx.theme.curve(index))
                        .width(1.6)
                        .allow_hover(false),
                );
            }
        });
    shown
        .response
        .widget_info(|| WidgetInfo::labeled(Role::Image, true, format!("Movement of {}", layer.layer)));
}
