//! Graphs: the constants of a `GraphDef` (`.pb`) or of a `MetaGraphDef` (`.meta`) as tensors, and what the graph does.
//!
//! Walks the file without reading tensor bytes; raw contents stay where they are. Sources:
//! `tensorflow/core/framework/graph.proto`, `node_def.proto`, `attr_value.proto`, `function.proto`.

use std::collections::{BTreeMap, HashSet};

use super::collections::Collections;
use super::saved_model::shape_value;
use super::tensor_proto::TensorProto;
use super::types;
use super::values::Location;
use crate::formats::containers::protobuf::{Message, SourceFields, SourcePayload, varint};
use crate::model::{Problem, ReadError, Shape, TensorId, TensorInfo, TensorRole, Value};
use crate::raw::{ByteSource, limits};

/// What a graph holds.
#[derive(Debug, Default)]
pub struct GraphFile {
    /// Its constants, in graph order; those of functions behind them, under the function's name.
    pub tensors: Vec<TensorInfo>,
    /// Where their values are.
    pub locations: Vec<Location>,
    /// Versions, inputs and outputs, numbers of nodes and operations.
    pub metadata: Vec<(String, Value)>,
    /// What could not be read.
    pub problems: Vec<Problem>,
    /// Whether constants that were variables could be told from others.
    pub counts_known: bool,
    /// What a `MetaGraphDef` says of its variables.
    pub collections: Collections,
    /// TensorFlow's version, where a `MetaGraphDef` says it.
    pub framework: Option<String>,
    /// Whether to note the constants at all.
    without_constants: bool,
}

/// What is counted and noted on the way through the nodes.
#[derive(Default)]
struct Walk {
    nodes: i64,
    operations: BTreeMap<String, i64>,
    functions: Vec<Value>,
    inputs: Vec<(String, Value)>,
    /// Nodes that may be outputs, with their operations, and the names that other nodes take in.
    ends: Vec<(String, String)>,
    consumed: HashSet<String>,
    producer: Option<u64>,
}

/// One node, its attributes not read.
#[derive(Default)]
struct Node {
    name: String,
    operation: String,
    tensor: Option<(u64, u64)>,
    dtype: Option<u64>,
    shape: Option<Value>,
    inputs: Vec<String>,
}

/// Nodes up to this size are read at once; larger ones are walked in the file.
const NODE_BYTES: u64 = 64 << 10;

/// Different operations that are counted by name.
const OPERATIONS: usize = 10_000;

/// Inputs, outputs and functions that are listed.
const LISTED: usize = 1000;

/// Nodes of which it is noted who takes them in: beyond, no outputs are told.
const LINKED_NODES: usize = 2_000_000;

/// Operations that end no model though nobody takes in what they give.
const NO_OUTPUT: [&str; 6] =
    ["Const", "NoOp", "Placeholder", "PlaceholderV2", "PlaceholderWithDefault", "Assert"];

/// Whether bytes begin like a `GraphDef`: a node with a name and an operation.
pub fn looks_like_graph(head: &[u8]) -> bool {
    let text = |bytes: &[u8], at: &mut usize| {
        let len = varint(bytes, at, 0).ok().filter(|len| (1..=1000).contains(len))? as usize;
        let text = bytes.get(*at..*at + len)?;
        *at += len;
        text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"_./-:>^".contains(byte)).then_some(())
    };
    let mut at = 1;
    head.first() == Some(&0x0a)
        && varint(head, &mut at, 0).is_ok()
        && head.get(at) == Some(&0x0a)
        && {
            at += 1;
            text(head, &mut at).is_some()
        }
        && head.get(at) == Some(&0x12)
        && {
            at += 1;
            text(head, &mut at).is_some()
        }
}

/// Whether a file begins like a `MetaGraphDef`: a message that is followed by a `GraphDef`.
pub fn looks_like_meta_graph(source: &ByteSource, head: &[u8]) -> bool {
    let mut at = 1;
    let Some(len) = (head.first() == Some(&0x0a)).then(|| varint(head, &mut at, 0).ok()).flatten() else {
        return false;
    };
    let after = len.saturating_add(at as u64);
    let Ok(next) = source.read_up_to("the start of the graph", after, 256) else { return false };
    let mut at = 1;
    next.first() == Some(&0x12)
        && varint(&next, &mut at, 0).is_ok()
        && looks_like_graph(next.get(at..).unwrap_or_default())
}

impl GraphFile {
    /// Reads a `GraphDef` that is the whole of `source`.
    pub fn open(source: &ByteSource) -> Result<Self, ReadError> {
        let mut file = Self::default();
        file.read_graph(source, 0, source.len())?;
        Ok(file)
    }

    /// Reads the graph of a `MetaGraphDef` that is the whole of `source`.
    pub fn open_meta(source: &ByteSource) -> Result<Self, ReadError> {
        Self::read_meta(source, true)
    }

