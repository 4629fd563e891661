//! Rows of named numbers to series: what CSV files, JSON lines and lists of dictionaries have in common.
//!
//! A cell that is not there is no point; a cell that holds NaN or an infinity is a gap. Columns that count training
//! (`epoch`, `step`, `timestamp`) become axes of the others.

use std::collections::HashMap;

use crate::model::metric::axis_of;
use crate::model::{Axis, AxisKind, Origin, Series, Value};
use crate::raw::limits;

#[derive(Default)]
struct Column {
    name: String,
    rows: Vec<u32>,
    values: Vec<f64>,
}

/// Collects rows.
#[derive(Default)]
pub struct Table {
    columns: Vec<Column>,
    index: HashMap<String, usize>,
    rows: u32,
    cells: usize,
}

impl Table {
    /// The column of that name, made at its first mention; `None` when there are too many.
    pub fn column(&mut self, name: &str) -> Option<usize> {
        if let Some(&index) = self.index.get(name) {
            return Some(index);
        }
        if self.columns.len() >= limits::LOG_SERIES {
            return None;
        }
        self.columns.push(Column { name: name.to_owned(), ..Column::default() });
        self.index.insert(name.to_owned(), self.columns.len() - 1);
        Some(self.columns.len() - 1)
    }

    /// Begins the next row; false when no more are kept.
    pub fn begin_row(&mut self) -> bool {
        if self.cells >= limits::LOG_POINTS || self.rows == u32::MAX {
            return false;
        }
        self.rows += 1;
        true
    }

    /// Puts a number into the current row.
    pub fn set(&mut self, column: usize, value: f64) {
        let row = self.rows.saturating_sub(1);
        if let Some(column) = self.columns.get_mut(column) {
            // A key that stands twice in a row: the last one counts, as in Python.
            if column.rows.last() == Some(&row) {
                if let Some(last) = column.values.last_mut() {
                    *last = value;
                }
                return;
            }
            column.rows.push(row);
            column.values.push(value);
            self.cells += 1;
        }
    }

    /// Puts every number of a nested dictionary into the current row, under its keys joined by `.`. `number` says what a value
    /// is. Depth is bounded by whoever built the value.
    pub fn fill(&mut self, value: &Value, path: &mut String, number: &dyn Fn(&Value) -> Option<f64>) {
        if let Value::Map(entries) = value {
            for (key, value) in entries {
                let len = path.len();
                if len > 0 {
                    path.push('.');
                }
                path.push_str(key);
                self.fill(value, path, number);
                path.truncate(len);
            }
        } else if let (Some(value), Some(column)) = (number(value), self.column(path)) {
            self.set(column, value);
        }
    }

    /// Rows so far.
    pub fn rows(&self) -> u32 {
        self.rows
    }

    /// Whether a column counts training.
    pub fn has_axis(&self) -> bool {
        self.columns.iter().any(|column| axis_of(&column.name).is_some())
    }

