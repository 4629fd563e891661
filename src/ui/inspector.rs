//! What is selected, in detail: a tensor, a layer, or the checkpoint as a whole.

use std::sync::Arc;

use egui::{
    Align2, ComboBox, Frame, Label, Margin, Rect, RichText, Role, ScrollArea, Sense, Ui, Vec2, WidgetInfo,
};

use super::histogram::{BIN_CHOICES, histogram_ui};
use super::widgets::{
    bar, chip_ui, clipped_text, coloured_chip_ui, failed_ui, loading_ui, mono_chip_ui, section_ui, tensors,
};
use super::{ViewContext, theme};
use crate::analysis::Histogram;
use crate::jobs::{CheckpointId, JobKey, Loadable, StatisticsKey, ValueSummary};
use crate::model::{Checkpoint, NodeId, TensorId, Value};
use crate::state::tree::{self, Item, TreeChange};
use crate::state::{Command, OpenCheckpoint, metadata, statistics_key};
use crate::text;

/// Children listed in a layer's bars.
const CHILDREN_SHOWN: usize = 12;
/// Problems listed before the rest becomes a number.
const PROBLEMS_SHOWN: usize = 50;

/// The inspector, with numbers made when what they are of changes.
#[derive(Default)]
pub struct Inspector {
    shown: Option<Shown>,
    breakdown: Option<(CheckpointId, Vec<Share>)>,
}

/// A summary made ready to draw.
struct Shown {
    key: StatisticsKey,
    bins: usize,
    summary: Arc<ValueSummary>,
    histogram: Option<Histogram>,
    cells: Vec<Cell>,
}

struct Cell {
    label: &'static str,
    value: String,
    exact: String,
    alarming: bool,
}

/// What one dtype has of the file.
struct Share {
    label: String,
    tensors: u64,
    bytes: u64,
}

impl Inspector {
    /// Draws it.
    pub fn ui(
        &mut self,
        ui: &mut Ui,
        ctx: &ViewContext<'_>,
        entry: &OpenCheckpoint,
        checkpoint: &Arc<Checkpoint>,
    ) {
        ScrollArea::vertical()
            .id_salt(("inspector", entry.id, entry.tree.selected()))
            .auto_shrink(false)
            .show(ui, |ui| {
                Frame::new().inner_margin(Margin::same(16)).show(ui, |ui| {
                    ui.spacing_mut().item_spacing = Vec2::new(6.0, 6.0);
                    banner_ui(ui, ctx, entry);
                    match entry.tree.selected() {
                        Some(Item::Tensor(id)) => {
                            tensor_head_ui(ui, ctx, entry, checkpoint, id);
                            self.values_ui(ui, ctx, checkpoint);
                        }
                        Some(Item::Group(id)) => {
                            group_head_ui(ui, ctx, checkpoint, id);
                            children_ui(ui, ctx, entry, checkpoint, id);
                            self.values_ui(ui, ctx, checkpoint);
                            config_ui(ui, ctx, checkpoint, id);
                        }
                        None => self.checkpoint_ui(ui, ctx, entry, checkpoint),
                    }
                });
            });
    }

