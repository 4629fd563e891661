//! Series and numbers inside a tree of values: the metadata of a checkpoint, or a JSON document.
//!
//! A list of numbers is a curve when the keys that lead to it speak of measuring (`train_losses`, `training_history.e.val`)
//! and none of them of settings (`betas`, `param_groups`, `kernel_size`). Other lists are found too, and marked as offered
//! only. Lists of dictionaries and dictionaries counted by integers are rows; pairs of two numbers are points.

mod keys;
mod lightning;
mod numbers;

pub use lightning::best_of_lightning;
pub use numbers::numbers_in;

use super::table::Table;
use crate::model::metric::{axis_of, is_metric};
use crate::model::{Axis, AxisKind, Origin, Series, TensorId, Value};
use crate::raw::limits;
use keys::is_measured;

/// Reads the numbers of a small tensor of the tree; `None` where it is none.
pub type Resolve<'a> = &'a dyn Fn(TensorId) -> Option<Vec<f64>>;

/// The number that a value is. Truth values are none.
pub fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Int(int) => Some(*int as f64),
        Value::Float(float) => Some(*float),
        Value::BigInt(digits) => digits.parse().ok(),
        _ => None,
    }
}

/// Every series in a tree, in stored order. Sources are not filled in.
pub fn series_in(value: &Value, origin: Origin, resolve: Resolve<'_>) -> Vec<Series> {
    let mut finder = Finder { origin, resolve, found: Vec::new(), points: 0 };
    finder.visit(value, &mut Vec::new(), &[]);
    finder.found
}

/// Lists that nothing calls measurements, as curves, where there is nothing else: a dictionary of nothing but lists of numbers
/// is a history whatever its keys are called, and so is a list. `found` is what [`series_in`] makes of the value.
pub fn history_in(value: &Value, found: Vec<Series>) -> Option<Vec<Series>> {
    let is_history = match value {
        Value::Map(entries) => {
            let lists = found.iter().filter(|series| !series.name.contains('.')).count();
            !entries.is_empty() && entries.len() == lists
        }
        Value::List(_) => !found.is_empty(),
        _ => false,
    };
    is_history.then(|| found.into_iter().map(|series| Series { is_curve: true, ..series }).collect())
}

struct Finder<'a> {
    origin: Origin,
    resolve: Resolve<'a>,
    found: Vec<Series>,
    points: usize,
}

