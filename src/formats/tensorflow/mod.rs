//! The TensorFlow format: which layout a path holds, then its catalogue.
//!
//! `bundle` finds the variables, `object_graph` and `saved_model` what is told about them, `variables` what follows;
//! `values` reads. Nothing here reads tensor values, except the object graph, which TensorFlow saves as one.

pub mod bundle;
pub mod catalogue;
pub mod collections;
pub mod evidence;
pub mod graph_def;
mod layers;
pub mod naming;
pub mod object_graph;
pub mod ordered_code;
pub mod saved_model;
pub mod state_file;
pub mod tensor_proto;
pub mod text_form;
pub mod tf1_names;
pub mod types;
pub mod v1;
pub mod values;
pub mod variables;

use std::path::{Path, PathBuf};

use self::bundle::Bundle;
use self::catalogue::{Beside, catalogue};
use self::collections::Collections;
use self::graph_def::GraphFile;
use self::object_graph::GRAPH_KEY;
use self::saved_model::SavedModel;
use self::text_form::Root;
use self::values::Reader;
use super::containers::sstable;
use super::{Format, Probe};
use crate::model::{CheckpointParts, Problem, Progress, PythonTypes, ReadError, Value};
use crate::raw::ByteSource;

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
            Some(Layout::Bundle(prefix)) => {
                let mut parts = open_checkpoint(&prefix)?;
                let series = self.siblings(probe);
                if !series.is_empty() {
                    parts.problems.push(state_file::last_by_name(&prefix, &series));
                }
                Ok(parts)
            }
            Some(Layout::V1(path)) => open_v1(&path),
            Some(Layout::State(path)) => open_state(&path),
            Some(Layout::SavedModel(path)) => open_saved_model(&path),
            Some(layout @ (Layout::Graph | Layout::MetaGraph)) => open_graph(probe, &layout),
            None => Err(ReadError::unsupported("this is not a TensorFlow checkpoint")),
        }
    }

    fn siblings(&self, probe: &Probe) -> Vec<PathBuf> {
        match layout(probe) {
            Some(Layout::State(path)) => {
                state_file::resolve(&path).map(|state| state.series).unwrap_or_default()
            }
            _ => Vec::new(),
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
        for name in ["saved_model.pb", "saved_model.pbtxt"] {
            if has(name) {
                return Some(Layout::SavedModel(path.join(name)));
            }
        }
        let state = path.join(state_file::NAME);
        if has(state_file::NAME) && starts_like_state(&state) {
            return Some(Layout::State(state));
        }
        // A folder without a state file, such as a SavedModel's `variables`: its only checkpoint, or the last by name.
        let series = state_file::by_name(path, entries);
        return series.last().cloned().map(Layout::Bundle);
    }
    let source = probe.source()?;
    match text_form::looks_like(probe.head()) {
        Some(Root::Graph) => return Some(Layout::Graph),
        Some(Root::MetaGraph) => return Some(Layout::MetaGraph),
        Some(Root::SavedModel) => return Some(Layout::SavedModel(path.to_owned())),
        None => {}
    }
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
    state_file::is_table(&bundle::with_suffix(&prefix, ".index")).then_some(Layout::Bundle(prefix))
}

/// `P` of `P.data-00000-of-00002`.
fn data_file_prefix(name: &str) -> Option<&str> {
    let (prefix, shard) = name.rsplit_once(".data-")?;
    let (number, count) = shard.split_once("-of-")?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    (digits(number) && digits(count)).then_some(prefix)
}

fn starts_like_state(path: &Path) -> bool {
    ByteSource::open(path)
        .and_then(|source| source.read_up_to("the checkpoint state file", 0, 64))
        .is_ok_and(|head| state_file::looks_like(&head))
}

/// The latest checkpoint of a folder.
fn open_state(path: &Path) -> Result<CheckpointParts, ReadError> {
    let state = state_file::resolve(path)?;
    let mut parts = if bundle::with_suffix(&state.latest, ".index").is_file() {
        open_checkpoint(&state.latest)?
    } else {
        open_v1(&state.latest)?
    };
    parts.problems.extend(state.problems);
    Ok(parts)
}

fn open_checkpoint(prefix: &Path) -> Result<CheckpointParts, ReadError> {
    let bundle = Bundle::open(prefix)?;
    let metadata = vec![(
        "checkpoint".to_owned(),
        Value::Text(prefix.file_name().unwrap_or_default().to_string_lossy().into_owned()),
    )];
    let beside = MetaFile::beside(prefix);
    let mut parts = catalogue(
        "tf-checkpoint",
        bundle,
        Beside { collections: Some(&beside.collections), metadata, ..Beside::default() },
    );
    parts.framework = beside.framework;
    Ok(parts)
}

