//! ONNX models: initializers and constants as tensors, and what the graph says about itself.
//!
//! ```text
//! ModelProto: 1 ir_version | 2 producer_name | 3 producer_version | 4 domain | 5 model_version | 6 doc_string
//!             | 7 graph | 8 opset_import… | 14 metadata_props… | 20 training_info… | 25 functions…
//! ```
//!
//! Which initializers are trained the format does not say, so no parameters are counted. Reads no values when opening.
//! Source: <https://github.com/onnx/onnx/blob/v1.19.0/onnx/onnx.proto3>.

mod graph;
mod reader;
mod tensor;

use std::path::Path;

use super::containers::protobuf::{SourceFields, SourcePayload};
use super::{Format, Probe};
use crate::model::{CheckpointParts, Progress, PythonTypes, ReadError, Value};
use crate::raw::ByteSource;
use graph::Walk;
use tensor::{TEXT_BYTES, text};

/// ONNX models.
pub struct Onnx;

/// Fields of a model that are looked at to tell whether it is one.
const FIELDS_PROBED: usize = 64;

impl Format for Onnx {
    fn name(&self) -> &'static str {
        "ONNX"
    }

    fn extensions(&self) -> &'static [&'static str] {
        &["onnx"]
    }

    fn detect(&self, probe: &Probe) -> bool {
        // Field 1 is the version, a number, which every writer puts first.
        probe.head().first() == Some(&0x08) && probe.source().is_some_and(is_model)
    }

    fn open(&self, probe: &Probe, progress: &Progress) -> Result<CheckpointParts, ReadError> {
        let source = probe.source().ok_or_else(|| ReadError::unsupported("not a file"))?;
        let folder = probe.path().parent().unwrap_or(Path::new(""));
        let mut walk = Walk::new(source, folder, progress);
        let mut metadata: Vec<(String, Value)> = Vec::new();
        let (mut opsets, mut properties, mut functions) = (Vec::new(), Vec::new(), Vec::new());
        let mut producer = (String::new(), String::new());
        let mut trainings = 0;
        for field in SourceFields::new(source, 0, source.len())? {
            let field = field?;
            progress.advance(0)?;
            let mut keep = |key: &str, value: Value| metadata.push((key.to_owned(), value));
            match (field.number, field.payload) {
                (1, SourcePayload::Number(version)) => keep("ir_version", Value::Int(version.cast_signed())),
                (2, payload) => {
                    producer.0 = text(source, payload)?;
                    keep("producer_name", Value::Text(producer.0.clone()));
                }
                (3, payload) => {
                    producer.1 = text(source, payload)?;
                    keep("producer_version", Value::Text(producer.1.clone()));
                }
                (4, payload) => keep("domain", Value::Text(text(source, payload)?)),
                (5, SourcePayload::Number(version)) => {
                    keep("model_version", Value::Int(version.cast_signed()));
                }
                (6, payload) => keep("doc_string", Value::Text(text(source, payload)?)),
                (7, payload) => keep("graph", Value::Map(walk.graph(payload, &[])?)),
                (8, payload) => opsets.push(graph::opset(source, payload)?),
                (14, payload) => properties.push(graph::property(source, payload)?),
                (20, payload) => {
                    // TrainingInfoProto: 1 initialization, 2 algorithm, both graphs.
                    for part in tensor::fields(source, payload)? {
                        let part = part?;
                        let key = match part.number {
                            1 => "initialization",
                            2 => "algorithm",
                            _ => continue,
                        };
                        let path = ["training_info".to_owned(), trainings.to_string(), key.to_owned()];
                        walk.graph(part.payload, &path)?;
                    }
                    trainings += 1;
                }
                (25, payload) => functions.push(walk.function(payload)?),
                _ => {}
            }
        }
        for (key, entries) in [("opset_import", opsets), ("metadata_props", properties)] {
            if !entries.is_empty() {
                metadata.push((key.to_owned(), Value::Map(entries)));
            }
        }
        if !functions.is_empty() {
            metadata.push(("functions".to_owned(), Value::List(functions)));
        }
        let layers = walk.layers();
        let framework = format!("{} {}", producer.0, producer.1).trim().to_owned();
        let file_bytes = source.len().saturating_add(walk.external_bytes());
        Ok(CheckpointParts {
            format: "onnx",
            framework: (!framework.is_empty()).then_some(framework),
            tensors: walk.infos,
            layers,
            metadata: Value::Map(metadata),
            problems: walk.problems,
            file_bytes,
            counts_known: false,
            versioned_modules: Vec::new(),
            python_types: PythonTypes::default(),
            reader: Box::new(reader::Reader { source: source.clone(), tensors: walk.tensors }),
        })
    }
}

/// Whether the message has a model's fields and no others: a version and a graph, or, where the file is cut off, at
/// least a version and a producer's name.
pub(super) fn is_model(source: &ByteSource) -> bool {
    let Ok(fields) = SourceFields::new(source, 0, source.len()) else { return false };
    let (mut version, mut producer, mut graph) = (false, false, false);
    for field in fields.take(FIELDS_PROBED) {
        let Ok(field) = field else { return version && producer };
        match (field.number, field.payload) {
            (1, SourcePayload::Number(number)) => version = (1..10_000).contains(&number),
            (2, SourcePayload::Range { offset, len }) => {
                let name = source.read_vec("a name", offset, len, TEXT_BYTES).unwrap_or_default();
                // Core ML has a description here, a message, which begins with a control character.
                producer = name.iter().all(|byte| !byte.is_ascii_control()) && !name.is_empty();
                if !producer && !name.is_empty() {
                    return false;
                }
            }
            (7, SourcePayload::Range { .. }) => graph = true,
            (5, SourcePayload::Number(_)) | (3 | 4 | 6 | 8 | 14 | 20 | 25, SourcePayload::Range { .. }) => {}
            _ => return false,
        }
    }
    version && graph
}
