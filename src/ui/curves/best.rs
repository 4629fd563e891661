//! Checkpoints ranked by a metric, the best with a star; what ties, is missing, or was noted otherwise is said.

use egui::{Align2, ComboBox, Rect, RichText, Role, ScrollArea, Sense, TextEdit, Ui, Vec2, WidgetInfo};

use super::send;
use crate::analysis::series::best::{ValueFrom, looks_like_best_only};
use crate::analysis::series::{Ranking, Score};
use crate::jobs::curves::CheckpointSeries;
use crate::model::Direction;
use crate::state::{Command, CurvesChange, Page};
use crate::text;
use crate::ui::widgets::{clipped_text, star};
use crate::ui::{ViewContext, theme};

/// The table, with the pattern as it is typed.
#[derive(Default)]
pub(super) struct BestView {
    typed: Option<String>,
}

impl BestView {
    pub(super) fn ui(&mut self, ui: &mut Ui, ctx: &ViewContext<'_>) {
        let curves = &ctx.state.curves;
        let Some(checkpoints) = curves.gathered.value().and_then(|gathered| gathered.main_checkpoints())
        else {
            ui.add_space(16.0);
            let text = "There are no checkpoints beside these logs";
            ui.label(RichText::new(text).color(ctx.theme.text_second));
            return;
        };
        self.choices_ui(ui, ctx, checkpoints);
        ui.add_space(theme::STEP);
        match &curves.ranking {
            Some(Ok(ranking)) => {
                remarks_ui(ui, ctx, ranking, checkpoints);
                ui.add_space(theme::STEP);
                table_ui(ui, ctx, ranking, checkpoints);
            }
            Some(Err(message)) => {
                ui.label(RichText::new(text::escape(message)).color(ctx.theme.partner));
            }
            None => {}
        }
    }

    fn choices_ui(&mut self, ui: &mut Ui, ctx: &ViewContext<'_>, checkpoints: &CheckpointSeries) {
        let curves = &ctx.state.curves;
        let ranking = curves.ranking.as_ref().and_then(|ranking| ranking.as_ref().ok());
        ui.horizontal(|ui| {
            ui.label(RichText::new("Best by").color(ctx.theme.text_second));
            let chosen = ranking.map_or("a metric", |ranking| ranking.metric.as_str());
            let menu = ComboBox::from_id_salt("best_metric")
                .width(200.0)
                .truncate()
                .selected_text(text::escape(chosen));
            let response = menu.show_ui(ui, |ui| {
                for metric in &curves.metrics {
                    if ui.selectable_label(metric == chosen, text::escape(metric)).clicked() {
                        send(ctx, CurvesChange::Metric(metric.clone()));
                    }
                }
            });
            response
                .response
                .widget_info(|| WidgetInfo::labeled(Role::ComboBox, true, format!("Metric: {chosen}")));
            if let Some(ranking) = ranking {
                for (direction, label) in
                    [(Direction::Min, "Less is better"), (Direction::Max, "More is better")]
                {
                    if ui.radio(ranking.direction == direction, label).clicked() {
                        send(ctx, CurvesChange::Direction(Some(direction)));
                    }
                }
            }
        });
        ui.horizontal(|ui| {
            let label = ui.label(RichText::new("Names are read as").color(ctx.theme.text_second));
            let found = checkpoints.pattern.as_ref().map(ToString::to_string).unwrap_or_default();
            let shown = if curves.pattern.is_empty() { found } else { curves.pattern.clone() };
            let typed = self.typed.get_or_insert_with(|| shown.clone());
            let edit = ui
                .add(TextEdit::singleline(typed).font(theme::mono()).desired_width(300.0))
                .labelled_by(label.id);
            let typed = typed.clone();
            if edit.lost_focus() && typed != shown {
                send(ctx, CurvesChange::Pattern(typed));
            }
            if !edit.has_focus() {
                self.typed = None;
            }
            if let Some(error) = &curves.pattern_error {
                ui.label(RichText::new(error).color(ctx.theme.error));
            } else {
                let order = format!("ordered by {}", checkpoints.order.by.words());
                ui.label(RichText::new(order).color(ctx.theme.text_second));
            }
        });
    }
}

