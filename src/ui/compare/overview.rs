//! What is to be said about the comparison as a whole, or about one layer: counts, and what changed most.

use egui::{Align2, Grid, Label, Rect, RichText, Role, Sense, Ui, Vec2, WidgetInfo};

use super::sides::side_color;
use super::{relative_text, select, table};
use crate::analysis::diff::{DiffNode, PairStatus};
use crate::jobs::ComparisonKey;
use crate::model::{Checkpoint, NodeId};
use crate::state::compare::{
    Chip, CompareItem, CompareTab, Found, Side, full_name, leaf_words, relative_change,
};
use crate::state::{Command, CompareChange, format_badge};
use crate::text;
use crate::ui::inspector::parts::{name_ui, title_ui};
use crate::ui::widgets::{bar, chip_ui, clipped_name, clipped_text, tensors};
use crate::ui::{ViewContext, theme};

/// Layers or tensors listed.
const LISTED: usize = 14;

/// What a list was made from: the comparison, how far it was, and the layer, where it is of one.
type MadeFrom = (ComparisonKey, u64, Option<NodeId>);

/// The list of what changed most, made when something changes.
#[derive(Default)]
pub(super) struct Overview {
    made_from: Option<MadeFrom>,
    bars: Vec<Bar>,
}

struct Bar {
    item: CompareItem,
    name: String,
    number: String,
    fraction: f32,
}

impl Overview {
    /// Draws what is known about the two as a whole.
    pub(super) fn ui(&mut self, ui: &mut Ui, ctx: &ViewContext<'_>, found: &Found) {
        ui.label(RichText::new(sentence(found)).font(theme::title(15.0)).color(ctx.theme.text_strong));
        if let Some(whole) = found.whole() {
            let pairs = found.pairing().pairs.len() as u64;
            let took = format!(
                "{} pair{} compared in {:.2} s · {} read",
                text::count(pairs),
                if pairs == 1 { "" } else { "s" },
                whole.elapsed.as_secs_f64(),
                text::bytes(whole.bytes_read)
            );
            ui.label(RichText::new(took).font(theme::label()).color(ctx.theme.text_second));
        }
        ui.add_space(theme::STEP);
        ctx.theme.card().show(ui, |ui| {
            ui.set_width(ui.available_width());
            sides_ui(ui, ctx, found);
        });
        rules_ui(ui, ctx, found);
        self.make(found, None);
        self.bars_ui(ui, ctx, "Layers that changed most");
        let entries = found.whole().map_or(0, |whole| whole.metadata.len() as u64);
        if entries > 0 {
            ui.add_space(theme::STEP);
            let label = format!(
                "{} metadata {} differ…",
                text::count(entries),
                if entries == 1 { "entry" } else { "entries" }
            );
            if ui.button(label).clicked() {
                ctx.commands.send(Command::Compare(CompareChange::Show(CompareTab::Metadata)));
            }
        }
    }

    /// Draws what is known about one layer.
    pub(super) fn group_ui(&mut self, ui: &mut Ui, ctx: &ViewContext<'_>, found: &Found, id: NodeId) {
        let sums = found.tree().node(id);
        name_ui(ui, ctx, &found.tree().tree.path(id));
        ui.horizontal_wrapped(|ui| {
            for text in group_chips(sums) {
                chip_ui(ui, ctx.theme, &text);
            }
        });
        self.make(found, Some(id));
        self.bars_ui(ui, ctx, "Tensors that changed most");
        if self.bars.is_empty() {
            ui.add_space(theme::STEP);
            ui.label(RichText::new("Nothing differs in this layer").color(ctx.theme.text_second));
        }
    }

    fn bars_ui(&self, ui: &mut Ui, ctx: &ViewContext<'_>, title: &str) {
        if self.bars.is_empty() {
            return;
        }
        ui.add_space(theme::STEP);
        ctx.theme.card().show(ui, |ui| {
            title_ui(ui, ctx, title);
            for bar in &self.bars {
                line_ui(ui, ctx, bar);
            }
        });
    }

