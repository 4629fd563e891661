//! The list of lines.

use std::collections::HashMap;

use crate::jobs::curves::Gathered;
use crate::model::Direction;
use crate::model::metric::default_direction;

/// One line of the list.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// Position in the gathered series.
    pub series: usize,
    /// Its run.
    pub run: String,
    /// Its name.
    pub name: String,
    /// Whether it is chosen to be drawn.
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
            let (series, facts) = (gathered.series.get(index)?, gathered.facts.get(index)?);
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
                gaps: facts.gaps,
                last: facts.last,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::{CurvesState, Side};
    use super::*;
    use crate::model::{Origin, Series};

    fn gathered(names: &[&str]) -> Arc<Gathered> {
        let series = names.iter().map(|name| Series {
            run: "run".to_owned(),
            is_curve: *name != "betas",
            ..Series::by_index((*name).to_owned(), Origin::Log, vec![3.0, 1.0, 2.0])
        });
        Arc::new(Gathered::of(series.collect()))
    }

    #[test]
    fn judged_curves_are_shown_at_first_and_choices_survive_a_reload() {
        let mut curves = CurvesState::default();
        let _ = curves.take(&gathered(&["loss", "lr", "betas", "val_acc"]));
        let shown = |curves: &CurvesState| -> Vec<String> {
            curves.lines.iter().filter(|line| line.shown).map(|line| line.name.clone()).collect()
        };
        assert_eq!(shown(&curves), ["loss", "val_acc"]);
        let at = curves.lines.iter().position(|line| line.name == "loss").expect("listed");
        let _ = curves.toggle(at);
        let _ = curves.take(&gathered(&["loss", "lr", "betas", "val_acc", "val_loss"]));
        assert_eq!(shown(&curves), ["val_acc", "val_loss"]);
    }

    #[test]
    fn scores_have_their_own_axis_beside_losses_only() {
        let mut curves = CurvesState::default();
        let _ = curves.take(&gathered(&["loss", "val_acc"]));
        let sides: Vec<Side> = curves.drawing.lines.iter().map(|prepared| prepared.side).collect();
        assert_eq!(sides, [Side::Left, Side::Right]);
        let _ = curves.toggle(0);
        assert_eq!(curves.drawing.lines[0].side, Side::Left);
    }
}
