//! The window's views: they read state and send commands, and keep only passing state of their own.
//!
//! No view opens files, waits, or loops over tensor values.

pub mod chart;
pub mod checkpoint_list;
pub mod compare;
pub mod curves;
pub mod dialogs;
pub mod explore;
pub mod export_dialog;
pub mod inspector;
pub mod menu_bar;
pub mod metadata;
pub mod safety;
pub mod selection_bar;
pub mod status_line;
pub mod theme;
pub mod tree_table;
pub mod welcome;
pub mod widgets;

use std::cell::RefCell;

use egui::{Frame, Margin, Panel};

use crate::state::{AppState, Command, Page};
use theme::Theme;

/// Commands of one frame, in order.
#[derive(Debug, Default)]
pub struct CommandQueue(RefCell<Vec<Command>>);

impl CommandQueue {
    /// Adds one.
    pub fn send(&self, command: Command) {
        self.0.borrow_mut().push(command);
    }

    /// Takes all.
    pub fn drain(&self) -> Vec<Command> {
        std::mem::take(&mut *self.0.borrow_mut())
    }
}

/// What every view gets.
#[derive(Clone, Copy)]
pub struct ViewContext<'a> {
    /// What to show.
    pub state: &'a AppState,
    /// In which colours.
    pub theme: &'a Theme,
    /// Where wishes go.
    pub commands: &'a CommandQueue,
}

/// All views, with their passing state.
#[derive(Default)]
pub struct Views {
    tree_table: tree_table::TreeTable,
    inspector: inspector::Inspector,
    compare: compare::CompareView,
    curves: curves::CurvesView,
    metadata: metadata::MetadataView,
}

impl Views {
    /// Draws the whole window.
    pub fn ui(&mut self, ui: &mut egui::Ui, ctx: &ViewContext<'_>) {
        let theme = ctx.theme;
        let bar = |margin| Frame::new().fill(theme.bar).inner_margin(margin);
        Panel::top("top_bar")
            .exact_size(theme::TOP_BAR_HEIGHT)
            .resizable(false)
            .frame(bar(Margin::symmetric(8, 0)))
            .show(ui, |ui| menu_bar::menu_bar_ui(ui, ctx));
        Panel::bottom("status_line")
            .exact_size(theme::STATUS_HEIGHT)
            .resizable(false)
            .frame(bar(Margin::symmetric(12, 0)))
            .show(ui, |ui| status_line::status_line_ui(ui, ctx));
        if let Some(offer) = ctx.state.compare.offer {
            Panel::bottom("compare_offer")
                .resizable(false)
                .frame(Frame::new().fill(theme.raised).inner_margin(Margin::symmetric(12, 6)))
                .show(ui, |ui| compare::offer_ui(ui, ctx, offer));
        }
        if !ctx.state.session.entries.is_empty() {
            Panel::left("checkpoints")
                .default_size(216.0)
                .size_range(160.0..=360.0)
                .resizable(true)
                .frame(Frame::new().fill(theme.panel))
                .show(ui, |ui| checkpoint_list::checkpoint_list_ui(ui, ctx));
        }
        let page = egui::CentralPanel::default().frame(Frame::new().fill(theme.window));
        let current = ctx.state.session.current();
        match (current.map(|entry| (entry, entry.checkpoint.value())), ctx.state.page) {
            // Logs are shown without any checkpoint being open.
            (open, Page::Curves) if open.is_some() || !ctx.state.curves.is_empty() => {
                page.show(ui, |ui| self.curves.ui(ui, ctx));
            }
            (None, _) => {
                page.show(ui, |ui| welcome::welcome_ui(ui, ctx));
            }
            // Files that do not open are looked at as well.
            (Some((entry, _)), Page::Safety) => {
                page.show(ui, |ui| safety::safety_ui(ui, ctx, entry));
            }
            (Some(_), Page::Compare) => {
                page.show(ui, |ui| self.compare.ui(ui, ctx));
            }
            (Some((entry, None)), _) => {
                page.show(ui, |ui| explore::not_ready_ui(ui, ctx, entry));
            }
            (Some((entry, Some(checkpoint))), Page::Metadata) => {
                page.show(ui, |ui| self.metadata.ui(ui, ctx, entry, checkpoint));
            }
            (Some((entry, Some(checkpoint))), _) => {
                explore::explore_ui(self, ui, ctx, entry, checkpoint);
            }
        }
        dialogs::dialogs_ui(ui, ctx);
    }
}
