//! Graphs: operations of TensorFlow that reach outside of it, and files that ONNX models name.
//!
//! Sources: `tensorflow/core/framework/graph.proto`, `node_def.proto`, `attr_value.proto`, `function.proto`;
//! <https://github.com/onnx/onnx/blob/v1.19.0/onnx/onnx.proto3>.

use std::collections::HashMap;

use super::Examiner;
use crate::formats::containers::protobuf::{Message, Payload, SourceFields, SourcePayload};
use crate::formats::containers::zip_records::escapes;
use crate::formats::tensorflow::text_form::Root;
use crate::model::{Oddity, ReadError};
use crate::raw::ByteSource;

/// Nodes up to this size are looked at; larger ones hold weights.
const NODE_BYTES: u64 = 64 << 10;

/// Constants of text that are remembered, to say which file an operation names.
const TEXTS: usize = 100_000;

/// What an operation does outside of the graph. What every model has to save and restore itself is left out, and so
/// are tables that read the vocabulary among the model's own assets.
fn reach(operation: &str) -> Option<Oddity> {
    Some(match operation {
        "WriteFile"
        | "PrintV2"
        | "SaveDataset"
        | "SaveDatasetV2"
        | "CreateSummaryFileWriter"
        | "DebugNanCount" => Oddity::WritesFiles,
        "ReadFile"
        | "MatchingFiles"
        | "MatchingFilesDataset"
        | "WholeFileReader"
        | "WholeFileReaderV2"
        | "TextLineReader"
        | "TextLineReaderV2"
        | "TextLineDataset"
        | "FixedLengthRecordReader"
        | "FixedLengthRecordReaderV2"
        | "FixedLengthRecordDataset"
        | "FixedLengthRecordDatasetV2"
        | "TFRecordReader"
        | "TFRecordReaderV2"
        | "TFRecordDataset"
        | "TFRecordDatasetV2"
        | "LMDBReader"
        | "LMDBDataset"
        | "ImmutableConst"
        | "LoadDataset"
        | "LoadDatasetV2"
        | "SqlDataset" => Oddity::ReadsFiles,
        "PyFunc" | "PyFuncStateless" | "EagerPyFunc" => Oddity::PythonOperation,
        _ => return None,
    })
}

/// A node of a graph that reaches outside.
struct Node {
    kind: Oddity,
    name: String,
    operation: String,
    /// The node that gives the file's name.
    file: Option<String>,
    offset: u64,
}

#[derive(Default)]
struct Walk {
    found: Vec<Node>,
    /// Texts of constants by the node's name.
    texts: HashMap<String, String>,
}

impl Examiner<'_> {
    /// A graph, or a message around graphs.
    pub(super) fn graph_file(
        &mut self,
        source: &ByteSource,
        place: &str,
        root: Root,
    ) -> Result<(), ReadError> {
        let mut walk = Walk::default();
        let whole = (0, source.len());
        match root {
            Root::Graph => self.graph_def(source, whole, &mut walk)?,
            Root::MetaGraph => self.meta_graph(source, whole, &mut walk)?,
            // SavedModel: 2 meta_graphs.
            Root::SavedModel => {
                for part in parts(source, whole, 2)? {
                    self.meta_graph(source, part?, &mut walk)?;
                }
            }
        }
        for node in walk.found {
            let file = node.file.as_ref().and_then(|name| walk.texts.get(name));
            // Printing to the terminal is what PrintV2 is for.
            if node.operation == "PrintV2" && !file.is_some_and(|file| file.starts_with("file://")) {
                continue;
            }
            let named = file.map(|file| format!(", of {file:?}")).unwrap_or_default();
            let text = format!("node {:?} is an operation {}{named}", node.name, node.operation);
            self.evidence.observe(node.kind, place, Some(node.offset), text);
        }
        Ok(())
    }

    /// `MetaGraphDef`: 2 `graph_def`.
    fn meta_graph(
        &mut self,
        source: &ByteSource,
        range: (u64, u64),
        walk: &mut Walk,
    ) -> Result<(), ReadError> {
        for part in parts(source, range, 2)? {
            self.graph_def(source, part?, walk)?;
        }
        Ok(())
    }

    /// `GraphDef`: 1 node, 2 library `{ 1 function { 3 node_def } }`.
    fn graph_def(
        &mut self,
        source: &ByteSource,
        range: (u64, u64),
        walk: &mut Walk,
    ) -> Result<(), ReadError> {
        for node in parts(source, range, 1)? {
            self.progress.advance(0)?;
            walk.node(source, node?)?;
        }
        for library in parts(source, range, 2)? {
            for function in parts(source, library?, 1)? {
                for node in parts(source, function?, 3)? {
                    self.progress.advance(0)?;
                    walk.node(source, node?)?;
                }
            }
        }
        Ok(())
    }

    /// An ONNX model, if it is one: 7 graph `{ 5 initializer { 1 dims… 13 external_data { 1 key, 2 value } } }`.
    pub(super) fn onnx(&mut self, source: &ByteSource, head: &[u8], place: &str) -> Result<bool, ReadError> {
        if head.first() != Some(&0x08) || !crate::formats::onnx::is_model(source) {
            return Ok(false);
        }
        for graph in parts(source, (0, source.len()), 7)? {
            for tensor in parts(source, graph?, 5)? {
                self.progress.advance(0)?;
                let tensor = tensor?;
                for (offset, len) in parts(source, tensor, 13)?.collect::<Result<Vec<_>, _>>()? {
                    let Ok(entry) = source.read_vec("an entry", offset, len, NODE_BYTES) else { continue };
                    let fields = || Message::new(&entry, offset).map_while(Result::ok);
                    let is_location = fields().any(|field| field.number == 1 && field.bytes() == b"location");
                    let path = fields().find(|field| field.number == 2).map(|field| field.text());
                    if let Some(path) = path.filter(|path| is_location && escapes(path)) {
                        let text = format!("values are in {path:?}, outside of the model's folder");
                        self.observe_about(Oddity::OutsidePath, place, text, vec![path]);
                    }
                }
            }
        }
        Ok(true)
    }
}

