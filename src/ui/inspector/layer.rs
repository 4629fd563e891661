//! A layer, module or dictionary: its head line, what is inside, its configuration.

use egui::{Align2, RichText, Role, Sense, Ui, Vec2, WidgetInfo};

use super::parts::{bar_line_ui, name_ui, title_ui};
use crate::model::{Checkpoint, NodeId, Value};
use crate::state::tree::{self, Item, TreeChange};
use crate::state::{Command, OpenCheckpoint, metadata};
use crate::text;
use crate::ui::widgets::{chip_ui, clipped_text, coloured_chip_ui, mono_chip_ui, tensors};
use crate::ui::{ViewContext, theme};

/// Children listed in a layer's bars.
const CHILDREN_SHOWN: usize = 12;

/// Name, class, counts and output shape.
pub(super) fn head_ui(ui: &mut Ui, ctx: &ViewContext<'_>, checkpoint: &Checkpoint, id: NodeId) {
    let tree = checkpoint.layer_tree();
    let node = tree.node(id);
    name_ui(ui, ctx, &tree.path(id));
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

/// What is inside, the largest first.
pub(super) fn children_ui(
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

/// The layer's own configuration, where the format has it.
pub(super) fn config_ui(ui: &mut Ui, ctx: &ViewContext<'_>, checkpoint: &Checkpoint, id: NodeId) {
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
