//! `curves PATH...`: every series found in files and folders; text, JSON or CSV.

mod json;
mod text;

use std::io::Write;
use std::path::PathBuf;

use super::{Exit, Failure};
use crate::analysis::drift::Drift;
use crate::analysis::name_pattern::NamePattern;
use crate::jobs::curves::{GatherError, GatherOptions, Gathered, drift, gather};
use crate::model::{Progress, Series, series_csv};

pub(super) use json::record as record_json;
pub(super) use text::about;

/// Arguments of `curves`.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of the command line")]
pub struct Options {
    /// Logs, checkpoints, and folders of them: a training run, a series of checkpoints
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Print one line for each point: run, source, series, step, epoch, index, time, value
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    /// List numbers that are no curves too, such as betas and shapes
    #[arg(long)]
    all: bool,
    /// Read the weights of all checkpoints: how far each layer moved, and where one died, exploded or froze
    #[arg(long, conflicts_with = "csv")]
    drift: bool,
    /// Which parts of file names are which numbers, such as `weights.{epoch}-{val_loss}.h5`
    #[arg(long, value_name = "PATTERN")]
    name_pattern: Option<NamePattern>,
}

pub(super) fn run(options: &Options, out: &mut impl Write) -> Result<Exit, Failure> {
    let gathered = gathered(&options.paths, options.name_pattern.clone())?;
    let moved = if options.drift { Some(moved(&gathered)?) } else { None };
    let shown: Vec<&Series> =
        gathered.series.iter().filter(|series| options.all || series.is_curve).collect();
    if options.json {
        let report = json::Report {
            paths: &options.paths,
            gathered: &gathered,
            series: &shown,
            drift: moved.as_ref(),
        };
        serde_json::to_writer(&mut *out, &report).map_err(std::io::Error::from)?;
        writeln!(out)?;
    } else if options.csv {
        let mut text = String::new();
        // One series at a time bounds the memory; writing to it does not fail.
        let _ = series_csv::write(&[], &mut text);
        for series in &shown {
            let _ = series_csv::points(series, &mut text);
            out.write_all(text.as_bytes())?;
            text.clear();
        }
        out.write_all(text.as_bytes())?;
    } else {
        text::write(&gathered, &shown, moved.as_ref(), out)?;
    }
    Ok(Exit::Done)
}

/// Everything of these paths.
pub(super) fn gathered(paths: &[PathBuf], pattern: Option<NamePattern>) -> Result<Gathered, Failure> {
    gather(paths, &GatherOptions { pattern }, &Progress::new()).map_err(|error| match error {
        GatherError::Unreadable(message) => Failure::Message(message),
        GatherError::Cancelled => Failure::Message("cancelled".to_owned()),
    })
}

fn moved(gathered: &Gathered) -> Result<Drift, Failure> {
    let checkpoints = gathered.main_checkpoints().filter(|series| series.members.len() > 1);
    let checkpoints = checkpoints
        .ok_or_else(|| Failure::Message("--drift needs a folder with at least two checkpoints".to_owned()))?;
    drift(checkpoints, &Progress::new(), &|_| {}).map_err(|_| Failure::Message("cancelled".to_owned()))
}
