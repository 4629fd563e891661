//! `curves` for people: a table of series for each run, with a line of blocks for the shape of each.

use std::collections::HashSet;
use std::io::{IsTerminal, Write};

use super::super::Failure;
use super::super::table::{Align, Emphasis, Table};
use crate::analysis::drift::Drift;
use crate::jobs::curves::{CheckpointSeries, Gathered};
use crate::model::metric::default_direction;
use crate::model::{Direction, Series, Severity};
use crate::text;

/// Characters of the line of blocks.
const WIDTH: usize = 24;

/// Writes everything.
pub fn write(
    gathered: &Gathered,
    series: &[&Series],
    drift: Option<&Drift>,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let colours = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    if series.is_empty() {
        writeln!(out, "No training curves were found.")?;
    }
    for run in gathered.runs() {
        let own: Vec<&Series> = series.iter().copied().filter(|series| series.run == run).collect();
        if own.is_empty() {
            continue;
        }
        writeln!(out, "{}", text::escape(if run.is_empty() { "(here)" } else { run }))?;
        table(&own).write(out, colours)?;
        writeln!(out)?;
    }
    let offered = gathered.series.len() - gathered.curves().count();
    if offered > 0 && series.len() < gathered.series.len() {
        writeln!(
            out,
            "{offered} more list{} of numbers that are no curves: --all shows them.",
            if offered == 1 { "" } else { "s" }
        )?;
    }
    if !gathered.histograms.is_empty() {
        // Runs of one training have the same ones.
        let mut seen = HashSet::new();
        let all = gathered.histograms.iter().filter(|series| seen.insert(&series.name));
        let mut names: Vec<String> = all.map(|series| text::escape(&series.name)).collect();
        let more = if names.len() > 8 { ", …" } else { "" };
        names.truncate(8);
        let plural = if gathered.histograms.len() == 1 { "" } else { "s" };
        writeln!(out, "{} histogram{plural}: {}{more}", gathered.histograms.len(), names.join(", "))?;
    }
    for checkpoints in gathered.checkpoints.iter().filter(|series| series.members.len() > 1) {
        writeln!(out, "{}", about(checkpoints))?;
    }
    for record in &gathered.records {
        let what = match (&record.metric, record.value) {
            (Some(metric), Some(value)) => format!(" ({metric} {})", text::number(value)),
            (None, Some(value)) => format!(" ({})", text::number(value)),
            _ => String::new(),
        };
        let path = record.path.as_deref().unwrap_or("no file");
        writeln!(out, "{} noted as best: {}{}", record.by, text::escape(path), text::escape(&what))?;
    }
    if let Some(drift) = drift {
        writeln!(out)?;
        write_drift(drift, colours, out)?;
    }
    for found in &gathered.problems {
        let severity = match found.problem.severity {
            Severity::Info => "note",
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        let source = found.source.file_name().unwrap_or(found.source.as_os_str()).to_string_lossy();
        writeln!(out, "{severity}: {}: {}", text::escape(&source), text::escape(&found.problem.message))?;
    }
    Ok(())
}

/// One sentence about a series of checkpoints.
pub fn about(checkpoints: &CheckpointSeries) -> String {
    let pattern =
        checkpoints.pattern.as_ref().map(|pattern| format!(", named {pattern}")).unwrap_or_default();
    let unplaced = match checkpoints.order.unplaced {
        0 => String::new(),
        count => format!("; {count} of them do not tell and stand last"),
    };
    if checkpoints.members.len() == 1 {
        return format!("1 checkpoint{}.", text::escape(&pattern));
    }
    format!(
        "{} checkpoints{}, ordered by {}{unplaced}.",
        checkpoints.members.len(),
        text::escape(&pattern),
        checkpoints.order.by.words()
    )
}

fn table(series: &[&Series]) -> Table {
    use Align::{Left, Right};
    let mut table = Table::new(vec![
        ("Series", Left),
        ("By", Left),
        ("Points", Right),
        ("First", Right),
        ("Last", Right),
        ("Best", Right),
        ("At", Right),
        ("Gaps", Right),
        ("", Left),
    ]);
    for series in series {
        let direction = default_direction(&series.name);
        let best = direction.and_then(|direction| series.best(direction));
        let (kind, xs) = series.main_axis();
        let at = best.and_then(|(point, _)| xs.get(point));
        let arrow = match direction {
            Some(Direction::Min) => " min",
            Some(Direction::Max) => " max",
            None => "",
        };
        let number = |value: Option<&f64>| value.copied().map(text::number).unwrap_or_default();
        table.push(
            Emphasis::None,
            vec![
                text::escape(&series.name),
                kind.name().to_owned(),
                text::count(series.len() as u64),
                number(series.values.first()),
                number(series.values.last()),
                best.map(|(_, value)| format!("{}{arrow}", text::number(value))).unwrap_or_default(),
                number(at),
                if series.gaps() > 0 { text::count(series.gaps() as u64) } else { String::new() },
                blocks(&series.values),
            ],
        );
    }
    table
}

/// The shape of a curve in blocks of eight heights; gaps are blank.
fn blocks(values: &[f64]) -> String {
    const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let finite = || values.iter().copied().filter(|value| value.is_finite());
    let (low, high) = (finite().fold(f64::INFINITY, f64::min), finite().fold(f64::NEG_INFINITY, f64::max));
    if values.len() < 2 || low > high {
        return String::new();
    }
    let columns = values.len().min(WIDTH);
    (0..columns)
        .map(|column| {
            let part = values.get(column * values.len() / columns..(column + 1) * values.len() / columns);
            let kept: Vec<f64> =
                part.unwrap_or_default().iter().copied().filter(|value| value.is_finite()).collect();
            if kept.is_empty() {
                return ' ';
            }
            let mean = kept.iter().sum::<f64>() / kept.len() as f64;
            let share = if high > low { (mean - low) / (high - low) } else { 0.5 };
            BLOCKS.get((share * 7.999) as usize).copied().unwrap_or('█')
        })
        .collect()
}

fn write_drift(drift: &Drift, colours: bool, out: &mut impl Write) -> Result<(), Failure> {
    use Align::{Left, Right};
    let mut table = Table::new(vec![
        ("Layer", Left),
        ("First norm", Right),
        ("Last norm", Right),
        ("Change", Right),
        ("Largest update", Right),
        ("At", Left),
        ("Updates", Left),
    ]);
    for layer in &drift.layers {
        let number = |value: Option<&f64>| value.copied().map(text::number).unwrap_or_default();
        let largest = layer
            .update
            .iter()
            .enumerate()
            .filter(|(_, update)| update.is_finite())
            .max_by(|a, b| a.1.total_cmp(b.1));
        table.push(
            Emphasis::None,
            vec![
                text::escape(&layer.layer),
                number(layer.norm.first()),
                number(layer.norm.last()),
                number(layer.from_first.last()),
                number(largest.map(|(_, update)| update)),
                largest
                    .and_then(|(at, _)| drift.checkpoints.get(at))
                    .map(|name| text::escape(name))
                    .unwrap_or_default(),
                blocks(layer.update.get(1..).unwrap_or_default()),
            ],
        );
    }
    table.write(out, colours)?;
    for event in &drift.events {
        let (Some(layer), Some(name)) = (drift.layers.get(event.layer), drift.checkpoints.get(event.at))
        else {
            continue;
        };
        writeln!(out, "{} {} (from {})", text::escape(&layer.layer), event.kind.words(), text::escape(name))?;
    }
    for problem in &drift.problems {
        writeln!(out, "warning: {}", text::escape(problem))?;
    }
    Ok(())
}