    fn make(&mut self, found: &Found, of: Option<NodeId>) {
        let made_from = Some((found.key, found.changes(), of));
        if self.made_from == made_from {
            return;
        }
        self.made_from = made_from;
        let tree = &found.tree().tree;
        let mut items: Vec<(CompareItem, f64)> = match of {
            None => (1..tree.len() as u32)
                .map(NodeId)
                .filter(|&id| !tree.node(id).tensors.is_empty() && found.tree().node(id).changed > 0)
                .map(CompareItem::Group)
                .filter_map(|item| Some((item, relative_change(found, item)?)))
                .collect(),
            Some(id) => tree
                .tensors_under(id)
                .into_iter()
                .map(|leaf| CompareItem::Leaf(leaf.0))
                .filter(
                    |item| matches!(item, CompareItem::Leaf(leaf) if leaf_words(found, *leaf) != "identical"),
                )
                .map(|item| (item, relative_change(found, item).unwrap_or(-1.0)))
                .collect(),
        };
        items.sort_by(|a, b| b.1.total_cmp(&a.1));
        items.truncate(LISTED);
        let largest = items.iter().map(|item| item.1).filter(|change| change.is_finite()).fold(0.0, f64::max);
        let prefix = of.map_or(0, |id| tree.path(id).len() + 1);
        self.bars = items
            .into_iter()
            .map(|(item, change)| {
                let full = full_name(found, item);
                let name = full.get(prefix..).filter(|rest| !rest.is_empty()).unwrap_or(&full);
                let number = match item {
                    CompareItem::Leaf(leaf) if change < 0.0 => leaf_words(found, leaf).to_owned(),
                    _ => relative_text(change),
                };
                let share = if change.is_finite() { change / largest.max(f64::MIN_POSITIVE) } else { 1.0 };
                Bar { item, name: text::escape(name), number, fraction: share.clamp(0.0, 1.0) as f32 }
            })
            .collect();
    }
}

/// A name, a bar and a number in one line, which leads to what it is of.
fn line_ui(ui: &mut Ui, ctx: &ViewContext<'_>, line: &Bar) {
    let theme = ctx.theme;
    let (rect, response) = ui.allocate_exact_size(Vec2::new(ui.available_width(), 20.0), Sense::click());
    response
        .widget_info(|| WidgetInfo::labeled(Role::Button, true, format!("{}: {}", line.name, line.number)));
    if response.hovered() || response.has_focus() {
        ui.painter().rect_filled(rect.expand2(Vec2::new(4.0, 1.0)), 4, theme.raised);
    }
    let number = if line.fraction > 0.0 { 60.0 } else { 130.0 };
    let bar_width = if line.fraction > 0.0 { (rect.width() * 0.22).clamp(30.0, 120.0) } else { 0.0 };
    let name = rect.with_max_x(rect.right() - number - bar_width - 12.0);
    clipped_name(ui, name, &line.name, &theme::body(), theme.text);
    if line.fraction > 0.0 {
        let left = egui::pos2(name.right() + 6.0, rect.center().y - 2.5);
        let place = Rect::from_min_size(left, Vec2::new(bar_width, 5.0));
        bar(ui, place, line.fraction, theme.track, theme.partner);
    }
    clipped_text(ui, rect, Align2::RIGHT_CENTER, &line.number, theme::body(), theme.text);
    if response.on_hover_text(&line.name).clicked() {
        ctx.commands.send(select(Some(line.item)));
    }
}

/// The result in one sentence.
fn sentence(found: &Found) -> String {
    let counts = found.counts();
    let all = found.tree().rows.len() as u64;
    let identical = counts.of(Chip::Identical);
    let differ = counts.of(Chip::Changed)
        + counts.of(Chip::Reshaped)
        + counts.of(Chip::DtypeChanged)
        + counts.of(Chip::Unreadable);
    let one_side = counts.of(Chip::OnlyLeft) + counts.of(Chip::OnlyRight);
    let renamed = counts.of(Chip::Renamed);
    if all == 0 {
        return "Neither side holds tensors".to_owned();
    }
    if found.whole().is_some() && differ + one_side + renamed == 0 {
        return format!("All {} are identical", tensors(identical));
    }
    let mut parts = match found.whole() {
        Some(_) => vec![format!("{} of {} differ", text::count(differ), tensors(all))],
        None => {
            let done = text::count(found.done() as u64);
            vec![format!("{} of {done} compared so far differ", text::count(differ))]
        }
    };
    if renamed > 0 {
        parts.push(format!("{} renamed", text::count(renamed)));
    }
    if one_side > 0 {
        parts.push(format!("{} on one side only", text::count(one_side)));
    }
    parts.join(", ")
}

