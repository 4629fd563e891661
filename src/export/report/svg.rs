//! Small pictures for the report, as inline SVG whose colours come from the page's style.

use std::fmt::Write;

use crate::analysis::diff::Deltas;

/// Bins of the histogram of differences; even, so that zero is an edge.
const BINS: usize = 48;

/// A bar of `fraction` (0 to 1) of the full width.
pub(super) fn bar(fraction: f64) -> String {
    let width = if fraction.is_finite() { fraction.clamp(0.0, 1.0) * 100.0 } else { 100.0 };
    let width = if fraction > 0.0 { width.max(1.0) } else { 0.0 };
    format!(
        "<svg class=\"bar\" viewBox=\"0 0 100 8\" preserveAspectRatio=\"none\" aria-hidden=\"true\">\
         <rect class=\"track\" width=\"100\" height=\"8\"/><rect class=\"fill\" width=\"{width:.1}\" height=\"8\"/></svg>"
    )
}

/// The differences counted over −limit … limit; negative ones in one colour, positive ones in the other.
pub(super) fn delta_histogram(deltas: &Deltas, limit: f64, label: &str) -> String {
    let counts = deltas.histogram(limit, BINS);
    let highest = counts.iter().copied().max().unwrap_or(0).max(1) as f64;
    let mut svg =
        format!("<svg class=\"histogram\" viewBox=\"0 0 192 56\" role=\"img\" aria-label=\"{label}\">");
    for (bin, &count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
        let height = (count as f64 / highest * 50.0).max(0.75);
        let class = if bin < BINS / 2 { "minus" } else { "plus" };
        // Writing to a String cannot fail.
        let _ = write!(
            svg,
            "<rect class=\"{class}\" x=\"{}\" y=\"{:.2}\" width=\"3.4\" height=\"{height:.2}\"/>",
            bin * 4,
            52.0 - height
        );
    }
    svg.push_str("<path class=\"axis\" d=\"M0 52.5H192M96 2V55\"/></svg>");
    svg
}
