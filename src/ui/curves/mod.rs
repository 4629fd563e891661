//! The Curves page: curves of logs and checkpoints, checkpoints ranked by a metric, and how layers moved.

mod best;
mod drift;
mod histograms;
mod list;
mod plot;

use egui::{Align, CentralPanel, Frame, Layout, Margin, Panel, RichText, Ui, UiBuilder, WidgetInfo};

use super::widgets::{failed_ui, loading_ui, primary_button_ui, tabs_ui};
use super::{ViewContext, theme};
use crate::jobs::{JobKey, Loadable};
use crate::model::Severity;
use crate::state::curves::{CurvesState, CurvesTab};
use crate::state::session::display_name;
use crate::state::{Command, CurvesChange};
use crate::text;

/// Height of the bar that says from where.
const SOURCE_HEIGHT: f32 = 40.0;
/// Height of the line of tabs.
const TABS_HEIGHT: f32 = 34.0;

/// The page, with its passing state.
#[derive(Default)]
pub struct CurvesView {
    plot: plot::PlotView,
    histograms: histograms::HistogramsView,
    best: best::BestView,
}

impl CurvesView {
    /// Draws the page.
    pub fn ui(&mut self, ui: &mut Ui, ctx: &ViewContext<'_>) {
        let curves = &ctx.state.curves;
        let bar = Frame::new().fill(ctx.theme.window).inner_margin(Margin::symmetric(12, 0));
        Panel::top("curves_source")
            .exact_size(SOURCE_HEIGHT)
            .resizable(false)
            .frame(bar)
            .show(ui, |ui| source_ui(ui, ctx));
        let ready = curves.gathered.value().filter(|gathered| !gathered.is_empty());
        if ready.is_none() {
            CentralPanel::default().frame(Frame::new().fill(ctx.theme.window)).show(ui, |ui| {
                Frame::new().inner_margin(Margin::same(24)).show(ui, |ui| nothing_yet_ui(ui, ctx));
            });
            return;
        }
        Panel::top("curves_tabs")
            .exact_size(TABS_HEIGHT)
            .resizable(false)
            .show_separator_line(false)
            .frame(bar)
            .show(ui, |ui| tab_line_ui(ui, ctx));
        match curves.tab {
            CurvesTab::Curves => {
                Panel::left("curves_list")
                    .default_size(270.0)
                    .size_range(180.0..=420.0)
                    .resizable(true)
                    .frame(Frame::new().fill(ctx.theme.panel))
                    .show(ui, |ui| list::list_ui(ui, ctx, self.plot.under_pointer()));
                CentralPanel::default()
                    .frame(Frame::new().fill(ctx.theme.window).inner_margin(Margin::symmetric(8, 4)))
                    .show(ui, |ui| self.plot.ui(ui, ctx));
            }
            CurvesTab::Histograms => {
                Panel::left("curves_histograms")
                    .default_size(270.0)
                    .size_range(180.0..=420.0)
                    .resizable(true)
                    .frame(Frame::new().fill(ctx.theme.panel))
                    .show(ui, |ui| list::histograms_ui(ui, ctx));
                CentralPanel::default()
                    .frame(Frame::new().fill(ctx.theme.window).inner_margin(Margin::symmetric(8, 4)))
                    .show(ui, |ui| self.histograms.ui(ui, ctx));
            }
            CurvesTab::Best => {
                CentralPanel::default()
                    .frame(Frame::new().fill(ctx.theme.window).inner_margin(Margin::symmetric(16, 8)))
                    .show(ui, |ui| self.best.ui(ui, ctx));
            }
            CurvesTab::Drift => {
                CentralPanel::default()
                    .frame(Frame::new().fill(ctx.theme.window).inner_margin(Margin::symmetric(16, 8)))
                    .show(ui, |ui| drift::drift_ui(ui, ctx));
            }
        }
    }
}

fn send(ctx: &ViewContext<'_>, change: CurvesChange) {
    ctx.commands.send(Command::Curves(change));
}

