//! An opened checkpoint: its catalogue, its metadata, and the handle that reads values.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::{
    LayerTree, Problem, Progress, PythonTypes, ReadError, Severity, TensorId, TensorInfo, TensorRole, Value,
    role,
};

/// Reads values of one checkpoint's tensors. Implemented once per format; used through [`Checkpoint`].
pub trait TensorReader: Send + Sync {
    /// Passes the elements of `id` to `sink`, row-major, packed and little-endian, in pieces that are
    /// multiples of [`super::Dtype::group_bytes`]. A sink that breaks ends the read without an error.
    fn read_chunks(
        &self,
        id: TensorId,
        progress: &Progress,
        sink: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<(), ReadError>;

    /// Fills `buffer` with what [`Self::read_chunks`] would deliver from byte `offset` on, so that several threads can
    /// share one tensor. `offset` and the length are multiples of [`super::Dtype::group_bytes`].
    ///
    /// `None` where the elements can be had in order only (compressed, scattered, checked by a sum over all of them).
    /// An empty `buffer` asks which of the two it is, without reading.
    fn read_at(&self, id: TensorId, offset: u64, buffer: &mut [u8]) -> Option<Result<(), ReadError>> {
        let _ = (id, offset, buffer);
        None
    }
}

/// A layer or module, as the file describes it.
#[derive(Debug, Clone, Default)]
pub struct LayerInfo {
    /// Its name in the model, such as `encoder.layers.0` or `conv_1`.
    pub path: String,
    /// The same from the root of the file: the keys under which its tensors' paths begin.
    pub segments: Vec<String>,
    /// Class, such as `Conv2D`.
    pub class: Option<String>,
    /// Its own configuration, where the format has it.
    pub config: Value,
    /// Output shape, where the file tells; `None` for a dimension that is not fixed.
    pub output_shape: Option<Vec<Option<u64>>>,
    /// Shapes of its further outputs, where it has several, such as the states of an LSTM.
    pub further_outputs: Vec<Vec<Option<u64>>>,
    /// What its configuration says about its weights, where the file itself holds none.
    pub configured: Option<ConfiguredCount>,
}

/// Elements of the weights that a configuration determines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ConfiguredCount {
    /// All of them.
    pub parameters: u64,
    /// Those that training changes.
    pub trainable: u64,
}

/// What a format found in a file; becomes a [`Checkpoint`].
pub struct CheckpointParts {
    /// Identifier of the layout, such as `pytorch-zip`.
    pub format: &'static str,
    /// Framework and version, as the file says it.
    pub framework: Option<String>,
    /// The catalogue, in file order.
    pub tensors: Vec<TensorInfo>,
    /// Layers in the model's order; empty where the file has none.
    pub layers: Vec<LayerInfo>,
    /// Everything that is not a tensor.
    pub metadata: Value,
    /// What types the containers of a pickle had.
    pub python_types: PythonTypes,
    /// What could not be read or should be known.
    pub problems: Vec<Problem>,
    /// Bytes of all files that belong to it.
    pub file_bytes: u64,
    /// Whether the file tells which tensors are the model's parameters. Otherwise counts are not claimed.
    pub counts_known: bool,
    /// Modules of PyTorch state dictionaries whose version is at least 2, by the keys that lead to them. Only where the file
    /// tells versions: dictionaries that were made by hand have none.
    pub versioned_modules: Vec<String>,
    /// Reads values.
    pub reader: Box<dyn TensorReader>,
}

/// Counts over a checkpoint. The first three are the model's, as the framework's own summary counts them.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[expect(missing_docs, reason = "named as in the JSON that documents them")]
pub struct Totals {
    pub tensors: u64,
    pub parameters: Option<u64>,
    pub trainable: Option<u64>,
    pub non_trainable: Option<u64>,
    pub buffers: u64,
    pub optimizer: u64,
    pub elements: u64,
    pub tensor_bytes: u64,
    pub stored_bytes: u64,
    pub file_bytes: u64,
}

/// An opened checkpoint. Immutable; share it in an `Arc`.
pub struct Checkpoint {
    path: PathBuf,
    parts: CheckpointParts,
    siblings: Vec<PathBuf>,
    tree: OnceLock<LayerTree>,
    names: OnceLock<HashMap<String, TensorId>>,
    totals: Totals,
}

impl Checkpoint {
    /// Completes what a format found. `path` is what was opened.
    pub fn new(path: &Path, mut parts: CheckpointParts) -> Self {
        parts.problems.sort_by_key(|problem| std::cmp::Reverse(problem.severity));
        parts.problems.truncate(PROBLEMS_KEPT);
        role::find_pruning_masks(&mut parts.tensors);
        let totals = totals(&parts);
        Self {
            path: path.to_owned(),
            parts,
            siblings: Vec::new(),
            tree: OnceLock::new(),
            names: OnceLock::new(),
            totals,
        }
    }

