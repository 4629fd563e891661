//! Single numbers of a tree: what makes a curve across checkpoints.

use super::keys::is_setting;
use super::lightning::monitored;
use super::{Resolve, number};
use crate::model::Value;

/// Every number in a tree that may be a measurement or count training, under its keys: what makes a curve across checkpoints.
/// Of settings only the learning rate is one: it changes.
pub fn numbers_in(value: &Value, resolve: Resolve<'_>) -> Vec<(String, f64)> {
    let mut found = Vec::new();
    numbers(value, &mut Vec::new(), resolve, &mut found);
    found
}

/// Numbers of one checkpoint that are kept.
const NUMBERS: usize = 10_000;

fn numbers<'v>(
    value: &'v Value,
    path: &mut Vec<&'v str>,
    resolve: Resolve<'_>,
    found: &mut Vec<(String, f64)>,
) {
    if found.len() >= NUMBERS {
        return;
    }
    let is_rate = |path: &[&str]| matches!(path.last(), Some(&("lr" | "learning_rate")));
    match value {
        Value::Map(entries) | Value::Object { fields: entries, .. } => {
            if let Some(monitored) = monitored(entries, resolve) {
                found.push(monitored);
                return;
            }
            for (key, value) in entries {
                path.push(key);
                numbers(value, path, resolve, found);
                path.pop();
            }
        }
        // Parameter groups are a list; other lists are for `series_in`.
        Value::List(items) if path.last() == Some(&"param_groups") => {
            for (index, item) in items.iter().enumerate().take(64) {
                if let Some(rate) = item.get("lr").and_then(number) {
                    found.push((format!("{}.{index}.lr", path.join(".")), rate));
                }
            }
        }
        Value::Tensor(id) if !is_setting(path) => {
            if let Some([value]) = resolve(*id).as_deref() {
                found.push((path.join("."), *value));
            }
        }
        _ => {
            if let Some(value) = number(value)
                && (!is_setting(path) || is_rate(path))
            {
                found.push((path.join("."), value));
            }
        }
    }
}