/// From where the curves are, and from where else they could be.
fn source_ui(ui: &mut Ui, ctx: &ViewContext<'_>) {
    let curves = &ctx.state.curves;
    ui.horizontal_centered(|ui| {
        let name = curves.paths.first().map_or_else(|| "Curves".to_owned(), |path| display_name(path));
        ui.label(RichText::new(name).font(theme::title(14.0)).color(ctx.theme.text_strong)).on_hover_text(
            curves.paths.first().map(|path| path.to_string_lossy().into_owned()).unwrap_or_default(),
        );
        if let Some(gathered) = curves.gathered.value() {
            let checkpoints: usize = gathered.checkpoints.iter().map(|series| series.members.len()).sum();
            let plural = |count: usize, word: &str| {
                format!("{} {word}{}", text::count(count as u64), if count == 1 { "" } else { "s" })
            };
            let about = [
                (curves.runs.len(), "run"),
                (gathered.curves().count(), "curve"),
                (checkpoints, "checkpoint"),
                (gathered.histograms.len(), "histogram"),
            ];
            let about: Vec<String> = about
                .into_iter()
                .filter(|(count, _)| *count > 0)
                .map(|(count, word)| plural(count, word))
                .collect();
            let about = about.join(" · ");
            ui.label(RichText::new(about).color(ctx.theme.text_second));
        }
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            if ui.button("Open folder…").on_hover_text("A training run, or a folder of checkpoints").clicked()
            {
                ctx.commands.send(Command::OpenFolder);
            }
            if let Some(entry) = ctx.state.session.current()
                && entry.example.is_none()
                && let Some(folder) = entry.path.parent()
                && curves.paths.first().is_none_or(|path| path != folder)
                && ui.button("Folder of the checkpoint").on_hover_text(folder.to_string_lossy()).clicked()
            {
                send(ctx, CurvesChange::Load(vec![folder.to_owned()]));
            }
            if !curves.paths.is_empty() {
                if ui.button("Read again").clicked() {
                    send(ctx, CurvesChange::Reload);
                }
                let mut follow = curves.follow;
                if ui
                    .checkbox(&mut follow, "Follow")
                    .on_hover_text("Read new points as they are written")
                    .changed()
                {
                    send(ctx, CurvesChange::Follow(follow));
                }
            }
            problems_ui(ui, ctx, curves);
        });
    });
}

/// What the files have to say about themselves: a word, and all of it on hover.
fn problems_ui(ui: &mut Ui, ctx: &ViewContext<'_>, curves: &CurvesState) {
    let Some(gathered) = curves.gathered.value().filter(|gathered| !gathered.problems.is_empty()) else {
        return;
    };
    let count = gathered.problems.len();
    let worst = gathered.problems.iter().map(|found| found.problem.severity).max().unwrap_or(Severity::Info);
    let words = format!("{count} note{}", if count == 1 { "" } else { "s" });
    let response = ui.button(RichText::new(words).color(ctx.theme.severity(worst)));
    egui::Popup::menu(&response).show(|ui| {
        ui.set_max_width(420.0);
        for found in gathered.problems.iter().take(30) {
            let name = display_name(&found.source);
            ui.label(
                RichText::new(name).font(theme::label()).color(ctx.theme.severity(found.problem.severity)),
            );
            ui.label(RichText::new(text::escape(&found.problem.message)).color(ctx.theme.text));
            ui.add_space(theme::STEP);
        }
    });
}

fn tab_line_ui(ui: &mut Ui, ctx: &ViewContext<'_>) {
    let curves = &ctx.state.curves;
    let whole = ui.max_rect();
    let has_histograms = curves.gathered.value().is_some_and(|gathered| !gathered.histograms.is_empty());
    let mut tabs = vec![
        (CurvesTab::Curves, "Curves"),
        (CurvesTab::Best, "Best checkpoint"),
        (CurvesTab::Drift, "Drift of layers"),
    ];
    if has_histograms {
        tabs.insert(1, (CurvesTab::Histograms, "Histograms"));
    }
    let mut tab = curves.tab;
    let rect = whole.with_min_y(whole.bottom() - 30.0).with_max_y(whole.bottom() - 2.0);
    ui.scope_builder(UiBuilder::new().max_rect(rect), |ui| tabs_ui(ui, ctx.theme, &tabs, &mut tab));
    if tab != curves.tab {
        send(ctx, CurvesChange::Show(tab));
    }
}

/// What the page says while there is nothing to show.
fn nothing_yet_ui(ui: &mut Ui, ctx: &ViewContext<'_>) {
    let curves = &ctx.state.curves;
    ui.set_max_width(620.0);
    match &curves.gathered {
        Loadable::Pending { since, .. } => {
            if loading_ui(ui, ctx.theme, "Reading curves…", *since) {
                ctx.commands.send(Command::Cancel(JobKey::Curves(curves.serial)));
            }
        }
        Loadable::Failed { error, .. } => {
            if failed_ui(ui, ctx.theme, "The curves could not be read", error) {
                send(ctx, CurvesChange::Reload);
            }
        }
        Loadable::NotRequested | Loadable::Ready(_) => {
            let title =
                if curves.paths.is_empty() { "Open a training run" } else { "No curves were found here" };
            ui.label(RichText::new(title).font(theme::title(15.0)).color(ctx.theme.text_strong));
            let about = "Curves come from logs (TensorBoard events, CSV, JSON, trainer_state.json), from histories inside \
                         checkpoints, and from numbers that change from one checkpoint of a folder to the next.";
            ui.label(RichText::new(about).color(ctx.theme.text_second));
            ui.add_space(theme::STEP * 2.0);
            let button = primary_button_ui(ui, ctx.theme, "Open run folder…");
            button.widget_info(|| WidgetInfo::labeled(egui::Role::Button, true, "Open run folder…"));
            if button.clicked() {
                ctx.commands.send(Command::OpenFolder);
            }
        }
    }
}

/// A line's colour.
fn color(ctx: &ViewContext<'_>, line: &crate::state::curves::Line) -> egui::Color32 {
    ctx.theme.curve(line.color)
}
