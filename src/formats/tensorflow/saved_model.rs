//! `saved_model.pb`: signatures, versions, the object graph and what Keras says of its layers.
//!
//! Of the graph's nodes only the operations are counted. Sources: `tensorflow/core/protobuf/saved_model.proto`,
//! `tensorflow/core/protobuf/meta_graph.proto`, `keras/protobuf/saved_metadata.proto`.

use std::collections::HashMap;
use std::path::Path;

use super::collections::Collections;
use super::graph_def::GraphFile;
use super::object_graph::{Graph, Kind, NodeId};
use super::{text_form, types};
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
    /// What TF1 graphs say of their variables.
    pub collections: Collections,
    /// The operations of the first graph, and its constants where these were asked for.
    pub operations: Option<GraphFile>,
    /// What could not be read.
    pub problems: Vec<Problem>,
    /// Bytes of the files read.
    pub file_bytes: u64,
}

/// Bytes of one part of the file that must be held in memory.
const PART_BYTES: u64 = 256 << 20;

/// Graphs of one file; there is one for each use of a model.
const META_GRAPHS: usize = 1000;

/// Assets that are listed.
const ASSETS: usize = 1000;

/// Bytes of a small file beside `saved_model.pb`.
const SMALL_FILE_BYTES: u64 = 1 << 20;

/// Signatures, inputs and outputs that are kept.
const SIGNATURE_ENTRIES: usize = 10_000;

/// Whether bytes begin like a `SavedModel` message: schema version 1, then a `MetaGraphDef` that begins with its
/// `MetaInfoDef`. An ONNX model begins with a version too, but its second field is a producer's name.
pub fn looks_like(head: &[u8]) -> bool {
    let [0x08, 0x01, 0x12, rest @ ..] = head else { return false };
    let len = rest.iter().take(10).position(|byte| byte & 0x80 == 0);
    len.is_some_and(|len| rest.get(len + 1) == Some(&0x0a))
}

/// What one meta graph says: its tags, its signatures, the versions that wrote it.
#[derive(Debug, Default)]
struct MetaGraph {
    facts: Vec<(String, Value)>,
    tensorflow_version: Option<String>,
    assets: Vec<String>,
}

impl SavedModel {
    /// Reads the file at `path`, in binary or in text form, and what stands beside it. `constants`: whether to list the
    /// graph's constants too, which hold the weights of a model that has no variables.
    pub fn open(path: &Path, constants: bool) -> Result<Self, ReadError> {
        let file = ByteSource::open(path)?;
        if file.is_empty() {
            return Err(ReadError::malformed("saved_model.pb", 0, "the file is empty"));
        }
        let mut saved = Self { file_bytes: file.len(), ..Self::default() };
        let head = file.read_up_to("the start of the file", 0, 4096)?;
        let text = text_form::looks_like(&head);
        let source = match text {
            Some(root) => text_form::binary(&file, root)?,
            None => file,
        };
        let mut graphs = Vec::new();
        for field in SourceFields::new(&source, 0, source.len())? {
            let field = field?;
            match (field.number, field.payload) {
                (1, SourcePayload::Number(version)) => {
                    saved.put("schema_version", Value::Int(version.cast_signed()));
                }
                (2, SourcePayload::Range { offset, len }) if graphs.len() < META_GRAPHS => {
                    // The graphs are one model for several uses, which share the variables; the operations and
                    // constants shown are those of the first.
                    let first = graphs.is_empty();
                    graphs.push(saved.read_meta_graph(&source, offset, len, first, constants)?);
                }
                _ => {}
            }
        }
        if graphs.is_empty() {
            return Err(ReadError::malformed("saved_model.pb", 0, "it holds no graph"));
        }
        if let (Some(_), Some(graph)) = (text, &mut saved.operations) {
            graph.tensors.iter_mut().for_each(|tensor| tensor.offset = None);
        }
        let folder = path.parent().unwrap_or_else(|| Path::new(""));
        saved.tell(graphs, folder);
        saved.read_keras(&path.with_file_name("keras_metadata.pb"));
        saved.tell_keras();
        Ok(saved)
    }

    fn put(&mut self, key: &str, value: Value) {
        self.metadata.push((key.to_owned(), value));
    }

    /// Puts what the graphs say, and what stands beside them, into the metadata.
    fn tell(&mut self, mut graphs: Vec<MetaGraph>, folder: &Path) {
        let mut assets: Vec<String> = Vec::new();
        for graph in &mut graphs {
            assets.append(&mut graph.assets);
        }
        self.tensorflow_version = graphs.iter_mut().find_map(|graph| graph.tensorflow_version.take());
        if let Some(version) = self.tensorflow_version.clone() {
            self.put("tensorflow_version", Value::Text(version));
        }
        if graphs.len() == 1 {
            self.metadata.extend(graphs.into_iter().flat_map(|graph| graph.facts));
        } else {
            let graphs = graphs.into_iter().map(|graph| Value::Map(graph.facts)).collect();
            self.put("meta_graphs", Value::List(graphs));
        }
        let listed = std::fs::read_dir(folder.join("assets")).into_iter().flatten().flatten();
        assets.extend(listed.take(ASSETS).map(|entry| entry.file_name().to_string_lossy().into_owned()));
        assets.sort();
        assets.dedup();
        if !assets.is_empty() {
            self.put("assets", Value::List(assets.into_iter().map(Value::Text).collect()));
        }
        if let Some(graph) = &mut self.operations {
            let operations = std::mem::take(&mut graph.metadata);
            // A signature says what goes in and out; the ends of the graph itself are not the model's.
            let kept =
                operations.into_iter().filter(|(name, _)| !matches!(name.as_str(), "inputs" | "outputs"));
            self.metadata.push(("graph".to_owned(), Value::Map(kept.collect())));
        }
        for (file, key, read) in [
            ("fingerprint.pb", "fingerprint", fingerprint as fn(&[u8]) -> Vec<(String, Value)>),
            ("tfhub_module.pb", "tfhub_module", hub_module),
        ] {
            if let Ok(source) = ByteSource::open(&folder.join(file))
                && let Ok(bytes) = source.read_all("a description beside saved_model.pb", SMALL_FILE_BYTES)
            {
                self.file_bytes += source.len();
                self.put(key, Value::Map(read(&bytes)));
            }
        }
    }

