//! Several opened files as one catalogue: tensors under their new places, each read from the file that holds it.
//!
//! For sharded and distributed checkpoints; decides nothing about names or roles.

use std::collections::HashMap;
use std::ops::ControlFlow;

use super::chunked::Chunked;
use crate::formats::places::Places;
use crate::model::{
    CheckpointParts, Problem, Progress, PythonTypes, ReadError, TensorId, TensorInfo, TensorReader, Value,
};

/// The catalogue so far.
#[derive(Default)]
pub struct Joined {
    /// In the order in which they were added.
    pub tensors: Vec<TensorInfo>,
    /// Findings of all files.
    pub problems: Vec<Problem>,
    reader: Reader,
    /// Framework, as the first file that knows says it.
    pub framework: Option<String>,
    /// Bytes of all files.
    pub file_bytes: u64,
    /// What types the containers of pickled values had.
    pub python_types: PythonTypes,
}

impl Joined {
    /// Nothing yet, in files of that many bytes.
    pub fn new(file_bytes: u64) -> Self {
        Self { file_bytes, ..Self::default() }
    }

    /// Adds the tensors of one file that `keep` keeps (and may rename). Returns where each now stands; findings about the
    /// others are dropped, those about the file itself are given `label`.
    pub fn add(
        &mut self,
        label: &str,
        parts: CheckpointParts,
        mut keep: impl FnMut(&mut TensorInfo) -> bool,
    ) -> HashMap<TensorId, TensorId> {
        let number = self.reader.files.len() as u32;
        let mut ids = HashMap::new();
        // Ties as the file has them, to the tensor that is the first here: the file's own first may not be kept.
        let mut firsts = HashMap::new();
        for (index, mut tensor) in parts.tensors.into_iter().enumerate() {
            let inside = TensorId(index as u32);
            if !keep(&mut tensor) {
                continue;
            }
            let id = TensorId(self.tensors.len() as u32);
            ids.insert(inside, id);
            let first = *firsts.entry(tensor.tied_to.unwrap_or(inside)).or_insert(id);
            if tensor.tied_to.is_some() && first == id {
                tensor.stored_bytes = tensor.bytes();
            }
            tensor.tied_to = (first != id).then_some(first);
            self.reader.places.push(Ok(Place::Inside(number, inside)));
            self.tensors.push(tensor);
        }
        for problem in parts.problems {
            match problem.tensor {
                Some(inside) => self.problems.extend(ids.get(&inside).map(|&id| problem.on(id))),
                None => {
                    self.problems
                        .push(Problem { message: format!("{label}: {}", problem.message), ..problem });
                }
            }
        }
        self.framework = self.framework.take().or(parts.framework);
        self.reader.files.push(parts.reader);
        ids
    }

    /// Adds a tensor that lies in chunks, or one without values and the reason.
    pub fn add_chunked(&mut self, tensor: TensorInfo, chunks: Result<Chunked, String>) {
        self.reader.places.push(chunks.map(Place::Chunked));
        self.tensors.push(tensor);
    }

    /// Says that the tensor which `tensors` ends with has no values.
    pub fn refuse(&mut self, fault: String) {
        self.reader.places.push(Err(fault));
    }

    /// Everything, as a format returns it.
    pub fn finish(self, format: &'static str, metadata: Value, counts_known: bool) -> CheckpointParts {
        CheckpointParts {
            format,
            framework: self.framework,
            counts_known: counts_known && !self.tensors.is_empty(),
            versioned_modules: Vec::new(),
            tensors: self.tensors,
            layers: Vec::new(),
            metadata,
            problems: self.problems,
            file_bytes: self.file_bytes,
            python_types: self.python_types,
            reader: Box::new(self.reader),
        }
    }
}

/// Reads each tensor from where it is.
#[derive(Default)]
struct Reader {
    files: Vec<Box<dyn TensorReader>>,
    places: Places<Place>,
}

enum Place {
    /// A tensor of one of the files.
    Inside(u32, TensorId),
    /// A tensor in chunks.
    Chunked(Chunked),
}

impl TensorReader for Reader {
    fn read_chunks(
        &self,
        id: TensorId,
        progress: &Progress,
        sink: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        match self.places.get(id)? {
            Place::Inside(file, inside) => {
                let file = self.files.get(*file as usize);
                file.ok_or_else(|| ReadError::unsupported("no such file"))?
                    .read_chunks(*inside, progress, sink)
            }
            Place::Chunked(chunked) => chunked.read(progress, sink),
        }
    }
}
