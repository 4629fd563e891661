//! A tensor: its head line, and what its values look like in four ways.

use egui::{Label, RichText, Sense, Ui};

use super::heat_map::HeatMapView;
use super::norms::NormsView;
use super::parts::{PROBLEMS_SHOWN, name_ui, problem_ui};
use super::slice_picker::SlicePicker;
use super::spectrum::SpectrumView;
use super::values::ValuesView;
use super::values_table::ValuesTable;
use crate::analysis::slice::value_dims;
use crate::jobs::{CheckpointId, Look, LookKey};
use crate::model::{Checkpoint, TensorId, TensorInfo, TensorRole};
use crate::state::tree::{Item, TreeChange};
use crate::state::{Command, OpenCheckpoint, snippet};
use crate::text;
use crate::ui::widgets::{chip_ui, coloured_chip_ui, mono_chip_ui, tabs_ui};
use crate::ui::{ViewContext, theme};

/// A way to look at a tensor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Tab {
    #[default]
    Overview,
    Values,
    Norms,
    Spectrum,
}

const TABS: [(Tab, &str); 4] = [
    (Tab::Overview, "Overview"),
    (Tab::Values, "Values"),
    (Tab::Norms, "Norms"),
    (Tab::Spectrum, "Spectrum"),
];

/// The inspector of a tensor.
#[derive(Default)]
pub(super) struct TensorView {
    tab: Tab,
    norms: NormsView,
    spectrum: SpectrumView,
    table: ValuesTable,
    shown: Option<Shown>,
}

/// What belongs to one tensor.
struct Shown {
    of: (CheckpointId, TensorId),
    dims: Vec<u64>,
    picker: SlicePicker,
    heat_map: HeatMapView,
}

impl TensorView {
    /// Draws head, tabs and the chosen view.
    pub(super) fn ui(
        &mut self,
        ui: &mut Ui,
        ctx: &ViewContext<'_>,
        values: &mut ValuesView,
        entry: &OpenCheckpoint,
        checkpoint: &Checkpoint,
        id: TensorId,
    ) {
        let tensor = checkpoint.tensor(id);
        head_ui(ui, ctx, entry, checkpoint, id);
        let of = (entry.id, id);
        if self.shown.as_ref().is_none_or(|shown| shown.of != of) {
            let dims = value_dims(tensor);
            let picker = SlicePicker::new(&dims);
            let heat_map = HeatMapView::new(&dims, &picker);
            self.shown = Some(Shown { of, dims, picker, heat_map });
            self.table = ValuesTable::default();
        }
        let Some(shown) = &mut self.shown else { return };
        let has_numbers = tensor.dtype.is_numeric() && tensor.elements() > 0;
        if !has_numbers {
            values.ui(ui, ctx, checkpoint, &tensor.name);
            return;
        }
        ui.add_space(theme::STEP);
        tabs_ui(ui, ctx.theme, &TABS, &mut self.tab);
        let look = |look| LookKey { checkpoint: entry.id, tensor: id, look };
        match self.tab {
            Tab::Overview => {
                values.ui(ui, ctx, checkpoint, &tensor.name);
                if tensor.elements() > 1 {
                    ui.add_space(theme::STEP);
                    let of = (entry.id, id, tensor.dtype.bits());
                    shown.heat_map.ui(ui, ctx, of, &mut shown.picker, &tensor.name);
                }
            }
            Tab::Values => {
                let before = shown.picker.clone();
                self.table.ui(ui, ctx, of, &mut shown.picker);
                if shown.picker != before {
                    shown.heat_map.show_all(&shown.picker);
                }
            }
            Tab::Norms => self.norms.ui(ui, ctx, look(Look::Norms), &tensor.name),
            Tab::Spectrum => self.spectrum.ui(ui, ctx, look(Look::Spectrum), &shown.dims, &tensor.name),
        }
    }
}

/// Name, dtype, shape, size, role, what it is tied with, where it is in the file, and what is wrong with it.
fn head_ui(
    ui: &mut Ui,
    ctx: &ViewContext<'_>,
    entry: &OpenCheckpoint,
    checkpoint: &Checkpoint,
    id: TensorId,
) {
    let tensor = checkpoint.tensor(id);
    let theme = ctx.theme;
    name_ui(ui, ctx, &tensor.name);
    ui.horizontal_wrapped(|ui| {
        chip_ui(ui, theme, tensor.dtype.name());
        mono_chip_ui(ui, theme, &tensor.shape.to_string());
        chip_ui(ui, theme, &format!("{} elements", text::count(tensor.elements())));
        chip_ui(ui, theme, &text::bytes(tensor.bytes())).on_hover_text(format!(
            "{} bytes of values, {} in the file",
            text::count(tensor.bytes()),
            text::count(tensor.stored_bytes)
        ));
        if tensor.role != TensorRole::Unknown {
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
        copy_menu_ui(ui, ctx, checkpoint, id);
    });
    if let Some(stored) = tensor.stored_name.as_ref().filter(|stored| **stored != tensor.name) {
        let text = RichText::new(format!("stored as {}", text::escape(stored))).font(theme::label());
        ui.add(Label::new(text.color(theme.text_second)).truncate());
    }
    for problem in checkpoint.problems_of(id).take(PROBLEMS_SHOWN) {
        problem_ui(ui, ctx, problem);
    }
    if let Some(verdict) = entry.scan.verdict() {
        for finding in verdict.of(id) {
            super::health::finding_ui(ui, ctx, finding);
        }
    }
}

fn copy_menu_ui(ui: &mut Ui, ctx: &ViewContext<'_>, checkpoint: &Checkpoint, id: TensorId) {
    ui.spacing_mut().button_padding.y = 1.0;
    ui.menu_button(RichText::new("Copy").font(theme::label()), |ui| {
        let tensor = checkpoint.tensor(id);
        for (label, what, text) in [
            ("Name", "name", tensor.name.clone()),
            ("Shape", "shape", tensor.shape.to_string()),
            ("Description", "description", description(tensor)),
            ("Python snippet", "Python snippet", snippet::python(checkpoint, id)),
        ] {
            if ui.button(label).clicked() {
                ctx.commands.send(Command::Copy { what, text });
                ui.close();
            }
        }
    });
}

/// One line that says what the tensor is.
fn description(tensor: &TensorInfo) -> String {
    format!(
        "{} {} {}, {} elements, {} bytes, {}",
        tensor.name,
        tensor.dtype.name(),
        tensor.shape,
        tensor.elements(),
        tensor.bytes(),
        tensor.role.name()
    )
}
