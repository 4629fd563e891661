//! The report for people.

use std::io::{IsTerminal, Write};

use super::{Report, level_name};
use crate::analysis::health::{Health, Rule};
use crate::analysis::safety::{Class, Safety, Verdict, full_name};
use crate::cli::Failure;
use crate::cli::table::{Align, Emphasis, Table};
use crate::model::{Checkpoint, Severity};
use crate::text;

/// Rows of each table; `--json` has all.
const ROWS: usize = 60;

pub fn write(report: &Report, out: &mut impl Write) -> Result<(), Failure> {
    let colours = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let safety = &report.safety;
    writeln!(out, "{}", text::escape(&report.path.to_string_lossy()))?;
    let title = safety.verdict.title();
    match (colours, safety.verdict) {
        (false, _) => writeln!(out, "Verdict     {title}")?,
        (true, Verdict::Clean) => writeln!(out, "Verdict     \u{1b}[1;32m{title}\u{1b}[0m")?,
        (true, Verdict::UnknownCode) => writeln!(out, "Verdict     \u{1b}[1;33m{title}\u{1b}[0m")?,
        (true, _) => writeln!(out, "Verdict     \u{1b}[1;31m{title}\u{1b}[0m")?,
    }
    writeln!(out, "Because     {}", text::escape(&safety.reason))?;
    writeln!(out, "Looked at   {}", looked_at(safety))?;
    findings(safety, colours, out)?;
    imports(safety, colours, out)?;
    calls(safety, colours, out)?;
    writeln!(out)?;
    match (&report.health, report.checkpoint) {
        (Some(health), Some(checkpoint)) => health_words(checkpoint, health, colours, out)?,
        (None, Some(checkpoint)) => writeln!(
            out,
            "The values ({}) were not read; --health reads them.",
            text::bytes(checkpoint.totals().tensor_bytes)
        )?,
        (_, None) => writeln!(out, "It does not open as a checkpoint, so there are no values to check.")?,
    }
    writeln!(out, "Nothing of the file was run.")?;
    Ok(())
}

fn looked_at(safety: &Safety) -> String {
    let counted = |count: u64, one: &str, many: &str| {
        format!("{} {}", text::count(count), if count == 1 { one } else { many })
    };
    let mut parts =
        vec![if safety.kind.is_empty() { "something".to_owned() } else { text::escape(&safety.kind) }];
    if safety.parts > 1 {
        parts.push(counted(safety.parts, "part", "parts"));
    }
    if safety.pickles > 0 {
        parts.push(counted(safety.pickles, "pickle", "pickles"));
    }
    if safety.data_bytes > 0 {
        parts.push(format!("{} of values, which can do nothing", text::bytes(safety.data_bytes)));
    }
    parts.join("; ")
}

fn more(out: &mut impl Write, count: u64) -> Result<(), Failure> {
    if count > 0 {
        writeln!(out, "… {} more", text::count(count))?;
    }
    Ok(())
}

fn findings(safety: &Safety, colours: bool, out: &mut impl Write) -> Result<(), Failure> {
    if safety.findings.is_empty() {
        return Ok(());
    }
    writeln!(out, "\nFindings")?;
    for finding in safety.findings.iter().take(ROWS) {
        let place = if finding.place.is_empty() { String::new() } else { format!("{}: ", finding.place) };
        let at = finding.offset.map(|offset| format!(" (at byte {offset})")).unwrap_or_default();
        let line = format!("{}: {place}{}{at}", level_name(finding.level), finding.message);
        let line = text::escape(&line);
        if colours && finding.level == Severity::Error {
            writeln!(out, "\u{1b}[1m{line}\u{1b}[0m")?;
        } else {
            writeln!(out, "{line}")?;
        }
    }
    let left = (safety.findings.len().saturating_sub(ROWS)) as u64;
    more(out, left.saturating_add(safety.more))?;
    let mut explained: Vec<(&str, &str)> = Vec::new();
    for finding in safety.findings.iter().take(ROWS) {
        if !explained.contains(&(finding.title, finding.explanation)) {
            explained.push((finding.title, finding.explanation));
        }
    }
    writeln!(out)?;
    for (title, explanation) in explained {
        writeln!(out, "{title}: {explanation}")?;
    }
    Ok(())
}

