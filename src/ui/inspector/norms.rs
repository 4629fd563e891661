//! Lengths of rows and columns: dead units, and those far above the others.

use std::sync::Arc;

use egui::{RichText, Ui};

use super::parts::{Cell, Copies, Of, card_head_ui, grid_ui, remember_rect};
use crate::jobs::look::Lengths;
use crate::jobs::{JobKey, Loadable, Look, LookKey, Looked};
use crate::state::Command;
use crate::state::chart::{Axis, Chart, Marks, short_count};
use crate::text;
use crate::ui::chart::chart_ui;
use crate::ui::widgets::{failed_ui, loading_ui};
use crate::ui::{ViewContext, theme};

/// Norms, made ready to draw when they change.
#[derive(Default)]
pub(super) struct NormsView {
    shown: Option<(LookKey, Arc<Looked>, Vec<Side>)>,
}

/// Rows, or columns.
struct Side {
    title: &'static str,
    lengths: Lengths,
    chart: Chart,
    cells: Vec<Cell>,
}

impl NormsView {
    /// Draws the cards.
    pub(super) fn ui(&mut self, ui: &mut Ui, ctx: &ViewContext<'_>, key: LookKey, of: &Of<'_>) {
        debug_assert!(key.look == Look::Norms);
        match ctx.state.looks.get(&key) {
            Loadable::NotRequested => ctx.commands.send(Command::Look(key)),
            Loadable::Pending { since, .. } => {
                if loading_ui(ui, ctx.theme, "Reading values…", *since) {
                    ctx.commands.send(Command::Cancel(JobKey::Look(key)));
                }
                if self.shown.is_some() {
                    ui.set_opacity(0.45);
                }
            }
            Loadable::Failed { error, .. } => {
                self.shown = None;
                if failed_ui(ui, ctx.theme, "The norms could not be computed", error) {
                    ctx.commands.send(Command::LookAgain(key));
                }
            }
            Loadable::Ready(looked) => {
                if self.shown.as_ref().is_none_or(|(shown, ..)| *shown != key)
                    && let Looked::Norms(norms) = &**looked
                {
                    let rows = Side::new("Rows", "row", &norms.rows, of.name);
                    let columns = norms
                        .columns
                        .as_ref()
                        .map(|columns| Side::new("Columns", "column", columns, of.name));
                    let sides = std::iter::once(rows).chain(columns).collect();
                    self.shown = Some((key, looked.clone(), sides));
                }
            }
        }
        let Some((_, looked, sides)) = &self.shown else { return };
        for side in sides {
            side.ui(ui, ctx, of);
            ui.add_space(theme::STEP);
        }
        let mut notes = vec![
            "A row is everything at one index of the first axis, a column at one index of the others together.",
        ];
        if let Looked::Norms(norms) = &**looked {
            if norms.columns.is_none() {
                notes.push("There are too many columns to keep their norms.");
            }
            if norms.non_finite > 0 {
                notes.push("NaN and infinite values are left out.");
            }
        }
        ui.label(RichText::new(notes.join(" ")).font(theme::label()).color(ctx.theme.text_second));
    }
}

impl Side {
    fn new(title: &'static str, one: &str, lengths: &Lengths, name: &str) -> Self {
        let top = lengths.max.max(f64::MIN_POSITIVE);
        let chart = Chart {
            title: format!("L2 norm of each {one} of {}", text::escape(name)),
            x: Axis::between(0.0, lengths.count.max(1) as f64, 5.0),
            y: Axis::from_zero(top, text::number),
            // From the smallest to the largest where several share a bar; one alone stands on the ground.
            marks: Marks::Bars(
                lengths
                    .bars
                    .iter()
                    .map(|&(low, high)| (if lengths.per_bar == 1 { 0.0 } else { low * 0.98 }, high))
                    .collect(),
            ),
            rules: Vec::new(),
        };
        let chart = Chart { x: with_counts(chart.x), ..chart };
        let measured = |label, value: f64| Cell {
            label,
            value: text::number(value),
            exact: format!("{value:e}"),
            alarming: false,
        };
        let listed = |indices: &[u64], all: u64| {
            let mut text: Vec<String> = indices.iter().map(u64::to_string).collect();
            if all > indices.len() as u64 {
                text.push("…".to_owned());
            }
            text.join(", ")
        };
        let cells = vec![
            Cell {
                label: "count",
                value: text::short_count(lengths.count),
                exact: text::count(lengths.count),
                alarming: false,
            },
            measured("smallest", lengths.min),
            measured("median", lengths.median),
            measured("largest", lengths.max),
            Cell {
                label: "dead",
                value: text::short_count(lengths.dead),
                exact: format!(
                    "Norm of zero, or below {} of the median: {}",
                    text::number(Lengths::DEAD),
                    listed(&lengths.first_dead, lengths.dead)
                ),
                alarming: false,
            },
            Cell {
                label: "far above",
                value: text::short_count(lengths.high),
                exact: format!("More than {} times the median", text::number(Lengths::HIGH)),
                alarming: false,
            },
        ];
        Self { title, lengths: lengths.clone(), chart, cells }
    }

