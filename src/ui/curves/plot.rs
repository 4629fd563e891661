//! The picture of the curves: axes, crosshair, zoom by a brush, stars at the best checkpoint, and its settings above.

use egui::{Color32, ComboBox, PointerButton, Rangef, Rect, RichText, Role, Slider, Ui, WidgetInfo};
use egui_plot::{AxisHints, HPlacement, Line as PlotLine, LineStyle, Plot, PlotPoints, Points};

use super::{color, send};
use crate::model::{AxisKind, Direction};
use crate::state::curves::plot::{Cut, Drawn, Twin, cut};
use crate::state::curves::{Across, CurvesState, Drawing, Line, Side, picture};
use crate::state::{Command, CurvesChange};
use crate::text;
use crate::ui::widgets::star;
use crate::ui::{ViewContext, theme};

/// Room between labels at the side: below the first none is shown, from the second on all are.
const Y_LABELS: Rangef = Rangef { min: 34.0, max: 48.0 };

/// Points of a line up to which it is dashed.
const DASHED: usize = 600;

/// The picture, with what was cut for it.
#[derive(Default)]
pub(super) struct PlotView {
    cut: Option<Cut>,
    drawn: Vec<Drawn>,
    under_pointer: Vec<(usize, f64)>,
    rect: Option<Rect>,
    /// Whether the picture shows everything again.
    reset: bool,
    across: Option<(Across, bool, bool)>,
}

impl PlotView {
    /// Values at the pointer, by position in the list.
    pub(super) fn under_pointer(&self) -> &[(usize, f64)] {
        &self.under_pointer
    }

