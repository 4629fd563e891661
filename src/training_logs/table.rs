//! Rows of named numbers to series: what CSV files, JSON lines and lists of dictionaries have in common.
//!
//! A cell that is not there is no point; a cell that holds NaN or an infinity is a gap. Columns that count training
//! (`epoch`, `step`, `timestamp`) become axes of the others.

use std::collections::HashMap;

use crate::model::metric::axis_of;
use crate::model::{Axis, AxisKind, Origin, Series};
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

    /// The columns as series of the axes that the table has.
    pub fn finish(self, origin: Origin) -> Vec<Series> {
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
                if complete && has_count {
                    return Series { axes: own, ..series };
                }
                let axes = series.axes.iter().cloned().chain(own).collect();
                Series { axes, ..series }
            })
            .collect()
    }
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
        let series = table.finish(Origin::Log);
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
        let series = table.finish(Origin::Log);
        assert_eq!(series[0].main_axis(), (AxisKind::Index, &[0.0, 1.0][..]));
        assert!(series[0].axis(AxisKind::Epoch).expect("kept")[1].is_nan());
    }
}
