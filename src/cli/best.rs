//! `best FOLDER --metric NAME`: checkpoints ranked by a metric; text or JSON.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;

use serde_json::json;

use super::curves::gathered;
use super::json::Number;
use super::table::{Align, Emphasis, Table};
use super::{Exit, Failure};
use crate::analysis::name_pattern::NamePattern;
use crate::analysis::series::best::{ValueFrom, looks_like_best_only};
use crate::analysis::series::{Member, Ranking, Score};
use crate::jobs::curves::{CheckpointSeries, Gathered, recorded_member};
use crate::model::metric::default_direction;
use crate::model::{BestRecord, Direction};
use crate::text;

/// Arguments of `best`.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// A folder of checkpoints, with or without logs beside them; several are ranked together
    #[arg(required = true, value_name = "FOLDER")]
    paths: Vec<PathBuf>,
    /// The metric: a key of the checkpoints, a column of a log, or a number in the file names; by default the first one that was
    /// measured on data that was not trained on
    #[arg(long, value_name = "NAME")]
    metric: Option<String>,
    /// Less is better, whatever the name says
    #[arg(long, conflicts_with = "max")]
    min: bool,
    /// More is better, whatever the name says
    #[arg(long)]
    max: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Which parts of file names are which numbers, such as `weights.{epoch}-{val_loss}.h5`
    #[arg(long, value_name = "PATTERN")]
    name_pattern: Option<NamePattern>,
}

/// A framework's note beside our answer.
struct Compared<'a> {
    record: &'a BestRecord,
    member: Option<usize>,
    agrees: Option<bool>,
}

pub(super) fn run(options: &Options, out: &mut impl Write) -> Result<Exit, Failure> {
    let gathered = gathered(&options.paths, options.name_pattern.clone())?;
    let checkpoints = gathered.main_checkpoints().ok_or_else(|| {
        let paths: Vec<_> = options.paths.iter().map(|path| path.to_string_lossy()).collect();
        Failure::Message(format!("no checkpoints were found: {}", paths.join(", ")))
    })?;
    let direction = match (options.min, options.max) {
        (true, _) => Some(Direction::Min),
        (_, true) => Some(Direction::Max),
        _ => None,
    };
    let ranking = gathered
        .rank(checkpoints, options.metric.as_deref(), direction)
        .map_err(|error| Failure::Message(error.to_string()))?;
    let mut notes = ranking.notes.clone();
    if looks_like_best_only(&ranking, &checkpoints.members, &checkpoints.order) {
        notes.push(
            "each file is better than the one before and others are left out, as save_best_only does it"
                .to_owned(),
        );
    }
    let others = gathered.checkpoints.iter().filter(|series| !std::ptr::eq(*series, checkpoints));
    let elsewhere: usize = others.map(|series| series.members.len()).sum();
    if elsewhere > 0 {
        let run = &checkpoints.run;
        notes.push(format!(
            "{elsewhere} checkpoints of other series are not ranked; this is the largest series (of {run})"
        ));
    }
    let compared: Vec<Compared<'_>> = compared(&gathered, checkpoints, &ranking);
    let answer = Answer { checkpoints, ranking: &ranking, notes, compared, is_given: direction.is_some() };
    if options.json {
        let paths: Vec<_> = options.paths.iter().map(|path| path.to_string_lossy().into_owned()).collect();
        serde_json::to_writer(&mut *out, &answer.json(&paths)).map_err(std::io::Error::from)?;
        writeln!(out)?;
    } else {
        answer.text(out)?;
    }
    Ok(Exit::Done)
}

/// The notes of frameworks about this metric; of several by one framework the last, which knows most.
fn compared<'a>(
    gathered: &'a Gathered,
    checkpoints: &CheckpointSeries,
    ranking: &Ranking,
) -> Vec<Compared<'a>> {
    let mut latest: Vec<&BestRecord> = Vec::new();
    // Checkpoints and states lie in natural order of their paths, so the last one is of the latest.
    for record in &gathered.records {
        latest.retain(|other| other.by != record.by || other.metric != record.metric);
        latest.push(record);
    }
    latest
        .into_iter()
        .map(|record| {
            let member = recorded_member(record, checkpoints);
            let is_same_metric = record.metric.as_ref().is_none_or(|metric| *metric == ranking.metric);
            let agrees = member
                .filter(|_| is_same_metric)
                .map(|member| ranking.best().any(|score| score.member == member));
            Compared { record, member, agrees }
        })
        .collect()
}

struct Answer<'a> {
    checkpoints: &'a CheckpointSeries,
    ranking: &'a Ranking,
    notes: Vec<String>,
    compared: Vec<Compared<'a>>,
    is_given: bool,
}

