//! Plain values of a pickle as metadata, and keys as text.
//!
//! Only what holds no tensors; containers are for [`super::state_dict`].

use super::names::Known;
use super::numpy;
use super::view::View;
use crate::formats::containers::pickle::{Content, Global, Node, NodeId};
use crate::model::Value;

/// Bytes of a byte string that are shown.
const PREVIEW: usize = 64;

/// Items of a tuple key that are written out.
const KEY_ITEMS: usize = 16;

/// A value without parts; `None` for containers and unknown objects.
pub fn simple(view: &View, id: NodeId) -> Option<Value> {
    match view.graph.node(id) {
        Node::None => Some(Value::Null),
        Node::Bool(flag) => Some(Value::Bool(flag)),
        Node::Int(value) => Some(Value::Int(value)),
        Node::Float(value) => Some(Value::Float(value)),
        Node::BigInt(_) => Some(Value::BigInt(view.graph.digits(id).unwrap_or_default().to_owned())),
        Node::Text(_) => Some(Value::Text(view.graph.text(id).unwrap_or_default().to_owned())),
        Node::Blob(_) | Node::Range(_) => Some(bytes(view, id)),
        Node::Global(_) => Some(Value::Text(match view.known(id) {
            Known::Dtype(dtype) => format!("torch.{dtype}"),
            _ => view.graph.global(id).map(Global::full_name).unwrap_or_default(),
        })),
        Node::Persistent(inner) => Some(persistent(view, id, inner)),
        Node::Call(_) => {
            let (call, known) = view.call(id)?;
            let args = view.args(call);
            match known {
                Known::NumpyScalar => numpy::scalar(view, args),
                Known::NumpyDtype => Some(Value::Text(format!(
                    "numpy.{}",
                    args.first().and_then(|&code| view.graph.text(code))?
                ))),
                Known::Encode | Known::Bytes => view.bytes(id, 1 << 20)?.ok().map(|source| {
                    let preview =
                        source.read_up_to("bytes in a pickle", 0, PREVIEW as u64).unwrap_or_default();
                    Value::Bytes { len: source.len(), preview }
                }),
                Known::Device => {
                    let name = view.graph.text(*args.first()?)?;
                    Some(Value::Text(match args.get(1).and_then(|&index| view.graph.int(index)) {
                        Some(index) => format!("{name}:{index}"),
                        None => name.to_owned(),
                    }))
                }
                Known::Complex => {
                    let part = |index: usize| match args.get(index).map(|&id| view.graph.node(id)) {
                        Some(Node::Float(value)) => Some(value),
                        Some(Node::Int(value)) => Some(value as f64),
                        _ => None,
                    };
                    let (re, im) = (part(0)?, part(1).unwrap_or(0.0));
                    Some(Value::Text(format!("({re}{im:+}j)")))
                }
                _ => None,
            }
        }
        Node::Tuple(_) | Node::List(_) | Node::Set(_) | Node::Dict(_) => None,
    }
}

fn bytes(view: &View, id: NodeId) -> Value {
    match view.graph.content(id) {
        Some(Content::Held(held)) => {
            Value::Bytes { len: held.len() as u64, preview: held.iter().copied().take(PREVIEW).collect() }
        }
        Some(Content::Range(offset, len)) => {
            let preview = view.source.read_up_to("bytes in a pickle", offset, len.min(PREVIEW as u64));
            Value::Bytes { len, preview: preview.unwrap_or_default() }
        }
        None => Value::Null,
    }
}

/// A reference out of the pickle that is no tensor's: a bare storage, or a class with its source.
fn persistent(view: &View, id: NodeId, inner: NodeId) -> Value {
    if let Some(class) = view.class_name(id) {
        let parts = view.graph.tuple(inner).unwrap_or_default();
        let text = |index: usize| {
            parts.get(index).and_then(|&part| view.graph.text(part)).unwrap_or_default().to_owned()
        };
        let fields =
            vec![("file".to_owned(), Value::Text(text(2))), ("source".to_owned(), Value::Text(text(3)))];
        return Value::Object { class, fields };
    }
    let key = view.graph.tuple(inner).and_then(|parts| parts.get(2).copied());
    let key = key.or(Some(inner)).and_then(|key| view.graph.text(key)).unwrap_or_default();
    Value::Object {
        class: "storage".to_owned(),
        fields: vec![("key".to_owned(), Value::Text(key.to_owned()))],
    }
}

/// A key as Python's `str` writes it.
pub fn key_text(view: &View, id: NodeId) -> String {
    match view.graph.node(id) {
        Node::Text(_) => view.graph.text(id).unwrap_or_default().to_owned(),
        Node::Tuple(_) => {
            let items = view.graph.tuple(id).unwrap_or_default();
            let mut parts: Vec<String> = items.iter().take(KEY_ITEMS).map(|&item| repr(view, item)).collect();
            if items.len() > KEY_ITEMS {
                parts.push("…".to_owned());
            }
            let comma = if items.len() == 1 { "," } else { "" };
            format!("({}{comma})", parts.join(", "))
        }
        Node::Global(_) => match (view.known(id), simple(view, id)) {
            (Known::Dtype(_), Some(Value::Text(dtype))) => dtype,
            _ => format!("<class '{}'>", view.class_name(id).unwrap_or_default()),
        },
        _ => repr(view, id),
    }
}

fn repr(view: &View, id: NodeId) -> String {
    match view.graph.node(id) {
        Node::None => "None".to_owned(),
        Node::Bool(flag) => if flag { "True" } else { "False" }.to_owned(),
        Node::Int(value) => value.to_string(),
        Node::Float(value) => python_float(value),
        Node::Text(_) => format!("'{}'", view.graph.text(id).unwrap_or_default()),
        Node::BigInt(_) => view.graph.digits(id).unwrap_or_default().to_owned(),
        Node::Blob(_) | Node::Range(_) => match bytes(view, id) {
            Value::Bytes { preview, .. } => bytes_literal(&preview),
            _ => String::new(),
        },
        Node::Global(_) => view.class_name(id).unwrap_or_default(),
        Node::Call(_) => match simple(view, id) {
            Some(Value::Int(value)) => value.to_string(),
            Some(Value::Float(value)) => python_float(value),
            Some(Value::Bool(flag)) => if flag { "True" } else { "False" }.to_owned(),
            Some(Value::Text(text)) => text,
            Some(Value::Bytes { preview, .. }) => bytes_literal(&preview),
            _ => view.class(id).map_or_else(|| "object".to_owned(), |class| format!("<{class}>")),
        },
        Node::Tuple(_) => "(…)".to_owned(),
        Node::List(_) | Node::Set(_) | Node::Dict(_) => "…".to_owned(),
        Node::Persistent(_) => "storage".to_owned(),
    }
}

fn bytes_literal(bytes: &[u8]) -> String {
    format!("b'{}'", bytes.escape_ascii())
}

fn python_float(value: f64) -> String {
    if value.is_finite() && value == value.trunc() && value.abs() < 1e16 {
        format!("{value:.1}")
    } else {
        value.to_string()
    }
}
