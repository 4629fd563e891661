//! Several checkpoints of one training: their order, what their numbers do over them, and which one is the best.
//!
//! Runs after someone has opened the files and read their numbers. Knows no files: a checkpoint is a [`Member`].

pub mod best;
mod order;

pub use best::{Ranking, Score, rank};
pub use order::{Order, OrderedBy, order};

use std::collections::HashMap;

use super::name_pattern::NameNumber;
use crate::model::metric::{axis_of, is_metric};
use crate::model::{Axis, AxisKind, Origin, Series};

/// One checkpoint of a series.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Member {
    /// File name, or the name of the folder that stands for it, such as `checkpoint-500`.
    pub name: String,
    /// Numbers that the file holds, by their keys.
    pub numbers: Vec<(String, f64)>,
    /// Numbers in its name.
    pub in_name: Vec<NameNumber>,
    /// When the file was last written, in seconds since 1970.
    pub modified: Option<f64>,
}

impl Member {
    /// What a number of the file counts: `trainer.global_step` and `epoch` count by their last key.
    fn counted(&self, kind: AxisKind) -> Option<f64> {
        let counts = |key: &str| axis_of(key.rsplit('.').next().unwrap_or(key)) == Some(kind);
        // The one that lies highest in the tree speaks for the whole training.
        let found = self.numbers.iter().filter(|(key, value)| value.is_finite() && counts(key));
        found.min_by_key(|(key, _)| key.matches('.').count()).map(|(_, value)| *value)
    }

    fn counted_in_name(&self, kind: AxisKind) -> Option<f64> {
        self.in_name.iter().find(|number| axis_of(&number.label) == Some(kind)).map(|number| number.value)
    }

    /// The training step that it was written at, as far as it tells.
    pub fn step(&self) -> Option<f64> {
        self.counted(AxisKind::Step).or_else(|| self.counted_in_name(AxisKind::Step))
    }

    /// The epoch that it was written at, as far as it tells.
    pub fn epoch(&self) -> Option<f64> {
        self.counted(AxisKind::Epoch).or_else(|| self.counted_in_name(AxisKind::Epoch))
    }
}

/// The numbers that at least two of `members` hold, as one series each, in the order given.
///
/// A checkpoint that stands at the same count with the same value as the one before is a copy of it (`best.pt`) and adds
/// no point. Numbers that only count and numbers that never change are no curves, but for metrics.
pub fn series_across(members: &[Member], order: &Order) -> Vec<Series> {
    let ordered: Vec<&Member> =
        order.positions.iter().filter_map(|&position| members.get(position)).collect();
    let mut names: Vec<(&str, Origin)> = Vec::new();
    let mut columns: HashMap<(&str, Origin), Vec<(usize, f64)>> = HashMap::new();
    for (row, member) in ordered.iter().enumerate() {
        let inside = member.numbers.iter().map(|(key, value)| (key.as_str(), Origin::Checkpoints, *value));
        let named =
            member.in_name.iter().map(|number| (number.label.as_str(), Origin::FileNames, number.value));
        for (name, origin, value) in inside.chain(named) {
            let column = columns.entry((name, origin)).or_insert_with(|| {
                names.push((name, origin));
                Vec::new()
            });
            if column.last().is_none_or(|(last, _)| *last != row) {
                column.push((row, value));
            }
        }
    }
    let mut found = Vec::new();
    for key in names {
        let Some(cells) = columns.remove(&key).filter(|cells| cells.len() > 1) else { continue };
        let (name, origin) = key;
        let counts = axis_of(name.rsplit('.').next().unwrap_or(name)).is_some();
        // `{number}` only says which checkpoint it is.
        if counts || (origin == Origin::FileNames && name.starts_with(super::name_pattern::NUMBER)) {
            continue;
        }
        let mut axes: Vec<Axis> = Vec::new();
        for kind in [AxisKind::Step, AxisKind::Epoch] {
            let count = |row: usize| {
                ordered
                    .get(row)
                    .and_then(|member| if kind == AxisKind::Step { member.step() } else { member.epoch() })
            };
            let values: Option<Vec<f64>> = cells.iter().map(|(row, _)| count(*row)).collect();
            if let Some(values) = values {
                axes.push(Axis { kind, values });
            }
        }
        // Drawn by what the checkpoints are ordered by.
        axes.sort_by_key(|axis| Some(axis.kind) != order.by.axis());
        if axes.is_empty() {
            let rows = cells.iter().map(|(row, _)| order.index_of(*row)).collect();
            axes.push(Axis { kind: AxisKind::Index, values: rows });
        }
        let mut series = Series {
            axes,
            ..Series::by_index(name.to_owned(), origin, cells.iter().map(|(_, value)| *value).collect())
        };
        let copies: Vec<bool> = (0..series.len())
            .map(|point| {
                let xs = series.main_axis().1;
                point > 0
                    && xs[point] == xs[point - 1]
                    && same(series.values[point], series.values[point - 1])
            })
            .collect();
        series.retain(|point| !copies[point]);
        series.is_curve = is_curve(name, &series.values);
        found.push(series);
    }
    found
}

fn same(a: f64, b: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan())
}

fn is_curve(name: &str, values: &[f64]) -> bool {
    if is_metric(name) {
        return values.len() > 1;
    }
    let changes = values.windows(2).any(|pair| !same(pair[0], pair[1]));
    let is_counter =
        values.iter().all(|value| value.fract() == 0.0) && values.windows(2).all(|pair| pair[0] <= pair[1]);
    changes && !is_counter
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str, numbers: &[(&str, f64)]) -> Member {
        let numbers = numbers.iter().map(|(key, value)| ((*key).to_owned(), *value)).collect();
        Member { name: name.to_owned(), numbers, ..Member::default() }
    }

    #[test]
    fn numbers_of_several_checkpoints_become_curves_in_order() {
        let members = [
            member("b.pt", &[("epoch", 1.0), ("val_loss", 0.5), ("dropout", 0.1), ("seen", 200.0)]),
            member("a.pt", &[("epoch", 0.0), ("val_loss", 0.7), ("dropout", 0.1), ("seen", 100.0)]),
            member("best.pt", &[("epoch", 1.0), ("val_loss", 0.5), ("dropout", 0.1), ("seen", 200.0)]),
        ];
        let order = order(&members);
        let series = series_across(&members, &order);
        let loss = &series[0];
        assert_eq!(
            (loss.name.as_str(), loss.values.as_slice(), loss.is_curve),
            ("val_loss", &[0.7, 0.5][..], true)
        );
        assert_eq!(loss.main_axis(), (AxisKind::Epoch, &[0.0, 1.0][..]));
        assert!(series[1..].iter().all(|series| !series.is_curve), "{series:?}");
    }
}