impl Answer<'_> {
    fn direction_by(&self) -> &'static str {
        if self.is_given {
            "option"
        } else if default_direction(&self.ranking.metric).is_some() {
            "name"
        } else {
            "record"
        }
    }

    fn row(&self, score: &Score) -> serde_json::Value {
        let at = score.member;
        let member = self.checkpoints.members.get(at);
        json!({
            "rank": score.rank,
            "name": member.map(|member| member.name.as_str()),
            "path": self.checkpoints.paths.get(at).map(|path| path.to_string_lossy()),
            "value": Number(score.value),
            "from": score.from,
            "step": member.and_then(Member::step),
            "epoch": member.and_then(Member::epoch),
            "bytes": self.checkpoints.bytes.get(at),
            "modified": member.and_then(|member| member.modified),
        })
    }

    fn json(&self, paths: &[String]) -> serde_json::Value {
        let ranking = self.ranking;
        let name = |at: usize| self.checkpoints.members.get(at).map(|member| member.name.clone());
        let ties = ranking.best().count();
        let recorded: Vec<_> = self
            .compared
            .iter()
            .map(|compared| {
                let mut record = super::curves::record_json(compared.record);
                if let Some(record) = record.as_object_mut() {
                    record.insert("name".to_owned(), json!(compared.member.and_then(name)));
                    record.insert("agrees".to_owned(), json!(compared.agrees));
                }
                record
            })
            .collect();
        json!({
            "schema": 1,
            "paths": paths,
            "metric": ranking.metric,
            "direction": ranking.direction,
            "direction_by": self.direction_by(),
            "ordered_by": self.checkpoints.order.by,
            "name_pattern": self.checkpoints.pattern.as_ref().map(ToString::to_string),
            "summary": {
                "checkpoints": self.checkpoints.members.len(),
                "ranked": ranking.scores.len(),
                "missing": ranking.missing.len(),
                "tied_for_best": ties,
            },
            "best": ranking.best().next().map(|score| self.row(score)),
            "ranking": ranking.scores.iter().map(|score| self.row(score)).collect::<Vec<_>>(),
            "missing": ranking.missing.iter().filter_map(|&at| name(at)).collect::<Vec<_>>(),
            "better_in_log": ranking.better_in_log.map(|(kind, at, value)| json!({ "x": kind.name(), "at": at, "value": value })),
            "recorded": recorded,
            "notes": self.notes,
        })
    }

    fn text(&self, out: &mut impl Write) -> Result<(), Failure> {
        use Align::{Left, Right};
        let colours = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        let ranking = self.ranking;
        let better = if ranking.direction == Direction::Min { "less is better" } else { "more is better" };
        writeln!(
            out,
            "By {} ({better}), of {}",
            text::escape(&ranking.metric),
            super::curves::about(self.checkpoints)
        )?;
        writeln!(out)?;
        let mut table = Table::new(vec![
            ("Rank", Right),
            ("Checkpoint", Left),
            ("Value", Right),
            ("Step", Right),
            ("Epoch", Right),
            ("Size", Right),
            ("From", Left),
        ]);
        for score in &ranking.scores {
            let member = self.checkpoints.members.get(score.member);
            let number = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
            table.push(
                if score.rank == 1 { Emphasis::Strong } else { Emphasis::None },
                vec![
                    if score.rank == 0 { String::new() } else { score.rank.to_string() },
                    member.map(|member| text::escape(&member.name)).unwrap_or_default(),
                    text::number(score.value),
                    number(member.and_then(Member::step)),
                    number(member.and_then(Member::epoch)),
                    self.checkpoints.bytes.get(score.member).copied().map(text::bytes).unwrap_or_default(),
                    match score.from {
                        ValueFrom::Checkpoint => "checkpoint",
                        ValueFrom::Name => "name",
                        ValueFrom::Log => "log",
                    }
                    .to_owned(),
                ],
            );
        }
        table.write(out, colours)?;
        writeln!(out)?;
        let ties = ranking.best().count();
        if ties > 1 {
            writeln!(out, "{ties} checkpoints are equally good; the earliest stands first.")?;
        }
        if !ranking.missing.is_empty() {
            let names = ranking.missing.iter().filter_map(|&at| self.checkpoints.members.get(at));
            let names: Vec<String> = names.map(|member| text::escape(&member.name)).collect();
            writeln!(out, "Without a value: {}", names.join(", "))?;
        }
        if let Some((kind, at, value)) = ranking.better_in_log {
            writeln!(
                out,
                "The log has a better value, {} at {} {at}, of which there is no file.",
                text::number(value),
                kind.name()
            )?;
        }
        for compared in &self.compared {
            let path = compared.record.path.as_deref().unwrap_or("no file");
            let verdict = match (compared.agrees, compared.member) {
                (Some(true), _) => "the same answer",
                (Some(false), _) => "another answer",
                (None, Some(_)) => "by another metric",
                (None, None) => "which is not among these files",
            };
            writeln!(out, "{} noted {}: {verdict}.", compared.record.by, text::escape(path))?;
        }
        for note in &self.notes {
            writeln!(out, "Note: {}.", text::escape(note))?;
        }
        Ok(())
    }
}