    /// What was opened: a file or a folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Identifier of the layout, such as `pytorch-zip`.
    pub fn format(&self) -> &'static str {
        self.parts.format
    }

    /// Framework and version, as the file says it.
    pub fn framework(&self) -> Option<&str> {
        self.parts.framework.as_deref()
    }

    /// The catalogue, in file order.
    pub fn tensors(&self) -> impl ExactSizeIterator<Item = (TensorId, &TensorInfo)> {
        self.parts.tensors.iter().enumerate().map(|(index, tensor)| (TensorId(index as u32), tensor))
    }

    /// One catalogue entry. `id` must come from this checkpoint.
    pub fn tensor(&self, id: TensorId) -> &TensorInfo {
        &self.parts.tensors[id.index()]
    }

    /// The first tensor of that name.
    pub fn find(&self, name: &str) -> Option<TensorId> {
        let names = self.names.get_or_init(|| {
            let mut names = HashMap::with_capacity(self.parts.tensors.len());
            for (id, tensor) in self.tensors() {
                names.entry(tensor.name.clone()).or_insert(id);
            }
            names
        });
        names.get(name).copied()
    }

    /// Everything that is not a tensor.
    pub fn metadata(&self) -> &Value {
        &self.parts.metadata
    }

    /// See [`CheckpointParts::versioned_modules`].
    pub fn versioned_modules(&self) -> &[String] {
        &self.parts.versioned_modules
    }

    /// What types the containers of a pickle had.
    pub fn python_types(&self) -> &PythonTypes {
        &self.parts.python_types
    }

    /// Layers in the model's order; empty where the file has none.
    pub fn layers(&self) -> &[LayerInfo] {
        &self.parts.layers
    }

    /// Groups by name, with totals. Built at the first call.
    pub fn layer_tree(&self) -> &LayerTree {
        self.tree.get_or_init(|| LayerTree::build(&self.parts.tensors, &self.parts.layers))
    }

    /// Findings, the worst first.
    pub fn problems(&self) -> &[Problem] {
        &self.parts.problems
    }

    /// The findings about one tensor.
    pub fn problems_of(&self, id: TensorId) -> impl Iterator<Item = &Problem> {
        self.parts.problems.iter().filter(move |problem| problem.tensor == Some(id))
    }

    /// The worst severity among the findings.
    pub fn worst_problem(&self) -> Option<Severity> {
        self.parts.problems.first().map(|problem| problem.severity)
    }

    /// The same, as one of a series.
    #[must_use]
    pub fn with_siblings(mut self, siblings: Vec<PathBuf>) -> Self {
        self.siblings = siblings;
        self
    }

    /// The checkpoints of the series that this one is of, itself included, the oldest first: what else the folder that
    /// was opened offers. Each can be opened by its path. Empty where there is no series.
    pub fn siblings(&self) -> &[PathBuf] {
        &self.siblings
    }

    /// Counts.
    pub fn totals(&self) -> &Totals {
        &self.totals
    }

    /// Passes the elements of `id` to `sink`, row-major, packed and little-endian, in pieces of whole elements.
    pub fn read_chunks(
        &self,
        id: TensorId,
        progress: &Progress,
        sink: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        self.parts.reader.read_chunks(id, progress, sink)
    }

    /// Fills `buffer` with the elements of `id` from byte `offset` on, in the form of [`Self::read_chunks`]; `None` where
    /// they can be had in order only. See [`TensorReader::read_at`].
    pub fn read_at(&self, id: TensorId, offset: u64, buffer: &mut [u8]) -> Option<Result<(), ReadError>> {
        self.parts.reader.read_at(id, offset, buffer)
    }

    /// Whether elements of `id` can be read out of order and by several threads at once.
    pub fn is_random_access(&self, id: TensorId) -> bool {
        self.read_at(id, 0, &mut []).is_some_and(|result| result.is_ok())
    }
}

impl std::fmt::Debug for Checkpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Checkpoint({} {}, {} tensors)",
            self.parts.format,
            self.path.display(),
            self.parts.tensors.len()
        )
    }
}

/// A file with more findings than this has one cause.
const PROBLEMS_KEPT: usize = 10_000;

fn totals(parts: &CheckpointParts) -> Totals {
    let mut totals = Totals {
        tensors: parts.tensors.len() as u64,
        parameters: None,
        trainable: None,
        non_trainable: None,
        buffers: 0,
        optimizer: 0,
        elements: 0,
        tensor_bytes: 0,
        stored_bytes: 0,
        file_bytes: parts.file_bytes,
    };
    let (mut parameters, mut non_trainable) = (0u64, 0u64);
    for tensor in &parts.tensors {
        let elements = tensor.elements();
        totals.elements = totals.elements.saturating_add(elements);
        totals.tensor_bytes = totals.tensor_bytes.saturating_add(tensor.bytes());
        totals.stored_bytes = totals.stored_bytes.saturating_add(tensor.stored_bytes);
        match tensor.role {
            TensorRole::Parameter if tensor.tied_to.is_none() => {
                parameters = parameters.saturating_add(elements);
                if tensor.trainable == Some(false) {
                    non_trainable = non_trainable.saturating_add(elements);
                }
            }
            TensorRole::Buffer => totals.buffers = totals.buffers.saturating_add(elements),
            TensorRole::Optimizer => totals.optimizer = totals.optimizer.saturating_add(elements),
            TensorRole::Parameter | TensorRole::Ema | TensorRole::Other | TensorRole::Unknown => {}
        }
    }
    if parts.tensors.is_empty() {
        let outermost = parts.layers.iter().filter(|layer| layer.segments.len() == 1);
        for count in outermost.filter_map(|layer| layer.configured) {
            parameters = parameters.saturating_add(count.parameters);
            non_trainable = non_trainable.saturating_add(count.parameters.saturating_sub(count.trainable));
        }
    }
    if parts.counts_known {
        totals.parameters = Some(parameters);
        totals.trainable = Some(parameters.saturating_sub(non_trainable));
        totals.non_trainable = Some(non_trainable);
    }
    totals
}
