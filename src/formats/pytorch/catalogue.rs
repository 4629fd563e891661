//! Tensors with their names: the catalogue as it grows, ties between tensors, and bytes that no tensor uses.

use std::collections::HashMap;

use super::reader::{TorchReader, Values};
use super::rebuild::Rebuilt;
use super::storage::{Place, Storage};
use crate::formats::places::Places;
use crate::model::{Problem, Severity, TensorId, TensorInfo, TensorRole};
use crate::raw::limits;

/// What a tensor is called and what it is for.
#[derive(Debug, Clone)]
pub struct Naming {
    /// See [`TensorInfo::name`].
    pub name: String,
    /// See [`TensorInfo::path`].
    pub path: Vec<String>,
    /// See [`TensorInfo::stored_name`].
    pub stored_name: Option<String>,
    /// See [`TensorInfo::layer`].
    pub layer: String,
    /// See [`TensorInfo::role`].
    pub role: TensorRole,
    /// See [`TensorInfo::trainable`].
    pub trainable: Option<bool>,
}

/// The catalogue so far.
#[derive(Default)]
pub struct Catalogue {
    /// In file order.
    pub tensors: Vec<TensorInfo>,
    /// What is wrong with them.
    pub problems: Vec<Problem>,
    values: Places<Values>,
    ties: HashMap<(usize, u64, u64, u64), TensorId>,
    /// Per storage: the tensor that counts its bytes, and the ranges that tensors use.
    used: HashMap<usize, (TensorId, Vec<(u64, u64)>)>,
}

impl Catalogue {
    /// Adds a tensor; `None` when there are too many.
    pub fn add(&mut self, made: &Rebuilt, naming: Naming, storages: &[Storage]) -> Option<TensorId> {
        if self.tensors.len() >= limits::TENSORS {
            return None;
        }
        let id = TensorId(self.tensors.len() as u32);
        let mut fault = made.fault.clone();
        if fault.is_none() && made.stored_dtype().bits() == 0 {
            fault = Some(format!("elements of type {} have no known size", made.dtype));
        }
        if made.shape.checked_elements().is_none() {
            fault.get_or_insert_with(|| "its size overflows".to_owned());
        }
        let storage = made.storage.and_then(|index| storages.get(index).map(|storage| (index, storage)));
        let mut info = TensorInfo {
            name: naming.name,
            path: naming.path.into(),
            stored_name: naming.stored_name,
            layer: naming.layer,
            dtype: made.dtype.clone(),
            shape: made.shape.clone(),
            role: naming.role,
            role_evidence: None,
            trainable: naming.trainable,
            tied_to: None,
            slot_of: None,
            stored_bytes: 0,
            offset: None,
        };
        if let Some((index, storage)) = storage {
            let extent = made.extent();
            match extent {
                Some((_, end)) if fault.is_none() && end > storage.place.len() => {
                    fault = Some(format!(
                        "it needs {end} bytes of its storage, which has {}",
                        storage.place.len()
                    ));
                }
                None => {
                    fault.get_or_insert_with(|| "where its elements are cannot be told".to_owned());
                }
                _ => {}
            }
            if let (None, Some((start, end))) = (&fault, extent) {
                self.place(id, &mut info, index, &storage.place, start, end);
                let logical = info.bytes();
                if logical > storage.place.len() && logical > limits::EXPANDED_BYTES {
                    let text = format!(
                        "it repeats {} stored bytes to {logical}: too many to go through",
                        storage.place.len()
                    );
                    self.problems.push(Problem::warning("expanded", text).on(id));
                }
            }
        }
        for (severity, code, message) in made.notes.iter().cloned() {
            self.problems.push(Problem { severity, code, message, tensor: Some(id), offset: None });
        }
        if let Some(fault) = &fault {
            // A tensor that never had values is not a damaged one.
            let severity = if made.storage.is_none() && looks_intended(fault) {
                Severity::Info
            } else {
                Severity::Error
            };
            let code = if severity == Severity::Info { "no-values" } else { "tensor" };
            self.problems.push(Problem {
                severity,
                code,
                message: fault.clone(),
                tensor: Some(id),
                offset: None,
            });
            if info.shape.checked_elements().is_none() {
                info.role = TensorRole::Unknown;
            }
        }
        self.values.push(match fault {
            Some(fault) => Err(fault),
            None => Ok(Values::of(made, storages)),
        });
        self.tensors.push(info);
        Some(id)
    }

