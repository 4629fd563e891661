//! Statistics and histogram of what is selected.

use std::sync::Arc;

use egui::{ComboBox, RichText, Role, Ui, WidgetInfo};

use super::parts::{Cell, grid_ui, picture_menu_ui, title_ui};
use crate::analysis::{Distinct, Histogram, Scale};
use crate::jobs::{JobKey, Loadable, StatisticsKey, Subject, ValueSummary};
use crate::model::Checkpoint;
use crate::state::chart::{Axis, Chart, Marks, log_count, short_count};
use crate::state::{Clip, Command, Settings, ValueScale, statistics_key};
use crate::text;
use crate::ui::chart::chart_ui;
use crate::ui::widgets::{failed_ui, loading_ui};
use crate::ui::{ViewContext, theme};

/// Numbers of bins to choose from.
const BIN_CHOICES: [usize; 5] = [16, 32, 64, 128, 256];
const HEIGHT: f32 = 196.0;

/// Statistics and histogram, made ready to draw when they change.
#[derive(Default)]
pub(in crate::ui) struct ValuesView {
    shown: Option<Shown>,
}

/// Everything the histogram depends on beside the values.
type Options = (usize, bool, ValueScale, Clip);

fn options(settings: &Settings) -> Options {
    (settings.histogram_bins, settings.histogram_log, settings.histogram_scale, settings.histogram_clip)
}

/// A summary made ready to draw.
struct Shown {
    key: StatisticsKey,
    options: Options,
    summary: Arc<ValueSummary>,
    histogram: Option<(Histogram, Chart)>,
    cells: Vec<Cell>,
}

impl ValuesView {
    /// Draws both, in each of their states. What was there before stays while the next loads.
    pub(super) fn ui(&mut self, ui: &mut Ui, ctx: &ViewContext<'_>, checkpoint: &Checkpoint, name: &str) {
        let Some(key) = statistics_key(ctx.state) else { return };
        ui.add_space(theme::STEP);
        match ctx.state.statistics.get(&key) {
            Loadable::NotRequested => {
                ctx.theme.card().show(ui, |ui| {
                    ui.set_width(ui.available_width());
                    title_ui(ui, ctx, "Statistics");
                    let bytes = match key.subject {
                        Subject::Tensor(id) => checkpoint.tensor(id).bytes(),
                        Subject::Group(id) => checkpoint.layer_tree().node(id).bytes,
                    };
                    ui.horizontal(|ui| {
                        if ui.button("Compute").clicked() {
                            ctx.commands.send(Command::Summarise(key));
                        }
                        let text = format!("reads {}", text::bytes(bytes));
                        ui.label(RichText::new(text).color(ctx.theme.text_second));
                    });
                });
            }
            Loadable::Failed { error, .. } => {
                if failed_ui(ui, ctx.theme, "The values could not be read", error) {
                    ctx.commands.send(Command::Summarise(key));
                }
            }
            Loadable::Pending { since, .. } => {
                if loading_ui(ui, ctx.theme, "Reading values…", *since) {
                    ctx.commands.send(Command::Cancel(JobKey::Statistics(key)));
                }
                // Dimmed: these are the numbers of what was selected before.
                if let Some(shown) = &self.shown {
                    ui.scope(|ui| {
                        ui.set_opacity(0.45);
                        shown.ui(ui, ctx, name);
                    });
                }
            }
            Loadable::Ready(summary) => {
                let options = options(&ctx.state.settings);
                let current = self.shown.as_ref().is_some_and(|shown| {
                    shown.key == key && shown.options == options && Arc::ptr_eq(&shown.summary, summary)
                });
                if !current {
                    self.shown = Some(Shown::new(key, options, summary, name));
                }
                if let Some(shown) = &self.shown {
                    shown.ui(ui, ctx, name);
                }
            }
        }
    }
}

impl Shown {
    fn new(key: StatisticsKey, options: Options, summary: &Arc<ValueSummary>, name: &str) -> Self {
        let histogram = histogram(options, summary)
            .map(|histogram| (chart(options, summary, &histogram, name), histogram))
            .map(|(chart, histogram)| (histogram, chart));
        Self { key, options, summary: summary.clone(), histogram, cells: cells(summary) }
    }