    /// Names of the columns.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|column| column.name.as_str())
    }

    /// The columns as series of the axes that the table has; without any, of the numbers of rows, or of `counts`, one for each.
    pub fn finish(self, origin: Origin, counts: Option<&[f64]>) -> Vec<Series> {
        let mut axes: Vec<(AxisKind, Vec<f64>)> = Vec::new();
        let (counting, measured): (Vec<Column>, Vec<Column>) = self
            .columns
            .into_iter()
            .partition(|column| axis_of(&column.name).is_some() && !column.values.is_empty());
        let mut also_measured = Vec::new();
        for column in counting {
            let Some(kind) = axis_of(&column.name) else { continue };
            // `step` and `trainer/global_step`: the first is the axis, the other a series.
            if axes.iter().any(|(other, _)| *other == kind) {
                also_measured.push(column);
                continue;
            }
            let mut by_row = vec![f64::NAN; self.rows as usize];
            for (&row, value) in column.rows.iter().zip(column.values) {
                if let Some(place) = by_row.get_mut(row as usize) {
                    *place = value;
                }
            }
            axes.push((kind, by_row));
        }
        // The order of `AxisKind` is the order of preference.
        axes.sort_by_key(|(kind, _)| *kind);
        let begins_anew = steps_begin_anew(&axes);
        let columns = measured.into_iter().chain(also_measured).filter(|column| !column.values.is_empty());
        columns
            .map(|column| {
                let at_rows = |values: &[f64]| -> Vec<f64> {
                    let rows = column.rows.iter();
                    rows.map(|&row| values.get(row as usize).copied().unwrap_or(f64::NAN)).collect()
                };
                let own = axes.iter().map(|(kind, values)| Axis { kind: *kind, values: at_rows(values) });
                let mut own: Vec<Axis> =
                    own.filter(|axis| axis.values.iter().any(|value| value.is_finite())).collect();
                // An axis with holes cannot be the one that all points are drawn by.
                own.sort_by_key(|axis| !axis.values.iter().all(|value| value.is_finite()));
                let series = Series::by_index(column.name, origin, column.values);
                let complete =
                    own.first().is_some_and(|axis| axis.values.iter().all(|value| value.is_finite()));
                let has_count = own.first().is_some_and(|axis| axis.kind != AxisKind::Time);
                if complete && has_count && !begins_anew {
                    return Series { axes: own, ..series };
                }
                let number = |&row: &u32| {
                    counts.and_then(|counts| counts.get(row as usize).copied()).unwrap_or(f64::from(row))
                };
                let rows = Axis { kind: AxisKind::Index, values: column.rows.iter().map(number).collect() };
                let axes = std::iter::once(rows).chain(own).collect();
                Series { axes, ..series }
            })
            .collect()
    }
}

/// Whether steps are counted within each epoch, as `iter` in the logs of `MMDetection` 2: they fall where the epoch grows.
fn steps_begin_anew(axes: &[(AxisKind, Vec<f64>)]) -> bool {
    let of = |wanted: AxisKind| axes.iter().find(|(kind, _)| *kind == wanted).map(|(_, values)| values);
    let (Some(steps), Some(epochs)) = (of(AxisKind::Step), of(AxisKind::Epoch)) else { return false };
    let both = steps.iter().zip(epochs).filter(|(step, epoch)| step.is_finite() && epoch.is_finite());
    let later = both.clone().skip(1);
    both.zip(later).any(|(before, after)| after.0 < before.0 && after.1 > before.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn training_and_evaluation_rows_share_their_steps() {
        let mut table = Table::default();
        for (step, name, value) in [(10.0, "loss", 2.0), (20.0, "loss", 1.0), (20.0, "eval_loss", 1.5)] {
            assert!(table.begin_row());
            for (name, value) in [("step", step), (name, value)] {
                let column = table.column(name).expect("few columns");
                table.set(column, value);
            }
        }
        let series = table.finish(Origin::Log, None);
        assert_eq!(
            series.iter().map(|series| series.name.as_str()).collect::<Vec<_>>(),
            ["loss", "eval_loss"]
        );
        assert_eq!(series[0].main_axis(), (AxisKind::Step, &[10.0, 20.0][..]));
        assert_eq!(series[1].main_axis(), (AxisKind::Step, &[20.0][..]));
    }

    #[test]
    fn points_without_a_count_are_drawn_by_their_position() {
        let mut table = Table::default();
        for (epoch, loss) in [(Some(0.0), 2.0), (None, 1.0)] {
            table.begin_row();
            let loss_column = table.column("loss").expect("few");
            table.set(loss_column, loss);
            if let Some(epoch) = epoch {
                let column = table.column("epoch").expect("few");
                table.set(column, epoch);
            }
        }
        let series = table.finish(Origin::Log, None);
        assert_eq!(series[0].main_axis(), (AxisKind::Index, &[0.0, 1.0][..]));
        assert!(series[0].axis(AxisKind::Epoch).expect("kept")[1].is_nan());
    }

    #[test]
    fn steps_that_begin_anew_with_each_epoch_do_not_count_the_whole_training() {
        let mut table = Table::default();
        for (epoch, iter) in [(1.0, 50.0), (1.0, 100.0), (2.0, 50.0), (2.0, 100.0)] {
            table.begin_row();
            for (name, value) in [("epoch", epoch), ("iter", iter), ("loss", epoch)] {
                let column = table.column(name).expect("few");
                table.set(column, value);
            }
        }
        let series = table.finish(Origin::Log, None);
        assert_eq!(series[0].main_axis(), (AxisKind::Index, &[0.0, 1.0, 2.0, 3.0][..]));
    }
}
