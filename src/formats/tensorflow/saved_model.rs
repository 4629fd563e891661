//! `saved_model.pb`: signatures, versions, the object graph and what Keras says of its layers.
//!
//! The graph's nodes themselves are skipped, not read. Sources: `tensorflow/core/protobuf/saved_model.proto`,
//! `tensorflow/core/protobuf/meta_graph.proto`, `keras/protobuf/saved_metadata.proto`.

use std::collections::HashMap;
use std::path::Path;

use super::object_graph::{Graph, Kind, NodeId};
use super::types;
use crate::formats::containers::protobuf::{Field, Message, SourceFields, SourcePayload};
use crate::model::{Problem, ReadError, Value};
use crate::raw::{ByteSource, limits};

/// What Keras wrote about one object.
#[derive(Debug)]
pub struct KerasObject {
    /// Such as `_tf_keras_layer`.
    pub identifier: String,
    /// `name`, `class_name`, `config`, `trainable`, …
    pub json: serde_json::Value,
}

/// What a SavedModel says beside its variables.
#[derive(Debug, Default)]
pub struct SavedModel {
    /// TensorFlow's version, as the file says it.
    pub tensorflow_version: Option<String>,
    /// Tags, signatures, versions, for people.
    pub metadata: Vec<(String, Value)>,
    /// The object graph; `None` for those of TF1.
    pub graph: Option<Graph>,
    /// Keras's own descriptions, by object.
    pub keras: HashMap<NodeId, KerasObject>,
    /// What could not be read.
    pub problems: Vec<Problem>,
    /// Bytes of the files read.
    pub file_bytes: u64,
}

/// Bytes of one part of the file that must be held in memory.
const PART_BYTES: u64 = 256 << 20;

/// Signatures, inputs and outputs that are kept.
const SIGNATURE_ENTRIES: usize = 10_000;

/// Whether bytes begin like a `SavedModel` message: schema version 1, then a `MetaGraphDef` that begins with its
/// `MetaInfoDef`. An ONNX model begins with a version too, but its second field is a producer's name.
pub fn looks_like(head: &[u8]) -> bool {
    let [0x08, 0x01, 0x12, rest @ ..] = head else { return false };
    let len = rest.iter().take(10).position(|byte| byte & 0x80 == 0);
    len.is_some_and(|len| rest.get(len + 1) == Some(&0x0a))
}

impl SavedModel {
    /// Reads the file at `path` and, beside it, `keras_metadata.pb`.
    pub fn open(path: &Path) -> Result<Self, ReadError> {
        let source = ByteSource::open(path)?;
        if source.is_empty() {
            return Err(ReadError::malformed("saved_model.pb", 0, "the file is empty"));
        }
        let mut saved = Self { file_bytes: source.len(), ..Self::default() };
        let mut graphs = 0u64;
        for field in SourceFields::new(&source, 0, source.len())? {
            let field = field?;
            match (field.number, field.payload) {
                (1, SourcePayload::Number(version)) => {
                    saved.put("schema_version", Value::Int(version.cast_signed()));
                }
                (2, SourcePayload::Range { offset, len }) => {
                    graphs += 1;
                    // The first graph is the one that is served; others are the same model for other devices.
                    if graphs == 1 {
                        saved.read_meta_graph(&source, offset, len)?;
                    }
                }
                _ => {}
            }
        }
        if graphs == 0 {
            return Err(ReadError::malformed("saved_model.pb", 0, "it holds no graph"));
        }
        if graphs > 1 {
            saved.put("meta_graphs", Value::Int(graphs.cast_signed()));
        }
        saved.read_keras(&path.with_file_name("keras_metadata.pb"));
        Ok(saved)
    }

    fn put(&mut self, key: &str, value: Value) {
        self.metadata.push((key.to_owned(), value));
    }

    fn read_meta_graph(&mut self, source: &ByteSource, offset: u64, len: u64) -> Result<(), ReadError> {
        let mut signatures = Vec::new();
        let mut assets = Vec::new();
        let mut entries = 0;
        for field in SourceFields::new(source, offset, len)? {
            let field = field?;
            let SourcePayload::Range { offset, len } = field.payload else { continue };
            if !matches!(field.number, 1 | 5 | 6 | 7) {
                continue;
            }
            let bytes = source.read_vec("a part of saved_model.pb", offset, len, PART_BYTES)?;
            let message = Message::new(&bytes, offset);
            match field.number {
                1 => self.read_meta_info(message)?,
                5 => signatures.push(signature(message, &mut entries)?),
                6 => {
                    for part in message {
                        let part = part?;
                        if part.number == 2 && assets.len() < SIGNATURE_ENTRIES {
                            assets.push(Value::Text(part.text()));
                        }
                    }
                }
                _ => match Graph::parse_saved(&bytes, offset) {
                    Ok(graph) => self.graph = Some(graph),
                    Err(error) => self.problems.push(Problem::error(
                        "object-graph",
                        format!("the object graph cannot be read, so layers are not known: {error}"),
                    )),
                },
            }
        }
        if !signatures.is_empty() {
            self.put("signatures", Value::Map(signatures));
        }
        if !assets.is_empty() {
            self.put("assets", Value::List(assets));
        }
        Ok(())
    }

    /// `MetaInfoDef`: `tags = 4, tensorflow_version = 5, tensorflow_git_version = 6`.
    fn read_meta_info(&mut self, message: Message<'_>) -> Result<(), ReadError> {
        let mut tags = Vec::new();
        for field in message {
            let field = field?;
            match field.number {
                1 => self.put("meta_graph_version", Value::Text(field.text())),
                4 if tags.len() < SIGNATURE_ENTRIES => tags.push(Value::Text(field.text())),
                5 => {
                    self.put("tensorflow_version", Value::Text(field.text()));
                    self.tensorflow_version = Some(field.text());
                }
                6 => self.put("tensorflow_git_version", Value::Text(field.text())),
                _ => {}
            }
        }
        self.put("tags", Value::List(tags));
        Ok(())
    }