    fn ui(&self, ui: &mut Ui, ctx: &ViewContext<'_>, name: &str) {
        ctx.theme.card().show(ui, |ui| {
            grid_ui(ui, ctx, &self.cells, 72.0);
            for left_out in &self.summary.left_out {
                let line = format!("Left out {}", text::escape(left_out));
                ui.label(RichText::new(line).font(theme::label()).color(ctx.theme.partner));
            }
        });
        ui.add_space(theme::STEP);
        let card = ctx.theme.card().show(ui, |ui| {
            ui.horizontal(|ui| {
                title_ui(ui, ctx, "Histogram");
                ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                    picture_menu_ui(ui, ctx, name, "histogram", |ui| {
                        if let Some((histogram, chart)) = &self.histogram {
                            copies_ui(ui, ctx, histogram, chart, name);
                        }
                    });
                    controls_ui(ui, ctx);
                });
            });
            if let Some((histogram, chart)) = &self.histogram {
                chart_ui(ui, ctx.theme, chart, HEIGHT, |bin| bin_note(histogram, bin));
                outside_ui(ui, ctx, histogram);
            } else {
                let why = if self.summary.statistics.count == 0 {
                    "There are no elements to count"
                } else {
                    "There are no finite numbers to count"
                };
                ui.label(RichText::new(why).color(ctx.theme.text_second));
            }
        });
        super::parts::remember_rect(ui, "histogram", card.response.rect);
    }
}

fn histogram(options: Options, summary: &ValueSummary) -> Option<Histogram> {
    let (bins, _, scale, clip) = options;
    let (statistics, values) = (&summary.statistics, &summary.values);
    let (mut lo, mut hi) = (statistics.min?, statistics.max?);
    if let Some((low, high)) =
        clip.tail().and_then(|tail| values.quantile(tail).zip(values.quantile(1.0 - tail)))
        && low < high
    {
        (lo, hi) = (low, high);
    }
    if lo == hi {
        // All values equal: one bar of its own.
        let half = if lo == 0.0 { 0.5 } else { lo.abs() * 0.5 };
        return Some(values.histogram(lo - half, hi + half, 3));
    }
    let scale = match scale {
        ValueScale::Linear => Scale::Linear,
        ValueScale::Symlog => Scale::symlog_of(values),
    };
    Some(values.histogram_on(scale, lo, hi, bins))
}

fn chart(options: Options, summary: &ValueSummary, histogram: &Histogram, name: &str) -> Chart {
    let (_, log, ..) = options;
    let top = histogram.counts.iter().copied().max().unwrap_or(0);
    let height = |&count: &u64| if log { log_count(count) } else { count as f64 };
    let place = |value: f64| histogram.scale.place(value);
    let rules = match (summary.statistics.mean, summary.statistics.std) {
        (Some(mean), Some(std)) if std > 0.0 => vec![
            (place(mean - std), "−σ".to_owned()),
            (place(mean), "μ".to_owned()),
            (place(mean + std), "+σ".to_owned()),
        ],
        _ => Vec::new(),
    };
    Chart {
        title: format!("Histogram of {}", text::escape(name)),
        x: Axis::on_scale(histogram.scale, histogram.lo, histogram.hi),
        y: if log { Axis::log_counts(top) } else { Axis::from_zero(top as f64, short_count) },
        marks: Marks::Bars(histogram.counts.iter().map(|count| (0.0, height(count))).collect()),
        rules,
    }
}

fn bin_note(histogram: &Histogram, bin: usize) -> String {
    let (from, to) = histogram.edges(bin);
    let count = histogram.counts.get(bin).copied().unwrap_or(0);
    let all: u64 = histogram.counts.iter().sum::<u64>() + histogram.below + histogram.above;
    let share = count as f64 / all.max(1) as f64 * 100.0;
    format!("{} … {}\n{} values · {share:.2} %", text::number(from), text::number(to), text::count(count))
}

/// Says what the range leaves out.
fn outside_ui(ui: &mut Ui, ctx: &ViewContext<'_>, histogram: &Histogram) {
    if histogram.below + histogram.above > 0 {
        let line = format!(
            "{} values below and {} above this range",
            text::short_count(histogram.below),
            text::short_count(histogram.above)
        );
        ui.label(RichText::new(line).font(theme::label()).color(ctx.theme.text_second));
    }
}

fn copies_ui(ui: &mut Ui, ctx: &ViewContext<'_>, histogram: &Histogram, chart: &Chart, name: &str) {
    if ui.button("Save as SVG…").clicked() {
        ctx.commands.send(Command::SavePicture {
            name: format!("{} histogram.svg", super::parts::file_name(name)),
            picture: chart.svg(720.0, 360.0),
        });
        ui.close();
    }
    if ui.button("Copy counts as text").clicked() {
        let lines = histogram.counts.iter().enumerate().map(|(bin, count)| {
            let (from, to) = histogram.edges(bin);
            format!("{from:e}\t{to:e}\t{count}")
        });
        let lines: Vec<String> = std::iter::once("from\tto\tcount".to_owned()).chain(lines).collect();
        let text = lines.join("\n") + "\n";
        ctx.commands.send(Command::Copy { what: "histogram", text });
        ui.close();
    }
}