fn imports(safety: &Safety, colours: bool, out: &mut impl Write) -> Result<(), Failure> {
    if safety.imports.is_empty() {
        return Ok(());
    }
    let mut table = Table::new(vec![
        ("Class", Align::Left),
        ("Imports", Align::Left),
        ("Count", Align::Right),
        ("At byte", Align::Right),
        ("In", Align::Left),
    ]);
    for judged in safety.imports.iter().take(ROWS) {
        let emphasis = if judged.class == Class::Dangerous { Emphasis::Strong } else { Emphasis::None };
        table.push(
            emphasis,
            vec![
                judged.class.title().to_owned(),
                text::escape(&full_name(&judged.import)),
                text::count(judged.import.count),
                judged.import.offset.map(text::count).unwrap_or_default(),
                text::escape(&judged.import.place),
            ],
        );
    }
    writeln!(out)?;
    table.write(out, colours)?;
    more(out, safety.imports.len().saturating_sub(ROWS) as u64)
}

/// Calls of what is known to be harmless are as many as tensors; they are left to `--json`.
fn calls(safety: &Safety, colours: bool, out: &mut impl Write) -> Result<(), Failure> {
    let shown: Vec<_> = safety.calls.iter().filter(|(_, class)| *class >= Class::Framework).collect();
    if shown.is_empty() {
        return Ok(());
    }
    let mut table = Table::new(vec![
        ("Loading would call", Align::Left),
        ("Times", Align::Right),
        ("By", Align::Left),
        ("With", Align::Left),
    ]);
    for (call, class) in shown.iter().take(ROWS) {
        let emphasis = if *class == Class::Dangerous { Emphasis::Strong } else { Emphasis::None };
        table.push(
            emphasis,
            vec![
                text::escape(&call.target),
                text::count(call.count),
                call.opcode.to_owned(),
                text::escape(call.arguments.first().map_or("", |arguments| arguments)),
            ],
        );
    }
    writeln!(out)?;
    table.write(out, colours)?;
    more(out, shown.len().saturating_sub(ROWS) as u64)
}

fn health_words(
    checkpoint: &Checkpoint,
    health: &Health,
    colours: bool,
    out: &mut impl Write,
) -> Result<(), Failure> {
    writeln!(
        out,
        "Health      {} tensors read: {} with NaN, {} with infinite values, {} all zero, {} constant, {} unreadable",
        health.tensors,
        health.with_nan,
        health.with_infinite,
        health.all_zero,
        health.constant,
        health.unreadable
    )?;
    if health.findings.is_empty() {
        writeln!(out, "Nothing wrong was found in the values.")?;
        return Ok(());
    }
    let mut table = Table::new(vec![
        ("Level", Align::Left),
        ("Tensor", Align::Left),
        ("About", Align::Left),
        ("Finding", Align::Left),
    ]);
    for finding in &health.findings {
        let emphasis = if finding.level == Severity::Error { Emphasis::Strong } else { Emphasis::None };
        table.push(
            emphasis,
            vec![
                level_name(finding.level).to_owned(),
                text::escape(&checkpoint.tensor(finding.tensor).name),
                finding.rule.title().to_owned(),
                text::escape(&finding.message),
            ],
        );
    }
    writeln!(out)?;
    table.write(out, colours)?;
    writeln!(out)?;
    let mut explained: Vec<Rule> = health.by_rule().into_iter().map(|(rule, ..)| rule).collect();
    explained.sort_unstable();
    explained.dedup();
    for rule in explained {
        writeln!(out, "{}: {}", rule.title(), rule.explanation())?;
    }
    Ok(())
}
