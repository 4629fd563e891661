//! The TensorFlow format: which layout a path holds, then its catalogue.
//!
//! `bundle` finds the variables, `object_graph` and `saved_model` what is told about them, `variables` what follows;
//! `values` reads. Nothing here reads tensor values, except the object graph, which TensorFlow saves as one.

pub mod bundle;
pub mod graph_def;
pub mod object_graph;
pub mod ordered_code;
pub mod saved_model;
pub mod state_file;
pub mod text_form;
pub mod types;
pub mod v1;
pub mod values;
pub mod variables;

use std::path::{Path, PathBuf};

use self::bundle::Bundle;
use self::graph_def::GraphFile;
use self::object_graph::{GRAPH_KEY, Graph, VALUE_SUFFIX};
use self::saved_model::SavedModel;
use self::values::{Location, Reader, strings};
use super::containers::sstable;
use super::{Format, Probe};
use crate::model::{CheckpointParts, Dtype, Problem, Progress, ReadError, Value};
use crate::raw::limits;

/// TensorFlow checkpoints, `SavedModel` folders and graphs.
pub struct TensorFlow;

/// What a path is.
#[derive(Debug, PartialEq, Eq)]
enum Layout {
    /// The prefix of a bundle.
    Bundle(PathBuf),
    /// A V1 checkpoint.
    V1(PathBuf),
    /// A state file, which names a prefix.
    State(PathBuf),
    /// A `saved_model.pb`.
    SavedModel(PathBuf),
    /// A `GraphDef`.
    Graph,
    /// A `MetaGraphDef`.
    MetaGraph,
}

/// String tensors up to this many elements and bytes are shown in the metadata.
const SHOWN_STRINGS: u64 = 64;
/// See [`SHOWN_STRINGS`].
const SHOWN_STRING_BYTES: u64 = 16 << 10;

impl Format for TensorFlow {
    fn name(&self) -> &'static str {
        "TensorFlow"
    }

    fn extensions(&self) -> &'static [&'static str] {
        &["index", "pb"]
    }

    fn detect(&self, probe: &Probe) -> bool {
        layout(probe).is_some()
    }

    fn open(&self, probe: &Probe, progress: &Progress) -> Result<CheckpointParts, ReadError> {
        progress.advance(0)?;
        match layout(probe) {
            Some(Layout::Bundle(prefix)) => open_checkpoint(&prefix, None),
            Some(Layout::V1(path)) => open_v1(&path, None),
            Some(Layout::State(path)) => {
                let (prefix, problem) = state_file::resolve(&path)?;
                if bundle::with_suffix(&prefix, ".index").is_file() {
                    open_checkpoint(&prefix, problem)
                } else {
                    open_v1(&prefix, problem)
                }
            }
            Some(Layout::SavedModel(path)) => open_saved_model(&path),
            Some(layout @ (Layout::Graph | Layout::MetaGraph)) => open_graph(probe, &layout),
            None => Err(ReadError::unsupported("this is not a TensorFlow checkpoint")),
        }
    }
}

fn layout(probe: &Probe) -> Option<Layout> {
    let path = probe.path();
    if probe.is_prefix() {
        return Some(Layout::Bundle(path.to_owned()));
    }
    if let Some(entries) = probe.folder() {
        let has = |name: &str| entries.binary_search_by(|entry| entry.as_str().cmp(name)).is_ok();
        if has("saved_model.pb") {
            return Some(Layout::SavedModel(path.join("saved_model.pb")));
        }
        let state = path.join(state_file::NAME);
        if has(state_file::NAME) && starts_like_state(&state) {
            return Some(Layout::State(state));
        }
        // A folder with one checkpoint and no state file, such as a SavedModel's `variables`.
        let mut indexes = entries.iter().filter_map(|entry| entry.strip_suffix(".index"));
        let (first, second) = (indexes.next(), indexes.next());
        return first
            .filter(|_| second.is_none())
            .map(|name| path.join(name))
            .filter(|prefix| is_table(&bundle::with_suffix(prefix, ".index")))
            .map(Layout::Bundle);
    }
    let source = probe.source()?;
    if state_file::looks_like(probe.head()) {
        return Some(Layout::State(path.to_owned()));
    }
    if saved_model::looks_like(probe.head()) {
        return Some(Layout::SavedModel(path.to_owned()));
    }
    if graph_def::looks_like_graph(probe.head()) {
        return Some(Layout::Graph);
    }
    if graph_def::looks_like_meta_graph(source, probe.head()) {
        return Some(Layout::MetaGraph);
    }
    let tail = source.read_up_to("the end of the file", source.len().saturating_sub(8), 8).ok()?;
    let name = probe.file_name();
    if sstable::has_magic(&tail) {
        if v1::is_v1(source) {
            return Some(Layout::V1(path.to_owned()));
        }
        return name.strip_suffix(".index").map(|prefix| Layout::Bundle(path.with_file_name(prefix)));
    }
    // A data file is nothing but tensor bytes: only its name and the index beside it tell what it is.
    let prefix = path.with_file_name(data_file_prefix(&name)?);
    is_table(&bundle::with_suffix(&prefix, ".index")).then_some(Layout::Bundle(prefix))
}

