//! Everything that has an order, of files and folders: logs, histories inside checkpoints, numbers across checkpoints.
//!
//! ```text
//! paths ──walk──▶ logs ──training_logs──▶ series ─┐
//!             └─▶ checkpoints ──formats──▶ numbers and lists ──analysis::series──▶ order, series ─┴─▶ Gathered
//! ```
//!
//! Used by the window's jobs and by the command line alike. Opens checkpoints for their metadata only; tensors are read
//! where they are single numbers or short lists of measurements, and by [`drift()`].

mod arrange;
mod checkpoint;
pub mod drift;
mod facts;
mod merge;
mod walk;

use std::collections::HashSet;
use std::path::{Path, PathBuf};

pub use drift::drift;
pub use facts::Facts;
pub use walk::Place;

use crate::analysis::name_pattern::NamePattern;
use crate::analysis::series::{Member, Order, Ranking, best};
use crate::formats;
use crate::model::metric::default_direction;
use crate::model::{BestRecord, Cancelled, Direction, HistogramSeries, Problem, Progress, Series};
use crate::training_logs;
use checkpoint::Inside;

/// How curves are gathered.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GatherOptions {
    /// Which parts of file names are which numbers; found out where it is not given.
    pub pattern: Option<NamePattern>,
}

/// A finding about a file.
#[derive(Debug, Clone)]
pub struct SourceProblem {
    /// The file or folder.
    pub source: PathBuf,
    /// What was found.
    pub problem: Problem,
}

/// Checkpoints of one training.
#[derive(Debug, Clone)]
pub struct CheckpointSeries {
    /// See [`Series::run`].
    pub run: String,
    /// What to open of each member.
    pub paths: Vec<PathBuf>,
    /// What is known of each.
    pub members: Vec<Member>,
    /// Bytes of each file.
    pub bytes: Vec<u64>,
    /// In which order they were written.
    pub order: Order,
    /// How their names were read; `None` where they hold no numbers.
    pub pattern: Option<NamePattern>,
}

/// What was gathered.
#[derive(Debug, Clone, Default)]
pub struct Gathered {
    /// Curves and other lists of numbers.
    pub series: Vec<Series>,
    /// What is known about each of them, in the same order.
    pub facts: Vec<Facts>,
    /// Histograms of event files.
    pub histograms: Vec<HistogramSeries>,
    /// Checkpoints, a series for each training and way of naming; also single ones.
    pub checkpoints: Vec<CheckpointSeries>,
    /// What frameworks noted as best.
    pub records: Vec<BestRecord>,
    /// What could not be read or should be known.
    pub problems: Vec<SourceProblem>,
    /// The files that were read, to be watched.
    pub sources: Vec<PathBuf>,
}

impl Gathered {
    /// Series alone, with what is known about them.
    pub fn of(series: Vec<Series>) -> Self {
        Self { facts: facts::facts(&series), series, ..Self::default() }
    }

    /// Whether there is nothing to show.
    pub fn is_empty(&self) -> bool {
        self.series.is_empty() && self.histograms.is_empty() && self.checkpoints.is_empty()
    }

    /// The curves.
    pub fn curves(&self) -> impl Iterator<Item = &Series> {
        self.series.iter().filter(|series| series.is_curve)
    }

    /// The names of runs, in order of first mention.
    pub fn runs(&self) -> Vec<&str> {
        let mut seen = HashSet::new();
        self.series.iter().map(|series| series.run.as_str()).filter(|run| seen.insert(*run)).collect()
    }

    /// The series of checkpoints with the most members: what is ranked unless another is asked for.
    pub fn main_checkpoints(&self) -> Option<&CheckpointSeries> {
        // The first of equal ones.
        self.checkpoints.iter().rev().max_by_key(|series| series.members.len())
    }

    /// The logs that may hold values of a series of checkpoints: those of the same run, else of the runs around it.
    pub fn logs_for(&self, checkpoints: &CheckpointSeries) -> Vec<&Series> {
        use crate::model::Origin;
        let logged = |series: &&Series| matches!(series.origin, Origin::Log | Origin::Checkpoint);
        let (mut own, other): (Vec<&Series>, Vec<&Series>) =
            self.series.iter().filter(logged).partition(|series| series.run == checkpoints.run);
        let is_near = |run: &str| {
            run.starts_with(&checkpoints.run)
                || checkpoints.run.starts_with(run)
                || self.checkpoints.len() == 1
        };
        own.extend(other.into_iter().filter(|series| is_near(&series.run)));
        own
    }

