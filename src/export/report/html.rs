//! A page to look at: one file, no scripts, no links out, for light and dark screens and for print.

use std::io::{self, Write};

use super::{Report, svg};
use crate::analysis::diff::{DiffTree, PairDiff, PairStatus};
use crate::analysis::pairing::MatchedBy;
use crate::model::{Checkpoint, NodeId, TensorId, Value};
use crate::text;

/// Rows of one table; the CSV has all.
const ROWS: usize = 2000;

/// Layers in the chart.
const LAYERS: usize = 40;

/// Pairs shown with their histogram.
const PICTURES: usize = 12;

const STYLE: &str = include_str!("style.css");

pub(super) fn write(report: &Report<'_>, out: &mut dyn Write) -> io::Result<()> {
    let title = format!("{} → {}", file_name(report.left), file_name(report.right));
    write!(
        out,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <meta name=\"color-scheme\" content=\"light dark\"><title>{title}</title><style>{STYLE}</style></head><body>\n\
         <h1>{title}</h1>\n"
    )?;
    sides(report, out)?;
    summary(report, out)?;
    layers(report, out)?;
    pictures(report, out)?;
    pairs(report, out)?;
    only(out, "Only on the left", report.left, &report.comparison.pairing.only_left)?;
    only(out, "Only on the right", report.right, &report.comparison.pairing.only_right)?;
    metadata(report, out)?;
    identical(report, out)?;
    writeln!(out, "<footer>Written by Ckptscope {}</footer></body></html>", env!("CARGO_PKG_VERSION"))
}

/// Text from a file, safe in a page: markup and characters that steer the display are escaped.
fn escape(raw: &str) -> String {
    let mut safe = String::with_capacity(raw.len());
    for c in text::escape(raw).chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            c => safe.push(c),
        }
    }
    safe
}

/// A name as code, which may be broken after its parts.
fn code(name: &str) -> String {
    let parts = escape(name).replace('.', ".<wbr>").replace("/", "/<wbr>");
    format!("<code>{parts}</code>")
}

fn file_name(checkpoint: &Checkpoint) -> String {
    let path = checkpoint.path();
    escape(&path.file_name().unwrap_or(path.as_os_str()).to_string_lossy())
}

fn sides(report: &Report<'_>, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "<table class=\"sides\"><tr><th></th><th>Left</th><th>Right</th></tr>")?;
    let row = |out: &mut dyn Write, label: &str, get: &dyn Fn(&Checkpoint) -> String| {
        let (left, right) = (escape(&get(report.left)), escape(&get(report.right)));
        writeln!(out, "<tr><th>{label}</th><td>{left}</td><td>{right}</td></tr>")
    };
    row(out, "File", &|checkpoint| checkpoint.path().to_string_lossy().into_owned())?;
    row(out, "Format", &|checkpoint| checkpoint.format().to_owned())?;
    row(out, "Framework", &|checkpoint| checkpoint.framework().unwrap_or("not told").to_owned())?;
    row(out, "Tensors", &|checkpoint| text::count(checkpoint.totals().tensors))?;
    row(out, "Elements", &|checkpoint| text::count(checkpoint.totals().elements))?;
    row(out, "On disk", &|checkpoint| text::bytes(checkpoint.totals().file_bytes))?;
    writeln!(out, "</table>")
}

fn summary(report: &Report<'_>, out: &mut dyn Write) -> io::Result<()> {
    let counts = report.comparison.summary();
    writeln!(out, "<p class=\"chips\">")?;
    for (label, count) in [
        ("identical", counts.identical),
        ("changed", counts.changed),
        ("dtype changed", counts.dtype_changed),
        ("reshaped", counts.reshaped),
        ("renamed", counts.renamed),
        ("only left", counts.only_left),
        ("only right", counts.only_right),
        ("unreadable", counts.unreadable),
    ] {
        if count > 0 {
            let class = if label == "identical" { "calm" } else { "news" };
            writeln!(out, "<span class=\"{class}\"><b>{}</b> {label}</span>", text::count(count))?;
        }
    }
    writeln!(out, "</p>")?;
    if !report.comparison.differs() {
        writeln!(out, "<p>No tensor differs.</p>")?;
    }
    for applied in &report.comparison.pairing.rules {
        let origin = if applied.found { "Found" } else { "Given" };
        let rule = escape(&applied.rule.to_string());
        writeln!(
            out,
            "<p>{origin} rule <code>{rule}</code> paired {}.</p>",
            text::count(applied.matched as u64)
        )?;
    }
    Ok(())
}

