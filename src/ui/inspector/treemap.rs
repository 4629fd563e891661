//! Children of a layer as areas in proportion to their size.

use egui::{Align2, Pos2, Rect, Role, Sense, Ui, Vec2, WidgetInfo};

use crate::jobs::CheckpointId;
use crate::state::Command;
use crate::state::tree::{Item, TreeChange};
use crate::state::treemap::{Area, areas};
use crate::ui::widgets::clipped_text;
use crate::ui::{ViewContext, theme};

/// One child.
pub(super) struct Tile {
    pub item: Item,
    pub size: u64,
    pub name: String,
    /// For hovering.
    pub note: String,
}

/// The areas, laid out anew when the width or what is shown changes.
#[derive(Default)]
pub(super) struct TreemapView {
    tiles: Vec<Tile>,
    areas: Vec<Area>,
    size: Vec2,
}

impl TreemapView {
    /// Shows other children, in descending order of size.
    pub(super) fn set(&mut self, tiles: Vec<Tile>) {
        self.tiles = tiles;
        self.size = Vec2::ZERO;
    }

    /// Draws the areas; a click selects.
    pub(super) fn ui(&mut self, ui: &mut Ui, ctx: &ViewContext<'_>, checkpoint: CheckpointId, height: f32) {
        let (whole, _) = ui.allocate_exact_size(Vec2::new(ui.available_width(), height), Sense::hover());
        if self.size != whole.size() {
            self.size = whole.size();
            let sizes: Vec<u64> = self.tiles.iter().map(|tile| tile.size).collect();
            self.areas = areas(&sizes, self.size.x, self.size.y);
        }
        let fade = 0.5 / self.tiles.len().max(1) as f32;
        for (index, (tile, &[left, top, width, height])) in self.tiles.iter().zip(&self.areas).enumerate() {
            if width < 1.5 || height < 1.5 {
                continue;
            }
            let rect = Rect::from_min_size(whole.min + Vec2::new(left, top), Vec2::new(width, height));
            let response = ui.interact(rect, ui.scope_id().with(("tile", tile.item)), Sense::CLICK);
            response
                .widget_info(|| WidgetInfo::labeled(Role::Button, true, format!("Area of {}", tile.name)));
            let lit = response.hovered();
            let fill = if lit {
                ctx.theme.accent_fill
            } else {
                ctx.theme.selection.lerp_to_gamma(ctx.theme.track, (fade * index as f32 * 2.0).min(0.85))
            };
            ui.painter().rect_filled(rect.shrink(0.75), 2, fill);
            if width > 34.0 && height > 16.0 {
                let text = Rect::from_min_size(
                    Pos2::new(rect.left() + 6.0, rect.top() + 3.0),
                    Vec2::new(width - 10.0, 14.0),
                );
                let color = if lit { ctx.theme.accent_text } else { ctx.theme.text };
                clipped_text(ui, text, Align2::LEFT_CENTER, &tile.name, theme::label(), color);
            }
            if response.clicked() {
                let select = TreeChange::Select(Some(tile.item));
                ctx.commands.send(Command::Tree(checkpoint, select));
            }
            response.on_hover_text(&tile.note);
        }
    }
}
