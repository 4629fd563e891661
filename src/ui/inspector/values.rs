//! Statistics and histogram of what is selected.

use std::sync::Arc;

use egui::{ComboBox, RichText, Role, Ui, WidgetInfo};

use super::parts::{Cell, grid_ui, title_ui};
use crate::analysis::Histogram;
use crate::jobs::{JobKey, Loadable, StatisticsKey, Subject, ValueSummary};
use crate::model::Checkpoint;
use crate::state::{Command, statistics_key};
use crate::text;
use crate::ui::histogram::{BIN_CHOICES, histogram_ui};
use crate::ui::widgets::{failed_ui, loading_ui};
use crate::ui::{ViewContext, theme};

/// Statistics and histogram, made ready to draw when they change.
#[derive(Default)]
pub(super) struct ValuesView {
    shown: Option<Shown>,
}

/// A summary made ready to draw.
struct Shown {
    key: StatisticsKey,
    bins: usize,
    summary: Arc<ValueSummary>,
    histogram: Option<Histogram>,
    cells: Vec<Cell>,
}

impl ValuesView {
    /// Statistics and histogram of what is selected, in each of the four states.
    pub(super) fn ui(&mut self, ui: &mut Ui, ctx: &ViewContext<'_>, checkpoint: &Checkpoint) {
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
                ctx.theme.card().show(ui, |ui| {
                    ui.set_width(ui.available_width());
                    ui.set_min_height(84.0);
                    if loading_ui(ui, ctx.theme, "Reading values…", *since) {
                        ctx.commands.send(Command::Cancel(JobKey::Statistics(key)));
                    }
                });
            }
            Loadable::Ready(summary) => self.ready_ui(ui, ctx, key, summary),
        }
    }

    fn ready_ui(
        &mut self,
        ui: &mut Ui,
        ctx: &ViewContext<'_>,
        key: StatisticsKey,
        summary: &Arc<ValueSummary>,
    ) {
        let bins = ctx.state.settings.histogram_bins;
        let current = self.shown.as_ref().is_some_and(|shown| {
            shown.key == key && shown.bins == bins && Arc::ptr_eq(&shown.summary, summary)
        });
        if !current {
            self.shown = Some(Shown::new(key, bins, summary));
        }
        let Some(shown) = &self.shown else { return };
        ctx.theme.card().show(ui, |ui| {
            grid_ui(ui, ctx, &shown.cells, 72.0);
            for left_out in &summary.left_out {
                let line = format!("Left out {}", text::escape(left_out));
                ui.label(RichText::new(line).font(theme::label()).color(ctx.theme.partner));
            }
        });
        ui.add_space(theme::STEP);
        ctx.theme.card().show(ui, |ui| {
            ui.horizontal(|ui| {
                title_ui(ui, ctx, "Histogram");
                ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                    let mut log = ctx.state.settings.histogram_log;
                    if ui.checkbox(&mut log, "log counts").changed() {
                        ctx.commands.send(Command::SetHistogramLog(log));
                    }
                    let combo =
                        ComboBox::from_id_salt("bins").width(78.0).selected_text(format!("{bins} bins"));
                    let response = combo.show_ui(ui, |ui| {
                        for choice in BIN_CHOICES {
                            if ui.selectable_label(choice == bins, format!("{choice} bins")).clicked() {
                                ctx.commands.send(Command::SetHistogramBins(choice));
                            }
                        }
                    });
                    response.response.widget_info(|| {
                        WidgetInfo::labeled(Role::ComboBox, true, format!("Bins of the histogram: {bins}"))
                    });
                });
            });
            if let Some(histogram) = &shown.histogram {
                let log = ctx.state.settings.histogram_log;
                histogram_ui(ui, ctx.theme, histogram, &summary.statistics, log);
            } else {
                let why = if summary.statistics.count == 0 {
                    "There are no elements to count"
                } else {
                    "There are no finite numbers to count"
                };
                ui.label(RichText::new(why).color(ctx.theme.text_second));
            }
        });
    }
}

impl Shown {
    fn new(key: StatisticsKey, bins: usize, summary: &Arc<ValueSummary>) -> Self {
        let statistics = &summary.statistics;
        let histogram = match (statistics.min, statistics.max) {
            (Some(lo), Some(hi)) if lo < hi => Some(summary.values.histogram(lo, hi, bins)),
            // All values equal: one bar of its own.
            (Some(lo), Some(_)) => {
                let half = if lo == 0.0 { 0.5 } else { lo.abs() * 0.5 };
                Some(Histogram { lo: lo - half, hi: lo + half, counts: vec![0, statistics.finite, 0] })
            }
            _ => None,
        };
        let measured = |label, value: Option<f64>| Cell {
            label,
            value: value.map_or_else(|| "–".to_owned(), text::number),
            exact: value
                .map_or_else(|| "not defined for these values".to_owned(), |value| format!("{value:e}")),
            alarming: false,
        };
        let infinite = statistics.positive_infinity + statistics.negative_infinity;
        let zeros = if statistics.count > 0 && statistics.zeros > 0 {
            let percent = statistics.zeros as f64 / statistics.count as f64 * 100.0;
            if percent >= 99.95 { "100 %".to_owned() } else { format!("{percent:.1} %") }
        } else {
            "0".to_owned()
        };
        let quantile = |q| summary.values.quantile(q);
        let cells = vec![
            measured("min", statistics.min),
            measured("max", statistics.max),
            measured("mean", statistics.mean),
            measured("std", statistics.std),
            measured("L2 norm", (statistics.finite > 0).then_some(statistics.l2)),
            Cell {
                label: "zeros",
                value: zeros,
                exact: format!("{} zeros", text::count(statistics.zeros)),
                alarming: false,
            },
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
        ];
        Self { key, bins, summary: summary.clone(), histogram, cells }
    }
}
