//! Singular values, computed when asked for: they take long.

use std::sync::Arc;

use egui::{RichText, Ui};

use super::parts::{Cell, Copies, Of, card_head_ui, grid_ui, remember_rect, title_ui};
use crate::analysis::spectrum::{Method, Spectrum};
use crate::jobs::{JobKey, Loadable, Look, LookKey, Looked};
use crate::state::Command;
use crate::state::chart::{Axis, Chart, Marks, short_count};
use crate::text;
use crate::ui::chart::chart_ui;
use crate::ui::widgets::{failed_ui, loading_ui, primary_button_ui};
use crate::ui::{ViewContext, theme};

/// Points of the curve, at most.
const POINTS: usize = 512;

/// The spectrum, made ready to draw when it changes.
#[derive(Default)]
pub(super) struct SpectrumView {
    shown: Option<(LookKey, Shown)>,
}

struct Shown {
    looked: Arc<Looked>,
    chart: Chart,
    /// Index and singular value of each point.
    points: Vec<(usize, f64)>,
    cells: Vec<Cell>,
    note: String,
}

impl SpectrumView {
    /// Draws the card.
    pub(super) fn ui(&mut self, ui: &mut Ui, ctx: &ViewContext<'_>, key: LookKey, dims: &[u64], of: &Of<'_>) {
        debug_assert!(key.look == Look::Spectrum);
        if self.shown.as_ref().is_some_and(|(shown, _)| *shown != key) {
            self.shown = None;
        }
        let card = ctx.theme.card().show(ui, |ui| {
            ui.set_width(ui.available_width());
            match ctx.state.looks.get(&key) {
                Loadable::NotRequested => ask_ui(ui, ctx, key, dims),
                Loadable::Pending { since, .. } => {
                    title_ui(ui, ctx, "Spectrum");
                    if loading_ui(ui, ctx.theme, "Computing singular values…", *since) {
                        ctx.commands.send(Command::Cancel(JobKey::Look(key)));
                    }
                }
                Loadable::Failed { error, .. } => {
                    if failed_ui(ui, ctx.theme, "There is no spectrum", error) {
                        ctx.commands.send(Command::LookAgain(key));
                    }
                }
                Loadable::Ready(looked) => {
                    if self.shown.is_none()
                        && let Looked::Spectrum(spectrum) = &**looked
                    {
                        self.shown = Some((key, Shown::new(spectrum, looked, of.name)));
                    }
                    if let Some((_, shown)) = &self.shown {
                        shown.ui(ui, ctx, of);
                    }
                }
            }
        });
        remember_rect(ui, "spectrum", card.response.rect);
    }
}

fn ask_ui(ui: &mut Ui, ctx: &ViewContext<'_>, key: LookKey, dims: &[u64]) {
    title_ui(ui, ctx, "Spectrum");
    let (rows, columns) = crate::analysis::norms::matrix_shape(dims);
    if dims.len() < 2 || rows < 2 || columns < 2 {
        let text = "A spectrum needs a matrix: two dimensions or more, each of at least two.";
        ui.label(RichText::new(text).color(ctx.theme.text_second));
        return;
    }
    let text = format!(
        "Singular values of the matrix of {} rows and {} columns: the first axis against all others.",
        text::count(rows),
        text::count(columns)
    );
    ui.label(RichText::new(text).color(ctx.theme.text_second));
    if primary_button_ui(ui, ctx.theme, "Compute spectrum").clicked() {
        ctx.commands.send(Command::Look(key));
    }
}

