//! The Compare page: which two, the pairs with their differences, the selected pair in detail, and whether one would load
//! into the other.

mod columns;
mod largest;
mod load;
mod menus;
mod metadata;
mod overview;
mod pair;
mod sides;
mod table;

use egui::{CentralPanel, Frame, Margin, Panel, RichText, ScrollArea, Ui, UiBuilder, Vec2};

use super::widgets::{failed_ui, is_slow, loading_ui, primary_button_ui, tabs_ui};
use super::{ViewContext, explore, theme};
use crate::jobs::{CheckpointId, ComparisonKey, JobKey, Loadable};
use crate::state::compare::{Asked, CompareItem, CompareStatus, CompareTab, Found, PairsChange, Side};
use crate::state::{Command, CompareChange};
use crate::text;

/// Height of the bar with the two sides.
const SIDES_HEIGHT: f32 = 44.0;
/// Height of the line of tabs.
const TABS_HEIGHT: f32 = 36.0;

/// The page, with its passing state.
#[derive(Default)]
pub struct CompareView {
    menus: menus::Menus,
    table: table::Table,
    overview: overview::Overview,
    pair: pair::PairView,
    metadata: metadata::MetadataDifferences,
    load: load::LoadView,
    /// What the panel shows: of which comparison, and whether a pair, a layer or all of it.
    detail_of: Option<(ComparisonKey, Option<bool>)>,
}

impl CompareView {
    /// Draws the page.
    pub fn ui(&mut self, ui: &mut Ui, ctx: &ViewContext<'_>) {
        let compare = &ctx.state.compare;
        let bar = Frame::new().fill(ctx.theme.window).inner_margin(Margin::symmetric(12, 0));
        Panel::top("compare_sides")
            .exact_size(SIDES_HEIGHT)
            .resizable(false)
            .frame(bar)
            .show(ui, |ui| sides::sides_ui(ui, ctx, &mut self.menus));
        let Some(found) = &compare.found else {
            CentralPanel::default().frame(Frame::new().fill(ctx.theme.window)).show(ui, |ui| {
                Frame::new().inner_margin(Margin::same(24)).show(ui, |ui| nothing_yet_ui(ui, ctx));
            });
            return;
        };
        Panel::top("compare_tabs")
            .exact_size(TABS_HEIGHT)
            .resizable(false)
            .show_separator_line(false)
            .frame(bar)
            .show(ui, |ui| tab_line_ui(ui, ctx, found));
        match compare.tab {
            CompareTab::Tensors => self.tensors_ui(ui, ctx, found),
            CompareTab::Metadata => {
                CentralPanel::default()
                    .frame(Frame::new().fill(ctx.theme.window))
                    .show(ui, |ui| self.metadata.ui(ui, ctx, found));
            }
            CompareTab::Load => {
                CentralPanel::default()
                    .frame(Frame::new().fill(ctx.theme.window))
                    .show(ui, |ui| self.load.ui(ui, ctx, found));
            }
        }
    }

    fn tensors_ui(&mut self, ui: &mut Ui, ctx: &ViewContext<'_>, found: &Found) {
        let width = ui.available_width();
        Panel::right("compare_detail")
            .default_size((width * 0.4).clamp(290.0, 540.0))
            .size_range(270.0..=(width - 340.0).max(290.0))
            .resizable(true)
            .frame(Frame::new().fill(ctx.theme.panel))
            .show(ui, |ui| self.detail_ui(ui, ctx, found));
        CentralPanel::default().frame(Frame::new().fill(ctx.theme.window)).show(ui, |ui| {
            progress_ui(ui, ctx, found);
            self.table.ui(ui, ctx, found);
        });
    }

    fn detail_ui(&mut self, ui: &mut Ui, ctx: &ViewContext<'_>, found: &Found) {
        let selected = ctx.state.compare.table.selected();
        let kind = selected.map(|item| matches!(item, CompareItem::Leaf(_)));
        let mut area = ScrollArea::vertical().id_salt("compare_detail").auto_shrink(false);
        // Walking from pair to pair, one keeps looking at the same place; something else begins at its top.
        if self.detail_of != Some((found.key, kind)) {
            self.detail_of = Some((found.key, kind));
            area = area.vertical_scroll_offset(0.0);
        }
        area.show(ui, |ui| {
            Frame::new().inner_margin(Margin::same(16)).show(ui, |ui| {
                ui.spacing_mut().item_spacing = Vec2::new(6.0, 6.0);
                match selected {
                    Some(CompareItem::Leaf(leaf)) => self.pair.ui(ui, ctx, found, leaf),
                    Some(CompareItem::Group(id)) => self.overview.group_ui(ui, ctx, found, id),
                    None => self.overview.ui(ui, ctx, found),
                }
            });
        });
    }
}