    /// Ties, and bytes once per storage.
    fn place(
        &mut self,
        id: TensorId,
        info: &mut TensorInfo,
        index: usize,
        place: &Place,
        start: u64,
        end: u64,
    ) {
        info.offset = place.offset().map(|from| from + start);
        let used = self.used.entry(index).or_insert((id, Vec::new()));
        if used.0 == id {
            info.stored_bytes = place.len();
        }
        if end > start {
            if used.1.last() != Some(&(start, end)) {
                used.1.push((start, end));
            }
            let key = (index, start, end, info.elements());
            let first = *self.ties.entry(key).or_insert(id);
            if first != id {
                info.tied_to = Some(first);
            }
        }
    }

    /// Says which storages hold much that no tensor uses, then gives what was gathered.
    pub fn finish(mut self, storages: Vec<Storage>) -> (Vec<TensorInfo>, Vec<Problem>, TorchReader) {
        /// Less is padding or chance.
        const WASTE: u64 = 1 << 10;
        tie_to_parameters(&mut self.tensors);
        let mut wasteful: Vec<_> = self
            .used
            .iter_mut()
            .filter_map(|(&index, (id, ranges))| {
                let bytes = storages.get(index)?.place.len();
                let used = covered(ranges).min(bytes);
                (bytes - used >= WASTE && bytes - used >= bytes / 4).then_some((*id, bytes, used))
            })
            .collect();
        wasteful.sort_unstable();
        let total: u64 = wasteful.iter().map(|(_, bytes, used)| bytes - used).sum();
        if wasteful.len() > 1 {
            let text = format!(
                "{total} bytes in {} storages belong to no tensor; a copy of the tensors would save them",
                wasteful.len()
            );
            self.problems.push(Problem::info("wasted-bytes", text));
        }
        for (id, bytes, used) in wasteful {
            let text = format!(
                "its storage has {bytes} bytes, of which tensors use {used}; the other {} are wasted",
                bytes - used
            );
            self.problems.push(Problem::info("wasted-bytes", text).on(id));
        }
        (self.tensors, self.problems, TorchReader { values: self.values, storages })
    }
}

/// Where the first of tied tensors is no parameter and another is, that one stands for them: parameters are counted by
/// those that are tied to nothing.
fn tie_to_parameters(tensors: &mut [TensorInfo]) {
    let mut roots: HashMap<TensorId, TensorId> = HashMap::new();
    for (index, tensor) in (0..).zip(&*tensors) {
        if let Some(first) = tensor.tied_to
            && tensor.role == TensorRole::Parameter
            && tensors.get(first.index()).is_some_and(|first| first.role != TensorRole::Parameter)
        {
            roots.entry(first).or_insert(TensorId(index));
        }
    }
    for (index, tensor) in (0..).map(TensorId).zip(tensors.iter_mut()) {
        let first = tensor.tied_to.unwrap_or(index);
        if let Some(&root) = roots.get(&first) {
            tensor.tied_to = (root != index).then_some(root);
        }
    }
}

/// Bytes in at least one of the ranges. Sorts them.
fn covered(ranges: &mut [(u64, u64)]) -> u64 {
    ranges.sort_unstable();
    let (mut sum, mut reached) = (0, 0);
    for &(start, end) in &*ranges {
        sum += end.saturating_sub(start.max(reached));
        reached = reached.max(end);
    }
    sum
}

/// Whether the fault is the nature of the tensor rather than damage; see the texts in [`super::rebuild`].
fn looks_intended(fault: &str) -> bool {
    fault.starts_with("a tensor on the meta device")
        || fault.starts_with("a sparse tensor")
        || fault.starts_with("a wrapper subclass")
        || fault.starts_with("an array of")
}
