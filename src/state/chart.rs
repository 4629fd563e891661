//! A chart as numbers and words: the window paints it, and [`Chart::svg`] writes it to a file.

use std::fmt::Write as _;

use crate::analysis::Scale;
use crate::text;

/// Colours in files, which are read on white: of the left and of positive numbers, of the right and of negative ones.
const LEFT: &str = "#2f7fc9";
const RIGHT: &str = "#c9821f";

/// Lines across a chart, about.
const LINES: f64 = 4.0;

/// One axis: from where to where, and what is written along it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Axis {
    /// Place of the left or lower end.
    pub from: f64,
    /// Place of the other end.
    pub to: f64,
    /// Places with a label.
    pub ticks: Vec<(f64, String)>,
}

impl Axis {
    /// Counts or other numbers from zero on, evenly.
    pub fn from_zero(to: f64, label: impl Fn(f64) -> String) -> Self {
        let to = if to > 0.0 && to.is_finite() { to } else { 1.0 };
        Self { from: 0.0, to: to * 1.06, ticks: even_ticks(0.0, to * 1.06, LINES, label) }
    }

    /// Numbers between two ends, evenly.
    pub fn between(from: f64, to: f64, lines: f64) -> Self {
        Self { from, to, ticks: even_ticks(from, to, lines, text::number) }
    }

    /// Counts from one on, by powers of ten. Zero stands at the lower end; places are [`log_count`].
    pub fn log_counts(to: u64) -> Self {
        let top = log_count(to).max(1.0);
        let powers =
            (0..=top.floor() as i32).map(|power| log_count(10u64.saturating_pow(power.unsigned_abs())));
        let ticks: Vec<(f64, String)> =
            powers.enumerate().map(|(power, place)| (place, short_count(10f64.powi(power as i32)))).collect();
        Self { from: 0.0, to: top * 1.06, ticks: thinned(ticks, 6) }
    }

    /// Positive numbers by powers of ten; places are decimal logarithms.
    pub fn log_between(least: f64, most: f64) -> Self {
        let (from, to) = (least.log10(), most.log10());
        let (from, to) =
            if to - from < 1.0 { (from - 0.5, to + 0.5) } else { (from, to + (to - from) * 0.04) };
        let powers = from.ceil() as i32..=to.floor() as i32;
        let ticks = powers.map(|power| (f64::from(power), text::number(10f64.powi(power)))).collect();
        Self { from, to, ticks: thinned(ticks, 6) }
    }

    /// Values on a scale; places are those of the scale.
    pub fn on_scale(scale: Scale, lo: f64, hi: f64) -> Self {
        if scale == Scale::Linear {
            return Self::between(lo, hi, LINES + 0.5);
        }
        let (from, to) = (scale.place(lo), scale.place(hi));
        let powers = (-30..=38).map(|power| 10f64.powi(power));
        let both = powers.flat_map(|value| [value, -value]).chain([0.0]);
        let mut ticks: Vec<f64> = both.filter(|value| (lo..=hi).contains(value)).collect();
        ticks.sort_by(f64::total_cmp);
        // Around zero the scale is even: powers of ten crowd there.
        let mut kept: Vec<(f64, String)> = Vec::new();
        let gap = (to - from) / 9.0;
        for pass in [true, false] {
            for &value in ticks.iter().filter(|value| (**value == 0.0) == pass) {
                let place = scale.place(value);
                if kept.iter().all(|(other, _)| (other - place).abs() >= gap) {
                    kept.push((place, text::number(value)));
                }
            }
        }
        Self { from, to, ticks: kept }
    }

    /// A place as a share of the axis.
    pub fn share(&self, place: f64) -> f64 {
        if self.to > self.from { (place - self.from) / (self.to - self.from) } else { 0.5 }
    }
}

/// Where a count stands on a logarithmic axis.
pub fn log_count(count: u64) -> f64 {
    (1.0 + count as f64).log10()
}

