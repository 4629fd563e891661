//! `scan PATH`: what a file would do when it is loaded, and what is wrong with its values; text, JSON or SARIF.
//!
//! Works on files that open as no checkpoint too: a pickle of nothing but a command is exactly what it is for.

mod json;
mod sarif;
mod words;

use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::{Exit, Failure};
use crate::analysis::health::{self, Health};
use crate::analysis::safety::{self, Safety, Verdict};
use crate::analysis::scan::{self, TensorStatistics};
use crate::formats;
use crate::model::{Checkpoint, Progress, Severity, TensorId};

/// Arguments of `scan`.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// A file, a folder or a TensorFlow prefix
    path: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Also write the findings as SARIF 2.1.0; `-` prints them instead
    #[arg(long, value_name = "FILE")]
    sarif: Option<PathBuf>,
    /// Exit with status 1 when something of this level, or a verdict like this one, or worse is found
    #[arg(long, value_name = "LEVEL")]
    fail_on: Option<Level>,
    /// Read all values, however many: their health, and the checksums over them
    #[arg(long, conflicts_with = "no_health")]
    health: bool,
    /// Read no values
    #[arg(long)]
    no_health: bool,
}

/// Levels of findings, then verdicts.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Level {
    /// Anything at all
    Info,
    /// Something is odd
    Warning,
    /// Something is wrong
    Error,
    /// Loading runs something unknown, or the file is damaged or dangerous
    UnknownCode,
    /// The file is damaged or dangerous
    Damaged,
    /// Loading does harm
    Dangerous,
}

/// Values up to this size are read without being asked for: a fraction of a second.
const VALUES_READ: u64 = 256 << 20;

/// Everything that was found.
struct Report<'a> {
    path: &'a Path,
    /// `None` where the file opens as no checkpoint.
    checkpoint: Option<&'a Checkpoint>,
    safety: Safety,
    /// `None` where the values were not read.
    health: Option<Health>,
}

pub(super) fn run(options: &Options, out: &mut impl Write) -> Result<Exit, Failure> {
    let progress = Progress::new();
    let reads_values = |bytes: u64| options.health || !options.no_health && bytes <= VALUES_READ;
    let file_bytes = std::fs::metadata(&options.path).map_or(0, |metadata| metadata.len());
    let examined = formats::examine(&options.path, reads_values(file_bytes), &progress);
    let opened = formats::open(&options.path, &progress);
    let evidence = formats::with_opened(examined, opened.as_ref());
    let evidence = evidence.map_err(|error| Failure::Message(error.to_string()))?;
    let checkpoint = opened.ok();
    let health = checkpoint
        .as_ref()
        .filter(|checkpoint| reads_values(checkpoint.totals().tensor_bytes))
        .map(health_of);
    let report = Report {
        path: &options.path,
        checkpoint: checkpoint.as_ref(),
        safety: safety::judge(&evidence),
        health,
    };
    let on_output = options.sarif.as_deref() == Some(Path::new("-"));
    if let Some(file) = options.sarif.as_deref().filter(|_| !on_output) {
        sarif::write_file(&report, file)?;
    }
    if on_output {
        sarif::write(&report, out)?;
    } else if options.json {
        json::write(&report, out)?;
    } else {
        words::write(&report, out)?;
    }
    let is_met = options.fail_on.is_some_and(|level| report.reaches(level));
    Ok(if is_met { Exit::Differs } else { Exit::Done })
}

fn health_of(checkpoint: &Checkpoint) -> Health {
    type Found = HashMap<TensorId, Result<TensorStatistics, String>>;
    let ids: Vec<TensorId> = checkpoint.tensors().map(|(id, _)| id).collect();
    let found: Mutex<Found> = Mutex::default();
    // Nobody cancels this.
    let _ = scan::scan(checkpoint, &ids, scan::threads(), &Progress::new(), &|id, scanned| {
        let kept = scanned.map(|scanned| scanned.found).map_err(|error| error.to_string());
        found.lock().unwrap_or_else(PoisonError::into_inner).insert(id, kept);
    });
    let found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    health::judge(checkpoint, |id| found.get(&id).map(|result| result.as_ref().map_err(String::as_str)))
}

impl Report<'_> {
    fn reaches(&self, level: Level) -> bool {
        let worst = self.safety.worst().max(self.health.as_ref().and_then(Health::worst));
        match level {
            Level::Info => worst >= Some(Severity::Info),
            Level::Warning => worst >= Some(Severity::Warning),
            Level::Error => worst >= Some(Severity::Error),
            Level::UnknownCode => self.safety.verdict >= Verdict::UnknownCode,
            Level::Damaged => self.safety.verdict >= Verdict::Damaged,
            Level::Dangerous => self.safety.verdict >= Verdict::Dangerous,
        }
    }
}

fn level_name(level: Severity) -> &'static str {
    match level {
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Error => "error",
    }
}
