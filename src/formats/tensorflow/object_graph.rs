//! Object graphs: which object of the program holds which variable.
//!
//! Reads `TrackableObjectGraph` (in every TF2 checkpoint) and `SavedObjectGraph` (in a SavedModel) into one shape; what
//! follows from them is decided by `variables`. Sources: `tensorflow/core/protobuf/trackable_object_graph.proto` and
//! `tensorflow/core/protobuf/saved_object_graph.proto`.

use std::collections::{HashMap, HashSet};

use super::types;
use crate::formats::containers::protobuf::{Field, Message};
use crate::model::{Dtype, ReadError};
use crate::raw::limits;

/// The checkpoint key under which a TF2 checkpoint keeps its graph.
pub const GRAPH_KEY: &str = "_CHECKPOINTABLE_OBJECT_GRAPH";

/// What follows the path of a variable in its key.
pub const VALUE_SUFFIX: &str = "/.ATTRIBUTES/VARIABLE_VALUE";

/// Dimensions, `None` for one that is not fixed.
pub type Dimensions = Vec<Option<u64>>;

/// Index of an object; 0 is the root.
pub type NodeId = u32;

/// One object.
#[derive(Debug, Default)]
pub struct Node {
    /// Attribute names and the objects they hold.
    pub children: Vec<(String, NodeId)>,
    /// Values it saves: (full name, checkpoint key).
    pub attributes: Vec<(String, String)>,
    /// Optimizer slots: (variable, its slot variable).
    pub slots: Vec<(NodeId, NodeId)>,
    /// What a SavedModel says it is.
    pub kind: Kind,
}

/// What a SavedModel says an object is.
#[derive(Debug, Default)]
pub enum Kind {
    /// Nothing that matters here, or a checkpoint, which does not say.
    #[default]
    Other,
    /// An object of a class: its identifier, such as `_tf_keras_layer`, and its own metadata.
    User {
        /// Registered name of the class.
        identifier: String,
        /// JSON of Keras before 2.5; empty since.
        metadata: String,
    },
    /// A variable.
    Variable {
        /// Its name in the program, such as `conv_1/kernel`.
        name: String,
        /// Element type.
        dtype: Dtype,
        /// Whether gradients are taken with respect to it.
        trainable: bool,
    },
    /// A function: the name of its first traced version.
    Function(Option<String>),
}

/// An object graph.
#[derive(Debug, Default)]
pub struct Graph {
    /// By id.
    pub nodes: Vec<Node>,
    by_name: HashMap<(NodeId, String), NodeId>,
    /// Shape of the first output of each traced function, where it is fixed enough to tell.
    pub function_outputs: HashMap<String, Dimensions>,
}

impl Graph {
    /// A `TrackableObjectGraph`.
    pub fn parse_checkpoint(bytes: &[u8], base: u64) -> Result<Self, ReadError> {
        Self::parse(Message::new(bytes, base), false)
    }

    /// A `SavedObjectGraph`.
    pub fn parse_saved(bytes: &[u8], base: u64) -> Result<Self, ReadError> {
        Self::parse(Message::new(bytes, base), true)
    }

    fn parse(message: Message<'_>, saved: bool) -> Result<Self, ReadError> {
        let mut graph = Self::default();
        let mut links = 0usize;
        for field in message {
            let field = field?;
            if field.number == 1 {
                let node = parse_node(&field, saved)?;
                links += 1 + node.children.len() + node.attributes.len() + node.slots.len();
                if links > limits::METADATA_NODES {
                    return Err(ReadError::OverLimit {
                        what: "the size of the object graph".into(),
                        value: links as u64,
                        limit: limits::METADATA_NODES as u64,
                    });
                }
                graph.nodes.push(node);
            } else if field.number == 2
                && saved
                && let Some((name, shape)) = parse_function(&field)?
            {
                graph.function_outputs.insert(name, shape);
            }
        }
        graph.link();
        Ok(graph)
    }

    /// A graph of these objects.
    pub fn of(nodes: Vec<Node>) -> Self {
        let mut graph = Self { nodes, ..Self::default() };
        graph.link();
        graph
    }

    fn link(&mut self) {
        for (id, node) in (0..).zip(&self.nodes) {
            for (name, child) in &node.children {
                self.by_name.entry((id, name.clone())).or_insert(*child);
            }
        }
    }

