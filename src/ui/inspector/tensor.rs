//! A tensor: its head line, and what its values look like in four ways.

use egui::{Align, Label, Layout, Popup, RichText, Role, Sense, Ui, WidgetInfo};

use super::heat_map::HeatMapView;
use super::norms::NormsView;
use super::parts::{Of, PROBLEMS_SHOWN, name_ui, problem_ui};
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
    /// A vector lies in its picture and stands in its table; `None` for other tensors.
    lying: Option<SlicePicker>,
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
            let lying = (dims.len() == 1).then(|| SlicePicker::lying(&dims));
            let heat_map = HeatMapView::new(&dims, lying.as_ref().unwrap_or(&picker));
            self.shown = Some(Shown { of, dims, picker, lying, heat_map });
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
        let subject = Of { checkpoint, id, name: &tensor.name };
        match self.tab {
            Tab::Overview => {
                values.ui(ui, ctx, checkpoint, &tensor.name);
                if tensor.elements() > 1 {
                    ui.add_space(theme::STEP);
                    let picker = shown.lying.as_mut().unwrap_or(&mut shown.picker);
                    shown.heat_map.ui(ui, ctx, (entry.id, tensor.dtype.bits()), picker, &subject);
                }
            }
            Tab::Values => {
                let before = shown.picker.clone();
                self.table.ui(ui, ctx, entry.id, &mut shown.picker, &subject);
                if shown.picker != before && shown.lying.is_none() {
                    shown.heat_map.show_all(&shown.picker);
                }
            }
            Tab::Norms => self.norms.ui(ui, ctx, look(Look::Norms), &subject),
            Tab::Spectrum => self.spectrum.ui(ui, ctx, look(Look::Spectrum), &shown.dims, &subject),
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
    ui.with_layout(Layout::right_to_left(Align::TOP), |ui| {
        copy_menu_ui(ui, ctx, checkpoint, id);
        ui.with_layout(Layout::top_down(Align::LEFT), |ui| name_ui(ui, ctx, &tensor.name));
    });
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing.x = 4.0;
        chip_ui(ui, theme, tensor.dtype.name());
        mono_chip_ui(ui, theme, &tensor.shape.to_string());
        chip_ui(ui, theme, &format!("{} elements", text::count(tensor.elements())));
        chip_ui(ui, theme, &text::bytes(tensor.bytes())).on_hover_text(format!(
            "{} bytes of values, {} in the file",
            text::count(tensor.bytes()),
            text::count(tensor.stored_bytes)
        ));
        if tensor.role != TensorRole::Unknown {
            let chip = chip_ui(ui, theme, tensor.role.name());
            if let Some(evidence) = tensor.role_evidence {
                chip.on_hover_text(format!("{}: {}", tensor.role.name(), evidence.text()));
            }
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
    });
    let offset = tensor.offset.map(|offset| format!("at byte {}", text::count(offset)));
    let stored = tensor.stored_name.as_ref().filter(|stored| **stored != tensor.name);
    let stored = stored.map(|stored| format!("stored as {}", text::escape(stored)));
    let place: Vec<String> = offset.into_iter().chain(stored).collect();
    if !place.is_empty() {
        let text = RichText::new(place.join(" · ")).font(theme::label());
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
    let response = ui.add(egui::Button::new("···").frame_when_inactive(false));
    response.widget_info(|| WidgetInfo::labeled(Role::Button, true, "Copy what it is"));
    Popup::menu(&response).show(|ui| {
        ui.set_min_width(150.0);
        let tensor = checkpoint.tensor(id);
        for (label, what, text) in [
            ("Copy name", "name", tensor.name.clone()),
            ("Copy shape", "shape", tensor.shape.to_string()),
            ("Copy description", "description", description(tensor)),
            ("Copy Python snippet", "Python snippet", snippet::python(checkpoint, id)),
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