    /// Reads what a `MetaGraphDef` says about its graph, not the graph.
    pub fn open_description(source: &ByteSource) -> Result<Self, ReadError> {
        Self::read_meta(source, false)
    }

    fn read_meta(source: &ByteSource, with_graph: bool) -> Result<Self, ReadError> {
        let mut file = Self::default();
        for field in SourceFields::new(source, 0, source.len())? {
            let field = field?;
            let SourcePayload::Range { offset, len } = field.payload else { continue };
            match field.number {
                1 => file.read_meta_info(source, offset, len)?,
                2 if with_graph => file.read_graph(source, offset, len)?,
                4 => file.collections.read(source, offset, len)?,
                _ => {}
            }
        }
        Ok(file)
    }

    /// Reads a `GraphDef` inside a file that holds more, with its constants or without.
    pub fn open_part(source: &ByteSource, offset: u64, len: u64, constants: bool) -> Result<Self, ReadError> {
        let mut file = Self { without_constants: !constants, ..Self::default() };
        file.read_graph(source, offset, len)?;
        Ok(file)
    }

    /// `MetaInfoDef`: `tags = 4, tensorflow_version = 5`.
    fn read_meta_info(&mut self, source: &ByteSource, offset: u64, len: u64) -> Result<(), ReadError> {
        let mut tags = Vec::new();
        for field in SourceFields::new(source, offset, len)? {
            let field = field?;
            let (4 | 5, SourcePayload::Range { offset, len }) = (field.number, field.payload) else {
                continue;
            };
            let bytes = source.read_vec("a part of the graph's description", offset, len, NODE_BYTES)?;
            let text = String::from_utf8_lossy(&bytes).into_owned();
            if field.number == 5 {
                self.framework = Some(format!("tensorflow {text}"));
            } else if tags.len() < LISTED {
                tags.push(Value::Text(text));
            }
        }
        if !tags.is_empty() {
            self.metadata.push(("tags".to_owned(), Value::List(tags)));
        }
        Ok(())
    }

    fn read_graph(&mut self, source: &ByteSource, offset: u64, len: u64) -> Result<(), ReadError> {
        let mut walk = Walk::default();
        let mut libraries = Vec::new();
        for field in SourceFields::new(source, offset, len)? {
            let field = field?;
            let SourcePayload::Range { offset, len } = field.payload else { continue };
            match field.number {
                1 => {
                    let node = self.read_node(source, offset, len, "")?;
                    walk.note(node);
                }
                2 => libraries.push((offset, len)),
                4 => {
                    let bytes = source.read_vec("the graph's version", offset, len, NODE_BYTES)?;
                    for part in Message::new(&bytes, offset) {
                        let part = part?;
                        if part.number == 1 {
                            walk.producer = Some(part.number_value());
                        }
                    }
                }
                _ => {}
            }
        }
        for (offset, len) in libraries {
            for function in SourceFields::new(source, offset, len)? {
                let function = function?;
                if let (1, SourcePayload::Range { offset, len }) = (function.number, function.payload) {
                    self.read_function(source, offset, len, &mut walk)?;
                }
            }
        }
        walk.finish(&mut self.metadata);
        Ok(())
    }

    /// A `FunctionDef`: `signature = 1 { name = 1 }, node_def = 3`.
    fn read_function(
        &mut self,
        source: &ByteSource,
        offset: u64,
        len: u64,
        walk: &mut Walk,
    ) -> Result<(), ReadError> {
        let mut name = String::new();
        let mut nodes = Vec::new();
        for field in SourceFields::new(source, offset, len)? {
            let field = field?;
            let SourcePayload::Range { offset, len } = field.payload else { continue };
            match field.number {
                1 => {
                    for part in SourceFields::new(source, offset, len)? {
                        let part = part?;
                        if let (1, SourcePayload::Range { offset, len }) = (part.number, part.payload) {
                            let bytes = source.read_vec("a function's name", offset, len, NODE_BYTES)?;
                            name = String::from_utf8_lossy(&bytes).into_owned();
                        }
                    }
                }
                3 => nodes.push((offset, len)),
                _ => {}
            }
        }
        // What saves and restores a SavedModel holds names of files and keys, nothing of the model.
        let saver =
            name.starts_with("__inference__traced_save") || name.starts_with("__inference__traced_restore");
        let without = self.without_constants;
        self.without_constants |= saver;
        for (offset, len) in nodes {
            let node = self.read_node(source, offset, len, &name)?;
            walk.count(&node.operation);
        }
        self.without_constants = without;
        walk.functions.push(Value::Text(name));
        Ok(())
    }

