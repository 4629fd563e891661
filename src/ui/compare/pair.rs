//! The selected pair: what became of it in numbers, both histograms, the differences as histogram and picture, the largest
//! changes, and the values of both.

mod charts;

use std::sync::Arc;

use egui::{Label, RichText, Ui};

use super::largest::largest_ui;
use super::overview::status_text;
use super::table::{explore, share_text};
use super::{relative_text, sides};
use crate::analysis::diff::{PairDiff, PairStatus, ValueDiff};
use crate::analysis::pairing::MatchedBy;
use crate::analysis::slice::value_dims;
use crate::jobs::{Against, ComparisonKey, JobKey, Loadable, Look, LookKey, Looked};
use crate::model::TensorInfo;
use crate::state::Command;
use crate::state::compare::{Found, LeafTensors, Side};
use crate::text;
use crate::ui::chart::chart_ui;
use crate::ui::inspector::heat_map::HeatMapView;
use crate::ui::inspector::parts::{
    Cell, Copies, Of, card_head_ui, grid_ui, name_ui, remember_rect, title_ui,
};
use crate::ui::inspector::slice_picker::SlicePicker;
use crate::ui::inspector::values::controls_ui;
use crate::ui::inspector::values_table::ValuesTable;
use crate::ui::widgets::{chip_ui, coloured_chip_ui, failed_ui, loading_ui, mono_chip_ui, tabs_ui};
use crate::ui::{ViewContext, theme};
use charts::{Both, Deltas};

const HISTOGRAM_HEIGHT: f32 = 172.0;
const DELTAS_HEIGHT: f32 = 120.0;

/// Both tensors are read without asking up to this many bytes together: a second or more of reading.
const AUTOMATIC_BYTES: u64 = 1 << 30;

/// A way to look at a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Tab {
    #[default]
    Overview,
    Values,
}

/// The panel, with what it has made ready to draw.
#[derive(Default)]
pub(super) struct PairView {
    tab: Tab,
    shown: Option<Shown>,
}

/// What belongs to one pair.
struct Shown {
    of: (ComparisonKey, LeafTensors),
    against: Against,
    /// Dimensions of the values, on the right.
    dims: Vec<u64>,
    /// Whether each value has a counterpart at its own index.
    aligned: bool,
    picker: SlicePicker,
    heat_map: HeatMapView,
    values: ValuesTable,
    both: Option<Both>,
    deltas: Option<Deltas>,
}

impl PairView {
    /// Draws the panel of a leaf.
    pub(super) fn ui(&mut self, ui: &mut Ui, ctx: &ViewContext<'_>, found: &Found, leaf: u32) {
        let tensors = found.tensors(leaf);
        let (Some(left), Some(right)) = (tensors.left, tensors.right) else {
            one_side_ui(ui, ctx, found, tensors);
            return;
        };
        let (a, b) = (found.left.tensor(left), found.right.tensor(right));
        let Some(pair) = found.leaf_pair(leaf) else {
            name_ui(ui, ctx, &a.name);
            ui.label(RichText::new("Not compared yet").color(ctx.theme.text_second));
            return;
        };
        head_ui(ui, ctx, found, tensors, pair, (a, b));
        let of = (found.key, tensors);
        if self.shown.as_ref().is_none_or(|shown| shown.of != of) {
            self.shown = Some(Shown::new(of, found, pair, (a, b)));
        }
        let Some(shown) = &mut self.shown else { return };
        if !a.dtype.is_numeric() || !b.dtype.is_numeric() || b.elements() == 0 {
            return;
        }
        if shown.aligned {
            ui.add_space(theme::STEP);
            let tabs = [(Tab::Overview, "Differences"), (Tab::Values, "Values")];
            tabs_ui(ui, ctx.theme, &tabs, &mut self.tab);
        }
        if shown.aligned && self.tab == Tab::Values {
            let before = shown.picker.clone();
            let of = Of { checkpoint: &found.left, id: left, name: &a.name };
            shown.values.ui(ui, ctx, found.key.left, &mut shown.picker, &of);
            if shown.picker != before {
                shown.heat_map.show_all(&shown.picker);
            }
            return;
        }
        if let Some(values) = &pair.values {
            ui.add_space(theme::STEP);
            ctx.theme.card().show(ui, |ui| grid_ui(ui, ctx, &cells(values), 84.0));
        }
        let bytes = a.bytes().saturating_add(b.bytes());
        shown.histograms_ui(ui, ctx, left, bytes, &a.name);
        if let Some(values) = pair.values.as_ref().filter(|values| values.changed > 0) {
            shown.deltas_ui(ui, ctx, found, values);
            if shown.aligned && b.elements() > 1 {
                ui.add_space(theme::STEP);
                let bits = a.dtype.bits().max(b.dtype.bits());
                let of = Of { checkpoint: &found.left, id: left, name: &b.name };
                shown.heat_map.ui(ui, ctx, (found.key.left, bits), &mut shown.picker, &of);
            }
            largest_ui(ui, ctx, &values.largest, &shown.dims);
        }
    }
}

