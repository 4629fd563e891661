//! Graphs: the constants of a frozen `GraphDef` (`.pb`) or of a `MetaGraphDef` (`.meta`) as tensors.
//!
//! Walks the file without reading tensor bytes; raw contents stay where they are. Sources:
//! `tensorflow/core/framework/graph.proto`, `node_def.proto`, `attr_value.proto`, tensor.proto.

use std::collections::BTreeMap;

use super::types::{self, DT_STRING};
use super::values::Location;
use crate::formats::containers::protobuf::{Message, SourceFields, SourcePayload, varint};
use crate::model::{Dtype, Problem, ReadError, Shape, TensorId, TensorInfo, TensorRole, Value};
use crate::raw::{ByteSource, limits};

/// What a graph holds.
#[derive(Debug, Default)]
pub struct GraphFile {
    /// Its constants, in graph order.
    pub tensors: Vec<TensorInfo>,
    /// Where their values are.
    pub locations: Vec<Location>,
    /// Number of nodes, operations and versions.
    pub metadata: Vec<(String, Value)>,
    /// What could not be read.
    pub problems: Vec<Problem>,
    /// Whether constants that were variables could be told from others.
    pub counts_known: bool,
}

/// Nodes up to this size are read at once; larger ones are walked in the file.
const NODE_BYTES: u64 = 64 << 10;

/// Bytes of one list of typed values; contents are raw bytes as soon as they are large.
const LIST_BYTES: u64 = 64 << 20;