fn percent(fraction: f64) -> String {
    if fraction.is_finite() { format!("{} %", text::number(fraction * 100.0)) } else { "—".to_owned() }
}

/// The layers that changed most, those that hold tensors themselves.
fn layers(report: &Report<'_>, out: &mut dyn Write) -> io::Result<()> {
    let tree = DiffTree::of(report.left, report.right, report.comparison);
    let mut nodes: Vec<NodeId> = (0..tree.tree.len() as u32)
        .map(NodeId)
        .filter(|&id| !tree.tree.node(id).tensors.is_empty() && tree.node(id).changed > 0)
        .collect();
    nodes.sort_by(|&a, &b| tree.node(b).relative_l2().total_cmp(&tree.node(a).relative_l2()));
    let Some(largest) = nodes.iter().map(|&id| tree.node(id).relative_l2()).find(|value| value.is_finite())
    else {
        return Ok(());
    };
    writeln!(
        out,
        "<h2>Layers by relative change</h2><table><tr><th>Layer</th><th class=\"wide\"></th><th class=\"n\">‖Δ‖ / ‖left‖</th>\
         <th class=\"n\">Changed</th><th class=\"n\">Max |Δ|</th></tr>"
    )?;
    for &id in nodes.iter().take(LAYERS) {
        let node = tree.node(id);
        let path = tree.tree.path(id);
        let path = if path.is_empty() { "(no layer)".to_owned() } else { escape(&path) };
        writeln!(
            out,
            "<tr><td><code>{path}</code></td><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td></tr>",
            svg::bar(node.relative_l2() / largest.max(f64::MIN_POSITIVE)),
            percent(node.relative_l2()),
            percent(node.changed_fraction()),
            text::number(node.max_abs)
        )?;
    }
    writeln!(out, "</table>")?;
    more(out, nodes.len(), LAYERS)
}

fn more(out: &mut dyn Write, all: usize, shown: usize) -> io::Result<()> {
    if all > shown {
        writeln!(
            out,
            "<p>… and {} more; a CSV report lists every tensor.</p>",
            text::count((all - shown) as u64)
        )?;
    }
    Ok(())
}

/// Histograms of the differences of the pairs that changed most.
fn pictures(report: &Report<'_>, out: &mut dyn Write) -> io::Result<()> {
    let pairs = &report.comparison.pairs;
    let shown: Vec<&PairDiff> = report
        .comparison
        .by_relative_change()
        .into_iter()
        .map(|index| &pairs[index])
        .filter(|pair| pair.values.as_ref().is_some_and(|values| values.deltas.total() > 1))
        .take(PICTURES)
        .collect();
    if shown.is_empty() {
        return Ok(());
    }
    writeln!(out, "<h2>Differences by size</h2><div class=\"pictures\">")?;
    for pair in shown {
        let Some(values) = &pair.values else { continue };
        let name = escape(&report.left.tensor(pair.pair.left).name);
        let label = format!("Histogram of the differences in {name}");
        let name = code(&report.left.tensor(pair.pair.left).name);
        writeln!(
            out,
            "<figure>{}<figcaption>{name}<span class=\"scale\"><span>−{max}</span><span>0</span><span>{max}</span></span></figcaption></figure>",
            svg::delta_histogram(&values.deltas, values.max_abs, &label),
            max = text::number(values.max_abs)
        )?;
    }
    writeln!(out, "</div>")
}

/// Every pair that differs, the largest relative change first.
fn pairs(report: &Report<'_>, out: &mut dyn Write) -> io::Result<()> {
    let order: Vec<usize> = report
        .comparison
        .by_relative_change()
        .into_iter()
        .filter(|&index| report.comparison.pairs[index].differs())
        .collect();
    if order.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "<h2>Tensors that differ</h2><table><tr><th>Tensor</th><th>What</th><th>Shape</th><th>Dtype</th><th class=\"n\">Changed</th>\
         <th class=\"n\">Max |Δ|</th><th class=\"n\">Mean |Δ|</th><th class=\"n\">‖Δ‖ / ‖left‖</th><th class=\"n\">Cosine</th></tr>"
    )?;
    for &index in order.iter().take(ROWS) {
        pair_row(report, &report.comparison.pairs[index], out)?;
    }
    writeln!(out, "</table>")?;
    more(out, order.len(), ROWS)
}