impl Shown {
    fn new(
        of: (ComparisonKey, LeafTensors),
        found: &Found,
        pair: &PairDiff,
        (a, b): (&TensorInfo, &TensorInfo),
    ) -> Self {
        let against =
            Against { checkpoint: found.key.right, tensor: pair.pair.right, axes: pair.pair.axes.clone() };
        let dims = value_dims(b);
        let left_dims = value_dims(a);
        let aligned = match &pair.pair.axes {
            None => left_dims == dims,
            Some(_) => pair.pair.shape_as_right(&a.shape) == b.shape,
        };
        let picker = SlicePicker::new(&dims);
        Self {
            of,
            heat_map: HeatMapView::of_difference(&dims, &picker, against.clone()),
            values: ValuesTable::of_both(against.clone()),
            against,
            dims,
            aligned,
            picker,
            both: None,
            deltas: None,
        }
    }

    fn histograms_ui(
        &mut self,
        ui: &mut Ui,
        ctx: &ViewContext<'_>,
        left: crate::model::TensorId,
        bytes: u64,
        name: &str,
    ) {
        let look = Look::Both(self.against.clone());
        let key = LookKey { checkpoint: self.of.0.left, tensor: left, look };
        ui.add_space(theme::STEP);
        let card = ctx.theme.card().show(ui, |ui| {
            ui.set_width(ui.available_width());
            let both = self.both.as_ref();
            let svg = || both.map_or_else(String::new, |both| both.chart.svg(720.0, 360.0));
            let copies = Copies { svg: both.is_some().then_some(&svg), ..Copies::default() };
            card_head_ui(ui, ctx, "Histograms", (name, "histograms"), &copies, |ui| controls_ui(ui, ctx));
            match ctx.state.looks.get(&key) {
                Loadable::NotRequested if bytes <= AUTOMATIC_BYTES => {
                    ctx.commands.send(Command::Look(key));
                    ui.allocate_space(egui::Vec2::new(10.0, HISTOGRAM_HEIGHT));
                }
                Loadable::NotRequested => {
                    ui.horizontal(|ui| {
                        if ui.button("Compute").clicked() {
                            ctx.commands.send(Command::Look(key));
                        }
                        let text = format!("reads {}", text::bytes(bytes));
                        ui.label(RichText::new(text).color(ctx.theme.text_second));
                    });
                }
                Loadable::Pending { since, .. } => {
                    if loading_ui(ui, ctx.theme, "Reading values…", *since) {
                        ctx.commands.send(Command::Cancel(JobKey::Look(key)));
                    } else {
                        ui.allocate_space(egui::Vec2::new(10.0, HISTOGRAM_HEIGHT - 24.0));
                    }
                }
                Loadable::Failed { error, .. } => {
                    if failed_ui(ui, ctx.theme, "The values could not be read", error) {
                        ctx.commands.send(Command::LookAgain(key));
                    }
                }
                Loadable::Ready(looked) => self.both_ui(ui, ctx, looked),
            }
        });
        remember_rect(ui, "histograms", card.response.rect);
    }

