//! Which type of Python a node of a pickle has, where the metadata has only a list, a map or a text.

use super::names::Known;
use super::view::View;
use crate::formats::containers::pickle::{Node, NodeId};
use crate::model::{Keys, PythonType};

/// Of a value without parts; `None` where the metadata tells it.
pub fn of_value(view: &View, id: NodeId) -> Option<PythonType> {
    if matches!(view.graph.node(id), Node::Global(_)) {
        return Some(match view.known(id) {
            Known::Dtype(_) => PythonType::Dtype,
            _ => PythonType::Global,
        });
    }
    let (call, known) = view.call(id)?;
    match known {
        Known::Device => Some(PythonType::Device),
        Known::Complex => {
            let part = |index: usize| {
                view.args(call).get(index).map_or(0.0, |&part| match view.graph.node(part) {
                    Node::Float(value) => value,
                    Node::Int(value) => value as f64,
                    _ => f64::NAN,
                })
            };
            Some(PythonType::Complex { re: part(0), im: part(1) })
        }
        Known::Bytes => (short_name(view, id) == Some("bytearray")).then_some(PythonType::ByteArray),
        _ => None,
    }
}

/// Of what [`View::mapping`] takes for a dictionary.
pub fn of_mapping(view: &View, id: NodeId, entries: &[(NodeId, NodeId)]) -> PythonType {
    let all = |is: fn(Node) -> bool| entries.iter().all(|(key, _)| is(view.graph.node(*key)));
    let keys = if all(|key| matches!(key, Node::Text(_))) {
        Keys::Text
    } else if all(|key| matches!(key, Node::Int(_))) {
        Keys::Int
    } else {
        Keys::Other
    };
    PythonType::Dict { ordered: short_name(view, view.untagged(id)) == Some("OrderedDict"), keys }
}

/// Of what [`View::sequence`] takes for a list.
pub fn of_sequence(view: &View, id: NodeId) -> PythonType {
    let id = view.untagged(id);
    match (view.graph.node(id), view.call(id)) {
        (Node::Tuple(_), _) => PythonType::Tuple,
        (Node::Set(_), _) => PythonType::Set,
        (_, Some((_, Known::Size))) => PythonType::Size,
        _ => match short_name(view, id) {
            Some("tuple") => PythonType::Tuple,
            Some("set" | "frozenset") => PythonType::Set,
            _ => PythonType::List,
        },
    }
}

/// The name of what is called, without its module.
fn short_name(view: &View, id: NodeId) -> Option<&str> {
    let call = view.graph.call(id)?;
    Some(view.graph.global(call.callable)?.name.as_str())
}
