//! The checkpoint as a whole: totals, bytes by dtype, problems.

use egui::{RichText, Ui};

use super::parts::{Cell, bar_line_ui, grid_ui, name_ui, problems_ui, title_ui};
use crate::jobs::CheckpointId;
use crate::model::Checkpoint;
use crate::state::OpenCheckpoint;
use crate::text;
use crate::ui::widgets::{chip_ui, tensors};
use crate::ui::{ViewContext, theme};

/// The summary, with sums made when another checkpoint is shown.
#[derive(Default)]
pub(super) struct CheckpointSummary {
    breakdown: Option<(CheckpointId, Vec<Share>)>,
}

impl CheckpointSummary {
    /// Draws it.
    pub(super) fn ui(
        &mut self,
        ui: &mut Ui,
        ctx: &ViewContext<'_>,
        entry: &OpenCheckpoint,
        checkpoint: &Checkpoint,
    ) {
        let totals = checkpoint.totals();
        name_ui(ui, ctx, &entry.name);
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
}

/// What one dtype has of the file.
struct Share {
    label: String,
    tensors: u64,
    bytes: u64,
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