    /// One object; `None` for an id that the file made up.
    pub fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(id as usize)
    }

    /// The object under an attribute.
    pub fn child(&self, id: NodeId, name: &str) -> Option<NodeId> {
        self.by_name.get(&(id, name.to_owned())).copied().filter(|&child| (child as usize) < self.nodes.len())
    }

    /// The objects on the way along a key's parts, the root left out; ends where the graph does.
    pub fn walk(&self, parts: &[&str]) -> Vec<NodeId> {
        let mut node = 0;
        let mut way = Vec::with_capacity(parts.len());
        for part in parts {
            match self.child(node, part) {
                Some(child) => node = child,
                None => break,
            }
            way.push(node);
        }
        way
    }

    /// Every object that `start` leads to, itself included, except through attributes that `skip` names.
    pub fn reachable(&self, start: &[NodeId], skip: impl Fn(&str, NodeId) -> bool) -> HashSet<NodeId> {
        let mut found: HashSet<NodeId> = start.iter().copied().collect();
        let mut open: Vec<NodeId> = start.to_vec();
        while let Some(id) = open.pop() {
            for (name, child) in self.node(id).map(|node| node.children.as_slice()).unwrap_or_default() {
                if !skip(name, *child) && found.insert(*child) {
                    open.push(*child);
                }
            }
        }
        found
    }

    /// The objects that are optimizers, by the attributes that TensorFlow's and Keras's optimizers have.
    pub fn optimizers(&self) -> Vec<NodeId> {
        let is_optimizer = |id: NodeId, node: &Node| {
            let has = |name: &str| self.child(id, name).is_some();
            let identifier = match &node.kind {
                Kind::User { identifier, .. } => identifier.as_str(),
                _ => "",
            };
            !node.slots.is_empty()
                || matches!(identifier, "optimizer" | "experimentalOptimizer")
                || ((has("_iterations") || has("iter")) && (has("_learning_rate") || has("learning_rate")))
        };
        (0..).zip(&self.nodes).filter(|(id, node)| is_optimizer(*id, node)).map(|(id, _)| id).collect()
    }
}

/// The parts of a checkpoint key's path, without the attribute at its end.
pub fn key_parts(key: &str) -> Vec<&str> {
    let path = key.split_once("/.ATTRIBUTES/").map_or(key, |(path, _)| path);
    path.split('/').collect()
}

/// An attribute name as the program wrote it. Source: `tensorflow/python/checkpoint/util.py`, `escape_local_name`.
pub fn unescape(part: &str) -> String {
    let mut name = String::with_capacity(part.len());
    let mut rest = part;
    while let Some(at) = rest.find('.') {
        let (before, after) = rest.split_at(at);
        name.push_str(before);
        let (c, len) = if after.starts_with(".S") {
            ('/', 2)
        } else {
            ('.', if after.starts_with("..") { 2 } else { 1 })
        };
        name.push(c);
        rest = after.get(len..).unwrap_or_default();
    }
    name.push_str(rest);
    name
}

fn parse_node(field: &Field<'_>, saved: bool) -> Result<Node, ReadError> {
    let mut node = Node::default();
    for field in field.message()? {
        let field = field?;
        match (field.number, saved) {
            (1, _) => {
                let mut child = (String::new(), 0);
                for part in field.message()? {
                    let part = part?;
                    match part.number {
                        1 => child.1 = part.number_value() as NodeId,
                        2 => child.0 = part.text(),
                        _ => {}
                    }
                }
                node.children.push(child);
            }
            (2, false) => {
                let mut attribute = (String::new(), String::new());
                for part in field.message()? {
                    let part = part?;
                    match part.number {
                        2 => attribute.0 = part.text(),
                        3 => attribute.1 = part.text(),
                        _ => {}
                    }
                }
                node.attributes.push(attribute);
            }
            (3, _) => {
                let mut slot = (0, 0);
                for part in field.message()? {
                    let part = part?;
                    match part.number {
                        1 => slot.0 = part.number_value() as NodeId,
                        3 => slot.1 = part.number_value() as NodeId,
                        _ => {}
                    }
                }
                node.slots.push(slot);
            }
            (4, true) => node.kind = parse_user(&field)?,
            (6, true) => {
                let mut first = None;
                for part in field.message()? {
                    let part = part?;
                    if part.number == 1 && first.is_none() {
                        first = Some(part.text());
                    }
                }
                node.kind = Kind::Function(first);
            }
            (7, true) => node.kind = parse_variable(&field)?,
            _ => {}
        }
    }
    Ok(node)
}

