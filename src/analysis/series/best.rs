//! Which checkpoint is the best by a metric.
//!
//! The value of a checkpoint is the one that it holds, else the one in its name, else the one that a log of the training
//! has at its step or epoch. What is missing, tied, or better but without a file, is said.

use std::collections::HashSet;

use super::{Member, Order};
use crate::analysis::name_pattern::{NUMBER, NameNumber, VALUE};
use crate::model::metric::{default_direction, is_evaluation, is_metric, without_side, words};
use crate::model::{AxisKind, Direction, Series};

/// Where a value was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ValueFrom {
    /// In the checkpoint.
    Checkpoint,
    /// In its name, and so rounded.
    Name,
    /// In a log, at its step or epoch.
    Log,
}

/// One checkpoint with its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Score {
    /// Position in the members.
    pub member: usize,
    /// The value of the metric.
    pub value: f64,
    /// Where it was found.
    pub from: ValueFrom,
    /// From 1; equal values have the same. 0 for a NaN.
    pub rank: usize,
}

/// Checkpoints by a metric.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranking {
    /// The metric, under its own name.
    pub metric: String,
    /// Which values are better.
    pub direction: Direction,
    /// The best first; NaN last, and among equal ones the earlier first.
    pub scores: Vec<Score>,
    /// Checkpoints without a value, by position.
    pub missing: Vec<usize>,
    /// A value in a log that is better than that of every checkpoint: what counts its place, the place, and the value.
    pub better_in_log: Option<(AxisKind, f64, f64)>,
    /// Sentences about how values were found and what to keep in mind.
    pub notes: Vec<String>,
}

impl Ranking {
    /// The best checkpoints: several when they are equal.
    pub fn best(&self) -> impl Iterator<Item = &Score> {
        self.scores.iter().filter(|score| score.rank == 1)
    }

    /// How a checkpoint scored.
    pub fn score_of(&self, member: usize) -> Option<&Score> {
        self.scores.iter().find(|score| score.member == member)
    }
}

/// Names of everything that checkpoints could be ranked by: those measured on held-out data first, then other metrics.
pub fn metrics(members: &[Member], logs: &[&Series]) -> Vec<String> {
    let inside = members.iter().flat_map(|member| member.numbers.iter().map(|(key, _)| key.as_str()));
    let named = members.iter().flat_map(|member| member.in_name.iter().map(|number| number.label.as_str()));
    let logged = logs.iter().filter(|series| series.is_curve).map(|series| series.name.as_str());
    let mut seen = HashSet::new();
    let all = inside.chain(named).chain(logged).filter(|name| seen.insert(*name));
    let mut names: Vec<String> =
        all.filter(|name| default_direction(name).is_some()).map(str::to_owned).collect();
    // Within a kind losses before the others, as trainers choose by default.
    let key = |name: &String| {
        let is_best = name.to_ascii_lowercase().contains("best");
        (
            is_best,
            !is_evaluation(name),
            default_direction(name) != Some(Direction::Min),
            name.matches(['.', '/']).count(),
        )
    };
    names.sort_by_key(key);
    names
}

/// The name under which `wanted` is known: itself, or itself but for case and separators, or as the last key, or without
/// its side of the data, where evaluation goes before training. `None` where nothing fits.
pub fn resolve(wanted: &str, members: &[Member], logs: &[&Series]) -> Option<String> {
    let inside = members.iter().flat_map(|member| member.numbers.iter().map(|(key, _)| key.as_str()));
    let named = members.iter().flat_map(|member| member.in_name.iter().map(|number| number.label.as_str()));
    let logged = logs.iter().map(|series| series.name.as_str());
    let mut all: Vec<&str> = inside.chain(named).chain(logged).collect();
    all.sort_unstable();
    all.dedup();
    let plain = |name: &str| name.to_lowercase().replace(['/', '-', '.', ' '], "_");
    let bare = without_side(wanted);
    let last = |name: &str| name.rsplit(['.', '/']).next().unwrap_or_default().to_owned();
    let fits: [&dyn Fn(&str) -> bool; 4] = [
        &|name| name == wanted,
        &|name| plain(name) == plain(wanted),
        &|name| plain(&last(name)) == plain(wanted),
        &|name| !bare.is_empty() && is_metric(name) && without_side(&last(name)) == bare,
    ];
    for fit in fits {
        let mut found: Vec<&str> = all.iter().copied().filter(|name| fit(name)).collect();
        // Who asks for one side of the data does not want the other.
        if is_evaluation(wanted) {
            found.retain(|name| is_evaluation(name));
        } else if words(wanted).iter().any(|word| word.starts_with("train")) {
            found.retain(|name| !is_evaluation(name));
        }
        found.sort_by_key(|name| (!is_evaluation(name), name.to_lowercase().contains("best"), name.len()));
        if let Some(name) = found.first() {
            return Some((*name).to_owned());
        }
    }
    None
}