    /// Reads a node, and notes its tensor if it is a constant. `function` is the one that it is inside of.
    fn read_node(
        &mut self,
        file: &ByteSource,
        offset: u64,
        len: u64,
        function: &str,
    ) -> Result<Node, ReadError> {
        // A small node is parsed in memory; `base` turns its positions into the file's.
        let (source, start, base) = if len <= NODE_BYTES {
            (ByteSource::from_vec(file.read_vec("a node", offset, len, NODE_BYTES)?), 0, offset)
        } else {
            (file.clone(), offset, 0)
        };
        let mut node = Node::read(&source, start, len)?;
        if let (true, Some((offset, len)), false) =
            (node.operation == "Const", node.tensor, self.without_constants)
        {
            if self.tensors.len() >= limits::TENSORS {
                return Err(ReadError::OverLimit {
                    what: "the number of constants".into(),
                    value: self.tensors.len() as u64 + 1,
                    limit: limits::TENSORS as u64,
                });
            }
            let name = std::mem::take(&mut node.name);
            let name = if function.is_empty() { name } else { format!("{function}/{name}") };
            self.note(name, TensorProto::read(&source, offset, len)?, file, base);
        }
        Ok(node)
    }

    fn note(&mut self, name: String, proto: TensorProto, file: &ByteSource, base: u64) {
        let id = TensorId(self.tensors.len() as u32);
        let dtype = types::dtype(proto.dtype);
        let shape = Shape::from(proto.dims.clone());
        let stored = proto.stored_bytes();
        let offset = proto.content.map(|(offset, _)| base + offset);
        let location = proto.locate(&dtype, &shape, file, base).unwrap_or_else(|error| {
            let reason = error.to_string();
            self.problems.push(Problem::error("unreadable-tensor", reason.clone()).on(id));
            Location::Unreadable(reason)
        });
        let mut tensor = TensorInfo::new(name, dtype, shape, stored);
        tensor.layer = tensor.name.rsplit_once('/').map(|(layer, _)| layer.to_owned()).unwrap_or_default();
        tensor.offset = offset;
        // Freezing turns what a ReadVariableOp read into a constant `…/ReadVariableOp/resource`; a batch norm reads
        // its statistics, which are not trained, below its own operation.
        let reads_variable = tensor
            .layer
            .rsplit('/')
            .next()
            .is_some_and(|last| last.starts_with("ReadVariableOp") && tensor.name.ends_with("/resource"));
        if reads_variable {
            tensor.role = TensorRole::Parameter;
            tensor.trainable = Some(!tensor.layer.contains("/FusedBatchNorm"));
            self.counts_known = true;
        }
        self.tensors.push(tensor);
        self.locations.push(location);
    }
}

impl Walk {
    fn count(&mut self, operation: &str) {
        if let Some(count) = self.operations.get_mut(operation) {
            *count += 1;
        } else if self.operations.len() < OPERATIONS {
            self.operations.insert(operation.to_owned(), 1);
        }
    }

    fn note(&mut self, node: Node) {
        self.nodes += 1;
        self.count(&node.operation);
        if node.operation.starts_with("Placeholder") && self.inputs.len() < LISTED {
            let mut facts = Vec::new();
            if let Some(dtype) = node.dtype {
                facts.push(("dtype".to_owned(), Value::Text(types::dtype(dtype).name().to_owned())));
            }
            facts.extend(node.shape.map(|shape| ("shape".to_owned(), shape)));
            self.inputs.push((node.name.clone(), Value::Map(facts)));
        }
        if self.ends.len() < LINKED_NODES {
            self.consumed.extend(node.inputs);
            if !NO_OUTPUT.contains(&node.operation.as_str()) {
                self.ends.push((node.name, node.operation));
            }
        }
    }

    fn finish(mut self, metadata: &mut Vec<(String, Value)>) {
        if let Some(producer) = self.producer {
            metadata.push(("producer".to_owned(), Value::Int(producer.cast_signed())));
        }
        let outputs =
            if self.ends.len() < LINKED_NODES { std::mem::take(&mut self.ends) } else { Vec::new() };
        let outputs = outputs.into_iter().filter(|(name, _)| !self.consumed.contains(name));
        let outputs: Vec<_> =
            outputs.take(LISTED).map(|(name, operation)| (name, Value::Text(operation))).collect();
        metadata.push(("inputs".to_owned(), Value::Map(self.inputs)));
        metadata.push(("outputs".to_owned(), Value::Map(outputs)));
        metadata.push(("nodes".to_owned(), Value::Int(self.nodes)));
        metadata.push(("functions".to_owned(), Value::Int(self.functions.len() as i64)));
        if !self.functions.is_empty() {
            self.functions.truncate(LISTED);
            metadata.push(("function_names".to_owned(), Value::List(self.functions)));
        }
        let operations = self.operations.into_iter().map(|(name, count)| (name, Value::Int(count))).collect();
        metadata.push(("operations".to_owned(), Value::Map(operations)));
    }
}