impl Finder<'_> {
    /// Depth is bounded by whoever built the tree. `axes` are lists beside or above that may count the points.
    fn visit<'v>(&mut self, value: &'v Value, path: &mut Vec<&'v str>, axes: &[Axis]) {
        if self.found.len() >= limits::LOG_SERIES || self.points >= limits::LOG_POINTS {
            return;
        }
        match value {
            Value::List(items) => self.list(items, path, axes),
            Value::Map(entries) => self.map(entries, path, axes),
            Value::Object { fields, .. } => {
                for (key, value) in fields {
                    path.push(key);
                    self.visit(value, path, axes);
                    path.pop();
                }
            }
            Value::Tensor(id) if is_measured(path) => {
                if let Some(values) = (self.resolve)(*id).filter(|values| values.len() > 1) {
                    self.add(path, values, axes);
                }
            }
            _ => {}
        }
    }

    fn one(&self, value: &Value) -> Option<f64> {
        match value {
            Value::Tensor(id) => match (self.resolve)(*id)?.as_slice() {
                [value] => Some(*value),
                _ => None,
            },
            _ => number(value),
        }
    }

    fn list<'v>(&mut self, items: &'v [Value], path: &mut Vec<&'v str>, axes: &[Axis]) {
        if items.len() > 1 {
            // A `None` among numbers is a gap.
            let is_numeric = items
                .iter()
                .all(|item| matches!(item, Value::Null | Value::Tensor(_)) || number(item).is_some());
            if is_numeric {
                let values: Vec<Option<f64>> = items.iter().map(|item| self.one(item)).collect();
                if values.iter().flatten().count() > 1 {
                    let gaps = values.into_iter().map(|value| value.unwrap_or(f64::NAN));
                    self.add(path, gaps.collect(), axes);
                    return;
                }
            }
            if is_measured(path) || path.is_empty() {
                if items.iter().all(|item| matches!(item, Value::Map(_)))
                    && self.rows(items.iter(), None, path)
                {
                    return;
                }
                if let Some((xs, values)) = points(items) {
                    let x = Axis { kind: AxisKind::Index, values: xs };
                    self.add(path, values, &[x]);
                    return;
                }
            }
        }
        for (index, item) in items.iter().enumerate() {
            if matches!(item, Value::List(_) | Value::Map(_) | Value::Object { .. }) {
                self.indexed(index, item, path, axes);
            }
        }
    }

    /// Visits an item under its number. The number is text of its own, so what lies below starts a path of its own.
    fn indexed(&mut self, index: usize, item: &Value, path: &[&str], axes: &[Axis]) {
        let key = index.to_string();
        let mut below: Vec<&str> = path.to_vec();
        below.push(&key);
        self.visit(item, &mut below, axes);
    }

    fn map<'v>(&mut self, entries: &'v [(String, Value)], path: &mut Vec<&'v str>, axes: &[Axis]) {
        if let Some(counts) = counting_keys(entries)
            && (is_measured(path) || path.is_empty())
        {
            if entries.iter().all(|(_, value)| matches!(value, Value::Map(_)))
                && self.rows(entries.iter().map(|(_, value)| value), Some(&counts), path)
            {
                return;
            }
            let values: Option<Vec<f64>> = entries.iter().map(|(_, value)| self.one(value)).collect();
            if let Some(values) = values.filter(|_| !path.is_empty()) {
                self.add(path, values, &[Axis { kind: AxisKind::Index, values: counts }]);
                return;
            }
        }
        // Lists that count: `epoch` beside `history`, as Keras's callback keeps them.
        let mut below: Vec<Axis> = axes.to_vec();
        for (key, value) in entries {
            if let (Some(kind), Value::List(items)) = (axis_of(key), value)
                && let Some(values) = items.iter().map(number).collect::<Option<Vec<f64>>>()
                && values.len() > 1
                && values.windows(2).all(|pair| pair[0] < pair[1])
            {
                below.retain(|axis| axis.kind != kind || axis.values.len() != values.len());
                below.insert(0, Axis { kind, values });
            }
        }
        for (key, value) in entries {
            path.push(key);
            self.visit(value, path, &below);
            path.pop();
        }
    }

    /// Reads dictionaries as rows; false where they hold no measurements. `counts` are the keys that they stand under.
    fn rows<'v>(
        &mut self,
        items: impl Iterator<Item = &'v Value>,
        counts: Option<&[f64]>,
        path: &[&str],
    ) -> bool {
        let mut table = Table::default();
        for item in items {
            if !table.begin_row() {
                break;
            }
            table.fill(item, &mut String::new(), &|value| self.one(value));
        }
        if !table.names().any(is_metric) {
            return false;
        }
        let prefix = path.join(".");
        for series in table.finish(self.origin, counts) {
            let name =
                if prefix.is_empty() { series.name.clone() } else { format!("{prefix}.{}", series.name) };
            self.points += series.len();
            self.found.push(Series { name, ..series });
        }
        true
    }

    fn add(&mut self, path: &[&str], values: Vec<f64>, axes: &[Axis]) {
        self.points += values.len();
        let counts_itself = path.last().is_some_and(|key| axis_of(key).is_some());
        let is_curve = is_measured(path) && !counts_itself;
        let mut series = Series::by_index(path.join("."), self.origin, values);
        series.is_curve = is_curve;
        let fitting: Vec<Axis> =
            axes.iter().filter(|axis| axis.values.len() == series.len()).cloned().collect();
        if is_curve && !fitting.is_empty() {
            series.axes = fitting;
            series.axes.sort_by_key(|axis| axis.kind);
        }
        self.found.push(series);
    }
}