    /// Keras's descriptions: from `keras_metadata.pb` since Keras 2.5, from the object graph before.
    fn read_keras(&mut self, path: &Path) {
        if let Some(graph) = &self.graph {
            for (id, node) in (0..).zip(&graph.nodes) {
                if let Kind::User { identifier, metadata } = &node.kind
                    && identifier.starts_with("_tf_keras_")
                    && let Ok(json) = serde_json::from_str(metadata)
                {
                    self.keras.insert(id, KerasObject { identifier: identifier.clone(), json });
                }
            }
        }
        if !path.is_file() {
            return;
        }
        let read = ByteSource::open(path).and_then(|source| {
            self.file_bytes += source.len();
            let bytes = source.read_all("keras_metadata.pb", limits::TEXT_BYTES)?;
            for field in Message::new(&bytes, 0) {
                let field = field?;
                if field.number == 1
                    && let Some((id, object)) = keras_object(&field)?
                {
                    self.keras.insert(id, object);
                }
            }
            Ok(())
        });
        if let Err(error) = read {
            self.problems.push(Problem::warning(
                "keras-metadata",
                format!("keras_metadata.pb cannot be read, so some layers have no class: {error}"),
            ));
        }
    }
}

/// `SavedObject`: `node_id = 2, node_path = 3, identifier = 4, metadata = 5`.
fn keras_object(field: &Field<'_>) -> Result<Option<(NodeId, KerasObject)>, ReadError> {
    let (mut id, mut identifier, mut json) = (0, String::new(), None);
    for part in field.message()? {
        let part = part?;
        match part.number {
            2 => id = part.number_value() as NodeId,
            4 => identifier = part.text(),
            5 => json = serde_json::from_slice(part.bytes()).ok(),
            _ => {}
        }
    }
    Ok(json.map(|json| (id, KerasObject { identifier, json })))
}

/// An entry of `MetaGraphDef.signature_def`: `inputs = 1, outputs = 2, method_name = 3`.
fn signature(message: Message<'_>, entries: &mut usize) -> Result<(String, Value), ReadError> {
    let mut name = String::new();
    let mut content = Vec::new();
    for field in message {
        let field = field?;
        match field.number {
            1 => name = field.text(),
            2 => {
                let (mut inputs, mut outputs) = (Vec::new(), Vec::new());
                for part in field.message()? {
                    let part = part?;
                    if matches!(part.number, 1 | 2) {
                        *entries += 1;
                        if *entries > SIGNATURE_ENTRIES {
                            continue;
                        }
                        let target = if part.number == 1 { &mut inputs } else { &mut outputs };
                        target.push(argument(&part)?);
                    } else if part.number == 3 {
                        content.push(("method".to_owned(), Value::Text(part.text())));
                    }
                }
                content.push(("inputs".to_owned(), Value::Map(inputs)));
                content.push(("outputs".to_owned(), Value::Map(outputs)));
            }
            _ => {}
        }
    }
    Ok((name, Value::Map(content)))
}

/// A named `TensorInfo`: `name = 1, dtype = 2, tensor_shape = 3`.
fn argument(field: &Field<'_>) -> Result<(String, Value), ReadError> {
    let mut key = String::new();
    let mut content = Vec::new();
    for part in field.message()? {
        let part = part?;
        if part.number == 1 {
            key = part.text();
        } else if part.number == 2 {
            for fact in part.message()? {
                let fact = fact?;
                match fact.number {
                    1 => content.push(("tensor".to_owned(), Value::Text(fact.text()))),
                    2 => {
                        let dtype = types::dtype(fact.number_value());
                        content.push(("dtype".to_owned(), Value::Text(dtype.name().to_owned())));
                    }
                    3 => {
                        let dims = types::shape_field(&fact)?;
                        content.push(("shape".to_owned(), shape_value(dims)));
                    }
                    _ => {}
                }
            }
        }
    }
    Ok((key, Value::Map(content)))
}

fn shape_value(dims: Option<Vec<Option<u64>>>) -> Value {
    match dims {
        None => Value::Null,
        Some(dims) => Value::List(
            dims.into_iter()
                .map(|dim| dim.map_or(Value::Null, |dim| Value::Int(dim.cast_signed())))
                .collect(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_saved_model_is_told_from_onnx() {
        assert!(looks_like(&[8, 1, 0x12, 0x90, 0x4e, 0x0a, 0x10]));
        assert!(!looks_like(b"\x08\x0a\x12\x07pytorch"));
        assert!(!looks_like(&[8, 1, 0x12]));
    }

    #[test]
    fn signatures_have_dtype_and_shape() {
        // key "x" → TensorInfo { name: "x:0", dtype: float, shape: [-1, 2] }
        let shape = [0x12, 11, 8, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1, 0x12, 2, 8, 2];
        let mut info = vec![0x0a, 3, b'x', b':', b'0', 0x10, 1, 0x1a, shape.len() as u8];
        info.extend(shape);
        let mut entry = vec![0x0a, 1, b'x', 0x12, info.len() as u8];
        entry.extend(info);
        let mut bytes = vec![0x0a, entry.len() as u8];
        bytes.extend(entry);
        let field = Message::new(&bytes, 0).next().expect("one").expect("legal");
        let (name, value) = argument(&field).expect("legal");
        assert_eq!((name.as_str(), value.get("dtype")), ("x", Some(&Value::Text("float32".into()))));
        assert_eq!(value.get("shape"), Some(&Value::List(vec![Value::Null, Value::Int(2)])));
    }
}
