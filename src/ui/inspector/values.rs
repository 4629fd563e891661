//! Statistics and histogram of what is selected.

use std::sync::Arc;

use egui::{Popup, PopupCloseBehavior, RichText, Role, Ui, WidgetInfo};

use super::parts::{Cell, Copies, Of, card_head_ui, grid_ui, remember_rect, title_ui};
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
const HEIGHT: f32 = 180.0;

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
                        shown.ui(ui, ctx, checkpoint, name);
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
                    shown.ui(ui, ctx, checkpoint, name);
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

    fn ui(&self, ui: &mut Ui, ctx: &ViewContext<'_>, checkpoint: &Checkpoint, name: &str) {
        // Python is about a tensor; for a group there is no short way.
        let of = match self.key.subject {
            Subject::Tensor(id) if id.index() < checkpoint.tensors().len() => {
                Some(Of { checkpoint, id, name })
            }
            _ => None,
        };
        let card = ctx.theme.card().show(ui, |ui| {
            let text = || {
                let lines: Vec<String> =
                    self.cells.iter().map(|cell| format!("{}\t{}", cell.label, cell.exact)).collect();
                lines.join("\n") + "\n"
            };
            let python = || of.map_or_else(String::new, |of| python_statistics(&of));
            let copies = Copies { text: Some(&text), python: of.is_some().then_some(&python), svg: None };
            card_head_ui(ui, ctx, "Statistics", (name, "statistics"), &copies, |_| {});
            grid_ui(ui, ctx, &self.cells, 72.0);
            for left_out in &self.summary.left_out {
                let line = format!("Left out {}", text::escape(left_out));
                ui.label(RichText::new(line).font(theme::label()).color(ctx.theme.partner));
            }
        });
        remember_rect(ui, "statistics", card.response.rect);
        ui.add_space(theme::STEP);
        let card = ctx.theme.card().show(ui, |ui| {
            let histogram = self.histogram.as_ref();
            let text = || histogram.map_or_else(String::new, |(histogram, _)| counts_text(histogram));
            let python = || {
                of.zip(histogram)
                    .map_or_else(String::new, |(of, (histogram, _))| python_histogram(&of, histogram))
            };
            let svg = || histogram.map_or_else(String::new, |(_, chart)| chart.svg(720.0, 360.0));
            let some = histogram.is_some();
            let copies = Copies {
                text: some.then_some(&text),
                python: (some && of.is_some()).then_some(&python),
                svg: some.then_some(&svg),
            };
            card_head_ui(ui, ctx, "Histogram", (name, "histogram"), &copies, |ui| controls_ui(ui, ctx));
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
        remember_rect(ui, "histogram", card.response.rect);
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

/// Lines with tabs: the edges of each bin and its count.
fn counts_text(histogram: &Histogram) -> String {
    let lines = histogram.counts.iter().enumerate().map(|(bin, count)| {
        let (from, to) = histogram.edges(bin);
        format!("{from:e}\t{to:e}\t{count}")
    });
    let lines: Vec<String> = std::iter::once("from\tto\tcount".to_owned()).chain(lines).collect();
    lines.join("\n") + "\n"
}

fn python_statistics(of: &Of<'_>) -> String {
    format!(
        "{}finite = values[np.isfinite(values)].astype(np.float64)\n\
         print(\"min\", finite.min(), \"max\", finite.max(), \"mean\", finite.mean(), \"std\", finite.std())\n\
         print(\"L2 norm\", np.linalg.norm(finite), \"zeros\", (finite == 0).sum())\n\
         print(\"NaN\", np.isnan(values).sum(), \"Inf\", np.isinf(values).sum())\n\
         print(\"1 %, median, 99 %\", np.quantile(finite, [0.01, 0.5, 0.99]))\n",
        of.numpy()
    )
}

fn python_histogram(of: &Of<'_>, histogram: &Histogram) -> String {
    let bins = histogram.counts.len();
    let edges = if histogram.scale == Scale::Linear {
        format!("bins={bins}, range=({:e}, {:e})", histogram.lo, histogram.hi)
    } else {
        let last = bins.checked_sub(1).map(|bin| histogram.edges(bin).1);
        let edges = (0..bins).map(|bin| histogram.edges(bin).0).chain(last);
        format!("bins=[{}]", edges.map(|edge| format!("{edge:e}")).collect::<Vec<_>>().join(", "))
    };
    format!("{}counts, edges = np.histogram(values[np.isfinite(values)], {edges})\n", of.numpy())
}

/// Bins, scales and clipping: in words, which open the choices.
pub(in crate::ui) fn controls_ui(ui: &mut Ui, ctx: &ViewContext<'_>) {
    let (bins, log, scale, clip) = options(&ctx.state.settings);
    let symlog = scale == ValueScale::Symlog;
    // Where room is scarce, what is usual goes without saying.
    let roomy = ui.available_width() > 210.0;
    let parts = [
        (true, format!("{bins} bins")),
        (log || roomy, if log { "log counts" } else { "linear counts" }.to_owned()),
        (symlog, "log values".to_owned()),
        (clip != Clip::None || roomy, clip.label().to_owned()),
    ];
    let words: Vec<String> = parts.into_iter().filter(|(said, _)| *said).map(|(_, words)| words).collect();
    let words = words.join(" · ");
    let text = RichText::new(&words).font(theme::label()).color(ctx.theme.text_second);
    let response = ui.add(egui::Button::new(text).frame_when_inactive(false).truncate());
    response
        .widget_info(|| WidgetInfo::labeled(Role::ComboBox, true, format!("Bins of the histogram: {words}")));
    Popup::menu(&response).close_behavior(PopupCloseBehavior::CloseOnClickOutside).show(|ui| {
        let line = |ui: &mut Ui, name: &str, choices: &[(bool, String, Command)]| {
            ui.label(RichText::new(name).font(theme::label()).color(ctx.theme.text_second));
            ui.horizontal(|ui| {
                ui.spacing_mut().item_spacing.x = 2.0;
                for (chosen, label, command) in choices {
                    let response = ui.selectable_label(*chosen, label);
                    response.widget_info(|| {
                        WidgetInfo::selected(Role::RadioButton, true, *chosen, format!("{name}: {label}"))
                    });
                    if response.clicked() {
                        ctx.commands.send(command.clone());
                    }
                }
            });
        };
        line(
            ui,
            "Bins",
            &BIN_CHOICES
                .map(|choice| (choice == bins, choice.to_string(), Command::SetHistogramBins(choice))),
        );
        line(
            ui,
            "Counts",
            &[(false, "linear"), (true, "logarithmic")]
                .map(|(choice, label)| (choice == log, label.to_owned(), Command::SetHistogramLog(choice))),
        );
        let scales = [(ValueScale::Linear, "linear"), (ValueScale::Symlog, "logarithmic")];
        line(
            ui,
            "Values",
            &scales.map(|(choice, label)| {
                (choice == scale, label.to_owned(), Command::SetHistogramScale(choice))
            }),
        );
        line(
            ui,
            "Range",
            &Clip::ALL
                .map(|choice| (choice == clip, choice.label().to_owned(), Command::SetHistogramClip(choice))),
        );
    });
    response.on_hover_text("Click to change bins, scales and range");
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