/// Ranks checkpoints by the metric of that exact name.
pub fn rank(
    members: &[Member],
    order: &Order,
    logs: &[&Series],
    metric: &str,
    direction: Direction,
) -> Ranking {
    let mut notes = Vec::new();
    let named_series: Vec<&Series> = logs.iter().copied().filter(|series| series.name == metric).collect();
    let joined: Vec<Join<'_>> =
        named_series.iter().map(|series| Join::find(series, members, &mut notes)).collect();
    let label = unnamed_value(members, &named_series, &joined, metric, &mut notes);
    let mut scores = Vec::new();
    let mut missing = Vec::new();
    for &position in &order.positions {
        let Some(member) = members.get(position) else { continue };
        let inside = member
            .numbers
            .iter()
            .find(|(key, _)| key == metric)
            .map(|(_, value)| (*value, ValueFrom::Checkpoint));
        let logged =
            || joined.iter().find_map(|join| join.value(member)).map(|value| (value, ValueFrom::Log));
        let in_name = || {
            let of_metric =
                |number: &&NameNumber| number.label == metric || Some(&number.label) == label.as_ref();
            member.in_name.iter().find(of_metric).map(|number| (number.value, ValueFrom::Name))
        };
        // A log has the value in full, a name only rounded.
        match inside.or_else(logged).or_else(in_name) {
            Some((value, from)) => scores.push(Score { member: position, value, from, rank: 0 }),
            None => missing.push(position),
        }
    }
    let is_better = |a: f64, b: f64| direction.is_better(a, b);
    scores.sort_by(|a, b| {
        if is_better(a.value, b.value) {
            std::cmp::Ordering::Less
        } else if is_better(b.value, a.value) {
            std::cmp::Ordering::Greater
        } else {
            std::cmp::Ordering::Equal
        }
    });
    let mut rank = 0;
    for index in 0..scores.len() {
        let equal = index > 0 && scores[index - 1].value == scores[index].value;
        rank = if equal { rank } else { index + 1 };
        scores[index].rank = if scores[index].value.is_nan() { 0 } else { rank };
    }
    if scores.iter().any(|score| score.from == ValueFrom::Name) {
        notes.push("values are from file names, which round them".to_owned());
    }
    if !is_evaluation(metric)
        && let Some(other) = resolve(&format!("val_{metric}"), members, logs).filter(|other| other != metric)
    {
        notes.push(format!(
            "{other} was measured on data that was not trained on and says more about the best checkpoint"
        ));
    }
    let best = scores.first().map(|score| score.value);
    let better_in_log = joined.iter().find_map(|join| {
        let (index, value) = join.series.best(direction)?;
        let (kind, xs) = join.series.main_axis();
        best.is_none_or(|best| is_better(value, best)).then_some((kind, *xs.get(index)?, value))
    });
    let mut seen = HashSet::new();
    notes.retain(|note| seen.insert(note.clone()));
    Ranking { metric: metric.to_owned(), direction, scores, missing, better_in_log, notes }
}

/// How checkpoints find their point in a log.
struct Join<'a> {
    series: &'a Series,
    kind: Option<AxisKind>,
    /// Added to what a checkpoint counts: Keras names epochs from 1 and logs them from 0.
    shift: f64,
}