/// Sentences about the ranking.
fn remarks_ui(ui: &mut Ui, ctx: &ViewContext<'_>, ranking: &Ranking, checkpoints: &CheckpointSeries) {
    let mut remarks: Vec<(bool, String)> = Vec::new();
    let ties = ranking.best().count();
    if ties > 1 {
        remarks.push((false, format!("{ties} checkpoints are equally good")));
    }
    if !ranking.missing.is_empty() {
        let names = ranking.missing.iter().filter_map(|&at| checkpoints.members.get(at)).take(5);
        let names: Vec<&str> = names.map(|member| member.name.as_str()).collect();
        let more = if ranking.missing.len() > names.len() { ", …" } else { "" };
        remarks.push((true, format!("Without a value: {}{more}", text::escape(&names.join(", ")))));
    }
    if let Some((kind, at, value)) = ranking.better_in_log {
        remarks.push((
            true,
            format!(
                "The log has {} at {} {at}, better than every file here",
                text::number(value),
                kind.name()
            ),
        ));
    }
    if let Some((record, member)) = ctx.state.curves.recorded() {
        let is_same = record.metric.as_ref().is_none_or(|metric| *metric == ranking.metric);
        let found =
            member.and_then(|member| checkpoints.members.get(member)).map(|member| member.name.as_str());
        let last = |path: &'_ str| path.rsplit('/').next().unwrap_or_default().to_owned();
        let noted = found.map(str::to_owned).or_else(|| record.path.as_deref().map(last));
        let noted = noted.unwrap_or_else(|| "no file".to_owned());
        let verdict = match member {
            Some(member) if is_same && ranking.best().any(|score| score.member == member) => {
                "the same answer"
            }
            Some(_) if is_same => "another answer",
            Some(_) => "by another metric",
            None => "not among these files",
        };
        remarks.push((
            verdict == "another answer",
            format!("{} noted {}: {verdict}", record.by, text::escape(&noted)),
        ));
    }
    if looks_like_best_only(ranking, &checkpoints.members, &checkpoints.order) {
        remarks.push((
            false,
            "Each file is better than the one before, as save_best_only leaves them".to_owned(),
        ));
    }
    remarks.extend(ranking.notes.iter().map(|note| (false, text::escape(note))));
    for (matters, remark) in remarks {
        let color = if matters { ctx.theme.partner } else { ctx.theme.text_second };
        ui.label(RichText::new(remark).font(theme::label()).color(color));
    }
}

const HEADINGS: [(&str, f32); 6] = [
    ("Checkpoint", 0.0),
    ("Value", 90.0),
    ("Step", 80.0),
    ("Epoch", 64.0),
    ("Size", 84.0),
    ("Written (UTC)", 132.0),
];

fn table_ui(ui: &mut Ui, ctx: &ViewContext<'_>, ranking: &Ranking, checkpoints: &CheckpointSeries) {
    let wide = ui.available_width().min(920.0);
    let (head, _) = ui.allocate_exact_size(Vec2::new(wide, theme::ROW_HEIGHT), Sense::hover());
    for ((heading, _), cell) in HEADINGS.iter().zip(cells(head)) {
        let align = if *heading == "Checkpoint" { Align2::LEFT_CENTER } else { Align2::RIGHT_CENTER };
        clipped_text(ui, cell, align, heading, theme::label(), ctx.theme.text_second);
    }
    ui.painter().hline(head.x_range(), head.bottom(), ctx.theme.separator());
    let rows: Vec<Result<&Score, usize>> =
        ranking.scores.iter().map(Ok).chain(ranking.missing.iter().map(|&member| Err(member))).collect();
    ScrollArea::vertical().auto_shrink(false).show_rows(ui, theme::ROW_HEIGHT, rows.len(), |ui, range| {
        ui.spacing_mut().item_spacing.y = 0.0;
        for row in rows.get(range).unwrap_or_default() {
            row_ui(ui, ctx, checkpoints, *row, wide);
        }
    });
}