    fn checkpoint_ui(
        &mut self,
        ui: &mut Ui,
        ctx: &ViewContext<'_>,
        entry: &OpenCheckpoint,
        checkpoint: &Checkpoint,
    ) {
        let totals = checkpoint.totals();
        head_ui(ui, ctx, &entry.name);
        ui.horizontal_wrapped(|ui| {
            chip_ui(ui, ctx.theme, checkpoint.format());
            if let Some(framework) = checkpoint.framework() {
                chip_ui(ui, ctx.theme, &text::escape(framework));
            }
            chip_ui(ui, ctx.theme, &text::bytes(totals.file_bytes));
        });
        let known = |value: Option<u64>| value.map_or_else(|| "not told".to_owned(), text::count);
        let cells = [
            ("parameters", known(totals.parameters)),
            ("trainable", known(totals.trainable)),
            ("non-trainable", known(totals.non_trainable)),
            ("buffers", text::count(totals.buffers)),
            ("optimizer", text::count(totals.optimizer)),
            ("tensors", text::count(totals.tensors)),
            ("elements", text::count(totals.elements)),
            ("tensor bytes", text::bytes(totals.tensor_bytes)),
            ("file", text::bytes(totals.file_bytes)),
        ];
        let cells: Vec<Cell> = cells
            .into_iter()
            .map(|(label, value)| Cell { label, exact: value.clone(), value, alarming: false })
            .collect();
        ui.add_space(theme::STEP);
        ctx.theme.card().show(ui, |ui| grid_ui(ui, ctx, &cells, 118.0));

        if self.breakdown.as_ref().is_none_or(|(of, _)| *of != entry.id) {
            self.breakdown = Some((entry.id, dtype_shares(checkpoint)));
        }
        if let Some((_, shares)) = &self.breakdown
            && !shares.is_empty()
        {
            ui.add_space(theme::STEP);
            ctx.theme.card().show(ui, |ui| {
                title_ui(ui, ctx, "Bytes by dtype");
                let most = shares.iter().map(|share| share.bytes).max().unwrap_or(1).max(1);
                for share in shares {
                    let fraction = share.bytes as f64 / most as f64;
                    let detail = tensors(share.tensors);
                    bar_line_ui(
                        ui,
                        ctx,
                        &share.label,
                        &detail,
                        &text::bytes(share.bytes),
                        fraction as f32,
                        None,
                    );
                }
            });
        }
        if !checkpoint.problems().is_empty() {
            ui.add_space(theme::STEP);
            ctx.theme.card().show(ui, |ui| problems_ui(ui, ctx, entry, checkpoint));
        }
        ui.add_space(theme::STEP * 2.0);
        let hint = "Select a layer or a tensor to see its values";
        ui.label(RichText::new(hint).font(theme::label()).color(ctx.theme.text_second));
    }

