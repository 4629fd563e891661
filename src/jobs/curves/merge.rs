//! Puts logs together: files of one run, restarts, and what stands in several files and is shown once.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use super::{Gathered, Opened, Place, SourceProblem};
use crate::model::{AxisKind, Origin, Problem, Series};
use crate::training_logs::Log;

/// Logs that were read, in natural order of their paths.
#[derive(Default)]
pub struct Logs {
    all: Vec<(Place, Log)>,
}

impl Logs {
    pub fn add(&mut self, place: &Place, log: Log) {
        self.all.push((place.clone(), log));
    }

    /// Hands everything over. Numbers of a state file become those of the checkpoint beside it.
    pub fn finish(self, gathered: &mut Gathered, opened: &mut [Opened]) {
        // Event files of a run follow each other in order of their names, which begin with the time.
        let mut events: HashMap<(String, String), usize> = HashMap::new();
        let mut histograms: HashMap<(String, String), usize> = HashMap::new();
        for (place, log) in self.all {
            for problem in log.problems {
                gathered.problems.push(SourceProblem { source: place.path.clone(), problem });
            }
            let folder = place.path.parent();
            let numbers: Vec<(String, f64)> = log.scalars;
            let beside =
                opened.iter_mut().filter(|one| !numbers.is_empty() && one.place.path.parent() == folder);
            for one in beside {
                one.member.numbers.extend(numbers.iter().cloned());
            }
            gathered.records.extend(log.best);
            let is_event_file = log.format == "TensorBoard";
            if let Some(step) = log.restarts_at.filter(|_| is_event_file) {
                let earlier = gathered.series.iter_mut().filter(|series| {
                    series.run == place.run && events.contains_key(&(series.run.clone(), series.name.clone()))
                });
                for series in earlier {
                    let steps: Vec<f64> = series.axis(AxisKind::Step).unwrap_or_default().to_vec();
                    series.retain(|point| steps.get(point).is_none_or(|other| *other < step));
                }
                for histogram in gathered.histograms.iter_mut().filter(|own| own.run == place.run) {
                    histogram.frames.retain(|(other, _)| *other < step);
                }
            }
            for mut series in log.series {
                place.run.clone_into(&mut series.run);
                if is_event_file {
                    let key = (series.run.clone(), series.name.clone());
                    if let Some(before) = events.get(&key).and_then(|&index| gathered.series.get_mut(index)) {
                        before.append(series);
                        continue;
                    }
                    events.insert(key, gathered.series.len());
                }
                gathered.series.push(series);
            }
            for mut histogram in log.histograms {
                place.run.clone_into(&mut histogram.run);
                let key = (histogram.run.clone(), histogram.name.clone());
                let before = histograms.get(&key).and_then(|&index| gathered.histograms.get_mut(index));
                if let Some(before) = before {
                    before.frames.append(&mut histogram.frames);
                } else {
                    histograms.insert(key, gathered.histograms.len());
                    gathered.histograms.push(histogram);
                }
            }
        }
        gathered.series.retain(|series| !series.is_empty());
        gathered.histograms.retain(|histogram| !histogram.frames.is_empty());
    }
}