fn cells(row: Rect) -> [Rect; 6] {
    let fixed: f32 = HEADINGS.iter().map(|(_, width)| width).sum();
    let mut left = row.left() + 30.0;
    HEADINGS.map(|(_, width)| {
        let width = if width == 0.0 { (row.width() - 30.0 - fixed - 8.0).max(60.0) } else { width };
        let cell = Rect::from_x_y_ranges(left..=left + width - 8.0, row.y_range());
        left += width;
        cell
    })
}

fn row_ui(
    ui: &mut Ui,
    ctx: &ViewContext<'_>,
    checkpoints: &CheckpointSeries,
    row: Result<&Score, usize>,
    wide: f32,
) {
    let at = row.map_or_else(|member| member, |score| score.member);
    let (Some(member), Some(path)) = (checkpoints.members.get(at), checkpoints.paths.get(at)) else { return };
    let (rect, response) = ui.allocate_exact_size(Vec2::new(wide, theme::ROW_HEIGHT), Sense::click());
    response.widget_info(|| WidgetInfo::labeled(Role::Button, true, format!("Open {}", member.name)));
    let is_open = ctx.state.session.find(path).is_some();
    if response.hovered() || response.has_focus() {
        ui.painter().rect_filled(rect, 4, ctx.theme.hover);
    }
    let is_best = row.is_ok_and(|score| score.rank == 1);
    if is_best {
        star(ui, rect.left_center() + Vec2::new(14.0, 0.0), 6.5, ctx.theme.partner);
    } else if let Ok(score) = row {
        let rank = if score.rank == 0 { "–".to_owned() } else { score.rank.to_string() };
        let place = rect.with_max_x(rect.left() + 22.0);
        clipped_text(ui, place, Align2::RIGHT_CENTER, &rank, theme::mono_small(), ctx.theme.text_second);
    }
    let number = |value: Option<f64>| value.map(text::number).unwrap_or_default();
    let value = row.map_or_else(|_| "no value".to_owned(), |score| text::number(score.value));
    let texts = [
        text::escape(&member.name),
        value,
        number(member.step()),
        number(member.epoch()),
        checkpoints.bytes.get(at).copied().map(text::bytes).unwrap_or_default(),
        member.modified.map(text::date_time).unwrap_or_default(),
    ];
    for (index, (text, cell)) in texts.iter().zip(cells(rect)).enumerate() {
        let align = if index == 0 { Align2::LEFT_CENTER } else { Align2::RIGHT_CENTER };
        let font = if index == 0 { theme::mono() } else { theme::mono_small() };
        let color = match (index, is_best, row.is_ok()) {
            (_, _, false) => ctx.theme.text_disabled,
            (0 | 1, true, _) => ctx.theme.text_strong,
            (0, ..) if is_open => ctx.theme.accent,
            (0 | 1, ..) => ctx.theme.text,
            _ => ctx.theme.text_second,
        };
        clipped_text(ui, cell, align, text, font, color);
    }
    let from = match row.map(|score| score.from) {
        Ok(ValueFrom::Checkpoint) => "The value is in the checkpoint",
        Ok(ValueFrom::Name) => "The value is in its name, and so rounded",
        Ok(ValueFrom::Log) => "The value is in the log, at its step or epoch",
        Err(_) => "It has no value",
    };
    let exact = row.map(|score| format!("\n{}", score.value)).unwrap_or_default();
    let hint = "Click to open, double-click to compare with the last";
    let response = response.on_hover_text(format!("{from}{exact}\n{hint}"));
    let last = checkpoints.order.positions.last().and_then(|&last| checkpoints.paths.get(last));
    if response.double_clicked() {
        if let Some(last) = last.filter(|last| *last != path) {
            ctx.commands.send(Command::OpenPaths(vec![path.clone(), last.clone()]));
            ctx.commands.send(Command::ShowPage(Page::Compare));
        }
    } else if response.clicked() {
        ctx.commands.send(Command::OpenPaths(vec![path.clone()]));
    }
}