/// Bins, scales and clipping. From right to left.
pub(in crate::ui) fn controls_ui(ui: &mut Ui, ctx: &ViewContext<'_>) {
    let (bins, log, scale, clip) = options(&ctx.state.settings);
    ui.spacing_mut().item_spacing.x = 4.0;
    let name = |response: &egui::Response, text: String| {
        response.widget_info(|| WidgetInfo::labeled(Role::ComboBox, true, &text));
    };
    let menu = ComboBox::from_id_salt("axes").width(58.0).selected_text("Axes").show_ui(ui, |ui| {
        let mut log = log;
        if ui.checkbox(&mut log, "Logarithmic counts").changed() {
            ctx.commands.send(Command::SetHistogramLog(log));
        }
        let mut symlog = scale == ValueScale::Symlog;
        if ui.checkbox(&mut symlog, "Logarithmic values").changed() {
            let scale = if symlog { ValueScale::Symlog } else { ValueScale::Linear };
            ctx.commands.send(Command::SetHistogramScale(scale));
        }
    });
    name(&menu.response, "Axes of the histogram".to_owned());
    let menu = ComboBox::from_id_salt("clip").width(78.0).selected_text(clip.label()).show_ui(ui, |ui| {
        for choice in Clip::ALL {
            if ui.selectable_label(choice == clip, choice.label()).clicked() {
                ctx.commands.send(Command::SetHistogramClip(choice));
            }
        }
    });
    name(&menu.response, format!("Values of the histogram: {}", clip.label()));
    let menu = ComboBox::from_id_salt("bins").width(40.0).selected_text(bins.to_string()).show_ui(ui, |ui| {
        for choice in BIN_CHOICES {
            if ui.selectable_label(choice == bins, format!("{choice} bins")).clicked() {
                ctx.commands.send(Command::SetHistogramBins(choice));
            }
        }
    });
    name(&menu.response, format!("Bins of the histogram: {bins}"));
}

fn cells(summary: &ValueSummary) -> Vec<Cell> {
    let statistics = &summary.statistics;
    let measured = |label, value: Option<f64>| Cell {
        label,
        value: value.map_or_else(|| "–".to_owned(), text::number),
        exact: value.map_or_else(|| "not defined for these values".to_owned(), |value| format!("{value:e}")),
        alarming: false,
    };
    let counted = |label, count: u64, what: &str| Cell {
        label,
        value: share(count, statistics.count),
        exact: format!("{} {what}", text::count(count)),
        alarming: false,
    };
    let infinite = statistics.infinite();
    let quantile = |q| summary.values.quantile(q);
    let (more, distinct) = match statistics.distinct {
        Distinct::Exactly(count) => ("", count),
        Distinct::AtLeast(count) => ("≥ ", count),
    };
    let mut cells = vec![
        measured("min", statistics.min),
        measured("max", statistics.max),
        measured("mean", statistics.mean),
        measured("std", statistics.std),
        measured("L2 norm", (statistics.finite > 0).then_some(statistics.l2)),
        counted("zeros", statistics.zeros, "zeros"),
        Cell {
            label: "NaN / Inf",
            value: format!("{} / {}", text::short_count(statistics.nan), text::short_count(infinite)),
            exact: format!(
                "{} NaN, {} +∞, {} −∞",
                text::count(statistics.nan),
                text::count(statistics.positive_infinity),
                text::count(statistics.negative_infinity)
            ),
            alarming: statistics.nan + infinite > 0,
        },
        measured("median", quantile(0.5)),
        measured("1 %", quantile(0.01)),
        measured("99 %", quantile(0.99)),
        measured("skewness", statistics.skewness),
        measured("kurtosis", statistics.kurtosis),
        measured("L1 norm", (statistics.finite > 0).then_some(statistics.l1)),
        measured("max |x|", statistics.max_abs()),
        Cell {
            label: "distinct",
            value: format!("{more}{}", text::short_count(distinct)),
            exact: format!("{more}{} different values", text::count(distinct)),
            alarming: false,
        },
        counted("denormal", statistics.denormals, "values too small for full precision"),
    ];
    if let Some(saturated) = statistics.saturated {
        cells.push(counted("saturated", saturated, "values at the largest number of the type"));
    }
    cells
}

/// A part of a whole as a percentage; never rounded to none or all.
fn share(part: u64, whole: u64) -> String {
    match part {
        0 => "0".to_owned(),
        part if part == whole => "100 %".to_owned(),
        part => format!("{:.1} %", (part as f64 / whole as f64 * 100.0).clamp(0.1, 99.9)),
    }
}
