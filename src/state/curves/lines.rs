//! The list of lines, and the points of those that are drawn.

use std::collections::HashMap;

use super::{Across, CurvesLook};
use crate::analysis::curves::smooth;
use crate::jobs::curves::Gathered;
use crate::model::metric::default_direction;
use crate::model::{AxisKind, Direction, Origin, Series};

/// Which axis a line belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Losses and everything else.
    Left,
    /// Scores, where they have an axis of their own.
    Right,
}

/// One line of the list.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// Position in the gathered series.
    pub series: usize,
    /// Its run.
    pub run: String,
    /// Its name.
    pub name: String,
    /// Whether it is drawn.
    pub shown: bool,
    /// Whether it fits the filter.
    pub listed: bool,
    /// Which of the colours: that of its run, or its own where there is one run only.
    pub color: usize,
    /// Which of the dashes: tells lines of one colour apart.
    pub dash: usize,
    /// Which way is better, as far as its name tells.
    pub direction: Option<Direction>,
    /// Points that are NaN or infinite.
    pub gaps: usize,
    /// The last value.
    pub last: f64,
}

impl Line {
    /// What it is recognised by when it is read again.
    pub fn key(&self) -> (String, String) {
        (self.run.clone(), self.name.clone())
    }
}

/// All series as lines: curves first, then lists that are only offered.
pub fn lines(gathered: &Gathered, filter: &str, is_shown: &dyn Fn(&str, &str) -> bool) -> Vec<Line> {
    let runs = gathered.runs();
    let run_color: HashMap<&str, usize> = runs.iter().enumerate().map(|(index, run)| (*run, index)).collect();
    let wanted = filter.trim().to_lowercase();
    let mut of_run: HashMap<&str, usize> = HashMap::new();
    let mut order: Vec<usize> = (0..gathered.series.len()).collect();
    let run_of =
        |index: usize| gathered.series.get(index).and_then(|series| run_color.get(series.run.as_str()));
    order.sort_by_key(|&index| {
        (run_of(index), gathered.series.get(index).is_none_or(|series| !series.is_curve))
    });
    order
        .into_iter()
        .filter_map(|index| {
            let series = gathered.series.get(index)?;
            let place = of_run.entry(series.run.as_str()).or_insert(0);
            let number = *place;
            *place += 1;
            let (color, dash) = if runs.len() > 1 {
                (run_color.get(series.run.as_str()).copied().unwrap_or(0), number)
            } else {
                (number, number / super::plot::COLORS)
            };
            let listed = wanted.is_empty()
                || series.name.to_lowercase().contains(&wanted)
                || series.run.to_lowercase().contains(&wanted);
            Some(Line {
                series: index,
                run: series.run.clone(),
                name: series.name.clone(),
                shown: is_shown(&series.run, &series.name),
                listed,
                color,
                dash,
                direction: default_direction(&series.name),
                gaps: series.gaps(),
                last: series.values.iter().rev().copied().find(|value| value.is_finite()).unwrap_or(f64::NAN),
            })
        })
        .collect()
}

/// A line that is drawn: places on the axes, after logarithms, before they are cut to the screen.
#[derive(Debug, Clone, PartialEq)]
pub struct Prepared {
    /// Position in the list.
    pub line: usize,
    /// Across.
    pub xs: Vec<f64>,
    /// Up, as logged.
    pub raw: Vec<f64>,
    /// Up, smoothed; empty where nothing is smoothed.
    pub smoothed: Vec<f64>,
    /// Its axis.
    pub side: Side,
    /// Whether its points are marked: they are files, or too few for a line.
    pub marked: bool,
}

impl Prepared {
    /// What is drawn as the line.
    pub fn values(&self) -> &[f64] {
        if self.smoothed.is_empty() { &self.raw } else { &self.smoothed }
    }
}

