//! A layer, module or dictionary: its head line, what is inside, its configuration.

use egui::{Align2, RichText, Role, Sense, Ui, Vec2, WidgetInfo};

use super::parts::{Copies, bar_line_ui, card_head_ui, name_ui, remember_rect, title_ui};
use super::tensor_table::TensorTable;
use super::treemap::{Tile, TreemapView};
use super::values::ValuesView;
use crate::jobs::CheckpointId;
use crate::model::{Checkpoint, NodeId, Value};
use crate::state::tree::{self, Item, TreeChange};
use crate::state::{Command, OpenCheckpoint, metadata};
use crate::text;
use crate::ui::widgets::{chip_ui, clipped_text, coloured_chip_ui, mono_chip_ui, tabs_ui, tensors};
use crate::ui::{ViewContext, theme};

/// Children listed in a layer's bars.
const CHILDREN_SHOWN: usize = 12;
/// Tiles of the treemap; more would be dust.
const TILES: usize = 120;
/// Lines of a configuration.
const CONFIG_SHOWN: usize = 200;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Tab {
    #[default]
    Overview,
    Tensors,
}

/// The inspector of a layer.
#[derive(Default)]
pub(super) struct LayerView {
    tab: Tab,
    by_bytes: bool,
    treemap: TreemapView,
    table: TensorTable,
    shown: Option<Shown>,
}

/// What is inside a group, made ready to draw when another one is selected.
struct Shown {
    of: (CheckpointId, NodeId, bool),
    name: String,
    bars: Vec<Bar>,
    rest: usize,
    config: Vec<(String, String)>,
}

struct Bar {
    item: Item,
    name: String,
    detail: String,
    number: String,
    fraction: f32,
}

impl LayerView {
    /// Draws head, tabs and the chosen view.
    pub(super) fn ui(
        &mut self,
        ui: &mut Ui,
        ctx: &ViewContext<'_>,
        values: &mut ValuesView,
        entry: &OpenCheckpoint,
        checkpoint: &Checkpoint,
        id: NodeId,
    ) {
        head_ui(ui, ctx, checkpoint, id);
        let of = (entry.id, id, self.by_bytes);
        if self.shown.as_ref().is_none_or(|shown| shown.of != of) {
            let (shown, tiles) = Shown::new(checkpoint, of);
            self.treemap.set(tiles);
            self.shown = Some(shown);
        }
        ui.add_space(theme::STEP);
        let count = checkpoint.layer_tree().node(id).total_tensors;
        let table = format!("Tensors ({})", text::count(count));
        tabs_ui(ui, ctx.theme, &[(Tab::Overview, "Overview"), (Tab::Tensors, &table)], &mut self.tab);
        match self.tab {
            Tab::Tensors => {
                ui.add_space(theme::STEP);
                self.table.ui(ui, ctx, entry, checkpoint, id);
            }
            Tab::Overview => {
                ui.add_space(theme::STEP);
                self.children_ui(ui, ctx, entry);
                values.ui(ui, ctx, checkpoint, &checkpoint.layer_tree().path(id));
                if let Some(shown) = &self.shown {
                    config_ui(ui, ctx, &shown.config);
                }
            }
        }
    }

    /// What is inside, the largest first: areas and bars.
    fn children_ui(&mut self, ui: &mut Ui, ctx: &ViewContext<'_>, entry: &OpenCheckpoint) {
        let Some(shown) = &self.shown else { return };
        let mut by_bytes = self.by_bytes;
        let card = ctx.theme.card().show(ui, |ui| {
            let text = || {
                let lines =
                    shown.bars.iter().map(|bar| format!("{}\t{}\t{}\n", bar.name, bar.detail, bar.number));
                lines.collect()
            };
            let copies = Copies { text: Some(&text), ..Copies::default() };
            card_head_ui(ui, ctx, "Inside", (&shown.name, "parts"), &copies, |ui| {
                ui.spacing_mut().item_spacing.x = 2.0;
                for (choice, label) in [(true, "Bytes"), (false, "Parameters")] {
                    if ui.selectable_label(by_bytes == choice, label).clicked() {
                        by_bytes = choice;
                    }
                }
            });
            if shown.bars.len() > 1 {
                self.treemap.ui(ui, ctx, entry.id, 132.0);
                ui.add_space(theme::STEP);
            }
            for bar in &shown.bars {
                let select = Command::Tree(entry.id, TreeChange::Select(Some(bar.item)));
                bar_line_ui(ui, ctx, &bar.name, &bar.detail, &bar.number, bar.fraction, Some(select));
            }
            if shown.rest > 0 {
                let rest = format!("and {} smaller", text::count(shown.rest as u64));
                ui.label(RichText::new(rest).font(theme::label()).color(ctx.theme.text_second));
            }
        });
        remember_rect(ui, "parts", card.response.rect);
        self.by_bytes = by_bytes;
    }
}