/// What is drawn.
#[derive(Debug, Clone, PartialEq)]
pub enum Marks {
    /// Bars side by side over the whole width: lower and upper end of each.
    Bars(Vec<(f64, f64)>),
    /// Points, joined by a line.
    Line(Vec<(f64, f64)>),
    /// Bars of two things over the same bins, one behind the other: heights of the left, and of the right.
    Overlaid(Vec<f64>, Vec<f64>),
    /// Heights of bars over an axis with zero in its middle: of those left of it, and of those right of it.
    Signed(Vec<f64>, Vec<f64>),
}

/// A chart.
#[derive(Debug, Clone, PartialEq)]
pub struct Chart {
    /// What it is of.
    pub title: String,
    /// Across.
    pub x: Axis,
    /// Up.
    pub y: Axis,
    /// What is drawn.
    pub marks: Marks,
    /// Upright dashed lines with a name, by place.
    pub rules: Vec<(f64, String)>,
}

impl Chart {
    /// A self-contained SVG picture.
    pub fn svg(&self, width: f64, height: f64) -> String {
        let (left, right, top, bottom) = (52.0, 12.0, 34.0, 28.0);
        let (inner_width, inner_height) = (width - left - right, height - top - bottom);
        let x = |place: f64| left + self.x.share(place) * inner_width;
        let y = |place: f64| top + (1.0 - self.y.share(place).clamp(0.0, 1.0)) * inner_height;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
             font-family=\"Inter, system-ui, sans-serif\" font-size=\"11\">\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n\
             <text x=\"{left}\" y=\"20\" font-size=\"13\" font-weight=\"600\" fill=\"#1c2430\">{}</text>\n",
            xml(&self.title)
        );
        for (place, label) in &self.y.ticks {
            let at = y(*place);
            let _ = writeln!(
                svg,
                "<line x1=\"{left}\" y1=\"{at:.1}\" x2=\"{:.1}\" y2=\"{at:.1}\" stroke=\"#dfe3ea\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"#5a6473\">{}</text>",
                width - right,
                left - 6.0,
                at + 4.0,
                xml(label)
            );
        }
        for (place, label) in &self.x.ticks {
            let _ = writeln!(
                svg,
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"#5a6473\">{}</text>",
                x(*place),
                height - bottom + 16.0,
                xml(label)
            );
        }
        let bars = |svg: &mut String, bars: &[(f64, f64)], first: usize, count: usize, fill: &str| {
            let step = inner_width / count.max(1) as f64;
            for (index, &(low, high)) in bars.iter().enumerate() {
                let (from, to) = (y(high), y(low));
                let (at, wide) = (left + step * (first + index) as f64, (step * 0.9).max(0.5));
                let tall = (to - from).max(if high > self.y.from { 0.5 } else { 0.0 });
                let _ = writeln!(
                    svg,
                    "<rect x=\"{at:.2}\" y=\"{from:.2}\" width=\"{wide:.2}\" height=\"{tall:.2}\" fill=\"{fill}\"/>"
                );
            }
        };
        let from_zero = |heights: &[f64]| heights.iter().map(|&height| (0.0, height)).collect::<Vec<_>>();
        match &self.marks {
            Marks::Bars(all) => bars(&mut svg, all, 0, all.len(), LEFT),
            Marks::Overlaid(a, b) => {
                bars(&mut svg, &from_zero(a), 0, a.len(), LEFT);
                svg.push_str("<g opacity=\"0.6\">");
                bars(&mut svg, &from_zero(b), 0, b.len(), RIGHT);
                svg.push_str("</g>");
            }
            Marks::Signed(minus, plus) => {
                let count = minus.len() + plus.len();
                bars(&mut svg, &from_zero(minus), 0, count, RIGHT);
                bars(&mut svg, &from_zero(plus), minus.len(), count, LEFT);
            }
            Marks::Line(points) => {
                let points: Vec<String> =
                    points.iter().map(|&(a, b)| format!("{:.2},{:.2}", x(a), y(b))).collect();
                let _ = writeln!(
                    svg,
                    "<polyline fill=\"none\" stroke=\"{LEFT}\" stroke-width=\"1.5\" points=\"{}\"/>",
                    points.join(" ")
                );
            }
        }
        for (place, name) in
            self.rules.iter().filter(|(place, _)| (0.0..=1.0).contains(&self.x.share(*place)))
        {
            let at = x(*place);
            let _ = writeln!(
                svg,
                "<line x1=\"{at:.1}\" y1=\"{top}\" x2=\"{at:.1}\" y2=\"{:.1}\" stroke=\"#5a6473\" stroke-dasharray=\"3 3\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" fill=\"#5a6473\">{}</text>",
                height - bottom,
                at + 3.0,
                top + 9.0,
                xml(name)
            );
        }
        svg.push_str("</svg>\n");
        svg
    }
}