/// Tabs at the left; at the right what narrows the table down.
fn tab_line_ui(ui: &mut Ui, ctx: &ViewContext<'_>, found: &Found) {
    let compare = &ctx.state.compare;
    let whole = ui.max_rect();
    let differences = found.whole().map_or(0, |whole| whole.metadata.len() as u64);
    let metadata = match differences {
        0 => "Metadata".to_owned(),
        count => format!("Metadata · {}", text::count(count)),
    };
    let loads = match &compare.load.answer {
        Loadable::Ready(answer) if answer.loads() => "Will it load? Yes",
        Loadable::Ready(_) => "Will it load? No",
        _ => "Will it load?",
    };
    let tabs =
        [(CompareTab::Tensors, "Tensors"), (CompareTab::Metadata, &metadata), (CompareTab::Load, loads)];
    let mut tab = compare.tab;
    let rect = whole.with_min_y(whole.bottom() - 30.0).with_max_y(whole.bottom() - 2.0);
    ui.scope_builder(UiBuilder::new().max_rect(rect), |ui| tabs_ui(ui, ctx.theme, &tabs, &mut tab));
    if tab != compare.tab {
        ctx.commands.send(Command::Compare(CompareChange::Show(tab)));
    }
    if compare.tab == CompareTab::Tensors {
        let right = whole.with_min_x(whole.left() + 300.0).with_max_y(whole.bottom() - 3.0);
        ui.scope_builder(UiBuilder::new().max_rect(right), |ui| table::narrowing_ui(ui, ctx));
    }
}

/// How far a comparison is, while it is not complete.
fn progress_ui(ui: &mut Ui, ctx: &ViewContext<'_>, found: &Found) {
    let again = |ui: &mut Ui, label: &str| {
        if ui.button(label).clicked() {
            ctx.commands.send(Command::Compare(CompareChange::Run));
        }
    };
    let done = || {
        let all = found.pairing().pairs.len() as u64;
        format!("{} of {} pairs compared", text::count(found.done() as u64), text::count(all))
    };
    let asked = ctx.state.compare.asked.as_ref().map(|asked| asked.key);
    let key = asked.unwrap_or(found.key);
    let job = ctx.state.jobs.iter().find(|job| job.key == JobKey::Compare(key));
    let line = |ui: &mut Ui, content: &mut dyn FnMut(&mut Ui)| {
        Frame::new().fill(ctx.theme.raised).inner_margin(Margin::symmetric(12, 5)).show(ui, |ui| {
            ui.horizontal(|ui| {
                ui.set_min_width(ui.available_width());
                content(ui);
            });
        });
    };
    match &found.status {
        CompareStatus::Running => {
            // A comparison that is done at once says nothing.
            if job.is_none_or(|job| job.elapsed.as_millis() < 150) {
                return;
            }
            line(ui, &mut |ui| {
                ui.add(egui::Spinner::new().size(14.0).color(ctx.theme.accent));
                ui.label(RichText::new(done()).color(ctx.theme.text_second));
                if ui.button("Stop comparing").clicked() {
                    ctx.commands.send(Command::Cancel(JobKey::Compare(key)));
                }
            });
        }
        CompareStatus::Stopped if asked.is_none() => line(ui, &mut |ui| {
            let text = format!("Stopped: {}", done());
            ui.label(RichText::new(text).color(ctx.theme.partner));
            again(ui, "Compare all");
        }),
        CompareStatus::Failed(error) => line(ui, &mut |ui| {
            ui.label(RichText::new(text::escape(&error.message)).color(ctx.theme.error));
            again(ui, "Compare again");
        }),
        CompareStatus::Stopped | CompareStatus::Done => {}
    }
}

