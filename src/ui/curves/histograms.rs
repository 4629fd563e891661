//! Logged histograms of one quantity as ridges: a step behind the other, the newest in front.

use egui::{Align2, Color32, Mesh, Pos2, Rect, RichText, Role, Sense, Shape, Stroke, Ui, Vec2, WidgetInfo};

use super::send;
use crate::analysis::ridges::{Ridge, Ridges, bucket_at};
use crate::state::chart::Axis;
use crate::state::curves::histograms::Made;
use crate::state::{Command, CurvesChange};
use crate::text;
use crate::ui::{ViewContext, theme};

/// Room for the labels of steps at the right, and of values below.
const RIGHT: f32 = 64.0;
const BELOW: f32 = 22.0;
/// How high the highest ridge stands, as a share of the picture.
const PEAK: f32 = 0.42;

/// The picture, with where it stands.
#[derive(Default)]
pub(super) struct HistogramsView {
    rect: Option<Rect>,
}

impl HistogramsView {
    pub(super) fn ui(&mut self, ui: &mut Ui, ctx: &ViewContext<'_>) {
        let Some(made) = &ctx.state.curves.ridges else {
            ui.add_space(24.0);
            ui.label(RichText::new("Drawing…").color(ctx.theme.text_second));
            return;
        };
        let Some(series) = made.series() else { return };
        ui.horizontal(|ui| {
            let name = RichText::new(text::escape(&series.name)).font(theme::mono());
            ui.add(egui::Label::new(name.color(ctx.theme.text_strong)).truncate());
            let about = RichText::new(about(&made.ridges)).font(theme::label());
            ui.label(about.color(ctx.theme.text_second));
            ui.menu_button("Save", |ui| self.save_ui(ui, ctx));
        });
        if made.ridges.ridges.is_empty() {
            ui.add_space(16.0);
            let words = "No step of it has a bucket with values";
            ui.label(RichText::new(words).color(ctx.theme.text_second));
            return;
        }
        self.picture_ui(ui, ctx, made);
    }

    fn save_ui(&self, ui: &mut Ui, ctx: &ViewContext<'_>) {
        let rect = self.rect.map(|rect| [rect.left(), rect.top(), rect.right(), rect.bottom()]);
        for (label, to_file) in [("Picture as PNG…", true), ("Copy picture", false)] {
            if let Some(rect) = rect
                && ui.button(label).clicked()
            {
                let name = "histograms.png".to_owned();
                ctx.commands.send(Command::CapturePicture { name, rect, to_file });
                ui.close();
            }
        }
        if ui.button("Buckets as CSV…").clicked() {
            send(ctx, CurvesChange::SaveHistograms);
            ui.close();
        }
    }

    fn picture_ui(&mut self, ui: &mut Ui, ctx: &ViewContext<'_>, made: &Made) {
        let ridges = &made.ridges;
        let size = Vec2::new(ui.available_width(), (ui.available_height() - 4.0).max(120.0));
        let (whole, response) = ui.allocate_exact_size(size, Sense::hover());
        response.widget_info(|| WidgetInfo::labeled(Role::Image, true, "Histograms over the steps"));
        self.rect = Some(whole);
        let inner = Rect::from_min_max(whole.min + Vec2::new(10.0, 6.0), whole.max - Vec2::new(RIGHT, BELOW));
        let ground = Ground::of(ridges, inner);
        let pointer = response.hover_pos().filter(|at| inner.contains(*at));
        let under = pointer.and_then(|at| ground.under(ridges, at));
        axis(ui, ctx, ridges, inner);
        for (index, ridge) in ridges.ridges.iter().enumerate() {
            ridge_ui(ui, ctx, &ground, index, ridge);
        }
        if let Some(ridge) = under.and_then(|(lit, _)| ridges.ridges.get(lit)) {
            // Seen through those in front of it.
            let line = outline(&ground, under.map_or(0, |(lit, _)| lit), ridge);
            ui.painter().add(Shape::line(line, Stroke::new(1.8, ctx.theme.text_strong)));
        }
        steps(ui, ctx, ridges, &ground, under.map(|(lit, _)| lit));
        let Some((index, share)) = under else { return };
        let words = words(made, index, share);
        if let (Some(at), Some(words)) = (pointer, words) {
            ui.painter().vline(at.x, inner.y_range(), Stroke::new(1.0, ctx.theme.line_strong));
            response.on_hover_text_at_pointer(words);
        }
    }
}

