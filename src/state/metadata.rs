//! Metadata as lines of a tree: which are shown, and one value as JSON or text.

use std::fmt::Write as _;

use std::collections::HashSet;

use crate::model::{Checkpoint, NameFilter, Value};
use crate::text;

/// Lines a search shows; more would not be read.
const LINES_FOUND: usize = 10_000;
/// Levels that are open at first.
const OPEN_LEVELS: usize = 2;
/// Longer lists and maps are closed at first.
const OPEN_ENTRIES: usize = 24;
/// Characters of a value in its line.
const PREVIEW: usize = 160;

/// Indices from the root to a value.
pub type ValuePath = Vec<u32>;

/// One line.
#[derive(Debug, Clone, PartialEq)]
pub struct MetadataLine {
    /// Where the value is.
    pub path: ValuePath,
    /// Its key or index.
    pub key: String,
    /// The value in one line.
    pub preview: String,
    /// Whether something is inside.
    pub has_children: bool,
    /// Whether what is inside follows.
    pub open: bool,
}

/// Which values are unfolded, against the default of their level and length.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Unfolding {
    toggled: HashSet<ValuePath>,
}

impl Unfolding {
    /// Opens what is closed and closes what is open.
    pub fn toggle(&mut self, path: &[u32]) {
        if !self.toggled.remove(path) {
            self.toggled.insert(path.to_vec());
        }
    }

    fn is_open(&self, path: &[u32], entries: usize) -> bool {
        let by_default = path.len() < OPEN_LEVELS && entries <= OPEN_ENTRIES;
        by_default != self.toggled.contains(path)
    }
}

/// The lines to show. With a search: lines whose key or value passes, and what is around them.
pub fn lines(
    checkpoint: &Checkpoint,
    unfolding: &Unfolding,
    search: Option<&NameFilter>,
) -> Vec<MetadataLine> {
    let mut lines = Vec::new();
    let mut path = Vec::new();
    for (index, (key, value)) in children(checkpoint.metadata()).enumerate() {
        path.push(index as u32);
        add(&mut lines, checkpoint, unfolding, search, &mut path, key, value);
        path.pop();
    }
    lines
}

/// Adds a value's line and those inside; says whether any passed the search. Depth is bounded by whoever built the value.
fn add(
    lines: &mut Vec<MetadataLine>,
    checkpoint: &Checkpoint,
    unfolding: &Unfolding,
    search: Option<&NameFilter>,
    path: &mut ValuePath,
    key: String,
    value: &Value,
) -> bool {
    if search.is_some() && lines.len() >= LINES_FOUND {
        return false;
    }
    let entries = child_count(value);
    let open = search.is_some() || unfolding.is_open(path, entries);
    let preview = preview(checkpoint, value);
    let mut passes = search.is_none_or(|search| search.matches(&key) || search.matches(&preview));
    let at = lines.len();
    lines.push(MetadataLine {
        path: path.clone(),
        key,
        preview,
        has_children: entries > 0,
        open: open && entries > 0,
    });
    if open {
        for (index, (key, child)) in children(value).enumerate() {
            path.push(index as u32);
            passes |= add(lines, checkpoint, unfolding, search, path, key, child);
            path.pop();
        }
    }
    if !passes {
        lines.truncate(at);
    }
    passes
}

fn children(value: &Value) -> Box<dyn Iterator<Item = (String, &Value)> + '_> {
    match value {
        Value::Map(entries) | Value::Object { fields: entries, .. } => {
            Box::new(entries.iter().map(|(key, value)| (text::escape(key), value)))
        }
        Value::List(items) => {
            Box::new(items.iter().enumerate().map(|(index, value)| (index.to_string(), value)))
        }
        _ => Box::new(std::iter::empty()),
    }
}

fn child_count(value: &Value) -> usize {
    match value {
        Value::Map(entries) | Value::Object { fields: entries, .. } => entries.len(),
        Value::List(items) => items.len(),
        _ => 0,
    }
}

/// The value at a path.
pub fn at<'a>(root: &'a Value, path: &[u32]) -> Option<&'a Value> {
    path.iter().try_fold(root, |value, &index| match value {
        Value::Map(entries) | Value::Object { fields: entries, .. } => {
            entries.get(index as usize).map(|(_, value)| value)
        }
        Value::List(items) => items.get(index as usize),
        _ => None,
    })
}

