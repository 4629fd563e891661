//! Curves in files: a picture as SVG, the numbers as CSV.

use std::fmt::Write as _;

use super::plot::{Cut, Twin, cut, range};
use super::{CurvesState, Side};
use crate::jobs::Preparation;
use crate::model::series_csv;
use crate::state::SavedText;
use crate::state::chart::{Axis, xml};

/// Colours in files, which are read on white.
const COLORS: [&str; 8] =
    ["#2374b8", "#a86400", "#0f8a68", "#8a4fc0", "#c43d3d", "#4d8a14", "#127f96", "#857400"];

const DASHES: [&str; 4] = ["", "6 3", "2 2", "8 3 2 3"];

/// A picture of the shown lines, as a whole.
pub fn svg(curves: &CurvesState, width: f64, height: f64) -> String {
    let (prepared, look) = (&curves.drawing.lines, curves.drawing.look);
    let names: Vec<_> = prepared.iter().filter_map(|line| curves.lines.get(line.line)).collect();
    let legend_rows = names.len() as f64;
    let (left, right, top, bottom) = (60.0, 60.0, 16.0, 34.0 + 15.0 * legend_rows);
    let (inner_width, inner_height) = (width - left - right, (height - top - 34.0).max(50.0));
    let height = inner_height + top + bottom;
    let twin = Twin::of(prepared, look.log_y);
    let whole = Cut { generation: 0, range: (f64::NAN, f64::NAN), columns: inner_width as usize };
    let drawn = cut(prepared, twin, &whole);
    let points = || drawn.iter().flat_map(|line| line.line.iter().flatten());
    let (x_low, x_high) = range(points().map(|point| point[0])).unwrap_or((0.0, 1.0));
    let (y_low, y_high) = range(points().map(|point| point[1])).unwrap_or((0.0, 1.0));
    let margin = ((y_high - y_low) * 0.05).max(f64::MIN_POSITIVE);
    let (x_axis, y_axis) =
        (Axis::between(x_low, x_high, 6.0), Axis::between(y_low - margin, y_high + margin, 5.0));
    let x = |place: f64| left + x_axis.share(place) * inner_width;
    let y = |place: f64| top + (1.0 - y_axis.share(place)) * inner_height;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"Inter, system-ui, sans-serif\" font-size=\"11\">\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n"
    );
    let ten = |place: f64, log: bool| crate::text::number(if log { 10f64.powf(place) } else { place });
    for (place, _) in &y_axis.ticks {
        let at = y(*place);
        let _ = writeln!(
            svg,
            "<line x1=\"{left}\" y1=\"{at:.1}\" x2=\"{:.1}\" y2=\"{at:.1}\" stroke=\"#dfe3ea\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"#5a6473\">{}</text>",
            width - right,
            left - 6.0,
            at + 4.0,
            xml(&ten(*place, look.log_y))
        );
        if let Some(twin) = twin {
            let _ = writeln!(
                svg,
                "<text x=\"{:.1}\" y=\"{:.1}\" fill=\"#5a6473\">{}</text>",
                width - right + 6.0,
                at + 4.0,
                xml(&ten(twin.to_right(*place), look.log_y))
            );
        }
    }
    for (place, _) in &x_axis.ticks {
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"#5a6473\">{}</text>",
            x(*place),
            top + inner_height + 16.0,
            xml(&ten(*place, look.log_x))
        );
    }
    for line in &drawn {
        let Some(own) = prepared.get(line.prepared).and_then(|prepared| curves.lines.get(prepared.line))
        else {
            continue;
        };
        let color = COLORS[own.color % COLORS.len()];
        let dash = DASHES[own.dash % DASHES.len()];
        for (segments, opacity) in [(&line.faint, 0.3), (&line.line, 1.0)] {
            for segment in segments.iter().filter(|segment| segment.len() > 1) {
                let points: Vec<String> =
                    segment.iter().map(|point| format!("{:.2},{:.2}", x(point[0]), y(point[1]))).collect();
                let _ = writeln!(
                    svg,
                    "<polyline fill=\"none\" stroke=\"{color}\" stroke-width=\"1.5\" opacity=\"{opacity}\" \
                     stroke-dasharray=\"{dash}\" points=\"{}\"/>",
                    points.join(" ")
                );
            }
        }
    }
    for (index, (own, line)) in names.iter().zip(prepared.iter()).enumerate() {
        let at = top + inner_height + 34.0 + 15.0 * index as f64;
        let side = if line.side == Side::Right { " (right)" } else { "" };
        let _ = writeln!(
            svg,
            "<line x1=\"{left}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"{}\" stroke-width=\"2\" stroke-dasharray=\"{}\"/>\
             <text x=\"{:.1}\" y=\"{at:.1}\" fill=\"#1c2430\">{}</text>",
            at - 4.0,
            left + 24.0,
            at - 4.0,
            COLORS[own.color % COLORS.len()],
            DASHES[own.dash % DASHES.len()],
            left + 30.0,
            xml(&format!("{} · {}{side}", own.run, own.name))
        );
    }
    svg.push_str("</svg>\n");
    svg
}

/// The work of writing down every point of the shown lines.
pub fn csv(curves: &CurvesState) -> Option<Preparation> {
    let gathered = curves.gathered.value()?.clone();
    let shown: Vec<usize> = curves.lines.iter().filter(|line| line.shown).map(|line| line.series).collect();
    Some(Preparation::new(move |progress| {
        let mut text = String::new();
        // Writing to memory does not fail.
        let _ = series_csv::write(&[], &mut text);
        for series in shown.iter().filter_map(|&index| gathered.series.get(index)) {
            progress.advance(0)?;
            let _ = series_csv::points(series, &mut text);
        }
        Ok(SavedText { name: "curves.csv".to_owned(), text })
    }))
}