fn about(ridges: &Ridges) -> String {
    let steps = text::count(ridges.logged as u64);
    let about = if ridges.ridges.len() < ridges.logged {
        format!("{} of {steps} steps", ridges.ridges.len())
    } else {
        format!("{steps} step{}", if ridges.logged == 1 { "" } else { "s" })
    };
    if ridges.left_out > 0 {
        let plural = if ridges.left_out == 1 { " is no number" } else { "s are no numbers" };
        return format!("{about}; {} bucket{plural}", text::count(ridges.left_out));
    }
    about
}

/// Where ridges stand.
struct Ground {
    inner: Rect,
    count: usize,
    highest: f64,
    /// How far below the top the ridge at the back stands.
    back: f32,
}

impl Ground {
    /// As far up as lets every ridge stay within the picture.
    fn of(ridges: &Ridges, inner: Rect) -> Self {
        let mut ground = Self { inner, count: ridges.ridges.len(), highest: ridges.highest, back: 20.0 };
        for (index, ridge) in ridges.ridges.iter().enumerate() {
            let share = ground.share(index);
            if share < 1.0 {
                let room = (ground.height(ridge.highest) - inner.height() * share) / (1.0 - share);
                ground.back = ground.back.max(room);
            }
        }
        ground
    }

    /// How far in front a ridge stands: 0 at the back, 1 in front.
    fn share(&self, index: usize) -> f32 {
        if self.count < 2 { 1.0 } else { index as f32 / (self.count - 1) as f32 }
    }

    fn peak(&self) -> f32 {
        if self.count == 1 { self.inner.height() * 0.96 } else { self.inner.height() * PEAK }
    }

    /// The line on which a ridge stands: the first one at the back, the last one in front.
    fn base(&self, index: usize) -> f32 {
        let back = self.inner.top() + self.back;
        back + (self.inner.bottom() - back) * self.share(index)
    }

    fn height(&self, count: f64) -> f32 {
        if self.highest > 0.0 { (count / self.highest) as f32 * self.peak() } else { 0.0 }
    }

    /// The ridge under the pointer, with the place across as a share: the foremost that covers it, else the nearest line.
    fn under(&self, ridges: &Ridges, at: Pos2) -> Option<(usize, f32)> {
        let share = (at.x - self.inner.left()) / self.inner.width();
        let bin =
            ((share * crate::analysis::ridges::BINS as f32) as usize).min(crate::analysis::ridges::BINS - 1);
        let covers = |(index, ridge): &(usize, &Ridge)| {
            let base = self.base(*index);
            let top = base - self.height(ridge.heights.get(bin).copied().unwrap_or(0.0));
            (top - 2.0..=base).contains(&at.y)
        };
        let near = |index: &usize| (self.base(*index) - at.y).abs();
        let found = ridges.ridges.iter().enumerate().rev().find(covers).map(|(index, _)| index);
        let found = found.or_else(|| (0..self.count).min_by(|a, b| near(a).total_cmp(&near(b))));
        found.map(|index| (index, share))
    }
}

fn ridge_ui(ui: &Ui, ctx: &ViewContext<'_>, ground: &Ground, index: usize, ridge: &Ridge) {
    let age = ground.share(index);
    let line = outline(ground, index, ridge);
    let fill = ctx.theme.sequential(0.12 + 0.43 * age);
    ui.painter().add(Shape::mesh(below(&line, ground.base(index), fill)));
    ui.painter().add(Shape::line(line, Stroke::new(1.0, ctx.theme.sequential(0.5 + 0.5 * age))));
}