impl Shown {
    fn new(spectrum: &Spectrum, looked: &Arc<Looked>, name: &str) -> Self {
        let values = &spectrum.singular_values;
        let most = values.first().copied().unwrap_or(0.0);
        // Rounding leaves values that mean zero; a logarithm has no place for them.
        let floor = (most * 1e-9).max(f64::MIN_POSITIVE);
        let every = values.len().div_ceil(POINTS).max(1);
        let points: Vec<(usize, f64)> = values
            .iter()
            .copied()
            .enumerate()
            .filter(|(index, value)| *value > floor && (index % every == 0 || index + 1 == values.len()))
            .collect();
        let least = points.last().map_or(floor, |(_, value)| *value);
        let mut x = Axis::between(0.0, values.len().saturating_sub(1).max(1) as f64, 5.0);
        x.ticks.iter_mut().for_each(|(place, text)| *text = short_count(*place));
        x.ticks.retain(|(_, text)| !text.is_empty());
        let chart = Chart {
            title: format!("Singular values of {}", text::escape(name)),
            x,
            y: Axis::log_between(least, most.max(least)),
            marks: Marks::Line(points.iter().map(|&(index, value)| (index as f64, value.log10())).collect()),
            rules: Vec::new(),
        };
        Self { looked: looked.clone(), chart, points, cells: cells(spectrum), note: note(spectrum) }
    }

    fn ui(&self, ui: &mut Ui, ctx: &ViewContext<'_>, of: &Of<'_>) {
        let text = || {
            let Looked::Spectrum(spectrum) = &*self.looked else { return String::new() };
            spectrum.singular_values.iter().map(|value| format!("{value:?}\n")).collect()
        };
        let python = || {
            format!(
                "{}matrix = values.reshape(values.shape[0], -1)\nsingular_values = np.linalg.svd(matrix, compute_uv=False)\n",
                of.numpy()
            )
        };
        let svg = || self.chart.svg(720.0, 360.0);
        let copies = Copies { text: Some(&text), python: Some(&python), svg: Some(&svg) };
        card_head_ui(ui, ctx, "Spectrum", (of.name, "spectrum"), &copies, |_| {});
        chart_ui(ui, ctx.theme, &self.chart, 220.0, |point| {
            let (index, value) = self.points.get(point).copied().unwrap_or_default();
            format!("σ{index} = {}", text::number(value))
        });
        grid_ui(ui, ctx, &self.cells, 108.0);
        ui.label(RichText::new(&self.note).font(theme::label()).color(ctx.theme.text_second));
    }
}

fn cells(spectrum: &Spectrum) -> Vec<Cell> {
    let cell = |label, value: Option<f64>, why: &str| Cell {
        label,
        value: value.map_or_else(|| "–".to_owned(), text::number),
        exact: value.map_or_else(|| why.to_owned(), |value| format!("{value:e}\n{why}")),
        alarming: false,
    };
    let alpha = spectrum.power_law.map(|law| law.alpha);
    let law = spectrum.power_law.map_or_else(
        || "There are too few values for a fit of a power law".to_owned(),
        |law| {
            format!(
                "Exponent of a power law in the tail of the eigenvalues of the Gram matrix, ± {}; {} values in the tail, distance {}",
                text::number(law.alpha_error),
                text::count(law.tail as u64),
                text::number(law.distance)
            )
        },
    );
    let all = "Known only where all singular values are";
    vec![
        cell("spectral norm", Some(spectrum.spectral_norm), "The largest singular value"),
        cell("Frobenius norm", Some(spectrum.frobenius_norm), "Root of the sum of squares of all values"),
        cell("stable rank", Some(spectrum.stable_rank), "How many directions carry the energy"),
        cell("effective rank", spectrum.effective_rank, all),
        cell("condition", spectrum.condition, all),
        cell("power law α", alpha, &law),
    ]
}

fn note(spectrum: &Spectrum) -> String {
    let size = format!("{} × {}", text::count(spectrum.rows), text::count(spectrum.columns));
    match spectrum.method {
        Method::Exact => format!("{size} matrix, all {} singular values", spectrum.singular_values.len()),
        Method::Randomized { unexplained, largest_error, smallest_error } => format!(
            "{size} matrix, the largest {} singular values by a random projection; {:.2} % of the energy is not explained; \
             estimated error {} (largest) to {} (smallest)",
            spectrum.singular_values.len(),
            unexplained * 100.0,
            text::number(largest_error),
            text::number(smallest_error)
        ),
    }
}