    fn read_meta_graph(
        &mut self,
        source: &ByteSource,
        offset: u64,
        len: u64,
        first: bool,
        constants: bool,
    ) -> Result<MetaGraph, ReadError> {
        let mut graph = MetaGraph::default();
        let mut signatures = Vec::new();
        let mut entries = 0;
        for field in SourceFields::new(source, offset, len)? {
            let field = field?;
            let SourcePayload::Range { offset, len } = field.payload else { continue };
            match field.number {
                2 if first => match GraphFile::open_part(source, offset, len, constants) {
                    Ok(graph) => self.operations = Some(graph),
                    Err(error) => self.problems.push(Problem::warning(
                        "graph",
                        format!("the graph cannot be read, so its operations are not known: {error}"),
                    )),
                },
                4 => self.collections.read(source, offset, len)?,
                1 | 5 | 6 | 7 => {
                    let bytes = source.read_vec("a part of saved_model.pb", offset, len, PART_BYTES)?;
                    let message = Message::new(&bytes, offset);
                    match field.number {
                        1 => graph.read_info(message)?,
                        5 => signatures.push(signature(message, &mut entries)?),
                        6 => graph.read_asset(message)?,
                        _ if self.graph.is_some() => {}
                        _ => match Graph::parse_saved(&bytes, offset) {
                            // A graph of TF1 has an empty one.
                            Ok(graph) => self.graph = Some(graph).filter(|graph| !graph.nodes.is_empty()),
                            Err(error) => self.problems.push(Problem::error(
                                "object-graph",
                                format!("the object graph cannot be read, so layers are not known: {error}"),
                            )),
                        },
                    }
                }
                _ => {}
            }
        }
        if !signatures.is_empty() {
            graph.facts.push(("signatures".to_owned(), Value::Map(signatures)));
        }
        Ok(graph)
    }

    /// What Keras says of the model as a whole, which is the root object.
    fn tell_keras(&mut self) {
        let Some(object) = self.keras.get(&0) else { return };
        let facts: Vec<(String, Value)> =
            ["class_name", "name", "keras_version", "backend", "training_config", "batch_input_shape"]
                .into_iter()
                .filter_map(|key| Some((key.to_owned(), object.json.get(key)?)))
                .filter(|(_, value)| !value.is_null())
                .map(|(key, value)| (key, Value::from_json(value.clone())))
                .collect();
        self.put("keras", Value::Map(facts));
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

impl MetaGraph {
    /// `MetaInfoDef`: `tags = 4, tensorflow_version = 5, tensorflow_git_version = 6`.
    fn read_info(&mut self, message: Message<'_>) -> Result<(), ReadError> {
        let mut tags = Vec::new();
        for field in message {
            let field = field?;
            match field.number {
                1 => self.facts.push(("meta_graph_version".to_owned(), Value::Text(field.text()))),
                4 if tags.len() < SIGNATURE_ENTRIES => tags.push(Value::Text(field.text())),
                5 => self.tensorflow_version = Some(field.text()),
                6 => self.facts.push(("tensorflow_git_version".to_owned(), Value::Text(field.text()))),
                _ => {}
            }
        }
        self.facts.push(("tags".to_owned(), Value::List(tags)));
        Ok(())
    }

    /// `AssetFileDef`: `tensor_info = 1, filename = 2`.
    fn read_asset(&mut self, message: Message<'_>) -> Result<(), ReadError> {
        for field in message {
            let field = field?;
            if field.number == 2 && self.assets.len() < ASSETS {
                self.assets.push(field.text());
            }
        }
        Ok(())
    }
}

/// The numbers of a `FingerprintDef`. Source: `tensorflow/core/protobuf/fingerprint.proto`.
fn fingerprint(bytes: &[u8]) -> Vec<(String, Value)> {
    let names = [
        "saved_model_checksum",
        "graph_def_program_hash",
        "signature_def_hash",
        "saved_object_graph_hash",
        "checkpoint_hash",
    ];
    let mut facts = Vec::new();
    for field in Message::new(bytes, 0).map_while(Result::ok) {
        if field.number == 7 {
            facts.push(("uuid".to_owned(), Value::Text(field.text())));
        } else if let Some(name) = names.get((field.number as usize).wrapping_sub(1)) {
            // As unsigned numbers: most do not fit into a signed one.
            facts.push(((*name).to_owned(), Value::BigInt(field.number_value().to_string())));
        }
    }
    facts
}

/// `ModuleDef { format = 1 }` of a TF-Hub module. Source: `tensorflow_hub/module_def.proto`.
fn hub_module(bytes: &[u8]) -> Vec<(String, Value)> {
    let mut facts = Vec::new();
    for field in Message::new(bytes, 0).map_while(Result::ok) {
        match field.number {
            1 => facts.push(("format".to_owned(), Value::Int(field.number_value().cast_signed()))),
            2 => facts.push(("required_feature".to_owned(), Value::Text(field.text()))),
            _ => {}
        }
    }
    facts
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

pub(super) fn shape_value(dims: Option<Vec<Option<u64>>>) -> Value {
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
