//! From a bundle, and what stands beside it, to the parts of a checkpoint: roles and layers by `variables`, short values
//! that say something about the model as metadata.

use std::ops::ControlFlow;

use super::bundle::{Bundle, Variable};
use super::collections::Collections;
use super::graph_def::GraphFile;
use super::object_graph::{GRAPH_KEY, Graph, VALUE_SUFFIX};
use super::saved_model::SavedModel;
use super::values::{Location, Reader, strings};
use super::variables;
use crate::model::{
    CheckpointParts, Dtype, Problem, Progress, PythonTypes, ReadError, TensorId, TensorInfo, TensorRole,
    Value,
};
use crate::raw::limits;

/// Scalars whose values are shown in the metadata.
const SHOWN_SCALARS: usize = 64;

/// String tensors up to this many elements and bytes are shown in the metadata.
const SHOWN_STRINGS: u64 = 64;
/// See [`SHOWN_STRINGS`].
const SHOWN_STRING_BYTES: u64 = 16 << 10;

/// What stands beside the variables of a bundle.
#[derive(Default)]
pub struct Beside<'a> {
    /// The SavedModel that the bundle is of.
    pub saved: Option<&'a SavedModel>,
    /// What a TF1 graph says of the variables.
    pub collections: Option<&'a Collections>,
    /// A graph whose constants are listed behind the variables.
    pub constants: Option<GraphFile>,
    /// What goes in front of the metadata found here.
    pub metadata: Vec<(String, Value)>,
}

/// The catalogue of a bundle.
pub fn catalogue(format: &'static str, bundle: Bundle, beside: Beside<'_>) -> CheckpointParts {
    let Beside { saved, collections, constants, mut metadata } = beside;
    let mut problems = bundle.problems;
    let graph = bundle.variables.iter().find(|variable| variable.key == GRAPH_KEY).and_then(|variable| {
        match read_graph(&variable.location) {
            Ok(graph) => Some(graph),
            Err(error) => {
                problems.push(Problem::warning(
                    "object-graph",
                    format!("the object graph cannot be read, so roles are not known: {error}"),
                ));
                None
            }
        }
    });
    let none = Collections::default();
    let mut described =
        variables::describe(&bundle.variables, graph.as_ref(), saved, collections.unwrap_or(&none));
    if let Some(saved) = saved {
        metadata.extend(saved.metadata.iter().cloned());
    }
    let mut facts = vec![
        ("shards".to_owned(), Value::Int(bundle.shards.cast_signed())),
        ("format_version".to_owned(), Value::Int(bundle.producer.cast_signed())),
        (
            "byte_order".to_owned(),
            Value::Text(if bundle.big_endian { "big-endian" } else { "little-endian" }.to_owned()),
        ),
    ];
    if let Some(graph) = &graph {
        facts.push(("objects".to_owned(), Value::Int(graph.nodes.len() as i64)));
    }
    if bundle.shards > 0 {
        metadata.push(("bundle".to_owned(), Value::Map(facts)));
    }
    let scalars = scalars(&described.tensors, &bundle.variables);
    if !scalars.is_empty() {
        metadata.push(("scalars".to_owned(), Value::Map(scalars)));
    }
    let texts = texts(&bundle.variables);
    if !texts.is_empty() {
        metadata.push(("strings".to_owned(), Value::Map(texts)));
    }
    let mut locations: Vec<Location> =
        bundle.variables.into_iter().map(|variable| variable.location).collect();
    if let Some(graph) = constants {
        let behind = described.tensors.len() as u32;
        problems.extend(graph.problems.into_iter().map(|mut problem| {
            problem.tensor = problem.tensor.map(|TensorId(index)| TensorId(index + behind));
            problem
        }));
        described.tensors.extend(graph.tensors);
        described.counts_known |= graph.counts_known;
        locations.extend(graph.locations);
    }
    CheckpointParts {
        format,
        framework: None,
        tensors: described.tensors,
        layers: described.layers,
        metadata: Value::Map(metadata),
        problems,
        file_bytes: bundle.file_bytes,
        counts_known: described.counts_known,
        versioned_modules: Vec::new(),
        python_types: PythonTypes::default(),
        reader: Box::new(Reader { locations: locations.into_iter().collect() }),
    }
}

fn read_graph(location: &Location) -> Result<Graph, ReadError> {
    match location {
        Location::Strings { source, elements: 1, .. } => {
            if source.len() > limits::TEXT_BYTES {
                return Err(ReadError::OverLimit {
                    what: "the size of the object graph".into(),
                    value: source.len(),
                    limit: limits::TEXT_BYTES,
                });
            }
            let text = strings(source, 1)?;
            Graph::parse_checkpoint(text.first().map(Vec::as_slice).unwrap_or_default(), source.file_offset())
        }
        Location::Unreadable(reason) => Err(ReadError::unsupported(reason.clone())),
        _ => Err(ReadError::unsupported("it is not one string")),
    }
}

/// Single numbers beside the model, such as `global_step` and the learning rate, for the metadata.
fn scalars(tensors: &[TensorInfo], variables: &[Variable]) -> Vec<(String, Value)> {
    let beside = |tensor: &TensorInfo| {
        let role = matches!(tensor.role, TensorRole::Other | TensorRole::Optimizer | TensorRole::Unknown);
        role && tensor.shape.rank() == 0 && tensor.dtype.is_numeric() && tensor.slot_of.is_none()
    };
    let value = |variable: &Variable| {
        let mut bytes = Vec::new();
        let read = variable.location.read(&Progress::new(), &mut |piece| {
            bytes.extend_from_slice(piece);
            ControlFlow::Continue(())
        });
        read.ok()?;
        if matches!(variable.dtype, Dtype::Int64) {
            return Some(Value::Int(i64::from_le_bytes(bytes.try_into().ok()?)));
        }
        let mut numbers = Vec::new();
        variable.dtype.decode(&bytes, &mut numbers);
        let number = *numbers.first()?;
        Some(match variable.dtype {
            Dtype::Bool => Value::Bool(number != 0.0),
            Dtype::Int32 | Dtype::Int16 | Dtype::Int8 | Dtype::Uint32 | Dtype::Uint16 | Dtype::Uint8 => {
                Value::Int(number as i64)
            }
            _ => Value::Float(number),
        })
    };
    let found = tensors.iter().zip(variables).filter(|(tensor, _)| beside(tensor));
    found
        .take(SHOWN_SCALARS)
        .filter_map(|(tensor, variable)| Some((tensor.name.clone(), value(variable)?)))
        .collect()
}

/// Short string variables, for the metadata: their values are of no use to statistics.
fn texts(variables: &[Variable]) -> Vec<(String, Value)> {
    let value = |bytes: Vec<u8>| match String::from_utf8(bytes) {
        Ok(text) => Value::Text(text),
        Err(error) => {
            let bytes = error.into_bytes();
            Value::Bytes { len: bytes.len() as u64, preview: bytes.into_iter().take(64).collect() }
        }
    };
    variables
        .iter()
        .filter(|variable| variable.dtype == Dtype::String && variable.key != GRAPH_KEY)
        .filter_map(|variable| {
            let mut strings = variable.location.short_strings(SHOWN_STRINGS, SHOWN_STRING_BYTES)?;
            let name = variable.key.strip_suffix(VALUE_SUFFIX).unwrap_or(&variable.key).to_owned();
            let shown = match strings.len() {
                1 if variable.shape.rank() == 0 => value(strings.remove(0)),
                _ => Value::List(strings.into_iter().map(value).collect()),
            };
            Some((name, shown))
        })
        .take(1000)
        .collect()
}