    pub(super) fn ui(&mut self, ui: &mut Ui, ctx: &ViewContext<'_>) {
        let curves = &ctx.state.curves;
        self.settings_ui(ui, ctx);
        counted_ui(ui, ctx);
        let drawing = curves.drawing.clone();
        let prepared = &drawing.lines;
        if prepared.is_empty() {
            self.under_pointer.clear();
            ui.add_space(24.0);
            let words = if curves.is_drawing() {
                "Drawing…"
            } else if drawing.counted.without.is_empty() {
                "No curve is chosen: click one at the left to show it"
            } else {
                "No chosen curve has this count"
            };
            ui.label(RichText::new(words).color(ctx.theme.text_second));
            return;
        }
        let look = drawing.look;
        // Another axis is another picture.
        let across = Some((look.across, look.log_x, look.log_y));
        let is_reset =
            std::mem::replace(&mut self.across, across) != across || std::mem::take(&mut self.reset);
        let twin = Twin::of(prepared, look.log_y);
        let kind = drawing.counted.kind.unwrap_or(AxisKind::Step);
        let mut left = AxisHints::new_y()
            .formatter(move |mark, _| y_text(mark.value, look.log_y))
            .tick_label_font(theme::axis())
            .label_spacing(Y_LABELS)
            .min_thickness(44.0);
        let x_axis = AxisHints::new_x()
            .formatter(move |mark, range| {
                x_text(mark.value, look.across, look.log_x, range.end() - range.start())
            })
            .label(
                RichText::new(x_label(look.across, kind)).font(theme::label()).color(ctx.theme.text_second),
            )
            .tick_label_font(theme::axis());
        let mut y_axes = Vec::new();
        if let Some(twin) = twin {
            let on_left = prepared.iter().filter(|line| line.side == Side::Left);
            let mut directions =
                on_left.map(|line| curves.lines.get(line.line).and_then(|own| own.direction));
            let is_losses = directions.all(|direction| direction == Some(Direction::Min));
            let others = if is_losses { "losses" } else { "others" };
            left = left.label(RichText::new(others).font(theme::label()).color(ctx.theme.text_second));
            y_axes.push(
                AxisHints::new_y()
                    .placement(HPlacement::Right)
                    .label(RichText::new("scores").font(theme::label()).color(ctx.theme.text_second))
                    .formatter(move |mark, _| y_text(twin.to_right(mark.value), look.log_y))
                    .tick_label_font(theme::axis())
                    .label_spacing(Y_LABELS)
                    .min_thickness(44.0),
            );
        }
        y_axes.insert(0, left);
        let mut plot = Plot::new("curves_plot")
            .custom_x_axes(vec![x_axis])
            .custom_y_axes(y_axes)
            .show_x(true)
            .show_y(false)
            .allow_drag(false)
            .allow_boxed_zoom(true)
            .boxed_zoom_pointer_button(PointerButton::Primary)
            .allow_double_click_reset(true)
            .allow_scroll(false)
            .allow_zoom([true, false])
            .show_background(false)
            .grid_spacing(Rangef::new(28.0, 240.0))
            .grid_color(ctx.theme.line_strong)
            .cursor_color(ctx.theme.text_second)
            .label_formatter(|_| None)
            .height((ui.available_height() - 4.0).max(80.0));
        if is_reset {
            plot = plot.reset();
        }
        let stars = stars(&drawing, twin);
        let (cut_before, drawn) = (&mut self.cut, &mut self.drawn);
        let lines = &curves.lines;
        let generation = curves.generation;
        let shown = plot.show(ui, |plot_ui| {
            let bounds = plot_ui.plot_bounds();
            let is_auto = plot_ui.auto_bounds();
            let range =
                if is_auto.x || is_reset { (f64::NAN, f64::NAN) } else { (bounds.min()[0], bounds.max()[0]) };
            let columns = (plot_ui.response().rect.width() as usize).clamp(64, 4096);
            let wanted = Cut { generation, range, columns };
            let is_same = cut_before.is_some_and(|before| {
                before.generation == wanted.generation
                    && before.columns == wanted.columns
                    && before.range.0.to_bits() == wanted.range.0.to_bits()
                    && before.range.1.to_bits() == wanted.range.1.to_bits()
            });
            if !is_same {
                *drawn = cut(prepared, twin, &wanted);
                *cut_before = Some(wanted);
            }
            for line in drawn.iter() {
                let Some(own) = prepared.get(line.prepared).and_then(|prepared| lines.get(prepared.line))
                else {
                    continue;
                };
                let is_marked = prepared.get(line.prepared).is_some_and(|prepared| prepared.curve.marked);
                draw(plot_ui, ctx, own, line, is_marked);
            }
            plot_ui
                .pointer_coordinate()
                .filter(|_| plot_ui.response().hovered())
                .map(|point| (point.x, plot_ui.response().clicked()))
        });
        shown.response.widget_info(|| WidgetInfo::labeled(Role::Image, true, "Chart of the curves"));
        self.rect = Some(shown.response.rect);
        let frame = shown.transform.frame().expand(4.0);
        for at in stars {
            let center = shown.transform.position_from_point(&at.into());
            if frame.contains(center) {
                star(ui, center, 8.0, ctx.theme.partner);
            }
        }
        let before = std::mem::take(&mut self.under_pointer);
        if let Some((x, clicked)) = shown.inner {
            self.under_pointer = values_at(&drawing, x);
            // A step is whole; the pointer is not.
            let is_whole = matches!(kind, AxisKind::Step | AxisKind::Index) && !look.log_x;
            let value = if is_whole { x.round() } else { x };
            let place =
                format!("{} {}", x_label(look.across, kind), x_text(value, look.across, look.log_x, 0.0));
            let at = shown.response.rect.right_top() + egui::vec2(-8.0, 6.0);
            ui.painter().text(at, egui::Align2::RIGHT_TOP, place, theme::mono_small(), ctx.theme.text_second);
            if clicked {
                open_at(
                    ctx,
                    curves,
                    kind,
                    if look.log_x { 10f64.powf(x) } else { x },
                    shown.transform.dpos_dvalue_x(),
                );
            }
        }
        if before != self.under_pointer {
            // The list at the left was drawn before the pointer was known.
            ui.ctx().request_repaint();
        }
    }