    /// Ranks a series of checkpoints. `direction` is the user's; otherwise the name tells it, or the framework's own record.
    pub fn rank(
        &self,
        checkpoints: &CheckpointSeries,
        metric: Option<&str>,
        direction: Option<Direction>,
    ) -> Result<Ranking, RankError> {
        let logs = self.logs_for(checkpoints);
        let known = best::metrics(&checkpoints.members, &logs);
        let name = match metric {
            Some(metric) => best::resolve(metric, &checkpoints.members, &logs).ok_or_else(|| {
                RankError::UnknownMetric { metric: metric.to_owned(), known: known.clone() }
            })?,
            None => known.into_iter().next().ok_or(RankError::NoMetric)?,
        };
        let recorded = || self.records.iter().filter(|record| record.metric.as_deref() == Some(&name));
        let direction = direction
            .or_else(|| default_direction(&name))
            .or_else(|| recorded().find_map(|record| record.direction))
            .ok_or_else(|| RankError::UnknownDirection { metric: name.clone() })?;
        Ok(best::rank(&checkpoints.members, &checkpoints.order, &logs, &name, direction))
    }
}

/// Why checkpoints could not be ranked.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum RankError {
    /// Nothing is called so.
    #[error("no checkpoint and no log has a metric {metric:?}{}", known_words(known))]
    UnknownMetric {
        /// What was asked for.
        metric: String,
        /// What there is.
        known: Vec<String>,
    },
    /// Nothing is a metric.
    #[error("neither the checkpoints nor the logs beside them hold a metric")]
    NoMetric,
    /// The name does not tell which way is better.
    #[error("the name {metric:?} does not tell whether less or more of it is better; say --min or --max")]
    UnknownDirection {
        /// The metric.
        metric: String,
    },
}

fn known_words(known: &[String]) -> String {
    if known.is_empty() { String::new() } else { format!("; there are: {}", known.join(", ")) }
}

/// A path that could not be read at all. The text is one line with the path last.
#[derive(Debug, thiserror::Error)]
pub enum GatherError {
    /// Neither a checkpoint nor a log, or damaged.
    #[error("{0}")]
    Unreadable(String),
    /// The work was cancelled.
    #[error("cancelled")]
    Cancelled,
}

impl From<Cancelled> for GatherError {
    fn from(_: Cancelled) -> Self {
        Self::Cancelled
    }
}

/// A checkpoint that was opened.
struct Opened {
    place: Place,
    inside: Inside,
    member: Member,
    bytes: u64,
}

/// Gathers everything of files and folders. A file that is named must be readable; what lies in a folder and cannot be read
/// is a problem, and what is neither log nor checkpoint there is passed over.
pub fn gather(
    paths: &[PathBuf],
    options: &GatherOptions,
    progress: &Progress,
) -> Result<Gathered, GatherError> {
    let mut gathered = Gathered::default();
    let mut opened: Vec<Opened> = Vec::new();
    let mut logs = merge::Logs::default();
    for path in paths {
        let is_folder = std::fs::metadata(path).is_ok_and(|metadata| metadata.is_dir());
        let places =
            if is_folder { walk::folder(path, &mut gathered.problems) } else { vec![walk::file(path)] };
        for place in places {
            progress.advance(0)?;
            let read = if place.is_log { Read::Log } else { Read::Checkpoint };
            let result = match read {
                Read::Log => read_log(&place, &mut logs, progress),
                Read::Checkpoint => open(&place, &mut opened, progress),
            };
            // A named file may be either; what it is shows when it is opened.
            let result = match result {
                Err(ReadFailure::NotOne(message)) if !is_folder && read == Read::Checkpoint => {
                    match read_log(&place, &mut logs, progress) {
                        // Neither: what the formats make of it says more.
                        Err(ReadFailure::NotOne(_)) => Err(ReadFailure::NotOne(message)),
                        other => other,
                    }
                }
                other => other,
            };
            match result {
                Ok(()) => gathered.sources.push(place.path),
                Err(ReadFailure::Cancelled) => return Err(GatherError::Cancelled),
                Err(ReadFailure::NotOne(message) | ReadFailure::Damaged(message)) if !is_folder => {
                    return Err(GatherError::Unreadable(message));
                }
                Err(ReadFailure::NotOne(_)) => {}
                Err(ReadFailure::Damaged(message)) => {
                    let problem = Problem::warning("unreadable", message);
                    gathered.problems.push(SourceProblem { source: place.path, problem });
                }
            }
        }
    }
    logs.finish(&mut gathered, &mut opened);
    arrange::arrange(opened, options, &mut gathered);
    merge::merge(&mut gathered);
    gathered.facts = facts::facts(&gathered.series);
    // Every checkpoint of a run repeats the same note; the last one stays.
    let mut told = HashSet::new();
    gathered.records.reverse();
    gathered.records.retain(|record| {
        let BestRecord { by, metric, direction, value, path, .. } = record.clone();
        told.insert((by, metric, direction, value.map(f64::to_bits), path))
    });
    gathered.records.reverse();
    Ok(gathered)
}