    fn both_ui(&mut self, ui: &mut Ui, ctx: &ViewContext<'_>, looked: &Arc<Looked>) {
        if self.both.as_ref().is_none_or(|both| !both.is_of(looked, &ctx.state.settings)) {
            self.both = Both::new(looked, &ctx.state.settings);
        }
        let Some(both) = &self.both else {
            let why = "There are no finite numbers to count";
            ui.label(RichText::new(why).color(ctx.theme.text_second));
            return;
        };
        chart_ui(ui, ctx.theme, &both.chart, HISTOGRAM_HEIGHT, |bin| both.note(bin));
        ui.horizontal(|ui| {
            ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| sides::legend_ui(ui, ctx));
        });
    }

    fn deltas_ui(&mut self, ui: &mut Ui, ctx: &ViewContext<'_>, found: &Found, values: &ValueDiff) {
        let log = ctx.state.settings.histogram_log;
        let is_whole = found.whole().is_some();
        if self.deltas.as_ref().is_none_or(|deltas| !deltas.is_of(log, is_whole)) {
            self.deltas = Some(Deltas::new(values, log, is_whole));
        }
        let Some(chart) = self.deltas.as_ref().and_then(|deltas| deltas.chart.as_ref()) else { return };
        ui.add_space(theme::STEP);
        ctx.theme.card().show(ui, |ui| {
            ui.horizontal(|ui| {
                title_ui(ui, ctx, "Sizes of the differences");
                ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
                    let what = "right − left, equal values left out";
                    let text = RichText::new(what).font(theme::label()).color(ctx.theme.text_second);
                    ui.add(Label::new(text).truncate());
                });
            });
            let deltas = self.deltas.as_ref();
            chart_ui(ui, ctx.theme, chart, DELTAS_HEIGHT, |bin| {
                deltas.map(|deltas| deltas.note(bin)).unwrap_or_default()
            });
        });
    }
}

/// Names, why they were taken for the same, and the most important numbers.
fn head_ui(
    ui: &mut Ui,
    ctx: &ViewContext<'_>,
    found: &Found,
    tensors: LeafTensors,
    pair: &PairDiff,
    (a, b): (&TensorInfo, &TensorInfo),
) {
    let theme = ctx.theme;
    name_ui(ui, ctx, &a.name);
    if a.name != b.name {
        let arrow = RichText::new(format!("→ {}", text::escape(&b.name))).font(theme::mono());
        ui.add(Label::new(arrow.color(theme.partner)).wrap());
    }
    ui.horizontal_wrapped(|ui| {
        let color = match pair.status {
            PairStatus::Unreadable => theme.error,
            PairStatus::Identical => theme.text_second,
            PairStatus::Reshaped | PairStatus::DtypeChanged | PairStatus::Changed => theme.partner,
        };
        coloured_chip_ui(ui, theme, status_text(pair.status), color);
        let either = |left: String, right: String| {
            if left == right { left } else { format!("{left} → {right}") }
        };
        chip_ui(ui, theme, &either(a.dtype.name().to_owned(), b.dtype.name().to_owned()));
        mono_chip_ui(ui, theme, &either(a.shape.to_string(), b.shape.to_string()));
        if let Some(values) = &pair.values {
            let changed = share_text(values.changed, values.elements);
            let exact = format!("{} of {}", text::count(values.changed), text::count(values.elements));
            chip_ui(ui, theme, &format!("{changed} elements changed")).on_hover_text(exact);
            if values.changed > 0 {
                chip_ui(ui, theme, &format!("relative {}", relative_text(values.relative_l2())));
            }
            if values.nan_appeared > 0 {
                coloured_chip_ui(
                    ui,
                    theme,
                    &format!("{} NaN appeared", text::count(values.nan_appeared)),
                    theme.error,
                );
            }
        }
        if pair.pair.axes.is_some() {
            chip_ui(ui, theme, "axes turned")
                .on_hover_text("The left kernel is compared with its axes in the order of the right one");
        }
        if let Some(how) = matched_text(pair.pair.by) {
            let guess = pair.pair.by == MatchedBy::Shape;
            coloured_chip_ui(ui, theme, how, if guess { theme.partner } else { theme.text });
        }
        ui.spacing_mut().button_padding.y = 1.0;
        ui.menu_button(RichText::new("Explore").font(theme::label()), |ui| {
            for (label, checkpoint, tensor) in [
                ("The left one", found.key.left, tensors.left),
                ("The right one", found.key.right, tensors.right),
            ] {
                if let Some(tensor) = tensor
                    && ui.button(label).clicked()
                {
                    explore(ctx, checkpoint, tensor);
                    ui.close();
                }
            }
        });
    });
    if let Some(problem) = &pair.problem {
        ui.label(RichText::new(text::escape(problem)).color(theme.text_second));
    }
}