    fn settings_ui(&mut self, ui: &mut Ui, ctx: &ViewContext<'_>) {
        let curves = &ctx.state.curves;
        let mut look = curves.look;
        // Narrow windows give the controls a second line.
        ui.horizontal_wrapped(|ui| {
            let axes =
                ComboBox::from_id_salt("curves_across").width(112.0).selected_text(look.across.label());
            let response = axes.show_ui(ui, |ui| {
                for across in Across::ALL {
                    let known = across.kind().is_none_or(|kind| has_axis(curves, kind));
                    ui.add_enabled_ui(known, |ui| {
                        ui.selectable_value(&mut look.across, across, across.label())
                    });
                }
            });
            response.response.widget_info(|| {
                WidgetInfo::labeled(Role::ComboBox, true, format!("Across: {}", curves.look.across.label()))
            });
            let label = ui.label(RichText::new("Smoothing").color(ctx.theme.text_second));
            ui.scope(|ui| {
                ui.spacing_mut().slider_width = 90.0;
                // The rail must be seen on the ground of the page in both themes.
                ui.visuals_mut().widgets.inactive.bg_fill = ctx.theme.track;
                ui.add(Slider::new(&mut look.smoothing, 0.0..=0.99).max_decimals(2)).labelled_by(label.id);
            });
            ui.checkbox(&mut look.log_y, "Log y");
            ui.checkbox(&mut look.log_x, "Log x");
            ui.checkbox(&mut look.twin, "Two axes")
                .on_hover_text("Scores on an axis of their own at the right");
            let whole = ui.button("Reset zoom");
            if whole.on_hover_text("Show everything again; drag in the picture to zoom in").clicked() {
                self.reset = true;
            }
            ui.menu_button("Save", |ui| self.save_ui(ui, ctx));
        });
        if look != curves.look {
            send(ctx, CurvesChange::Look(look));
        }
    }

    fn save_ui(&self, ui: &mut Ui, ctx: &ViewContext<'_>) {
        let curves = &ctx.state.curves;
        let rect = self.rect.map(|rect| [rect.left(), rect.top(), rect.right(), rect.bottom()]);
        if ui.button("Picture as SVG…").clicked() {
            let picture = picture::svg(curves, 900.0, 420.0);
            ctx.commands.send(Command::SavePicture { name: "curves.svg".to_owned(), picture });
            ui.close();
        }
        for (label, to_file) in [("Picture as PNG…", true), ("Copy picture", false)] {
            if let Some(rect) = rect
                && ui.button(label).clicked()
            {
                ctx.commands.send(Command::CapturePicture { name: "curves.png".to_owned(), rect, to_file });
                ui.close();
            }
        }
        if ui.button("Points as CSV…").clicked() {
            send(ctx, CurvesChange::SavePoints);
            ui.close();
        }
    }
}

fn draw<'a>(
    plot_ui: &mut egui_plot::PlotUi<'a>,
    ctx: &ViewContext<'_>,
    own: &Line,
    line: &Drawn,
    is_marked: bool,
) {
    let full = color(ctx, own);
    // Where points crowd, dashes would be as many as pixels, and told apart by nobody.
    let points: usize = line.line.iter().map(Vec::len).sum();
    let style = match own.dash % 3 {
        _ if points > DASHED => LineStyle::Solid,
        0 => LineStyle::Solid,
        1 => LineStyle::dashed_loose(),
        _ => LineStyle::Dotted { spacing: 6.0 },
    };
    let name = |what: &str, index: usize| format!("{}/{} {what}{index}", own.run, own.name);
    let mut add = |segments: &[Vec<[f64; 2]>], what: &str, color: Color32, width: f32| {
        for (index, segment) in segments.iter().enumerate() {
            let points: PlotPoints<'a> = segment.clone().into();
            if segment.len() == 1 || (is_marked && what.is_empty()) {
                let marks: PlotPoints<'a> = segment.clone().into();
                plot_ui.points(
                    Points::new(name("mark", index), marks).color(color).radius(2.6).allow_hover(false),
                );
            }
            if segment.len() > 1 {
                let drawn = PlotLine::new(name(what, index), points).color(color).width(width);
                plot_ui.line(drawn.style(style).allow_hover(false));
            }
        }
    };
    add(&line.faint, "raw", full.gamma_multiply(0.3), 1.0);
    add(&line.line, "", full, 1.6);
}

/// Where the best checkpoints lie on the drawn lines of the metric that is ranked by.
fn stars(drawing: &Drawing, twin: Option<Twin>) -> Vec<[f64; 2]> {
    let of_line = drawing.lines.iter().flat_map(|line| {
        line.curve.stars.iter().filter_map(move |&point| {
            let (&x, &y) = (line.curve.points.xs().get(point)?, line.curve.values().values().get(point)?);
            let y = if let (Side::Right, Some(twin)) = (line.side, twin) { twin.to_left(y) } else { y };
            y.is_finite().then_some([x, y])
        })
    });
    of_line.collect()
}