/// Keys to the value at a path, joined for people: `config.layers[3].name`.
pub fn path_text(root: &Value, path: &[u32]) -> String {
    let mut written = String::new();
    let mut value = Some(root);
    for &index in path {
        match value {
            Some(Value::Map(entries) | Value::Object { fields: entries, .. }) => {
                let Some((key, child)) = entries.get(index as usize) else { break };
                if !written.is_empty() {
                    written.push('.');
                }
                written.push_str(&text::escape(key));
                value = Some(child);
            }
            Some(Value::List(items)) => {
                let _ = write!(written, "[{index}]");
                value = items.get(index as usize);
            }
            _ => break,
        }
    }
    written
}

fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{} {}", text::count(count as u64), if count == 1 { one } else { many })
}

/// A value in one line.
pub fn preview(checkpoint: &Checkpoint, value: &Value) -> String {
    match value {
        Value::Null => "None".to_owned(),
        Value::Bool(flag) => if *flag { "True" } else { "False" }.to_owned(),
        Value::Int(int) => int.to_string(),
        Value::BigInt(int) => int.clone(),
        Value::Float(float) => format!("{float}"),
        Value::Text(full) => {
            let short: String = full.chars().take(PREVIEW).collect();
            let dots = if short.len() < full.len() { "…" } else { "" };
            format!("{}{dots}", text::escape(&short))
        }
        Value::Bytes { len, .. } => format!("{} of bytes", text::bytes(*len)),
        Value::List(items) => counted(items.len(), "item", "items"),
        Value::Map(entries) => counted(entries.len(), "entry", "entries"),
        Value::Tensor(id) if id.index() < checkpoint.tensors().len() => {
            let tensor = checkpoint.tensor(*id);
            format!("tensor {} {}", tensor.dtype.name(), tensor.shape)
        }
        Value::Tensor(_) => "tensor".to_owned(),
        Value::Object { class, .. } => format!("object {}", text::escape(class)),
        Value::Elided(reason) => format!("left out: {reason}"),
    }
}

/// A value as JSON; what JSON has no word for becomes a text that says so.
pub fn to_json(checkpoint: &Checkpoint, value: &Value) -> serde_json::Value {
    use serde_json::Value as Json;
    match value {
        Value::Null => Json::Null,
        Value::Bool(flag) => Json::Bool(*flag),
        Value::Int(int) => Json::from(*int),
        Value::BigInt(int) => Json::String(int.clone()),
        Value::Float(float) => serde_json::Number::from_f64(*float).map_or_else(
            || {
                Json::String(
                    if float.is_nan() {
                        "NaN"
                    } else if *float > 0.0 {
                        "Infinity"
                    } else {
                        "-Infinity"
                    }
                    .to_owned(),
                )
            },
            Json::Number,
        ),
        Value::Text(text) => Json::String(text.clone()),
        Value::List(items) => Json::Array(items.iter().map(|item| to_json(checkpoint, item)).collect()),
        Value::Map(entries) => Json::Object(
            entries.iter().map(|(key, value)| (key.clone(), to_json(checkpoint, value))).collect(),
        ),
        Value::Object { class, fields } => {
            let mut object = serde_json::Map::new();
            object.insert("$class".to_owned(), Json::String(class.clone()));
            object.extend(fields.iter().map(|(key, value)| (key.clone(), to_json(checkpoint, value))));
            Json::Object(object)
        }
        Value::Bytes { .. } | Value::Tensor(_) | Value::Elided(_) => Json::String(preview(checkpoint, value)),
    }
}

/// Bytes of a byte string that are written out.
const BYTES_SHOWN: usize = 64;

/// A value as readable text: text that is JSON is indented, other text is as it is, the rest is JSON.
pub fn readable(checkpoint: &Checkpoint, value: &Value) -> String {
    let json = match value {
        Value::Text(text) => match serde_json::from_str::<serde_json::Value>(text) {
            Ok(json) if json.is_object() || json.is_array() => json,
            _ => return text.clone(),
        },
        Value::Bytes { preview, len } => {
            let hex: Vec<String> =
                preview.iter().take(BYTES_SHOWN).map(|byte| format!("{byte:02x}")).collect();
            let dots = if (hex.len() as u64) < *len { " …" } else { "" };
            return format!("{}{dots}", hex.join(" "));
        }
        _ => to_json(checkpoint, value),
    };
    serde_json::to_string_pretty(&json).unwrap_or_default()
}