fn sides_ui(ui: &mut Ui, ctx: &ViewContext<'_>, found: &Found) {
    let second = |text: &str| RichText::new(text).font(theme::label()).color(ctx.theme.text_second);
    let width = (ui.available_width() - 70.0) / 2.0 - 12.0;
    Grid::new("compare_sides").num_columns(3).spacing([12.0, 4.0]).show(ui, |ui| {
        ui.label("");
        for side in Side::BOTH {
            let text = RichText::new(side.label()).font(theme::body_medium()).color(side_color(ctx, side));
            ui.label(text);
        }
        ui.end_row();
        let mut row = |label: &str, get: &dyn Fn(&Checkpoint) -> String| {
            ui.label(second(label));
            for checkpoint in [&found.left, &found.right] {
                ui.scope(|ui| {
                    ui.set_max_width(width.max(60.0));
                    ui.add(Label::new(text::escape(&get(checkpoint))).truncate());
                });
            }
            ui.end_row();
        };
        row("file", &|checkpoint| {
            checkpoint.path().file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
        });
        row("format", &|checkpoint| format_badge(checkpoint.format()).to_owned());
        row("tensors", &|checkpoint| text::count(checkpoint.totals().tensors));
        row("elements", &|checkpoint| text::short_count(checkpoint.totals().elements));
        row("on disk", &|checkpoint| text::bytes(checkpoint.totals().file_bytes));
    });
}

fn rules_ui(ui: &mut Ui, ctx: &ViewContext<'_>, found: &Found) {
    let rules = &found.pairing().rules;
    let guesses =
        found.pairing().pairs.iter().any(|pair| pair.by == crate::analysis::pairing::MatchedBy::Shape);
    if rules.is_empty() && !guesses {
        return;
    }
    ui.add_space(theme::STEP);
    ctx.theme.card().show(ui, |ui| {
        ui.set_width(ui.available_width());
        title_ui(ui, ctx, "How tensors were paired");
        for rule in rules.iter().take(LISTED) {
            let origin = if rule.found { "found" } else { "given" };
            let matched = format!("{origin}: {} paired", text::count(rule.matched as u64));
            let shown = RichText::new(text::escape(&rule.rule.to_string())).font(theme::mono_small());
            ui.add(Label::new(shown).truncate());
            ui.label(RichText::new(matched).font(theme::label()).color(ctx.theme.text_second));
        }
        if guesses {
            let note = "Some pairs are a guess by shape and order; they say so.";
            ui.label(RichText::new(note).font(theme::label()).color(ctx.theme.partner));
        }
    });
}

fn group_chips(sums: &DiffNode) -> Vec<String> {
    let mut chips = Vec::new();
    for (count, label) in [
        (sums.different, "different"),
        (sums.identical, "identical"),
        (sums.only_left, "only left"),
        (sums.only_right, "only right"),
        (sums.without_values, "without values to compare"),
        (sums.nan, "NaN came or went"),
    ] {
        if count > 0 {
            chips.push(format!("{} {label}", text::count(count)));
        }
    }
    if sums.changed > 0 {
        chips.push(format!("relative change {}", relative_text(sums.relative_l2())));
        chips.push(format!("{} of elements changed", table::share_text(sums.changed, sums.elements)));
        chips.push(format!("max |Δ| {}", text::number(sums.max_abs)));
    }
    chips
}

/// What is to be said first about a pair.
pub(super) fn status_text(status: PairStatus) -> &'static str {
    match status {
        PairStatus::Unreadable => "unreadable",
        PairStatus::Reshaped => "reshaped",
        PairStatus::DtypeChanged => "dtype changed",
        PairStatus::Changed => "changed",
        PairStatus::Identical => "identical",
    }
}