/// Drops series that are the beginning of another one of the same name and run, and tells sources apart that hold
/// different values under the same name.
pub fn merge(gathered: &mut Gathered) {
    let mut by_name: HashMap<(String, String), Vec<usize>> = HashMap::new();
    for (index, series) in gathered.series.iter().enumerate() {
        by_name.entry((series.run.clone(), series.name.clone())).or_default().push(index);
    }
    let mut dropped = vec![false; gathered.series.len()];
    let mut told_apart: Vec<PathBuf> = Vec::new();
    let mut renamed: Vec<usize> = Vec::new();
    let mut groups: Vec<Vec<usize>> = by_name.into_values().filter(|group| group.len() > 1).collect();
    groups.sort();
    let mut absorbed: Vec<(PathBuf, PathBuf, usize)> = Vec::new();
    for mut group in groups {
        // The longest first; of equal ones that which says most about its points.
        group.sort_by_key(|&index| {
            let series = &gathered.series[index];
            let counts = usize::from(series.main_axis().0 != AxisKind::Index) + series.axes.len();
            (std::cmp::Reverse(series.len()), std::cmp::Reverse(counts), index)
        });
        let mut kept: Vec<usize> = Vec::new();
        for index in group {
            let holder = kept
                .iter()
                .copied()
                .find(|&other| is_beginning_of(&gathered.series[index], &gathered.series[other]));
            let Some(holder) = holder else {
                kept.push(index);
                continue;
            };
            dropped[index] = true;
            let (from, of) = (&gathered.series[index], &gathered.series[holder]);
            if from.origin == Origin::Log && of.origin == Origin::Log {
                match absorbed.iter_mut().find(|(a, b, _)| *a == from.source && *b == of.source) {
                    Some((.., count)) => *count += 1,
                    None => absorbed.push((from.source.clone(), of.source.clone(), 1)),
                }
            }
        }
        let is_logged =
            |index: &usize| matches!(gathered.series[*index].origin, Origin::Log | Origin::Checkpoint);
        let (logged, across): (Vec<usize>, Vec<usize>) = kept.into_iter().partition(is_logged);
        if !logged.is_empty() {
            for index in across {
                let across = &gathered.series[index];
                let holds = |log: &usize| repeats(across, &gathered.series[*log]);
                // Checkpoints that repeat what the log says add nothing to it.
                if logged.iter().any(holds) {
                    dropped[index] = true;
                } else {
                    renamed.push(index);
                }
            }
        }
        if logged.len() > 1 {
            let different = logged.iter().map(|&index| gathered.series[index].source.clone());
            told_apart.extend(different.filter(|source| !told_apart.contains(source)).collect::<Vec<_>>());
        }
    }
    for index in renamed {
        gathered.series[index].name.push_str(" (checkpoints)");
    }
    for (source, of, count) in absorbed {
        let message = format!(
            "{count} series of it {} the same as in {} and shown once",
            if count == 1 { "is" } else { "are" },
            of.file_name().unwrap_or_default().to_string_lossy()
        );
        gathered.problems.push(SourceProblem { source, problem: Problem::info("shown-once", message) });
    }
    let mut index = 0;
    gathered.series.retain(|_| {
        index += 1;
        !dropped.get(index - 1).copied().unwrap_or(false)
    });
    for series in &mut gathered.series {
        if told_apart.contains(&series.source) && matches!(series.origin, Origin::Log | Origin::Checkpoint) {
            let name = series.source.file_name().unwrap_or_default().to_string_lossy();
            series.run = format!("{}/{name}", series.run);
        }
    }
}

/// Whether a log holds all values of a series across checkpoints; names of files round them.
fn repeats(across: &Series, log: &Series) -> bool {
    let decimals = |value: &f64| value.to_string().split_once('.').map_or(0, |(_, digits)| digits.len());
    let is_rounded = across.origin == Origin::FileNames;
    let scale = 10f64.powi(across.values.iter().map(decimals).max().unwrap_or(0).min(12) as i32);
    let key = |value: &f64| if is_rounded { (value * scale).round() } else { *value }.to_bits();
    let logged: HashSet<u64> = log.values.iter().map(key).collect();
    across.values.iter().all(|value| logged.contains(&key(value)))
}

/// Whether every point of `series` is one of `longer` at the same place from the start.
fn is_beginning_of(series: &Series, longer: &Series) -> bool {
    let same = |a: f64, b: f64| a == b || (a.is_nan() && b.is_nan());
    let values =
        series.len() <= longer.len() && series.values.iter().zip(&longer.values).all(|(a, b)| same(*a, *b));
    let axes = series.axes.iter().all(|axis| {
        axis.kind == AxisKind::Index
            || longer
                .axis(axis.kind)
                .is_some_and(|other| axis.values.iter().zip(other).all(|(a, b)| same(*a, *b)))
    });
    values && axes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(source: &str, values: &[f64]) -> Series {
        Series { source: source.into(), ..Series::by_index("loss".into(), Origin::Log, values.to_vec()) }
    }

    #[test]
    fn a_history_that_grows_from_file_to_file_is_shown_once() {
        let all = vec![series("a", &[3.0]), series("b", &[3.0, 2.0]), series("c", &[3.0, 2.0, 1.0])];
        let mut gathered = Gathered { series: all, ..Gathered::default() };
        merge(&mut gathered);
        assert_eq!(gathered.series, [series("c", &[3.0, 2.0, 1.0])]);
    }

    #[test]
    fn names_of_files_that_round_what_the_log_says_add_nothing_to_it() {
        let named = Series { origin: Origin::FileNames, ..series("runs", &[0.73, 0.9]) };
        let mut gathered =
            Gathered { series: vec![series("a.csv", &[0.729, 0.9001, 0.5]), named], ..Gathered::default() };
        merge(&mut gathered);
        assert_eq!(gathered.series.len(), 1);
    }

    #[test]
    fn different_values_of_one_name_become_runs_of_their_own() {
        let mut gathered = Gathered {
            series: vec![series("a.csv", &[3.0]), series("b.csv", &[2.0])],
            ..Gathered::default()
        };
        merge(&mut gathered);
        assert_eq!(gathered.runs(), ["/a.csv", "/b.csv"]);
    }
}
