//! `scan PATH`: what is wrong with the values of a checkpoint; text or JSON.
//!
//! Only health so far. What a pickle imports is not looked at here, so nothing is said about it.

use std::collections::HashMap;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::table::{Align, Emphasis, Table};
use super::{Exit, Failure, open};
use crate::analysis::health::{self, Health, Rule};
use crate::analysis::scan::{self, TensorStatistics};
use crate::model::{Checkpoint, Progress, Severity, TensorId};
use crate::text;

/// Arguments of `scan`.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// A file, a folder or a TensorFlow prefix
    path: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Exit with status 1 when something of this level or worse is found
    #[arg(long, value_name = "LEVEL")]
    fail_on: Option<Level>,
}

/// Levels of findings.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Level {
    /// Anything at all
    Info,
    /// Something is odd
    Warning,
    /// Something is wrong
    Error,
}

impl From<Level> for Severity {
    fn from(level: Level) -> Self {
        match level {
            Level::Info => Self::Info,
            Level::Warning => Self::Warning,
            Level::Error => Self::Error,
        }
    }
}

type Found = HashMap<TensorId, Result<TensorStatistics, String>>;

pub(super) fn run(options: &Options, out: &mut impl Write) -> Result<Exit, Failure> {
    let checkpoint = open(&options.path)?;
    let ids: Vec<TensorId> = checkpoint.tensors().map(|(id, _)| id).collect();
    let found: Mutex<Found> = Mutex::default();
    // Nobody cancels this.
    let _ = scan::scan(&checkpoint, &ids, scan::threads(), &Progress::new(), &|id, scanned| {
        let kept = scanned.map(|scanned| scanned.found).map_err(|error| error.to_string());
        found.lock().unwrap_or_else(PoisonError::into_inner).insert(id, kept);
    });
    let found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    let health =
        health::judge(&checkpoint, |id| found.get(&id).map(|result| result.as_ref().map_err(String::as_str)));
    if options.json {
        let json = Json { checkpoint: &checkpoint, health: &health };
        serde_json::to_writer(&mut *out, &json).map_err(std::io::Error::from)?;
        writeln!(out)?;
    } else {
        write_text(&checkpoint, &health, out)?;
    }
    let is_met = options.fail_on.is_some_and(|level| health.worst() >= Some(level.into()));
    Ok(if is_met { Exit::Differs } else { Exit::Done })
}

fn write_text(checkpoint: &Checkpoint, health: &Health, out: &mut impl Write) -> Result<(), Failure> {
    let colours = std::io::stdout().is_terminal();
    writeln!(out, "Health of {}", text::escape(&checkpoint.path().to_string_lossy()))?;
    writeln!(
        out,
        "{} tensors read: {} with NaN, {} with infinite values, {} all zero, {} constant, {} unreadable",
        health.tensors,
        health.with_nan,
        health.with_infinite,
        health.all_zero,
        health.constant,
        health.unreadable
    )?;
    if health.findings.is_empty() {
        writeln!(out, "Nothing wrong was found in the values.")?;
    } else {
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
    }
    writeln!(out, "Only values were checked: what the file would run when it is loaded was not looked at.")?;
    Ok(())
}

fn level_name(level: Severity) -> &'static str {
    match level {
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Error => "error",
    }
}

struct Json<'a> {
    checkpoint: &'a Checkpoint,
    health: &'a Health,
}

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("schema", &1)?;
        map.serialize_entry("path", &self.checkpoint.path().to_string_lossy())?;
        map.serialize_entry("format", self.checkpoint.format())?;
        // What is not in this list was not looked at.
        map.serialize_entry("checked", &["health"])?;
        map.serialize_entry("health", &HealthJson(self))?;
        map.end()
    }
}

struct HealthJson<'a>(&'a Json<'a>);

impl Serialize for HealthJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Json { checkpoint, health } = self.0;
        let name = |id: TensorId| checkpoint.tensor(id).name.as_str();
        let named = |rule: Rule| -> Vec<&str> {
            let about = health.findings.iter().filter(|finding| finding.rule == rule);
            about.map(|finding| name(finding.tensor)).collect()
        };
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("worst", &health.worst())?;
        map.serialize_entry("tensors", &health.tensors)?;
        map.serialize_entry("unreadable", &health.unreadable)?;
        for (key, rule) in [
            ("nan", Rule::NotANumber),
            ("inf", Rule::Infinite),
            ("all_zero", Rule::AllZero),
            ("constant", Rule::Constant),
            ("extreme", Rule::ExtremeValues),
        ] {
            map.serialize_entry(key, &named(rule))?;
        }
        let findings: Vec<serde_json::Value> = health
            .findings
            .iter()
            .map(|finding| {
                serde_json::json!({
                    "level": finding.level,
                    "code": finding.rule.code(),
                    "tensor": name(finding.tensor),
                    "message": finding.message,
                    "explanation": finding.rule.explanation(),
                })
            })
            .collect();
        map.serialize_entry("findings", &findings)?;
        map.end()
    }
}