impl<'a> Join<'a> {
    fn find(series: &'a Series, members: &[Member], notes: &mut Vec<String>) -> Self {
        let mut best = Self { series, kind: None, shift: 0.0 };
        let mut matched = 0;
        for kind in [AxisKind::Step, AxisKind::Epoch, AxisKind::Index] {
            let Some(xs) = series.axis(kind) else { continue };
            if let Some(shifted) = Self::agrees_with_names(series, kind, members) {
                best = shifted;
                break;
            }
            let starts_at_zero = xs.first() == Some(&0.0);
            for shift in [0.0, -1.0] {
                let join = Self { series, kind: Some(kind), shift };
                let found = members.iter().filter(|member| join.value(member).is_some()).count();
                let is_keras = shift != 0.0 && starts_at_zero && members.iter().all(is_named_by_keras);
                if found > matched || (found > 0 && found == matched && is_keras && best.kind == Some(kind)) {
                    matched = found;
                    best = join;
                }
            }
        }
        if best.shift != 0.0 {
            notes.push(format!("checkpoints count from 1 what the log of {} counts from 0", series.name));
        }
        best
    }

    /// The shift under which rounded values in the names are those of the log.
    fn agrees_with_names(series: &'a Series, kind: AxisKind, members: &[Member]) -> Option<Self> {
        [0.0, -1.0].into_iter().map(|shift| Self { series, kind: Some(kind), shift }).find(|join| {
            let mut checked = 0;
            let agree = members.iter().all(|member| {
                let values: Vec<&NameNumber> =
                    member.in_name.iter().filter(|number| number.decimals > 0).collect();
                let Some(value) = join.value(member) else { return false };
                checked += values.len();
                values.iter().any(|number| rounds_to(value, number))
            });
            agree && checked > 0
        })
    }

    fn value(&self, member: &Member) -> Option<f64> {
        let kind = self.kind?;
        let count = match kind {
            AxisKind::Step => member.step()?,
            AxisKind::Epoch | AxisKind::Index => member.epoch().or_else(|| {
                member.in_name.iter().find(|number| number.label == NUMBER).map(|number| number.value)
            })?,
            AxisKind::Time => return None,
        } + self.shift;
        let xs = self.series.axis(kind)?;
        // The last one, as a log that goes on after a restart repeats counts.
        let at = xs.iter().rposition(|&x| x == count)?;
        self.series.values.get(at).copied()
    }
}

/// Whether only the name tells the epoch, of a file as Keras's `ModelCheckpoint` writes them: it puts `epoch + 1` into the name.
///
/// Source: <https://github.com/keras-team/keras/blob/v3.5.0/keras/src/callbacks/model_checkpoint.py> (`_get_file_path`).
fn is_named_by_keras(member: &Member) -> bool {
    let is_kept_by_keras = [".h5", ".hdf5", ".keras"].iter().any(|ending| member.name.ends_with(ending));
    is_kept_by_keras && !member.in_name.is_empty() && member.counted(AxisKind::Epoch).is_none()
}

fn rounds_to(value: f64, number: &NameNumber) -> bool {
    format!("{value:.*}", number.decimals).parse() == Ok(number.value)
}