impl Shown {
    fn new(checkpoint: &Checkpoint, of: (CheckpointId, NodeId, bool)) -> (Self, Vec<Tile>) {
        let (_, id, by_bytes) = of;
        let node = checkpoint.layer_tree().node(id);
        let size =
            |item| if by_bytes { tree::bytes(checkpoint, item) } else { tree::parameters(checkpoint, item) };
        let number = |size| if by_bytes { text::bytes(size) } else { text::count(size) };
        let mut children: Vec<(Item, u64)> = node
            .children
            .iter()
            .map(|&child| Item::Group(child))
            .chain(node.tensors.iter().map(|&tensor| Item::Tensor(tensor)))
            .map(|item| (item, size(item)))
            .collect();
        let all = children.len();
        // Of very many only the largest are shown: the others need no order.
        let largest = |(_, size): &(Item, u64)| std::cmp::Reverse(*size);
        if all > TILES {
            children.select_nth_unstable_by_key(TILES, largest);
            children.truncate(TILES);
        }
        children.sort_by_key(largest);
        let most = children.first().map_or(1, |(_, size)| (*size).max(1));
        let name = |item| text::escape(tree::name(checkpoint, item));
        let tiles = children.iter().take(TILES).map(|&(item, size)| Tile {
            item,
            size,
            name: name(item),
            note: format!("{}\n{}", text::escape(&tree::full_name(checkpoint, item)), number(size)),
        });
        let tiles = tiles.collect();
        children.truncate(CHILDREN_SHOWN);
        let bars = children.iter().map(|&(item, size)| Bar {
            item,
            name: name(item),
            detail: match item {
                Item::Group(id) => checkpoint.layer_tree().node(id).class.clone().unwrap_or_default(),
                Item::Tensor(id) => checkpoint.tensor(id).shape.to_string(),
            },
            number: number(size),
            fraction: (size as f64 / most as f64) as f32,
        });
        let bars: Vec<Bar> = bars.collect();
        let (rest, config) = (all - bars.len(), config_lines(checkpoint, id));
        (Self { of, name: checkpoint.layer_tree().path(id), rest, bars, config }, tiles)
    }
}

/// Name, class, counts and output shape.
fn head_ui(ui: &mut Ui, ctx: &ViewContext<'_>, checkpoint: &Checkpoint, id: NodeId) {
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

/// The layer's own configuration as lines of a key and a value.
fn config_lines(checkpoint: &Checkpoint, id: NodeId) -> Vec<(String, String)> {
    let node = checkpoint.layer_tree().node(id);
    let Some(layer) = node.layer.and_then(|index| checkpoint.layers().get(index)) else { return Vec::new() };
    let Value::Map(entries) = &layer.config else { return Vec::new() };
    let lines = entries.iter().take(CONFIG_SHOWN).map(|(key, value)| {
        let preview = match value {
            Value::Map(_) | Value::List(_) => metadata::to_json(checkpoint, value).to_string(),
            _ => metadata::preview(checkpoint, value),
        };
        (text::escape(key), preview)
    });
    lines.collect()
}

fn config_ui(ui: &mut Ui, ctx: &ViewContext<'_>, lines: &[(String, String)]) {
    if lines.is_empty() {
        return;
    }
    ui.add_space(theme::STEP);
    ctx.theme.card().show(ui, |ui| {
        title_ui(ui, ctx, "Configuration");
        for (key, preview) in lines {
            let (rect, response) =
                ui.allocate_exact_size(Vec2::new(ui.available_width(), 20.0), Sense::hover());
            response.widget_info(|| WidgetInfo::labeled(Role::Label, true, format!("{key}: {preview}")));
            let (left, right) = rect.split_left_right_at_fraction(0.42);
            clipped_text(ui, left, Align2::LEFT_CENTER, key, theme::label(), ctx.theme.text_second);
            clipped_text(ui, right, Align2::LEFT_CENTER, preview, theme::mono(), ctx.theme.text);
            response.on_hover_text(preview);
        }
    });
}