    /// Statistics and histogram of what is selected, in each of the four states.
    fn values_ui(&mut self, ui: &mut Ui, ctx: &ViewContext<'_>, checkpoint: &Checkpoint) {
        let Some(key) = statistics_key(ctx.state) else { return };
        ui.add_space(theme::STEP);
        match ctx.state.statistics.get(&key) {
            Loadable::NotRequested => {
                ctx.theme.card().show(ui, |ui| {
                    ui.set_width(ui.available_width());
                    title_ui(ui, ctx, "Statistics");
                    let bytes = match key.subject {
                        crate::jobs::Subject::Tensor(id) => checkpoint.tensor(id).bytes(),
                        crate::jobs::Subject::Group(id) => checkpoint.layer_tree().node(id).bytes,
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

/// What concerns the entry as a whole: reloading, a failed reload, a changed file.
fn banner_ui(ui: &mut Ui, ctx: &ViewContext<'_>, entry: &OpenCheckpoint) {
    match &entry.checkpoint {
        Loadable::Failed { error, .. } => {
            let retry = failed_ui(ui, ctx.theme, "Reloading failed; what was read before is shown", error);
            if retry {
                ctx.commands.send(Command::Reload(entry.id));
            }
        }
        Loadable::Pending { since, .. } => {
            let cancel = loading_ui(ui, ctx.theme, "Reloading…", *since);
            if cancel {
                ctx.commands.send(Command::Cancel(JobKey::Open(entry.id)));
            }
        }
        _ if entry.changed_on_disk => {
            ui.horizontal(|ui| {
                ui.label(RichText::new("The file changed on disk").color(ctx.theme.partner));
                if ui.button("Reload").clicked() {
                    ctx.commands.send(Command::Reload(entry.id));
                }
            });
        }
        _ => {}
    }
}

fn head_ui(ui: &mut Ui, ctx: &ViewContext<'_>, name: &str) {
    let text = RichText::new(text::escape(name)).font(theme::mono_head()).color(ctx.theme.text_strong);
    ui.add(Label::new(text).wrap().selectable(true));
}

fn title_ui(ui: &mut Ui, ctx: &ViewContext<'_>, text: &str) {
    ui.label(RichText::new(text).font(theme::title(13.0)).color(ctx.theme.text_strong));
}

fn tensor_head_ui(
    ui: &mut Ui,
    ctx: &ViewContext<'_>,
    entry: &OpenCheckpoint,
    checkpoint: &Checkpoint,
    id: TensorId,
) {
    let tensor = checkpoint.tensor(id);
    let theme = ctx.theme;
    head_ui(ui, ctx, &tensor.name);
    ui.horizontal_wrapped(|ui| {
        chip_ui(ui, theme, tensor.dtype.name());
        mono_chip_ui(ui, theme, &tensor.shape.to_string());
        chip_ui(ui, theme, &format!("{} elements", text::count(tensor.elements())));
        chip_ui(ui, theme, &text::bytes(tensor.bytes())).on_hover_text(format!(
            "{} bytes of values, {} in the file",
            text::count(tensor.bytes()),
            text::count(tensor.stored_bytes)
        ));
        if tensor.role != crate::model::TensorRole::Unknown {
            chip_ui(ui, theme, tensor.role.name());
        }
        if tensor.trainable == Some(false) {
            chip_ui(ui, theme, "not trainable");
        }
        if let Some(first) = tensor.tied_to {
            let name = text::escape(&checkpoint.tensor(first).name);
            let chip = coloured_chip_ui(ui, theme, &format!("tied with {name}"), theme.accent);
            if chip.interact(Sense::click()).on_hover_text("Show that tensor").clicked() {
                ctx.commands.send(Command::Tree(entry.id, TreeChange::Select(Some(Item::Tensor(first)))));
            }
        }
        if let Some(offset) = tensor.offset {
            chip_ui(ui, theme, &format!("at byte {}", text::count(offset)));
        }
    });
    if let Some(stored) = tensor.stored_name.as_ref().filter(|stored| **stored != tensor.name) {
        let text = RichText::new(format!("stored as {}", text::escape(stored))).font(theme::label());
        ui.add(Label::new(text.color(theme.text_second)).truncate());
    }
    for problem in checkpoint.problems_of(id).take(PROBLEMS_SHOWN) {
        problem_ui(ui, ctx, problem);
    }
}

fn group_head_ui(ui: &mut Ui, ctx: &ViewContext<'_>, checkpoint: &Checkpoint, id: NodeId) {
    let tree = checkpoint.layer_tree();
    let node = tree.node(id);
    head_ui(ui, ctx, &tree.path(id));
    ui.horizontal_wrapped(|ui| {
        if let Some(class) = &node.class {
            coloured_chip_ui(ui, ctx.theme, &text::escape(class), ctx.theme.accent);
        }
        chip_ui(ui, ctx.theme, &tensors(node.total_tensors));
        if node.parameters > 0 {
            chip_ui(ui, ctx.theme, &format!("{} parameters", text::count(node.parameters)));
        } else {
            chip_ui(ui, ctx.theme, &format!("{} elements", text::count(node.elements)));
        }
        chip_ui(ui, ctx.theme, &text::bytes(node.bytes))
            .on_hover_text(format!("{} bytes in the file", text::count(node.bytes)));
        let shape = node
            .layer
            .and_then(|index| checkpoint.layers().get(index))
            .and_then(|layer| layer.output_shape.as_ref());
        if let Some(shape) = shape {
            let dims: Vec<String> =
                shape.iter().map(|dim| dim.map_or_else(|| "any".to_owned(), |dim| dim.to_string())).collect();
            mono_chip_ui(ui, ctx.theme, &format!("output [{}]", dims.join(", ")));
        }
    });
}

fn children_ui(
    ui: &mut Ui,
    ctx: &ViewContext<'_>,
    entry: &OpenCheckpoint,
    checkpoint: &Checkpoint,
    id: NodeId,
) {
    let node = checkpoint.layer_tree().node(id);
    let mut children: Vec<(Item, u64)> = node
        .children
        .iter()
        .map(|&child| Item::Group(child))
        .chain(node.tensors.iter().map(|&tensor| Item::Tensor(tensor)))
        .map(|item| (item, tree::parameters(checkpoint, item)))
        .collect();
    let all = children.len();
    if all > CHILDREN_SHOWN {
        children.select_nth_unstable_by_key(CHILDREN_SHOWN, |(_, count)| std::cmp::Reverse(*count));
        children.truncate(CHILDREN_SHOWN);
    }
    children.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let most = children.first().map_or(1, |(_, count)| (*count).max(1));
    ui.add_space(theme::STEP);
    ctx.theme.card().show(ui, |ui| {
        title_ui(ui, ctx, "Parameters inside");
        for (item, count) in &children {
            let name = text::escape(tree::name(checkpoint, *item));
            let detail = match item {
                Item::Group(id) => checkpoint.layer_tree().node(*id).class.clone().unwrap_or_default(),
                Item::Tensor(id) => checkpoint.tensor(*id).shape.to_string(),
            };
            let select = Command::Tree(entry.id, TreeChange::Select(Some(*item)));
            let fraction = (*count as f64 / most as f64) as f32;
            bar_line_ui(ui, ctx, &name, &detail, &text::count(*count), fraction, Some(select));
        }
        if all > children.len() {
            let rest = format!("and {} smaller", text::count((all - children.len()) as u64));
            ui.label(RichText::new(rest).font(theme::label()).color(ctx.theme.text_second));
        }
    });
}

fn config_ui(ui: &mut Ui, ctx: &ViewContext<'_>, checkpoint: &Checkpoint, id: NodeId) {
    let node = checkpoint.layer_tree().node(id);
    let Some(layer) = node.layer.and_then(|index| checkpoint.layers().get(index)) else { return };
    let Value::Map(entries) = &layer.config else { return };
    if entries.is_empty() {
        return;
    }
    ui.add_space(theme::STEP);
    ctx.theme.card().show(ui, |ui| {
        title_ui(ui, ctx, "Configuration");
        for (key, value) in entries.iter().take(200) {
            let (rect, response) =
                ui.allocate_exact_size(Vec2::new(ui.available_width(), 20.0), Sense::hover());
            let preview = match value {
                Value::Map(_) | Value::List(_) => metadata::to_json(checkpoint, value).to_string(),
                _ => metadata::preview(checkpoint, value),
            };
            let key = text::escape(key);
            response.widget_info(|| WidgetInfo::labeled(Role::Label, true, format!("{key}: {preview}")));
            let (left, right) = rect.split_left_right_at_fraction(0.42);
            clipped_text(ui, left, Align2::LEFT_CENTER, &key, theme::label(), ctx.theme.text_second);
            clipped_text(ui, right, Align2::LEFT_CENTER, &preview, theme::mono(), ctx.theme.text);
            response.on_hover_text(preview);
        }
    });
}

/// The list of findings; one on a tensor leads to it.
pub fn problems_ui(ui: &mut Ui, ctx: &ViewContext<'_>, entry: &OpenCheckpoint, checkpoint: &Checkpoint) {
    let problems = checkpoint.problems();
    section_ui(ui, ctx.theme, &format!("Problems ({})", text::count(problems.len() as u64)));
    ScrollArea::vertical().id_salt("problems").max_height(260.0).auto_shrink([false, true]).show(ui, |ui| {
        for problem in problems.iter().take(PROBLEMS_SHOWN) {
            let response = problem_ui(ui, ctx, problem);
            if let Some(id) = problem.tensor.filter(|id| id.index() < checkpoint.tensors().len()) {
                let name = text::escape(&checkpoint.tensor(id).name);
                if response.interact(Sense::click()).on_hover_text(format!("Show {name}")).clicked() {
                    ctx.commands.send(Command::ShowPage(crate::state::Page::Explore));
                    ctx.commands.send(Command::Tree(entry.id, TreeChange::Select(Some(Item::Tensor(id)))));
                }
            }
        }
        if problems.len() > PROBLEMS_SHOWN {
            let rest = format!("and {} more", text::count((problems.len() - PROBLEMS_SHOWN) as u64));
            ui.label(RichText::new(rest).color(ctx.theme.text_second));
        }
    });
}

fn problem_ui(ui: &mut Ui, ctx: &ViewContext<'_>, problem: &crate::model::Problem) -> egui::Response {
    ui.horizontal_top(|ui| {
        let (dot, _) = ui.allocate_exact_size(Vec2::new(8.0, 18.0), Sense::hover());
        ui.painter().circle_filled(dot.center(), 3.5, ctx.theme.severity(problem.severity));
        let place = problem.offset.map(|offset| format!(" (at byte {})", text::count(offset)));
        let text = text::escape(&problem.message) + place.as_deref().unwrap_or_default();
        ui.add(Label::new(text).wrap())
    })
    .inner
}

/// Cells of a label over a number, as many in a line as fit.
fn grid_ui(ui: &mut Ui, ctx: &ViewContext<'_>, cells: &[Cell], least: f32) {
    let width = ui.available_width();
    let columns = ((width / least).floor() as usize).clamp(2, 6);
    let columns = if columns == 5 { 4 } else { columns }; // twelve cells in full lines
    let cell_width = width / columns as f32;
    for line in cells.chunks(columns) {
        let (whole, _) = ui.allocate_exact_size(Vec2::new(width, 36.0), Sense::hover());
        for (index, cell) in line.iter().enumerate() {
            let rect = Rect::from_min_size(
                whole.min + Vec2::new(index as f32 * cell_width, 0.0),
                Vec2::new(cell_width - 6.0, 36.0),
            );
            let response = ui.interact(rect, ui.scope_id().with(("cell", cell.label)), Sense::hover());
            response.widget_info(|| {
                WidgetInfo::labeled(Role::Label, true, format!("{}: {}", cell.label, cell.value))
            });
            let top = rect.split_top_bottom_at_y(rect.top() + 16.0);
            clipped_text(ui, top.0, Align2::LEFT_CENTER, cell.label, theme::label(), ctx.theme.text_second);
            let color = if cell.alarming { ctx.theme.error } else { ctx.theme.text_strong };
            clipped_text(ui, top.1, Align2::LEFT_CENTER, &cell.value, theme::mono(), color);
            response.on_hover_text(&cell.exact);
        }
    }
}

/// A name, something dim about it, a bar and a number, in one line.
fn bar_line_ui(
    ui: &mut Ui,
    ctx: &ViewContext<'_>,
    name: &str,
    detail: &str,
    number: &str,
    fraction: f32,
    command: Option<Command>,
) {
    let theme = ctx.theme;
    let sense = if command.is_some() { Sense::click() } else { Sense::hover() };
    let (rect, response) = ui.allocate_exact_size(Vec2::new(ui.available_width(), 20.0), sense);
    let role = if command.is_some() { Role::Button } else { Role::Label };
    response.widget_info(|| WidgetInfo::labeled(role, true, format!("{name}: {number}")));
    if command.is_some() && (response.hovered() || response.has_focus()) {
        ui.painter().rect_filled(rect.expand2(Vec2::new(4.0, 1.0)), 4, theme.raised);
    }
    let number_width = 92.0;
    let bar_width = (rect.width() * 0.28).clamp(40.0, 180.0);
    let text_rect = Rect::from_min_max(rect.min, rect.max - Vec2::new(number_width + bar_width + 16.0, 0.0));
    let used = clipped_text(ui, text_rect, Align2::LEFT_CENTER, name, theme::body(), theme.text);
    let rest = Rect::from_min_max(text_rect.min + Vec2::new(used + 8.0, 0.0), text_rect.max);
    clipped_text(ui, rest, Align2::LEFT_CENTER, &text::escape(detail), theme::label(), theme.text_second);
    let middle = Rect::from_min_size(
        egui::pos2(text_rect.right() + 8.0, rect.center().y - 2.5),
        Vec2::new(bar_width, 5.0),
    );
    bar(ui, middle, fraction, theme.track, theme.accent);
    clipped_text(ui, rect, Align2::RIGHT_CENTER, number, theme::body(), theme.text);
    if let Some(command) = command
        && response.clicked()
    {
        ctx.commands.send(command);
    }
}

fn dtype_shares(checkpoint: &Checkpoint) -> Vec<Share> {
    let mut shares: Vec<Share> = Vec::new();
    let mut places = std::collections::HashMap::new();
    for (_, tensor) in checkpoint.tensors() {
        let place = *places.entry(&tensor.dtype).or_insert_with(|| {
            shares.push(Share { label: tensor.dtype.name().to_owned(), tensors: 0, bytes: 0 });
            shares.len() - 1
        });
        if let Some(share) = shares.get_mut(place) {
            share.tensors += 1;
            share.bytes = share.bytes.saturating_add(tensor.stored_bytes);
        }
    }
    shares.sort_by_key(|share| std::cmp::Reverse(share.bytes));
    shares
}