/// Text inside an element. What XML cannot hold at all is left out.
pub(super) fn xml(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => {}
            c => safe.push(c),
        }
    }
    safe
}

/// Multiples of a round step between two places, about `lines` of them.
fn even_ticks(from: f64, to: f64, lines: f64, label: impl Fn(f64) -> String) -> Vec<(f64, String)> {
    let step = round_step((to - from) / lines);
    let first = (from / step).ceil();
    let count = ((to / step).floor() - first).clamp(-1.0, 50.0) as i64;
    (0..=count)
        .map(|index| (first + index as f64) * step)
        .map(|place| (place, label(if place.abs() < step * 1e-6 { 0.0 } else { place })))
        .collect()
}

/// The next 1, 2 or 5 times a power of ten.
fn round_step(step: f64) -> f64 {
    let step = if step.is_finite() && step > 0.0 { step } else { 1.0 };
    let power = 10f64.powf(step.log10().floor());
    let lead = step / power;
    let round = [1.0, 2.0, 5.0].into_iter().find(|&round| lead <= round).unwrap_or(10.0);
    round * power
}

/// At most so many of the ticks, evenly chosen.
fn thinned(ticks: Vec<(f64, String)>, most: usize) -> Vec<(f64, String)> {
    let every = ticks.len().div_ceil(most).max(1);
    ticks.into_iter().step_by(every).collect()
}

/// A count along an axis: `80k`, `2.5M`.
pub fn short_count(count: f64) -> String {
    let trimmed = |value: f64, unit: &str| {
        let text = format!("{value:.1}");
        format!("{}{unit}", text.trim_end_matches('0').trim_end_matches('.'))
    };
    match count {
        count if count >= 1e9 => trimmed(count / 1e9, "G"),
        count if count >= 1e6 => trimmed(count / 1e6, "M"),
        count if count >= 1e3 => trimmed(count / 1e3, "k"),
        count if (count - count.round()).abs() > 1e-6 => String::new(),
        count => format!("{count:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_within_the_axis() {
        assert_eq!([0.0, 80_000.0, 2_500_000.0].map(short_count), ["0", "80k", "2.5M"]);
        let axis = Axis::between(-0.237, 0.252, 5.0);
        assert_eq!(
            axis.ticks.iter().map(|tick| tick.1.as_str()).collect::<Vec<_>>(),
            ["-0.2", "-0.1", "0", "0.1", "0.2"]
        );
        let axis = Axis::log_between(1e-3, 50.0);
        assert!(axis.ticks.iter().all(|(place, _)| (axis.from..=axis.to).contains(place)), "{axis:?}");
    }

    #[test]
    fn a_picture_survives_names_from_files() {
        let chart = Chart {
            title: "a<b>&\u{0}\"c\"".to_owned(),
            x: Axis::between(0.0, 1.0, 4.0),
            y: Axis::from_zero(3.0, short_count),
            marks: Marks::Bars(vec![(0.0, 1.0), (0.0, 3.0)]),
            rules: vec![(0.5, "μ".to_owned())],
        };
        let svg = chart.svg(400.0, 200.0);
        assert!(svg.contains("a&lt;b&gt;&amp;&quot;c&quot;"));
        assert_eq!(svg.matches("#2f7fc9").count(), 2);
    }
}
