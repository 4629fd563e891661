//! A histogram of values as bars, with marks at the mean and one standard deviation to either side.

use egui::{Ui, Vec2};
use egui_plot::{Bar, BarChart, GridMark, LineStyle, Plot, PlotPoint, Text, VLine};

use super::theme::{self, Theme};
use crate::analysis::{Histogram, Statistics};
use crate::text;

/// Numbers of bins to choose from.
pub const BIN_CHOICES: [usize; 5] = [16, 32, 64, 128, 256];

/// Draws a histogram.
pub fn histogram_ui(ui: &mut Ui, theme: &Theme, histogram: &Histogram, statistics: &Statistics, log: bool) {
    let bins = histogram.counts.len().max(1);
    let width = (histogram.hi - histogram.lo) / bins as f64;
    let top = histogram.counts.iter().copied().max().unwrap_or(0);
    let scale = move |count: u64| if log { (1.0 + count as f64).log10() } else { count as f64 };
    let (lo, counts) = (histogram.lo, histogram.counts.clone());
    let bars: Vec<Bar> = histogram
        .counts
        .iter()
        .enumerate()
        .map(|(index, &count)| {
            Bar::new(lo + width * (index as f64 + 0.5), scale(count)).width(width * 0.9).fill(theme.accent)
        })
        .collect();
    let bars = BarChart::new("Values", bars).color(theme.accent).allow_hover(false);
    let marks: Vec<(f64, &str)> = match (statistics.mean, statistics.std) {
        (Some(mean), Some(std)) if std > 0.0 => vec![(mean - std, "−σ"), (mean, "μ"), (mean + std, "+σ")],
        _ => Vec::new(),
    };
    let height = scale(top).max(1e-9);
    let second = theme.text_second;
    let plot = Plot::new("histogram")
        .height(190.0)
        .allow_drag(false)
        .allow_zoom(false)
        .allow_scroll(false)
        .allow_boxed_zoom(false)
        .allow_double_click_reset(false)
        .show_background(false)
        .show_grid([false, true])
        .grid_color(theme.line)
        .show_x(false)
        .show_y(false)
        .set_margin_fraction(Vec2::new(0.01, 0.0))
        .include_y(0.0)
        .include_y(height * 1.12)
        .include_x(histogram.lo)
        .include_x(histogram.hi)
        .y_axis_min_width(36.0)
        .x_axis_formatter(|mark: GridMark, _: &_| text::number(tidy(mark.value, mark.step_size)))
        .y_axis_formatter(move |mark: GridMark, _: &_| {
            let count = if log { 10f64.powf(mark.value) - 1.0 } else { mark.value };
            if count < -0.5 || (!log && (count - count.round()).abs() > 1e-6) {
                return String::new();
            }
            short_axis_count(count.max(0.0))
        })
        .x_grid_spacer(|input| {
            let (from, to) = input.bounds;
            marks_every(round_step((to - from) / 5.0), from, to)
        })
        .y_grid_spacer(move |input| {
            // Marks beyond the bounds would be labelled outside the plot.
            let (from, to) = (0.0, input.bounds.1);
            if log {
                // Zero and the powers of ten, where 1 + count is drawn.
                let tens = (0..20).map(|power| (1.0 + 10f64.powi(power)).log10());
                let all = std::iter::once(0.0).chain(tens).take_while(|value| *value <= to);
                all.map(|value| GridMark { value, step_size: 1.0 }).collect()
            } else {
                marks_every(round_step(to / 4.0).max(1.0), from, to)
            }
        })
        .label_formatter(move |position| {
            let at = match position {
                egui_plot::HoverPosition::NearDataPoint { position, .. }
                | egui_plot::HoverPosition::Elsewhere { position } => position,
            };
            let index = ((at.x - lo) / width).floor();
            let count = counts.get(index as usize).filter(|_| index >= 0.0 && width > 0.0)?;
            let (from, to) = (lo + width * index, lo + width * (index + 1.0));
            Some(format!("{} … {}\n{} values", text::number(from), text::number(to), text::count(*count)))
        });
    plot.show(ui, |plot| {
        plot.bar_chart(bars);
        for (x, name) in marks {
            plot.vline(
                VLine::new(name, x)
                    .color(second)
                    .width(1.0)
                    .style(LineStyle::dashed_dense())
                    .allow_hover(false),
            );
            let label = egui::RichText::new(name).font(theme::label()).color(second);
            plot.text(
                Text::new(name, PlotPoint::new(x, height * 1.12), label)
                    .anchor(egui::Align2::LEFT_TOP)
                    .allow_hover(false),
            );
        }
    });
}

/// Removes the noise of repeated addition from an axis value.
fn tidy(value: f64, step: f64) -> f64 {
    if step > 0.0 && value.abs() < step * 1e-6 { 0.0 } else { value }
}

/// Multiples of a step between two values; at most some dozens.
fn marks_every(step: f64, from: f64, to: f64) -> Vec<GridMark> {
    let first = (from / step).ceil();
    let count = ((to / step).floor() - first).clamp(-1.0, 50.0) as i64;
    (0..=count).map(|index| GridMark { value: (first + index as f64) * step, step_size: step }).collect()
}

/// The next 1, 2 or 5 times a power of ten.
fn round_step(step: f64) -> f64 {
    let step = if step.is_finite() && step > 0.0 { step } else { 1.0 };
    let power = 10f64.powf(step.log10().floor());
    let lead = step / power;
    let round = if lead <= 1.0 {
        1.0
    } else if lead <= 2.0 {
        2.0
    } else if lead <= 5.0 {
        5.0
    } else {
        10.0
    };
    round * power
}

fn short_axis_count(count: f64) -> String {
    let trimmed = |value: f64, unit: &str| {
        let text = format!("{value:.1}");
        format!("{}{unit}", text.trim_end_matches('0').trim_end_matches('.'))
    };
    match count {
        count if count >= 1e9 => trimmed(count / 1e9, "G"),
        count if count >= 1e6 => trimmed(count / 1e6, "M"),
        count if count >= 1e3 => trimmed(count / 1e3, "k"),
        count => format!("{count:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axis_counts_are_short_and_steps_are_round() {
        assert_eq!([0.0, 80_000.0, 2_500_000.0].map(short_axis_count), ["0", "80k", "2.5M"]);
        assert_eq!([3.0, 17_000.0].map(round_step), [5.0, 20_000.0]);
    }
}