    fn ui(&self, ui: &mut Ui, ctx: &ViewContext<'_>, of: &Of<'_>) {
        let (what, axis) = if self.title == "Rows" { ("row norms", 1) } else { ("column norms", 0) };
        let card = ctx.theme.card().show(ui, |ui| {
            let text = || self.text();
            let python = || {
                format!(
                    "{}matrix = values.reshape(values.shape[0], -1)\nnorms = np.linalg.norm(matrix, axis={axis})\n",
                    of.numpy()
                )
            };
            let svg = || self.chart.svg(720.0, 320.0);
            let copies = Copies { text: Some(&text), python: Some(&python), svg: Some(&svg) };
            card_head_ui(ui, ctx, self.title, (of.name, what), &copies, |_| {});
            chart_ui(ui, ctx.theme, &self.chart, 132.0, |bar| self.note(bar));
            grid_ui(ui, ctx, &self.cells, 72.0);
            let line = |ui: &mut Ui, text: String, color| {
                ui.add(egui::Label::new(RichText::new(text).font(theme::label()).color(color)).wrap());
            };
            if self.lengths.dead > 0 {
                let first: Vec<String> = self.lengths.first_dead.iter().map(u64::to_string).collect();
                let more = if self.lengths.dead > first.len() as u64 { ", …" } else { "" };
                line(ui, format!("Dead: {}{more}", first.join(", ")), ctx.theme.partner);
            }
            if self.lengths.high > 0 {
                let highest: Vec<String> = self
                    .lengths
                    .highest
                    .iter()
                    .map(|(index, norm)| format!("{index} ({})", text::number(*norm)))
                    .collect();
                let more = if self.lengths.high > highest.len() as u64 { ", …" } else { "" };
                line(ui, format!("Far above: {}{more}", highest.join(", ")), ctx.theme.partner);
            }
        });
        remember_rect(ui, what, card.response.rect);
    }

    /// Lines with tabs: the indices of each bar with the smallest and the largest norm among them.
    fn text(&self) -> String {
        let mut text = "first\tlast\tsmallest\tlargest\n".to_owned();
        for (bar, (low, high)) in self.lengths.bars.iter().enumerate() {
            let (first, last) = self.indices(bar);
            text.push_str(&format!("{first}\t{last}\t{low:?}\t{high:?}\n"));
        }
        text
    }

    /// The first and the last index of a bar.
    fn indices(&self, bar: usize) -> (u64, u64) {
        let first = bar as u64 * self.lengths.per_bar;
        (first, (first + self.lengths.per_bar).min(self.lengths.count).saturating_sub(1))
    }

    fn note(&self, bar: usize) -> String {
        let (low, high) = self.lengths.bars.get(bar).copied().unwrap_or_default();
        let (first, last) = self.indices(bar);
        if first == last {
            format!("{first}: {}", text::number(high))
        } else {
            format!("{first} … {last}: {} … {}", text::number(low), text::number(high))
        }
    }
}

/// Indices along an axis, as short counts.
fn with_counts(axis: Axis) -> Axis {
    let ticks = axis.ticks.into_iter().map(|(place, _)| (place, short_count(place)));
    Axis { ticks: ticks.filter(|(_, text)| !text.is_empty()).collect(), ..axis }
}