/// From the middle of each bin to that of the next, and down to the ground at both ends.
fn outline(ground: &Ground, index: usize, ridge: &Ridge) -> Vec<Pos2> {
    let base = ground.base(index);
    let step = ground.inner.width() / ridge.heights.len() as f32;
    let mut line = vec![Pos2::new(ground.inner.left(), base)];
    line.extend(ridge.heights.iter().enumerate().map(|(bin, &count)| {
        Pos2::new(ground.inner.left() + step * (bin as f32 + 0.5), base - ground.height(count))
    }));
    line.push(Pos2::new(ground.inner.right(), base));
    line
}

/// The area between a line and its ground.
fn below(line: &[Pos2], base: f32, fill: Color32) -> Mesh {
    let mut mesh = Mesh::default();
    for at in line {
        mesh.colored_vertex(*at, fill);
        mesh.colored_vertex(Pos2::new(at.x, base), fill);
    }
    for pair in 0..(line.len() as u32).saturating_sub(1) {
        let first = pair * 2;
        mesh.add_triangle(first, first + 1, first + 2);
        mesh.add_triangle(first + 1, first + 2, first + 3);
    }
    mesh
}

fn axis(ui: &Ui, ctx: &ViewContext<'_>, ridges: &Ridges, inner: Rect) {
    let axis = Axis::between(ridges.low, ridges.high, 6.0);
    for (place, label) in &axis.ticks {
        let share = ((place - ridges.low) / (ridges.high - ridges.low)) as f32;
        if !(0.0..=1.0).contains(&share) {
            continue;
        }
        let x = inner.left() + share * inner.width();
        ui.painter().vline(x, inner.y_range(), ctx.theme.separator());
        let at = Pos2::new(x, inner.bottom() + 5.0);
        ui.painter().text(at, Align2::CENTER_TOP, label, theme::axis(), ctx.theme.text_second);
    }
}

/// Names steps at the right, where there is room; always the first, the last, and the one under the pointer.
fn steps(ui: &Ui, ctx: &ViewContext<'_>, ridges: &Ridges, ground: &Ground, lit: Option<usize>) {
    const ROOM: f32 = 15.0;
    let last = ground.count - 1;
    let mut named: Vec<usize> = Vec::new();
    for index in lit.into_iter().chain([last, 0]).chain(0..ground.count) {
        if named.iter().all(|&other| (ground.base(other) - ground.base(index)).abs() >= ROOM) {
            named.push(index);
        }
    }
    for index in named {
        let Some(ridge) = ridges.ridges.get(index) else { continue };
        let at = Pos2::new(ground.inner.right() + 8.0, ground.base(index));
        let color = if lit == Some(index) { ctx.theme.text_strong } else { ctx.theme.text_second };
        ui.painter().text(at, Align2::LEFT_CENTER, step_words(ridge.step), theme::axis(), color);
    }
    let head = Pos2::new(ground.inner.right() + 8.0, ground.base(0) - ROOM);
    ui.painter().text(head, Align2::LEFT_CENTER, "step", theme::label(), ctx.theme.text_second);
}

fn step_words(step: f64) -> String {
    if step.fract() == 0.0 && step.abs() < 1e15 {
        text::count_signed(step as i64)
    } else {
        text::number(step)
    }
}

/// The step under the pointer, and the logged bucket there.
fn words(made: &Made, index: usize, share: f32) -> Option<String> {
    let (ridges, ridge) = (&made.ridges, made.ridges.ridges.get(index)?);
    let value = ridges.low + f64::from(share) * (ridges.high - ridges.low);
    let (_, buckets) = made.series()?.frames.get(ridge.frame)?;
    let step = step_words(ridge.step);
    Some(match bucket_at(buckets, value) {
        Some(bucket) => format!(
            "Step {step}\n{} … {}: {} values",
            text::number(bucket.left),
            text::number(bucket.right),
            text::number(bucket.count)
        ),
        None => format!("Step {step}\nno values at {}", text::number(value)),
    })
}