/// The numbers of keys that count up: `{0: …, 1: …}`.
fn counting_keys(entries: &[(String, Value)]) -> Option<Vec<f64>> {
    if entries.len() < 2 {
        return None;
    }
    let keys: Option<Vec<i64>> = entries.iter().map(|(key, _)| key.parse().ok()).collect();
    let keys = keys?;
    keys.windows(2).all(|pair| pair[0] < pair[1]).then(|| keys.into_iter().map(|key| key as f64).collect())
}

/// Positions and values of `[[0, 2.3], [100, 2.1], …]`.
fn points(items: &[Value]) -> Option<(Vec<f64>, Vec<f64>)> {
    let pair = |item: &Value| match item {
        Value::List(pair) => match pair.as_slice() {
            [x, y] => Some((number(x)?, number(y)?)),
            _ => None,
        },
        _ => None,
    };
    let (xs, values): (Vec<f64>, Vec<f64>) =
        items.iter().map(pair).collect::<Option<Vec<_>>>()?.into_iter().unzip();
    xs.windows(2).all(|pair| pair[0] < pair[1]).then_some((xs, values))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Value {
        super::super::json_text::parse(text, 0).expect("JSON")
    }

    fn found(text: &str) -> Vec<(String, bool, AxisKind)> {
        let series = series_in(&value(text), Origin::Checkpoint, &|_| None);
        series
            .into_iter()
            .map(|series| (series.name.clone(), series.is_curve, series.main_axis().0))
            .collect()
    }

    #[test]
    fn lists_are_curves_by_the_keys_that_lead_to_them() {
        assert_eq!(
            found(
                r#"{"train_losses": [2, 1], "optimizer": {"param_groups": [{"betas": [0.9, 0.99], "params": [0, 1]}]},
                    "model_args": {"mlp_hidden_dims": [64, 64]}, "training_history": {"e": {"train": [1, 2], "test": []}},
                    "odd": [1, 2, 3], "train_indices": [4, 5]}"#
            )
            .into_iter()
            .map(|(name, is_curve, _)| (name, is_curve))
            .collect::<Vec<_>>(),
            [
                ("train_losses", true),
                ("optimizer.param_groups.0.betas", false),
                ("optimizer.param_groups.0.params", false),
                ("model_args.mlp_hidden_dims", false),
                ("training_history.e.train", true),
                ("odd", false),
                ("train_indices", false)
            ]
            .map(|(name, is_curve)| (name.to_owned(), is_curve))
        );
    }

    #[test]
    fn a_list_of_epochs_counts_its_neighbours() {
        let all = found(r#"{"epoch": [1, 2], "history": {"loss": [2, 1], "lr": [0.1, null, 0.2]}}"#);
        assert_eq!(
            all,
            [
                ("epoch".to_owned(), false, AxisKind::Index),
                ("history.loss".to_owned(), true, AxisKind::Epoch),
                ("history.lr".to_owned(), true, AxisKind::Index)
            ]
        );
    }

    #[test]
    fn rows_pairs_and_counted_keys_are_points() {
        let all = found(
            r#"{"log": [{"step": 1, "loss": 2.0}, {"step": 2, "loss": 1.0}], "val_losses": [[0, 3.0], [50, 2.0]],
                "accuracy": {"0": 0.5, "10": 0.75}}"#,
        );
        assert_eq!(
            all,
            [
                ("log.loss".to_owned(), true, AxisKind::Step),
                ("val_losses".to_owned(), true, AxisKind::Index),
                ("accuracy".to_owned(), true, AxisKind::Index)
            ]
        );
    }

    #[test]
    fn numbers_leave_settings_out_but_for_the_learning_rate() {
        let all = numbers_in(
            &value(
                r#"{"epoch": 3, "val_acc": 0.5, "flag": true, "optimizer": {"param_groups": [{"lr": 0.1, "eps": 1e-8}]},
                    "args": {"dropout": 0.1}, "callbacks": {"M{'mode': 'min'}": {"monitor": "val_loss", "current_score": 0.25}}}"#,
            ),
            &|_| None,
        );
        let expected =
            [("epoch", 3.0), ("val_acc", 0.5), ("optimizer.param_groups.0.lr", 0.1), ("val_loss", 0.25)];
        assert_eq!(all, expected.map(|(name, value)| (name.to_owned(), value)));
    }
}
