//! Where the metadata of two checkpoints differs, entry by entry; configuration of layers included.

use std::collections::HashMap;

use crate::model::{Checkpoint, LayerInfo, Value};

/// One entry that is not the same on both sides.
#[derive(Debug, Clone, PartialEq)]
pub struct MetadataDifference {
    /// Keys and indices that lead to it, joined by `.`.
    pub path: String,
    /// What is on the left; `None` where the entry is not there.
    pub left: Option<Value>,
    /// What is on the right; `None` where the entry is not there.
    pub right: Option<Value>,
}

/// Differences that are kept: beyond, the two have different origins, and more entries say no more.
pub const DIFFERENCES_KEPT: usize = 10_000;

/// The entries that differ, in the order of the left; framework and layers (as `layers.<path>.…`) first.
pub fn metadata_differences(left: &Checkpoint, right: &Checkpoint) -> Vec<MetadataDifference> {
    let mut walk = Walk::default();
    let framework = |checkpoint: &Checkpoint| checkpoint.framework().map(|name| Value::Text(name.to_owned()));
    if left.framework().is_some() && right.framework().is_some() && left.framework() != right.framework() {
        walk.note("framework", framework(left), framework(right));
    }
    walk.layers(left.layers(), right.layers());
    walk.path.clear();
    walk.values(left.metadata(), right.metadata());
    walk.found
}

#[derive(Default)]
struct Walk {
    path: String,
    found: Vec<MetadataDifference>,
}

impl Walk {
    fn note(&mut self, path: &str, left: Option<Value>, right: Option<Value>) {
        if self.found.len() < DIFFERENCES_KEPT {
            self.found.push(MetadataDifference { path: path.to_owned(), left, right });
        }
    }

    /// Layers that only one side describes say nothing: many formats describe none.
    fn layers(&mut self, left: &[LayerInfo], right: &[LayerInfo]) {
        let by_path: HashMap<&str, &LayerInfo> =
            right.iter().map(|layer| (layer.path.as_str(), layer)).collect();
        for a in left {
            let Some(b) = by_path.get(a.path.as_str()) else { continue };
            let path = if a.path.is_empty() { "layers".to_owned() } else { format!("layers.{}", a.path) };
            if let (Some(class_a), Some(class_b)) = (&a.class, &b.class)
                && class_a != class_b
            {
                self.note(
                    &format!("{path}.class"),
                    Some(Value::Text(class_a.clone())),
                    Some(Value::Text(class_b.clone())),
                );
            }
            if !a.config.is_empty() && !b.config.is_empty() {
                self.path = format!("{path}.config");
                self.values(&a.config, &b.config);
            }
        }
    }

    /// Whoever builds metadata bounds its depth, so this recursion is bounded too.
    fn values(&mut self, left: &Value, right: &Value) {
        if self.found.len() >= DIFFERENCES_KEPT {
            return;
        }
        match (without_tuple_mark(left), without_tuple_mark(right)) {
            (Value::Object { class: class_a, fields: a }, Value::Object { class: class_b, fields: b }) => {
                if class_a != class_b {
                    let class = |name: &str| Some(Value::Text(name.to_owned()));
                    self.inside("__class__", |walk, path| walk.note(path, class(class_a), class(class_b)));
                }
                self.entries(a, b);
            }
            (
                Value::Map(a) | Value::Object { fields: a, .. },
                Value::Map(b) | Value::Object { fields: b, .. },
            ) => self.entries(a, b),
            (Value::List(a), Value::List(b)) if a.len() == b.len() && a.iter().chain(b).any(is_container) => {
                for (index, (a, b)) in a.iter().zip(b).enumerate() {
                    self.inside(&index.to_string(), |walk, _| walk.values(a, b));
                }
            }
            // Tensors are compared as such; their place in the catalogue means nothing here.
            (Value::Tensor(_), Value::Tensor(_)) => {}
            (a, b) if same(a, b) => {}
            _ => {
                let path = self.path.clone();
                self.note(&path, Some(left.clone()), Some(right.clone()));
            }
        }
    }

    fn entries(&mut self, left: &[(String, Value)], right: &[(String, Value)]) {
        let on_right: HashMap<&str, &Value> =
            right.iter().map(|(key, value)| (key.as_str(), value)).collect();
        let on_left: HashMap<&str, &Value> = left.iter().map(|(key, value)| (key.as_str(), value)).collect();
        for (key, a) in left {
            match on_right.get(key.as_str()) {
                Some(b) => self.inside(key, |walk, _| walk.values(a, b)),
                None if holds_only_tensors(a) => {}
                None => self.inside(key, |walk, path| walk.note(path, Some(a.clone()), None)),
            }
        }
        for (key, b) in right
            .iter()
            .filter(|(key, value)| !on_left.contains_key(key.as_str()) && !holds_only_tensors(value))
        {
            self.inside(key, |walk, path| walk.note(path, None, Some(b.clone())));
        }
    }

    fn inside(&mut self, key: &str, work: impl FnOnce(&mut Self, &str)) {
        let len = self.path.len();
        if len > 0 {
            self.path.push('.');
        }
        self.path.push_str(key);
        let path = self.path.clone();
        work(self, &path);
        self.path.truncate(len);
    }
}

/// Keras marks tuples in some files (`{"class_name": "__tuple__", "items": […]}`) and writes plain lists in others.
fn without_tuple_mark(value: &Value) -> &Value {
    match (value.get("class_name"), value.get("items")) {
        (Some(Value::Text(name)), Some(items)) if name == "__tuple__" => items,
        _ => value,
    }
}

fn is_container(value: &Value) -> bool {
    matches!(value, Value::List(_) | Value::Map(_) | Value::Object { .. } | Value::Tensor(_))
}

fn holds_only_tensors(value: &Value) -> bool {
    match value {
        Value::Tensor(_) => true,
        Value::List(items) => !items.is_empty() && items.iter().all(holds_only_tensors),
        Value::Map(entries) => {
            !entries.is_empty() && entries.iter().all(|(_, value)| holds_only_tensors(value))
        }
        _ => false,
    }
}

/// Equality in which NaN equals NaN.
fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Float(a), Value::Float(b)) => a == b || (a.is_nan() && b.is_nan()),
        (Value::List(a), Value::List(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        _ => left == right,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn differences(left: &str, right: &str) -> Vec<(String, bool, bool)> {
        let value = |text| Value::from_json(serde_json::from_str(text).expect("JSON"));
        let mut walk = Walk::default();
        walk.values(&value(left), &value(right));
        walk.found
            .into_iter()
            .map(|found| (found.path, found.left.is_some(), found.right.is_some()))
            .collect()
    }

    #[test]
    fn entries_that_differ_are_named_by_their_keys() {
        assert_eq!(
            differences(r#"{"a": {"b": 1, "c": 2}, "only": 1}"#, r#"{"a": {"c": 2, "b": 3}, "new": null}"#),
            [
                ("a.b".to_owned(), true, true),
                ("only".to_owned(), true, false),
                ("new".to_owned(), false, true)
            ]
        );
    }

    #[test]
    fn a_list_of_numbers_is_one_entry_and_a_list_of_maps_is_many() {
        assert_eq!(
            differences(r#"{"losses": [1, 2]}"#, r#"{"losses": [1, 3]}"#),
            [("losses".to_owned(), true, true)]
        );
        assert_eq!(
            differences(r#"[{"lr": 1}, {"lr": 2}]"#, r#"[{"lr": 1}, {"lr": 3}]"#),
            [("1.lr".to_owned(), true, true)]
        );
    }
}