fn open_v1(path: &Path) -> Result<CheckpointParts, ReadError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let prefix =
        v1::shard_name(&name).map_or_else(|| path.to_owned(), |(prefix, _)| path.with_file_name(prefix));
    let beside = MetaFile::beside(&prefix);
    let mut parts = catalogue(
        "tf-checkpoint-v1",
        v1::open(path)?,
        Beside { collections: Some(&beside.collections), ..Beside::default() },
    );
    parts.framework = beside.framework;
    Ok(parts)
}

/// What the `.meta` file beside a TF1 checkpoint says of its variables.
#[derive(Default)]
struct MetaFile {
    collections: Collections,
    framework: Option<String>,
}

impl MetaFile {
    /// Nothing, where there is no such file or it cannot be read: the checkpoint stands for itself.
    fn beside(prefix: &Path) -> Self {
        let read = ByteSource::open(&bundle::with_suffix(prefix, ".meta")).and_then(|source| {
            let graph = GraphFile::open_description(&source)?;
            Ok(Self { collections: graph.collections, framework: graph.framework })
        });
        read.unwrap_or_default()
    }
}

fn open_saved_model(path: &Path) -> Result<CheckpointParts, ReadError> {
    let prefix = path.with_file_name("variables").join("variables");
    let mut missing = None;
    let bundle = bundle::with_suffix(&prefix, ".index").is_file().then(|| Bundle::open(&prefix));
    let has_index = bundle.is_some();
    let bundle = bundle.and_then(|opened| {
        let failed = |error: &ReadError| {
            missing = Some(Problem::error("variables", format!("the variables cannot be read: {error}")));
        };
        opened.inspect_err(failed).ok()
    });
    let bundle = bundle.unwrap_or_else(Bundle::empty);
    // The weights of a model that has no variables are constants.
    let constants = bundle.variables.iter().all(|variable| variable.key == GRAPH_KEY);
    let mut saved = SavedModel::open(path, constants)?;
    // A model without variables has an empty folder, or none, and nothing is wrong with it.
    let expects_variables = !saved.collections.variables.is_empty()
        || saved.graph.as_ref().is_some_and(|graph| {
            graph.nodes.iter().any(|node| matches!(node.kind, object_graph::Kind::Variable { .. }))
        });
    if !has_index && expects_variables {
        missing = Some(Problem::error(
            "missing-variables",
            "variables/variables.index is missing, so the model's variables are not here; only its signatures are shown",
        ));
    }
    let constants = saved.operations.take().filter(|_| constants);
    let collections = Some(&saved.collections);
    let beside = Beside { saved: Some(&saved), collections, constants, metadata: Vec::new() };
    let mut parts = catalogue("tf-saved-model", bundle, beside);
    parts.problems.extend(missing);
    parts.framework = saved.tensorflow_version.as_ref().map(|version| format!("tensorflow {version}"));
    parts.file_bytes += saved.file_bytes;
    parts.problems.append(&mut saved.problems);
    Ok(parts)
}

fn open_graph(probe: &Probe, layout: &Layout) -> Result<CheckpointParts, ReadError> {
    let file = probe.source().ok_or_else(|| ReadError::unsupported("not a file"))?;
    let text = text_form::looks_like(probe.head());
    let source = match text {
        Some(root) => text_form::binary(file, root)?,
        None => file.clone(),
    };
    let (format, mut graph) = match layout {
        Layout::MetaGraph => ("tf-meta-graph", GraphFile::open_meta(&source)?),
        _ => ("tf-graph", GraphFile::open(&source)?),
    };
    if text.is_some() {
        // What stands in the text is not what the offsets count.
        graph.tensors.iter_mut().for_each(|tensor| tensor.offset = None);
    }
    Ok(CheckpointParts {
        format,
        framework: graph.framework,
        tensors: graph.tensors,
        layers: Vec::new(),
        metadata: Value::Map(graph.metadata),
        problems: graph.problems,
        file_bytes: file.len(),
        counts_known: graph.counts_known,
        versioned_modules: Vec::new(),
        python_types: PythonTypes::default(),
        reader: Box::new(Reader { locations: graph.locations.into_iter().collect() }),
    })
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