/// The values of the drawn lines at a place, as logged.
fn values_at(drawing: &Drawing, x: f64) -> Vec<(usize, f64)> {
    let back = |value: f64| if drawing.look.log_y { 10f64.powf(value) } else { value };
    let lines = drawing.lines.iter().filter_map(|line| {
        let point = line.curve.points.nearest(x)?;
        Some((line.line, back(*line.curve.raw.values().get(point)?)))
    });
    lines.collect()
}

/// Opens the checkpoint that was written where the pointer is.
fn open_at(ctx: &ViewContext<'_>, curves: &CurvesState, kind: AxisKind, x: f64, points_for_one: f64) {
    let Some(gathered) = curves.gathered.value() else { return };
    let near = gathered.checkpoints.iter().flat_map(|checkpoints| {
        checkpoints.members.iter().zip(&checkpoints.paths).filter_map(|(member, path)| {
            let own = match kind {
                AxisKind::Step => member.step(),
                AxisKind::Epoch => member.epoch(),
                AxisKind::Index => member.in_name.first().map(|number| number.value),
                AxisKind::Time => None,
            }?;
            Some(((own - x).abs() * points_for_one.abs(), path))
        })
    });
    if let Some((distance, path)) = near.min_by(|a, b| a.0.total_cmp(&b.0))
        && distance < 12.0
    {
        ctx.commands.send(Command::OpenPaths(vec![path.clone()]));
    }
}

/// Says which chosen lines are not drawn, or drawn otherwise than the axis says, and why.
fn counted_ui(ui: &mut Ui, ctx: &ViewContext<'_>) {
    let curves = &ctx.state.curves;
    let counted = &curves.drawing.counted;
    let Some(kind) = counted.kind else { return };
    let about = |lines: &[usize], one: &str, many: &str| -> Option<(String, String)> {
        let lines: Vec<&Line> = lines.iter().filter_map(|&line| curves.lines.get(line)).collect();
        let all: Vec<String> =
            lines.iter().map(|line| text::escape(&format!("{} {}", line.run, line.name))).collect();
        let words = match lines.as_slice() {
            [] => return None,
            [line] => format!("{} {one}", text::escape(&line.name)),
            lines => format!("{} curves {many}", lines.len()),
        };
        Some((words, all.into_iter().take(30).collect::<Vec<_>>().join("\n")))
    };
    let count = if kind == AxisKind::Time { "times" } else { kind.name() };
    let without = about(
        &counted.without,
        &format!("is not drawn: it has no {count}"),
        &format!("are not drawn: they have no {count}"),
    );
    let by_position = about(
        &counted.by_position,
        "does not say what it counts and is drawn by position",
        "do not say what they count and are drawn by position",
    );
    for (is_missing, (words, all)) in [(true, without), (false, by_position)]
        .into_iter()
        .filter_map(|(is_missing, about)| Some((is_missing, about?)))
    {
        let color = if is_missing { ctx.theme.partner } else { ctx.theme.text_second };
        ui.label(RichText::new(words).font(theme::label()).color(color)).on_hover_text(all);
    }
}

fn has_axis(curves: &CurvesState, kind: AxisKind) -> bool {
    curves
        .gathered
        .value()
        .is_some_and(|gathered| gathered.curves().any(|series| series.axis(kind).is_some()))
}

fn x_label(across: Across, kind: AxisKind) -> &'static str {
    match (across, kind) {
        (Across::Relative, _) => "hours",
        (Across::Wall, _) => "time (UTC)",
        (_, kind) => kind.name(),
    }
}

fn y_text(place: f64, log: bool) -> String {
    // What is nothing but rounding is zero.
    let value = if log { 10f64.powf(place) } else { place };
    text::number(if value.abs() < 1e-12 { 0.0 } else { value })
}

fn x_text(place: f64, across: Across, log: bool, span: f64) -> String {
    let value = if log { 10f64.powf(place) } else { place };
    if across == Across::Wall {
        return text::time_of_day(value, span);
    }
    if value.fract() == 0.0 && value.abs() < 1e9 {
        text::count_signed(value as i64)
    } else {
        text::number(value)
    }
}