/// What the page says while there is nothing to show: what is missing, and how to get it.
fn nothing_yet_ui(ui: &mut Ui, ctx: &ViewContext<'_>) {
    let compare = &ctx.state.compare;
    ui.set_max_width(620.0);
    for side in Side::BOTH {
        let entry = compare.side(side).and_then(|id| ctx.state.session.entry(id));
        if let Some(entry) = entry
            && !matches!(entry.checkpoint, Loadable::Ready(_))
        {
            explore::not_ready_ui(ui, ctx, entry);
            return;
        }
    }
    if let Some(Asked { key, .. }) = &compare.asked {
        let since = ctx.state.jobs.iter().find(|job| job.key == JobKey::Compare(*key));
        let since = since.and_then(|job| std::time::Instant::now().checked_sub(job.elapsed));
        let since = since.unwrap_or_else(std::time::Instant::now);
        if is_slow(ui, since) && loading_ui(ui, ctx.theme, "Pairing tensors…", since) {
            ctx.commands.send(Command::Cancel(JobKey::Compare(*key)));
        }
        return;
    }
    let run = Command::Compare(CompareChange::Run);
    if let Some((_, error)) = &compare.broken_off {
        match error {
            Some(error) => {
                if failed_ui(ui, ctx.theme, "The two could not be compared", error) {
                    ctx.commands.send(run);
                }
            }
            None => {
                message_ui(ui, ctx, "The comparison was stopped", "Nothing has been compared.");
                if primary_button_ui(ui, ctx.theme, "Compare").clicked() {
                    ctx.commands.send(run);
                }
            }
        }
        return;
    }
    if compare.both().is_some() {
        let bytes: u64 = Side::BOTH
            .into_iter()
            .filter_map(|side| ctx.state.session.entry(compare.side(side)?)?.checkpoint.value())
            .map(|checkpoint| checkpoint.totals().tensor_bytes)
            .sum();
        let about = format!("Comparing reads all values of both: {}.", text::bytes(bytes));
        message_ui(ui, ctx, "Ready to compare", &about);
        if primary_button_ui(ui, ctx.theme, "Compare").clicked() {
            ctx.commands.send(run);
        }
        return;
    }
    pick_ui(ui, ctx);
}

fn message_ui(ui: &mut Ui, ctx: &ViewContext<'_>, title: &str, text: &str) {
    ui.label(RichText::new(title).font(theme::title(15.0)).color(ctx.theme.text_strong));
    ui.label(RichText::new(text).color(ctx.theme.text_second));
    ui.add_space(theme::STEP * 2.0);
}

/// Offers what could stand on the side that is empty.
fn pick_ui(ui: &mut Ui, ctx: &ViewContext<'_>) {
    let compare = &ctx.state.compare;
    let side = Side::BOTH.into_iter().find(|&side| compare.side(side).is_none()).unwrap_or(Side::Right);
    let with = compare.side(side.other()).and_then(|id| ctx.state.session.entry(id));
    let title = match with {
        Some(entry) => format!("Compare {} with …", entry.name),
        None => "Choose two checkpoints to compare".to_owned(),
    };
    let about = "What changed, how much and where, whatever the two formats are; and whether one would load into the other.";
    message_ui(ui, ctx, &title, about);
    for entry in &ctx.state.session.entries {
        if compare.side_of(entry.id).is_none()
            && ui.button(&entry.name).on_hover_text(entry.path.to_string_lossy()).clicked()
        {
            ctx.commands.send(Command::Compare(CompareChange::Pick(side, entry.id)));
        }
    }
    ui.add_space(theme::STEP);
    if primary_button_ui(ui, ctx.theme, "Open another…").clicked() {
        ctx.commands.send(Command::Compare(CompareChange::OpenOn(side)));
    }
    ui.add_space(theme::STEP);
    let hint = "or drop a file here";
    ui.label(RichText::new(hint).font(theme::label()).color(ctx.theme.text_second));
}

/// Offers to compare two that were opened together.
pub fn offer_ui(ui: &mut Ui, ctx: &ViewContext<'_>, (left, right): (CheckpointId, CheckpointId)) {
    let name = |id| ctx.state.session.entry(id).map_or("…", |entry| entry.name.as_str());
    ui.horizontal(|ui| {
        let compare = Command::Compare(CompareChange::Between(left, right));
        if primary_button_ui(ui, ctx.theme, "Compare them").clicked() {
            ctx.commands.send(compare);
        }
        let dismiss = Command::Compare(CompareChange::DismissOffer);
        if ui.button(dismiss.label()).clicked() {
            ctx.commands.send(dismiss);
        }
        let text = format!("{} and {} were opened together", name(left), name(right));
        ui.add(egui::Label::new(RichText::new(text).color(ctx.theme.text)).truncate());
    });
}

/// A change of the table, as a command.
fn pairs_change(change: PairsChange) -> Command {
    Command::Compare(CompareChange::Pairs(change))
}

/// Selects an item, or nothing.
fn select(item: Option<CompareItem>) -> Command {
    pairs_change(PairsChange::Select(item))
}

/// A norm of changes as a fraction of a norm of values.
fn relative_text(relative: f64) -> String {
    if relative.is_infinite() { "from zero".to_owned() } else { three_digits(relative) }
}

/// A number for a narrow column.
fn three_digits(value: f64) -> String {
    text::number(format!("{value:.2e}").parse().unwrap_or(value))
}