/// The label of the number in the names that is `metric`, where the names do not say but the log agrees; or that is the only
/// one there is, when the metric is asked for under that label.
fn unnamed_value(
    members: &[Member],
    series: &[&Series],
    joined: &[Join<'_>],
    metric: &str,
    notes: &mut Vec<String>,
) -> Option<String> {
    let label = members.first()?.in_name.iter().find(|number| number.label == VALUE)?.label.clone();
    if series.is_empty() {
        return None;
    }
    let agrees = joined.iter().any(|join| {
        members.iter().all(|member| {
            let number = member.in_name.iter().find(|number| number.label == label);
            number.is_some_and(|number| join.value(member).is_some_and(|value| rounds_to(value, number)))
        })
    });
    if agrees {
        notes.push(format!("the number in the names is {metric}, as the log has it at each of them"));
    }
    agrees.then_some(label)
}

/// Whether files look as Keras's `save_best_only` leaves them: numbers are left out, and each one is better than the last.
pub fn looks_like_best_only(ranking: &Ranking, members: &[Member], order: &Order) -> bool {
    let count = |position: usize| {
        members
            .get(position)
            .and_then(|member| member.epoch().or_else(|| member.in_name.first().map(|number| number.value)))
    };
    let counts: Vec<f64> = order.positions.iter().filter_map(|&position| count(position)).collect();
    let values: Vec<f64> = order
        .positions
        .iter()
        .filter_map(|&position| ranking.score_of(position).map(|score| score.value))
        .collect();
    counts.len() == members.len()
        && values.len() == members.len()
        && members.len() > 2
        && counts.windows(2).any(|pair| pair[1] - pair[0] > 1.0)
        && values.windows(2).all(|pair| ranking.direction.is_better(pair[1], pair[0]))
}

#[cfg(test)]
mod tests {
    use super::super::order;
    use super::*;
    use crate::model::{Axis, Origin};

    fn log(name: &str, kind: AxisKind, xs: &[f64], values: &[f64]) -> Series {
        let axes = vec![Axis { kind, values: xs.to_vec() }];
        Series { axes, ..Series::by_index(name.into(), Origin::Log, values.to_vec()) }
    }

    fn member(numbers: &[(&str, f64)]) -> Member {
        let numbers = numbers.iter().map(|(key, value)| ((*key).to_owned(), *value)).collect();
        Member { numbers, ..Member::default() }
    }

    fn named(number: f64, value: f64) -> Member {
        let part =
            |label: &str, value: f64, decimals: usize| NameNumber { label: label.into(), value, decimals };
        let in_name = vec![part(NUMBER, number, 0), part(VALUE, value, 2)];
        Member { name: format!("weights.{number}-{value}"), in_name, ..Member::default() }
    }

    #[test]
    fn ties_share_a_rank_and_what_is_missing_is_said() {
        let members = [
            member(&[("epoch", 0.0), ("val_acc", 0.5)]),
            member(&[("epoch", 1.0), ("val_acc", 0.75)]),
            member(&[("epoch", 2.0)]),
            member(&[("epoch", 3.0), ("val_acc", 0.75)]),
            member(&[("epoch", 4.0), ("val_acc", f64::NAN)]),
        ];
        let ranking = rank(&members, &order(&members), &[], "val_acc", Direction::Max);
        let ranks: Vec<(usize, usize)> =
            ranking.scores.iter().map(|score| (score.member, score.rank)).collect();
        assert_eq!(ranks, [(1, 1), (3, 1), (0, 3), (4, 0)]);
        assert_eq!((ranking.missing.as_slice(), ranking.best().count()), (&[2][..], 2));
    }

    #[test]
    fn names_that_count_from_one_find_their_epoch_in_a_log_that_counts_from_zero() {
        let members = [named(1.0, 2.34), named(2.0, 2.31), named(3.0, 2.33)];
        let loss = log("val_loss", AxisKind::Epoch, &[0.0, 1.0, 2.0], &[2.343, 2.312, 2.331]);
        let ranking = rank(&members, &order(&members), &[&loss], "val_loss", Direction::Min);
        assert_eq!((ranking.scores[0].member, ranking.scores[0].value), (1, 2.312));
        assert!(
            ranking.notes.iter().any(|note| note.contains("the number in the names is val_loss")),
            "{:?}",
            ranking.notes
        );
    }

    #[test]
    fn a_better_value_without_a_file_is_said() {
        let members = [member(&[("global_step", 50.0)]), member(&[("global_step", 100.0)])];
        let loss = log("eval_loss", AxisKind::Step, &[50.0, 75.0, 100.0], &[0.8, 0.3, 0.5]);
        let ranking = rank(&members, &order(&members), &[&loss], "eval_loss", Direction::Min);
        assert_eq!(ranking.scores[0].member, 1);
        assert_eq!(ranking.better_in_log, Some((AxisKind::Step, 75.0, 0.3)));
    }

    #[test]
    fn evaluation_goes_before_training_where_the_name_leaves_it_open() {
        let members = [member(&[("metrics.train_accuracy", 0.9), ("metrics.val_accuracy", 0.8)])];
        assert_eq!(resolve("acc", &members, &[]).as_deref(), Some("metrics.val_accuracy"));
        assert_eq!(resolve("val_acc", &members, &[]).as_deref(), Some("metrics.val_accuracy"));
        assert_eq!(resolve("train_accuracy", &members, &[]).as_deref(), Some("metrics.train_accuracy"));
        assert_eq!(resolve("loss", &members, &[]), None);
        assert_eq!(metrics(&members, &[]), ["metrics.val_accuracy", "metrics.train_accuracy"]);
    }
}