impl Node {
    fn read(source: &ByteSource, start: u64, len: u64) -> Result<Self, ReadError> {
        let text = |offset: u64, len: u64| -> Result<String, ReadError> {
            let bytes = source.read_vec("a node's name", offset, len, NODE_BYTES)?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        };
        let mut node = Self::default();
        for field in SourceFields::new(source, start, len)? {
            let field = field?;
            let SourcePayload::Range { offset, len } = field.payload else { continue };
            match field.number {
                1 => node.name = text(offset, len)?,
                2 => node.operation = text(offset, len)?,
                3 => {
                    // `name`, `name:1` for its second output, `^name` for its end only.
                    let input = text(offset, len)?;
                    let input = input.strip_prefix('^').unwrap_or(&input);
                    node.inputs.push(input.split(':').next().unwrap_or_default().to_owned());
                }
                5 => {
                    let (mut key, mut value) = (String::new(), None);
                    for part in SourceFields::new(source, offset, len)? {
                        let part = part?;
                        match (part.number, part.payload) {
                            (1, SourcePayload::Range { offset, len }) => key = text(offset, len)?,
                            (2, SourcePayload::Range { offset, len }) => value = Some((offset, len)),
                            _ => {}
                        }
                    }
                    if let Some((offset, len)) = value {
                        node.read_attribute(source, &key, offset, len)?;
                    }
                }
                _ => {}
            }
        }
        Ok(node)
    }

    /// Of an `AttrValue`: `type = 6, shape = 7, tensor = 8`.
    fn read_attribute(
        &mut self,
        source: &ByteSource,
        key: &str,
        offset: u64,
        len: u64,
    ) -> Result<(), ReadError> {
        if !matches!(key, "value" | "dtype" | "shape") {
            return Ok(());
        }
        for part in SourceFields::new(source, offset, len)? {
            let part = part?;
            match (key, part.number, part.payload) {
                ("value", 8, SourcePayload::Range { offset, len }) => self.tensor = Some((offset, len)),
                ("dtype", 6, SourcePayload::Number(dtype)) => self.dtype = Some(dtype),
                ("shape", 7, SourcePayload::Range { offset, len }) => {
                    let bytes = source.read_vec("a node's shape", offset, len, NODE_BYTES)?;
                    self.shape = Some(shape_value(types::shape(Message::new(&bytes, offset))?));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(number: u8, content: &[u8]) -> Vec<u8> {
        let mut bytes = vec![number << 3 | 2, content.len() as u8];
        bytes.extend(content);
        bytes
    }

    fn constant(name: &str, tensor: &[u8]) -> Vec<u8> {
        let attribute = [nested(1, b"value"), nested(2, &nested(8, tensor))].concat();
        nested(1, &[nested(1, name.as_bytes()), nested(2, b"Const"), nested(5, &attribute)].concat())
    }

    fn opened(bytes: Vec<u8>) -> GraphFile {
        GraphFile::open(&ByteSource::from_vec(bytes)).expect("opens")
    }

    #[test]
    fn raw_contents_stay_in_the_file() {
        let tensor = [&[0x08, 4][..], &nested(2, &nested(2, &[8, 2])), &nested(4, &[7, 9])].concat();
        let graph = opened(constant("w", &tensor));
        let Location::Plain { source, .. } = &graph.locations[0] else { panic!("not in place") };
        assert_eq!(source.read_all("test", 2).expect("there"), [7, 9]);
        assert_eq!(graph.tensors[0].offset, Some(source.file_offset()));
    }

    #[test]
    fn a_short_list_repeats_its_last_value() {
        let tensor = [&[0x08, 3][..], &nested(2, &nested(2, &[8, 3])), &nested(7, &[1, 5])].concat();
        let graph = opened(constant("w", &tensor));
        let Location::Memory(bytes) = &graph.locations[0] else { panic!("not a list") };
        assert_eq!(bytes, &[1, 0, 0, 0, 5, 0, 0, 0, 5, 0, 0, 0]);
    }

    #[test]
    fn contents_shorter_than_the_shape_cost_their_tensor() {
        let tensor = [&[0x08, 4][..], &nested(2, &nested(2, &[8, 9])), &nested(4, &[7, 9])].concat();
        let graph = opened(constant("w", &tensor));
        assert_eq!((graph.tensors.len(), graph.problems.len()), (1, 1));
    }

    #[test]
    fn a_graph_is_known_by_its_first_node() {
        assert!(looks_like_graph(&constant("layer/w", &[])));
        assert!(!looks_like_graph(b"\x08\x0a\x12\x07pytorch"));
        assert!(!looks_like_graph(b"\x0a\x02"));
    }
}