/// Makes the shown lines ready.
pub fn prepare(gathered: &Gathered, lines: &[Line], look: &CurvesLook) -> Vec<Prepared> {
    let shown = || lines.iter().filter(|line| line.shown);
    let is_score = |line: &Line| line.direction == Some(Direction::Max);
    // Two axes only where both kinds are there.
    let twin = look.twin && shown().any(is_score) && shown().any(|line| !is_score(line));
    let starts = starts(gathered);
    lines
        .iter()
        .enumerate()
        .filter(|(_, line)| line.shown)
        .filter_map(|(index, line)| {
            let series = gathered.series.get(line.series)?;
            let mut xs = across(series, look.across, starts.get(line.run.as_str()).copied().unwrap_or(0.0));
            if look.log_x {
                xs.iter_mut().for_each(|x| *x = if *x > 0.0 { x.log10() } else { f64::NAN });
            }
            let up = |values: Vec<f64>| -> Vec<f64> {
                if look.log_y {
                    values
                        .into_iter()
                        .map(|value| if value > 0.0 { value.log10() } else { f64::NAN })
                        .collect()
                } else {
                    values
                }
            };
            let is_smooth = look.smoothing > 0.0 && series.len() > 2;
            Some(Prepared {
                line: index,
                xs,
                raw: up(series.values.clone()),
                smoothed: if is_smooth { up(smooth(&series.values, look.smoothing)) } else { Vec::new() },
                side: if twin && is_score(line) { Side::Right } else { Side::Left },
                marked: matches!(series.origin, Origin::Checkpoints | Origin::FileNames) || series.len() < 3,
            })
        })
        .collect()
}

/// The first moment of each run.
fn starts(gathered: &Gathered) -> HashMap<&str, f64> {
    let mut starts: HashMap<&str, f64> = HashMap::new();
    for series in &gathered.series {
        let times = series.axis(AxisKind::Time).unwrap_or_default();
        let first = times.iter().copied().filter(|time| time.is_finite()).fold(f64::INFINITY, f64::min);
        if first.is_finite() {
            let start = starts.entry(series.run.as_str()).or_insert(first);
            *start = start.min(first);
        }
    }
    starts
}

/// Where the points lie across. A series without the axis that is wanted keeps its own.
fn across(series: &Series, across: Across, start: f64) -> Vec<f64> {
    let own = || series.main_axis().1.to_vec();
    let Some(values) = across.kind().and_then(|kind| series.axis(kind)) else { return own() };
    match across {
        // Hours, as TensorBoard shows them.
        Across::Relative => values.iter().map(|time| (time - start) / 3600.0).collect(),
        _ => values.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::CurvesState;
    use super::*;

    fn gathered(names: &[&str]) -> Arc<Gathered> {
        let series = names.iter().map(|name| Series {
            run: "run".to_owned(),
            is_curve: *name != "betas",
            ..Series::by_index((*name).to_owned(), Origin::Log, vec![3.0, 1.0, 2.0])
        });
        Arc::new(Gathered { series: series.collect(), ..Gathered::default() })
    }

    #[test]
    fn judged_curves_are_shown_at_first_and_choices_survive_a_reload() {
        let mut curves = CurvesState::default();
        curves.take(&gathered(&["loss", "lr", "betas", "val_acc"]));
        let shown = |curves: &CurvesState| -> Vec<String> {
            curves.lines.iter().filter(|line| line.shown).map(|line| line.name.clone()).collect()
        };
        assert_eq!(shown(&curves), ["loss", "val_acc"]);
        let at = curves.lines.iter().position(|line| line.name == "loss").expect("listed");
        curves.toggle(at);
        curves.take(&gathered(&["loss", "lr", "betas", "val_acc", "val_loss"]));
        assert_eq!(shown(&curves), ["val_acc", "val_loss"]);
    }

    #[test]
    fn scores_have_their_own_axis_beside_losses_only() {
        let mut curves = CurvesState::default();
        curves.take(&gathered(&["loss", "val_acc"]));
        let sides: Vec<Side> = curves.prepared.iter().map(|prepared| prepared.side).collect();
        assert_eq!(sides, [Side::Left, Side::Right]);
        curves.toggle(0);
        assert_eq!(curves.prepared[0].side, Side::Left);
    }
}