/// Why two tensors of different names were taken for the same.
fn matched_text(by: MatchedBy) -> Option<&'static str> {
    match by {
        MatchedBy::Name => None,
        MatchedBy::GivenRule => Some("paired by your rule"),
        MatchedBy::FoundRule => Some("paired by a rule that was found"),
        MatchedBy::Content => Some("paired by equal content"),
        MatchedBy::Shape => Some("a guess by shape and order"),
    }
}

/// A tensor without a partner.
fn one_side_ui(ui: &mut Ui, ctx: &ViewContext<'_>, found: &Found, tensors: LeafTensors) {
    let (side, id, checkpoint, key) = match (tensors.left, tensors.right) {
        (Some(id), _) => (Side::Left, id, &found.left, found.key.left),
        (None, Some(id)) => (Side::Right, id, &found.right, found.key.right),
        (None, None) => return,
    };
    let tensor = checkpoint.tensor(id);
    name_ui(ui, ctx, &tensor.name);
    ui.horizontal_wrapped(|ui| {
        let only = if side == Side::Left { "only left" } else { "only right" };
        coloured_chip_ui(ui, ctx.theme, only, sides::side_color(ctx, side));
        chip_ui(ui, ctx.theme, tensor.dtype.name());
        mono_chip_ui(ui, ctx.theme, &tensor.shape.to_string());
        chip_ui(ui, ctx.theme, &text::bytes(tensor.bytes()));
    });
    ui.add_space(theme::STEP);
    let note = format!(
        "Nothing on the {} has this name, is led to it by a rule, or holds the same bytes. A naming rule can pair it.",
        side.other().label()
    );
    ui.label(RichText::new(note).color(ctx.theme.text_second));
    if ui.button("Explore it").clicked() {
        explore(ctx, key, id);
    }
}

fn cells(values: &ValueDiff) -> Vec<Cell> {
    let measured = |label, value: f64| Cell {
        label,
        value: text::number(value),
        exact: format!("{value:e}"),
        alarming: false,
    };
    let counted = |label, count: u64, what: &str, alarming: bool| Cell {
        label,
        value: share_text(count, values.elements),
        exact: format!("{} {what}", text::count(count)),
        alarming: alarming && count > 0,
    };
    let cosine = values.cosine;
    vec![
        Cell {
            label: "relative L2",
            value: relative_text(values.relative_l2()),
            exact: format!("‖right − left‖ / ‖left‖ = {:e}", values.relative_l2()),
            alarming: false,
        },
        measured("max |Δ|", values.max_abs),
        measured("mean |Δ|", values.mean_abs),
        Cell {
            label: "cosine",
            value: cosine.map_or_else(|| "–".to_owned(), |cosine| format!("{cosine:.6}")),
            exact: cosine.map_or_else(|| "one side is all zero".to_owned(), |cosine| format!("{cosine:e}")),
            alarming: false,
        },
        measured("L2 left", values.l2_left),
        measured("L2 right", values.l2_right),
        measured("L2 of Δ", values.l2),
        counted("changed", values.changed, "elements", false),
        counted("sign flips", values.sign_flips, "elements of opposite sign", false),
        counted("NaN appeared", values.nan_appeared, "elements", true),
        counted("NaN gone", values.nan_gone, "elements", false),
        counted("NaN or Inf", values.not_finite, "elements that are not finite on both sides", false),
    ]
}