/// `P` of `P.data-00000-of-00002`.
fn data_file_prefix(name: &str) -> Option<&str> {
    let (prefix, shard) = name.rsplit_once(".data-")?;
    let (number, count) = shard.split_once("-of-")?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    (digits(number) && digits(count)).then_some(prefix)
}

fn starts_like_state(path: &Path) -> bool {
    crate::raw::ByteSource::open(path)
        .and_then(|source| source.read_up_to("the checkpoint state file", 0, 64))
        .is_ok_and(|head| state_file::looks_like(&head))
}

fn is_table(path: &Path) -> bool {
    crate::raw::ByteSource::open(path)
        .and_then(|source| source.read_up_to("the end of the file", source.len().saturating_sub(8), 8))
        .is_ok_and(|tail| sstable::has_magic(&tail))
}

fn open_checkpoint(prefix: &Path, problem: Option<Problem>) -> Result<CheckpointParts, ReadError> {
    let bundle = Bundle::open(prefix)?;
    let metadata = vec![(
        "checkpoint".to_owned(),
        Value::Text(prefix.file_name().unwrap_or_default().to_string_lossy().into_owned()),
    )];
    let mut parts = catalogue("tf-checkpoint", bundle, None, metadata);
    parts.problems.extend(problem);
    Ok(parts)
}

fn open_v1(path: &Path, problem: Option<Problem>) -> Result<CheckpointParts, ReadError> {
    let bundle = v1::open(&crate::raw::ByteSource::open(path)?)?;
    let mut parts = catalogue("tf-checkpoint-v1", bundle, None, Vec::new());
    parts.problems.extend(problem);
    Ok(parts)
}

fn open_saved_model(path: &Path) -> Result<CheckpointParts, ReadError> {
    let saved = SavedModel::open(path)?;
    let prefix = path.with_file_name("variables").join("variables");
    let index = bundle::with_suffix(&prefix, ".index");
    let mut missing = None;
    let bundle = if index.is_file() {
        Bundle::open(&prefix).map_err(|error| {
            missing = Some(Problem::error("variables", format!("the variables cannot be read: {error}")));
        })
    } else {
        let expected = saved.graph.as_ref().is_some_and(|graph| {
            graph.nodes.iter().any(|node| matches!(node.kind, object_graph::Kind::Variable { .. }))
        });
        // A model without variables has an empty folder, and nothing is wrong with it.
        if expected || !path.with_file_name("variables").is_dir() {
            missing = Some(Problem::error(
                "missing-variables",
                "variables/variables.index is missing, so the model's variables are not here; only its signatures are shown",
            ));
        }
        Err(())
    };
    let bundle = bundle.unwrap_or_else(|()| Bundle::empty());
    let mut parts = catalogue("tf-saved-model", bundle, Some(&saved), Vec::new());
    parts.problems.extend(missing);
    parts.framework = saved.tensorflow_version.as_ref().map(|version| format!("tensorflow {version}"));
    parts.file_bytes += saved.file_bytes;
    parts.problems.extend(saved.problems);
    Ok(parts)
}

fn open_graph(probe: &Probe, layout: &Layout) -> Result<CheckpointParts, ReadError> {
    let source = probe.source().ok_or_else(|| ReadError::unsupported("not a file"))?;
    let (format, graph) = match layout {
        Layout::MetaGraph => ("tf-meta-graph", GraphFile::open_meta(source)?),
        _ => ("tf-graph", GraphFile::open(source)?),
    };
    Ok(CheckpointParts {
        format,
        framework: None,
        tensors: graph.tensors,
        layers: Vec::new(),
        metadata: Value::Map(graph.metadata),
        problems: graph.problems,
        file_bytes: source.len(),
        counts_known: graph.counts_known,
        reader: Box::new(Reader { locations: graph.locations.into_iter().collect() }),
    })
}

fn catalogue(
    format: &'static str,
    bundle: Bundle,
    saved: Option<&SavedModel>,
    mut metadata: Vec<(String, Value)>,
) -> CheckpointParts {
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
    let described = variables::describe(&bundle.variables, graph.as_ref(), saved);
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
    let texts = texts(&bundle.variables);
    if !texts.is_empty() {
        metadata.push(("strings".to_owned(), Value::Map(texts)));
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
        reader: Box::new(Reader {
            locations: bundle.variables.into_iter().map(|variable| variable.location).collect(),
        }),
    }
}

fn read_graph(location: &Location) -> Result<Graph, ReadError> {
    match location {
        Location::Strings { source, elements: 1 } => {
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

/// Short string variables, for the metadata: their values are of no use to statistics.
fn texts(variables: &[bundle::Variable]) -> Vec<(String, Value)> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_files_are_known_by_their_numbers() {
        assert_eq!(data_file_prefix("m.data-00000-of-00002"), Some("m"));
        assert_eq!(data_file_prefix("m.data-x-of-2"), None);
    }

    #[test]
    fn a_text_that_ends_like_no_table_is_not_claimed() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("notes.index");
        std::fs::write(&path, "nothing").expect("written");
        assert!(layout(&Probe::new(&path).expect("there")).is_none());
        assert!(layout(&Probe::new(folder.path()).expect("there")).is_none());
    }
}