/// Different operations that are counted by name.
const OPERATIONS: usize = 10_000;

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
        let mut file = Self::default();
        for field in SourceFields::new(source, 0, source.len())? {
            let field = field?;
            if let (2, SourcePayload::Range { offset, len }) = (field.number, field.payload) {
                file.read_graph(source, offset, len)?;
            }
        }
        Ok(file)
    }

    fn read_graph(&mut self, source: &ByteSource, offset: u64, len: u64) -> Result<(), ReadError> {
        let mut operations: BTreeMap<String, i64> = BTreeMap::new();
        let (mut nodes, mut functions) = (0i64, 0i64);
        for field in SourceFields::new(source, offset, len)? {
            let field = field?;
            let SourcePayload::Range { offset, len } = field.payload else { continue };
            match field.number {
                1 => {
                    nodes += 1;
                    let operation = self.read_node(source, offset, len)?;
                    if operations.len() < OPERATIONS || operations.contains_key(&operation) {
                        *operations.entry(operation).or_default() += 1;
                    }
                }
                2 => {
                    for part in SourceFields::new(source, offset, len)? {
                        functions += i64::from(part?.number == 1);
                    }
                }
                4 => {
                    let bytes = source.read_vec("the graph's version", offset, len, NODE_BYTES)?;
                    for part in Message::new(&bytes, offset) {
                        let part = part?;
                        if part.number == 1 {
                            let producer = Value::Int(part.number_value().cast_signed());
                            self.metadata.push(("producer".to_owned(), producer));
                        }
                    }
                }
                _ => {}
            }
        }
        self.metadata.push(("nodes".to_owned(), Value::Int(nodes)));
        self.metadata.push(("functions".to_owned(), Value::Int(functions)));
        let operations = operations.into_iter().map(|(name, count)| (name, Value::Int(count))).collect();
        self.metadata.push(("operations".to_owned(), Value::Map(operations)));
        Ok(())
    }

    /// Notes a node's tensor if it is a constant; returns its operation.
    fn read_node(&mut self, file: &ByteSource, offset: u64, len: u64) -> Result<String, ReadError> {
        // A small node is parsed in memory; `base` turns its positions into the file's.
        let (node, start, base) = if len <= NODE_BYTES {
            (ByteSource::from_vec(file.read_vec("a node", offset, len, NODE_BYTES)?), 0, offset)
        } else {
            (file.clone(), offset, 0)
        };
        let text = |offset: u64, len: u64| -> Result<String, ReadError> {
            let bytes = node.read_vec("a node's name", offset, len, NODE_BYTES)?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        };
        let (mut name, mut operation, mut tensor) = (String::new(), String::new(), None);
        for field in SourceFields::new(&node, start, len)? {
            let field = field?;
            match (field.number, field.payload) {
                (1, SourcePayload::Range { offset, len }) => name = text(offset, len)?,
                (2, SourcePayload::Range { offset, len }) => operation = text(offset, len)?,
                (5, SourcePayload::Range { offset, len }) => {
                    let (mut key, mut value) = (String::new(), None);
                    for part in SourceFields::new(&node, offset, len)? {
                        let part = part?;
                        match (part.number, part.payload) {
                            (1, SourcePayload::Range { offset, len }) => key = text(offset, len)?,
                            (2, SourcePayload::Range { offset, len }) => value = Some((offset, len)),
                            _ => {}
                        }
                    }
                    if let (true, Some((offset, len))) = (key == "value", value) {
                        for part in SourceFields::new(&node, offset, len)? {
                            let part = part?;
                            if let (8, SourcePayload::Range { offset, len }) = (part.number, part.payload) {
                                tensor = Some((offset, len));
                            }
                        }
                    }
                }
                _ => {}
            }
        }
        if let (true, Some((offset, len))) = (operation == "Const", tensor) {
            if self.tensors.len() >= limits::TENSORS {
                return Err(ReadError::OverLimit {
                    what: "the number of constants".into(),
                    value: self.tensors.len() as u64 + 1,
                    limit: limits::TENSORS as u64,
                });
            }
            self.note(name, TensorProto::read(&node, offset, len)?, file, base);
        }
        Ok(operation)
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

/// A `TensorProto`, its contents not read. Positions are within the source it was read from.
#[derive(Debug, Default)]
pub struct TensorProto {
    dtype: u64,
    dims: Vec<u64>,
    unknown_shape: bool,
    content: Option<(u64, u64)>,
    /// Values of the typed lists, as little-endian elements.
    list: Vec<u8>,
    strings: Vec<Vec<u8>>,
}

impl TensorProto {
    /// Reads the message at a range of `source`.
    pub fn read(source: &ByteSource, offset: u64, len: u64) -> Result<Self, ReadError> {
        Self::read_as(source, offset, len, 0)
    }

    /// The same for a message that may leave its dtype out: it is then the `DataType` given.
    pub fn read_as(source: &ByteSource, offset: u64, len: u64, dtype: u64) -> Result<Self, ReadError> {
        let mut proto = Self { dtype, ..Self::default() };
        let mut lists = Vec::new();
        for field in SourceFields::new(source, offset, len)? {
            let field = field?;
            match (field.number, field.payload) {
                (1, SourcePayload::Number(number)) => proto.dtype = number,
                (2, SourcePayload::Range { offset, len }) => {
                    let bytes = source.read_vec("a tensor's shape", offset, len, NODE_BYTES)?;
                    match types::shape(Message::new(&bytes, offset))? {
                        Some(dims) if dims.iter().all(Option::is_some) => {
                            proto.dims = dims.into_iter().flatten().collect();
                        }
                        _ => proto.unknown_shape = true,
                    }
                }
                (4, SourcePayload::Range { offset, len }) => proto.content = Some((offset, len)),
                (8, SourcePayload::Range { offset, len }) => {
                    proto.strings.push(source.read_vec("a string", offset, len, LIST_BYTES)?);
                }
                (5..=18, payload) => lists.push((field.number, payload)),
                _ => {}
            }
        }
        for (number, payload) in lists {
            proto.append(source, number, payload)?;
        }
        Ok(proto)
    }

    /// Adds the values of a typed list: fixed-size ones are bytes already, varints become elements of the dtype's size.
    fn append(&mut self, source: &ByteSource, number: u32, payload: SourcePayload) -> Result<(), ReadError> {
        let item = (types::dtype(self.dtype).bits() / 8) as usize;
        let mut put = |value: u64| {
            let bytes = value.to_le_bytes();
            self.list.extend_from_slice(bytes.get(..item.min(8)).unwrap_or_default());
        };
        match payload {
            SourcePayload::Number(value) => put(value),
            SourcePayload::Range { offset, len } => {
                let bytes = source.read_vec("a list of values", offset, len, LIST_BYTES)?;
                if matches!(number, 5 | 6 | 9 | 12 | 18) {
                    self.list.extend_from_slice(&bytes);
                } else {
                    let mut at = 0;
                    while at < bytes.len() {
                        put(varint(&bytes, &mut at, offset)?);
                    }
                }
            }
        }
        Ok(())
    }

    fn stored_bytes(&self) -> u64 {
        match self.content {
            Some((_, len)) => len,
            None => (self.list.len() + self.strings.iter().map(Vec::len).sum::<usize>()) as u64,
        }
    }

    /// Where the values are; `file` and `base` say where the proto's source begins.
    pub fn locate(
        self,
        dtype: &Dtype,
        shape: &Shape,
        file: &ByteSource,
        base: u64,
    ) -> Result<Location, ReadError> {
        let malformed = |reason: String| ReadError::malformed("a constant", base, reason);
        if self.unknown_shape {
            return Err(malformed("it has no definite shape".to_owned()));
        }
        let elements = shape
            .checked_elements()
            .ok_or_else(|| malformed("the size of its shape overflows".to_owned()))?;
        if self.dtype == DT_STRING {
            return string_location(&self.strings, elements);
        }
        let Some(bytes) = dtype.bytes_for(elements) else {
            return Err(ReadError::unsupported(format!("values of type {dtype} cannot be read")));
        };
        if let Some((offset, len)) = self.content.filter(|(_, len)| *len > 0 || bytes == 0) {
            if len != bytes {
                return Err(malformed(format!("its shape {shape} needs {bytes} bytes, but it has {len}")));
            }
            let source = file.slice("a constant", base + offset, len)?;
            return Ok(Location::Plain {
                source,
                dtype: dtype.clone(),
                shape: shape.clone(),
                big_endian: false,
                crc: None,
            });
        }
        Ok(Location::Memory(repeat_last(self.list, (dtype.bits() / 8) as usize, bytes)?))
    }
}

/// A list that is shorter than its shape repeats its last value; an empty one means zeros.
fn repeat_last(mut list: Vec<u8>, item: usize, bytes: u64) -> Result<Vec<u8>, ReadError> {
    if bytes > limits::EXPANDED_BYTES {
        return Err(ReadError::OverLimit {
            what: "the size of a constant that repeats its last value".into(),
            value: bytes,
            limit: limits::EXPANDED_BYTES,
        });
    }
    let bytes = bytes as usize;
    if list.len() > bytes {
        return Err(ReadError::malformed("a constant", 0, "it has more values than its shape"));
    }
    let last = match list.len().checked_sub(item) {
        Some(at) => list.get(at..).unwrap_or_default().to_vec(),
        None => vec![0; item],
    };
    while list.len() < bytes && !last.is_empty() {
        list.extend_from_slice(&last);
    }
    list.truncate(bytes);
    Ok(list)
}

/// Strings in the layout that bundles have, in memory.
fn string_location(strings: &[Vec<u8>], elements: u64) -> Result<Location, ReadError> {
    let count = strings.len() as u64;
    if count != elements && count != 1 && count != 0 {
        return Err(ReadError::malformed("a constant", 0, "it has another number of strings than its shape"));
    }
    let size = strings.first().map_or(0, Vec::len) as u64 + 1;
    if count != elements && elements.saturating_mul(size) > limits::EXPANDED_BYTES {
        return Err(ReadError::OverLimit {
            what: "the size of a constant that repeats one string".into(),
            value: elements,
            limit: limits::EXPANDED_BYTES,
        });
    }
    let empty = Vec::new();
    let one = strings.first().unwrap_or(&empty);
    let all = (0..elements as usize).map(|index| strings.get(index).unwrap_or(one));
    let mut bytes = Vec::new();
    for text in all.clone() {
        let mut len = text.len();
        while len >= 0x80 {
            bytes.push(len as u8 | 0x80);
            len >>= 7;
        }
        bytes.push(len as u8);
    }
    bytes.extend([0; 4]);
    for text in all {
        bytes.extend_from_slice(text);
    }
    Ok(Location::Strings { source: ByteSource::from_vec(bytes), elements })
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