fn pair_row(report: &Report<'_>, pair: &PairDiff, out: &mut dyn Write) -> io::Result<()> {
    let (left, right) = (report.left.tensor(pair.pair.left), report.right.tensor(pair.pair.right));
    let either = |left: String, right: String| {
        if left == right { escape(&left) } else { format!("{} → {}", escape(&left), escape(&right)) }
    };
    let mut name = code(&left.name);
    if left.name != right.name {
        let guess = if pair.pair.by == MatchedBy::Shape { " (a guess by shape)" } else { "" };
        name.extend(["<br>→ ", code(&right.name).as_str(), guess]);
    }
    let mut words: Vec<&str> = Vec::new();
    match pair.status {
        PairStatus::DtypeChanged => words.push("dtype changed"),
        PairStatus::Identical => {}
        status => words.push(status.name()),
    }
    if pair.renamed {
        words.push("renamed");
    }
    if pair.values.as_ref().is_some_and(|values| values.nan_appeared > 0) {
        words.push("NaN appeared");
    }
    let numbers = match (&pair.values, &pair.problem) {
        (Some(values), _) => {
            let changed = match values.changed {
                0 => "0".to_owned(),
                changed if changed == values.elements => "all".to_owned(),
                _ => percent(values.changed_fraction()),
            };
            let cells = [
                changed,
                text::number(values.max_abs),
                text::number(values.mean_abs),
                percent(values.relative_l2()),
                values.cosine.map(|cosine| format!("{cosine:.6}")).unwrap_or_default(),
            ];
            cells.iter().flat_map(|cell| ["<td class=\"n\">", cell.as_str(), "</td>"]).collect()
        }
        (None, problem) => {
            let why = escape(problem.as_deref().unwrap_or_default());
            format!("<td colspan=\"5\" class=\"how\">{why}</td>")
        }
    };
    // A shape is broken at the arrow only.
    let shape = either(left.shape.to_string(), right.shape.to_string()).replace(", ", ",&nbsp;");
    writeln!(
        out,
        "<tr><td class=\"name\">{name}</td><td>{}</td><td>{shape}</td><td>{}</td>{numbers}</tr>",
        words.join(", "),
        either(left.dtype.name().to_owned(), right.dtype.name().to_owned())
    )
}

fn only(out: &mut dyn Write, title: &str, checkpoint: &Checkpoint, ids: &[TensorId]) -> io::Result<()> {
    if ids.is_empty() {
        return Ok(());
    }
    writeln!(out, "<h2>{title}</h2><table><tr><th>Tensor</th><th>Shape</th><th>Dtype</th></tr>")?;
    for &id in ids.iter().take(ROWS) {
        let tensor = checkpoint.tensor(id);
        let (name, dtype) = (escape(&tensor.name), escape(tensor.dtype.name()));
        writeln!(out, "<tr><td><code>{name}</code></td><td>{}</td><td>{dtype}</td></tr>", tensor.shape)?;
    }
    writeln!(out, "</table>")?;
    more(out, ids.len(), ROWS)
}

/// Characters of a metadata value.
const VALUE_CHARACTERS: usize = 400;

fn metadata(report: &Report<'_>, out: &mut dyn Write) -> io::Result<()> {
    let entries = &report.comparison.metadata;
    if entries.is_empty() {
        return Ok(());
    }
    writeln!(out, "<h2>Metadata</h2><table><tr><th>Entry</th><th>Left</th><th>Right</th></tr>")?;
    let show = |value: &Option<Value>, checkpoint: &Checkpoint| {
        let Some(value) = value else { return "<i>not there</i>".to_owned() };
        let json = value.to_json(&|id| checkpoint.tensor(id).name.clone()).to_string();
        let short: String = json.chars().take(VALUE_CHARACTERS).collect();
        format!("<code>{}{}</code>", escape(&short), if short.len() < json.len() { "…" } else { "" })
    };
    for entry in entries.iter().take(ROWS) {
        let (left, right) = (show(&entry.left, report.left), show(&entry.right, report.right));
        writeln!(
            out,
            "<tr><td><code>{}</code></td><td>{left}</td><td>{right}</td></tr>",
            escape(&entry.path)
        )?;
    }
    writeln!(out, "</table>")?;
    more(out, entries.len(), ROWS)
}

fn identical(report: &Report<'_>, out: &mut dyn Write) -> io::Result<()> {
    let same: Vec<_> = report.comparison.pairs.iter().filter(|pair| !pair.differs()).collect();
    if same.is_empty() {
        return Ok(());
    }
    writeln!(out, "<details><summary>{} identical tensors</summary><p>", text::count(same.len() as u64))?;
    for pair in same.iter().take(ROWS) {
        writeln!(out, "<code>{}</code><br>", escape(&report.left.tensor(pair.pair.left).name))?;
    }
    writeln!(out, "</p></details>")?;
    more(out, same.len(), ROWS)
}