#[derive(Clone, Copy, PartialEq)]
enum Read {
    Log,
    Checkpoint,
}

enum ReadFailure {
    Cancelled,
    /// Something else than was expected.
    NotOne(String),
    Damaged(String),
}

fn read_log(place: &Place, logs: &mut merge::Logs, progress: &Progress) -> Result<(), ReadFailure> {
    match training_logs::read(&place.path, progress) {
        Ok(log) if !log.is_certain && !place.is_named => {
            Err(ReadFailure::NotOne(format!("no training log: {}", place.path.display())))
        }
        Ok(log) => {
            logs.add(place, log);
            Ok(())
        }
        Err(error) if error.is_cancelled() => Err(ReadFailure::Cancelled),
        Err(error @ training_logs::LogError::Unrecognised { .. }) => {
            Err(ReadFailure::NotOne(error.to_string()))
        }
        // Folders hold JSON and CSV files of every kind; only event files are sure to be logs.
        Err(error) if !place.is_named && !place.is_event_file() => {
            Err(ReadFailure::NotOne(error.to_string()))
        }
        Err(error) => Err(ReadFailure::Damaged(error.to_string())),
    }
}

fn open(place: &Place, opened: &mut Vec<Opened>, progress: &Progress) -> Result<(), ReadFailure> {
    let checkpoint = match formats::open(&place.path, progress) {
        Ok(checkpoint) => checkpoint,
        Err(error) if error.is_cancelled() => return Err(ReadFailure::Cancelled),
        Err(error @ formats::OpenError::Unrecognised { .. }) => {
            return Err(ReadFailure::NotOne(error.to_string()));
        }
        Err(error) => return Err(ReadFailure::Damaged(error.to_string())),
    };
    let inside = checkpoint::look_inside(&checkpoint, place.is_named, progress);
    // A configuration or an optimizer alone is no point of a training.
    if !place.is_named && !inside.has_model && inside.series.is_empty() {
        return Err(ReadFailure::NotOne(format!("no model: {}", place.path.display())));
    }
    let metadata = std::fs::metadata(&place.path).ok();
    let modified = metadata.as_ref().and_then(|metadata| metadata.modified().ok());
    let seconds = modified.and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
    let member = Member {
        name: place.name.clone(),
        numbers: inside.numbers.clone(),
        in_name: Vec::new(),
        modified: seconds.map(|seconds| seconds.as_secs_f64()),
    };
    let bytes = checkpoint.totals().file_bytes;
    opened.push(Opened { place: place.clone(), inside, member, bytes });
    Ok(())
}

/// The last part of a path for comparing notes of another machine with files of this one.
pub(crate) fn last_part(path: &str) -> &str {
    path.trim_end_matches(['/', '\\']).rsplit(['/', '\\']).next().unwrap_or(path)
}

/// Which member a framework's record speaks of, by the last part of the path that it noted.
pub fn recorded_member(record: &BestRecord, checkpoints: &CheckpointSeries) -> Option<usize> {
    let noted = last_part(record.path.as_deref()?);
    let whole = record.path.as_deref()?.replace('\\', "/");
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    checkpoints.members.iter().zip(&checkpoints.paths).position(|(member, path)| {
        if member.name.contains('/') {
            return whole.ends_with(&format!("/{}", member.name)) || whole == member.name;
        }
        member.name == noted || name(path).as_deref() == Some(noted)
    })
}