fn parse_user(field: &Field<'_>) -> Result<Kind, ReadError> {
    let (mut identifier, mut metadata) = (String::new(), String::new());
    for part in field.message()? {
        let part = part?;
        match part.number {
            1 => identifier = part.text(),
            3 => metadata = part.text(),
            _ => {}
        }
    }
    Ok(Kind::User { identifier, metadata })
}

fn parse_variable(field: &Field<'_>) -> Result<Kind, ReadError> {
    let (mut name, mut dtype, mut trainable) = (String::new(), 0, false);
    for part in field.message()? {
        let part = part?;
        match part.number {
            1 => dtype = part.number_value(),
            3 => trainable = part.number_value() != 0,
            6 => name = part.text(),
            _ => {}
        }
    }
    Ok(Kind::Variable { name, dtype: types::dtype(dtype), trainable })
}

/// Name and first output shape of an entry of `SavedObjectGraph.concrete_functions`.
fn parse_function(field: &Field<'_>) -> Result<Option<(String, Dimensions)>, ReadError> {
    let (mut name, mut shape) = (String::new(), None);
    for part in field.message()? {
        let part = part?;
        match part.number {
            1 => name = part.text(),
            2 => {
                for part in part.message()? {
                    let part = part?;
                    if part.number == 4 && shape.is_none() {
                        shape = first_tensor_shape(&part)?;
                    }
                }
            }
            _ => {}
        }
    }
    Ok(shape.map(|shape| (name, shape)))
}

/// The shape of the first `TensorSpecProto` in a `StructuredValue`; recursion is bounded by [`Field::message`].
/// Source: `tensorflow/core/protobuf/struct.proto`.
fn first_tensor_shape(field: &Field<'_>) -> Result<Option<Vec<Option<u64>>>, ReadError> {
    for part in field.message()? {
        let part = part?;
        match part.number {
            // tensor_spec_value, bounded_tensor_spec_value
            33 | 35 => {
                for spec in part.message()? {
                    let spec = spec?;
                    if spec.number == 2 {
                        return types::shape_field(&spec);
                    }
                }
            }
            // list_value, tuple_value: repeated StructuredValue values = 1
            51 | 52 => {
                for item in part.message()? {
                    let item = item?;
                    if item.number == 1
                        && let Some(shape) = first_tensor_shape(&item)?
                    {
                        return Ok(Some(shape));
                    }
                }
            }
            _ => {}
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A message field of these bytes.
    fn nested(number: u8, content: &[u8]) -> Vec<u8> {
        let mut bytes = vec![number << 3 | 2, content.len() as u8];
        bytes.extend(content);
        bytes
    }

    fn child(name: &str, id: u8) -> Vec<u8> {
        nested(1, &[&[0x08, id][..], &nested(2, name.as_bytes())].concat())
    }

    #[test]
    fn keys_are_walked_along_the_attributes() {
        let bytes = [nested(1, &child("net", 1)), nested(1, &child("w", 2)), nested(1, &[])].concat();
        let graph = Graph::parse_checkpoint(&bytes, 0).expect("legal");
        assert_eq!(graph.walk(&key_parts("net/w/.ATTRIBUTES/VARIABLE_VALUE")), [1, 2]);
        assert_eq!(graph.walk(&["net", "nothing"]), [1]);
    }

    #[test]
    fn children_that_do_not_exist_and_cycles_do_no_harm() {
        let bytes = nested(1, &[child("self", 0), child("lost", 99)].concat());
        let graph = Graph::parse_checkpoint(&bytes, 0).expect("legal");
        assert_eq!(graph.child(0, "lost"), None);
        assert_eq!(graph.reachable(&[0], |_, _| false).len(), 2);
    }

    #[test]
    fn names_are_unescaped() {
        assert_eq!(unescape("a.Sb..c..Sd"), "a/b.c.Sd");
    }
}
