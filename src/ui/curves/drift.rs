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
    let lines = curves.layer.and_then(|layer| drift.layers.get(layer));
    let room = ui.available_height() - if lines.is_some() { 210.0 } else { 0.0 };
    heat_map_ui(ui, ctx, drift, room.max(60.0));
    if let Some(layer) = lines {
        lines_ui(ui, ctx, drift, layer);
    }
}

fn heat_map_ui(ui: &mut Ui, ctx: &ViewContext<'_>, drift: &Drift, height: f32) {
    let measure = ctx.state.curves.measure;
    let columns = drift.checkpoints.len().max(1);
    let wide = ui.available_width();
    let names = NAMES.min(wide * 0.35);
    let cell = ((wide - names - 12.0) / columns as f32).clamp(2.0, 64.0);
    // Over powers of ten where values differ by many.
    let all = || {
        drift
            .layers
            .iter()
            .flat_map(|layer| measure.of(layer).iter().copied())
            .filter(|value| value.is_finite() && *value > 0.0)
    };
    let low = all().fold(f64::INFINITY, f64::min);
    let high = all().fold(f64::NEG_INFINITY, f64::max);
    let share = |value: f64| -> f32 {
        if !value.is_finite() || value <= 0.0 || low >= high {
            return if value > 0.0 { 1.0 } else { 0.0 };
        }
        let low = low.max(high * 1e-4);
        (0.12 + 0.88 * (value.max(low) / low).ln() / (high / low).ln()) as f32
    };
    let (head, _) = ui.allocate_exact_size(Vec2::new(wide, 18.0), Sense::hover());
    let ends = [(0, Align2::LEFT_CENTER), (columns - 1, Align2::RIGHT_CENTER)];
    for (at, align) in ends {
        let left = head.left() + names;
        let part = Rect::from_x_y_ranges(left..=left + cell * columns as f32, head.y_range());
        let half = if at == 0 { part.with_max_x(part.center().x) } else { part.with_min_x(part.center().x) };
        let name = drift.checkpoints.get(at).map(|name| text::escape(name)).unwrap_or_default();
        clipped_text(ui, half, align, &name, theme::label(), ctx.theme.text_second);
    }
    ScrollArea::vertical()
        .id_salt("drift_map")
        .max_height(height - 24.0)
        .auto_shrink([false, true])
        .show_rows(ui, ROW, drift.layers.len(), |ui, range| {
            ui.spacing_mut().item_spacing.y = 0.0;
            for index in range {
                let Some(layer) = drift.layers.get(index) else { continue };
                let (rect, response) = ui.allocate_exact_size(Vec2::new(wide, ROW), Sense::click());
                let chosen = ctx.state.curves.layer == Some(index);
                response.widget_info(|| {
                    WidgetInfo::selected(Role::Button, true, chosen, format!("Layer {}", layer.layer))
                });
                if chosen || response.hovered() || response.has_focus() {
                    ui.painter().rect_filled(
                        rect,
                        4,
                        if chosen { ctx.theme.selection } else { ctx.theme.hover },
                    );
                }
                let name = rect.with_max_x(rect.left() + names - 8.0).with_min_x(rect.left() + 6.0);
                clipped_text(
                    ui,
                    name,
                    Align2::LEFT_CENTER,
                    &text::escape(&layer.layer),
                    theme::mono_small(),
                    ctx.theme.text,
                );
                let values = measure.of(layer);
                let left = rect.left() + names;
                for (at, &value) in values.iter().enumerate() {
                    let from = left + cell * at as f32;
                    let part = Rect::from_min_max(
                        Pos2::new(from, rect.top() + 1.0),
                        Pos2::new(from + (cell - 1.0).max(1.0), rect.bottom() - 1.0),
                    );
                    let is_bad =
                        layer.not_finite.get(at).is_some_and(|&count| count > 0) || value.is_infinite();
                    let fill = if is_bad { ctx.theme.error } else { ctx.theme.sequential(share(value)) };
                    ui.painter().rect_filled(part, 2, fill);
                    if drift.events.iter().any(|event| event.layer == index && event.at == at) {
                        ui.painter().rect_stroke(
                            part,
                            2,
                            Stroke::new(1.5, ctx.theme.partner),
                            egui::StrokeKind::Inside,
                        );
                    }
                }
                let under = response.hover_pos().map(|pos| ((pos.x - left) / cell).floor());
                let under = under.filter(|at| *at >= 0.0).map(|at| at as usize);
                let hover = under.and_then(|at| Some((drift.checkpoints.get(at)?, values.get(at)?)));
                let words =
                    hover.map(|(name, value)| format!("{}: {}", text::escape(name), text::number(*value)));
                let response = match words {
                    Some(words) => response.on_hover_text(words),
                    None => response.on_hover_text("Click to see its lines"),
                };
                if response.clicked() {
                    send(ctx, CurvesChange::Layer(if chosen { None } else { Some(index) }));
                }
            }
        });
}

fn lines_ui(ui: &mut Ui, ctx: &ViewContext<'_>, drift: &Drift, layer: &LayerDrift) {
    ui.add_space(theme::STEP);
    ui.horizontal(|ui| {
        ui.label(RichText::new(text::escape(&layer.layer)).font(theme::mono()).color(ctx.theme.text_strong));
        for (index, measure) in DriftMeasure::ALL.into_iter().enumerate() {
            ui.label(RichText::new(measure.label()).font(theme::label()).color(ctx.theme.curve(index)));
        }
    });
    let columns = drift.checkpoints.len();
    let names = drift.checkpoints.clone();
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
            for (index, measure) in DriftMeasure::ALL.into_iter().enumerate() {
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