/// The ranges of all fields of one number that hold messages.
fn parts(
    source: &ByteSource,
    (offset, len): (u64, u64),
    number: u32,
) -> Result<impl Iterator<Item = Result<(u64, u64), ReadError>>, ReadError> {
    Ok(SourceFields::new(source, offset, len)?.filter_map(move |field| match field {
        Err(error) => Some(Err(error)),
        Ok(field) => match field.payload {
            SourcePayload::Range { offset, len } if field.number == number => Some(Ok((offset, len))),
            _ => None,
        },
    }))
}

impl Walk {
    /// `NodeDef`: 1 name, 2 op, 3 input, 5 attr `{ 1 key, 2 value }`.
    fn node(&mut self, source: &ByteSource, (offset, len): (u64, u64)) -> Result<(), ReadError> {
        // Name and operation stand first, also where a weight follows.
        let bytes = source.read_up_to("a node", offset, len.min(NODE_BYTES))?;
        let (mut name, mut operation, mut input) = (String::new(), String::new(), None);
        let mut attributes = Vec::new();
        for field in Message::new(&bytes, offset).map_while(Result::ok) {
            match field.number {
                1 => name = field.text(),
                2 => operation = field.text(),
                3 => input = input.or_else(|| Some(field.text())),
                5 => attributes.push(field),
                _ => {}
            }
        }
        if operation == "Const" && self.texts.len() < TEXTS {
            let text = attributes
                .iter()
                .find_map(|field| attribute(field, "value").and_then(|value| text_of(&value)));
            self.texts.extend(text.map(|text| (name, text)));
        } else if let Some(kind) = reach(&operation) {
            let stream = attributes.iter().find_map(|field| attribute(field, "output_stream"));
            let mut file = input
                .map(|input| input.trim_start_matches('^').split(':').next().unwrap_or_default().to_owned());
            if operation == "PrintV2" {
                // AttrValue: 2 s.
                let stream = stream.and_then(|value| field_bytes(&value, 2));
                let stream = String::from_utf8_lossy(&stream.unwrap_or_default()).into_owned();
                self.texts.insert(format!("{name} output_stream"), stream);
                file = Some(format!("{name} output_stream"));
            }
            self.found.push(Node { kind, name, operation, file, offset });
        }
        Ok(())
    }
}

/// The value of an attribute, if it has that key.
fn attribute(field: &crate::formats::containers::protobuf::Field<'_>, key: &str) -> Option<Vec<u8>> {
    let parts: Vec<_> = field.message().ok()?.map_while(Result::ok).collect();
    parts.iter().any(|part| part.number == 1 && part.bytes() == key.as_bytes()).then_some(())?;
    parts.iter().find(|part| part.number == 2).map(|part| part.bytes().to_vec())
}

fn field_bytes(message: &[u8], number: u32) -> Option<Vec<u8>> {
    Message::new(message, 0).map_while(Result::ok).find(|field| field.number == number).and_then(|field| {
        match field.payload {
            Payload::Bytes(bytes) => Some(bytes.to_vec()),
            _ => None,
        }
    })
}

/// The first text of a constant. `AttrValue`: 8 tensor `{ 8 string_val }`.
fn text_of(value: &[u8]) -> Option<String> {
    let tensor = field_bytes(value, 8)?;
    let text = field_bytes(&tensor, 8)?;
    Some(String::from_utf8_lossy(&text).chars().take(200).collect())
}
